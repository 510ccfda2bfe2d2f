"""Random shapes, indices and programs, found and shrunk by hypothesis, against NumPy.

Leans on schuss, NumPy and hypothesis; the profile is in conftest.py.
"""

from __future__ import annotations

import math
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import schuss
from hypothesis import assume, given, settings
from schuss.autograd import grad
from schuss.testing import assert_close, gradcheck

f64 = schuss.float64
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def filled(shape: tuple, start: float = 1.0) -> np.ndarray:
    """Distinct numbers, so that a wrong place is a wrong value."""
    return (np.arange(math.prod(shape)) * 0.5 + start).reshape(shape)


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=4, max_dims=4))
def test_broadcasting(shapes: Any) -> None:
    a, b = (filled(s) for s in shapes.input_shapes)
    x, y = (schuss.tensor(v, requires_grad=True) for v in (a, b))
    z = x * y + x
    assert_close(z, schuss.tensor(a * b + a))
    assert schuss.broadcast_shapes(a.shape, b.shape) == z.shape
    gx, gy = grad(z.sum(), (x, y))
    wide_a, wide_b = np.broadcast_arrays(a, b)
    assert_close(gx, schuss.tensor(folded(wide_b + 1, a.shape)))
    assert_close(gy, schuss.tensor(folded(wide_a, b.shape)))


def folded(x: np.ndarray, shape: tuple) -> np.ndarray:
    """The sum over the axes along which a shape was broadcast."""
    x = x.sum(axis=tuple(range(x.ndim - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1)
    return np.array(x.sum(axis=axes, keepdims=True)).reshape(shape)


@given(SHAPES, SHAPES)
def test_shapes_that_do_not_fit_are_refused(s: tuple, t: tuple) -> None:
    x, y = schuss.zeros(s), schuss.zeros(t)
    try:
        want = np.broadcast_shapes(s, t)
    except ValueError:
        with pytest.raises(RuntimeError):
            x + y
    else:
        assert (x + y).shape == want


@given(SHAPES, st.data())
def test_reductions(shape: tuple, data: st.DataObject) -> None:
    a = np.sin(filled(shape))
    x = schuss.tensor(a, requires_grad=True)
    axes = data.draw(st.lists(st.integers(0, max(len(shape) - 1, 0)), unique=True))
    axes = tuple(axis for axis in axes if axis < len(shape))
    assume(axes)
    keep = data.draw(st.booleans())
    for f, g in [(schuss.sum, np.sum), (schuss.mean, np.mean)]:
        with np.errstate(all="ignore"):
            want = np.asarray(g(a, axis=axes, keepdims=keep)) if a.size or f is schuss.sum else None
        got = f(x, dim=axes, keepdim=keep)
        if want is not None:
            assert_close(got, schuss.tensor(want), equal_nan=True)
    (gx,) = grad(x.sum(axes, keepdim=keep).sum(), x)
    assert_close(gx, schuss.ones(shape, dtype=f64))
    if a.size:
        assert_close(x.amax(axes, keepdim=keep), schuss.tensor(a.max(axis=axes, keepdims=keep)))


@given(SHAPES, st.data())
def test_reading_by_basic_indices(shape: tuple, data: st.DataObject) -> None:
    a = filled(shape)
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    parts = index if isinstance(index, tuple) else (index,)
    assume(all(not isinstance(p, slice) or p.step is None or p.step > 0 for p in parts))
    x = schuss.tensor(a, requires_grad=True)
    y = x[index]
    assert_close(y, schuss.tensor(np.array(a[index])))
    want = np.zeros(shape)
    want[index] = 1
    assert_close(grad(y.sum(), x)[0], schuss.tensor(want))
    z = schuss.tensor(a)
    z[index] = -1.0
    b = a.copy()
    b[index] = -1.0
    assert_close(z, schuss.tensor(b))


@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4), st.data())
def test_reading_by_integer_arrays(shape: tuple, data: st.DataObject) -> None:
    a = filled(shape)
    index = data.draw(hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2)))
    x = schuss.tensor(a, requires_grad=True)
    i = tuple(schuss.tensor(v) for v in index)
    assert_close(x[i], schuss.tensor(np.array(a[index])))
    want = np.zeros(shape)
    np.add.at(want, index, 1.0)
    assert_close(grad(x[i].sum(), x)[0], schuss.tensor(want))


@given(SHAPES, st.data())
def test_masks(shape: tuple, data: st.DataObject) -> None:
    a = filled(shape)
    mask = data.draw(hnp.arrays(bool, shape))
    x, m = schuss.tensor(a, requires_grad=True), schuss.tensor(mask)
    assert_close(x[m], schuss.tensor(np.array(a[mask])))
    y = x * 1
    y[m] = 0.0
    assert_close(y, schuss.tensor(np.where(mask, 0.0, a)))
    assert_close(grad(y.sum(), x)[0], schuss.tensor((~mask).astype(float)))


@given(SHAPES, st.data())
def test_shapes_change_as_in_numpy(shape: tuple, data: st.DataObject) -> None:
    a = filled(shape)
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    x = schuss.tensor(a).permute(order)
    b = a.transpose(order)
    assert_close(x, schuss.tensor(b.copy()))
    assert_close(x.reshape(-1), schuss.tensor(b.reshape(-1).copy()))
    assert x.is_contiguous() == bool(b.flags.c_contiguous)
    if len(shape):
        dim = data.draw(st.integers(-len(shape), len(shape) - 1))
        assert_close(x.unsqueeze(dim).squeeze(dim), x)
        assert_close(x.flip(dim), schuss.tensor(np.flip(b, dim).copy()))
        assert_close(x.cumsum(dim), schuss.tensor(b.cumsum(dim)))
        assert_close(schuss.cat([x, x], dim), schuss.tensor(np.concatenate([b, b], dim)))
        assert_close(schuss.stack([x, x], dim), schuss.tensor(np.stack([b, b], dim)))


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.data())
def test_matrix_products(m: int, k: int, n: int, data: st.DataObject) -> None:
    batch = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3))
    a, b = (filled((*s, *e)) for s, e in zip(batch.input_shapes, ((m, k), (k, n)), strict=True))
    x, y = schuss.tensor(a, requires_grad=True), schuss.tensor(b, requires_grad=True)
    z = x @ y
    assert_close(z, schuss.tensor(a @ b))
    gx, gy = grad(z.sum(), (x, y))
    g = np.ones((a @ b).shape)
    assert_close(gx, schuss.tensor(folded(g @ b.swapaxes(-1, -2), a.shape)))
    assert_close(gy, schuss.tensor(folded(a.swapaxes(-1, -2) @ g, b.shape)))


@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(width=32)))
def test_any_bits_survive_a_round_trip(a: np.ndarray) -> None:
    x = schuss.tensor(a)
    np.testing.assert_array_equal(x.numpy(), a)
    np.testing.assert_array_equal(np.array(x.tolist(), np.float32).reshape(a.shape), a)
    assert_close(x.double().float(), x, equal_nan=True, rtol=0, atol=0)
    assert isinstance(repr(x), str)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5))
def test_integers_are_exact(values: list) -> None:
    x = schuss.tensor(values, dtype=schuss.int64)
    assert x.tolist() == values and [v.item() for v in x] == values
    assert (x ^ x).tolist() == [0] * len(values) and (~(~x)).tolist() == values


# A program: arrays that share memory, and steps that make a view of one or write into one.
VIEWS = ["transpose", "slice", "stride", "select", "unsqueeze", "flat", "narrow"]
WRITES = ["mul", "add", "fill", "sin", "copy", "mask", "row", "index", "copy row"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(VIEWS + WRITES + WRITES),
        st.integers(0, 7),
        st.integers(0, 5),
        st.integers(0, 5),
        st.floats(-1.5, 1.5, width=16),
    ),
    min_size=1,
    max_size=12,
)


def view(x: Any, name: str, i: int, j: int) -> Any:
    """The same view of an array or a tensor, or None where it is not possible."""
    shape = tuple(x.shape)
    axis = i % len(shape) if shape else 0
    before = (slice(None),) * axis
    if name == "transpose":
        return x.T if isinstance(x, np.ndarray) else x.permute(*range(len(shape))[::-1])
    if name == "unsqueeze":
        return x[(*before, None)]
    if name == "flat":
        whole = x.flags.c_contiguous if isinstance(x, np.ndarray) else x.is_contiguous()
        return x.reshape(-1) if whole else None
    if not shape or not shape[axis]:
        return None
    part = {
        "slice": slice(j % (shape[axis] + 1), None),
        "stride": slice(None, None, 2),
        "narrow": slice(0, j % (shape[axis] + 1)),
        "select": j % shape[axis],
    }[name]
    return x[(*before, part)]


def write(x: Any, source: Any, name: str, i: int, j: int, c: float) -> None:
    """The same write into an array or a tensor; source is the unchanging start of the program."""
    numpy = isinstance(x, np.ndarray)
    shape = tuple(x.shape)
    row = j % shape[0] if shape and shape[0] else None
    if name == "mul":
        x *= c
    elif name == "add":
        x += source[0, 0] * c
    elif name == "fill":
        x[...] = c
    elif name == "sin":
        if numpy:
            np.sin(x, out=x)
        else:
            x.sin_()
    elif name == "copy":
        x[...] = source[j % 3, i % 2]
    elif name == "mask":
        keep = (np.arange(x.size if numpy else x.numel()) % 3 == j % 3).reshape(shape)
        x[keep if numpy else schuss.tensor(keep)] = source[1, 1] * c
    elif row is None:
        return
    elif name == "row":
        x[row] = source[0, 1] + c
    elif name == "index":
        rows = np.unique([row, i % shape[0]])
        x[rows if numpy else schuss.tensor(rows)] = source[2, 0] * 2
    else:
        other = i % shape[0]
        x[row] = (x[other].copy() if numpy else x[other].clone()) * c


def run(start: Any, source: Any, steps: list) -> list:
    pool = [start]
    for name, which, i, j, c in steps:
        x = pool[which % len(pool)]
        if name in WRITES:
            write(x, source, name, i, j, c)
        else:
            y = view(x, name, i, j)
            if y is not None and y.ndim < 5:
                pool.append(y)
    return pool


@settings(max_examples=150)
@given(STEPS)
def test_programs_of_views_and_writes(steps: list) -> None:
    a = filled((3, 2), 0.25)
    arrays = run(filled((2, 3, 2)), a, steps)
    tensors = run(schuss.tensor(filled((2, 3, 2))), schuss.tensor(a), steps)
    assert len(arrays) == len(tensors)
    for x, want in zip(tensors, arrays, strict=True):
        assert_close(x, schuss.tensor(np.array(want)))


@settings(max_examples=150)
@given(STEPS, st.integers(0, 7))
def test_gradients_of_programs_of_views_and_writes(steps: list, last: int) -> None:
    def program(x: schuss.Tensor, source: schuss.Tensor) -> schuss.Tensor:
        pool = run(x * 1.0, source, steps)
        return pool[last % len(pool)] ** 2

    x = schuss.tensor(filled((2, 3, 2)) * 0.3, requires_grad=True)
    source = schuss.tensor(filled((3, 2), 0.25), requires_grad=True)
    assert gradcheck(program, (x, source), fast_mode=True)


@settings(max_examples=60)
@given(STEPS)
def test_programs_that_begin_without_a_gradient(steps: list) -> None:
    """A plain tensor joins the graph by tracked writes: the right gradient, or a refusal.

    PyTorch refuses some writes through views that were taken before the base joined the graph.
    """

    def program(source: schuss.Tensor) -> schuss.Tensor:
        pool = run(schuss.tensor(filled((2, 3, 2)) * 0.3), source, steps)
        return schuss.stack([y.sum() for y in pool])

    source = schuss.tensor(filled((3, 2), 0.25), requires_grad=True)
    try:
        program(source)
    except RuntimeError:
        return
    assert gradcheck(program, source, fast_mode=True)


@settings(max_examples=60)
@given(STEPS)
def test_a_write_after_saving_is_an_error_or_harmless(steps: list) -> None:
    x = schuss.tensor(filled((2, 3, 2)) * 0.3, requires_grad=True)
    source = schuss.tensor(filled((3, 2), 0.25))
    y = x * 1.0
    z = y**3
    run(y.detach(), source, steps)
    try:
        (g,) = grad(z.sum(), x)
    except RuntimeError:
        return
    assert_close(g, 3 * x.detach() ** 2)
