"""Kernels over operands that lie in every way, and their folds, scans and softmax.

Leans on schuss and NumPy; shapes straddle the sizes of tiles, panels and lanes.
"""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import schuss

SIZES = (1, 2, 3, 7, 16, 17, 40, 64, 65, 130, 200, 515)
DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool")


def shapes(draw: numpy.random.Generator, most: int = 60_000) -> tuple[int, ...]:
    """One to four axes of sizes around those of the kernels' tiles."""
    while True:
        sizes = tuple(int(n) for n in draw.choice(SIZES, size=draw.integers(1, 5)))
        if numpy.prod(sizes) <= most:
            return sizes


def operand(draw: numpy.random.Generator, sizes: tuple[int, ...], dtype: str) -> tuple[Any, Any]:
    """The same view of one shape in NumPy and schuss, over memory laid out by chance."""
    rank = len(sizes)
    order = [int(i) for i in draw.permutation(rank)]
    whole, window, spread = [], [], []
    for axis in order:
        n, way = sizes[axis], draw.integers(6)
        step, first = (int(draw.integers(2, 4)), 0) if way == 0 else (1, 3 * int(way == 1))
        whole.append(1 if way == 2 else first + n * step)
        window.append(slice(None) if way == 2 else slice(first, first + n * step, step))
        spread.append(n)
    array = draw.integers(0, 2 if dtype == "bool" else 50, whole).astype(dtype)
    back = [int(i) for i in numpy.argsort(order)]
    theirs = numpy.broadcast_to(array[tuple(window)], spread).transpose(back)
    return theirs, schuss.tensor(array)[tuple(window)].expand(*spread).permute(*back)


@pytest.mark.parametrize("seed", range(60))
def test_maps_and_copies(seed: int) -> None:
    draw = numpy.random.default_rng(seed)
    sizes = shapes(draw)
    kinds = [str(k) for k in draw.choice(DTYPES, size=2)]
    (a, x), (b, y) = (operand(draw, sizes, kind) for kind in kinds)
    assert x.contiguous().is_contiguous()
    numpy.testing.assert_array_equal(x.contiguous().numpy(), a)
    numpy.testing.assert_array_equal(x.to(y.dtype).numpy(), a.astype(b.dtype))
    numpy.testing.assert_array_equal((x > y).numpy(), a.astype(float) > b.astype(float))
    numpy.testing.assert_array_equal((x.double() * y + 1.0).numpy(), a.astype(float) * b + 1.0)


@pytest.mark.parametrize("seed", range(40))
def test_writes_through_views(seed: int) -> None:
    draw = numpy.random.default_rng(seed)
    sizes = shapes(draw)
    (a, x), (b, y) = operand(draw, sizes, "float32"), operand(draw, sizes, "int64")
    order = [int(i) for i in draw.permutation(len(sizes))]
    whole = [0] * len(sizes)
    for place, axis in enumerate(order):
        whole[axis] = 2 * sizes[place]
    window = tuple(slice(1, 1 + n) for n in sizes)
    theirs, ours = numpy.zeros(whole, "float32"), schuss.zeros(*whole)
    theirs.transpose(order)[window] = a
    ours.permute(*order)[window].copy_(x)
    numpy.testing.assert_array_equal(ours.numpy(), theirs)
    theirs.transpose(order)[window] *= b
    ours.permute(*order)[window].mul_(y)
    numpy.testing.assert_array_equal(ours.numpy(), theirs)


@pytest.mark.parametrize("seed", range(60))
def test_folds(seed: int) -> None:
    draw = numpy.random.default_rng(seed)
    sizes = shapes(draw)
    kind = str(draw.choice(DTYPES))
    a, x = operand(draw, sizes, kind)
    axis = int(draw.integers(len(sizes)))
    close = numpy.testing.assert_allclose
    close(x.sum(axis).numpy(), a.sum(axis, dtype=float), rtol=1e-6)
    numpy.testing.assert_array_equal(x.any(axis).numpy() != 0, a.any(axis))
    numpy.testing.assert_array_equal(x.all(axis).numpy() != 0, a.all(axis))
    if kind != "bool":
        numpy.testing.assert_array_equal(x.amax(axis).numpy(), a.max(axis))
        numpy.testing.assert_array_equal(x.amin(axis).numpy(), a.min(axis))
        numpy.testing.assert_array_equal(x.argmax(axis).numpy(), a.argmax(axis))
        numpy.testing.assert_array_equal(x.argmin(axis).numpy(), a.argmin(axis))
        assert int(x.argmax()) == int(a.argmax())
    if kind.startswith("float"):
        wide = a.astype(float)
        if sizes[axis] > 1:
            close(x.var(axis).numpy(), wide.var(axis, ddof=1), rtol=1e-5, atol=1e-9)
        close(x.cumsum(axis).numpy(), wide.cumsum(axis), rtol=1e-6)
        close(
            (x / 50 + 0.5).cumprod(axis).double().numpy(),
            (a / a.dtype.type(50) + a.dtype.type(0.5)).cumprod(axis, dtype=float),
            rtol=1e-5,
        )
        top = wide.max(axis, keepdims=True)
        total = numpy.exp(wide - top).sum(axis, keepdims=True)
        close(x.softmax(axis).numpy(), numpy.exp(wide - top) / total, rtol=1e-5, atol=1e-7)
        close(x.log_softmax(axis).numpy(), wide - top - numpy.log(total), rtol=1e-5, atol=1e-5)
        close(x.logsumexp(axis).numpy(), (top + numpy.log(total)).squeeze(axis), rtol=1e-5)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(
    ("sizes", "axis"), [((3, 5), 1), ((5, 3), 0), ((4, 20), 0), ((2, 3, 18), 1), ((70,), 0)]
)
def test_derivatives_of_softmax(name: str, sizes: tuple[int, ...], axis: int) -> None:
    draw = numpy.random.default_rng(1)
    x = schuss.tensor(draw.normal(size=sizes), requires_grad=True)
    assert schuss.autograd.gradcheck(lambda x: getattr(x, name)(axis), (x,))
    assert schuss.autograd.gradgradcheck(lambda x: getattr(x, name)(axis), (x,))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 5, 32, 63, 64, 65, 130])
@pytest.mark.parametrize("width", [16, 21, 530])
def test_softmax_of_columns(n: int, width: int, dtype: str) -> None:
    draw = numpy.random.default_rng(n)
    # Rows lie a power of two apart, as channels of pictures do.
    whole, slopes = (draw.normal(size=(n, 2048)) * 3 for _ in range(2))
    a, g = (x[:, :width].astype(dtype) for x in (whole, slopes))
    x = schuss.tensor(whole.astype(dtype), requires_grad=True)
    e = numpy.exp(a.astype(float) - a.max(0))
    y = e / e.sum(0)
    for name, value, slope in (
        ("softmax", y, y * (g - (g * y).sum(0))),
        ("log_softmax", numpy.log(y), g - y * g.sum(0, dtype=float)),
    ):
        result = getattr(x[:, :width], name)(0)
        got = schuss.autograd.grad(result, x, schuss.tensor(slopes.astype(dtype))[:, :width])[0]
        rough = 3e-6 if dtype == "float32" else 1e-14
        for ours, truth in ((result.detach(), value), (got[:, :width], slope)):
            most = abs(truth).max()
            numpy.testing.assert_allclose(ours.numpy(), truth, rtol=rough, atol=rough * most)
        assert not got[:, width:].any().item()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [2, 3, 8, 15, 16, 17, 24])
def test_small_products_of_turned_sides(n: int, dtype: str) -> None:
    draw = numpy.random.default_rng(n)
    for rows, inner in ((n, n), (n, 9), (1, n), (5, 1)):
        a, b = (draw.normal(size=s).astype(dtype) for s in ((rows, inner), (n, inner)))
        across = schuss.tensor(a.T.copy()).T
        truth = a.astype(float) @ b.T
        for left in (schuss.tensor(a), across):
            ours = (left @ schuss.tensor(b).T).numpy()
            rough = 1e-6 if dtype == "float32" else 1e-15
            numpy.testing.assert_allclose(ours, truth, rtol=0, atol=rough * 4 * inner)


SIDES = (2, 5, 6, 7, 8, 9, 13, 16, 31, 33, 70, 97, 130, 200, 300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(40))
def test_products_of_any_layout(seed: int, dtype: str) -> None:
    draw = numpy.random.default_rng(seed)
    m, n = (int(i) for i in draw.choice(SIDES, size=2))
    k = int(draw.choice((*SIDES, 515, 1100)))
    (a, x), (b, y) = operand(draw, (m, k), dtype), operand(draw, (k, n), dtype)
    # Sums of whole numbers this small are exact in any order.
    truth = a @ b
    numpy.testing.assert_array_equal((x @ y).numpy(), truth)
    room = schuss.zeros(2 * n + 1, m + 1, dtype=getattr(schuss, dtype))
    schuss.matmul(x, y, out=room[1::2, 1:].T)
    numpy.testing.assert_array_equal(room[1::2, 1:].T.numpy(), truth)
    assert not room[::2].any().item()
    assert not room[:, 0].any().item()


@pytest.mark.parametrize(
    "sizes", [(512, 300, 130), (70, 1100, 515), (1030, 128, 384), (600, 2040, 2)]
)
def test_products_do_not_depend_on_threads(sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    draw, before = numpy.random.default_rng(3), schuss.get_num_threads()
    a, b = (schuss.tensor(draw.normal(size=s).astype("float32")) for s in ((m, k), (n, k)))
    try:
        schuss.set_num_threads(1)
        alone = [a @ b.T, b @ a.T, a.T @ a]
        for threads in (2, 3, 5):
            schuss.set_num_threads(threads)
            for one, more in zip(alone, [a @ b.T, b @ a.T, a.T @ a], strict=True):
                numpy.testing.assert_array_equal(one.numpy(), more.numpy())
    finally:
        schuss.set_num_threads(before)


@pytest.mark.parametrize("n", [5, 16, 64, 515, 3000])
@pytest.mark.parametrize("place", [0, -1])
def test_what_is_not_finite(n: int, place: int) -> None:
    for shape, axis in (((2, n), 1), ((n, 20), 0)):
        plain = numpy.ones(shape, "float32")
        hit = (slice(None), place) if axis == 1 else (place,)
        for value in (numpy.nan, numpy.inf, -numpy.inf):
            a = plain.copy()
            a[hit] = value
            x = schuss.tensor(a)
            numpy.testing.assert_array_equal(x.amax(axis).numpy(), a.max(axis))
            numpy.testing.assert_array_equal(x.amin(axis).numpy(), a.min(axis))
            numpy.testing.assert_array_equal(x.argmax(axis).numpy(), a.argmax(axis))
            numpy.testing.assert_array_equal(x.cumsum(axis).numpy(), a.cumsum(axis))
            numpy.testing.assert_array_equal(x.isnan().any(axis).numpy(), numpy.isnan(a).any(axis))
            assert x.softmax(axis).isnan().all().item() == (value != -numpy.inf)
            ends = {numpy.inf: numpy.inf, -numpy.inf: 1 + numpy.log(n - 1)}.get(value, numpy.nan)
            numpy.testing.assert_allclose(x.logsumexp(axis).numpy(), ends, rtol=1e-6)
    empty = schuss.full((3, n), -numpy.inf)
    assert empty.logsumexp(1).tolist() == [-numpy.inf] * 3
    assert empty.softmax(1).isnan().all().item()


def test_a_running_sum_overflows_no_earlier_than_in_order() -> None:
    a = numpy.zeros(600)
    a[:2] = -1.7e308
    a[1] = 0.0
    a[40:42] = 1e308
    numpy.testing.assert_array_equal(schuss.tensor(a).cumsum(0).numpy(), a.cumsum())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_near_and_far_arguments_meet(dtype: str) -> None:
    draw = numpy.random.default_rng(2)
    a = draw.uniform(-1e4, 1e4, 2000).astype(dtype)
    b = draw.uniform(-7.0, 7.0, 2000).astype(dtype)
    a[100:104] = 99999.0, 100001.0, 1e6, -1e5
    a[700], a[1300], a[1301], b[900], b[901] = 3e30, numpy.inf, numpy.nan, 0.0, numpy.inf
    x, y = schuss.tensor(a), schuss.tensor(b)
    rough = 1e-6 if dtype == "float32" else 1e-14
    with numpy.errstate(all="ignore"):
        for name in ("sin", "cos"):
            truth = getattr(numpy, name)(a.astype(float))
            numpy.testing.assert_allclose(getattr(x, name)().numpy(), truth, rtol=rough, atol=rough)
        numpy.testing.assert_array_equal(schuss.fmod(x, y).numpy(), numpy.fmod(a, b))
        known = numpy.isfinite(b)
        theirs = numpy.remainder(a, b)[known]
        numpy.testing.assert_allclose(schuss.remainder(x, y).numpy()[known], theirs, rtol=rough)
        numpy.testing.assert_allclose((y**3).numpy(), b.astype(dtype) ** 3, rtol=3 * rough)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "low", "high", "extreme"),
    [
        ("exp", -79.0, 79.0, 200.0),
        ("log", 1e-30, 50.0, -1.0),
        ("log2", 1e-30, 50.0, 0.0),
        ("log10", 1e-30, 50.0, numpy.inf),
    ],
)
def test_shorter_loops_have_the_same_bits(
    name: str, low: float, high: float, extreme: float, dtype: str
) -> None:
    # One element that needs the longer loop leaves those beside it what they were.
    a = numpy.random.default_rng(5).uniform(low, high, 4096).astype(dtype)
    mixed = a.copy()
    mixed[::100] = extreme
    alone, beside = (getattr(schuss.tensor(x), name)().numpy() for x in (a, mixed))
    kept = numpy.arange(a.size) % 100 != 0
    numpy.testing.assert_array_equal(alone[kept], beside[kept])
    with numpy.errstate(all="ignore"):
        truth = getattr(numpy, name)(mixed.astype(float)).astype(dtype)
    numpy.testing.assert_allclose(beside, truth, rtol=4 * numpy.finfo(dtype).eps)
