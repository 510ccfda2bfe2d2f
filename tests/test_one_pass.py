"""Operators that do in one pass what others do in several have their values and derivatives.
Leans on NumPy for values, and on the same formulas written with more operators for derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import schuss
from schuss.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

INF, NAN = float("inf"), float("nan")
X = np.array([-3.0, -1.0, -0.25, 0.0, 0.5, 1.0, 2.5, 40.0, 200.0])
Y = np.array([1.0, -1.5, 0.25, 0.5, 0.0, 3.0, -2.0, 39.0, -5.0])
W = np.array([0.25])

# What is asked, the same made of others, and NumPy's word for it.
PAIRS: dict[str, tuple[Callable, Callable, Callable]] = {
    "add": (
        lambda x, y, _: schuss.add(x, y, alpha=0.5),
        lambda x, y, _: x + y * 0.5,
        lambda x, y, _: x + y * 0.5,
    ),
    "sub": (
        lambda x, y, _: x.sub(y, alpha=3),
        lambda x, y, _: x - y * 3,
        lambda x, y, _: x - y * 3,
    ),
    "clamp": (
        lambda x, _y, _w: x.clamp(-0.5, 1.5),
        lambda x, _y, _w: x.clamp(schuss.full_like(x, -0.5), schuss.full_like(x, 1.5)),
        lambda x, _y, _w: np.clip(x, -0.5, 1.5),
    ),
    "clamp_min": (
        lambda x, _y, _w: x.clamp(min=-0.3),
        lambda x, _y, _w: schuss.maximum(x, schuss.full_like(x, -0.3)),
        lambda x, _y, _w: np.maximum(x, np.asarray(-0.3, x.dtype)),
    ),
    "nan_to_num": (
        lambda x, _y, _w: x.nan_to_num(7.0, 8.0, 9.0),
        lambda x, _y, _w: x * 1.0,
        lambda x, _y, _w: x,
    ),
    "celu": (
        lambda x, _y, _w: F.celu(x, 1.5),
        lambda x, _y, _w: schuss.where(
            x > 0, x, 1.5 * (schuss.where(x > 0, 0.0 * x, x) / 1.5).expm1()
        ),
        lambda x, _y, _w: np.where(x > 0, x, 1.5 * np.expm1(np.minimum(x, 0) / 1.5)),
    ),
    "prelu": (
        lambda x, _y, w: F.prelu(x, w),
        lambda x, _y, w: schuss.where(x > 0, x, w * x),
        lambda x, _y, w: np.where(x > 0, x, w * x),
    ),
    "huber": (
        lambda x, y, _: F.huber_loss(x, y, reduction="none", delta=1.25),
        lambda x, y, _: schuss.where(
            (x - y).abs() < 1.25, 0.5 * (x - y) ** 2, 1.25 * ((x - y).abs() - 0.625)
        ),
        lambda x, y, _: np.where(
            np.abs(x - y) < 1.25, 0.5 * (x - y) ** 2, 1.25 * (np.abs(x - y) - 0.625)
        ),
    ),
    "smooth_l1": (
        lambda x, y, _: F.smooth_l1_loss(x, y, reduction="none", beta=0.75),
        lambda x, y, _: schuss.where(
            (x - y).abs() < 0.75, (x - y) ** 2 / 1.5, (x - y).abs() - 0.375
        ),
        lambda x, y, _: np.where(np.abs(x - y) < 0.75, (x - y) ** 2 / 1.5, np.abs(x - y) - 0.375),
    ),
}


def operands(dtype: schuss.dtype) -> list[schuss.Tensor]:
    return [schuss.tensor(v, dtype=dtype, requires_grad=True) for v in (X, Y, W)]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_values(name: str, dtype: str) -> None:
    kind = getattr(schuss, dtype)
    x, y, w = operands(kind)
    found = PAIRS[name][0](x, y, w)
    assert found.dtype is kind
    wide = [v.detach().double().numpy() for v in (x, y, w)]
    near = {"float64": 1e-15, "float32": 4e-7, "float16": 2e-3, "bfloat16": 1e-2}[dtype]
    np.testing.assert_allclose(found.detach().double().numpy(), PAIRS[name][2](*wide), rtol=near)


@pytest.mark.parametrize("name", PAIRS)
def test_derivatives(name: str) -> None:
    one, many, _ = PAIRS[name]
    ways = []
    for f in (one, many):
        leaves = operands(schuss.float64)
        weights = schuss.linspace(0.5, 2.0, len(X), dtype=schuss.float64)
        first = schuss.autograd.grad(
            (f(*leaves) * weights).sum(), leaves, create_graph=True, allow_unused=True
        )
        squares = [(g * g).sum() for g in first if g is not None and g.requires_grad]
        second: list[schuss.Tensor | None] = []
        if squares:
            second = list(schuss.autograd.grad(sum(squares), leaves, allow_unused=True))
        ways.append([*first, *second])
    for a, b in zip(*ways, strict=False):
        zero = schuss.zeros(1, dtype=schuss.float64)
        a, b = (zero if g is None else g.detach() for g in (a, b))
        np.testing.assert_allclose(*(v.numpy() + np.zeros(len(X)) for v in (a, b)), rtol=1e-12)


def test_what_is_no_number() -> None:
    x = schuss.tensor([NAN, INF, -INF, 1.0], requires_grad=True)
    found = x.nan_to_num(5.0, 6.0, -7.0)
    assert found.tolist() == [5.0, 6.0, -7.0, 1.0]
    found.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0, 1.0]
    assert schuss.tensor([NAN, 2.0, INF]).nansum().item() == INF
    assert schuss.tensor([NAN, 2.0, 3.0]).nanmean().item() == 2.5
    held = schuss.tensor([NAN, 4.0]).clamp(0.0, 1.0).tolist()
    assert held[0] != held[0]
    assert held[1] == 1.0
    assert all(v != v for v in schuss.tensor([1.0, 2.0]).clamp(NAN, 1.0).tolist())
    for loss in (F.huber_loss, F.smooth_l1_loss):
        value = loss(schuss.tensor([NAN]), schuss.tensor([1.0])).item()
        assert value != value
    assert F.celu(schuss.tensor([-INF])).item() == -1.0
    assert F.elu(schuss.tensor([NAN])).isnan().all()


@pytest.mark.parametrize("n", [0, 1, 7, 129, 5000])
def test_over_what_is_read(n: int) -> None:
    draw = np.random.default_rng(n)
    a, b = (draw.standard_normal(n).astype("float32") for _ in range(2))
    for alpha in (0.5, -2, 3.0):
        x, y = schuss.tensor(a), schuss.tensor(b)
        known = schuss.add(x, y, alpha=alpha).numpy()
        assert (x.clone().add_(y, alpha=alpha).numpy() == known).all()
        assert (x.clone().sub_(y, alpha=-alpha).numpy() == known).all()
        out = schuss.empty(n)
        assert schuss.add(x, y, alpha=alpha, out=out) is out
        assert (out.numpy() == known).all()
        assert (
            x.clone().add_(x, alpha=alpha).numpy() == schuss.add(x, x, alpha=alpha).numpy()
        ).all()
    x = schuss.tensor(a)
    kept = x.clone()
    assert kept.clamp_(-0.5, 0.25) is kept
    assert (kept.numpy() == np.clip(a, np.float32(-0.5), np.float32(0.25))).all()


def test_written_in_place_under_a_graph() -> None:
    x = schuss.tensor([-2.0, 0.5, 3.0], requires_grad=True)
    y = schuss.tensor([1.0, 2.0, 3.0], requires_grad=True)
    z = x * 1.0
    z.add_(y, alpha=2)
    z.clamp_(-0.5, 5.0)
    (z * z).sum().backward()
    assert x.grad.tolist() == [0.0, 9.0, 0.0]
    assert y.grad.tolist() == [0.0, 18.0, 0.0]


def test_refusals_name_what_was_asked() -> None:
    x = schuss.ones(3, requires_grad=True)
    for call, name in (
        (lambda: x.add_(schuss.ones(3), alpha=2), "add_"),
        (lambda: x.sub_(schuss.ones(3), alpha=2), "sub_"),
        (lambda: x.clamp_(0, 1), "clamp_"),
        (lambda: schuss.ones(3).add_(schuss.ones(2), alpha=2), "add_"),
        (lambda: schuss.add(schuss.ones(3), schuss.ones(2), alpha=2), "add"),
        (lambda: schuss.ones(3).sub(schuss.ones(2), alpha=2), "sub"),
        (lambda: F.celu(schuss.ones(3).long()), "celu"),
        (lambda: F.prelu(schuss.ones(3), schuss.ones(2)), "prelu"),
        (lambda: schuss.add(x, x, alpha=2, out=schuss.empty(3)), "add"),
        (lambda: schuss.mul(schuss.ones(3), 2.0, out=schuss.empty(4)), "mul"),
    ):
        with pytest.raises((RuntimeError, ValueError), match=f"^{name}:") as told:
            call()
        assert "_between" not in str(told.value)
        assert "scaled" not in str(told.value)


def test_results_go_straight_into_out() -> None:
    a, b = schuss.tensor([1.0, 2.0, 3.0]), schuss.tensor([4.0, 5.0, 6.0])
    out = schuss.empty(3)
    for name in ("add", "sub", "mul", "div", "maximum", "minimum", "atan2"):
        known = getattr(schuss, name)(a, b)
        before = out._version
        assert getattr(schuss, name)(a, b, out=out) is out
        assert (out == known).all()
        assert out._version > before
    # What it reads may be what it writes, or a part of it.
    both = schuss.tensor([1.0, 2.0, 3.0, 4.0])
    schuss.add(both, 1.0, out=both)
    assert both.tolist() == [2.0, 3.0, 4.0, 5.0]
    schuss.mul(both[:3], 2.0, out=both[1:])
    assert both.tolist() == [2.0, 4.0, 6.0, 8.0]
    wide = schuss.zeros(3, dtype=schuss.float64)
    schuss.add(a, b, out=wide)
    assert wide.tolist() == [5.0, 7.0, 9.0]
    across = schuss.zeros(3, 2)
    schuss.exp(a, out=across[:, 1])
    assert (across[:, 1] == a.exp()).all()
    assert (across[:, 0] == 0).all()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "bfloat16"])
@pytest.mark.parametrize("n", [1, 5, 300, 3000])
def test_conversions_have_numpys_values(dtype: str, n: int) -> None:
    draw = np.random.default_rng(n)
    for kind in ("bool", "uint8", "int32", "int64", "float16", "float32", "float64"):
        raw = draw.integers(0, 100, n).astype(kind)
        if kind.startswith("f"):
            raw = (raw + 0.5).astype(kind)
        found = schuss.tensor(raw).to(getattr(schuss, dtype))
        if dtype == "bfloat16":
            bits = raw.astype("float32").view("uint32")
            near = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
            known = near.view("float32")
            found = found.float()
        else:
            known = raw.astype(dtype)
        np.testing.assert_array_equal(found.numpy(), known)


def test_float64_becomes_bfloat16_by_way_of_float32() -> None:
    ties = np.array([-8.78125714, 8.78125, 1.00390625, 1.0039063692092896, 3e-41])
    wide = schuss.tensor(ties)
    assert (wide.bfloat16() == wide.float().bfloat16()).all()
    assert wide[0].bfloat16().item() == -8.8125


def test_bounds_that_are_tensors_share_gradients_at_ties() -> None:
    a = schuss.tensor([1.0, 2.0, 0.0, 5.0], requires_grad=True)
    low = schuss.ones(4, requires_grad=True)
    high = schuss.full((4,), 5.0, requires_grad=True)
    a.clamp(low, high).sum().backward()
    assert a.grad.tolist() == [0.5, 1.0, 0.0, 0.5]
    assert low.grad.tolist() == [0.5, 0.0, 1.0, 0.0]
    assert high.grad.tolist() == [0.0, 0.0, 0.0, 0.5]
    x = schuss.tensor([1.0, INF, NAN], requires_grad=True)
    x.nansum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("device", ["cpu", *(["gpu"] if schuss.gpu.is_available() else [])])
def test_norms_go_beyond_the_range_of_squares(device: str) -> None:
    x = schuss.tensor([[3e-3, 4e-3], [NAN, 1.0]], device=device, requires_grad=True)
    assert x[0].norm().item() == pytest.approx(5e-3)
    assert x.nansum(0).tolist() == pytest.approx([3e-3, 4e-3 + 1.0])
    assert x.norm(dim=1).isnan().tolist() == [False, True]
    x.nansum().backward()
    assert x.grad.tolist() == [[1.0, 1.0], [0.0, 1.0]]
    far = schuss.tensor([3e30, 4e30], device=device, requires_grad=True)
    far.norm().backward()
    assert far.norm().item() == pytest.approx(5e30)
    assert far.grad.tolist() == pytest.approx([0.6, 0.8])
    for size in (3e30, 1.0, 3e-30):
        found = schuss.full((1_000_000,), size, device=device).norm().item()
        assert found == pytest.approx(1e3 * size, rel=1e-6)
    many = np.random.default_rng(0).standard_normal((7, 5, 30_000)).astype("float32")
    many[0, 0, 5] = np.nan
    for axes in (0, 1, 2, (0, 2), (1, 2), (0, 1, 2)):
        known = np.sqrt((many.astype("float64") ** 2).sum(axes))
        found = schuss.tensor(many, device=device).norm(dim=axes).cpu()
        np.testing.assert_allclose(found.numpy(), known, rtol=1e-6)
        known = np.nansum(many.astype("float64"), axes)
        found = schuss.tensor(many, device=device).nansum(axes).cpu()
        np.testing.assert_allclose(found.numpy(), known, rtol=1e-6, atol=1e-4)


def test_nonzero_of_nothing() -> None:
    for shape in ((3, 0), (0, 3), (0,), (2, 0, 4)):
        empty = schuss.zeros(shape)
        assert empty.nonzero().shape == (0, len(shape))
        assert len(schuss.where(empty > 0)) == len(shape)


def test_truths_have_their_bits() -> None:
    draw = np.random.default_rng(0)
    a, b = (draw.random((40, 70)) > 0.5 for _ in range(2))
    x, y = schuss.tensor(a), schuss.tensor(b)
    for f in (lambda p, q: p & q, lambda p, q: p | q, lambda p, q: p ^ q, lambda p, _: ~p):
        np.testing.assert_array_equal(f(x, y).numpy(), f(a, b))
        np.testing.assert_array_equal(f(x.T, y.T).numpy(), f(a, b).T)
        np.testing.assert_array_equal(f(x, y[0]).numpy(), f(a, b[0]))
    x &= y
    np.testing.assert_array_equal(x.numpy(), a & b)
    assert (schuss.tensor([True]) & 2).dtype is schuss.int64
