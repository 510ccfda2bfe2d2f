"""Pictures: data sets, transforms, famous networks, and pictures as files.
Leans on nn and utils.data; each part is loaded when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schuss.vision import datasets as datasets
    from schuss.vision import io as io
    from schuss.vision import models as models
    from schuss.vision import transforms as transforms
    from schuss.vision import utils as utils

__all__ = ["datasets", "io", "models", "transforms", "utils"]


def __getattr__(name: str):
    if name in __all__:
        return import_module(f"schuss.vision.{name}")
    from schuss.absent import missing

    raise missing("schuss.vision", name)


def __dir__() -> list[str]:
    return sorted(__all__)
