"""The door itself: x.py without the core, the generator on a small module, the repository's form.

Leans on x.py and docs/ as files; nothing here is built or installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ["demo", "test", "lint", "type", "fmt", "gen", "docs", "bench", "wheel", "all"]
COMMANDS += ["oracle", "arrayapi"]


def load(path: str) -> types.ModuleType:
    name = f"loaded_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def x(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """x.py as a module, at work in an empty repository."""
    module = load("x.py")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", module.Environment(".venv"))
    for name in ("pyproject.toml", "Cargo.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    return module


def door(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run x.py as a person does, with a changed environment."""
    return subprocess.run(
        [sys.executable, ROOT / "x.py", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


# ---- what a person sees -------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["help"], ["--help"]])
def test_commands_are_listed_with_a_sentence_each(words: list[str]):
    done = door(*words)
    assert done.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command} +[A-Z].*\.$", done.stdout, re.M), command


def test_an_unknown_command_is_refused():
    done = door("dance")
    assert done.returncode == 2
    assert "no command 'dance'" in done.stdout
    assert "demo" in done.stdout


@pytest.mark.parametrize("command", ["demo", "test", "wheel"])
def test_without_cargo_it_says_what_to_install(command: str, tmp_path: Path):
    done = door(command, PATH=str(tmp_path), HOME=str(tmp_path), CARGO_HOME=str(tmp_path))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for system in ("Linux", "macOS", "Windows"):
        assert len(re.findall(rf"^  {system}\b", done.stderr, re.M)) == 1


def test_without_the_venv_module_it_says_what_to_install(x, monkeypatch, capsys):
    monkeypatch.setattr(x.importlib.util, "find_spec", lambda name: None)
    assert x.main(["fmt"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("command", ["oracle", "arrayapi"])
def test_a_command_that_needs_a_path_says_so(command: str):
    done = door(command, "no/such/path")
    assert done.returncode == 2
    assert f"usage: python3 x.py {command} PATH" in done.stderr


def test_a_suite_without_the_standard_beside_it_is_refused(x, tmp_path, capsys):
    (tmp_path / "array-api").mkdir()
    assert x.main(["arrayapi", str(tmp_path)]) == 2
    assert "git submodule update --init" in capsys.readouterr().err


def test_an_old_cargo_is_named(x, tmp_path, monkeypatch, capsys):
    if os.name == "nt":
        pytest.skip("the stand-in for cargo is a shell script")
    fake = tmp_path / "bin" / "cargo"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho cargo 1.70.0\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent))
    assert x.main(["gen"]) == 2
    assert "1.70 is too old" in capsys.readouterr().err


# ---- exit codes and interrupts ------------------------------------------------------------------


def test_the_exit_code_of_a_program_is_passed_on(x, monkeypatch):
    command = [sys.executable, "-c", "raise SystemExit(7)"]
    monkeypatch.setitem(x.COMMANDS, "fmt", lambda words: x.run(*command))
    assert x.main(["fmt"]) == 7


@pytest.mark.skipif(os.name == "nt", reason="Windows has no interrupt for a single process")
def test_an_interrupt_ends_quietly(tmp_path: Path):
    started = tmp_path / "started"
    child = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(60)"
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import x\n"
        f"x.COMMANDS['fmt'] = lambda words: x.run(sys.executable, '-c', {child!r})\n"
        "sys.exit(x.main(['fmt']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-B", "-c", code], stderr=subprocess.PIPE, start_new_session=True
    )
    while not started.exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    # The child is Python too, and says KeyboardInterrupt in its own traceback; the door adds none.
    assert errors.decode().count("Traceback") <= 1


# ---- what is done again, and what is not --------------------------------------------------------


def test_a_fingerprint_follows_contents_and_names(x, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.rs").write_text("one")

    def now() -> str:
        return x.fingerprint("src", "Cargo.toml")

    first = now()
    (tmp_path / "src/a.rs").write_text("one")
    (tmp_path / "src/_core.so").write_text("built")
    assert now() == first, "a new date or a built file is no change"
    (tmp_path / "src/a.rs").write_text("two")
    second = now()
    assert second != first
    (tmp_path / "src/a.rs").rename(tmp_path / "src/b.rs")
    assert now() not in {first, second}


@pytest.fixture
def built(x, tmp_path, monkeypatch) -> list[tuple]:
    """The commands that x.py would run, in a repository whose build writes an empty core."""
    ran: list[tuple] = []

    def run(*words: object, env: object = None) -> None:
        ran.append(words)
        if "venv" in words:
            x.VENV.python.parent.mkdir(parents=True)
            x.VENV.python.touch()
        if "develop" in words:
            (tmp_path / "python/schuss").mkdir(parents=True, exist_ok=True)
            (tmp_path / "python/schuss/_core.abi3.so").write_text(str(len(ran)))

    (tmp_path / "src").mkdir()
    (tmp_path / "src/lib.rs").write_text("//! Empty.")
    monkeypatch.setattr(x, "run", run)
    monkeypatch.setattr(x, "toolchain", lambda: None)
    return ran


def builds(ran: list[tuple]) -> int:
    return sum("develop" in words for words in ran)


def test_a_build_is_skipped_until_its_sources_change(x, built, tmp_path):
    x.build()
    x.build()
    assert builds(built) == 1
    (tmp_path / "python/schuss/names.py").write_text("changed = True")
    x.build()
    assert builds(built) == 1, "Python files are read where they lie"
    (tmp_path / "src/lib.rs").write_text("//! Changed.")
    x.build()
    assert builds(built) == 2
    (tmp_path / "python/schuss/_core.abi3.so").unlink()
    x.build()
    assert builds(built) == 3, "a core that is gone is built again"


def test_only_what_is_missing_is_installed(x, built):
    x.VENV.install(["a>=1"])
    x.VENV.install(["a>=1", "b>=2"])
    x.VENV.install(["b>=2"])
    installs = [words[words.index("install") + 1 :] for words in built if "install" in words]
    assert installs == [("a>=1",), ("b>=2",)]
    assert json.loads(x.VENV.notes_file.read_text())["installed"] == ["a>=1", "b>=2"]


def test_requirements_are_those_of_pyproject(x):
    listed = x.settings("pyproject.toml")["project"]["optional-dependencies"]
    assert x.requirements("examples") == listed["examples"]
    assert [r.split(">")[0] for r in x.requirements("ruff", "numpy")] == ["ruff", "numpy"]
    with pytest.raises(x.Stop, match="nowhere"):
        x.requirements("nowhere")


def test_a_heavy_wheel_is_refused(x, tmp_path, capsys):
    file = tmp_path / "schuss-0.whl"
    file.write_bytes(b"x" * 1000)
    x.weigh(file, limit=1000)
    assert "0.00 MB" in capsys.readouterr().out
    with pytest.raises(x.Stop):
        x.weigh(file, limit=999)


# ---- the generator ------------------------------------------------------------------------------


@pytest.fixture
def printer(monkeypatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return load("docs/generate.py")


def small_core() -> types.ModuleType:
    """A module with a record, a tensor and a function, as the core has them."""

    class Tensor:
        """Numbers.

        >>> Tensor()
        tensor(0)
        """

        def sigmoid(self):
            r"""Logistic \ sigmoid."""

        def sum(self, dim=None, keepdim=False, *, dtype=None):
            """Add up."""

        def add_(self, other, /, *, alpha=1):
            """Add in place."""

    def where(condition, input, *, lr=float("inf")):
        """Choose."""

    record = {
        "name": "sigmoid",
        "kind": "map",
        "inputs": ["x"],
        "params": [],
        "dtype": "float",
        "differentiable": True,
        "check": (-8.0, 8.0),
    }
    module = types.ModuleType("_core")
    module.__dict__.update(Tensor=Tensor, where=where, pi=3.14, records=lambda: [record])
    return module


def test_the_stub_shows_signatures_and_types(printer):
    text = printer.stub(printer.Core(small_core()))
    for line in (
        "class Tensor:",
        "def sigmoid(self) -> Tensor:",
        '"""Logistic \\\\ sigmoid."""',
        "def sum(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, ",
        "def add_(self, other: Tensor | _bool | _int | _float, /, *, alpha: Any = 1) -> Tensor:",
        "def where(condition: Any, input: Any, *, lr: _float = ...) -> Any:",
        "pi: _float",
    ):
        assert line in text, f"{line}\nis not in\n{text}"
    compile(text, "_core.pyi", "exec")


def test_the_reference_shows_records_and_examples(printer):
    pages = printer.pages(printer.Core(small_core()))
    assert "| `sigmoid` | x | none | map | float | yes |" in pages["operations.md"]
    assert "### sum(dim=None, keepdim=False, *, dtype=None)\n\nAdd up." in pages["tensor.md"]
    assert "### where(condition, input, *, lr=inf)" in pages["functions.md"]
    assert all(name in pages["README.md"] for name in pages if name != "README.md")


def test_examples_in_the_reference_are_fenced(printer):
    text = printer.page_text(small_core().Tensor)
    assert text == "Numbers.\n\n```python\n>>> Tensor()\ntensor(0)\n```"


def test_stale_files_are_found(printer, tmp_path):
    printed = {Path("docs/reference/a.md"): "a", Path("stub.pyi"): "b"}
    assert printer.stale(printed, tmp_path) == sorted(printed)
    (tmp_path / "docs/reference").mkdir(parents=True)
    for path, text in printed.items():
        (tmp_path / path).write_text(text)
    assert printer.stale(printed, tmp_path) == []
    (tmp_path / "stub.pyi").write_text("changed")
    (tmp_path / "docs/reference/left.md").write_text("of an older time")
    assert printer.stale(printed, tmp_path) == [Path("docs/reference/left.md"), Path("stub.pyi")]


# ---- the repository's form ----------------------------------------------------------------------


def sources(*patterns: str) -> list[Path]:
    found = [path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()]
    assert found, f"no file matches {patterns}"
    return found


def test_integration_runs_the_two_commands():
    script = ROOT / ".ci/run"
    assert os.name == "nt" or os.access(script, os.X_OK)
    lines = [line for line in script.read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "set -euo pipefail"
    assert lines[-2:] == ["python3 x.py lint", "python3 x.py test"]


def test_numpy_is_the_only_dependency(x):
    project = x.settings("pyproject.toml")["project"]
    assert [re.split(r"\W", r)[0] for r in project["dependencies"]] == ["numpy"]
    package = x.settings("Cargo.toml")["package"]
    assert package["version"] == project["version"]


def test_every_environment_variable_is_documented():
    page = (ROOT / "docs/environment.md").read_text()
    for path in sources("src/**/*.rs", "python/schuss/**/*.py"):
        for name in set(re.findall(r"\bSCHUSS_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))):
            assert f"`{name}`" in page, f"{path.name} reads {name}; docs/environment.md lacks it"


def test_links_between_pages_lead_somewhere():
    for page in sources("*.md", "docs/*.md"):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if not target.startswith("https://"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
