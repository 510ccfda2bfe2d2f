"""Samples of functions and of random variables: differences, slopes, areas, covariances, segments.
Leans on arrangement and the core's folds."""

from __future__ import annotations

from schuss import _core
from schuss._core import Tensor
from schuss.arrangement import _axis
from schuss.naming import given, given_each, returned
from schuss.order import searchsorted


def diff(input, n=1, dim=-1, prepend=None, append=None, *, out=None):
    """The n-th differences of neighbours along an axis.

    >>> schuss.tensor([1, 3, 6]).diff()
    tensor([2, 3])
    """
    if input.ndim == 0:
        raise RuntimeError("diff: a 0-d tensor has no neighbours")
    if n < 0:
        raise RuntimeError(f"diff: n must be at least 0, got {n}")
    axis = _axis("diff", dim, input.ndim)
    x = input
    if n and (prepend is not None or append is not None):
        x = _core.cat([t for t in (prepend, input, append) if t is not None], axis)
    for _ in range(min(n, x.shape[axis])):
        size = x.shape[axis]
        upper, lower = x.narrow(axis, 1, size - 1), x.narrow(axis, 0, size - 1)
        x = upper ^ lower if x.dtype == _core.bool else upper - lower
    x = x.clone() if x is input else x
    return given("diff", x, out)


def _slope(x, axis, step, order):
    """Second-order differences inside, of the order asked for at the two ends."""
    size = x.shape[axis]
    if size < order + 1:
        raise RuntimeError(f"gradient: axis {axis} of size {size} needs at least {order + 1}")

    def part(start, stop):
        return x.narrow(axis, start, stop - start)

    even = not isinstance(step, Tensor)
    if even:
        inside = (part(2, size) - part(0, size - 2)) / (2 * step)
    else:
        gaps = step[1:] - step[:-1]
        shape = [1] * x.ndim
        shape[axis] = -1
        h, k = gaps[:-1].reshape(shape), gaps[1:].reshape(shape)
        inside = -k / (h * (h + k)) * part(0, size - 2)
        inside = inside + (k - h) / (h * k) * part(1, size - 1)
        inside = inside + h / (k * (h + k)) * part(2, size)
    if order == 1:
        first = (part(1, 2) - part(0, 1)) / (step if even else gaps[0])
        last = (part(size - 1, size) - part(size - 2, size - 1)) / (step if even else gaps[-1])
    elif even:
        first = (-1.5 * part(0, 1) + 2 * part(1, 2) - 0.5 * part(2, 3)) / step
        last = 0.5 * part(size - 3, size - 2) - 2 * part(size - 2, size - 1)
        last = (last + 1.5 * part(size - 1, size)) / step
    else:
        a, b = gaps[0], gaps[1]
        first = -(2 * a + b) / (a * (a + b)) * part(0, 1) + (a + b) / (a * b) * part(1, 2)
        first = first - a / (b * (a + b)) * part(2, 3)
        a, b = gaps[-2], gaps[-1]
        last = b / (a * (a + b)) * part(size - 3, size - 2)
        last = last - (a + b) / (a * b) * part(size - 2, size - 1)
        last = last + (2 * b + a) / (b * (a + b)) * part(size - 1, size)
    return _core.cat([first, inside, last], axis)


def gradient(input, *, spacing=None, dim=None, edge_order=1):
    """Slopes along axes from samples: a tensor for each axis, as NumPy's `gradient`.

    `spacing` is one step, a step for each axis, or the samples' coordinates along each.

    >>> schuss.gradient(schuss.tensor([0.0, 1.0, 4.0]))[0]
    tensor([1., 2., 3.])
    """
    if input.dtype in (_core.bool, _core.uint8):
        raise RuntimeError(f"gradient: is not defined for {input.dtype}; use x.float() first")
    if edge_order not in (1, 2):
        raise RuntimeError(f"gradient: edge_order is 1 or 2, not {edge_order}")
    axes = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    axes = [_axis("gradient", d, input.ndim) for d in axes]
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"gradient: an axis appears more than once in {axes}")
    if spacing is None or isinstance(spacing, (int, float)):
        steps = [1.0 if spacing is None else spacing] * len(axes)
    elif isinstance(spacing, Tensor):
        steps = [spacing]
    else:
        steps = list(spacing)
    if len(steps) != len(axes):
        raise RuntimeError(f"gradient: {len(steps)} spacings for {len(axes)} axes")
    for axis, step in zip(axes, steps, strict=True):
        if isinstance(step, Tensor) and tuple(step.shape) != (input.shape[axis],):
            raise RuntimeError(
                f"gradient: coordinates {tuple(step.shape)} for axis {axis} of {input.shape[axis]}"
            )
    return tuple(_slope(input, a, s, edge_order) for a, s in zip(axes, steps, strict=True))


def _panels(op, y, x, dx, dim):
    """The areas between neighbouring samples along an axis."""
    if y.dtype == _core.bool:
        raise RuntimeError(f"{op}: is not defined for bool; use y.float() first")
    axis = _axis(op, dim, y.ndim)
    size = y.shape[axis]
    if size == 0:
        return y, axis
    both = y.narrow(axis, 1, size - 1) + y.narrow(axis, 0, size - 1)
    if x is None:
        return both * (dx / 2.0), axis
    if x.ndim == 1 and y.ndim > 1:
        if x.shape[0] != size:
            raise RuntimeError(f"{op}: {x.shape[0]} places for {size} samples along axis {axis}")
        shape = [1] * y.ndim
        shape[axis] = size
        x = x.reshape(shape)
    at = _axis(op, axis - y.ndim, x.ndim)
    n = x.shape[at]
    return both * (x.narrow(at, 1, n - 1) - x.narrow(at, 0, n - 1)) / 2.0, axis


def trapezoid(y, x=None, *, dx=1.0, dim=-1):
    """The area under samples along an axis, by straight lines between them.

    >>> schuss.trapezoid(schuss.tensor([0.0, 1.0, 2.0]))
    tensor(2.)
    """
    if x is None and y.ndim and (y.dtype == _core.float32 or y.dtype == _core.float64):
        axis = _axis("trapezoid", dim, y.ndim)
        size = y.shape[axis]
        if size > 1:
            # All but the ends count whole. Other types might not hold the sum of so many.
            ends = _core._select(y, axis, 0) + _core._select(y, axis, size - 1)
            return (_core._narrow(y, axis, 1, size - 2).sum(axis) + ends * 0.5) * dx
    areas, axis = _panels("trapezoid", y, x, dx, dim)
    return areas.sum(axis)


def trapz(y, x=None, *, dx=1.0, dim=-1):
    """`trapezoid` by its older name."""
    return trapezoid(y, x, dx=dx, dim=dim)


def cumulative_trapezoid(y, x=None, *, dx=1.0, dim=-1):
    """The area under samples up to each but the first along an axis.

    >>> schuss.cumulative_trapezoid(schuss.tensor([0.0, 1.0, 2.0]))
    tensor([0.5000, 2.0000])
    """
    areas, axis = _panels("cumulative_trapezoid", y, x, dx, dim)
    return areas.cumsum(axis)


def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariances of variables (rows) over their observations (columns), which may be weighed.

    >>> schuss.cov(schuss.tensor([[0.0, 2.0], [2.0, 0.0]]))
    tensor([[ 2., -2.],
            [-2.,  2.]])
    """
    if input.ndim > 2:
        raise RuntimeError(f"cov: needs at most two axes, got {tuple(input.shape)}")
    if input.dtype == _core.bool:
        raise RuntimeError("cov: is not defined for bool; use x.float() first")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    x = x if x.dtype.to_real().is_floating_point else x.to(_core.get_default_dtype())
    count = x.shape[1]
    for name, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        if w.ndim > 1 or w.numel() != count:
            raise RuntimeError(f"cov: {name} must hold {count} numbers, got {tuple(w.shape)}")
        _core._demand(~(w < 0), "runtime", "cov", f"{name} must not be negative")
        if (name == "fweights") == w.is_floating_point():
            raise RuntimeError(f"cov: {name} is {w.dtype}; counts are integers, weights floats")
    w = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    total = count if w is None else w.sum()
    if w is None:
        mean, scale = x.mean(1, keepdim=True), count - correction
    else:
        mean = (x * w).sum(1, keepdim=True) / total
        if aweights is None or correction == 0:
            scale = total - correction
        else:
            scale = total - correction * (w * aweights).sum() / total
    gap = x - mean
    scale = scale.clamp(min=0) if isinstance(scale, Tensor) else float(max(scale, 0))
    product = (gap if w is None else gap * w) @ gap.transpose(0, 1).conj()
    if not isinstance(scale, Tensor):
        scale = _core.tensor(scale, dtype=x.dtype, device=x.device)
    return (product / scale).squeeze()


def corrcoef(input):
    """The correlations of variables (rows) over their observations (columns).

    >>> schuss.corrcoef(schuss.tensor([[0.0, 2.0], [2.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    found = cov(input)
    if found.ndim == 0:
        return found / found
    spread = found.diagonal().sqrt()
    found = found / spread.unsqueeze(1) / spread
    if found.is_complex():
        return _core._complex(found.real.clamp(-1.0, 1.0), found.imag.clamp(-1.0, 1.0))
    return found.clamp(-1.0, 1.0)


class _Parts(tuple):
    """A mantissa and an exponent, by name and by position."""

    __slots__ = ()

    @property
    def mantissa(self):
        return self[0]

    @property
    def exponent(self):
        return self[1]

    def __repr__(self) -> str:
        return returned("frexp", mantissa=self[0], exponent=self[1])


def frexp(input, *, out=None):
    """Mantissas from 0.5 to 1 and the powers of two beside them.

    >>> schuss.frexp(schuss.tensor([8.0])).exponent
    tensor([4], dtype=schuss.int32)
    """
    return _Parts(given_each("frexp", _core._frexp(input), out))


def polygamma(n, input, *, out=None):
    """The n-th derivative of `digamma`.

    >>> schuss.polygamma(1, schuss.tensor([1.0]))
    tensor([1.6449])
    """
    if n < 0:
        raise RuntimeError(f"polygamma: n must be at least 0, got {n}")
    found = _core.digamma(input) if n == 0 else _core._polygamma_of(input, n)
    return given("polygamma", found, out)


_SEGMENTS = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "max": float("-inf"), "min": float("inf")}


def segment_reduce(
    data, reduce, *, lengths=None, indices=None, offsets=None, axis=0, unsafe=False, initial=None
):
    """The sum, mean, product, largest or smallest element of each run along an axis.

    Runs follow one another: `lengths` says how long each is, or `offsets` where each begins and
    the last ends; both may have axes before the one that is cut. `reduce` is "sum", "mean",
    "prod", "max" or "min". An empty run gives `initial`, or the number that changes nothing.
    RuntimeError for lengths below 0, or that do not fill the axis (`unsafe` leaves the rest out).

    >>> lengths = schuss.tensor([2, 1])
    >>> schuss.segment_reduce(schuss.tensor([1.0, 2.0, 5.0]), "sum", lengths=lengths)
    tensor([3., 5.])
    """
    reduce = {"amax": "max", "amin": "min"}.get(reduce, reduce)
    if reduce not in _SEGMENTS:
        raise RuntimeError(
            f"segment_reduce: reduce is 'sum', 'mean', 'prod', 'max' or 'min', not {reduce!r}"
        )
    if not data.dtype.is_floating_point:
        raise _core.DTypeError(
            f"segment_reduce: needs a float tensor, got {data.dtype.name}; use x.float() first"
        )
    if indices is not None:
        raise NotImplementedError("segment_reduce: give lengths or offsets in place of indices")
    bounds = lengths if offsets is None else offsets
    if bounds is None:
        raise RuntimeError("segment_reduce: needs lengths or offsets")
    axis = _axis("segment_reduce", axis, data.ndim)
    lead = tuple(data.shape[:axis])
    if tuple(bounds.shape[:-1]) != lead or bounds.ndim != axis + 1:
        raise _core.ShapeError(
            f"segment_reduce: lengths {tuple(bounds.shape)} and an axis {axis} of"
            f" {tuple(data.shape)}: the sizes before the axis must agree"
        )
    if bounds.dtype not in (_core.int32, _core.int64):
        raise _core.DTypeError(
            f"segment_reduce: lengths must be int32 or int64, got {bounds.dtype.name}"
        )
    bounds, size = bounds.long(), data.shape[axis]
    if offsets is None:
        bounds = _core.cat([bounds[..., :1] * 0, bounds.cumsum(-1)], -1)
    counts = bounds[..., 1:] - bounds[..., :-1]
    _core._demand(counts >= 0, "runtime", "segment_reduce", "a length is below 0")
    if offsets is None and not unsafe:
        said = f"the lengths do not add up to {size}, the size of axis {axis}"
        _core._demand(bounds[..., -1] == size, "runtime", "segment_reduce", said)
    runs = counts.shape[-1]
    places = _core.arange(size, device=data.device).expand(*lead, size)
    # What lies before the first run and behind the last goes to slots that are left out.
    slots = searchsorted(bounds.contiguous(), places.contiguous(), right=True)
    rest = (1,) * (data.ndim - axis - 1)
    slots = slots.reshape(*lead, size, *rest).expand(data.shape)
    shape = (*lead, runs + 2, *data.shape[axis + 1 :])
    way = {"mean": "sum", "max": "amax", "min": "amin"}.get(reduce, reduce)
    made = _core.full(shape, _SEGMENTS[reduce], dtype=data.dtype, device=data.device)
    made = made.scatter_reduce(axis, slots, data, way).narrow(axis, 1, runs)
    if initial is not None:
        if reduce in ("sum", "mean"):
            made = made + initial
        elif reduce == "prod":
            made = made * initial
        else:
            passed = made < initial if reduce == "max" else made > initial
            made = made.masked_fill(passed, initial)
    if reduce == "mean":
        counts = counts.reshape(*lead, runs, *rest)
        made = made / (counts if initial is None else counts.clamp(min=1))
    return made


__all__ = [
    "corrcoef",
    "cov",
    "cumulative_trapezoid",
    "diff",
    "frexp",
    "gradient",
    "polygamma",
    "segment_reduce",
    "trapezoid",
    "trapz",
]
