"""Tensors in other shapes and orders: reshaping, joining, splitting, picking.
Leans on the core's views and indexing and on the conversion of values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss import ShapeError, Tensor
from schuss.tf.conversion import convert_to_tensor, integers, operand, sizes, strict
from schuss.tf.dtypes import as_dtype, int32, name_of
from schuss.tf.errors import BoundsError, ConversionError

if TYPE_CHECKING:
    from typing import Any


def place(name: str, axis: Any, rank: int) -> int:
    """The axis counted from the front; one out of range raises IndexError and ValueError at once.

    >>> place("concat", -1, 3)
    2
    """
    axis = int(axis)
    if not -rank <= axis < rank:
        raise BoundsError(f"{name}: axis {axis} is out of range for rank {rank}")
    return axis % rank


def places(name: str, axis: Any, rank: int) -> list[int]:
    """Axes given as None (all of them), a number, a list or a tensor.

    >>> places("reduce_sum", [0, -1], 3)
    [0, 2]
    """
    if axis is None:
        return list(range(rank))
    found = [place(name, a, rank) for a in np.ravel(np.asarray(axis, dtype=object))]
    if len(set(found)) < len(found):
        raise ShapeError(f"{name}: axis {axis} names an axis twice; name each once")
    return found


def shape(input: Any, out_type: Any = int32, name: str | None = None) -> Tensor:
    """The sizes of a tensor's axes, as a tensor.

    >>> shape([[1, 2, 3]]).tolist()
    [1, 3]
    """
    return convert_to_tensor(np.array(operand(input).shape, dtype=np.int64), None).to(
        as_dtype(out_type)
    )


def rank(input: Any, name: str | None = None) -> Tensor:
    """The number of axes, as a tensor.

    >>> int(rank([[1, 2, 3]]))
    2
    """
    return convert_to_tensor(operand(input).ndim)


def size(input: Any, out_type: Any = int32, name: str | None = None) -> Tensor:
    """The number of elements, as a tensor.

    >>> int(size([[1, 2, 3]]))
    3
    """
    return convert_to_tensor(operand(input).numel(), out_type)


def identity(input: Any, name: str | None = None) -> Tensor:
    """The same elements as an operation of its own, which a tape records.

    >>> identity([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    return operand(input).clone()


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Tensor:
    """The same elements in another shape; one size may be -1.

    >>> reshape([1, 2, 3, 4], [2, -1]).tolist()
    [[1, 2], [3, 4]]
    """
    whole = np.ravel(np.asarray(shape, dtype=object))
    return operand(tensor).reshape([int(s) for s in whole])


def transpose(a: Any, perm: Any = None, conjugate: bool = False, name: str | None = None) -> Tensor:
    """The axes in another order, reversed where none is given.

    >>> transpose([[1, 2], [3, 4]]).tolist()
    [[1, 3], [2, 4]]
    """
    x = operand(a)
    order = range(x.ndim)[::-1] if perm is None else places("transpose", perm, x.ndim)
    if len(order) != x.ndim:
        raise ShapeError(f"transpose: {x.ndim} axes but perm {list(order)}; name every axis once")
    return x.permute(*order) if x.ndim else x


def expand_dims(input: Any, axis: Any, name: str | None = None) -> Tensor:
    """A new axis of size 1.

    >>> expand_dims([1, 2], -1).tolist()
    [[1], [2]]
    """
    x = operand(input)
    return x.unsqueeze(place("expand_dims", axis, x.ndim + 1))


def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Tensor:
    """Without the axes of size 1, or without those named; one of another size raises ValueError.

    >>> squeeze([[1], [2]]).tolist()
    [1, 2]
    """
    x = operand(input)
    given = places("squeeze", axis, x.ndim)
    gone = [a for a in given if x.shape[a] == 1]
    if axis is not None and len(gone) < len(given):
        raise ShapeError(f"squeeze: shape {tuple(x.shape)} has an axis of {axis} that is not 1")
    return x.reshape([n for a, n in enumerate(x.shape) if a not in gone])


def concat(values: Any, axis: Any, name: str | None = None) -> Tensor:
    """Tensors one after the other along an axis.

    >>> concat([[[1, 2]], [[3, 4]]], 0).tolist()
    [[1, 2], [3, 4]]
    """
    parts = _alike("concat", values)
    return schuss.cat(parts, place("concat", axis, parts[0].ndim))


def stack(values: Any, axis: int = 0, name: str | None = None) -> Tensor:
    """Tensors of one shape along a new axis.

    >>> stack([[1, 2], [3, 4]], axis=1).tolist()
    [[1, 3], [2, 4]]
    """
    parts = _alike("stack", values)
    return schuss.stack(parts, place("stack", axis, parts[0].ndim + 1))


def _alike(name: str, values: Any) -> list[Tensor]:
    """Tensors of one dtype: that of the first tensor among them, or of the first value."""
    values = list(values)
    if not values:
        raise ValueError(f"{name}: an empty list; give at least one tensor")
    model = next((v for v in values if isinstance(v, Tensor)), None)
    dtype = operand(values[0]).dtype if model is None else model.dtype
    parts = [operand(v, dtype) for v in values]
    if any(part.dtype != dtype for part in parts):
        names = ", ".join(name_of(part.dtype) for part in parts[:4])
        raise ConversionError(f"{name}: dtypes {names} differ; use tf.cast")
    return parts


def unstack(
    value: Any, num: int | None = None, axis: int = 0, name: str = "unstack"
) -> list[Tensor]:
    """The slices along an axis, as a list; a num that is not their number raises ValueError.

    >>> [x.tolist() for x in unstack([[1, 2], [3, 4]])]
    [[1, 2], [3, 4]]
    """
    x = operand(value)
    at = place("unstack", axis, x.ndim)
    if num is not None and num != x.shape[at]:
        raise ShapeError(f"unstack: num is {num}, the axis has {x.shape[at]}; leave num out")
    return list(x.unbind(at))


def split(
    value: Any, num_or_size_splits: Any, axis: int = 0, num: int | None = None, name: str = "split"
) -> list[Tensor]:
    """Parts along an axis: a number of equal ones, or one of each size (one size may be -1).

    >>> [x.tolist() for x in split([1, 2, 3, 4], 2)]
    [[1, 2], [3, 4]]
    """
    x = operand(value)
    at = place("split", axis, x.ndim)
    length = x.shape[at]
    if np.ndim(num_or_size_splits) == 0:
        count = int(num_or_size_splits)
        if count < 1 or length % count:
            raise ShapeError(f"split: {length} does not split into {count} equal parts")
        parts = [length // count] * count
    else:
        parts = [int(n) for n in num_or_size_splits]
        if parts.count(-1) == 1:
            parts[parts.index(-1)] = length - sum(parts) - 1
        if sum(parts) != length or min(parts, default=0) < 0:
            raise ShapeError(f"split: sizes {parts} do not sum to {length}")
    return list(x.split(parts, at))


def tile(input: Any, multiples: Any, name: str | None = None) -> Tensor:
    """The tensor repeated along each axis.

    >>> tile([1, 2], [2]).tolist()
    [1, 2, 1, 2]
    """
    x = operand(input)
    times = sizes(multiples)
    if len(times) != x.ndim:
        raise ShapeError(f"tile: {x.ndim} axes but multiples {times}; give one for each axis")
    pairs = list(zip(times, x.shape, strict=True))
    apart = x.reshape([n for _, length in pairs for n in (1, length)])
    repeated = apart.expand([n for pair in pairs for n in pair])
    return repeated.reshape([many * length for many, length in pairs])


def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """The tensor as if it had the shape, its axes of size 1 repeated.

    >>> broadcast_to([1, 2], [2, 2]).tolist()
    [[1, 2], [1, 2]]
    """
    return operand(input).expand(sizes(shape))


def reverse(tensor: Any, axis: Any, name: str | None = None) -> Tensor:
    """The elements in reverse along the axes.

    >>> reverse([1, 2, 3], [0]).tolist()
    [3, 2, 1]
    """
    x = operand(tensor)
    return x.flip(places("reverse", axis, x.ndim))


def gather(
    params: Any,
    indices: Any,
    validate_indices: bool | None = None,
    axis: int | None = None,
    batch_dims: int = 0,
    name: str | None = None,
) -> Tensor:
    """The slices of an axis (the first) at integer places; one out of range raises IndexError.

    >>> gather([10, 20, 30], [2, 0]).tolist()
    [30, 10]
    """
    if batch_dims:
        raise NotImplementedError("gather: batch_dims is not supported; index with arrays instead")
    x, at = operand(params), operand(indices)
    axis = place("gather", axis or 0, x.ndim)
    check_bounds("gather", at, x.shape[axis])
    return x[(slice(None),) * axis + (at,)]


def check_bounds(name: str, indices: Tensor, length: int) -> None:
    """Raise IndexError (a ValueError too) where an index is below 0 or not below the length.

    >>> check_bounds("gather", convert_to_tensor([0, 1]), 2)
    """
    if not integers(name, indices).numel():
        return
    for found in (int(indices.min()), int(indices.max())):
        if not 0 <= found < length:
            raise BoundsError(f"{name}: index {found} is not in [0, {length})")


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """x where the condition holds and y elsewhere; without them, the places where it holds.

    >>> where([True, False], [1, 2], [3, 4]).tolist(), where([False, True]).tolist()
    ([1, 4], [[1]])
    """
    chosen = operand(condition)
    if x is None and y is None:
        return strict(schuss.tensor(np.argwhere(np.asarray(chosen.detach()))))
    if x is None or y is None:
        raise ValueError("where: give both x and y, or neither")
    if not isinstance(x, Tensor) and isinstance(y, Tensor):
        x = operand(x, y.dtype)
    x = operand(x)
    return schuss.where(chosen, x, operand(y, x.dtype))


def boolean_mask(tensor: Any, mask: Any, axis: int | None = None, name: str = "mask") -> Tensor:
    """The slices whose mask is true; the mask covers axes from `axis` (the first) on.

    >>> boolean_mask([1, 2, 3], [True, False, True]).tolist()
    [1, 3]
    """
    x, chosen = operand(tensor), operand(mask)
    at = place("boolean_mask", axis or 0, x.ndim)
    covered = tuple(x.shape[at : at + chosen.ndim])
    if covered != tuple(chosen.shape) or not chosen.ndim:
        raise ShapeError(
            f"boolean_mask: mask {tuple(chosen.shape)} over axes {covered} of {tuple(x.shape)}; "
            "give a mask of those sizes"
        )
    return x[(slice(None),) * at + (chosen,)]
