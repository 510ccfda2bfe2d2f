"""Data types of the Array API standard: which comes out, what each holds, and conversions.
Leans on the core's promotion and on limits."""

from __future__ import annotations

from schuss import _core, limits
from schuss._core import Tensor, dtype

_SIGNED = (_core.int8, _core.int16, _core.int32, _core.int64)
_UNSIGNED = (_core.uint8,)
_REAL = (_core.float32, _core.float64, _core.float16, _core.bfloat16)
_COMPLEX = (_core.complex64, _core.complex128)
_KINDS = {
    "bool": (_core.bool,),
    "signed integer": _SIGNED,
    "unsigned integer": _UNSIGNED,
    "integral": _SIGNED + _UNSIGNED,
    "real floating": _REAL,
    "complex floating": _COMPLEX,
    "numeric": _SIGNED + _UNSIGNED + _REAL + _COMPLEX,
}


def _kind(x) -> dtype:
    """The dtype that an array has, or that is meant."""
    return x.dtype if isinstance(x, Tensor) else x


def _weak(scalar, found: dtype | None) -> dtype:
    """The dtype of a Python number beside arrays of a dtype (None: beside numbers alone)."""
    if isinstance(scalar, complex):
        if found not in _REAL + _COMPLEX:
            raise TypeError(f"result_type: {scalar} is complex, and goes with floats alone")
        return found.to_complex()
    if isinstance(scalar, bool):
        return _core.bool if found is None else found
    whole = isinstance(scalar, int)
    if found is not None and (found in _REAL + _COMPLEX or (whole and found != _core.bool)):
        return found
    return _core.int64 if whole else _core.get_default_dtype()


def result_type(*arrays_and_dtypes):
    """The dtype that arrays, dtypes and Python numbers give together; shapes have no say in it.

    Raises ValueError where no array and no dtype is given, TypeError for a complex
    number beside integers.

    >>> schuss.array_api.result_type(schuss.int8, schuss.tensor(1000))
    schuss.int64
    """
    found = None
    numbers = []
    for x in arrays_and_dtypes:
        if isinstance(x, (bool, int, float, complex)):
            numbers.append(x)
        elif isinstance(x, (Tensor, dtype)):
            kind = _kind(x)
            found = kind if found is None else _core.promote_types(found, kind)
        else:
            raise TypeError(f"result_type: {type(x).__name__} is no array, no dtype and no number")
    if found is None:
        raise ValueError("result_type: needs at least one array or dtype beside Python numbers")
    for number in numbers:
        found = _weak(number, found)
    return found


def can_cast(from_, to, /):
    """Whether promotion turns a dtype (or an array's) into another.

    >>> schuss.array_api.can_cast(schuss.int8, schuss.int32)
    True
    """
    return _core.promote_types(_kind(from_), to) == to


class finfo(limits.finfo):
    """The limits of a float dtype, or of an array's.

    >>> schuss.array_api.finfo(schuss.float64).bits
    64
    """

    def __init__(self, type, /) -> None:
        super().__init__(_kind(type))
        self.dtype = _kind(type).to_real()


class iinfo(limits.iinfo):
    """The limits of an integer dtype, or of an array's.

    >>> schuss.array_api.iinfo(schuss.uint8).max
    255
    """

    def __init__(self, type, /) -> None:
        super().__init__(_kind(type))
        self.dtype = _kind(type)


def isdtype(dtype, kind):
    """Whether a dtype is another, or of a kind such as "integral"; of a tuple, whether of any.

    Raises ValueError for a kind that there is not.

    >>> schuss.array_api.isdtype(schuss.float32, ("integral", "real floating"))
    True
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if not isinstance(kind, str):
        return dtype == kind
    if kind not in _KINDS:
        raise ValueError(f"isdtype: {kind!r} is no kind; kinds are {', '.join(map(repr, _KINDS))}")
    return dtype in _KINDS[kind]


def astype(x, dtype, /, *, copy=True, device=None):
    """An array in another dtype; with `copy=False` itself where nothing changes.

    >>> schuss.array_api.astype(schuss.tensor([1.5, 2.0]), schuss.int32)
    tensor([1, 2], dtype=schuss.int32)
    """
    return x.to(dtype=dtype, device=device, copy=copy)


__all__ = ["astype", "can_cast", "finfo", "iinfo", "isdtype", "result_type"]
