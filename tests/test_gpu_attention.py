"""Attention, means of windows and dropout on a GPU: the processor's numbers, and nothing kept that
need not be.

Leans on schuss, adapter and gpu_nearness; the kernels that share a workgroup's memory are forced by
a profile.
"""

from __future__ import annotations

import numpy as np
import pytest
import schuss
from adapter import DEVICE, needs_adapter, told
from conftest import draws
from gpu_nearness import alike
from schuss import nn

pytestmark = needs_adapter
F = nn.functional


def tensors(name: str, *shapes: tuple[int, ...]) -> list[schuss.Tensor]:
    rng = draws(name)
    return [schuss.tensor(rng.normal(size=shape).astype(np.float32)) for shape in shapes]


def both(call, *given: schuss.Tensor):
    """A call's result and the gradients of what it was given, on the processor and on the GPU."""
    found = []
    for device in ("cpu", DEVICE):
        own = [t.detach().to(device).requires_grad_() for t in given]
        y = call(*own)
        (y * y.detach().cos()).sum().backward()
        found.append([y, *(t.grad for t in own)])
    return zip(*found, strict=True)


# Queries, keys, and the sizes of keys and of values.
SIZES = [(1, 1, 1, 1), (5, 5, 4, 4), (7, 3, 8, 5), (3, 40, 16, 16), (70, 70, 8, 20)]


@pytest.mark.parametrize("mask", ["none", "causal", "truths", "numbers", "heads"])
@pytest.mark.parametrize("size", SIZES)
def test_attention_is_the_processors(size, mask):
    queries, keys, width, out = size
    q, k, v, m = tensors(
        "attention", (2, 3, queries, width), (2, 3, keys, width), (2, 3, keys, out), (queries, keys)
    )
    if mask == "causal" and queries != keys:
        queries = keys
        (q,) = tensors("square", (2, 3, keys, width))

    def call(q, k, v):
        if mask == "causal":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        own = {"truths": m > -0.5, "numbers": m, "heads": m.expand(2, 3, queries, keys)}.get(mask)
        own = None if own is None else own.to(q.device)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=own, scale=0.3)

    for want, got in both(call, q, k, v):
        assert got.device.type == "gpu"
        alike(got, want, "layer")


def test_queries_that_may_look_nowhere_get_nothing():
    q, k, v = tensors("nowhere", (1, 1, 4, 8), (1, 1, 6, 8), (1, 1, 6, 8))
    allowed = schuss.ones(4, 6, dtype=schuss.bool)
    allowed[2] = False
    for want, got in both(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, allowed.to(q.device)), q, k, v
    ):
        alike(got, want, "layer")
        assert not got.isnan().any()


@pytest.mark.parametrize("dtype", [schuss.float16, schuss.bfloat16])
def test_short_floats_are_computed_in_long_ones(dtype):
    q, k, v = (t.to(dtype) for t in tensors("short", *[(1, 2, 9, 8)] * 3))
    want = F.scaled_dot_product_attention(q, k, v)
    got = F.scaled_dot_product_attention(*(t.to(DEVICE) for t in (q, k, v)))
    assert got.dtype == dtype
    alike(got, want, "layer")


def test_attention_differentiates_twice():
    def call(q, k, v):
        y = F.scaled_dot_product_attention(q, k, v)
        (g,) = schuss.autograd.grad((y * y).sum(), q, create_graph=True)
        return g

    for want, got in both(call, *tensors("twice", *[(1, 2, 5, 4)] * 3)):
        alike(got, want, "layer")


def test_attention_is_one_kernel_forward_and_two_back():
    q, k, v = (t.to(DEVICE).requires_grad_() for t in tensors("few", *[(2, 2, 12, 8)] * 3))
    counted = []
    for _ in range(2):
        schuss.gpu.synchronize()
        before = schuss.gpu.counters()["dispatches"]
        y = F.scaled_dot_product_attention(q, k, v)
        middle = schuss.gpu.counters()["dispatches"]
        y.backward(y.detach())
        schuss.gpu.synchronize()
        counted = [middle - before, schuss.gpu.counters()["dispatches"] - middle]
    assert counted[0] == 1
    assert counted[1] <= 2 + 3, "two, and gradients added to those that are there"


LONG = """
import schuss
F = schuss.nn.functional
q = schuss.randn(1, 2, 1200, 8, device="gpu", requires_grad=True)
y = F.scaled_dot_product_attention(q, q, q, is_causal=True)
y.sum().backward()
print(schuss.gpu.memory()["peak"] < 4_000_000, q.grad.isfinite().all().item())
"""


def test_scores_are_never_held():
    # All scores would be 11,520,000 bytes.
    done = told(LONG, SCHUSS_GPU_MEM_LIMIT="4000000")
    assert done.stdout == "True True\n", done.stdout + done.stderr


SHARED = """
import schuss
from gpu_nearness import alike
F = schuss.nn.functional
compared = 0
for b, h, n, m, w, o in [(1, 2, 70, 70, 20, 33), (2, 1, 65, 130, 16, 130)]:
    given = [schuss.randn(b, h, *s) for s in ((n, w), (m, w), (m, o))]
    mask = schuss.randn(n, m)
    for how in ("none", "causal", "mask"):
        if how != "none" and n != m:
            continue
        found = []
        for device in ("cpu", "gpu"):
            q, k, v = (t.clone().to(device).requires_grad_() for t in given)
            more = {"is_causal": how == "causal"}
            if how == "mask":
                more = {"attn_mask": mask.to(device)}
            y = F.scaled_dot_product_attention(q, k, v, **more)
            (y * y.detach().cos()).sum().backward()
            found.append([t.detach().cpu() for t in (y, q.grad, k.grad, v.grad)])
        for want, got in zip(*found):
            alike(got, want, "layer")
            compared += 1
print(compared)
"""


@pytest.mark.parametrize("profile", ["gpu", "gpu,noimm"])
def test_tiles_in_a_workgroups_memory(profile):
    done = told(SHARED, SCHUSS_GPU_PROFILE=profile)
    assert done.stdout == "16\n", done.stdout + done.stderr


POOLS = [
    (1, (2, 3, 11), {"kernel_size": 3}),
    (2, (2, 3, 9, 8), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 1)}),
    (2, (1, 2, 7, 7), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    (2, (1, 2, 8, 8), {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
    (2, (1, 2, 6, 6), {"kernel_size": 2, "divisor_override": 3}),
    (3, (1, 2, 5, 6, 4), {"kernel_size": 2, "stride": 1, "padding": 1}),
]


@pytest.mark.parametrize(("axes", "shape", "how"), POOLS)
def test_means_of_windows_are_the_processors(axes, shape, how):
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[axes - 1]
    for want, got in both(lambda x: pool(x, **how), *tensors("means", shape)):
        alike(got, want, "sum", terms=18)
    x = tensors("one kernel", shape)[0].to(DEVICE)
    schuss.gpu.synchronize()
    before = schuss.gpu.counters()["dispatches"]
    pool(x, **how)
    assert schuss.gpu.counters()["dispatches"] == before + 1


@pytest.mark.parametrize("dtype", [schuss.float32, schuss.float16, schuss.bfloat16])
@pytest.mark.parametrize("device", ["cpu", DEVICE])
def test_dropout_keeps_no_mask(device, dtype):
    x = tensors("dropped", (33, 7))[0].to(device, dtype).requires_grad_()
    kept = []
    schuss.manual_seed(5)
    with schuss.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = F.dropout(x.T, 0.4)
    y.backward(schuss.ones_like(y))
    assert kept == []
    schuss.manual_seed(5)
    same = F.dropout(schuss.ones(7, 33, dtype=dtype), 0.4)
    assert x.grad.cpu().T.tolist() == same.tolist()
    assert y.tolist() == (x.detach().cpu().T * same).tolist()
    schuss.manual_seed(5)
    mask = F.dropout(schuss.ones(33, 7, dtype=dtype), 0.4)
    schuss.manual_seed(5)
    (first,) = schuss.autograd.grad((F.dropout(x, 0.4) ** 2).sum(), x, create_graph=True)
    (second,) = schuss.autograd.grad(first.sum(), x)
    assert second.tolist() == (mask * 2 * mask).tolist()


def test_dropout_of_everything_and_of_nothing():
    x = schuss.tensor([1.0, -2.0], device=DEVICE)
    assert F.dropout(x, 0.0).tolist() == [1.0, -2.0]
    assert F.dropout(x, 1.0).tolist() == [0.0, 0.0]
    assert F.dropout(x[:0], 0.5).tolist() == []
