"""Many elements to few: sums, means, extremes, norms, and clipping by a norm.
Leans on the core's reductions and on the axes of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import DTypeError, ShapeError, Tensor
from schuss.tf.arrangement import place, places
from schuss.tf.conversion import operand
from schuss.tf.dtypes import as_dtype, int64
from schuss.tf.mathematics import floats, truths

if TYPE_CHECKING:
    from typing import Any


def _number(name: str, value: Any) -> Tensor:
    x = operand(value)
    if x.dtype == schuss.bool:
        raise DTypeError(f"{name}: needs numbers, got bool; use tf.cast(x, tf.int32)")
    return x


def reduce_sum(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """The sum over the axes (all of them), in the tensor's own dtype.

    >>> reduce_sum([[1, 2], [3, 4]], axis=0).tolist()
    [4, 6]
    """
    x = _number("reduce_sum", input_tensor)
    axes = places("reduce_sum", axis, x.ndim)
    if x.dtype.is_floating_point:
        return schuss.sum(x, axes, keepdims) if axes else x.clone()
    return schuss.sum(x, axes, keepdims, dtype=x.dtype) if axes else x.clone()


def reduce_mean(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """The mean over the axes (all of them); that of integers is an integer, its fraction cut off.

    >>> float(reduce_mean([1.0, 2.0])), int(reduce_mean([1, 2]))
    (1.5, 1)
    """
    x = _number("reduce_mean", input_tensor)
    axes = places("reduce_mean", axis, x.ndim)
    if x.dtype.is_floating_point:
        return schuss.mean(x, axes, keepdims) if axes else x.clone()
    count = 1
    for a in axes:
        count *= x.shape[a]
    if not count:
        raise ShapeError(f"reduce_mean: no integers to average in shape {tuple(x.shape)}")
    total = reduce_sum(x, axes, keepdims)
    return schuss.sign(total) * (schuss.abs(total) // count)


def reduce_max(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """The largest element; equal ones share the gradient evenly.

    >>> reduce_max([[1, 2], [4, 3]], axis=1).tolist()
    [2, 4]
    """
    x = _number("reduce_max", input_tensor)
    axes = places("reduce_max", axis, x.ndim)
    return schuss.amax(x, axes, keepdims) if axes else x.clone()


def reduce_min(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """The smallest element; equal ones share the gradient evenly.

    >>> reduce_min([[1, 2], [4, 3]], axis=1).tolist()
    [1, 3]
    """
    x = _number("reduce_min", input_tensor)
    axes = places("reduce_min", axis, x.ndim)
    return schuss.amin(x, axes, keepdims) if axes else x.clone()


def reduce_prod(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """The product over the axes (all of them), in the tensor's own dtype.

    >>> int(reduce_prod([2, 3, 4]))
    24
    """
    x = _number("reduce_prod", input_tensor)
    for a in sorted(places("reduce_prod", axis, x.ndim), reverse=True):
        x = schuss.prod(x, a, keepdims, dtype=x.dtype)
    return x


def reduce_any(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """Whether any element is true; anything but booleans raises TypeError.

    >>> bool(reduce_any([True, False]))
    True
    """
    x = truths("reduce_any", input_tensor)
    for a in sorted(places("reduce_any", axis, x.ndim), reverse=True):
        x = schuss.any(x, a, keepdims)
    return x


def reduce_all(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """Whether all elements are true; anything but booleans raises TypeError.

    >>> bool(reduce_all([True, False]))
    False
    """
    x = truths("reduce_all", input_tensor)
    for a in sorted(places("reduce_all", axis, x.ndim), reverse=True):
        x = schuss.all(x, a, keepdims)
    return x


def reduce_variance(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """The mean squared distance from the mean.

    >>> float(reduce_variance([1.0, 3.0]))
    1.0
    """
    x = floats("reduce_variance", input_tensor)
    away = x - reduce_mean(x, axis, keepdims=True)
    return reduce_mean(schuss.square(away), axis, keepdims)


def reduce_std(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """The square root of the variance.

    >>> float(reduce_std([1.0, 5.0]))
    2.0
    """
    return schuss.sqrt(reduce_variance(input_tensor, axis, keepdims))


def reduce_logsumexp(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """The logarithm of the sum of exponentials, without overflow.

    >>> float(reduce_logsumexp([1000.0]))
    1000.0
    """
    x = floats("reduce_logsumexp", input_tensor)
    axes = places("reduce_logsumexp", axis, x.ndim)
    return schuss.logsumexp(x, axes, keepdims) if axes else x.clone()


def argmax(
    input: Any, axis: int | None = None, output_type: Any = int64, name: str | None = None
) -> Tensor:
    """The first place of the largest element along an axis (the first).

    >>> argmax([[1, 5], [4, 2]], axis=1).tolist()
    [1, 0]
    """
    x = operand(input)
    return schuss.argmax(x, place("argmax", axis or 0, x.ndim)).to(as_dtype(output_type))


def argmin(
    input: Any, axis: int | None = None, output_type: Any = int64, name: str | None = None
) -> Tensor:
    """The first place of the smallest element along an axis (the first).

    >>> argmin([[1, 5], [4, 2]], axis=1).tolist()
    [0, 1]
    """
    x = operand(input)
    return schuss.argmin(x, place("argmin", axis or 0, x.ndim)).to(as_dtype(output_type))


def cumsum(x: Any, axis: int = 0, name: str | None = None) -> Tensor:
    """The running sum along an axis, in the tensor's own dtype.

    >>> cumsum([1, 2, 3]).tolist()
    [1, 3, 6]
    """
    x = _number("cumsum", x)
    return schuss.cumsum(x, place("cumsum", axis, x.ndim), dtype=x.dtype)


def norm(
    tensor: Any,
    ord: Any = "euclidean",
    axis: Any = None,
    keepdims: bool = False,
    name: str | None = None,
) -> Tensor:
    """The vector norm of the axes (all of them): 'euclidean', 1, 2, another number, or infinity.

    >>> float(norm([3.0, 4.0])), float(norm([3.0, -4.0], ord=1))
    (5.0, 7.0)
    """
    x = floats("norm", tensor)
    if ord in ("euclidean", 2):
        return schuss.sqrt(reduce_sum(schuss.square(x), axis, keepdims))
    if ord == 1:
        return reduce_sum(schuss.abs(x), axis, keepdims)
    if ord == float("inf"):
        return reduce_max(schuss.abs(x), axis, keepdims)
    if not isinstance(ord, (int, float)) or ord <= 0:
        raise ValueError(f"norm: ord {ord!r} is unknown; use 'euclidean', a number above 0 or inf")
    return reduce_sum(schuss.abs(x) ** ord, axis, keepdims) ** (1.0 / ord)


def global_norm(t_list: Any, name: str | None = None) -> Tensor:
    """The euclidean norm of all tensors of a list together; None counts for nothing.

    >>> float(global_norm([[3.0], None, [4.0]]))
    5.0
    """
    squares = [reduce_sum(schuss.square(floats("global_norm", t))) for t in t_list if t is not None]
    if not squares:
        raise ValueError("global_norm: no tensor in the list; give at least one")
    return schuss.sqrt(schuss.stack(squares).sum())


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Tensor:
    """The tensor, made shorter where its norm is above clip_norm; 0 has a gradient of 0 or 1.

    >>> [round(v, 4) for v in clip_by_norm([3.0, 4.0], 1.0).tolist()]
    [0.6, 0.8]
    """
    x = floats("clip_by_norm", t)
    squares = reduce_sum(schuss.square(x), axes, keepdims=True)
    some = squares > 0
    # The root of 0 has no slope; the inner where keeps it out of the gradient.
    one = operand(1, x.dtype)
    length = schuss.where(some, schuss.sqrt(schuss.where(some, squares, one)), squares)
    limit = operand(clip_norm, x.dtype)
    return x * limit / schuss.maximum(length, limit)


def clip_by_global_norm(
    t_list: Any, clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Tensor | None], Tensor]:
    """The tensors scaled so that their global norm is at most clip_norm, and that norm.

    >>> clipped, length = clip_by_global_norm([[3.0], [4.0]], 10.0)
    >>> [t.tolist() for t in clipped], float(length)
    ([[3.0], [4.0]], 5.0)
    """
    length = global_norm(t_list) if use_norm is None else floats("clip_by_global_norm", use_norm)
    limit = operand(clip_norm, length.dtype)
    scale = limit / schuss.maximum(length, limit)
    return [None if t is None else operand(t) * scale for t in t_list], length
