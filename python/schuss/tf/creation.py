"""Tensors out of nothing but a shape: zeros, ones, ranges and their like.
Leans on the core's creation functions and on the conversion of values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import ShapeError
from schuss.tf.conversion import (
    constant,
    convert_to_tensor,
    integers,
    operand,
    sizes,
    strict,
)
from schuss.tf.dtypes import as_dtype, float32, float64
from schuss.tf.errors import BoundsError

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


def zeros(shape: Any, dtype: Any = float32, name: str | None = None) -> Tensor:
    """Zeros of a shape.

    >>> zeros([2], "int32").tolist()
    [0, 0]
    """
    return strict(schuss.zeros(sizes(shape), dtype=as_dtype(dtype)))


def ones(shape: Any, dtype: Any = float32, name: str | None = None) -> Tensor:
    """Ones of a shape.

    >>> ones([2]).tolist()
    [1.0, 1.0]
    """
    return strict(schuss.ones(sizes(shape), dtype=as_dtype(dtype)))


def fill(dims: Any, value: Any, name: str | None = None) -> Tensor:
    """One value everywhere, in the dtype that the value has by itself.

    >>> fill([2], 3).tolist(), fill([2], 3).dtype
    ([3, 3], schuss.int32)
    """
    return convert_to_tensor(value).expand(sizes(dims))


def zeros_like(input: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """Zeros of another tensor's shape, and of its dtype unless one is given.

    >>> zeros_like([1.0, 2.0]).tolist()
    [0.0, 0.0]
    """
    model = operand(input)
    return zeros(model.shape, model.dtype if dtype is None else dtype)


def ones_like(input: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """Ones of another tensor's shape, and of its dtype unless one is given.

    >>> ones_like([1.0, 2.0]).tolist()
    [1.0, 1.0]
    """
    model = operand(input)
    return ones(model.shape, model.dtype if dtype is None else dtype)


def eye(
    num_rows: int,
    num_columns: int | None = None,
    batch_shape: Any = None,
    dtype: Any = float32,
    name: str | None = None,
) -> Tensor:
    """A matrix, or a batch of them, with ones on the diagonal.

    >>> eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    columns = num_rows if num_columns is None else num_columns
    made = strict(schuss.eye(num_rows, columns, dtype=as_dtype(dtype)))
    return made if batch_shape is None else made.expand((*sizes(batch_shape), num_rows, columns))


def range(
    start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None
) -> Tensor:
    """Numbers from start (0 where only a limit is given) to below the limit, delta apart.

    Integers give int32, anything with a float in it float32. A delta of 0 raises ValueError.

    >>> range(1, 6, 2).tolist()
    [1, 3, 5]
    """
    if limit is None:
        start, limit = 0, start
    ends = [operand(v) for v in (start, limit, delta)]
    if any(end.ndim for end in ends):
        raise ValueError("range: start, limit and delta are numbers; got a tensor with axes")
    if not ends[2].item():
        raise ShapeError("range: delta is 0; the steps must lead from start to limit")
    found = as_dtype(dtype) if dtype is not None else _widest(ends)
    return strict(schuss.arange(*(end.item() for end in ends), dtype=found))


def _widest(ends: list[Tensor]) -> Any:
    order = [schuss.int32, schuss.int64, schuss.float32, schuss.float64]
    return max((end.dtype for end in ends), key=lambda d: order.index(d) if d in order else 0)


def linspace(start: Any, stop: Any, num: Any, name: str | None = None, axis: int = 0) -> Tensor:
    """Numbers evenly apart from start to stop, both included; integers give float64.

    >>> linspace(0.0, 1.0, 3).tolist()
    [0.0, 0.5, 1.0]
    """
    first = operand(start)
    last = operand(stop, first.dtype)
    if axis != 0 or first.ndim or last.ndim:
        raise ValueError("linspace: start and stop are numbers and axis is 0; got tensors or axes")
    if int(num) < 1:
        raise ValueError(f"linspace: num is {int(num)}; it must be at least 1")
    dtype = first.dtype if first.dtype.is_floating_point else float64
    return strict(schuss.linspace(first.item(), last.item(), int(num), dtype=dtype))


def one_hot(
    indices: Any,
    depth: Any,
    on_value: Any = None,
    off_value: Any = None,
    axis: int | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> Tensor:
    """A new axis of size depth that is on at the index and off elsewhere; -1 is off everywhere.

    >>> one_hot([0, 2], 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    places = integers("one_hot", indices)
    rank = places.ndim + 1
    at = rank - 1 if axis is None or axis == -1 else axis
    if not 0 <= at < rank:
        raise BoundsError(f"one_hot: axis {axis} is out of range for a result of rank {rank}")
    shape = [1] * rank
    shape[at] = int(depth)
    steps = schuss.arange(int(depth), dtype=places.dtype).reshape(shape)
    if dtype is None:
        given = [operand(v) for v in (on_value, off_value) if v is not None]
        dtype = given[0].dtype if given else float32
    on = constant(1 if on_value is None else on_value, dtype)
    off = constant(0 if off_value is None else off_value, dtype)
    return strict(schuss.where(places.unsqueeze(at) == strict(steps), on, off))
