"""From Python values and arrays to tensors that follow TensorFlow's dtype rules.
Leans on the core, on NumPy, and on the dtypes and errors of this package."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss import Tensor
from schuss.tf.dtypes import DType, as_dtype, float32, int32, int64, name_of
from schuss.tf.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_SPAN = range(-(2**31), 2**31)


def strict(made: Tensor) -> Tensor:
    """Mark a tensor that was just made as one that follows TensorFlow's dtype rules.

    >>> strict(schuss.ones(2)).dtype
    schuss.float32
    """
    made._mark_strict()
    return made


def operand(value: Any, dtype: DType | None = None) -> Tensor:
    """A tensor or Variable as it is; anything else as a tensor, of the dtype if one is given.

    >>> operand([1, 2]).dtype
    schuss.int32
    """
    if isinstance(value, Tensor):
        return value
    return _made(value, dtype)


def convert_to_tensor(
    value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None
) -> Tensor:
    """The tensor of a value: ints become int32, floats float32, arrays keep their dtype.

    A tensor of another dtype than the one asked for raises ValueError (cast it instead); so does
    None, and a nest of lists that is not rectangular.

    >>> convert_to_tensor([1.0, 2.0]).dtype, convert_to_tensor(np.ones(2)).dtype
    (schuss.float32, schuss.float64)
    """
    dtype = None if dtype is None else as_dtype(dtype)
    if isinstance(value, Tensor):
        if dtype is not None and value.dtype != dtype:
            raise ConversionError(
                f"convert_to_tensor: Tensor conversion requested dtype {name_of(dtype)} for a "
                f"tensor of dtype {name_of(value.dtype)}; use tf.cast"
            )
        return value if type(value) is Tensor else value.view(value.shape)
    if dtype is None and dtype_hint is not None:
        try:
            return _made(value, as_dtype(dtype_hint))
        except (TypeError, ValueError):
            pass
    return _made(value, dtype)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str = "Const") -> Tensor:
    """A tensor of a value, repeated or arranged to the shape if one is given.

    >>> constant(0.5, shape=(2, 2)).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    made = convert_to_tensor(value, dtype)
    if shape is None:
        return made
    shape = sizes(shape)
    if made.numel() == 1:
        return made.reshape([1] * len(shape)).expand(shape)
    count = int(np.prod(shape, dtype=np.int64))
    if made.numel() != count:
        raise TypeError(
            f"constant: {made.numel()} elements of shape {tuple(made.shape)} do not fit the shape "
            f"{shape}, which has {count}"
        )
    return made.reshape(shape)


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """The elements in another dtype; floats lose their fraction in an integer dtype.

    >>> cast([1.7, -1.7], "int32").tolist()
    [1, -1]
    """
    return convert_to_tensor(x).to(as_dtype(dtype))


def sizes(shape: Any) -> tuple[int, ...]:
    """A shape given as a number, a list of numbers or scalars, or a tensor.

    >>> sizes(3), sizes([2, schuss.tensor(4)]), sizes(schuss.tensor([5, 6]))
    ((3,), (2, 4), (5, 6))
    """
    if isinstance(shape, (Tensor, np.ndarray)):
        shape = shape.tolist()
    if isinstance(shape, (int, np.integer)):
        return (int(shape),)
    found = tuple(int(size) for size in shape)
    if any(size < 0 for size in found):
        raise ValueError(f"shape: {found} has a negative size; sizes are 0 or more")
    return found


def integers(name: str, value: Any) -> Tensor:
    """A tensor of integers; anything else raises TypeError and ValueError at once.

    >>> integers("gather", [0, 2]).dtype
    schuss.int32
    """
    x = operand(value)
    if x.dtype.is_floating_point or x.dtype == schuss.bool:
        raise ConversionError(f"{name}: needs integers, got {name_of(x.dtype)}; use tf.cast")
    return x


def is_tensor(x: Any) -> bool:
    """Whether x is a tensor or a Variable.

    >>> is_tensor(constant(1)), is_tensor(1)
    (True, False)
    """
    return isinstance(x, Tensor)


def _made(value: Any, dtype: DType | None) -> Tensor:
    if value is None:
        raise ValueError("convert_to_tensor: a value is None; give a number, list or array")
    if isinstance(value, (np.ndarray, np.generic)):
        return _from_array(value, dtype)
    if isinstance(value, (list, tuple)):
        leaves = list(_leaves(value))
        if any(isinstance(leaf, Tensor) for leaf in leaves):
            first = next(leaf.dtype for leaf in leaves if isinstance(leaf, Tensor))
            return schuss.stack([convert_to_tensor(v, dtype or first) for v in value])
    else:
        leaves = [value]
    kinds = {type(leaf) for leaf in leaves}
    _check_kinds(value, kinds, dtype)
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(
            "convert_to_tensor: Can't convert a non-rectangular Python sequence to a tensor; "
            "make all rows of one length"
        ) from None
    if dtype is None:
        dtype = _natural(array, leaves)
    _check_range(array, dtype)
    return strict(schuss.tensor(array, dtype=dtype))


def _from_array(value: np.ndarray | np.generic, dtype: DType | None) -> Tensor:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"convert_to_tensor: NumPy's {array.dtype} has no tensor; use numbers or booleans"
        )
    if dtype is None:
        dtype = as_dtype(array.dtype)
    if array.dtype.kind == "f" and not dtype.is_floating_point:
        raise ConversionError(
            f"convert_to_tensor: Cannot convert an array of {array.dtype} to a tensor of dtype "
            f"{name_of(dtype)}; use tf.cast"
        )
    if array.dtype.kind in "iu":
        _check_range(array, dtype)
    return strict(schuss.tensor(array, dtype=dtype))


def _leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple)):
        return chain.from_iterable(map(_leaves, value))
    return (value,)


def _check_kinds(value: Any, kinds: set[type], dtype: DType | None) -> None:
    """Python's own numbers become only what loses nothing of their kind."""
    if type(None) in kinds:
        raise ValueError("convert_to_tensor: a value is None; give a number, list or array")
    for kind in kinds:
        if not issubclass(kind, (int, float, np.generic, np.ndarray)):
            raise TypeError(
                f"convert_to_tensor: cannot make a tensor of {kind.__name__}; use numbers"
            )
    if bool in kinds and len(kinds) > 1:
        raise ValueError(
            "convert_to_tensor: Can't convert a Python sequence with mixed types, booleans and "
            "numbers, to a tensor"
        )
    if dtype is None or dtype.is_floating_point:
        return
    lossy = float in kinds or (dtype == schuss.bool and int in kinds)
    if lossy:
        text = repr(value)
        text = text if len(text) < 60 else text[:57] + "..."
        raise ConversionError(
            f"convert_to_tensor: Cannot convert {text} to a tensor of dtype {name_of(dtype)}; "
            "use tf.cast"
        )


def _check_range(array: np.ndarray, dtype: DType) -> None:
    """Refuse numbers that would wrap around, or become infinite, in the dtype."""
    name = name_of(dtype)
    if array.dtype.kind == "O":
        fits = False
    elif not array.size or array.dtype.kind == "b" or name in ("bool", "bfloat16"):
        return
    elif dtype.is_floating_point:
        finite = array[np.isfinite(array)]
        fits = not finite.size or np.abs(finite).max() <= float(np.finfo(name).max)
    else:
        span = np.iinfo(name)
        fits = span.min <= int(array.min()) and int(array.max()) <= span.max
    if not fits:
        raise ConversionError(
            f"convert_to_tensor: a number is out of the range of {name}; give a wider dtype"
        )


def _natural(array: np.ndarray, leaves: list[Any]) -> DType:
    """The dtype of Python numbers; a NumPy number among them keeps its own."""
    if leaves and isinstance(leaves[0], (np.generic, np.ndarray)):
        return as_dtype(leaves[0].dtype)
    if array.dtype.kind == "f":
        return float32
    if array.dtype.kind == "b":
        return as_dtype("bool")
    return int32 if all(leaf in _SPAN for leaf in leaves) else int64
