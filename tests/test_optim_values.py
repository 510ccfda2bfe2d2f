"""Every optimiser of PyTorch takes PyTorch's steps, and its checkpoints have PyTorch's form.
Leans on schuss; the numbers of optim.json were made with torch 2.15 by the program quoted below."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import schuss
from schuss import optim

# A row of optim.json is a name, its options, and what this program gives in float32 and float64:
#
# params = [torch.tensor(x, dtype=dtype, requires_grad=True) for x in START]
# opt = getattr(torch.optim, name)(params, **options)
# for k in range(5):
#     def closure():
#         opt.zero_grad()
#         loss = sum(((p - 0.3 * k) ** 2 * 1.5 + p.sin()).sum() for p in params)
#         if options.get("maximize") and name == "LBFGS":
#             loss = -loss
#         loss.backward()
#         return loss
#     losses.append(opt.step(closure).item())
# values = [v for p in params for v in p.reshape(-1).tolist()]
# group, state = opt.state_dict()["param_groups"][0], opt.state_dict()["state"][0]
START = [[[0.5, -1.0, 2.0], [1.5, -0.25, 0.75]], [[1.0, -2.0]]]
ROWS = json.loads((Path(__file__).parent / "optim.json").read_text(encoding="utf-8"))
# Sums over rounded products: Muon's are rounded to bfloat16, LBFGS goes to where nothing changes.
LOOSE = {("Muon", "float64"): 2e-3, ("Muon", "float32"): 2e-3, ("LBFGS", "float32"): 2e-3}
TOLERANCE = {"float32": 2e-5, "float64": 1e-10}


def ident(row):
    return f"{row['name']}-{'-'.join(f'{k}={v}' for k, v in row['options'].items())}"


def begin(row, dtype):
    params = [schuss.tensor(x, dtype=dtype, requires_grad=True) for x in START]
    return params, getattr(optim, row["name"])(params, **row["options"])


def advance(row, params, opt, steps):
    losses = []
    for k in steps:

        def closure(k=k):
            opt.zero_grad()
            loss = sum(((p - 0.3 * k) ** 2 * 1.5 + p.sin()).sum() for p in params)
            if row["options"].get("maximize") and row["name"] == "LBFGS":
                loss = -loss
            loss.backward()
            return loss

        losses.append(opt.step(closure).item())
    return losses


def values(params):
    return [v for p in params for v in p.detach().reshape(-1).tolist()]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", ROWS, ids=ident)
def test_the_steps_of_pytorch(row, dtype):
    params, opt = begin(row, getattr(schuss, dtype))
    losses = advance(row, params, opt, range(5))
    near = LOOSE.get((row["name"], dtype), TOLERANCE[dtype])
    expected = row["values"] if dtype == "float64" else row["float32"]
    assert values(params) == pytest.approx(expected, rel=near, abs=near)
    if dtype == "float64":
        assert losses == pytest.approx(row["losses"], rel=10 * near, abs=near)


@pytest.mark.parametrize("row", ROWS, ids=ident)
def test_a_checkpoint_has_the_form_of_pytorch(row):
    params, opt = begin(row, schuss.float64)
    advance(row, params, opt, range(5))
    saved = opt.state_dict()
    as_json = json.loads(json.dumps(saved["param_groups"][0]))
    assert list(as_json) == list(row["group"])
    assert as_json == row["group"]
    state = saved["state"].get(0, {})
    if row["name"] == "LBFGS":
        assert sorted(state) == row["state"]
        return
    assert list(state) == list(row["state"])
    near = LOOSE.get((row["name"], "float64"), 1e-6)
    for key, want in row["state"].items():
        got = state[key].reshape(-1).tolist()
        assert got == pytest.approx(want, rel=near, abs=near), key


@pytest.mark.parametrize("row", ROWS, ids=ident)
def test_a_checkpoint_goes_on_where_it_was_saved(row):
    params, opt = begin(row, schuss.float64)
    advance(row, params, opt, range(3))
    saved = pickle.loads(pickle.dumps(opt.state_dict()))
    copies = [p.detach().clone().requires_grad_() for p in params]
    twin = getattr(optim, row["name"])(copies)
    twin.load_state_dict(saved)
    advance(row, params, opt, range(3, 5))
    advance(row, copies, twin, range(3, 5))
    assert values(copies) == values(params)


NAMES = sorted({row["name"] for row in ROWS} - {"LBFGS", "Muon", "Adafactor", "LAMB"})


@pytest.mark.parametrize("name", [*NAMES, "Lion"])
def test_scalars_take_the_same_steps(name):
    tensor = schuss.tensor([1.5], dtype=schuss.float64, requires_grad=True)
    scalar = schuss.Scalar(1.5)
    first, second = (getattr(optim, name)([p], lr=0.05) for p in (tensor, scalar))
    for _ in range(4):
        for p, opt in ((tensor, first), (scalar, second)):
            opt.zero_grad()
            ((p - 3) ** 2 + 0.5 * p).backward()
            opt.step()
    assert scalar.value == pytest.approx(tensor.item(), rel=1e-14)


# 4 steps on params that are laid out otherwise, or of a narrow dtype, beside the plain ones.
@pytest.mark.parametrize("name", [*NAMES, "Lion", "LAMB"])
def test_layouts_and_narrow_dtypes(name):
    start = np.linspace(-1.5, 2.0, 12).reshape(3, 4)

    def run(make):
        p = make(schuss.tensor(start, dtype=schuss.float32)).requires_grad_()
        opt = getattr(optim, name)([p], lr=0.05)
        for _ in range(3):
            opt.zero_grad()
            ((p.float() - 1) ** 2).sum().backward()
            opt.step()
        return p.detach().float().numpy()

    plain = run(lambda x: x)
    assert np.abs(plain - start.astype(np.float32)).max() > 1e-4
    np.testing.assert_array_equal(run(lambda x: x.t().contiguous().t()), plain)
    wide = schuss.zeros(3, 8)
    np.testing.assert_array_equal(run(lambda x: wide[:, ::2].copy_(x).detach()), plain)
    np.testing.assert_allclose(run(lambda x: x.to(schuss.bfloat16)), plain, atol=0.1)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Lion"])
def test_large_and_many_parameters_step_as_small_ones(name):
    # Large ones are cut into chunks that threads share, small ones go in one run.
    def make(sizes):
        generator = schuss.Generator().manual_seed(0)
        whole = (
            schuss.randn(150_000, generator=generator),
            schuss.randn(150_000, generator=generator),
        )
        params = [x.clone().requires_grad_() for x in whole[0].split(sizes)]
        for p, grad in zip(params, whole[1].split(sizes), strict=True):
            p.grad = grad.clone()
        opt = getattr(optim, name)(params, lr=0.1)
        for _ in range(3):
            opt.step()
        return schuss.cat([p.detach() for p in params])

    one = make([150_000])
    parts = make([1, 7, 30_000, 19_992, 100_000])
    threads = schuss.get_num_threads()
    try:
        schuss.set_num_threads(1)
        alone = make([150_000])
    finally:
        schuss.set_num_threads(threads)
    assert schuss.equal(one, parts) and schuss.equal(one, alone)


def test_a_parameter_in_a_group_twice_moves_twice():
    p = schuss.ones(200_000, requires_grad=True)
    p.grad = schuss.ones(200_000)
    with pytest.warns(UserWarning, match="twice"):
        opt = optim.SGD([p, p], lr=0.25)
    opt.step()
    assert schuss.equal(p.detach(), schuss.full((200_000,), 0.5))


def lion(p, g, m, lr, betas, decay):
    """Algorithm 2 of the paper, in NumPy."""
    update = np.sign(betas[0] * m + (1 - betas[0]) * g)
    return p - lr * (update + decay * p), betas[1] * m + (1 - betas[1]) * g


def test_lion_is_that_of_the_paper():
    p = np.array([1.0, -2.0, 0.5, 0.0])
    w, m = schuss.tensor(p, requires_grad=True), np.zeros(4)
    opt = optim.Lion([w], lr=0.1, betas=(0.8, 0.95), weight_decay=0.3)
    for k in range(4):
        opt.zero_grad()
        ((w - k) ** 2).sum().backward()
        opt.step()
        p, m = lion(p, 2 * (p - k), m, 0.1, (0.8, 0.95), 0.3)
        assert w.tolist() == pytest.approx(p.tolist(), rel=1e-13)


def test_lamb_is_that_of_the_paper():
    start = [np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([0.25, 0.0]), np.zeros(2)]
    params = [schuss.tensor(x, requires_grad=True) for x in start]
    opt = optim.LAMB(params, lr=0.1, betas=(0.7, 0.9), weight_decay=0.2, eps=1e-3)
    state = [(np.zeros_like(x), np.zeros_like(x)) for x in start]
    for k in range(4):
        opt.zero_grad()
        sum(((w - k) ** 2).sum() for w in params).backward()
        opt.step()
        for i, (p, (m, v)) in enumerate(zip(start, state, strict=True)):
            g = 2 * (p - k)
            m, v = 0.7 * m + 0.3 * g, 0.9 * v + 0.1 * g * g
            state[i] = m, v
            u = m / (1 - 0.7 ** (k + 1)) / (np.sqrt(v / (1 - 0.9 ** (k + 1))) + 1e-3) + 0.2 * p
            a, b = np.linalg.norm(p), np.linalg.norm(u)
            start[i] = p - 0.1 * (a / b if a > 0 and b > 0 else 1.0) * u
            assert params[i].detach().numpy() == pytest.approx(start[i], rel=1e-12)


# import torch
# w = torch.nn.Embedding(4, 2, sparse=True)
# with torch.no_grad():
#     w.weight.copy_(torch.arange(8.0).view(4, 2))
# opt = torch.optim.SparseAdam(w.parameters(), lr=0.1)
# for ids in ([0, 2, 2], [2, 3], [0]):
#     opt.zero_grad()
#     (w(torch.tensor(ids)) ** 2).sum().backward()
#     opt.step()
# print(w.weight.tolist())
def test_sparse_adam_leaves_rows_alone():
    w = schuss.nn.Embedding(4, 2, sparse=True)
    with schuss.no_grad():
        w.weight.copy_(schuss.arange(8.0).view(4, 2))
    opt = optim.SparseAdam(w.parameters(), lr=0.1)
    for ids in ([0, 2, 2], [2, 3], [0]):
        opt.zero_grad()
        (w(schuss.tensor(ids)) ** 2).sum().backward()
        opt.step()
    expected = [
        [0.0, 0.8145076632499695],
        [2.0, 3.0],
        [3.807154417037964, 4.807078838348389],
        [5.925586223602295, 6.925586223602295],
    ]
    assert w.weight.detach().numpy() == pytest.approx(np.array(expected), abs=1e-6)
    assert opt.state_dict()["state"][0]["step"] == 3


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "NAdam", "Adadelta"])
def test_a_step_can_be_differentiated(name):
    options = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}

    def end(first, second, rate):
        x = schuss.tensor([first, second], dtype=schuss.float64, requires_grad=True)
        lr = schuss.tensor(rate, dtype=schuss.float64, requires_grad=True)
        p = x.clone()
        opt = getattr(optim, name)([p], lr=lr, differentiable=True, **options)
        for _ in range(3):
            # The slope of p ** 2 * 1.5, written out: p itself is written in place.
            p.grad = 3 * p.clone()
            opt.step()
        return (p**2).sum(), x, lr

    loss, x, lr = end(1.0, -2.0, 0.1)
    loss.backward()
    h = 1e-5
    slopes = [
        (
            end(*(v + h * (i == k) for i, v in enumerate((1.0, -2.0, 0.1))))[0]
            - end(*(v - h * (i == k) for i, v in enumerate((1.0, -2.0, 0.1))))[0]
        ).item()
        / (2 * h)
        for k in range(3)
    ]
    assert [*x.grad.tolist(), lr.grad.item()] == pytest.approx(slopes, rel=1e-6, abs=1e-9)


def test_a_leaf_cannot_be_stepped_differentiably():
    w = schuss.ones(2, requires_grad=True)
    w.grad = schuss.ones(2)
    with pytest.raises(schuss.GradError, match="leaf"):
        optim.SGD([w], lr=0.1, differentiable=True).step()
    with pytest.raises(RuntimeError, match="fused"):
        optim.SGD([w], lr=0.1, differentiable=True, fused=True)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda w: optim.Adamax(w, lr=-1), ValueError, "Adamax: lr"),
        (lambda w: optim.NAdam(w, momentum_decay=-1), ValueError, "momentum_decay"),
        (lambda w: optim.RAdam(w, betas=(0.5, 1.0)), ValueError, r"betas\[1\]"),
        (lambda w: optim.Adadelta(w, rho=1.5), ValueError, "rho must be at most 1, got 1.5"),
        (lambda w: optim.Adagrad(w, lr_decay=-1), ValueError, "lr_decay"),
        (lambda w: optim.RMSprop(w, alpha=-1), ValueError, "alpha"),
        (lambda w: optim.Rprop(w, etas=(1.1, 1.2)), ValueError, "etas"),
        (lambda w: optim.ASGD(w, lambd=-1), ValueError, "lambd"),
        (lambda w: optim.Adafactor(w, beta2_decay=0.5), ValueError, "beta2_decay"),
        (lambda w: optim.Adafactor(w, d=0.5), ValueError, "d must be at least 1"),
        (lambda w: optim.SparseAdam(w, lr=0), ValueError, "above 0"),
        (lambda w: optim.Muon(w), ValueError, r"matrices alone, got a parameter of shape \(2,\)"),
        (lambda w: optim.Muon([w[0].reshape(1, 2).detach()], adjust_lr_fn="x"), ValueError, "'x'"),
        (lambda w: optim.LBFGS([{"params": w}, {"params": [w[0] * 1]}]), ValueError, "non-leaf"),
        (
            lambda w: optim.LBFGS([{"params": w}, {"params": [schuss.ones(1)]}]),
            ValueError,
            "one gr",
        ),
        (
            lambda w: optim.LBFGS(w, line_search_fn="x").step(lambda: 0),
            RuntimeError,
            "strong_wolfe",
        ),
        (lambda w: optim.LBFGS([schuss.Scalar(1)]), TypeError, "Scalar"),
        (lambda w: optim.LAMB([schuss.Scalar(1)]), TypeError, "Scalar"),
        (lambda w: optim.Lion(w, lr=-1), ValueError, "Lion: lr"),
        (lambda w: optim.LAMB(w, eps=-1), ValueError, "LAMB: eps"),
    ],
)
def test_bad_input_is_named(call, error, match):
    with pytest.raises(error, match=match):
        call([schuss.ones(2, requires_grad=True)])


def test_what_cannot_be_written_is_refused():
    for p, match in (
        (schuss.ones(1).expand(3), "one in memory"),
        (schuss.from_numpy(np.broadcast_to(np.ones(1), (3,))), "read-only|one in memory"),
    ):
        p.grad = schuss.ones(3, dtype=p.dtype)
        with pytest.raises((RuntimeError, ValueError), match=match):
            optim.SGD([p], lr=0.1).step()
    whole = schuss.ones(3, dtype=schuss.int64)
    whole.grad = schuss.ones(3, dtype=schuss.int64)
    with pytest.raises(schuss.DTypeError, match="only float"):
        optim.SGD([whole], lr=0.1).step()


def test_nan_stays_where_it_is():
    w = schuss.ones(3, requires_grad=True)
    w.grad = schuss.tensor([0.0, math.nan, 1.0])
    opt = optim.Adam([w], lr=0.5)
    opt.step()
    assert [math.isnan(x) for x in w.tolist()] == [False, True, False]
