"""Elements kept within bounds: clamp in its forms, and numbers in place of NaN and infinities.
Leans on the core's records."""

from __future__ import annotations

from schuss import _core
from schuss._core import Tensor
from schuss.naming import given, must_tensor


def limits(min, max):
    """Both bounds, infinite where there is none."""
    return -float("inf") if min is None else min, float("inf") if max is None else max


def are_numbers(input, low, high) -> bool:
    """Whether floats are held between plain numbers, which are then no operands."""
    plain = type(low) in (int, float) and type(high) in (int, float)
    return plain and isinstance(input, Tensor) and input.is_floating_point()


def clamp(input, min=None, max=None, *, out=None):
    """Elements kept within bounds, of which either may be absent; NaN stays NaN.

    >>> schuss.tensor([-2.0, 0.5, 2.0]).clamp(-1.0, 1.0)
    tensor([-1.0000,  0.5000,  1.0000])
    """
    must_tensor("clamp", input=input)
    if min is None and max is None:
        raise RuntimeError("clamp: needs min, max, or both")
    low, high = limits(min, max)
    if are_numbers(input, low, high):
        return given("clamp", _core._clamp_between(input, low, high), out)
    if not input.is_floating_point() and not is_float(min) and not is_float(max):
        # Infinity would make floats of integers, so one-sided bounds of integers are extremes.
        if min is None:
            found = _core.minimum(input, as_like(max, input))
        elif max is None:
            found = _core.maximum(input, as_like(min, input))
        else:
            found = _core._clamp(input, low, high)
    else:
        found = _core._clamp(input, low, high)
    return given("clamp", found, out)


def clamp_min(input, min, *, out=None):
    """Elements kept at or above a bound."""
    must_tensor("clamp_min", input=input)
    return clamp(input, min=min, out=out)


def clamp_max(input, max, *, out=None):
    """Elements kept at or below a bound."""
    must_tensor("clamp_max", input=input)
    return clamp(input, max=max, out=out)


def nan_to_num(input, nan=0.0, posinf=None, neginf=None, *, out=None):
    """NaN and infinities replaced by numbers, in both parts of complex ones."""
    if input.is_complex():
        parts = (nan_to_num(part, nan, posinf, neginf) for part in (input.real, input.imag))
        found = _core._complex(*parts)
        return given("nan_to_num", found, out)
    if not input.is_floating_point():
        return given("nan_to_num", input.clone(), out)
    limits = _limits(input.dtype)
    high = limits if posinf is None else posinf
    low = -limits if neginf is None else neginf
    return given("nan_to_num", _core._nan_to_num(input, nan, high, low), out)


def _limits(dtype) -> float:
    return {
        "float16": 65504.0,
        "bfloat16": 3.3895313892515355e38,
        "float32": 3.4028234663852886e38,
        "float64": 1.7976931348623157e308,
    }[dtype.name]


def is_float(x) -> bool:
    """Whether a tensor or a number is of floats."""
    if isinstance(x, Tensor):
        return x.dtype.to_real().is_floating_point
    return isinstance(x, (float, complex))


def as_like(x, like):
    """A number as a tensor of another's dtype and device."""
    return x if isinstance(x, Tensor) else _core.tensor(x, dtype=like.dtype, device=like.device)


__all__ = ["clamp", "clamp_max", "clamp_min", "nan_to_num"]
