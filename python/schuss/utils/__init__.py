"""The door to what stands beside training: data, checkpoints inside a model, logs, old weights.
Leans on nothing; each part is loaded when first asked for."""

from importlib import import_module
from typing import Any

_PARTS = ("checkpoint", "data", "model_zoo", "tensorboard")


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"schuss.utils.{name}")
    raise AttributeError(f"module 'schuss.utils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(_PARTS)
