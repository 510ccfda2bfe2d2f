"""The door to the modules of schuss.utils, opened on first use.
Leans on nothing."""

from importlib import import_module
from typing import Any

_MODULES = ("checkpoint", "data", "dlpack", "model_zoo", "tensorboard")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"schuss.utils.{name}")
    raise AttributeError(f"module 'schuss.utils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(_MODULES)
