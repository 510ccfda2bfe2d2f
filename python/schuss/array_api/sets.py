"""Arrays as sets: the distinct elements, where they are, and membership.
Leans on stable sorting; every NaN is distinct, as the standard says."""

from __future__ import annotations

from typing import NamedTuple

import schuss
from schuss import _core
from schuss._core import Tensor
from schuss.array_api.dtypes import result_type


class All(NamedTuple):
    """What `unique_all` gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class Counts(NamedTuple):
    """What `unique_counts` gives."""

    values: Tensor
    counts: Tensor


class Inverse(NamedTuple):
    """What `unique_inverse` gives."""

    values: Tensor
    inverse_indices: Tensor


def _order(flat):
    """Where the elements stand in order; complex ones by their real parts, then the imaginary."""
    if not flat.is_complex():
        return schuss.argsort(flat, 0, False, True)
    order = schuss.argsort(flat.imag, 0, False, True)
    return order[schuss.argsort(flat.real[order], 0, False, True)]


def unique_all(x, /):
    """The distinct elements in order, where each is first, which of them every element is, and how
    many there are of each.

    >>> schuss.array_api.unique_all(schuss.tensor([3, 1, 3])).indices
    tensor([1, 0])
    """
    flat = x.reshape(-1)
    order = _order(flat.detach())
    row = flat[order]
    plain = row.detach()
    start = _core.ones(min(1, flat.numel()), dtype=_core.bool, device=x.device)
    fresh = _core.cat([start, plain[1:] != plain[:-1]])
    (first,) = schuss.nonzero(fresh, as_tuple=True)
    group = fresh.to(dtype=_core.int64).cumsum(0) - 1
    inverse = _core.empty(flat.numel(), dtype=_core.int64, device=x.device)
    inverse[order] = group
    end = _core.full((1,), flat.numel(), dtype=_core.int64, device=x.device)
    counts = schuss.diff(_core.cat([first, end]))
    return All(row[first], order[first], inverse.reshape(x.shape), counts)


def unique_counts(x, /):
    """The distinct elements in order, and how many there are of each.

    >>> schuss.array_api.unique_counts(schuss.tensor([3, 1, 3])).counts
    tensor([1, 2])
    """
    found = unique_all(x)
    return Counts(found.values, found.counts)


def unique_inverse(x, /):
    """The distinct elements in order, and which of them every element is.

    >>> schuss.array_api.unique_inverse(schuss.tensor([3, 1, 3])).inverse_indices
    tensor([1, 0, 1])
    """
    found = unique_all(x)
    return Inverse(found.values, found.inverse_indices)


def unique_values(x, /):
    """The distinct elements in order.

    >>> schuss.array_api.unique_values(schuss.tensor([3, 1, 3]))
    tensor([1, 3])
    """
    return unique_all(x).values


def isin(x1, x2, /, *, invert=False):
    """Which elements of x1 are among those of x2; with `invert`, which are not.

    >>> schuss.array_api.isin(schuss.tensor([1, 2, 3]), schuss.tensor([2, 5]))
    tensor([False,  True, False])
    """
    kind = result_type(x1, x2)
    made = (x if isinstance(x, Tensor) else _core.tensor(x) for x in (x1, x2))
    x1, x2 = (x.to(dtype=kind) for x in made)
    if kind.is_complex:
        found = (x1.unsqueeze(-1) == x2.reshape(-1)).any(-1)
        return schuss.logical_not(found) if invert else found
    return schuss.isin(x1, x2, invert=invert)


__all__ = ["isin", "unique_all", "unique_counts", "unique_inverse", "unique_values"]
