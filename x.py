#!/usr/bin/env python3
"""The one door for commands: makes the environment, builds the core, runs.

Leans on the standard library alone. `python3 x.py` lists the commands. What is installed goes into
`.venv/` (and `.bench/` for comparisons with other libraries); what is built goes where cargo puts
it, so CARGO_TARGET_DIR is respected.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
WINDOWS = os.name == "nt"
WHEEL_LIMIT = 10_000_000

INSTALL_RUST = """\
schuss is built by Rust's cargo, which was not found. To install it:
  Linux    curl -sSf https://sh.rustup.rs | sh   (and a C linker: apt install gcc)
  macOS    curl -sSf https://sh.rustup.rs | sh   (and a C linker: xcode-select --install)
  Windows  winget install Rustlang.Rustup   (and Microsoft.VisualStudio.2022.BuildTools, with C++)
Then open a new terminal and run this command again."""

INSTALL_VENV = (
    "Python's venv module is not whole here; on Debian and Ubuntu: sudo apt install python3-venv"
)


class Stop(Exception):
    """Ends the command with an exit code and, if there is something to say, a message."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def say(line: str) -> None:
    print(line, flush=True)


@contextlib.contextmanager
def step(title: str):
    """Say what is being done, and how long it took."""
    say(f"==> {title}")
    start = time.monotonic()
    yield
    say(f"    done in {time.monotonic() - start:.1f} s")


def run(*command: object, env: dict[str, str] | None = None) -> None:
    """Run a program in the repository with its output passing through; its failure is ours."""
    words = [str(word) for word in command]
    try:
        process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, **(env or {})})
    except FileNotFoundError:
        raise Stop(2, f"{words[0]} was not found") from None
    try:
        code = process.wait()
    except KeyboardInterrupt:
        # A terminal has sent the interrupt to the child as well: give it time to tidy up.
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(timeout=5)
        if process.poll() is None:
            process.kill()
        raise
    if code in (-signal.SIGINT, 130):
        raise KeyboardInterrupt
    if code:
        raise Stop(code if code > 0 else 128 - code)


def fingerprint(*places: str) -> str:
    """A digest of the files at these places, so that nothing is rebuilt for a new date alone."""
    digest = hashlib.sha256()
    for place in places:
        path = ROOT / place
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            if "__pycache__" in file.parts or file.suffix in {".so", ".pyd"} or not file.exists():
                continue
            data = file.read_bytes()
            digest.update(f"{file.relative_to(ROOT).as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def settings(name: str) -> dict:
    """The contents of pyproject.toml or Cargo.toml."""
    import tomllib

    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def requirements(*names: str) -> list[str]:
    """The requirements of an extra, or of that name alone, as pyproject.toml has them."""
    project = settings("pyproject.toml")["project"]
    extras = project.get("optional-dependencies", {})
    every = [r for group in (project["dependencies"], *extras.values()) for r in group]
    found = []
    for name in names:
        if name in extras:
            found += extras[name]
            continue
        single = [r for r in every if re.split(r"[\s\[<>=!~;]", r)[0] == name]
        if not single:
            raise Stop(2, f"pyproject.toml names no extra and no requirement {name!r}")
        found.append(single[0])
    return list(dict.fromkeys(found))


class Environment:
    """A virtual environment of the repository, with notes of what was put into it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = ROOT / name
        self.python = self.folder / ("Scripts/python.exe" if WINDOWS else "bin/python")
        self.notes_file = self.folder / "x.json"

    def notes(self) -> dict:
        try:
            return json.loads(self.notes_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def note(self, **facts: object) -> None:
        self.notes_file.write_text(
            json.dumps({**self.notes(), **facts}, indent=1), encoding="utf-8"
        )

    def make(self) -> None:
        """Make the environment unless it is there and has pip."""
        if self.python.exists() and (self.notes() or self.has("pip")):
            return
        if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
            raise Stop(2, INSTALL_VENV)
        with step(f"making {self.name}"):
            # A folder whose Python is gone, after an upgrade of the system's, is no use.
            gone = ["--clear"] if self.notes() else []
            run(sys.executable, "-m", "venv", *gone, self.folder)
        self.note(installed=[])

    def has(self, module: str) -> bool:
        done = subprocess.run(
            [self.python, "-c", f"import {module}"], capture_output=True, stdin=subprocess.DEVNULL
        )
        return done.returncode == 0

    def install(self, wanted: list[str]) -> None:
        """Install what was not installed before."""
        self.make()
        installed = self.notes().get("installed", [])
        missing = [r for r in wanted if r not in installed]
        if not missing:
            return
        with step(f"installing {', '.join(missing)} into {self.name}"):
            run(self.python, *PIP, "install", *missing)
        self.note(installed=installed + missing)

    def variables(self) -> dict[str, str]:
        """What a program that looks for an active environment has to see."""
        paths = [str(self.python.parent), os.environ.get("PATH", "")]
        return {"VIRTUAL_ENV": str(self.folder), "PATH": os.pathsep.join(paths)}


PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
VENV = Environment(".venv")
BENCH = Environment(".bench")


def toolchain() -> None:
    """Find cargo, also where it is installed but not yet in PATH, and check its version."""
    if not shutil.which("cargo"):
        home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin"
        if not shutil.which("cargo", path=str(home)):
            raise Stop(2, INSTALL_RUST)
        os.environ["PATH"] = os.pathsep.join([str(home), os.environ.get("PATH", "")])
    # An active conda environment beside ours would stop the build.
    os.environ.pop("CONDA_PREFIX", None)
    done = subprocess.run(["cargo", "--version"], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise Stop(2, f"{done.stderr.strip()}\ncargo does not run; try: rustup default stable")
    needed = settings("Cargo.toml")["package"]["rust-version"]
    found = re.search(r"\d+\.\d+", done.stdout)
    if found and [*map(int, found[0].split("."))] < [*map(int, needed.split(".")[:2])]:
        raise Stop(2, f"cargo {found[0]} is too old, {needed} is needed; run: rustup update stable")


def cargo(*words: str) -> None:
    toolchain()
    run("cargo", *words)


def maturin(title: str, *words: object) -> None:
    """Run the build tool, which the environment gets first."""
    VENV.install(requirements("numpy") + settings("pyproject.toml")["build-system"]["requires"])
    try:
        with step(title):
            run(VENV.python, "-m", "maturin", *words, env={**VENV.variables(), "PIP_QUIET": "1"})
    except Stop:
        if not WINDOWS and not shutil.which("cc"):
            say("No C linker `cc` was found; on Debian and Ubuntu: sudo apt install gcc")
        raise


def core() -> list[Path]:
    """The built core, as it lies beside the package's Python files."""
    return sorted(
        f for f in (ROOT / "python/schuss").glob("_core.*") if f.suffix in {".so", ".pyd"}
    )


def build() -> None:
    """Build the core in release mode into `.venv`, unless its sources are those of last time."""
    toolchain()
    # The package's Python files are read where they lie, so they are no part of a build.
    state = [fingerprint("src", "Cargo.toml", "Cargo.lock", "pyproject.toml")]
    if VENV.notes().get("build") == state + [[f.name, f.stat().st_mtime_ns] for f in core()]:
        return
    maturin("building the core (release)", "develop", "--release")
    # Cargo may have written Cargo.lock meanwhile: look again.
    state = [fingerprint("src", "Cargo.toml", "Cargo.lock", "pyproject.toml")]
    VENV.note(build=state + [[f.name, f.stat().st_mtime_ns] for f in core()])


def python(*words: object, env: dict[str, str] | None = None) -> None:
    """Run the environment's Python; pictures are written to files, not to windows."""
    run(VENV.python, *words, env={"MPLBACKEND": os.environ.get("MPLBACKEND", "Agg"), **(env or {})})


def demo(arguments: list[str]) -> None:
    """Train a network on real handwriting and draw what it learnt (pictures in out/)."""
    build()
    VENV.install(requirements("examples"))
    python("examples/digits.py", *arguments)


def adapter() -> None:
    """A Vulkan driver that computes on the processor, so that shaders are run in tests."""
    drivers = Path("/usr/share/vulkan/icd.d")
    if sys.platform != "linux" or any(drivers.glob("*")):
        return
    packages = ("mesa-vulkan-drivers", "libvulkan1")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], **quiet)
        get = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        if subprocess.run(get, **quiet).returncode == 0:
            return
    say(f"no Vulkan driver: tests of GPUs will be skipped; {' '.join(packages)} would give one")


def test(arguments: list[str]) -> None:
    """Test the Rust core, then the package; with arguments, run pytest alone with those."""
    build()
    VENV.install(requirements("test"))
    if arguments:
        python("-m", "pytest", *arguments)
        return
    adapter()
    core_only = ("--release", "--no-default-features", "--features", "gpu")
    with step("testing the Rust core, without Python"):
        if shutil.which("cargo-nextest"):
            cargo("nextest", "run", *core_only)
            cargo("test", "--doc", *core_only)
        else:
            cargo("test", *core_only)
    say("==> testing the Python package")
    python("-m", "pytest", "-n", str(min(4, os.cpu_count() or 1)))


def lint(arguments: list[str]) -> None:
    """Check formatting, clippy, ruff, and that the generated files are current."""
    VENV.install(requirements("ruff"))
    with step("checking formats"):
        cargo("fmt", "--check")
        python("-m", "ruff", "format", "--check", ".")
        python("-m", "ruff", "check", ".")
    strict = ("--all-targets", "--", "-D", "warnings")
    with step("clippy"):
        # Not --release: the build tool hands PyO3 other settings, and each would undo the other's.
        cargo("clippy", "--no-default-features", *strict)
        cargo("clippy", *strict)
    gen(["--check"])


def fmt(arguments: list[str]) -> None:
    """Format the Rust and the Python files."""
    VENV.install(requirements("ruff"))
    cargo("fmt")
    python("-m", "ruff", "check", "--fix-only", ".")
    python("-m", "ruff", "format", ".")


def types(arguments: list[str]) -> None:
    """Check the types of all Python files, and the stub against the built core."""
    build()
    VENV.install(requirements("pyright", "mypy", "test", "examples"))
    with step("pyright"):
        python("-m", "pyright", "--pythonpath", VENV.python)
    with step("stubtest"):
        python("-m", "mypy.stubtest", "schuss._core", env={"MYPYPATH": str(ROOT / "python")})


def gen(arguments: list[str]) -> None:
    """Write the stub and the reference pages from the core; `gen --check` says which are stale."""
    build()
    python("docs/generate.py", *arguments)


def docs(arguments: list[str]) -> None:
    """Run every example of the README, the pages of docs/ and the docstrings."""
    build()
    VENV.install(requirements("test"))
    python("-m", "pytest", "tests/test_docs.py", *arguments)


def pack() -> Path:
    """Build the wheel that people install, the slow and thorough way, unless it is there."""
    toolchain()
    state = fingerprint("src", "python", "Cargo.toml", "Cargo.lock", "pyproject.toml", "README.md")
    made = VENV.notes().get("wheel", {})
    if made.get("state") == state and (ROOT / "dist" / made["name"]).exists():
        return ROOT / "dist" / made["name"]
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    title = "building the wheel (fat link-time optimisation)"
    maturin(title, "build", "--profile", "wheel", "--out", "dist", "--interpreter", VENV.python)
    found = sorted((ROOT / "dist").glob("schuss-*.whl"))
    if len(found) != 1:
        raise Stop(1, f"expected one wheel in dist/, found {len(found)}")
    state = fingerprint("src", "python", "Cargo.toml", "Cargo.lock", "pyproject.toml", "README.md")
    VENV.note(wheel={"state": state, "name": found[0].name})
    return found[0]


def weigh(file: Path, limit: int = WHEEL_LIMIT) -> None:
    """Print a wheel's size; over the limit is a failure."""
    size = file.stat().st_size
    say(f"{file.name}: {size / 1e6:.2f} MB")
    if size > limit:
        raise Stop(1, f"the wheel is over its limit of {limit / 1e6:.0f} MB")


def wheel(arguments: list[str]) -> None:
    """Build the wheel into dist/ and weigh it; over 10 MB is a failure."""
    weigh(pack())


def rival(*wanted: str) -> None:
    """Make `.bench`: the built wheel and what these extras and requirements name."""
    file = pack()
    BENCH.install(requirements("numpy"))
    state = fingerprint(f"dist/{file.name}")
    if BENCH.notes().get("wheel") != state:
        with step(f"installing {file.name} into {BENCH.name}"):
            run(BENCH.python, *PIP, "install", "--force-reinstall", "--no-deps", file)
        BENCH.note(wheel=state)
    # A torch that somebody chose for this machine, such as a CPU build, is left as it is.
    missing = set(requirements(*wanted)) - set(BENCH.notes()["installed"])
    torch = {r for r in missing if r.startswith("torch")}
    BENCH.install(sorted(missing - torch if torch and BENCH.has("torch") else missing))


def bench(arguments: list[str]) -> None:
    """Time the wheel beside torch, jax and mlx: every table, or x.py bench NAME [arguments]."""
    tables = [
        ("ops",),
        ("steps",),
        ("steps", "--threads", "2"),
        ("kernels_peer",),
        ("kernels_peer", "threads"),
        ("optimisers",),
        ("forms",),
        ("batches",),
        ("memory",),
    ]
    if arguments and not (ROOT / f"benches/{arguments[0]}.py").exists():
        raise Stop(
            2, f"there is no table {arguments[0]}; there are {sorted({t[0] for t in tables})}"
        )
    try:
        rival("bench")
    except Stop as stop:
        if not BENCH.notes().get("wheel"):
            raise
        say(f"torch could not be installed (exit code {stop.code}); timing schuss alone")
    for name, *rest in [arguments] if arguments else tables:
        say(f"\n{' '.join((name, *rest))}")
        run(BENCH.python, f"benches/{name}.py", *rest)


def script(arguments: list[str], usage: str) -> tuple[Path, list[str]]:
    """The path that a command needs as its first argument, and the rest."""
    if not arguments or not Path(arguments[0]).exists():
        raise Stop(2, f"usage: python3 x.py {usage}; the path must exist")
    return Path(arguments[0]).resolve(), arguments[1:]


def oracle(arguments: list[str]) -> None:
    """Compare with PyTorch's own operator samples: x.py oracle PATH/opdb.py [arguments]."""
    path, rest = script(arguments, "oracle PATH/opdb.py [arguments]")
    rival("oracle")
    library = [] if "--lib" in rest else ["--lib", "schuss"]
    run(BENCH.python, path, *library, *rest)


def arrayapi(arguments: list[str]) -> None:
    """Run the Array API standard's suite from a checkout of it: x.py arrayapi PATH [arguments]."""
    path, rest = script(arguments, "arrayapi PATH [arguments]")
    if not any((path / "array-api").glob("spec")):
        raise Stop(2, f"{path} has no array-api/spec; run there: git submodule update --init")
    rival("pytest", "hypothesis")
    listed = path / "requirements.txt"
    if listed.exists():
        with step(f"installing {listed.name} of the suite into {BENCH.name}"):
            run(BENCH.python, *PIP, "install", "-r", listed)
    ours = ROOT / "tests/array_api"
    variables = {
        "ARRAY_API_TESTS_MODULE": "schuss.array_api",
        "ARRAY_API_TESTS_SKIP_DTYPES": "uint16,uint32,uint64",
    }
    # Pytest's own settings must come from the suite, not from this repository.
    suite = ("-m", "pytest", f"--rootdir={path}", path / "array_api_tests")
    known = (f"--xfails-file={ours / 'failures.txt'}",)
    fixed = ("--max-examples=50", "--disable-deadline", "-p", "no:cacheprovider", "-rX")
    run(
        BENCH.python, *suite, *known, *fixed, *rest, env={**variables, **chosen("ARRAY_API_TESTS_")}
    )


def chosen(prefix: str) -> dict[str, str]:
    """The environment variables that somebody set already, by the start of their names."""
    return {name: value for name, value in os.environ.items() if name.startswith(prefix)}


def everything(arguments: list[str]) -> None:
    """Run what must pass before a change is proposed: lint, type, test."""
    lint([])
    types([])
    test([])


COMMANDS = {
    "demo": demo,
    "test": test,
    "lint": lint,
    "type": types,
    "fmt": fmt,
    "gen": gen,
    "docs": docs,
    "bench": bench,
    "wheel": wheel,
    "all": everything,
    "oracle": oracle,
    "arrayapi": arrayapi,
}


def overview() -> str:
    """The commands with a sentence each."""
    lines = ["python3 x.py COMMAND [arguments]", ""]
    for name, command in COMMANDS.items():
        lines.append(f"  {name:9} {(command.__doc__ or '').splitlines()[0]}")
    return "\n".join(lines)


def main(words: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file has to say so itself
        say(f"Python 3.11 or later is needed; this is {sys.version.split()[0]} ({sys.executable})")
        return 2
    if not words or words[0] in {"help", "-h", "--help"}:
        say(overview())
        return 0
    if words[0] not in COMMANDS:
        say(f"no command {words[0]!r}\n\n{overview()}")
        return 2
    try:
        COMMANDS[words[0]](words[1:])
    except Stop as stop:
        if stop.message:
            print(stop.message, file=sys.stderr, flush=True)
        return stop.code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
