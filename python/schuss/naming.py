"""Errors of inner operations, told in the name of the operation that was called.
Leans on nothing."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    F = TypeVar("F", bound=Callable)


def rename(error: Exception, op: str) -> None:
    """Puts another operation's name in front of an error's message."""
    inner, colon, rest = str(error).partition(": ")
    if colon and inner.isidentifier():
        error.args = (f"{op}: {rest}",)


def speaks(function: F) -> F:
    """A function made of others whose errors carry its own name."""
    name = getattr(function, "__name__", "")

    @wraps(function)
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except Exception as error:
            rename(error, name)
            raise

    return call  # pyright: ignore[reportReturnType]
