"""Integers and counts: how often numbers are found, places in a shape, divisors, powers, grids.
Leans on order and the core's records."""

from __future__ import annotations

from schuss import _core
from schuss._core import Tensor
from schuss.naming import given, given_each, must_tensor
from schuss.order import _Histogram


def bincount(input, weights=None, minlength=0):
    """How often each number from 0 on is found; or the sums of the weights that stand beside it.

    >>> schuss.bincount(schuss.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    must_tensor("bincount", input=input)
    if input.is_floating_point() or input.dtype == _core.bool:
        raise NotImplementedError(
            f"bincount: counts integers, got {input.dtype.name}; use x.long() first"
        )
    if input.ndim != 1:
        raise RuntimeError(f"bincount: needs one axis, got shape {tuple(input.shape)}")
    if minlength < 0:
        raise RuntimeError(f"bincount: minlength must be at least 0, got {minlength}")
    if weights is not None and weights.shape != input.shape:
        raise RuntimeError(
            f"bincount: {tuple(weights.shape)} weights for {tuple(input.shape)} numbers"
        )
    size = 0
    if input.numel():
        least = int(_core.amin(input, ()))
        if least < 0:
            raise RuntimeError(f"bincount: numbers must be at least 0, found {least}")
        size = int(_core.amax(input, ())) + 1
    if weights is None:
        one = _core.ones((), dtype=_core.int64, device=input.device)
        found = one.expand(input.shape)
    else:
        found = weights.detach().to(
            _core.float32 if weights.dtype == _core.float32 else _core.float64
        )
    made = _core.zeros((max(size, minlength),), dtype=found.dtype, device=input.device)
    return _core._scatter_add(made, input.long(), found, 0)


def lcm(input, other, *, out=None):
    """The least common multiple of integers, 0 where one of them is 0.

    >>> schuss.lcm(schuss.tensor([4, 0]), schuss.tensor([6, 5]))
    tensor([12,  0])
    """
    must_tensor("lcm", input=input, other=other)
    shared = gcd(input, other)
    whole = _core.floor_divide(input, shared + (shared == 0).to(shared.dtype)) * other
    return given("lcm", whole.abs(), out)


def gcd(input, other, *, out=None):
    """The greatest common divisor of integers, 0 of two zeros (Euclid).

    >>> schuss.gcd(schuss.tensor([12, -9]), schuss.tensor([18, 6]))
    tensor([6, 3])
    """
    must_tensor("gcd", input=input, other=other)
    for x in (input, other):
        if x.is_floating_point() or x.dtype == _core.bool:
            raise NotImplementedError(f"gcd: needs integers, got {x.dtype.name}")
    return given("gcd", _core.gcd(input, other), out)


def _corner(op, row, col, offset, dtype, device, lower):
    if row < 0 or col < 0:
        raise RuntimeError(f"{op}: sizes must be at least 0, got {row} and {col}")
    import numpy

    inside = numpy.tri(row, col, offset if lower else offset - 1, dtype=bool)
    places = numpy.stack(numpy.nonzero(inside if lower else ~inside))
    kind = _core.int64 if dtype is None else dtype
    return _core.tensor(places, dtype=kind, device=device)


def tril_indices(row, col, offset=0, *, dtype=None, device=None, layout=None):
    """The rows and the columns of a matrix's elements on and below a diagonal.

    >>> schuss.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _corner("tril_indices", row, col, offset, dtype, device, True)


def triu_indices(row, col, offset=0, *, dtype=None, device=None, layout=None):
    """The rows and the columns of a matrix's elements on and above a diagonal.

    >>> schuss.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return _corner("triu_indices", row, col, offset, dtype, device, False)


def unravel_index(indices, shape):
    """The coordinates, one tensor for each axis, of places in a flattened shape.

    >>> schuss.unravel_index(schuss.tensor([5]), (2, 3))
    (tensor([1]), tensor([2]))
    """
    if not isinstance(indices, Tensor):
        raise AttributeError(
            f"unravel_index: indices must be a Tensor, got {type(indices).__name__}"
        )
    if indices.is_floating_point() or indices.dtype == _core.bool:
        raise TypeError(f"unravel_index: indices must be integers, got {indices.dtype.name}")
    sizes = [shape] if isinstance(shape, int) else list(shape)
    if any(isinstance(n, bool) or not hasattr(n, "__index__") for n in sizes):
        raise TypeError(f"unravel_index: the shape must be of integers, got {sizes}")
    if any(n < 0 for n in sizes):
        raise ValueError(f"unravel_index: sizes must be at least 0, got {sizes}")
    found = []
    for n in reversed(sizes):
        found.append(indices % n)
        indices = _core.floor_divide(indices, n)
    return tuple(reversed(found))


def vander(x, N=None, increasing=False):
    """The powers of each element as a row, the highest first.

    >>> schuss.vander(schuss.tensor([2, 3]), 3)
    tensor([[4, 2, 1],
            [9, 3, 1]])
    """
    if x.ndim != 1:
        raise RuntimeError(f"vander: needs one axis, got shape {tuple(x.shape)}")
    columns = x.shape[0] if N is None else N
    if columns < 0:
        raise RuntimeError(f"vander: N must be at least 0, got {N}")
    base = x if x.is_floating_point() else x.long()
    if columns == 0:
        return base.new_empty((x.shape[0], 0))
    first = base.new_ones((x.shape[0], 1))
    rest = base.unsqueeze(1).expand(-1, columns - 1)
    found = _core.cat([first, rest], 1).cumprod(1)
    return found if increasing else found.flip(1)


def range(start=0, end=None, step=1, *, out=None, dtype=None, device=None, requires_grad=False):
    """Numbers from start to end, the end included, which `arange` leaves out.

    >>> schuss.range(0, 1, 0.5)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if end is None:
        raise TypeError("range: needs both start and end; arange(end) needs one")
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError(f"range: steps of {step} do not lead from {start} to {end}")
    kind = _core.get_default_dtype() if dtype is None else dtype
    count = int((end - start) / step) + 1
    steps = _core.arange(count, dtype=_core.float64, device=device)
    found = (steps * step + start).to(kind)
    found = given("range", found, out)
    return found.requires_grad_() if requires_grad else found


def histogramdd(input, bins, *, range=None, weight=None, density=False, out=None):
    """How many points (rows) fall into each cell of a grid.

    `bins` is a count for all axes, a count for each, or the edges along each.

    >>> points = schuss.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    >>> schuss.histogramdd(points, bins=[2, 2]).hist
    tensor([[0., 1.],
            [1., 1.]])
    """
    if input.ndim < 2:
        raise RuntimeError(f"histogramdd: needs points as rows, got shape {tuple(input.shape)}")
    points = input.detach().reshape(-1, input.shape[-1])
    axes = points.shape[1]
    given_bins = [bins] * axes if isinstance(bins, int) else list(bins)
    if len(given_bins) != axes:
        raise RuntimeError(f"histogramdd: {len(given_bins)} bins for points of {axes} numbers")
    edges = []
    for axis, wanted in enumerate(given_bins):
        if isinstance(wanted, Tensor):
            edges.append(wanted)
            continue
        column = points[:, axis]
        if range is not None:
            low, high = float(range[2 * axis]), float(range[2 * axis + 1])
        elif points.shape[0]:
            low, high = float(column.min()), float(column.max())
        else:
            low, high = 0.0, 1.0
        if low == high:
            low, high = low - 0.5, high + 0.5
        kind = {"dtype": points.dtype, "device": points.device}
        edges.append(_core.linspace(low, high, wanted + 1, **kind))
    place = points.new_zeros((points.shape[0],), dtype=_core.int64)
    inside = points.new_ones((points.shape[0],), dtype=_core.bool)
    for axis, edge in enumerate(edges):
        column = points[:, axis].contiguous()
        at = (column.unsqueeze(1) >= edge).sum(1) - 1
        # The last bin has both its ends.
        at = at - ((at == edge.numel() - 1) & (column == edge[-1])).long()
        inside = inside & (at >= 0) & (at < edge.numel() - 1)
        place = place * (edge.numel() - 1) + at
    weights = points.new_ones((points.shape[0],)) if weight is None else weight.reshape(-1)
    sizes = [edge.numel() - 1 for edge in edges]
    total = 1
    for n in sizes:
        total *= n
    counts = points.new_zeros((total,))
    counts.index_add_(0, place[inside], weights[inside].to(points.dtype))
    found = counts.reshape(sizes)
    if density:
        found = found / found.sum()
        for axis, edge in enumerate(edges):
            shape = [1] * axes
            shape[axis] = -1
            found = found / (edge[1:] - edge[:-1]).reshape(shape)
    found = given("histogramdd", found, None if out is None else out[0])
    return _Histogram((found, given_each("histogramdd", tuple(edges), out and out[1])))


__all__ = [
    "bincount",
    "gcd",
    "histogramdd",
    "lcm",
    "range",
    "tril_indices",
    "triu_indices",
    "unravel_index",
    "vander",
]
