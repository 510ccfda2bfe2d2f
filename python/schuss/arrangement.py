"""Where elements stand: parts, joins and other orders. Leans on the core's views."""

from __future__ import annotations

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


__all__ = [
    "broadcast_tensors",
    "broadcast_to",
    "chunk",
    "concatenate",
    "diag",
    "diag_embed",
    "flatten",
    "hstack",
    "movedim",
    "narrow",
    "ravel",
    "roll",
    "select",
    "split",
    "stack",
    "swapaxes",
    "t",
    "tile",
    "unbind",
    "unflatten",
    "vstack",
]
