"""What functions made of others ask of arguments, and errors told in the name that was called.
Leans on the core's tensors."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from schuss import _core
from schuss._core import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    F = TypeVar("F", bound=Callable)


def rename(error: Exception, op: str) -> None:
    """Puts another operation's name in front of an error's message."""
    inner, colon, rest = str(error).partition(": ")
    if colon and inner.isidentifier():
        error.args = (f"{op}: {rest}",)


def must_tensor(op: str, **named) -> None:
    """Refuses what is no tensor (nor an array, which the core reads as one)."""
    for name, value in named.items():
        if not isinstance(value, Tensor) and not hasattr(value, "__array__"):
            raise TypeError(
                f"{op}: {name} must be a Tensor, got {type(value).__name__};"
                " use schuss.tensor(...) first"
            )


def given(op: str, found, out, same=False):
    """What was found, or `out` with it; `same` asks for one dtype."""
    return found if out is None else _core._into(op, found, out, same)


def unknown(op: str, key: str, form: str) -> TypeError:
    """The refusal of a keyword that a function has not: the nearest that it has, and its form."""
    import re
    from difflib import get_close_matches

    near = get_close_matches(key, re.findall(r"\w+", form)[1:], 1)
    guess = f" (did you mean {near[0]}?)" if near else ""
    return TypeError(f"{op}() has no argument {key}{guess}; its form is {form}")


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
