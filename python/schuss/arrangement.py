"""Where elements stand: parts, joins, other orders, and places named by index tensors.
Leans on the core's views and its gather family."""

from __future__ import annotations

import math

from schuss import _core
from schuss._core import Tensor
from schuss.mathematics import broadcast_shapes
from schuss.naming import given, speaks


def split(tensor, split_size_or_sections, dim=0, *, split_size=None):
    """Parts of one size, or of the sizes given, along an axis, as views.

    >>> [part.tolist() for part in schuss.arange(5).split(2)]
    [[0, 1], [2, 3], [4]]
    """
    return _core._split(tensor, split_size_or_sections, dim)


def chunk(input, chunks, dim=0):
    """At most `chunks` parts of equal size along an axis, as views."""
    return _core._chunk(input, chunks, dim)


def unbind(input, dim=0):
    """Every position of an axis as a tensor of its own, as views."""
    return _core._unbind(input, dim)


def stack(tensors, dim=0, *, axis=None, out=None):
    """Tensors of one shape joined along a new axis.

    >>> schuss.stack([schuss.tensor([1, 2]), schuss.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    if isinstance(tensors, Tensor):
        raise TypeError("stack: expected a list or tuple of Tensors, got Tensor")
    found = _core._stack(tensors, dim if axis is None else axis)
    return given("stack", found, out)


@speaks
def concatenate(tensors, dim=0, *, axis=None, out=None):
    """Tensors joined along an axis that they have; `cat` by another name."""
    return _core.cat(tensors, dim if axis is None else axis, out=out)


def _some(op, tensors):
    listed = list(tensors)
    if not listed:
        raise RuntimeError(f"{op}: needs at least one tensor, got an empty list")
    return listed


@speaks
def hstack(tensors, *, out=None):
    """Tensors joined side by side."""
    tensors = _some("hstack", tensors)
    tensors = [t.reshape(1) if t.ndim == 0 else t for t in tensors]
    return _core.cat(tensors, 0 if tensors[0].ndim == 1 else 1, out=out)


@speaks
def vstack(tensors, *, out=None):
    """Tensors joined one below the other."""
    tensors = _some("vstack", tensors)
    return _core.cat([t.reshape(1, -1) if t.ndim < 2 else t for t in tensors], 0, out=out)


def narrow(input, dim, start, length):
    """Elements `start` to `start + length` of one axis, as a view."""
    if isinstance(start, Tensor):
        if start.ndim or start.is_floating_point() or start.dtype == _core.bool:
            raise RuntimeError(
                f"narrow: a start that is a tensor must be 0-d and of integers, got shape"
                f" {tuple(start.shape)} of {start.dtype.name}"
            )
        start = int(start.item())
    return _core._narrow(input, dim, start, length)


def select(input, dim, index):
    """One position of an axis, which goes away, as a view."""
    return _core._select(input, dim, index)


def movedim(input, source, destination):
    """Axes moved to other places, as a view."""
    return _core._movedim(input, source, destination)


@speaks
def swapaxes(input, axis0, axis1):
    """Two axes exchanged, as a view."""
    return input.transpose(axis0, axis1)


@speaks
def t(input):
    """A matrix transposed, as a view."""
    if input.ndim > 2:
        raise RuntimeError(f"t: needs at most two axes, got shape {tuple(input.shape)}; use .mT")
    return input.transpose(0, 1) if input.ndim == 2 else input.view(input.shape)


def flatten(input, start_dim=0, end_dim=-1):
    """Several neighbouring axes as one.

    >>> schuss.zeros(2, 3, 5).flatten(1).shape
    schuss.Size([2, 15])
    """
    rank = input.ndim
    if rank == 0:
        return input.reshape(1)
    first, last = _axis("flatten", start_dim, rank), _axis("flatten", end_dim, rank)
    if first > last:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    if first == last:
        return input
    shape = tuple(input.shape)
    count = 1
    for size in shape[first : last + 1]:
        count *= size
    return input.reshape((*shape[:first], count, *shape[last + 1 :]))


def _axis(op: str, dim: int, rank: int) -> int:
    span = rank or 1
    if not -span <= dim < span:
        raise IndexError(
            f"{op}: axis {dim} is out of range for a tensor of {rank} axes"
            f" (expected {-span} to {span - 1})"
        )
    return dim % span


def unflatten(input, dim, sizes):
    """One axis as several; one size may be -1."""
    axis = _axis("unflatten", dim, input.ndim)
    shape = tuple(input.shape)
    sizes = list(sizes)
    if -1 in sizes:
        known = 1
        for size in sizes:
            known *= size if size != -1 else 1
        sizes[sizes.index(-1)] = shape[axis] // known if known else 0
    count = 1
    for size in sizes:
        count *= size
    if count != shape[axis]:
        raise RuntimeError(f"unflatten: {tuple(sizes)} does not hold axis {axis} of {shape}")
    return input.view((*shape[:axis], *sizes, *shape[axis + 1 :]))


def ravel(input):
    """All elements in one axis."""
    return input.reshape(-1)


@speaks
def expand_as(input, other):
    """Expanded to another tensor's shape, as a view."""
    return input.expand(other.shape)


@speaks
def view_as(input, other):
    """Seen under another tensor's shape."""
    return input.view(other.shape)


@speaks
def reshape_as(input, other):
    """Reshaped to another tensor's shape."""
    return input.reshape(other.shape)


@speaks
def broadcast_to(input, size):
    """Expanded to a shape, as a view."""
    return input.expand(size)


@speaks
def broadcast_tensors(*tensors):
    """Tensors expanded to the shape that they broadcast to, as views."""
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes(*(t.shape for t in tensors))
    return tuple(t.expand(shape) for t in tensors)


@speaks
def tile(input, *dims):
    """Repeated along each axis, axes counted from the end."""
    counts = list(dims[0]) if len(dims) == 1 and not isinstance(dims[0], int) else list(dims)
    counts = [1] * (input.ndim - len(counts)) + counts
    return input.repeat(counts)


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


def roll(input, shifts, dims=None):
    """Elements moved along an axis, those that fall off coming back at the other end."""
    if dims is None and input.ndim != 1:
        return roll(input.reshape(-1), shifts, 0).reshape(input.shape)
    dims = 0 if dims is None else dims
    shifts = [shifts] if isinstance(shifts, int) else list(shifts)
    dims = [dims] if isinstance(dims, int) else list(dims)
    if not shifts or len(shifts) != len(dims):
        raise RuntimeError(
            f"roll: {len(shifts)} shifts for {len(dims)} axes; give one shift for each axis"
        )
    found, shape = input, input.shape
    for shift, dim in zip(shifts, dims, strict=True):
        size = shape[_axis("roll", dim, len(shape))]
        if size and shift % size:
            cut = size - shift % size
            ends = _core._narrow(found, dim, cut, size - cut), _core._narrow(found, dim, 0, cut)
            found = _core.cat(ends, dim)
    return input.clone() if found is input else found


def diag(input, diagonal=0, *, out=None):
    """A vector as the diagonal of a matrix, or a matrix's diagonal as a vector."""
    if input.ndim == 2:
        return given("diag", input.diagonal(diagonal).clone(), out, same=True)
    if input.ndim != 1:
        raise RuntimeError(f"diag: needs one or two axes, got shape {tuple(input.shape)}")
    size = input.numel() + abs(diagonal)
    rows = _core.arange(input.numel(), device=input.device) + max(-diagonal, 0)
    made = _core.zeros(size, size, dtype=input.dtype, device=input.device)
    found = _core._put_at([made, input, rows, rows + diagonal], [0, 1], False, False)
    return given("diag", found, out, same=True)


@speaks
def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Vectors along the last axis as the diagonals of matrices."""
    n = input.shape[-1] + abs(offset)
    rows = _core.arange(input.shape[-1], device=input.device) + max(-offset, 0)
    made = _core.zeros(*input.shape[:-1], n, n, dtype=input.dtype, device=input.device)
    axes = [made.ndim - 2, made.ndim - 1]
    made = _core._put_at([made, input, rows, rows + offset], axes, False, False)
    return movedim(made, (-2, -1), (dim1, dim2))


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


def _at_index(op, input, dim, index, source, add):
    """A copy with the source put, or added, at the positions of an axis that the index lists."""
    axis = _axis(op, dim, input.ndim)
    if index.ndim > 1:
        raise IndexError(f"{op}: the index must be a vector, got shape {tuple(index.shape)}")
    if index.dtype not in (_core.int64, _core.int32):
        raise RuntimeError(f"{op}: the index must be int64 or int32, got {index.dtype}")
    index = index if index.ndim == 1 else index.reshape(-1)
    if input.ndim == 0:
        flat = source.reshape(-1) if isinstance(source, Tensor) else source
        return _at_index(op, input.reshape(1), 0, index, flat, add).reshape(())
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

    if not _refuses_at_once(input):
        must_fit()
    elif op != "index_fill":
        put = _core._scatter_add if add else _core._scatter
        places = _under(index, wanted, axis)
        wide = source if source.ndim else source.expand(wanted)
        return _tried(lambda: put(input, places, wide, axis), must_fit)
    return _tried(lambda: _core._put_at([input, source, index], [axis], False, add), must_fit)


def index_add(input, dim, index, source, *, alpha=1, out=None):
    """A copy with the source added at the positions of an axis that the index lists."""
    source = source if alpha == 1 else source * alpha
    found = _at_index("index_add", input, dim, index, source, True)
    return given("index_add", found, out, same=True)


def index_copy(input, dim, index, source, *, out=None):
    """A copy with the source written at the positions of an axis that the index lists."""
    found = _at_index("index_copy", input, dim, index, source, False)
    return given("index_copy", found, out, same=True)


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
    "broadcast_tensors",
    "broadcast_to",
    "chunk",
    "concatenate",
    "diag",
    "diag_embed",
    "flatten",
    "gather",
    "hstack",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_select",
    "masked_select",
    "movedim",
    "narrow",
    "nonzero",
    "ravel",
    "repeat_interleave",
    "roll",
    "scatter",
    "scatter_add",
    "select",
    "split",
    "stack",
    "swapaxes",
    "t",
    "take",
    "take_along_dim",
    "tile",
    "unbind",
    "unflatten",
    "vstack",
]
