"""Elements by their order: sorting, medians, quantiles, searching, counting, and what is distinct.
Leans on the core's order records."""

from __future__ import annotations

import math

from schuss import _core
from schuss._core import Tensor
from schuss.arrangement import _axis
from schuss.creation import full_like, ones_like, zeros_like
from schuss.mathematics import _named
from schuss.naming import given, given_each, must_float, returned
from schuss.places import gather


def sort(input, dim=-1, descending=False, stable=False, *, out=None):
    """The elements along an axis in order, and where they stood; equal ones keep their order.

    >>> schuss.tensor([3, 1, 2]).sort().indices
    tensor([1, 2, 0])
    """
    if isinstance(dim, bool):
        dim, descending = -1, dim
    return _named("sort", _core._sort_along(input, dim, True, bool(descending), -1), out)


def aminmax(input, *, dim=None, keepdim=False, out=None):
    """The smallest and the largest element, as `min` and `max`."""
    axes = () if dim is None else (dim,)
    found = _core.amin(input, axes, keepdim), _core.amax(input, axes, keepdim)
    return _Extremes(given_each("aminmax", found, out, same=True))


class _Extremes(tuple):
    """The smallest element and the largest, by position and by name."""

    __slots__ = ()
    min = property(lambda self: self[0], doc="The smallest element.")
    max = property(lambda self: self[1], doc="The largest element.")

    def __repr__(self) -> str:
        return returned("aminmax", min=self[0], max=self[1])


def argsort(input, dim=-1, descending=False, stable=False):
    """Where the elements along an axis stand in order; equal ones keep their order.

    >>> schuss.tensor([3, 1, 2]).argsort(descending=True)
    tensor([0, 2, 1])
    """
    if isinstance(dim, bool):
        dim, descending = -1, dim
    return _core._sort_along(input.detach(), dim, True, bool(descending), -1)[1]


def topk(input, k, dim=-1, largest=True, sorted=True, *, out=None):
    """The k largest (or smallest) elements along an axis in order, and where they stand.

    >>> schuss.tensor([3, 1, 2]).topk(2).values
    tensor([3, 2])
    """
    if not isinstance(k, int):
        raise TypeError(f"topk: k must be an integer, got {type(k).__name__}")
    if k < 0:
        raise RuntimeError(f"topk: k must be at least 0, got {k}")
    if input.ndim == 0 and k == 0:
        k = 1
    return _named("topk", _core._sort_along(input, dim, True, bool(largest), k), out)


def kthvalue(input, k, dim=-1, keepdim=False, *, out=None):
    """The k-th smallest element along an axis, counted from 1, and where it stands.

    >>> schuss.tensor([3, 1, 2]).kthvalue(2).values
    tensor(2)
    """
    return _named("kthvalue", _core._kth_along(input, dim, keepdim, k), out)


def _middle(kind, input, dim, keepdim, out, skip):
    if dim is None:
        if input.numel() == 0:
            found = _core.full((), float("nan"), dtype=input.dtype, device=input.device)
            return given(kind, found, out)
        return given(kind, _core._median_along(input.reshape(-1), 0, False, skip)[0], out)
    return _named(kind, _core._median_along(input, dim, keepdim, skip), out)


def median(input, dim=None, keepdim=False, *, out=None):
    """The lower of the middle elements, along an axis with where it stands; NaN wherever one is.

    >>> schuss.tensor([4.0, 1.0, 3.0, 2.0]).median()
    tensor(2.)
    """
    return _middle("median", input, dim, keepdim, out, False)


def nanmedian(input, dim=None, keepdim=False, *, out=None):
    """The lower of the middle elements that are not NaN.

    >>> schuss.tensor([float("nan"), 1.0, 3.0]).nanmedian()
    tensor(1.)
    """
    return _middle("nanmedian", input, dim, keepdim, out, True)


def mode(input, dim=-1, keepdim=False, *, out=None):
    """The most frequent element along an axis, the smallest of several, and where it stands.

    >>> schuss.tensor([1, 2, 2, 3]).mode().values
    tensor(2)
    """
    return _named("mode", _core._mode_along(input, dim, keepdim), out)


def cummax(input, dim, *, out=None):
    """The largest element up to each along an axis, and where it stands.

    >>> schuss.tensor([1, 3, 2]).cummax(0).values
    tensor([1, 3, 3])
    """
    return _named("cummax", _core._running_extreme(input, dim, True, True), out)


def cummin(input, dim, *, out=None):
    """The smallest element up to each along an axis, and where it stands.

    >>> schuss.tensor([2, 3, 1]).cummin(0).values
    tensor([2, 2, 1])
    """
    return _named("cummin", _core._running_extreme(input, dim, True, False), out)


_BETWEEN = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(op, input, q, dim, keepdim, interpolation, skip):
    if not input.is_floating_point() or input.dtype not in (_core.float32, _core.float64):
        raise RuntimeError(f"{op}: the input must be float32 or float64, got {input.dtype}")
    if interpolation not in _BETWEEN:
        raise RuntimeError(f"{op}: interpolation is one of {_BETWEEN}, not {interpolation!r}")
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{op}: q must be from 0 to 1, got {q}")
        q = _core.tensor(q, dtype=input.dtype, device=input.device)
    if q.ndim > 1:
        raise RuntimeError(f"{op}: q must be a number or a vector, got shape {tuple(q.shape)}")
    if q.dtype != input.dtype:
        raise RuntimeError(f"{op}: q is {q.dtype} and the input {input.dtype}; convert one")
    _core._demand((q >= 0) & (q <= 1), "runtime", op, "every q must be from 0 to 1")
    if input.numel() == 0:
        raise RuntimeError(f"{op}: the input has no elements")
    rank = input.ndim
    if dim is None:
        rows = input.reshape(-1)
    else:
        rows = input.movedim(_axis(op, dim, rank), -1) if rank else input.reshape(1)
    n = rows.shape[-1]
    ordered = sort(rows, -1)[0]
    lead = list(rows.shape[:-1])
    if skip:
        count = (~rows.isnan()).sum(-1, keepdim=True)
    else:
        count = _core.full((*lead, 1), n, dtype=_core.int64, device=input.device)
    last = (count - 1).clamp(min=0).to(input.dtype)
    ranks = q.reshape(-1) * last
    if not skip:
        ranks = _core._where(rows.isnan().any(-1, keepdim=True), float(n - 1), ranks)
    if interpolation in ("lower", "higher", "nearest"):
        turn = {"lower": "floor", "higher": "ceil", "nearest": "round"}[interpolation]
        ranks = getattr(ranks, turn)()
    below = ranks.floor()
    found = gather(ordered, -1, below.long())
    if interpolation in ("linear", "midpoint"):
        part = full_like(ranks, 0.5) if interpolation == "midpoint" else ranks - below
        above = gather(ordered, -1, ranks.ceil().long())
        found = found.lerp(above, part)
    found = found.movedim(-1, 0) if q.ndim else found[..., 0]
    if keepdim and rank:
        first = 1 if q.ndim else 0
        if dim is None:
            for _ in range(rank):
                found = found.unsqueeze(first)
        else:
            found = found.unsqueeze(first + _axis(op, dim, rank))
    elif not rank and dim is None:
        return found
    return found


def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    """The value below which a share q of the elements lies, between neighbours by interpolation.

    >>> schuss.quantile(schuss.tensor([0.0, 1.0, 2.0]), 0.25)
    tensor(0.5000)
    """
    found = _quantile("quantile", input, q, dim, keepdim, interpolation, False)
    return given("quantile", found, out)


def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    """`quantile` of the elements that are not NaN.

    >>> schuss.nanquantile(schuss.tensor([0.0, float("nan"), 1.0]), 0.5)
    tensor(0.5000)
    """
    found = _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)
    return given("nanquantile", found, out)


def searchsorted(
    sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None, out=None
):
    """Where values belong among sorted elements: before equal ones, or with `right` behind them.

    >>> schuss.searchsorted(schuss.tensor([1, 3, 5]), schuss.tensor([3, 4]))
    tensor([1, 2])
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(f"searchsorted: side is 'left' or 'right', not {side!r}")
    if right and side == "left":
        raise RuntimeError("searchsorted: side='left' and right=True disagree")
    right = right or side == "right"
    if sorter is not None:
        if sorter.shape != sorted_sequence.shape:
            raise RuntimeError(
                f"searchsorted: the sorter {tuple(sorter.shape)} and the elements"
                f" {tuple(sorted_sequence.shape)} must have one shape"
            )
        sorted_sequence = gather(sorted_sequence, -1, sorter)
    if not isinstance(input, Tensor):
        if sorted_sequence.ndim != 1:
            raise RuntimeError("searchsorted: one number is looked for in one row alone")
        kind = _wide(sorted_sequence.dtype, input)
        input = _core.tensor(input, dtype=kind, device=sorted_sequence.device)
    found = _core._search_in(sorted_sequence.detach(), input.detach(), right, out_int32)
    return given("searchsorted", found, out)


def _wide(kind, number):
    whole = isinstance(number, int) or "float" in repr(kind)
    return kind if whole else _core.get_default_dtype()


def bucketize(input, boundaries, *, out_int32=False, right=False, out=None):
    """The number of the bucket, between rising boundaries, into which each element falls.

    >>> schuss.bucketize(schuss.tensor([3, 6]), schuss.tensor([1, 3, 5]))
    tensor([1, 3])
    """
    if boundaries.ndim != 1:
        raise RuntimeError(f"bucketize: needs a vector of bounds, got {tuple(boundaries.shape)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


def isin(elements, test_elements, *, assume_unique=False, invert=False, out=None):
    """Which elements are among others.

    >>> schuss.isin(schuss.tensor([1, 2, 3]), schuss.tensor([2, 5]))
    tensor([False,  True, False])
    """
    if not isinstance(elements, Tensor):
        elements = _core.tensor(elements, device=test_elements.device)
    if not isinstance(test_elements, Tensor):
        test_elements = _core.tensor(test_elements, device=elements.device)
    elements = elements.detach()
    known = sort(test_elements.detach().reshape(-1))[0]
    if not known.numel():
        shape = tuple(elements.shape)
        none = _core.full(shape, invert, dtype=_core.bool, device=elements.device)
        return given("isin", none, out)
    at = searchsorted(known, elements.contiguous()).clamp(max=known.numel() - 1)
    found = known[at] == elements
    return given("isin", ~found if invert else found, out)


def _runs(rows):
    """Where a row (of any width) differs from the one before it; the first one does."""
    n = rows.shape[0]
    if n == 0:
        return _core.zeros(0, dtype=_core.bool, device=rows.device)
    fresh = _core._narrow(rows, 0, 1, n - 1) != _core._narrow(rows, 0, 0, n - 1)
    if rows.ndim > 1:
        fresh = fresh.reshape(n - 1, math.prod(rows.shape[1:])).any(1)
    return _core.cat([_core.ones(1, dtype=_core.bool, device=rows.device), fresh])


def _distinct(rows, order, inverse, counts):
    """Sorted rows without repetition; `order` says where each stood before it was sorted."""
    fresh = _runs(rows)
    found = [rows[fresh]]
    if not inverse and not counts:
        return found
    group = fresh.long().cumsum(0) - 1
    if inverse:
        places = _core.zeros(rows.shape[0], dtype=_core.int64, device=rows.device)
        found.append(places.index_copy(0, order, group) if order is not None else group)
    if counts:
        sizes = _core.zeros(found[0].shape[0], dtype=_core.int64, device=rows.device)
        found.append(sizes.index_add(0, group, group * 0 + 1))
    return found


def _lexical(rows):
    """The order of rows by their first column, then their second, and so on."""
    flat = rows.reshape(rows.shape[0], -1)
    order = _core.arange(flat.shape[0], device=rows.device)
    for column in reversed(range(flat.shape[1])):
        order = order[argsort(flat[:, column][order], 0)]
    return order


def _unique(op, input, dim, inverse, counts, ordered):
    input = input.detach()
    if dim is None:
        rows, order = input.reshape(-1), None
        if ordered:
            rows, order = _core._sort_along(rows, 0, True, False, -1)
    else:
        axis = _axis(op, dim, input.ndim)
        rows = (input if input.ndim else input.reshape(1)).movedim(axis, 0)
        order = _lexical(rows) if ordered else None
        rows = rows if order is None else rows[order]
    found = _distinct(rows, order, inverse, counts)
    if dim is None and inverse:
        found[1] = found[1].reshape(input.shape)
    if dim is not None:
        found[0] = found[0].movedim(0, _axis(op, dim, input.ndim))
    return found[0] if len(found) == 1 else tuple(found)


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements (or parts along an axis) in order, where each went, how many there are.

    >>> schuss.unique(schuss.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    return _unique("unique", input, dim, return_inverse, return_counts, True)


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The first of every run of equal elements, where each went, how long the runs are.

    >>> schuss.unique_consecutive(schuss.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    return _unique("unique_consecutive", input, dim, return_inverse, return_counts, False)


def histc(input, bins=100, min=0, max=0, *, out=None):
    """How many elements fall into each of equal bins from min to max, or from least to largest.

    >>> schuss.histc(schuss.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    if bins < 1:
        raise RuntimeError(f"histc: bins must be at least 1, got {bins}")
    x = input.detach().reshape(-1)
    must_float("histc", x)
    low, high = float(min), float(max)
    whole = low == high
    if whole and x.numel():
        low, high = float(_core.amin(x, ())), float(_core.amax(x, ()))
    if low == high:
        low, high = low - 1.0, high + 1.0
    if not abs(low) < float("inf") or not abs(high) < float("inf"):
        raise RuntimeError(f"histc: the range from {low} to {high} is not finite")
    if low > high:
        raise RuntimeError(f"histc: max {high} must be above min {low}")
    if whole:
        mass = _core.ones((), dtype=x.dtype, device=x.device).expand(x.shape)
    else:
        inside = (x >= low) & (x <= high)
        x, mass = _core._where(inside, x, low), inside.to(x.dtype)
    at = ((x - low) / (high - low) * bins).long()
    at = _core._clamp(at, 0, bins - 1)
    made = _core.zeros((bins,), dtype=x.dtype, device=x.device)
    return given("histc", _core._scatter_add(made, at, mass, 0), out)


class _Histogram(tuple):
    """Counts and the edges between them, by name and by position."""

    __slots__ = ()

    @property
    def hist(self):
        return self[0]

    @property
    def bin_edges(self):
        return self[1]

    def __repr__(self) -> str:
        return returned("histogram", hist=self[0], bin_edges=self[1])


def histogram(input, bins, *, range=None, weight=None, density=False, out=None):
    """How many elements (or what weight) fall between edges, which are given or equally spaced.

    >>> schuss.histogram(schuss.tensor([1.0, 2.0, 1.0]), 2, range=(0.0, 3.0)).hist
    tensor([2., 1.])
    """
    x = input.detach().reshape(-1)
    must_float("histogram", x)
    if isinstance(bins, Tensor):
        edges = bins
        if edges.ndim != 1 or edges.numel() == 0:
            raise RuntimeError(f"histogram: bins must be a vector, got {tuple(edges.shape)}")
    else:
        if bins < 1:
            raise RuntimeError(f"histogram: bins must be at least 1, got {bins}")
        low, high = range if range is not None else (0.0, 0.0)
        if range is None and x.numel():
            low, high = float(x.min()), float(x.max())
        if low > high:
            raise RuntimeError(f"histogram: the range from {low} to {high} falls")
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges = _core.linspace(low, high, bins + 1, dtype=x.dtype, device=x.device)
    if weight is not None and weight.shape != input.shape:
        raise RuntimeError(
            f"histogram: weight {tuple(weight.shape)} and input {tuple(input.shape)} differ"
        )
    mass = ones_like(x) if weight is None else weight.detach().reshape(-1).to(x.dtype)
    count = edges.numel() - 1
    inside = (x >= edges[0]) & (x <= edges[-1])
    x, mass = _core._where(inside, x, edges[:1]), _core._where(inside, mass, zeros_like(mass))
    at = (searchsorted(edges, x, right=True) - 1).clamp(max=count - 1)
    found = _core.zeros(count, dtype=x.dtype, device=x.device)
    if count:
        found = found.index_add(0, at, mass)
    if density:
        found = found / (found.sum() * (edges[1:] - edges[:-1]))
    return _Histogram(given_each("histogram", (found, edges), out))


__all__ = [
    "aminmax",
    "argsort",
    "bucketize",
    "cummax",
    "cummin",
    "histc",
    "histogram",
    "isin",
    "kthvalue",
    "median",
    "mode",
    "nanmedian",
    "nanquantile",
    "quantile",
    "searchsorted",
    "sort",
    "topk",
    "unique",
    "unique_consecutive",
]
