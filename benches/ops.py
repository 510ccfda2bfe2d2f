"""Times what one operation, one training step and the import cost, beside PyTorch.

Leans on schuss and NumPy; torch is measured where it is installed. `python x.py bench` runs this.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isclose, prod
from typing import Any

import numpy
import schuss

try:
    import torch  # pyright: ignore[reportMissingImports]
except ImportError:
    torch = None

OPERATIONS = {
    "a + b        (6,) + (6,)": "a + b",
    "m + v        (2, 3) + (3,)": "m + v",
    "a * 2.0      (6,)": "a * 2.0",
    "s * s        () * ()": "s * s",
    "a + d        float32 + float64": "a + d",
    "m[0]         a row of (2, 3)": "m[0]",
    "m.T          of (2, 3)": "m.T",
}
# The whole way there and back, recorded by nature; the gradient is added to each time.
BACK = "(a * b).sum().backward()"
OPERATION_AIM = 10.0
STEP_AIM = 25.0
IMPORT_AIM = 0.050


@dataclass
class Case:
    """One row: the same statement for each library, over operands that it makes."""

    label: str
    statement: str
    operands: Callable[[Any], dict[str, Any]]


@dataclass
class Row:
    """Seconds a call, one figure a round, for each library."""

    label: str
    seconds: list[list[float]]

    def ratio(self) -> float:
        """How many times faster the first is than the second: the median over the rounds."""
        ours, theirs = self.seconds
        return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def small(library: Any, recorded: bool) -> dict[str, Any]:
    """Operands of six elements and fewer, all recorded or none."""

    def tensor(values: Any, dtype: Any = library.float32) -> Any:
        return library.tensor(values, dtype=dtype, requires_grad=recorded)

    six = [0.5, -1.25, 2.0, 3.5, -4.75, 6.0]
    return {
        "a": tensor(six),
        "b": tensor(six[::-1]),
        "m": tensor([six[:3], six[3:]]),
        "v": tensor(six[:3]),
        "s": tensor(1.5),
        "d": tensor(six, library.float64),
    }


def line(library: Any) -> dict[str, Any]:
    """One step of gradient descent on a line: 100 points, slope and intercept."""
    generator = numpy.random.default_rng(0)
    points = numpy.ones((100, 2), dtype=numpy.float32)
    points[:, 0] = generator.uniform(-1.0, 1.0, 100)
    heights = points @ numpy.array([3.0, 2.0], dtype=numpy.float32) + generator.random(
        100, dtype=numpy.float32
    )
    x, y = library.tensor(points), library.tensor(heights)
    w = library.tensor([-1.0, 1.0], requires_grad=True)

    def step() -> Any:
        loss = ((x @ w - y) ** 2).mean()
        loss.backward()
        with library.no_grad():
            w.sub_(0.1 * w.grad)
            w.grad.zero_()
        return loss

    return {"step": step, "w": w}


def cases() -> list[Case]:
    """Every row of the table, the operations first."""
    plain = [
        Case(label, statement, lambda library: small(library, recorded=False))
        for label, statement in OPERATIONS.items()
    ]
    recorded = [
        Case(label + ", recorded", statement, lambda library: small(library, recorded=True))
        for label, statement in OPERATIONS.items()
    ]
    back = Case(BACK, BACK, lambda library: small(library, recorded=True))
    return [*plain, *recorded, back, Case("step of a line, 100x2 @ 2", "step()", line)]


def agree(case: Case, libraries: Sequence[Any]) -> None:
    """Stops the bench where the libraries compute different numbers."""
    results = []
    for library in libraries:
        operands = case.operands(library)
        result = eval(case.statement, operands)
        result = operands["a"].grad if result is None else result
        results.append(result.detach().reshape(-1).tolist())
    for other in results[1:]:
        same = len(other) == len(results[0]) and all(
            isclose(a, b, rel_tol=1e-5, abs_tol=1e-6)
            for a, b in zip(results[0], other, strict=True)
        )
        if not same:
            raise SystemExit(f"{case.label}: the libraries differ: {results[0]} and {other}")


def measure(case: Case, libraries: Sequence[Any], rounds: int, seconds: float) -> Row:
    """Times the statement in interleaved rounds, each an inner loop of at least `seconds`."""
    timers, loops = [], []
    for library in libraries:
        operands = case.operands(library)
        setup = ", ".join(operands) + ", = operands"
        timer = timeit.Timer(case.statement, setup, globals={"operands": operands.values()})
        loop = 1
        while (taken := timer.timeit(loop)) < seconds:
            loop = max(loop + 1, int(loop * min(10.0, 1.2 * seconds / max(taken, 1e-9))))
        timers.append(timer)
        loops.append(loop)
    row = Row(case.label, [[] for _ in libraries])
    for number in range(rounds):
        order = range(len(libraries))
        # Neither library always follows the other.
        for i in order if number % 2 == 0 else reversed(order):
            row.seconds[i].append(timers[i].timeit(loops[i]) / loops[i])
    return row


def import_seconds(rounds: int) -> list[float]:
    """What `import schuss` takes in a new interpreter that has imported NumPy."""
    program = (
        "import time, numpy; start = time.perf_counter(); import schuss; "
        "print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", program]
    # The first run finds cold files and perhaps no byte code.
    return [
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(rounds + 1)
    ][1:]


def figure(seconds: Sequence[float]) -> str:
    """The median and the distance from the least to the greatest, in per cent of it."""
    median = statistics.median(seconds)
    spread = 100.0 * (max(seconds) - min(seconds)) / median
    text = f"{median * 1e9:.0f} ns" if median < 1e-6 else f"{median * 1e6:.2f} us"
    return f"{text:>9} {spread:4.0f} %"


def verdict(ratio: float, aim: float) -> str:
    return f"{ratio:.1f}x (aim {aim:.0f}x: {'met' if ratio >= aim else 'missed'})"


def mean(rows: Sequence[Row]) -> float:
    """The geometric mean of the rows' ratios."""
    return prod(row.ratio() for row in rows) ** (1.0 / len(rows))


def machine() -> str:
    """What the figures were taken on."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            name = next(text.split(":")[1].strip() for text in lines if "model name" in text)
    except (OSError, StopIteration):
        pass
    libraries = [schuss, numpy] + ([torch] if torch else [])
    versions = ", ".join(f"{it.__name__} {getattr(it, '__version__', '?')}" for it in libraries)
    return f"{name}, {platform.system()}, Python {platform.python_version()}, {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds, at least 7")
    parser.add_argument("--milliseconds", type=float, default=20.0, help="least time of a round")
    options = parser.parse_args()
    rounds, seconds = max(options.rounds, 7), max(options.milliseconds, 20.0) / 1e3

    libraries = [schuss]
    if torch is None:
        print("torch is not installed here, so there is nothing to compare with: schuss alone.")
    else:
        libraries.append(torch)
    for library in libraries:
        library.set_num_threads(1)
    print(machine())
    print(f"one thread, median of {rounds} interleaved rounds of {seconds * 1e3:.0f} ms and more\n")
    heads = "".join(f"{library.__name__ + ', spread':>18}" for library in libraries)
    print(f"{'':<42}{heads}" + ("   ratio" if torch else ""))

    rows = []
    for case in cases():
        agree(case, libraries)
        row = measure(case, libraries, rounds, seconds)
        rows.append(row)
        figures = "".join(f"{figure(taken):>18}" for taken in row.seconds)
        ratio = f"{row.ratio():7.1f}x" if torch else ""
        print(f"{row.label:<42}{figures}{ratio}", flush=True)

    print()
    if torch:
        count = len(OPERATIONS)
        print(f"small operations, geometric mean: {verdict(mean(rows[:-1]), OPERATION_AIM)}")
        print(f"  not recorded {mean(rows[:count]):.1f}x, recorded {mean(rows[count:-1]):.1f}x")
        print(f"step of a line: {verdict(rows[-1].ratio(), STEP_AIM)}")
    added = import_seconds(rounds)
    median = statistics.median(added)
    print(
        f"import schuss after numpy: {median * 1e3:.1f} ms, "
        f"{min(added) * 1e3:.1f} to {max(added) * 1e3:.1f} "
        f"(aim {IMPORT_AIM * 1e3:.0f} ms: {'met' if median <= IMPORT_AIM else 'missed'})"
    )


if __name__ == "__main__":
    main()
