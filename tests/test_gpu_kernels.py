"""Kernels of a GPU: sizes, layouts, writes in place, random bits, forms for other adapters.

Leans on schuss, adapter and gpu_nearness. Every number is compared with the processor's own.
"""

from __future__ import annotations

import numpy as np
import pytest
import schuss
from adapter import DEVICE, away, needs_adapter, told
from conftest import draws
from gpu_nearness import alike
from schuss import nn

pytestmark = needs_adapter
F = nn.functional


@pytest.mark.parametrize("n", [1, 3, 64, 1023, 65_537 * 64])
def test_any_number_of_elements(n):
    x = schuss.arange(n, device=DEVICE)
    assert (x + 1).sum().item() == n * (n + 1) // 2
    assert (x > n // 2).sum().item() == n - 1 - n // 2


def test_narrow_elements_are_written_beside_others():
    rng = draws("narrow")
    for dtype in (schuss.bool, schuss.uint8, schuss.int8, schuss.int16, schuss.float16):
        host = schuss.tensor(rng.integers(0, 2, (7, 9))).to(dtype)
        there = host.to(DEVICE)
        for t in (host, there):
            t[2:5, 1::3] = 1
            t[:, 4] = 0
            t[5].copy_(t[1])
            t.T[3] = 1
        assert there.cpu().tolist() == host.tolist(), dtype


def test_truths_are_filled_with_truths():
    for value in (2, 0.5, True, 0):
        x = schuss.zeros(5, dtype=schuss.bool, device=DEVICE)
        x.fill_(value)
        assert (x.float() * 3).tolist() == [3.0 * bool(value)] * 5


def test_writes_go_through_views():
    host = schuss.arange(12.0).reshape(3, 4)
    there = host.to(DEVICE)
    for t in (host, there):
        t[1:].mul_(2)
        t.T[2].add_(t[:, 0].clone())
        t[t > 9] = -1
        t[schuss.tensor([0, 2]).to(t.device), 1] = 5
        t.clamp_(max=8)
    assert there.tolist() == host.tolist()


def test_an_index_out_of_range_is_told_when_values_are_read():
    x = schuss.arange(5.0, device=DEVICE)
    bad = x[schuss.tensor([0, 7], device=DEVICE)]
    with pytest.raises(IndexError, match=r"index 7 .* size 5"):
        bad.tolist()
    assert x[schuss.tensor([0, -1])].tolist() == [0.0, 4.0]


def test_values_for_one_place_are_taken_in_order():
    index = schuss.tensor([3, 1, 3, 3, 0, 1])
    values = schuss.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    for _ in range(5):
        x = schuss.zeros(5, device=DEVICE)
        x[index] = values.to(DEVICE)
        assert x.tolist() == [5.0, 6.0, 0.0, 4.0, 0.0]
    many = schuss.tensor(draws("many").integers(0, 3, 5000))
    parts = schuss.tensor(draws("parts").normal(size=5000).astype(np.float32))
    want = schuss.zeros(3).index_add(0, many, parts)
    runs = {
        tuple(schuss.zeros(3, device=DEVICE).index_add(0, away(many), away(parts)).tolist())
        for _ in range(3)
    }
    assert len(runs) == 1, "the same sums, whatever runs first"
    alike(next(iter(runs)), want.tolist(), "sum", terms=5000, size=10.0, dtype="float32")


@pytest.mark.parametrize("draw", ["rand", "bernoulli", "dropout", "randint", "randperm"])
def test_random_bits_are_the_processors(draw):
    def drawn(device):
        schuss.manual_seed(7)
        x = schuss.full((1003,), 0.3, device=device)
        return {
            "rand": lambda: schuss.rand(1003, device=device),
            "bernoulli": lambda: schuss.zeros(1003, device=device).bernoulli_(0.3),
            "dropout": lambda: F.dropout(x, 0.4),
            "randint": lambda: schuss.randint(-5, 5, (1003,), device=device),
            "randperm": lambda: schuss.randperm(1003, device=device),
        }[draw]()

    assert drawn(DEVICE).tolist() == drawn("cpu").tolist()


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 3), (64, 33, 65), (130, 93, 37)])
def test_products_of_any_size(shape):
    m, k, n = shape
    rng = draws("products")
    a, b = (schuss.tensor(rng.normal(size=s).astype(np.float32)) for s in ((m, k), (k, n)))
    for x, y in [(a, b), (a.T.contiguous().T, b), (a, b.T.contiguous().T)]:
        alike(away(x) @ away(y), x @ y, "product", terms=k, size=k**0.5)
    got = schuss.bmm(away(a).expand(3, m, k), away(b).expand(3, k, n))
    alike(got[2], a @ b, "product", terms=k, size=k**0.5)


def test_formulas_that_follow_one_another_are_one_kernel():
    x, y = schuss.randn(300, device=DEVICE), schuss.randn(300, device=DEVICE)
    schuss.gpu.synchronize()
    before = schuss.gpu.counters()["dispatches"]
    z = ((x * 2 + y).tanh() - y) / 3
    kept = z * z
    w = kept + z
    schuss.gpu.synchronize()
    assert schuss.gpu.counters()["dispatches"] == before + 1
    a, b = x.cpu(), y.cpu()
    c = ((a * 2 + b).tanh() - b) / 3
    for got, want in ((z, c), (kept, c * c), (w, c * c + c)):
        alike(got, want, "map", size=1.0)


@pytest.mark.parametrize("profile", ["gpu", "noimm", "gpu,noimm", "gpu,nosubgroup"])
def test_kernels_of_other_adapters(profile):
    """Tiles in a workgroup's memory, and parameters in buffers, on whatever adapter is here."""
    program = (
        "import schuss\n"
        "from gpu_nearness import alike\n"
        "for m, k, n in [(70, 40, 66), (520, 20, 530), (3, 100, 400)]:\n"
        "    a, b = schuss.randn(m, k), schuss.randn(k, n)\n"
        "    for x, y in [(a, b), (a.T.contiguous().T, b), (a, b.T.contiguous().T)]:\n"
        "        c = (x.to('gpu') @ y.to('gpu')).cpu()\n"
        "        d = (x.T.contiguous().to('gpu').T @ y.T.contiguous().to('gpu').T).cpu()\n"
        "        for found in (c, d):\n"
        "            alike(found, a @ b, 'product', terms=k)\n"
        "x = schuss.linspace(-3, 3, 3001, device='gpu')\n"
        "y = x.softmax(0).sum() + x.exp().mean()\n"
        "z = x.cpu()\n"
        "alike(y, z.softmax(0).sum() + z.exp().mean(), 'sum', terms=3001)\n"
        "alike(x.argmax(), z.argmax(), 'same')\n"
        "F = schuss.nn.functional\n"
        "i, k, v = schuss.randn(5, 4, 17, 19), schuss.randn(8, 2, 3, 3), schuss.randn(8)\n"
        "c = [schuss.randn(70, 90), schuss.randint(0, 90, (70,)), schuss.randn(90)]\n"
        "def all_of(i, k, v, s, t, u):\n"
        "    i.requires_grad_(True); k.requires_grad_(True); s.requires_grad_(True)\n"
        "    o = F.conv2d(i, k, v, stride=2, padding=1, groups=2)\n"
        "    n = F.layer_norm(s, (90,), u, u)\n"
        "    b = F.batch_norm(o, None, None, v, v, True)\n"
        "    l = F.cross_entropy(n, t) + o.square().mean() + b.pow(3).mean()\n"
        "    l = l + s.var(0).sum() + s.logsumexp(1).mean() + s.log_softmax(1)[:, 3].sum()\n"
        "    l.backward()\n"
        "    return [l.detach(), i.grad, k.grad, s.grad]\n"
        "here = all_of(i, k, v, *c)\n"
        "there = all_of(*(t.detach().to('gpu') for t in (i, k, v, *c)))\n"
        "for want, got in zip(here, there):\n"
        "    alike(got, want, 'layer')\n"
        "print(schuss.gpu.limits())\n"
    )
    done = told(program, SCHUSS_GPU_PROFILE=profile)
    assert done.returncode == 0, done.stdout + done.stderr
    if "noimm" in profile:
        assert "'immediates': 0" in done.stdout


def test_types_that_an_adapter_lacks_are_computed_by_the_processor():
    program = """
import warnings, schuss
from gpu_nearness import alike
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    schuss.arange(3).to("gpu").sum(), schuss.ones(3).double().to("gpu").cumsum(0)
    schuss.gpu.synchronize()
said = [str(w.message) for w in seen]
print(["gpu:0" in s and t in s and "x.cpu()" in s for s, t in zip(said, ("int64", "float64"))])
warnings.simplefilter("ignore")
x = schuss.arange(33).to("gpu")
print((x + 1).sum().item(), x.T[3:7].tolist(), schuss.cat([x, x]).shape[0], x.float().sum().item())
y = schuss.randn(4, 7, device="gpu")
print(y.argmin(1).tolist() == y.cpu().argmin(1).tolist(), (x.double() * 2).sum().item())
z = schuss.randn(4, 7, device="gpu", requires_grad=True)
schuss.nn.functional.cross_entropy(z, schuss.tensor([0, 6, 2, 1]).to("gpu")).backward()
w = z.detach().cpu().requires_grad_(True)
schuss.nn.functional.cross_entropy(w, schuss.tensor([0, 6, 2, 1])).backward()
alike(z.grad, w.grad, "layer")
"""
    done = told(program, SCHUSS_GPU_PROFILE="noint64,nof64")
    want = ["[True, True]", "561 [3, 4, 5, 6] 66 528.0", "True 1056.0"]
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == want, done.stdout + done.stderr


def test_what_has_no_kernel_is_computed_by_the_processor_and_said():
    program = """
import warnings, schuss
from gpu_nearness import alike
x = schuss.tensor([[4.0, 1.0], [1.0, 3.0]], device="gpu")
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    for _ in range(3):
        q = schuss.linalg.qr(x)[1]
        d = schuss.linalg.det(x)
    v = schuss.special.i0(x)
    e = x.double().exp()
print([str(w.message).split("kernel for ")[1].split(":")[0] for w in seen])
print({str(t.device) for t in (q, d, v, e)}, round(d.item(), 4))
alike(e, x.cpu().double().exp(), "same")
"""
    done = told(program)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    for word in ("qr", "det", "special", "float64"):
        assert lines[0].count(word) == 1, lines[0]
    assert lines[1:] == ["{'gpu:0'} 11.0"]


def test_the_doctor_finds_every_family_right():
    from schuss import doctor

    assert doctor.differences("gpu:0") == {}
    done = told("from schuss import doctor; raise SystemExit(doctor.main())")
    assert "families of kernels are right" in done.stdout, done.stdout + done.stderr
    assert "no kernels here" not in done.stdout, done.stdout
    assert done.returncode == 0


CUT = """
import schuss
from gpu_nearness import alike
schuss.manual_seed(0)
a = schuss.randn(300_000)
m, i = a.reshape(3, -1), (a * 9).long()
x, n, j = a.to("gpu"), m.to("gpu"), i.to("gpu")
alike(x.cumsum(0), a.cumsum(0), "sum", terms=300_000, size=64)
alike(n.cumsum(1), m.cumsum(1), "sum", terms=100_000, size=64)
alike(j.cumsum(0), i.cumsum(0), "same")
alike((1 + n / 1e4).cumprod(1), (1 + m / 1e4).cumprod(1), "steep", terms=100_000)
alike(n.half().cumsum(1)[:, :2000], m.half().cumsum(1)[:, :2000], "sum", terms=2000, size=1)
alike(x.flip(0)[::3].cumsum(0), a.flip(0)[::3].cumsum(0), "sum", terms=100_000, size=64)
print("runs")
for of in (schuss.sum, schuss.mean, schuss.var):
    alike(of(x), of(a), "sum", terms=300_000)
alike(x.max(), a.max(), "same")
for of, y, b in ((schuss.argmax, x, a), (schuss.argmin, x, a), (schuss.sum, j, i)):
    alike(of(y), of(b), "same")
print("whole")
c, d = a.reshape(600, 500), x.reshape(600, 500)
alike(d.sum(0), c.sum(0), "sum", terms=600)
alike(d.mean(0), c.mean(0), "sum", terms=600)
alike(d.half().sum(0), c.half().sum(0), "sum", terms=600, size=1)
alike(d.amax(0), c.amax(0), "same")
alike(d.argmax(0), c.argmax(0), "same")
for of in (schuss.sum, schuss.any, schuss.all):
    alike(of(d > 3, 0), of(c > 3, 0), "same")
alike(d.T.contiguous().T.sum(1), c.sum(1), "sum", terms=500)
alike(d[:, ::2].sum(0), c[:, ::2].sum(0), "sum", terms=600)
alike(d.reshape(20, 30, 500).sum((0, 1)), c.sum(0), "sum", terms=600)
print("columns")
k = schuss.randint(0, 3, (20_000,))
w = schuss.zeros(3).index_add(0, k, a[:20_000])
v = [schuss.zeros(3, device="gpu").index_add(0, k.to("gpu"), x[:20_000]) for _ in range(2)]
e = schuss.zeros(40, 500).index_add(0, k[:600], c)
f = schuss.zeros(40, 500, device="gpu").index_add(0, k[:600].to("gpu"), d)
alike(v[0], w, "sum", terms=20_000)
alike(v[1], v[0], "same")
alike(f, e, "sum", terms=600)
try:
    print(x[schuss.tensor([2**32], device="gpu")].tolist())
except IndexError:
    print("refused")
"""


def test_long_rows_are_cut_into_parts_where_many_run_at_once():
    done = told(CUT, SCHUSS_GPU_PROFILE="gpu")
    want = ["runs", "whole", "columns", "refused"]
    assert done.stdout.splitlines() == want, done.stdout + done.stderr


SORTED = """
import warnings, schuss
warnings.simplefilter("error")
schuss.manual_seed(3)
def same(got, want):
    pairs = zip(got, want) if isinstance(got, tuple) else [(got, want)]
    return all(schuss.equal(a.cpu().nan_to_num(9e9), b.nan_to_num(9e9)) for a, b in pairs)
for n in (4097, 40_000):
    x = (schuss.randn(3, n) * 50).round()
    x[1, ::7], x[2, 5], x[0, 3], x[0, 9] = float("nan"), float("inf"), -0.0, 0.0
    for a in (x, x.half(), x.nan_to_num().long(), x.double(), x.T.contiguous().T):
        b = a.to("gpu")
        print([
            same(b.sort(1), a.sort(1)), same(b.sort(1, True), a.sort(1, True)),
            same(b.topk(5, 1), a.topk(5, 1)), same(b.argsort(1), a.argsort(1)),
            same(b.kthvalue(n // 3, 1), a.kthvalue(n // 3, 1)), same(b.median(1), a.median(1)),
            same(b.float().nanmedian(1), a.float().nanmedian(1)),
        ])
"""


def test_long_rows_are_sorted_in_passes_where_many_run_at_once():
    done = told(SORTED, SCHUSS_GPU_PROFILE="gpu")
    lines = done.stdout.splitlines()
    assert lines == [str([True] * 7)] * 10, done.stdout + done.stderr
