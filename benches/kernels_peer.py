"""Times the processor's kernels beside PyTorch by turns, and two threads beside one.

Leans on schuss, NumPy and torch; `python benches/kernels_peer.py --help` says what can be chosen.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

# NumPy's products know no other way to keep to one thread, and ask once, when they are loaded.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy
import schuss
import torch  # pyright: ignore[reportMissingImports]

Make = Callable[[Any], dict[str, Any]]
LIBRARIES = (schuss, torch)


def values(*shape: int, low: float = -3.0, high: float = 3.0, dtype: str = "float32") -> Make:
    """Two arrays `a` and `b` of one shape, evenly distributed."""

    def make(library: Any) -> dict[str, Any]:
        draw = numpy.random.default_rng(7)
        arrays = [draw.uniform(low, high, shape).astype(dtype) for _ in range(2)]
        return {"L": library, "a": library.tensor(arrays[0]), "b": library.tensor(arrays[1])}

    return make


def recorded(*shape: int) -> Make:
    """`a` requires a gradient, `b` is a cotangent."""

    def make(library: Any) -> dict[str, Any]:
        names = values(*shape)(library)
        names["a"].requires_grad_(True)
        return names

    return make


def images(*shape: int, weight: tuple[int, ...], result: tuple[int, ...]) -> Make:
    """Images `a`, weights `w`, a bias `c`, all to be differentiated by, and a cotangent `g`."""

    def make(library: Any) -> dict[str, Any]:
        draw = numpy.random.default_rng(7)
        sizes = {"a": shape, "w": weight, "c": result[1:2], "g": result}
        names = {k: library.tensor(draw.normal(size=n).astype("float32")) for k, n in sizes.items()}
        for name in "awc":
            names[name].requires_grad_(True)
        return {"L": library, "F": library.nn.functional, **names}

    return make


def windows() -> list[tuple[str, str, str, Make]]:
    """Convolutions and poolings, alone and with their gradients."""
    rows = []
    for d, on, weight, rest in (
        (2, (64, 1, 28, 28), (32, 1, 3, 3), {}),
        (2, (64, 32, 26, 26), (64, 32, 3, 3), {}),
        (2, (16, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
        (2, (16, 256, 14, 14), (256, 256, 3, 3), {"padding": 1}),
        (2, (16, 512, 7, 7), (512, 512, 3, 3), {"padding": 1}),
        (2, (16, 64, 56, 56), (256, 64, 1, 1), {}),
        (2, (16, 256, 14, 14), (1024, 256, 1, 1), {}),
        (2, (16, 64, 56, 56), (128, 64, 3, 3), {"stride": 2, "padding": 1}),
        (2, (16, 3, 112, 112), (64, 3, 7, 7), {"stride": 2, "padding": 3}),
        (2, (16, 64, 56, 56), (64, 1, 3, 3), {"padding": 1, "groups": 64}),
        (2, (16, 96, 28, 28), (96, 1, 5, 5), {"stride": 2, "padding": 2, "groups": 96}),
        (2, (16, 128, 28, 28), (128, 4, 3, 3), {"padding": 1, "groups": 32}),
        (2, (16, 64, 28, 28), (64, 64, 3, 3), {"padding": 2, "dilation": 2}),
        (2, (16, 64, 28, 28), (64, 64, 5, 5), {"padding": 2}),
        (1, (16, 64, 1000), (64, 64, 5), {"padding": 2}),
        (3, (2, 16, 16, 28, 28), (32, 16, 3, 3, 3), {"padding": 1}),
    ):
        each = [rest.get(k, v) for k, v in (("stride", 1), ("padding", 0), ("dilation", 1))]
        axes = zip(on[2:], weight[2:], strict=True)
        places = [(n + 2 * each[1] - each[2] * (k - 1) - 1) // each[0] + 1 for n, k in axes]
        words = "".join(f", {k}={v}" for k, v in rest.items())
        made = images(*on, weight=weight, result=(on[0], weight[0], *places))
        called = f"F.conv{d}d(a, w, c{words})"
        rows += [(called, f"{weight}", made)]
        rows += [(f"L.autograd.grad({called}, (a, w, c), g)[1]", f"{weight}", made)]
    turned = images(16, 64, 28, 28, weight=(64, 32, 4, 4), result=(16, 32, 56, 56))
    called = "F.conv_transpose2d(a, w, c, stride=2, padding=1)"
    rows += [(called, "(64, 32, 4, 4)", turned)]
    rows += [(f"L.autograd.grad({called}, (a, w, c), g)[0]", "(64, 32, 4, 4)", turned)]
    for on, words, n in (
        ((64, 64, 24, 24), "2", 12),
        ((16, 64, 112, 112), "3, 2, 1", 56),
        ((16, 64, 28, 28), "3, 1, 1", 28),
    ):
        made = images(*on, weight=(1,), result=(on[0], on[1], n, n))
        for kind in ("max", "avg"):
            called = f"F.{kind}_pool2d(a, {words})"
            rows += [(called, "", made), (f"L.autograd.grad({called}, a, g)[0]", "", made)]
    return [("windows", s, f"{shape(make)} {weight}", make) for s, weight, make in rows]


def strided() -> list[tuple[str, str, str, Make]]:
    """Operands that do not lie in row-major order."""
    square, cube = values(1024, 1024), values(64, 128, 128)
    rows = [
        ("a.T + b", square),
        ("a.T * b", square),
        ("a.T + b.T", square),
        ("a + b[:, :1]", square),
        ("a * b[0]", square),
        ("a[:, ::2] + b[:, ::2]", square),
        ("a[:, ::2] * 2.0", square),
        ("a[10:1000] + b[20:1010]", square),
        ("a[:, 10:1000] + b[:, 20:1010]", square),
        ("a[::2] + b[::2]", square),
        ("a[:, :, None] * b[0]", values(64, 64)),
        ("a.T.contiguous()", square),
        ("a.T.exp()", square),
        ("a[:, ::2].contiguous()", square),
        ("a.permute(0, 2, 1).contiguous()", cube),
        ("a.permute(0, 2, 1) + b", cube),
        ("a.permute(2, 0, 1).contiguous()", cube),
        ("a.permute(1, 0, 2).contiguous()", cube),
        ("a.permute(0, 2, 3, 1).contiguous()", values(16, 64, 32, 32)),
        ("a.T.contiguous()", values(1000, 1003)),
        ("a.T.contiguous()", values(1024, 1024, dtype="float64")),
        ("a.T + b", values(1024, 1024, dtype="float64")),
        ("a.T.to(L.float64)", square),
    ]
    return [("strided", statement, shape(make), make) for statement, make in rows]


def plain() -> list[tuple[str, str, str, Make]]:
    """Row-major operands: maps and folds that memory bounds."""
    rows = []
    for dtype in ("float32", "float64"):
        line, square = values(1 << 20, dtype=dtype), values(1024, 1024, dtype=dtype)
        rows += [
            (s, line)
            for s in ("a + b", "a * b", "a * 2.0", "a.clone()", "a.sum()", "a.max()", "a.mean()")
        ]
        rows += [
            (s, line)
            for s in ("a.amin()", "a.prod()", "a.var()", "a.std()", "a.argmax()", "a.argmin()")
        ]
        rows += [
            (s, line)
            for s in ("a.any()", "a.all()", "a > b", "(a > 9.0).any()", "a.abs()", "a.relu()")
        ]
        for axis in (0, 1):
            names = ("sum", "mean", "amax", "var", "argmax", "any", "all", "prod")
            rows += [(f"a.{name}(dim={axis})", square) for name in names]
            rows += [(f"a.max(dim={axis})[0]", square)]
        rows += [("a.T.sum(dim=0)", square), ("a.T.sum(dim=1)", square)]
        rows += [
            ("a.sum(dim=1)", values(64, 128, 128, dtype=dtype)),
            ("a.sum(dim=(0, 2))", values(64, 128, 128, dtype=dtype)),
        ]
    return [("plain", statement, shape(make), make) for statement, make in rows]


def soft() -> list[tuple[str, str, str, Make]]:
    """Softmax and what is like it, alone and with its derivative."""
    rows = []
    for sizes in ((1024, 1000), (64, 10), (32, 4, 64, 64)):
        for name in ("softmax", "log_softmax"):
            for axis in (-1, 0):
                rows += [(f"a.{name}({axis})", values(*sizes))]
                rows += [(f"L.autograd.grad(a.{name}({axis}), a, b)[0]", recorded(*sizes))]
        rows += [("a.logsumexp(-1)", values(*sizes)), ("a.logsumexp(0)", values(*sizes))]
        rows += [("L.autograd.grad(a.logsumexp(-1), a, b.select(-1, 0))[0]", recorded(*sizes))]
        rows += [("a.argmax(-1)", values(*sizes))]
    return [("soft", statement, shape(make), make) for statement, make in rows]


def layers() -> list[tuple[str, str, str, Make]]:
    """Normalisations, losses and attention, with their derivatives."""

    def module(name: str, *sizes: int) -> Make:
        def make(library: Any) -> dict[str, Any]:
            names = recorded(*sizes)(library)
            own = sizes[1] if name.startswith("Batch") else sizes[-1]
            names["m"] = getattr(library.nn, name)(own)
            names["p"] = (names["a"], *names["m"].parameters())
            return names

        return make

    def classes(*sizes: int) -> Make:
        def make(library: Any) -> dict[str, Any]:
            draw = numpy.random.default_rng(3)
            picked = library.tensor(draw.integers(0, sizes[1], sizes[0]))
            return recorded(*sizes)(library) | {"y": picked}

        return make

    slope = "L.autograd.grad({}, p, b)[0]".format
    rows = [(slope("m(a)"), module("LayerNorm", *s)) for s in ((8192, 64), (1024, 1024))]
    rows += [(slope("m(a)"), module("BatchNorm2d", 64, 32, 28, 28))]
    rows += [(slope("m(a)"), module("BatchNorm1d", 128, 256))]
    loss = "L.autograd.grad(L.nn.functional.cross_entropy(a, y), a)[0]"
    rows += [(loss, classes(*sizes)) for sizes in ((64, 10), (1024, 1000))]
    for name in ("softmax", "log_softmax"):
        rows += [(f"a.{name}(-1)", values(8192, 64))]
        rows += [(f"L.autograd.grad(a.{name}(-1), a, b)[0]", recorded(8192, 64))]
    attend = "L.nn.functional.scaled_dot_product_attention(a, a, a{})".format
    for more in ("", ", is_causal=True"):
        rows += [(attend(more), values(2, 4, 1024, 32))]
        rows += [(f"L.autograd.grad({attend(more)}, a, b)[0]", recorded(2, 4, 1024, 32))]
    for cut in ("a.unbind(0)", "[a[i] for i in range(64)]"):
        total = f"sum(x.sum() for x in {cut})"
        rows += [(f"L.autograd.grad({total}, a)[0]", recorded(64, 32, 64))]
    gelu = "L.autograd.grad(L.nn.functional.gelu(a), a, b)[0]"
    rows += [(gelu, recorded(1024, 512))]
    return [("layers", statement, shape(make), make) for statement, make in rows]


def words() -> list[tuple[str, str, str, Make]]:
    """The elementary functions."""
    rows = []
    functional = "L.nn.functional."
    for dtype in ("float32", "float64"):
        line = values(1 << 20, dtype=dtype)
        positive = values(1 << 20, low=0.01, high=50.0, dtype=dtype)
        inside = values(1 << 20, low=-0.99, high=0.99, dtype=dtype)
        rows += [
            (f"a.{n}()", line)
            for n in ("exp", "expm1", "exp2", "tanh", "sigmoid", "erf", "erfc", "sinh", "cosh")
        ]
        rows += [(f"{functional}gelu(a)", line), (f"{functional}gelu(a, approximate='tanh')", line)]
        rows += [(f"{functional}silu(a)", line), (f"{functional}softplus(a)", line)]
        rows += [(f"a.{n}()", positive) for n in ("log", "log2", "log10", "log1p", "sqrt", "rsqrt")]
        rows += [(f"a.{n}()", inside) for n in ("asin", "acos", "atan", "atanh")]
        for most in (3.0, 1e4, 1e30 if dtype == "float32" else 1e300):
            angle = values(1 << 20, low=-most / 2, high=most / 2, dtype=dtype)
            rows += [(f"a.{n}()", angle) for n in ("sin", "cos", "tan")]
        wide = values(1 << 20, low=-1e4, high=1e4, dtype=dtype)
        rows += [("L.fmod(a, b)", line), ("L.remainder(a, b)", line), ("a // b", line)]
        rows += [("L.fmod(a, 3.0)", wide), ("L.remainder(a, 0.7)", wide)]
        rows += [
            ("a ** b", positive),
            ("a ** 2.5", positive),
            ("a ** 2", positive),
            ("a ** 3", positive),
            ("a ** 0.5", positive),
        ]
        rows += [("L.atan2(a, b)", line), ("L.hypot(a, b)", line)]
    return [("words", statement, shape(make), make) for statement, make in rows]


class Blas:
    """NumPy's own product of matrices, under the names that a row uses."""

    tensor = staticmethod(numpy.asarray)


def products() -> list[tuple[str, str, str, Make]]:
    """Products of matrices of every size and both orders, and in a linear layer's own layout."""

    def sides(one: tuple[int, int], other: tuple[int, int], dtype: str) -> Make:
        def make(library: Any) -> dict[str, Any]:
            draw = numpy.random.default_rng(7)
            a, b = (draw.uniform(-1.0, 1.0, size).astype(dtype) for size in (one, other))
            return {"L": library, "a": library.tensor(a), "b": library.tensor(b)}

        return make

    rows = []
    for dtype in ("float32", "float64"):
        for n in (8, 16, 32, 64, 128, 256, 512, 1024, 2048):
            square = sides((n, n), (n, n), dtype)
            rows += [(s, square) for s in ("a @ b", "a.T @ b", "a @ b.T", "a.T @ b.T")]
        for n, inner, m in ((64, 784, 128), (64, 128, 10), (512, 784, 128), (1024, 512, 512)):
            rows += [("a @ b.T", sides((n, inner), (m, inner), dtype))]
            rows += [("a.T @ b", sides((n, m), (n, inner), dtype))]
            rows += [("a @ b", sides((n, m), (m, inner), dtype))]
    return [
        ("matmul", s, f"{shape(make)} {tuple(make(Blas)['b'].shape)}", make) for s, make in rows
    ]


def scans() -> list[tuple[str, str, str, Make]]:
    """Running sums and products."""
    rows = []
    for dtype in ("float32", "float64"):
        square, line = values(1024, 1024, dtype=dtype), values(1 << 20, dtype=dtype)
        for name in ("cumsum", "cumprod"):
            rows += [(f"a.{name}(0)", line), (f"a.{name}(-1)", square), (f"a.{name}(0)", square)]
    rows += [("L.autograd.grad(a.cumsum(-1), a, b)[0]", recorded(1024, 1024))]
    return [("scans", statement, shape(make), make) for statement, make in rows]


def shape(make: Make) -> str:
    """What stands behind the statement in the table."""
    a = make(torch)["a"]
    low, high = a.min().item(), a.max().item()
    return f"{tuple(a.shape)} {str(a.dtype).removeprefix('torch.')} [{low:.0e}, {high:.0e}]"


def agree(statement: str, make: Make) -> float:
    """The largest difference between the libraries, as a part of the largest number."""
    ours, theirs = (
        numpy.asarray(eval(statement, make(L)).detach().numpy(), dtype=float) for L in LIBRARIES
    )
    if ours.shape != theirs.shape:
        sys.exit(f"{statement}: shapes {ours.shape} and {theirs.shape}")
    known = numpy.isfinite(theirs)
    if not numpy.array_equal(numpy.isfinite(ours), known):
        return math.inf
    apart = numpy.abs(ours[known] - theirs[known])
    return float(apart.max(initial=0.0) / max(numpy.abs(theirs[known]).max(initial=0.0), 1e-300))


def measure(
    statement: str,
    make: Make,
    rounds: int,
    milliseconds: float,
    clock: Callable[[], float],
    libraries: tuple[Any, ...] = LIBRARIES,
) -> tuple[float, float, float]:
    """Median seconds a call of ours and of the quickest peer, and the median ratio."""
    names = [make(library) for library in libraries]
    timers = [timeit.Timer(statement, timer=clock, globals=each) for each in names]
    counts = []
    for timer in timers:
        timer.timeit(2)
        once = min(timer.repeat(3, 1))
        counts.append(max(1, round(milliseconds / 1e3 / once)))
    seconds: list[list[float]] = [[] for _ in libraries]
    order = range(len(libraries))
    for turn in range(rounds):
        for k in order if turn % 2 else reversed(order):
            seconds[k].append(timers[k].timeit(counts[k]) / counts[k])
    ours = seconds[0]
    theirs = min(seconds[1:], key=statistics.median)
    ratio = statistics.median(t / s for s, t in zip(ours, theirs, strict=True))
    return statistics.median(ours), statistics.median(theirs), ratio


def threads(rounds: int) -> None:
    """What a second thread brings: the best of many short rounds with one over that with two.

    Beside it stands the processor time of two threads over that of one: what parting costs.
    """
    nn = schuss.nn
    draw = numpy.random.default_rng(3)

    def step(model: Any, x: Any, classes: int) -> Callable[[], Any]:
        y = schuss.tensor(draw.integers(0, classes, len(x)))
        optimizer = schuss.optim.SGD(model.parameters(), lr=0.01)

        def run() -> None:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

        return run

    def normal(*sizes: int) -> Any:
        return schuss.tensor(draw.normal(size=sizes).astype("float32"))

    pictures = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    layers = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    a, b = normal(1024, 1024), normal(1024, 1024)
    cases = {
        "matmul 1024": (lambda: a @ b, 2),
        "two convolutions, batch 64, SGD": (step(pictures, normal(64, 1, 28, 28), 10), 2),
        "784-128-10, batch 512, SGD": (step(layers, normal(512, 784), 10), 20),
    }
    for name, (run, count) in cases.items():
        best, spent = [math.inf] * 2, [math.inf] * 2
        for turn in range(2 * rounds):
            two = turn % 2
            schuss.set_num_threads(1 + two)
            run()
            wall, busy = time.perf_counter(), time.process_time()
            for _ in range(count):
                run()
            best[two] = min(best[two], (time.perf_counter() - wall) / count)
            spent[two] = min(spent[two], (time.process_time() - busy) / count)
        print(
            f"{name:40} {1e3 * best[0]:8.2f} {1e3 * best[1]:8.2f} ms {best[0] / best[1]:6.2f}"
            f"  processor time {spent[1] / spent[0]:5.2f}",
            flush=True,
        )


def main() -> None:
    """Prints a table for each group, and the geometric mean of its ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only rows that contain one of these words")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--milliseconds", type=float, default=15.0)
    parser.add_argument(
        "--busy", action="store_true", help="counts processor time: for a machine with other work"
    )
    parser.add_argument("--json", type=Path, help="writes the figures to a file")
    parser.add_argument(
        "--beside", type=Path, help="figures of an earlier run, to stand in the table"
    )
    chosen = parser.parse_args()
    if "threads" in chosen.words:
        return threads(4 * chosen.rounds)
    for library in LIBRARIES:
        library.set_num_threads(1)
    gc.disable()
    clock = time.process_time if chosen.busy else time.perf_counter
    before = json.loads(chosen.beside.read_text()) if chosen.beside else {}
    kept, group_of = {}, {}
    for group, statement, on, make in [
        *strided(),
        *plain(),
        *soft(),
        *layers(),
        *words(),
        *scans(),
        *windows(),
        *products(),
    ]:
        name = f"{statement:48} {on}"
        line = f"{group} {name}"
        if chosen.words and not any(word in line for word in chosen.words):
            continue
        gap = agree(statement, make)
        peers = (*LIBRARIES, Blas) if group == "matmul" else LIBRARIES
        timing = (chosen.rounds, chosen.milliseconds, clock)
        ours, theirs, ratio = measure(statement, make, *timing, peers)
        kept[f"{group} {name}"] = (ours, theirs, ratio)
        group_of.setdefault(group, []).append(ratio)
        was = f"{before[line][2]:6.2f} ->" if line in before else ""
        flag = f"  differs by {gap:.0e}" if gap > (1e-12 if "float64 " in on else 3e-6) else ""
        print(
            f"{line:102} {1e6 * ours:10.1f} {1e6 * theirs:10.1f} us {was}{ratio:7.2f}{flag}",
            flush=True,
        )
    for group, ratios in group_of.items():
        mean = statistics.geometric_mean(ratios)
        print(f"{group}: geometric mean {mean:.2f}, least {min(ratios):.2f}, rows {len(ratios)}")
    if chosen.json:
        chosen.json.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
