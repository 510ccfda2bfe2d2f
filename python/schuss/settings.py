"""Switches that programs set before they begin, and what the names of dtypes and layouts are.
Leans on the core and on the makers of dtypes' old names."""

from __future__ import annotations

from schuss import _core, kinds
from schuss._core import Tensor

_PRECISIONS = ("highest", "high", "medium")
_state = {"deterministic": False, "warn_only": False, "precision": "highest", "warn_always": False}


class layout:
    """How elements lie in memory: always in rows with strides, `schuss.strided`."""


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted: the same seed gives the same bits on one machine in any case.

    >>> schuss.use_deterministic_algorithms(True)
    >>> schuss.are_deterministic_algorithms_enabled()
    True
    """
    _state.update(deterministic=bool(mode), warn_only=bool(warn_only))


def are_deterministic_algorithms_enabled() -> bool:
    """What use_deterministic_algorithms was last told."""
    return bool(_state["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What use_deterministic_algorithms was last told to warn of."""
    return bool(_state["warn_only"])


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Accepted: 0 "default", 1 "warn", 2 "error" are what use_deterministic_algorithms is told."""
    modes = {"default": 0, "warn": 1, "error": 2}
    mode = modes.get(debug_mode, debug_mode) if isinstance(debug_mode, str) else debug_mode
    if mode not in (0, 1, 2):
        raise RuntimeError(f"set_deterministic_debug_mode: {debug_mode!r} is none of {modes}")
    use_deterministic_algorithms(mode > 0, warn_only=mode == 1)


def get_deterministic_debug_mode() -> int:
    """What set_deterministic_debug_mode was last told, as a number."""
    return 0 if not _state["deterministic"] else 1 if _state["warn_only"] else 2


def set_flush_denormal(mode: bool) -> bool:
    """Whether denormal numbers can be flushed to zero as asked: they are kept, always.

    >>> schuss.set_flush_denormal(True)
    False
    """
    return not mode


def set_warn_always(b: bool) -> None:
    """Accepted: Python's own filters say how often a warning is shown."""
    _state["warn_always"] = bool(b)


def is_warn_always_enabled() -> bool:
    """What set_warn_always was last told."""
    return bool(_state["warn_always"])


def set_num_interop_threads(n: int) -> None:
    """Accepted: operations run one after the other, each on all threads."""
    if n <= 0:
        raise RuntimeError(f"set_num_interop_threads: needs a positive number, got {n}")


def get_num_interop_threads() -> int:
    """How many operations run at once: one.

    >>> schuss.get_num_interop_threads()
    1
    """
    return 1


def compiled_with_cxx11_abi() -> bool:
    """Whether the core keeps to the C++ of 2011, which programs hope for: it has no C++ at all."""
    return True


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted: products of float32 are computed in float32. ValueError for an unknown name."""
    if precision not in _PRECISIONS:
        raise ValueError(
            f"set_float32_matmul_precision: {precision!r} is none of {', '.join(_PRECISIONS)}"
        )
    _state["precision"] = precision


def get_float32_matmul_precision() -> str:
    """What set_float32_matmul_precision was last told."""
    return str(_state["precision"])


def get_default_device():
    """Where tensors are made that name no device.

    >>> schuss.get_default_device()
    device(type='cpu')
    """
    return _core._default_device()


def set_default_device(device) -> None:
    """Where this thread's tensors are made from now on that name no device; None takes it back.

    `with schuss.device(...)` says it for a block. Tensors made like another, or from one, lie where
    that one does; DeviceError for what is no device.

    >>> schuss.set_default_device("cpu")
    >>> schuss.set_default_device(None)
    """
    _core._set_default_device(device)


def set_default_tensor_type(t) -> None:
    """The dtype of floats from now on, by its oldest name; TypeError for what is no float.

    >>> schuss.set_default_tensor_type("torch.FloatTensor")
    """
    name = t if isinstance(t, str) else getattr(t, "__name__", "")
    kind = getattr(kinds, name.split(".")[-1], None)
    if kind is None or not kind.dtype.is_floating_point:
        raise TypeError(f"set_default_tensor_type: {t!r} is no kind of floating tensor")
    _core.set_default_dtype(kind.dtype)


def typename(obj) -> str:
    """The name of a type as programs print it; a tensor's says its dtype.

    >>> schuss.typename(schuss.ones(1)), schuss.typename(3)
    ('schuss.FloatTensor', 'int')
    """
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if isinstance(obj, type) else type(obj)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether operations compute in fewer bits here: never."""
    return False


__all__ = [
    "are_deterministic_algorithms_enabled",
    "get_default_device",
    "get_float32_matmul_precision",
    "is_autocast_enabled",
    "is_deterministic_algorithms_warn_only_enabled",
    "layout",
    "set_default_device",
    "set_default_tensor_type",
    "set_float32_matmul_precision",
    "typename",
    "use_deterministic_algorithms",
]
