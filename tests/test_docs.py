"""Runs every example of the README, of the pages of docs/ and of the public docstrings.

Leans on doctest and schuss. A `>>>` example must print what it shows; a Python block without `>>>`
must run, and what its `print(...)  # text` lines promise must be printed, in that order.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import inspect
import io
import os
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")

import schuss

ROOT = Path(__file__).resolve().parent.parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PROMISE = re.compile(r"^\s*print\(.*\)\s+# (?P<text>.+)$")


class Example(NamedTuple):
    """A text with examples: what it is called in a report, where it stands, what its names mean."""

    name: str
    text: str
    file: str
    line: int
    home: ModuleType | None = None


# ---- finding them -------------------------------------------------------------------------------


def blocks(text: str) -> list[tuple[int, str]]:
    """The fenced Python blocks of a Markdown page, with the line that each begins on."""
    found: list[tuple[int, str]] = []
    inside: list[str] | None = None
    start = 0
    for number, line in enumerate(text.splitlines(), start=1):
        fence = line.strip().startswith("```")
        if inside is None and fence and line.strip() in {"```python", "```pycon", "```py"}:
            inside, start = [], number + 1
        elif inside is not None and fence:
            found.append((start, "\n".join(inside) + "\n"))
            inside = None
        elif inside is not None:
            inside.append(line)
    return found


def of_pages() -> list[Example]:
    """One case for each Python block of the README and the hand-written pages."""
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        name = page.relative_to(ROOT).as_posix()
        for line, text in blocks(page.read_text(encoding="utf-8")):
            found.append(Example(f"{name}:{line}", text, name, line))
    return found


def modules() -> list[ModuleType]:
    """schuss and every public module in it."""
    found = [schuss]
    for info in pkgutil.walk_packages(schuss.__path__, "schuss."):
        if not any(part.startswith("_") for part in info.name.split(".")):
            found.append(importlib.import_module(info.name))
    return [*found, schuss._core]


def documented(module: ModuleType) -> list[tuple[str, object]]:
    """The module, its public functions and classes, and the public members of its classes."""
    core = module is schuss._core
    found: list[tuple[str, object]] = [(module.__name__, module)]
    for name, value in sorted(vars(module).items()):
        ours = core or getattr(value, "__module__", None) == module.__name__
        kind = isinstance(value, type) or inspect.isroutine(value)
        if name.startswith("_") or not ours or not kind:
            continue
        path = f"{module.__name__}.{name}"
        found.append((path, value))
        if isinstance(value, type):
            members = sorted(vars(value).items())
            found += [(f"{path}.{key}", member) for key, member in members if key[0] != "_"]
    return found


def of_docstrings() -> list[Example]:
    found = []
    seen = set()
    for module in modules():
        for name, value in documented(module):
            value = getattr(value, "__func__", value)
            text = getattr(value, "__doc__", None)
            if not isinstance(text, str) or ">>>" not in text or id(value) in seen:
                continue
            seen.add(id(value))
            # Who writes `import schuss` still has Python's float; the names of schuss hide it.
            home = None if module in {schuss, schuss._core} else module
            found.append(Example(name, inspect.cleandoc(text), name, 0, home))
    return found


# ---- running them -------------------------------------------------------------------------------


def names(home: ModuleType | None) -> dict[str, object]:
    """What an example may use without importing it: its own module's names, and the usual ones."""
    usual = {
        "schuss": schuss,
        "np": np,
        "nn": importlib.import_module("schuss.nn"),
        "F": importlib.import_module("schuss.nn.functional"),
        "optim": importlib.import_module("schuss.optim"),
    }
    return {**(vars(home) if home else {}), **usual, "__name__": "__main__"}


def run_dialogue(example: Example, space: dict[str, object]) -> str:
    """Run `>>>` lines; the report of what differed, empty if nothing did."""
    parser = doctest.DocTestParser()
    test = parser.get_doctest(example.text, space, example.name, example.file, example.line)
    assert test.examples, f"{example.name} shows >>> but doctest reads no example in it"
    report: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=report.append)
    return "".join(report)


def run_program(example: Example, space: dict[str, object]) -> str:
    """Run a block and look for what its print lines promise; the report of what is missing."""
    # Blank lines in front keep the page's line numbers in a traceback.
    code = compile("\n" * (example.line - 1) + example.text, example.file, "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, space)
    lines = iter(printed.getvalue().splitlines())
    checker = doctest.OutputChecker()
    for line in example.text.splitlines():
        promise = PROMISE.match(line)
        if promise:
            want = promise["text"].strip() + "\n"
            if not any(checker.check_output(want, got + "\n", FLAGS) for got in lines):
                return f"{line.strip()}\nwas not kept; the block printed:\n{printed.getvalue()}"
    return ""


EXAMPLES = [*of_pages(), *of_docstrings()]


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_example(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    schuss.manual_seed(0)
    space = names(example.home)
    run = run_dialogue if ">>>" in example.text else run_program
    # An example that switches recording off must not switch it off for the next one.
    with schuss.set_grad_enabled(True):
        report = run(example, space)
    if report:
        pytest.fail(report, pytrace=False)


# ---- the finder and the runner themselves -------------------------------------------------------


@pytest.mark.parametrize("place", ["README.md", ".Tensor.", "schuss.nn.", "schuss.optim."])
def test_every_place_has_examples(place: str):
    assert any(place in example.name for example in EXAMPLES)


def test_every_public_operation_is_documented():
    recorded = sorted(record["name"] for record in schuss._core.records())
    places = [
        [getattr(place, name, None) for place in (schuss, schuss.Tensor)] for name in recorded
    ]
    public = {name: found for name, found in zip(recorded, places, strict=True) if any(found)}
    assert public, "no record is reachable by name"
    bare = [name for name, found in public.items() if not all(v.__doc__ for v in found if v)]
    assert not bare, f"public operations without a docstring: {bare}"


@pytest.mark.parametrize(
    "text",
    [
        ">>> 1 + 1\n3\n",
        ">>> 1 / 0\n0\n",
        "print(1 + 1)  # 3\n",
        "print('a')  # b\nprint('b')  # a\n",
    ],
)
def test_a_wrong_example_is_reported(text: str):
    example = Example("wrong", text, "wrong", 1)
    run = run_dialogue if ">>>" in text else run_program
    assert run(example, {})


@pytest.mark.parametrize(
    "text", [">>> 1 + 1\n2\n", ">>> [0.123456]\n[0.12...]\n", "print(1 + 1)  # 2\n", "x = 1\n"]
)
def test_a_right_example_is_not(text: str):
    example = Example("right", text, "right", 1)
    run = run_dialogue if ">>>" in text else run_program
    assert not run(example, {})


def test_blocks_of_a_page_are_found():
    page = "a\n```python\nx = 1\n```\n```bash\nls\n```\n\n```python\n>>> 1\n1\n```\n"
    assert blocks(page) == [(3, "x = 1\n"), (10, ">>> 1\n1\n")]
