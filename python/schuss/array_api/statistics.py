"""Folds of arrays: sums, products, means, extremes, truths, and running sums and products.
Leans on the records that fold; an `axis` is None, a number or a tuple, and () folds nothing."""

from __future__ import annotations

import schuss
from schuss import _core
from schuss.arrangement import _axis
from schuss.array_api.dtypes import isdtype


def _axes(op: str, axis, rank: int) -> list[int]:
    """The axes to fold, counted from the front; raises IndexError, ValueError for one twice."""
    if axis is None:
        return list(range(rank))
    listed = [axis] if isinstance(axis, int) else list(axis)
    for a in listed:
        if not -rank <= a < rank:
            raise IndexError(f"{op}: axis {a} is out of range for an array of {rank} axes")
    found = [a % rank for a in listed]
    if len(set(found)) != len(found):
        raise ValueError(f"{op}: {axis} names an axis twice")
    return found


def _joined(x, axes: list[int]):
    """The array with the axes to fold put last, as one."""
    if len(axes) == 1:
        return x.movedim(axes[0], -1)
    kept = [a for a in range(x.ndim) if a not in axes]
    size = 1
    for a in axes:
        size *= x.shape[a]
    return x.permute(*kept, *axes).reshape(*(x.shape[a] for a in kept), size)


def _spread(found, axes: list[int], keepdims: bool):
    """What was folded, with axes of size 1 where the folded ones were."""
    if keepdims:
        for a in sorted(axes):
            found = found.unsqueeze(a)
    return found


def _widened(x, dtype):
    """An array in the dtype in which it is summed: narrow integers would overflow."""
    if dtype is None and isdtype(x.dtype, "integral"):
        dtype = _core.int64
    return x if dtype is None else x.to(dtype=dtype)


def sum(x, /, *, axis=None, dtype=None, keepdims=False):
    """The sum; integers are added up in int64.

    >>> schuss.array_api.sum(schuss.ones(2, 3), axis=1)
    tensor([3., 3.])
    """
    x, axes = _widened(x, dtype), _axes("sum", axis, x.ndim)
    return x.sum(axes, keepdims, dtype=x.dtype) if axes else x.clone()


def prod(x, /, *, axis=None, dtype=None, keepdims=False):
    """The product; integers are multiplied in int64.

    >>> schuss.array_api.prod(schuss.tensor([2, 3, 4]))
    tensor(24)
    """
    x, axes = _widened(x, dtype), _axes("prod", axis, x.ndim)
    if not axes:
        return x.clone()
    return _spread(_joined(x, axes).prod(-1, dtype=x.dtype), axes, keepdims)


def mean(x, /, *, axis=None, keepdims=False):
    """The mean.

    >>> schuss.array_api.mean(schuss.tensor([1.0, 2.0, 6.0]))
    tensor(3.)
    """
    axes = _axes("mean", axis, x.ndim)
    return x.mean(axes, keepdims) if axes else x.clone()


def var(x, /, *, axis=None, correction=0.0, keepdims=False):
    """The variance: squared distances from the mean added up and divided by n - correction.

    >>> schuss.array_api.var(schuss.tensor([1.0, 3.0]))
    tensor(1.)
    """
    axes = _axes("var", axis, x.ndim)
    if not axes:
        # One element is as far from the mean as it is from itself: NaN where it is infinite.
        return (x - x) / (1 - correction if correction < 1 else 0)
    return x.var(axes, correction=correction, keepdim=keepdims)


def std(x, /, *, axis=None, correction=0.0, keepdims=False):
    """The standard deviation: the square root of the variance.

    >>> schuss.array_api.std(schuss.tensor([1.0, 3.0]))
    tensor(1.)
    """
    return var(x, axis=axis, correction=correction, keepdims=keepdims).sqrt()


def max(x, /, *, axis=None, keepdims=False):
    """The largest element; NaN where there is one.

    >>> schuss.array_api.max(schuss.tensor([1, 5, 2]))
    tensor(5)
    """
    axes = _axes("max", axis, x.ndim)
    return _core.amax(x, axes, keepdims) if axes else x.clone()


def min(x, /, *, axis=None, keepdims=False):
    """The least element; NaN where there is one.

    >>> schuss.array_api.min(schuss.tensor([1, 5, 2]))
    tensor(1)
    """
    axes = _axes("min", axis, x.ndim)
    return _core.amin(x, axes, keepdims) if axes else x.clone()


def all(x, /, *, axis=None, keepdims=False):
    """Whether every element is true, which is to say not 0.

    >>> schuss.array_api.all(schuss.tensor([True, False]))
    tensor(False)
    """
    truths, axes = x.to(dtype=_core.bool), _axes("all", axis, x.ndim)
    return _spread(_joined(truths, axes).all(-1), axes, keepdims) if axes else truths.clone()


def any(x, /, *, axis=None, keepdims=False):
    """Whether some element is true, which is to say not 0.

    >>> schuss.array_api.any(schuss.tensor([True, False]))
    tensor(True)
    """
    truths, axes = x.to(dtype=_core.bool), _axes("any", axis, x.ndim)
    return _spread(_joined(truths, axes).any(-1), axes, keepdims) if axes else truths.clone()


def count_nonzero(x, /, *, axis=None, keepdims=False):
    """How many elements are not 0.

    >>> schuss.array_api.count_nonzero(schuss.tensor([0, 2, 3]))
    tensor(2)
    """
    return sum(x.to(dtype=_core.bool), axis=axis, dtype=_core.int64, keepdims=keepdims)


def _running(op: str, of, x, axis, dtype, include_initial: bool, start: int):
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"{op}: an array of {x.ndim} axes needs `axis`")
        axis = 0
    axis = _axis(op, axis, x.ndim)
    x = _widened(x, dtype)
    found = of(x, axis, dtype=x.dtype)
    if not include_initial:
        return found
    shape = [1 if a == axis else size for a, size in enumerate(x.shape)]
    return _core.cat([_core.full(shape, start, dtype=x.dtype, device=x.device), found], axis)


def cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False):
    """The sum of each element and those before it; a 0 in front with `include_initial`.

    >>> schuss.array_api.cumulative_sum(schuss.tensor([1, 2, 3]), include_initial=True)
    tensor([0, 1, 3, 6])
    """
    return _running("cumulative_sum", _core.cumsum, x, axis, dtype, include_initial, 0)


def cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False):
    """The product of each element and those before it; a 1 in front with `include_initial`.

    >>> schuss.array_api.cumulative_prod(schuss.tensor([1, 2, 3]))
    tensor([1, 2, 6])
    """
    return _running("cumulative_prod", _core.cumprod, x, axis, dtype, include_initial, 1)


def diff(x, /, *, axis=-1, n=1, prepend=None, append=None):
    """The differences of neighbours along an axis, taken n times.

    >>> schuss.array_api.diff(schuss.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    return schuss.diff(x, n, axis, prepend, append)


__all__ = [
    "all",
    "any",
    "count_nonzero",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]
