"""Element types under TensorFlow's names, and whatever names one of them.
Leans on the core's dtypes and on NumPy."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

import numpy as np

import schuss

if TYPE_CHECKING:
    from typing import Any

bool = schuss.bool
uint8 = schuss.uint8
int8 = schuss.int8
int16 = schuss.int16
int32 = schuss.int32
int64 = schuss.int64
float16 = half = schuss.float16
bfloat16 = schuss.bfloat16
float32 = schuss.float32
float64 = double = schuss.float64

_BY_NAME = {
    "bool": bool,
    "uint8": uint8,
    "int8": int8,
    "int16": int16,
    "int32": int32,
    "int64": int64,
    "float16": float16,
    "half": float16,
    "bfloat16": bfloat16,
    "float32": float32,
    "float": float32,
    "float64": float64,
    "double": float64,
}
DType = schuss.dtype


def as_dtype(type_value: Any) -> DType:
    """The dtype that a name, a NumPy dtype, `float` or `bool` stands for; TypeError for others.

    >>> as_dtype("float64"), as_dtype(np.int32), as_dtype(float)
    (schuss.float64, schuss.int32, schuss.float32)
    """
    if isinstance(type_value, DType):
        return type_value
    found = None
    if isinstance(type_value, str):
        found = _BY_NAME.get(type_value)
    elif type_value is float:
        found = float32
    elif isinstance(type_value, np.dtype) or (
        isinstance(type_value, type) and issubclass(type_value, np.generic | builtins.bool)
    ):
        found = _BY_NAME.get(np.dtype(type_value).name)
    if found is None:
        raise TypeError(
            f"as_dtype: {type_value!r} is not a dtype; use tf.float32, 'float32' or np.float32"
        )
    return found


def name_of(dtype: DType) -> str:
    """The dtype's name alone.

    >>> name_of(schuss.float32)
    'float32'
    """
    return str(dtype).rpartition(".")[2]
