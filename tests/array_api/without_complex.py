"""Lets the Array API's suite be collected for a library that has no complex dtypes.

Leans on pytest's early plugins: `-p without_complex`. Newer suites ask for the widest complex dtype
while they are loaded and end with an error where there is none; here the widest real one answers.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

import pytest

NAME = "array_api_tests.dtype_helpers"


def widest(*values, **options):
    """The largest value; of no dtypes at all, float64 with its bits."""
    if len(values) == 1 and not values[0]:
        return sys.modules["array_api_tests"].xp.float64, 64
    return builtins.max(*values, **options)


class Finder(MetaPathFinder):
    """Finds that one module, and gives it this `max` before it is run."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == NAME else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            module.__dict__["max"] = widest
            run(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is about complex numbers alone: the suite does so itself where it draws dtypes."""
    xp = sys.modules["array_api_tests"].xp
    if hasattr(xp, "complex128"):
        return
    for item in items:
        case = getattr(item, "callspec", None) and item.callspec.params.get("case")
        if getattr(case, "is_complex", False) or item.name == "test_vecdot_conj":
            item.add_marker(pytest.mark.skip(reason="there are no complex dtypes"))
