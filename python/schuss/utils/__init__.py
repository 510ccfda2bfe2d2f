"""The door to schuss.utils.data, opened on first use.
Leans on nothing."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "data":
        return import_module("schuss.utils.data")
    raise AttributeError(f"module 'schuss.utils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["data"]
