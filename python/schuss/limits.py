"""The limits of dtypes.
Leans on the core's dtypes."""

from __future__ import annotations

from schuss import _core
from schuss.bounds import _limits

# Bits in all, bits of the fraction, largest exponent.
_FLOATS = {
    "float16": (16, 10, 15),
    "bfloat16": (16, 7, 127),
    "float32": (32, 23, 127),
    "float64": (64, 52, 1023),
    "complex64": (32, 23, 127),
    "complex128": (64, 52, 1023),
}


class finfo:
    """The limits of a float dtype, or of the parts of a complex one.

    >>> schuss.finfo(schuss.float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type=None) -> None:
        kind = _core.get_default_dtype() if type is None else type
        name = getattr(kind, "name", repr(kind))
        if name not in _FLOATS:
            raise TypeError(f"finfo: needs a float dtype, got {name}; use iinfo for integers")
        self.bits, digits, top = _FLOATS[name]
        self.dtype = name = getattr(kind, "to_real", lambda: kind)().name
        self.eps = 2.0**-digits
        self.max = _limits(kind.to_real())
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0 ** (1 - top)
        self.resolution = 10.0 ** -int(digits * 0.30103)

    def __repr__(self) -> str:
        limits = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        shown = ", ".join(f"{name}={getattr(self, name):g}" for name in limits)
        return f"finfo({shown}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer dtype.

    >>> schuss.iinfo(schuss.int8).max
    127
    """

    def __init__(self, type) -> None:
        name = getattr(type, "name", repr(type))
        if "int" not in name:
            raise TypeError(f"iinfo: needs an integer dtype, got {name}; use finfo for floats")
        self.bits = int(name.rsplit("int", 1)[1])
        self.dtype = name
        signed = not name.startswith("u")
        self.min = -(2 ** (self.bits - 1)) if signed else 0
        self.max = 2 ** (self.bits - signed) - 1

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


__all__ = ["finfo", "iinfo"]
