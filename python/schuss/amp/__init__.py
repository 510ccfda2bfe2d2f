"""Mixed precision as programs ask for it: blocks that keep full precision, and a loss scaler.
Leans on the scaler beside it."""

from __future__ import annotations

from functools import wraps

import schuss
from schuss.amp.scaler import GradScaler


class autocast:
    """A block, or a decorator, in which PyTorch may compute in fewer bits; here in all of them.

    What comes out is what full precision gives, in its dtype. `dtype` must be a floating dtype,
    ValueError.

    >>> with schuss.autocast("cpu", dtype=schuss.bfloat16):
    ...     (schuss.ones(2) / 3).dtype
    schuss.float32
    """

    def __init__(
        self, device_type="cpu", dtype=None, enabled: bool = True, cache_enabled: bool = True
    ) -> None:
        if not isinstance(device_type, (str, bool)):
            raise ValueError(f"autocast: device_type is a name, got {device_type!r}")
        if dtype is not None and not dtype.is_floating_point:
            raise ValueError(f"autocast: dtype is a floating dtype, got {dtype}")
        self.device = device_type
        self.fast_dtype = dtype

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        pass

    def __call__(self, function):
        @wraps(function)
        def inside(*args, **kwargs):
            return function(*args, **kwargs)

        return inside


def custom_fwd(fwd=None, *, device_type=None, cast_inputs=None):
    """Mark a Function's forward; with `cast_inputs` its floating tensors come in that dtype."""
    if fwd is None:
        return lambda fwd: custom_fwd(fwd, device_type=device_type, cast_inputs=cast_inputs)
    if cast_inputs is None:
        return fwd

    @wraps(fwd)
    def cast(*args):
        return fwd(*(_cast(arg, cast_inputs) for arg in args))

    return cast


def _cast(value, dtype):
    floating = isinstance(value, schuss.Tensor) and value.is_floating_point()
    return value.to(dtype) if floating else value


def custom_bwd(bwd=None, *, device_type=None):
    """Mark a Function's backward; it is called as it is."""
    return bwd if bwd is not None else lambda bwd: bwd


def is_autocast_available(device_type: str) -> bool:
    """Whether fewer bits would be used in a block: no.

    >>> schuss.amp.is_autocast_available("cpu")
    False
    """
    return False


__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
