"""The face of the package: which names it shows, which it keeps inside, what is loaded when.

Leans on schuss and on interpreters of their own, where nothing has been loaded yet.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import schuss

LATER = [
    "accelerator",
    "amp",
    "array_api",
    "autograd",
    "backends",
    "compiler",
    "cuda",
    "descent",
    "distributions",
    "fft",
    "func",
    "futures",
    "gpu",
    "hub",
    "linalg",
    "multiprocessing",
    "nn",
    "optim",
    "random",
    "serialization",
    "signal",
    "special",
    "testing",
    "tf",
    "training",
    "utils",
    "version",
    "vision",
    "viz",
]
CLASSES = ["GradientDescent", "GradientTape", "Model", "Optimizer", "Parameter"]
INNER = [
    "FunctionCtx",
    "Node",
    "RemovableHandle",
    "Tape",
    "apply_function",
    "backward_all",
    "fused_step",
    "grad_of",
    "philox",
    "records",
    "set_overrides",
]


def fresh(program: str) -> list[str]:
    """What a program prints in a new interpreter, word by word."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_import_loads_the_tensor_alone():
    loaded = set(fresh("import sys, schuss; print(*sys.modules)"))
    unwanted = {f"schuss.{name}" for name in LATER} | {"schuss.model", "schuss.tape", "inspect"}
    before = set(fresh("import sys, numpy; print(*sys.modules)"))
    assert "schuss.mathematics" in loaded
    assert not (loaded - before) & (unwanted | {"dataclasses", "warnings", "copy", "matplotlib"})


@pytest.mark.parametrize(
    "line",
    [
        "import schuss as torch; nn = torch.nn",
        "import schuss.nn as nn",
        "from schuss import nn, optim",
        "import schuss.nn.functional as F, schuss; nn = schuss.nn",
        "from schuss import *",
        "import schuss.tf, schuss; nn = schuss.nn",
    ],
)
def test_modules_are_reached_in_every_spelling(line):
    assert fresh(f"{line}; print(nn.Linear(2, 3).weight.shape[0], nn.Linear.__module__)") == [
        "3",
        "schuss.nn.layers",
    ]


@pytest.mark.parametrize("name", LATER + CLASSES)
def test_what_is_loaded_later_is_listed_and_reached(name):
    assert name in dir(schuss)
    program = f"import schuss; found = schuss.{name}; assert schuss.{name} is found; print(1)"
    assert fresh(program) == ["1"]


def test_star_import_gives_the_public_names():
    found: dict[str, object] = {}
    exec("from schuss import *", found)
    found.pop("__builtins__")
    assert set(found) == set(schuss.__all__)
    wanted = {"Tensor", "Size", "float32", "bool", "sum", "zeros", "no_grad", "Model", "Scalar"}
    assert wanted | {"nn", "optim", "autograd", "ShapeError", "pi"} <= set(found)
    assert not [name for name in found if name.startswith("_")]


def test_dir_shows_what_is_public_and_nothing_else():
    shown = {name for name in dir(schuss) if not name.startswith("__")}
    assert shown == set(schuss.__all__) | set(LATER)
    assert {"__version__", "__doc__", "__getattr__"} <= set(dir(schuss))
    modules = {name for name in shown if inspect.ismodule(getattr(schuss, name))}
    assert modules == set(LATER)


@pytest.mark.parametrize("name", INNER)
def test_inner_names_are_the_core_s_alone(name):
    assert hasattr(schuss._core, name)
    assert not hasattr(schuss, name) and name not in dir(schuss)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'schuss' has no attribute 'tensr'"):
        schuss.tensr  # noqa: B018 - asking is the test


def test_names_that_are_said_not_to_exist_do_not():
    """The page is no promise: a name that has come is taken out of it."""
    page = (Path(__file__).parents[1] / "docs" / "differences.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and "`" in line]
    names = [name for row in rows for name in re.findall(r"`([\w.]+)`", row.split("|")[2])]
    assert len(names) > 15
    for name in names:
        home, _, last = name.rpartition(".")
        home = getattr(schuss, home) if home else schuss
        assert not hasattr(home, last), f"schuss.{name} is there; see docs/differences.md"


def test_a_misspelt_name_is_told_the_nearest():
    program = "import schuss; schuss.zerso(2)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "module 'schuss' has no attribute 'zerso' (did you mean zeros?)" in done.stderr
