"""Times whole training steps, eager and compiled, beside PyTorch, JAX and MLX.

Leans on schuss and NumPy; torch, jax and mlx are measured where they are installed, by x.py bench.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy
import schuss

try:
    import torch  # pyright: ignore[reportMissingImports]
except ImportError:
    torch = None
try:
    import jax  # pyright: ignore[reportMissingImports]
except ImportError:
    jax = None
try:
    import mlx.core as mlx  # pyright: ignore[reportMissingImports]
    from mlx.utils import tree_map  # pyright: ignore[reportMissingImports]
except ImportError:
    mlx = None

Step = Callable[[], Any]
RNG = numpy.random.default_rng(0)


def draw(*shape: int) -> numpy.ndarray:
    """Normal numbers in float32, the same for every library."""
    return RNG.normal(size=shape).astype("float32")


LINE = draw(100, 2), draw(100)
CURVE = draw(64, 1), draw(64, 1)
DIGITS = draw(64, 784), RNG.integers(0, 10, 64)
PICTURES = draw(64, 1, 28, 28), RNG.integers(0, 10, 64)
TOKENS = draw(16, 64, 128)
SERIES = draw(64, 32, 64)


def line(lib: Any) -> Step:
    """100 points, two weights, the squared error and the update written out by hand."""
    x, y = (lib.tensor(a) for a in LINE)
    w = lib.tensor([-1.0, 1.0], requires_grad=True)

    def step() -> Any:
        loss = ((x @ w - y) ** 2).mean()
        loss.backward()
        with lib.no_grad():
            w.sub_(0.1 * w.grad)
            w.grad.zero_()
        return loss

    return step


def trained(lib: Any, model: Any, optimizer: Any, loss: Any, x: Any, y: Any) -> Step:
    """A step of a model over one batch."""

    def step() -> Any:
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value

    return step


def tiny(lib: Any) -> Step:
    """1-16-1 with tanh, a batch of 64, Adam."""
    nn = lib.nn
    model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
    x, y = (lib.tensor(a) for a in CURVE)
    return trained(lib, model, lib.optim.Adam(model.parameters()), nn.functional.mse_loss, x, y)


def perceptron(lib: Any) -> Step:
    """784-128-10, a batch of 64, SGD."""
    nn = lib.nn
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    x, y = (lib.tensor(a) for a in DIGITS)
    optimizer = lib.optim.SGD(model.parameters(), lr=0.01)
    return trained(lib, model, optimizer, nn.functional.cross_entropy, x, y)


def pictures(lib: Any) -> Step:
    """Two convolutions of 32 and 64, a pooling, 128, 10; a batch of 64, SGD."""
    nn = lib.nn
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    x, y = (lib.tensor(a) for a in PICTURES)
    optimizer = lib.optim.SGD(model.parameters(), lr=0.01)
    return trained(lib, model, optimizer, nn.functional.cross_entropy, x, y)


def transformer(lib: Any) -> Step:
    """One layer of width 128 with 4 heads and 512 inside over 16 x 64 tokens, AdamW."""
    model = lib.nn.TransformerEncoderLayer(
        128, 4, 512, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    x = lib.tensor(TOKENS)
    optimizer = lib.optim.AdamW(model.parameters())
    return trained(lib, model, optimizer, lib.nn.functional.mse_loss, x, lib.zeros(16, 64, 128))


def series(lib: Any) -> Step:
    """An LSTM of width 128 over 64 steps of 32 sequences, forward and backward."""
    model = lib.nn.LSTM(64, 128)
    x = lib.tensor(SERIES)

    def step() -> Any:
        for p in model.parameters():
            p.grad = None
        loss = model(x)[0].sum()
        loss.backward()
        return loss

    return step


class Jax:
    """What a pure step needs of JAX."""

    def __init__(self) -> None:
        self.np, self.grad, self.map = jax.numpy, jax.value_and_grad, jax.tree.map
        self.array, self.compile, self.wait = jax.numpy.asarray, jax.jit, jax.block_until_ready

    def log_softmax(self, x: Any) -> Any:
        return jax.nn.log_softmax(x)


class Mlx:
    """What a pure step needs of MLX."""

    def __init__(self) -> None:
        mlx.set_default_device(mlx.cpu)
        self.np, self.grad, self.map = mlx, mlx.value_and_grad, tree_map
        self.array, self.compile = mlx.array, mlx.compile

    def log_softmax(self, x: Any) -> Any:
        return x - mlx.logsumexp(x, axis=1, keepdims=True)

    def wait(self, found: Any) -> Any:
        mlx.eval(found)
        return found


def pure(name: str, lib: Any) -> Step | None:
    """The same step as a function of its state, compiled by a library that works so, where it is
    short to say."""
    if lib is None:
        return None
    np = lib.np

    def sgd(loss: Any, rate: float) -> Any:
        def step(w: Any, x: Any, y: Any) -> Any:
            value, grads = lib.grad(loss)(w, x, y)
            return lib.map(lambda p, g: p - rate * g, w, grads), value

        return step

    def layers(*sizes: int) -> list[Any]:
        return [[lib.array(draw(a, b)) * 0.1, np.zeros(b)] for a, b in pairwise(sizes)]

    def adam(state: Any, x: Any, y: Any) -> Any:
        w, m, v, n = state
        n = n + 1

        def loss(w: Any) -> Any:
            h = np.tanh(x @ w[0][0] + w[0][1])
            return ((h @ w[1][0] + w[1][1] - y) ** 2).mean()

        value, g = lib.grad(loss)(w)
        m = lib.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = lib.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        size = 1e-3 * np.sqrt(1 - 0.999**n) / (1 - 0.9**n)
        w = lib.map(lambda w, m, v: w - size * m / (np.sqrt(v) + 1e-8), w, m, v)
        return [w, m, v, n], value

    if name == "line":
        state, data = lib.array(numpy.float32([-1.0, 1.0])), LINE
        run = sgd(lambda w, x, y: ((x @ w - y) ** 2).mean(), 0.1)
    elif name == "perceptron":
        state, data = layers(784, 128, 10), DIGITS

        def loss(w: Any, x: Any, y: Any) -> Any:
            h = np.maximum(x @ w[0][0] + w[0][1], 0.0) @ w[1][0] + w[1][1]
            return -np.take_along_axis(lib.log_softmax(h), y[:, None], axis=1).mean()

        run = sgd(loss, 0.01)
    elif name == "tiny":
        w = layers(1, 16, 1)
        zeros = lib.map(np.zeros_like, w)
        state, data, run = [w, zeros, zeros, lib.array(numpy.float32(0))], CURVE, adam
    else:
        return None
    run = lib.compile(run)
    held, (x, y) = [state], (lib.array(a) for a in data)

    def step() -> Any:
        held[0], value = lib.wait(run(held[0], x, y))
        return value

    return step


# Name, maker, what is asked of eager beside torch and of compiled beside jax.
CASES = {
    "line": (line, 25.0, 4.0),
    "tiny": (tiny, 12.0, 4.0),
    "perceptron": (perceptron, 1.7, 1.1),
    "pictures": (pictures, 1.5, None),
    "transformer": (transformer, 1.4, None),
    "series": (series, 1.5, None),
}


def seconds(step: Step, least: float) -> float:
    """One round: seconds a call over at least `least` seconds."""
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < least or count < 2:
        step()
        count += 1
    return spent / count


def text(value: float) -> str:
    """A time in the unit that suits it."""
    return f"{value * 1e6:9.1f} us" if value < 1e-2 else f"{value * 1e3:9.1f} ms"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="cases to run; all of them by default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--milliseconds", type=float, default=100.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    schuss.set_num_threads(options.threads)
    if torch is not None:
        torch.set_num_threads(options.threads)
    print(f"{options.threads} thread(s), median of {options.rounds} rounds by turns\n")
    heads = ("schuss", "compiled", "torch", "jax.jit", "mlx.compile")
    print(f"{'':12s}{''.join(f'{head:>13s}' for head in heads)}   ratios")
    functional = [Jax() if jax is not None else None, Mlx() if mlx is not None else None]
    for name, (make, asked, asked_compiled) in CASES.items():
        if options.names and name not in options.names:
            continue
        steps: list[Step | None] = [make(schuss), schuss.compile(make(schuss))]
        steps += [make(torch) if torch is not None else None, *(pure(name, f) for f in functional)]
        for step in steps:
            for _ in range(3 if step else 0):
                step()
        found: list[list[float]] = [[] for _ in steps]
        for turn in range(options.rounds):
            for k in range(len(steps)) if turn % 2 else reversed(range(len(steps))):
                if (step := steps[k]) is not None:
                    found[k].append(seconds(step, options.milliseconds / 1000))
        row = "".join(f"{text(statistics.median(f)):>13s}" if f else f"{'-':>13s}" for f in found)

        def ratio(a: int, b: int, found: list[list[float]] = found) -> float:
            return statistics.median(y / x for x, y in zip(found[a], found[b], strict=True))

        notes = []
        if found[2]:
            notes.append(f"eager {ratio(0, 2):.1f}x torch (aim {asked:g})")
            notes.append(f"compiled {ratio(1, 2):.1f}x torch")
        if found[3]:
            notes.append(f"compiled {ratio(1, 3):.1f}x jax (aim {asked_compiled:g})")
        if found[4]:
            notes.append(f"compiled {ratio(1, 4):.1f}x mlx")
        print(f"{name:12s}{row}   {', '.join(notes)}", flush=True)


if __name__ == "__main__":
    main()
