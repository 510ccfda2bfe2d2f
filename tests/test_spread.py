"""Operands spread along rows or columns, every second element, folds in the order of memory.
Leans on schuss and NumPy, whose results stand beside."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
import pytest
import schuss

OPERATORS: dict[str, Callable] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "lt": operator.lt,
}
VIEWS: dict[str, Callable] = {
    "column": lambda x: x[:, :1],
    "row": lambda x: x[:1],
    "element": lambda x: x[:1, :1],
    "half": lambda x: x[:, : x.shape[1] // 2],
    "second": lambda x: x[:, ::2],
    "second rows": lambda x: x[::2],
    "whole": lambda x: x,
}


def pair(shape: tuple[int, ...], dtype: str) -> list[np.ndarray]:
    draw = np.random.default_rng(3)
    return [draw.uniform(0.5, 2.0, shape).astype(dtype) for _ in range(2)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", [(3, 16), (40, 33), (7, 400), (300, 64), (2, 70000)])
@pytest.mark.parametrize("name", OPERATORS)
def test_what_is_spread_is_the_same_on_either_side(name: str, shape, dtype: str) -> None:
    run, (a, b) = OPERATORS[name], pair(shape, dtype)
    b = b + 1 if dtype == "int64" else b
    x, y = schuss.tensor(a), schuss.tensor(b)
    for view in ("column", "row", "element", "whole"):
        cut = VIEWS[view]
        assert np.array_equal(run(x, cut(y)).numpy(), run(a, cut(b)))
        assert np.array_equal(run(cut(x), y).numpy(), run(cut(a), b))
    assert np.array_equal(run(x[:, :1], y[:1]).numpy(), run(a[:, :1], b[:1]))
    for view in ("half", "second", "second rows"):
        cut = VIEWS[view]
        assert np.array_equal(run(cut(x), cut(y)).numpy(), run(cut(a), cut(b)))
        assert np.array_equal(run(cut(x), cut(y)[:, :1]).numpy(), run(cut(a), cut(b)[:, :1]))


def test_channels_are_spread_over_images() -> None:
    a, b = pair((4, 3, 5, 20), "float32")
    x, y = schuss.tensor(a), schuss.tensor(b)
    for cut in (np.s_[:1, :, :1, :1], np.s_[:, :, :, :1], np.s_[:, :1], np.s_[:, :, :1]):
        assert np.array_equal((x * y[cut]).numpy(), a * b[cut])
        assert np.array_equal((y[cut] - x).numpy(), b[cut] - a)


def test_what_is_written_in_place_may_be_spread_itself() -> None:
    a, _ = pair((40, 50), "float32")
    x = schuss.tensor(a)
    x += x[:, :1].clone()
    assert np.array_equal(x.numpy(), a + a[:, :1])
    x.mul_(x[3:4].clone())
    assert np.array_equal(x.numpy(), (a + a[:, :1]) * (a + a[:, :1])[3:4])


FOLDED = {
    "transposed": lambda x: x.swapaxes(0, 2) if isinstance(x, np.ndarray) else x.transpose(0, 2),
    "every second": lambda x: x[:, :, ::2],
    "every third": lambda x: x[:, :, ::3],
    "cut": lambda x: x[:, 3:60, 1:70],
    "whole": lambda x: x,
}


@pytest.mark.parametrize("axes", [None, 0, 1, 2, (0, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("form", FOLDED)
def test_folds_of_what_lies_across(form: str, axes) -> None:
    a = np.random.default_rng(1).normal(size=(9, 65, 80)).astype("float32")
    cut = FOLDED[form]
    own, known = cut(schuss.tensor(a)), cut(a)
    dim = tuple(range(3)) if axes is None else axes
    assert np.array_equal(own.amax(dim).numpy(), known.max(axes))
    assert np.array_equal(own.amin(dim).numpy(), known.min(axes))
    wide = known.astype(float)
    assert np.allclose(own.sum(dim).numpy(), wide.sum(axes), rtol=1e-6, atol=1e-5)
    assert np.allclose(own.var(dim, correction=0).numpy(), wide.var(axes), rtol=1e-6)
    a[4, 20, 6] = np.nan
    own = cut(schuss.tensor(a))
    assert np.array_equal(own.amax(dim).numpy(), cut(a).max(axes), equal_nan=True)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 7])
def test_few_long_rows_are_added(rows: int) -> None:
    a = np.random.default_rng(2).normal(size=(rows, 1537)).astype("float32")
    x = schuss.tensor(a)
    assert np.array_equal(x.sum(0).numpy(), a.astype(float).sum(0).astype("float32"))
    assert np.allclose(x.mean(0).numpy(), a.astype(float).mean(0), rtol=1e-6, atol=1e-9)
