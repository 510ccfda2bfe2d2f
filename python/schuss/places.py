"""Elements by their places: taken, written and added where index tensors and masks say.
Leans on the core's gather family."""

from __future__ import annotations

import math

from schuss import _core
from schuss._core import Tensor
from schuss.arrangement import _axis, broadcast_tensors
from schuss.mathematics import broadcast_shapes
from schuss.naming import given, speaks


def _ranks(counts, size):
    """Which of the counts each of so many places falls to; nobody reads them."""
    ends, op = counts.cumsum(0), "repeat_interleave"
    _core._demand(counts >= 0, "runtime", op, "a count is below 0")
    _core._demand(ends[-1:] == size, "runtime", op, "output_size must be the sum of the counts")
    return _core._search_in(ends, _core.arange(size, device=counts.device), True, False)


def _each_repeated(input, axis, count):
    """Every position of an axis so many times, once or more."""
    if count == 1:
        return _core._compact(input)
    shape = list(input.shape)
    wide = [*shape[: axis + 1], count, *shape[axis + 1 :]]
    shape[axis] *= count
    if count <= 4 and math.prod(wide[axis + 2 :]) == 1:
        # Single elements are copied quicker than rows of so few.
        return _core._stack([input] * count, axis + 1).reshape(shape)
    return input.unsqueeze(axis + 1).expand(wide).reshape(shape)


@speaks
def repeat_interleave(input, repeats, dim=None, *, output_size=None):
    """Each element repeated where it stands.

    >>> schuss.tensor([1, 2]).repeat_interleave(2)
    tensor([1, 1, 2, 2])
    """
    if dim is None:
        input, dim = input.reshape(-1), 0
    axis = _axis("repeat_interleave", dim, input.ndim)
    size = input.shape[axis]
    if isinstance(repeats, Tensor):
        _core._beside("repeat_interleave", input, repeats, ("input", "repeats"))
    if isinstance(repeats, Tensor) and output_size is not None:
        return index_select(input, axis, _ranks(repeats.expand(size), output_size))
    counts = repeats.tolist() if isinstance(repeats, Tensor) else repeats
    if not isinstance(counts, int) and len(counts) == 1:
        counts = counts[0]
    if isinstance(counts, int):
        if counts > 0:
            return _each_repeated(input, axis, counts)
        counts = [counts] * size
    if len(counts) != size or any(c < 0 for c in counts):
        raise RuntimeError(
            f"repeat_interleave: needs one count of at least 0 for each of {size} positions"
        )
    places = [i for i, c in enumerate(counts) for _ in range(c)]
    rows = _core.tensor(places, dtype=_core.int64, device=input.device)
    return index_select(input, axis, rows)


def gather(input, dim, index, *, sparse_grad=False, out=None):
    """Along an axis, the element that each place of the index names.

    >>> schuss.tensor([[1, 2], [3, 4]]).gather(1, schuss.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    return given("gather", _core._gather(input, index, dim), out, same=True)


@speaks
def take_along_dim(input, indices, dim=None, *, out=None):
    """As `gather`, with the other axes broadcast; without an axis, of the flattened tensor."""
    if dim is None:
        return take_along_dim(input.reshape(-1), indices.reshape(-1), 0, out=out)
    axis = _axis("take_along_dim", dim, input.ndim)
    if input.ndim != indices.ndim:
        raise RuntimeError(
            f"take_along_dim: {tuple(input.shape)} and {tuple(indices.shape)} differ in axes"
        )
    wide, places = list(input.shape), list(indices.shape)
    size, count = wide[axis], places[axis]
    wide[axis] = places[axis] = 1
    if wide != places:
        wide, places = ([*broadcast_shapes(wide, places)] for _ in range(2))
        wide[axis], places[axis] = size, count
        input, indices = input.expand(wide), indices.expand(places)

    def from_the_end():
        # Here negative places count from the end, which gather refuses.
        found = _core._where(indices < 0, indices + size, indices)
        return _core._gather(input, found, axis)

    if _refuses_at_once(input):
        found = _tried(lambda: _core._gather(input, indices, axis), from_the_end)
    else:
        found = from_the_end()
    return given("take_along_dim", found, out, same=True)


def _source(input, index, src):
    if isinstance(src, Tensor):
        return src
    return _core.full(tuple(index.shape), src, dtype=input.dtype, device=input.device)


_SCATTERED = {None: "scatter", "add": "scatter_add", "multiply": "scatter_prod"}


def scatter(input, dim, index, src=None, *, value=None, reduce=None, out=None):
    """A copy with the source written at the places that the index names along an axis; or added to
    what is there, or multiplied with it (`reduce` "add" and "multiply").

    >>> places = schuss.tensor([0, 0, 2])
    >>> schuss.ones(3).scatter(0, places, schuss.tensor([2.0, 3.0, 4.0]), reduce="multiply")
    tensor([6., 1., 4.])
    """
    src = _source(input, index, value if src is None else src)
    if reduce not in _SCATTERED:
        raise RuntimeError(f"scatter: reduce is None, 'add' or 'multiply', not {reduce!r}")
    found = getattr(_core, f"_{_SCATTERED[reduce]}")(input, index, src, dim)
    return given("scatter", found, out, same=True)


def scatter_add(input, dim, index, src, *, out=None):
    """A copy with the source added at the places that the index names along an axis."""
    return given("scatter_add", _core._scatter_add(input, index, src, dim), out, same=True)


def index_select(input, dim, index, *, out=None):
    """The positions of an axis that the index lists.

    >>> schuss.tensor([10, 20, 30]).index_select(0, schuss.tensor([2, 0]))
    tensor([30, 10])
    """
    axis = _axis("index_select", dim, input.ndim)
    if index.ndim > 1:
        raise IndexError(f"index_select: the index must be a vector, got {tuple(index.shape)}")
    if index.is_floating_point() or index.dtype == _core.bool:
        raise RuntimeError(
            f"index_select: the index must be an integer tensor, got {index.dtype.name}"
        )
    source = input.reshape(1) if input.ndim == 0 else input
    size = source.size(axis)

    def must_fit():
        _must_lie_in("index_select", index, 0, axis, size)

    if _refuses_at_once(input):
        places = _under(index, source.shape, axis)
        found = _tried(lambda: _core._gather(source, places, axis), must_fit)
    else:
        must_fit()
        found = _core._take_at([source, index.reshape(-1)], [axis], False, True)
    if input.ndim == 0:
        found = found.reshape(())
    return given("index_select", found, out)


def _refuses_at_once(x) -> bool:
    """Whether an index that an axis has not is refused as soon as it is used, before anyone asks:
    GPUs and compiled steps tell it later, and nobody where there are no elements."""
    return x.device.type == "cpu" and x.numel() > 0 and not _core._is_recording()


def _tried(work, otherwise):
    """What the first makes; where it refuses, what the second makes, or says better."""
    try:
        return work()
    except (IndexError, RuntimeError) as error:
        refusal = error
    found = otherwise()
    if found is None:
        raise refusal
    return found


def _under(index, shape, axis):
    """An index of positions of an axis, the same at every place of the others."""
    wide = list(shape)
    wide[axis] = index.numel()
    after = len(wide) - 1 - axis
    if after or index.ndim != 1:
        index = index.reshape([-1, *[1] * after])
    return index if len(wide) == 1 else index.expand(wide)


def _must_lie_in(op, index, first, axis, size) -> None:
    """Refuses an index outside of an axis; in a compiled step at every run."""
    # Of all examples, where they differ.
    places = _core._values(index)
    fine = (places >= first) & (places < size)
    where = f"out of range for axis {axis} of size {size} ({_allowed(size)})"
    if _core._is_recording():
        _core._demand(fine, "index", op, f"an index is {where}")
    elif index.numel() and not bool(fine.all()):
        raise IndexError(f"{op}: {_stray(places, size, first)} is {where}")


def _stray(index, size, first=0) -> str:
    """The first of some indices that an axis of this size has not."""
    return f"index {index[(index < first) | (index >= size)].reshape(-1)[0].item()}"


def _allowed(size: int) -> str:
    return f"allowed: 0 to {size - 1}" if size else "the axis is empty"


def _places(op, input, dim, index, source):
    """The axis, the index as a vector, the shape of what it names, and the question whether all of
    it lies there, for a source put or added at positions of an axis."""
    axis = _axis(op, dim, input.ndim)
    if index.ndim > 1:
        raise IndexError(f"{op}: the index must be a vector, got shape {tuple(index.shape)}")
    if index.dtype not in (_core.int64, _core.int32):
        raise RuntimeError(f"{op}: the index must be int64 or int32, got {index.dtype}")
    index = index if index.ndim == 1 else index.reshape(-1)
    wanted = list(input.shape)
    size, wanted[axis] = wanted[axis], index.numel()
    if source.ndim and list(source.shape) != wanted:
        raise RuntimeError(
            f"{op}: the source has shape {tuple(source.shape)}, the places {tuple(wanted)}"
        )
    if source.dtype != input.dtype:
        raise RuntimeError(f"{op}: the input is {input.dtype} and the source {source.dtype}")

    def must_fit():
        _must_lie_in(op, index, -size if op == "index_fill" else 0, axis, size)

    return axis, index, wanted, must_fit


def _at_index(op, input, dim, index, source, add):
    """A copy with the source put, or added, at the positions of an axis that the index lists."""
    if input.ndim == 0:
        _axis(op, dim, 0)
        flat = source.reshape(-1) if isinstance(source, Tensor) else source
        return _at_index(op, input.reshape(1), 0, index, flat, add).reshape(())
    axis, index, wanted, must_fit = _places(op, input, dim, index, source)
    if not _refuses_at_once(input):
        must_fit()
    elif op != "index_fill":
        put = _core._scatter_add if add else _core._scatter
        places = _under(index, wanted, axis)
        wide = source if source.ndim else source.expand(wanted)
        return _tried(lambda: put(input, places, wide, axis), must_fit)
    return _tried(lambda: _core._put_at([input, source, index], [axis], False, add), must_fit)


def _write_at_index(op, input, dim, index, source, add):
    """Puts, or adds, the source at the positions of an axis that the index lists, and touches
    nothing else: a few rows of a large table cost what a few rows are."""
    if input.ndim == 0:
        _axis(op, dim, 0)
        _write_at_index(op, input.reshape(1), 0, index, source.reshape(-1), add)
        return input
    axis, index, _, must_fit = _places(op, input, dim, index, source)
    must_fit()
    if axis == 0:
        return input.index_put_((index,), source, add)
    values = source.transpose(0, axis) if source.ndim else source
    input.transpose(0, axis).index_put_((index,), values, add)
    return input


def index_add(input, dim, index, source, *, alpha=1, out=None):
    """A copy with the source added at the positions of an axis that the index lists."""
    source = source if alpha == 1 else source * alpha
    found = _at_index("index_add", input, dim, index, source, True)
    return given("index_add", found, out, same=True)


def index_add_(input, dim, index, source, *, alpha=1):
    """Adds the source at the positions of an axis that the index lists, in place.

    >>> schuss.zeros(3).index_add_(0, schuss.tensor([0, 2, 2]), schuss.ones(3))
    tensor([1., 0., 2.])
    """
    source = source if alpha == 1 else source * alpha
    return _write_at_index("index_add_", input, dim, index, source, True)


def index_copy(input, dim, index, source, *, out=None):
    """A copy with the source written at the positions of an axis that the index lists."""
    found = _at_index("index_copy", input, dim, index, source, False)
    return given("index_copy", found, out, same=True)


def index_copy_(input, dim, index, source):
    """Writes the source at the positions of an axis that the index lists, in place.

    >>> schuss.zeros(3).index_copy_(0, schuss.tensor([2, 0]), schuss.tensor([5.0, 7.0]))
    tensor([7., 0., 5.])
    """
    return _write_at_index("index_copy_", input, dim, index, source, False)


def index_fill(input, dim, index, value):
    """A copy with a number written at the positions of an axis that the index lists."""
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(f"index_fill: the value must be a number, got {tuple(value.shape)}")
    value = value.to(input.dtype) if isinstance(value, Tensor) else value
    axis = _axis("index_fill", dim, input.ndim)
    device = input.device
    hit = _core.zeros((input.size(axis) if input.ndim else 1,), dtype=_core.bool, device=device)
    one = _core.ones((), dtype=_core.bool, device=device)
    hit = _at_index("index_fill", hit, 0, index, one, False)
    if input.ndim != 1:
        hit = hit.reshape([-1, *[1] * (input.ndim - 1 - axis)] if input.ndim else ())
    return _core.masked_fill(input, hit, value)


def index_put(input, indices, values, accumulate=False):
    """A copy with values written, or added, at places."""
    return input.clone().index_put_(indices, values, accumulate)


@speaks
def take(input, index, *, out=None):
    """Elements of the flattened tensor."""
    _core._beside("take", input, index, ("input", "index"))
    if not index.ndim:
        return given("take", input.reshape(-1)[index.reshape(1)][0], out, same=True)
    return given("take", input.reshape(-1)[index], out, same=True)


@speaks
def masked_select(input, mask, *, out=None):
    """The elements where the mask holds, in one axis."""
    if mask.dtype != _core.bool:
        raise RuntimeError(f"masked_select: the mask must be a bool tensor, got {mask.dtype.name}")
    _core._beside("masked_select", input, mask, ("input", "mask"))
    if input.shape != mask.shape:
        input, mask = broadcast_tensors(input, mask)
    return given("masked_select", input[mask], out, same=True)


def nonzero(input, *, out=None, as_tuple=False):
    """The places of the elements that are not zero, one row for each."""
    found = _core._nonzero(input)
    if as_tuple:
        zeros = _core.zeros(found.shape[0], dtype=_core.int64, device=input.device)
        return found.unbind(1) if input.ndim else (zeros,)
    return given("nonzero", found, out, same=True)


def argwhere(input):
    """The places of the elements that are not zero, one row for each."""
    return _core._nonzero(input)


__all__ = [
    "argwhere",
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_select",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "scatter",
    "scatter_add",
    "take",
    "take_along_dim",
]
