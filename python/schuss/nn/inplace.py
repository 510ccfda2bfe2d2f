"""Activation functions that write over their input.
Leans on their plain forms in fused, noise and functional's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from schuss import Tensor


def in_place(plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The form of an activation that writes its result into the input and returns that."""

    def form(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return plain(input, *args, **kwargs, inplace=True)

    form.__name__ = form.__qualname__ = f"{plain.__name__}_"
    form.__doc__ = f"In-place form of `{plain.__name__}`."
    return form
