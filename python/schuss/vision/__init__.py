"""Pictures: famous networks for them.
Leans on nn; the models are loaded when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schuss.vision import models as models

__all__ = ["models"]


def __getattr__(name: str):
    if name in __all__:
        return import_module(f"schuss.vision.{name}")
    raise AttributeError(f"module 'schuss.vision' has no attribute {name!r}")
