"""What programs ask of a compiler besides `compile`: whether one is at work, and to leave it out.
Leans on the core's recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import _core
from schuss.recording import compile

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def is_compiling() -> bool:
    """Whether a step is being recorded by `schuss.compile` at the moment.

    >>> schuss.compiler.is_compiling()
    False
    """
    return bool(_core._is_recording())


def is_dynamo_compiling() -> bool:
    """The same under its older name."""
    return is_compiling()


def is_exporting() -> bool:
    """False: programs are not exported."""
    return False


def disable(fn: Callable[..., Any] | None = None, recursive: bool = True, **_options: Any) -> Any:
    """The function as it is. A step that calls it records what it computes with the rest.

    >>> schuss.compiler.disable(abs)(-2)
    2
    """
    return fn if fn is not None else disable


def allow_in_graph(fn: Any) -> Any:
    """The function as it is: whatever computes with tensors can be recorded."""
    return fn


def assume_constant_result(fn: Any) -> Any:
    """The function as it is: plain values that a step finds out are constant in its program."""
    return fn


def cudagraph_mark_step_begin() -> None:
    """Accepted: results of a compiled step are always fresh."""


def reset() -> None:
    """Accepted: programs belong to the functions that `compile` returned, and go with them."""


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """Names that `compile` takes as `backend`; they mean one thing here.

    >>> schuss.compiler.list_backends()
    ['inductor']
    """
    return ["inductor"]


__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "reset",
]
