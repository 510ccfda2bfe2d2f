"""Sorting, padding, counting, and elements by lists of places, by TensorFlow's names.
Leans on the core's operations and on the conversion of values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import ShapeError, Tensor
from schuss.nn import functional as F
from schuss.tf.conversion import operand, strict

if TYPE_CHECKING:
    from typing import Any


def sort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None
) -> Tensor:
    """The values in order along an axis; direction is ASCENDING or DESCENDING.

    >>> sort([3, 1, 2]).tolist()
    [1, 2, 3]
    """
    return strict(operand(values).sort(axis, descending=_falling(direction)).values)


def argsort(
    values: Any,
    axis: int = -1,
    direction: str = "ASCENDING",
    stable: bool = False,
    name: str | None = None,
) -> Tensor:
    """Where the values in order come from, as int32.

    >>> argsort([3, 1, 2]).tolist()
    [1, 2, 0]
    """
    found = operand(values).sort(axis, descending=_falling(direction)).indices
    return strict(found.to(schuss.int32))


def _falling(direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(f"sort: direction is ASCENDING or DESCENDING, got {direction!r}")
    return direction == "DESCENDING"


def top_k(input: Any, k: int = 1, sorted: bool = True, name: str | None = None) -> Any:
    """The k largest of the last axis, and where they are as int32.

    >>> [part.tolist() for part in top_k([3.0, 1.0, 2.0], 2)]
    [[3.0, 2.0], [0, 2]]
    """
    values, indices = operand(input).topk(k)
    return strict(values), strict(indices.to(schuss.int32))


def unique(x: Any, name: str | None = None) -> Any:
    """The values of a list, each once in the order in which they come, and each one's place there.

    >>> [part.tolist() for part in unique([5, 3, 5])]
    [[5, 3], [0, 1, 0]]
    """
    places: dict[Any, int] = {}
    at = [places.setdefault(value, len(places)) for value in operand(x).tolist()]
    values = schuss.tensor(list(places), dtype=operand(x).dtype)
    return strict(values), strict(schuss.tensor(at, dtype=schuss.int32))


def pad(
    tensor: Any,
    paddings: Any,
    mode: str = "CONSTANT",
    constant_values: Any = 0,
    name: str | None = None,
) -> Tensor:
    """A tensor with borders: a pair of widths for each axis; mode CONSTANT, REFLECT or SYMMETRIC.

    >>> pad([[1]], [[1, 0], [0, 2]]).tolist()
    [[0, 0, 0], [1, 0, 0]]
    """
    x = operand(tensor)
    widths = [tuple(pair) for pair in operand(paddings).tolist()]
    if len(widths) != x.ndim or any(len(pair) != 2 for pair in widths):
        raise ShapeError(f"pad: {len(widths)} pairs of widths for {x.ndim} axes")
    if mode.upper() == "CONSTANT":
        flat = [width for pair in reversed(widths) for width in pair]
        return strict(F.pad(x, flat, value=constant_values))
    if mode.upper() not in ("REFLECT", "SYMMETRIC"):
        raise ValueError(f"pad: mode is CONSTANT, REFLECT or SYMMETRIC, got {mode!r}")
    skip = 1 if mode.upper() == "REFLECT" else 0
    for axis, (before, after) in enumerate(widths):
        n = x.shape[axis]
        if max(before, after) > n - skip:
            raise ShapeError(f"pad: borders of {before} and {after} beside {n} elements")
        left = list(range(before + skip - 1, skip - 1, -1))
        right = list(range(n - 1 - skip, n - 1 - skip - after, -1))
        x = x.index_select(axis, schuss.tensor([*left, *range(n), *right], dtype=schuss.int64))
    return strict(x)


def repeat(input: Any, repeats: Any, axis: int | None = None, name: str | None = None) -> Tensor:
    """Each element several times.

    >>> repeat([1, 2], 2).tolist()
    [1, 1, 2, 2]
    """
    counts = repeats if isinstance(repeats, int) else operand(repeats).to(schuss.int64)
    return strict(schuss.repeat_interleave(operand(input), counts, axis))


def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Tensor:
    """The elements moved along an axis, from the end to the beginning.

    >>> roll([1, 2, 3], 1, 0).tolist()
    [3, 1, 2]
    """
    return strict(schuss.roll(operand(input), shift, axis))


def meshgrid(*args: Any, indexing: str = "xy", name: str | None = None) -> list[Tensor]:
    """Coordinates of every point of a grid.

    >>> [part.tolist() for part in meshgrid([1, 2], [3])]
    [[[1, 2]], [[3, 3]]]
    """
    return [strict(part) for part in schuss.meshgrid(*map(operand, args), indexing=indexing)]


def einsum(equation: str, *inputs: Any, name: str | None = None) -> Tensor:
    """Sums of products by Einstein's notation.

    >>> einsum("i,i->", [1.0, 2.0], [3.0, 4.0]).numpy()
    array(11., dtype=float32)
    """
    return strict(schuss.einsum(equation, *map(operand, inputs)))


def _places(indices: Any) -> tuple[Tensor, ...]:
    return operand(indices).to(schuss.int64).unbind(-1)


def gather_nd(params: Any, indices: Any, name: str | None = None) -> Tensor:
    """The elements, or parts, at places that the last axis of indices names.

    >>> gather_nd([[1, 2], [3, 4]], [[0, 1], [1, 0]]).tolist()
    [2, 3]
    """
    return strict(operand(params)[_places(indices)])


def scatter_nd(indices: Any, updates: Any, shape: Any, name: str | None = None) -> Tensor:
    """Zeros of a shape with updates added at places.

    >>> scatter_nd([[1], [1]], [2, 3], [3]).tolist()
    [0, 5, 0]
    """
    given = operand(updates)
    sizes = operand(shape).tolist()
    zeros = schuss.zeros(sizes, dtype=given.dtype)
    return strict(zeros.index_put(_places(indices), given, accumulate=True))


def tensor_scatter_nd_update(
    tensor: Any, indices: Any, updates: Any, name: str | None = None
) -> Tensor:
    """A tensor with updates in the place of what is there.

    >>> tensor_scatter_nd_update([1, 2, 3], [[0]], [9]).tolist()
    [9, 2, 3]
    """
    return strict(operand(tensor).index_put(_places(indices), operand(updates)))


def tensor_scatter_nd_add(
    tensor: Any, indices: Any, updates: Any, name: str | None = None
) -> Tensor:
    """A tensor with updates added to what is there.

    >>> tensor_scatter_nd_add([1, 2, 3], [[0]], [9]).tolist()
    [10, 2, 3]
    """
    return strict(operand(tensor).index_put(_places(indices), operand(updates), accumulate=True))
