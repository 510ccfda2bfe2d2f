"""Grad modes: what is recorded, as context managers and decorators.
Leans on the core's switches."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from schuss._core import (
    _InferenceMode,
    _set_grad_enabled,
    enable_grad,
    is_grad_enabled,
    no_grad,
)

if TYPE_CHECKING:
    from typing import Any

_IS_GENERATOR = 0x20  # CO_GENERATOR of CPython's code flags


def inside(mode, function):
    """The function run inside a mode that `mode()` makes anew for each call."""
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & _IS_GENERATOR:

        @wraps(function)
        def generator(*args, **kwargs):
            # The mode holds while the generator runs, not while its caller does.
            with mode():
                steps = function(*args, **kwargs)
            send = None
            while True:
                try:
                    with mode():
                        item = steps.send(send)
                except StopIteration as end:
                    return end.value
                try:
                    send = yield item
                except GeneratorExit:
                    with mode():
                        steps.close()
                    raise
                except BaseException as error:
                    with mode():
                        item = steps.throw(error)
                    send = yield item

        return generator

    @wraps(function)
    def wrapper(*args, **kwargs):
        with mode():
            return function(*args, **kwargs)

    return wrapper


class inference_mode(_InferenceMode):
    """As `no_grad`, and what is made inside is marked: it cannot be kept for a derivative, nor be
    written in place, outside. A context manager and a decorator.

    >>> with schuss.inference_mode():
    ...     schuss.ones(2).is_inference()
    True
    """

    def __new__(cls, mode=True) -> Any:
        if callable(mode):
            return inside(cls, mode)
        return _InferenceMode.__new__(cls, bool(mode))

    def __call__(self, function):
        return inside(type(self), function)


class set_grad_enabled:
    """Turns recording on or off: at once as a function, for a block as a context manager.

    >>> with schuss.set_grad_enabled(False):
    ...     schuss.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, (bool, int)):
            raise TypeError(f"set_grad_enabled: mode must be a bool, got {type(mode).__name__}")
        self.mode = bool(mode)
        self.before = _set_grad_enabled(self.mode)

    def __enter__(self) -> None:
        _set_grad_enabled(self.mode)

    def __exit__(self, *raised: object) -> None:
        _set_grad_enabled(self.before)

    def __call__(self, function):
        _set_grad_enabled(self.before)
        mode = self.mode
        return inside(lambda: set_grad_enabled(mode), function)


__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]
