"""Forward mode by hand: tensors with tangents inside a level.
Leans on the core's dual level, as `schuss.func.jvp` does."""

from __future__ import annotations

import threading
from typing import NamedTuple

from schuss import _core
from schuss._core import Tensor


class _Levels(threading.local):
    """The open levels of each thread."""

    def __init__(self) -> None:
        self.open: list[int] = []


_LEVELS = _Levels()


class UnpackedDualTensor(NamedTuple):
    """A value and its tangent, None where it has none."""

    primal: Tensor
    tangent: Tensor | None


def enter_dual_level() -> int:
    """Opens a level; its number is for `exit_dual_level`. `dual_level` is safer."""
    _LEVELS.open.append(_core._open_forward())
    return len(_LEVELS.open) - 1


def exit_dual_level(*, level: int | None = None) -> None:
    """Closes the innermost level. Raises RuntimeError for another, or where none is open."""
    last = len(_LEVELS.open) - 1
    if last < 0 or (level is not None and level != last):
        raise RuntimeError(f"exit_dual_level: level {level} is not the innermost open one ({last})")
    _core._close_level(_LEVELS.open.pop())


class dual_level:
    """While open, tensors may carry tangents.

    >>> import schuss.autograd.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     x = fwAD.make_dual(schuss.tensor([1.0, 2.0]), schuss.tensor([1.0, 0.0]))
    ...     fwAD.unpack_dual(x**2).tangent
    tensor([2., 0.])
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *error: object) -> None:
        exit_dual_level()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """A tensor that carries a tangent of its own shape and dtype.

    Raises RuntimeError outside of a level, or where the tangent does not fit.
    """
    return _core._dual(_LEVELS.open[_level("make_dual", level)], tensor, tangent)


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The value and the tangent of a tensor."""
    if not _LEVELS.open:
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(*_core._undual(_LEVELS.open[_level("unpack_dual", level)], tensor))


def _level(op: str, level: int | None) -> int:
    if not _LEVELS.open:
        raise RuntimeError(f"{op}: no level is open; use `with forward_ad.dual_level():`")
    return len(_LEVELS.open) - 1 if level is None else level


__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]
