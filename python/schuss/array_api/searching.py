"""Finding, choosing and ordering elements.
Leans on the records of sorting and indexing."""

from __future__ import annotations

import schuss
from schuss import _core
from schuss._core import Tensor
from schuss.arrangement import _axis
from schuss.array_api.dtypes import result_type


def _place(op: str, of, x, axis, keepdims: bool):
    if axis is None:
        found = of(x.reshape(-1), 0)
        return found.reshape([1] * x.ndim) if keepdims else found
    return of(x, axis, keepdims)


def argmax(x, /, *, axis=None, keepdims=False):
    """Where the largest element is, the first of several; in row-major order without an axis.

    >>> schuss.array_api.argmax(schuss.tensor([1, 5, 2]))
    tensor(1)
    """
    return _place("argmax", _core.argmax, x, axis, keepdims)


def argmin(x, /, *, axis=None, keepdims=False):
    """Where the least element is, the first of several; in row-major order without an axis.

    >>> schuss.array_api.argmin(schuss.tensor([3, 1, 2]))
    tensor(1)
    """
    return _place("argmin", _core.argmin, x, axis, keepdims)


def nonzero(x, /):
    """The places of the elements that are not 0: for each axis their indices.

    >>> schuss.array_api.nonzero(schuss.tensor([0, 4, 0, 7]))
    (tensor([1, 3]),)
    """
    if x.ndim == 0:
        raise ValueError("nonzero: a 0-d array has no places; use x != 0")
    return tuple(schuss.nonzero(x, as_tuple=True))


def where(condition, x1, x2, /):
    """Elements of x1 where the condition holds, of x2 elsewhere.

    >>> schuss.array_api.where(schuss.tensor([True, False]), 1.0, schuss.tensor([5.0, 6.0]))
    tensor([1., 6.])
    """
    if isinstance(x1, Tensor) or isinstance(x2, Tensor):
        kind = result_type(x1, x2)
    else:
        kind = result_type(_core.tensor(x1), x2)
    made = (
        x.to(dtype=kind)
        if isinstance(x, Tensor)
        else _core.full((), x, dtype=kind, device=condition.device)
        for x in (x1, x2)
    )
    return schuss.where(condition, *made)


def searchsorted(x1, x2, /, *, side="left", sorter=None):
    """Where in sorted x1 each element of x2 belongs: before its equals, or behind them.

    >>> schuss.array_api.searchsorted(schuss.tensor([1, 3, 5]), schuss.tensor([3, 4]))
    tensor([1, 2])
    """
    kind = result_type(x1, x2)
    if not isinstance(x2, Tensor):
        x2 = _core.full((), x2, dtype=kind, device=x1.device)
    row = x1 if sorter is None else x1[sorter]
    return schuss.searchsorted(row.to(dtype=kind), x2.to(dtype=kind), side=side)


def take(x, indices, /, *, axis=None):
    """The parts of an array at indices along an axis.

    >>> schuss.array_api.take(schuss.tensor([5, 6, 7]), schuss.tensor([2, 0]))
    tensor([7, 5])
    """
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"take: an array of {x.ndim} axes needs `axis`")
        axis = 0
    axis = _axis("take", axis, x.ndim)
    return x[(slice(None),) * axis + (indices,)]


def take_along_axis(x, indices, /, *, axis=-1):
    """The element at an index along an axis, for each index of an array.

    >>> schuss.array_api.take_along_axis(schuss.tensor([[5, 6], [7, 8]]), schuss.tensor([[1], [0]]))
    tensor([[6],
            [7]])
    """
    size = x.shape[axis]
    indices = indices.to(dtype=_core.int64)
    return schuss.take_along_dim(x, schuss.where(indices < 0, indices + size, indices), axis)


def sort(x, /, *, axis=-1, descending=False, stable=True):
    """The elements in order along an axis.

    >>> schuss.array_api.sort(schuss.tensor([3, 1, 2]), descending=True)
    tensor([3, 2, 1])
    """
    return schuss.sort(x, axis, descending, stable)[0]


def argsort(x, /, *, axis=-1, descending=False, stable=True):
    """The indices that put elements in order along an axis; equal ones keep theirs.

    >>> schuss.array_api.argsort(schuss.tensor([3, 1, 2]))
    tensor([1, 2, 0])
    """
    return schuss.argsort(x, axis, descending, stable)


__all__ = [
    "argmax",
    "argmin",
    "argsort",
    "nonzero",
    "searchsorted",
    "sort",
    "take",
    "take_along_axis",
    "where",
]
