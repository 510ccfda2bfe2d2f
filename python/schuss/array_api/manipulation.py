"""Arrays put together, taken apart, and laid out otherwise.
Leans on arrangement; nothing here computes."""

from __future__ import annotations

import schuss
from schuss import _core
from schuss._core import Tensor
from schuss.arrangement import _axis
from schuss.array_api.dtypes import result_type


def broadcast_arrays(*arrays):
    """Arrays stretched to the shape that all give together.

    >>> schuss.array_api.broadcast_arrays(schuss.ones(2), schuss.ones(3, 1))[1].shape
    schuss.Size([3, 2])
    """
    return tuple(schuss.broadcast_tensors(*arrays))


def broadcast_shapes(*shapes):
    """The shape that several give together; raises ValueError where they do not fit.

    >>> schuss.array_api.broadcast_shapes((2,), (3, 1))
    (3, 2)
    """
    try:
        return tuple(schuss.broadcast_shapes(*shapes))
    except RuntimeError as error:
        raise _core.ShapeError(*error.args) from None


def broadcast_to(x, /, shape):
    """An array stretched to a shape.

    >>> schuss.array_api.broadcast_to(schuss.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return x.broadcast_to(tuple(shape))


def _alike(arrays):
    """Arrays in the dtype that all give together."""
    kind = result_type(*arrays)
    return [x.to(dtype=kind) for x in arrays]


def concat(arrays, /, *, axis=0):
    """Arrays joined along an axis, or all their elements where the axis is None.

    >>> schuss.array_api.concat([schuss.tensor([1]), schuss.tensor([2, 3])])
    tensor([1, 2, 3])
    """
    if axis is None:
        arrays, axis = [x.reshape(-1) for x in arrays], 0
    arrays = _alike(arrays)
    axis = _axis("concat", axis, arrays[0].ndim)
    beside = [x.shape[:axis] + x.shape[axis + 1 :] for x in arrays]
    for x, sizes in zip(arrays, beside, strict=True):
        if x.ndim != arrays[0].ndim or sizes != beside[0]:
            raise _core.ShapeError(
                f"concat: shapes {tuple(arrays[0].shape)} and {tuple(x.shape)} differ beside"
                f" axis {axis}"
            )
    return _core.cat(arrays, axis)


def stack(arrays, /, *, axis=0):
    """Arrays of one shape joined along a new axis.

    >>> schuss.array_api.stack([schuss.ones(3), schuss.ones(3)]).shape
    schuss.Size([2, 3])
    """
    return schuss.stack(_alike(arrays), axis)


def unstack(x, /, *, axis=0):
    """The parts of an array along an axis.

    >>> schuss.array_api.unstack(schuss.tensor([1, 2]))
    (tensor(1), tensor(2))
    """
    return tuple(schuss.unbind(x, axis))


def expand_dims(x, /, axis):
    """Axes of size 1 put in, at places counted in what comes out.

    >>> schuss.array_api.expand_dims(schuss.ones(3), (0, 2)).shape
    schuss.Size([1, 3, 1])
    """
    listed = [axis] if isinstance(axis, int) else list(axis)
    rank = x.ndim + len(listed)
    for a in listed:
        if not -rank <= a < rank:
            raise IndexError(f"expand_dims: axis {a} is out of range for {rank} axes")
    places = sorted(a % rank for a in listed)
    if len(set(places)) != len(places):
        raise ValueError(f"expand_dims: {axis} names an axis twice")
    for a in places:
        x = x.unsqueeze(a)
    return x


def squeeze(x, /, axis):
    """Axes of size 1 taken out; raises ValueError where one has another size.

    >>> schuss.array_api.squeeze(schuss.ones(1, 3), 0).shape
    schuss.Size([3])
    """
    listed = [axis] if isinstance(axis, int) else list(axis)
    places = {_axis("squeeze", a, x.ndim) for a in listed}
    for a in places:
        if x.shape[a] != 1:
            raise ValueError(f"squeeze: axis {a} of shape {tuple(x.shape)} is not of size 1")
    for a in sorted(places, reverse=True):
        x = x.squeeze(a)
    return x


def flip(x, /, *, axis=None):
    """The order of elements turned round along axes, or along all.

    >>> schuss.array_api.flip(schuss.tensor([1, 2, 3]))
    tensor([3, 2, 1])
    """
    listed = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    return x.flip(list(listed)) if listed else x.clone()


def moveaxis(x, source, destination, /):
    """Axes moved to other places.

    >>> schuss.array_api.moveaxis(schuss.ones(2, 3, 4), 0, 2).shape
    schuss.Size([3, 4, 2])
    """
    return x.movedim(source, destination)


def permute_dims(x, /, axes):
    """The axes in another order.

    >>> schuss.array_api.permute_dims(schuss.ones(2, 3, 4), (2, 0, 1)).shape
    schuss.Size([4, 2, 3])
    """
    return x.permute(tuple(axes))


def repeat(x, repeats, /, *, axis=None):
    """Every element (or part along an axis) repeated, each as often as `repeats` says.

    >>> schuss.array_api.repeat(schuss.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if isinstance(repeats, Tensor):
        repeats = repeats.to(dtype=_core.int64)
        size = x.numel() if axis is None else x.shape[axis]
        if repeats.ndim == 0 or (repeats.shape[0] == 1 and size != 1):
            repeats = repeats.reshape(1).broadcast_to((size,))
    return schuss.repeat_interleave(x, repeats, axis)


def reshape(x, /, shape, *, copy=None):
    """The elements in another shape; with `copy=False` ValueError where they had to be moved.

    >>> schuss.array_api.reshape(schuss.tensor([1, 2, 3, 4]), (2, 2))
    tensor([[1, 2],
            [3, 4]])
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if copy:
        return x.clone().reshape(shape)
    if copy is False:
        try:
            return x.view(shape)
        except RuntimeError as error:
            raise ValueError(f"reshape: {error}; use copy=None") from None
    return x.reshape(shape)


def roll(x, /, shift, *, axis=None):
    """Elements moved along axes, those that fall off put in front again.

    >>> schuss.array_api.roll(schuss.tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    if isinstance(axis, (tuple, list)) and isinstance(shift, int):
        shift = (shift,) * len(axis)
    return schuss.roll(x, shift, axis)


def tile(x, repetitions, /):
    """An array laid side by side with itself.

    >>> schuss.array_api.tile(schuss.tensor([1, 2]), (2,))
    tensor([1, 2, 1, 2])
    """
    return schuss.tile(x, tuple(repetitions))


__all__ = [
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "moveaxis",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "squeeze",
    "stack",
    "tile",
    "unstack",
]
