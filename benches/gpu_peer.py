"""Times a GPU: products, memory and whole training steps, beside PyTorch's CUDA on the same card.

Leans on schuss and NumPy; torch is measured where it is installed with CUDA. Run as
`python benches/gpu_peer.py`, and with `--small` to see on a software adapter that it runs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy
import schuss

try:
    import torch  # pyright: ignore[reportMissingImports]
except ImportError:
    torch = None

Work = Callable[[], Any]
RNG = numpy.random.default_rng(0)


class Peer:
    """A library and its device."""

    def __init__(self, lib: Any, device: str, wait: Work, name: str) -> None:
        self.lib, self.device, self.wait, self.name = lib, device, wait, name

    def tensor(self, x: numpy.ndarray) -> Any:
        return self.lib.tensor(x).to(self.device)

    def randn(self, *shape: int) -> Any:
        return self.tensor(RNG.standard_normal(shape, dtype="float32"))


def peers(small: bool) -> list[Peer]:
    """schuss on its first GPU, and torch on its own where there is CUDA."""
    found = [Peer(schuss, "gpu", schuss.gpu.synchronize, "schuss")]
    if torch is not None and torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        found.append(Peer(torch, "cuda", torch.cuda.synchronize, "torch CUDA"))
    elif torch is not None and small:
        found.append(Peer(torch, "cpu", lambda: None, "torch on the processor"))
    return found


def seconds(peer: Peer, work: Work, least: float) -> float:
    """Seconds of one call: many calls are waited for together."""
    start = time.perf_counter()
    work()
    peer.wait()
    once = time.perf_counter() - start
    count = max(1, min(2000, int(least / max(once, 1e-6))))
    start = time.perf_counter()
    for _ in range(count):
        work()
    peer.wait()
    return (time.perf_counter() - start) / count


def medians(all_of: list[Peer], make: Callable[[Peer], Work], least: float) -> list[float]:
    """The median seconds of each, in rounds that take turns."""
    works = [make(peer) for peer in all_of]
    for peer, work in zip(all_of, works, strict=True):
        for _ in range(3):
            work()
        peer.wait()
    rounds = [[seconds(p, w, least) for p, w in zip(all_of, works, strict=True)] for _ in range(7)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def product(size: int) -> Callable[[Peer], Work]:
    def make(peer: Peer) -> Work:
        a, b = peer.randn(size, size), peer.randn(size, size)
        return lambda: a @ b

    return make


def streams(n: int) -> dict[str, tuple[Callable[[Peer], Work], int]]:
    """Operations that memory alone should hold up, and the bytes of each."""

    def over(call: Callable[..., Any], count: int, *shape: int) -> Callable[[Peer], Work]:
        def make(peer: Peer) -> Work:
            given = [peer.randn(*(shape or (n,))) for _ in range(count)]
            # Formulas wait for one another, and what nobody holds by then is left out: a small
            # product makes them go while the result is held.
            tiny = peer.randn(8, 8)

            def work() -> Any:
                made = call(peer, *given)
                tiny @ tiny
                return made

            return work

        return make

    rows, width = n // 1024, 1024
    return {
        "copy": (over(lambda p, x, y: y.copy_(x), 2), 8 * n),
        "x + y": (over(lambda p, x, y: x + y, 2), 12 * n),
        "x *= 0.5": (over(lambda p, x: x.mul_(0.5), 1), 8 * n),
        "exp(x)": (over(lambda p, x: x.exp(), 1), 8 * n),
        "gelu(x)": (over(lambda p, x: p.lib.nn.functional.gelu(x), 1), 8 * n),
        "sum of all": (over(lambda p, x: x.sum(), 1), 4 * n),
        "largest of all": (over(lambda p, x: x.max(), 1), 4 * n),
        "sums of rows": (over(lambda p, x: x.sum(1), 1, rows, width), 4 * n),
        "sums of columns": (over(lambda p, x: x.sum(0), 1, rows, width), 4 * n),
        "softmax": (over(lambda p, x: x.softmax(1), 1, rows, width), 8 * n),
        "layer norm": (
            over(lambda p, x: p.lib.nn.functional.layer_norm(x, (width,)), 1, rows, width),
            8 * n,
        ),
    }


def trained(build: Callable[[Any], Any], x: numpy.ndarray, y: numpy.ndarray, compiled: bool):
    """A whole step: forward, cross-entropy, backward, Adam."""

    def make(peer: Peer) -> Work:
        lib = peer.lib
        model = build(lib).to(peer.device)
        optimizer = lib.optim.Adam(model.parameters(), lr=1e-4)
        given, wanted = peer.tensor(x), peer.tensor(y)

        def step() -> Any:
            optimizer.zero_grad()
            loss = lib.nn.functional.cross_entropy(model(given), wanted)
            loss.backward()
            optimizer.step()
            return loss

        return schuss.compile(step) if compiled and lib is schuss else step

    return make


def perceptron(lib: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def convolutional(lib: Any, width: int) -> Any:
    nn = lib.nn
    parts = []
    for before, after in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
        parts += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        parts += [nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        parts += [nn.MaxPool2d(2)]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10))


def transformer(lib: Any, width: int) -> Any:
    nn = lib.nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers = [
                nn.TransformerEncoderLayer(width, 8, 4 * width, dropout=0.1, batch_first=True)
                for _ in range(4)
            ]
            self.body, self.head = nn.Sequential(*layers), nn.Linear(width, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.body(x).mean(1))

    return Model()


def told(what: str, found: list[float], asked: str, shown: Callable[[float], str]) -> None:
    own, *other = found
    ratio = f"{other[0] / own:6.2f}" if other else "     -"
    print(
        f"{what:28} {shown(own):>14} {shown(other[0]) if other else '-':>14} {ratio}  {asked}",
        flush=True,
    )


def main() -> None:
    """Prints a line for each figure: schuss, torch, how many times as fast, and what is asked."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--small", action="store_true", help="small sizes, for a software adapter")
    parser.add_argument("--seconds", type=float, default=0.2, help="of each of seven rounds")
    options = parser.parse_args()
    small, least = options.small, options.seconds
    all_of = peers(small)
    own = schuss.gpu.adapters()[0]
    print(f"{own['name']}, {own['api']}, {own['driver']}; {schuss.gpu.limits()}")
    print(f"{'':28} {'schuss':>14} {all_of[-1].name if len(all_of) > 1 else 'no torch':>14}  times")
    for size in (128, 256) if small else (512, 1024, 2048, 4096, 8192):
        rate = lambda s, n=size: f"{2 * n**3 / s / 1e12:.3f} TFLOP/s"  # noqa: E731
        asked = "0.60 asked" if size == 4096 else ""
        told(f"product of {size}", medians(all_of, product(size), least), asked, rate)
    n = 1 << (18 if small else 26)
    best = 0.0
    for name, (make, size) in streams(n).items():
        found = medians(all_of, make, least)
        if name == "copy":
            best = size / min(found)
        share = size / found[0] / best
        bandwidth = lambda s, b=size: f"{b / s / 1e9:.1f} GB/s"  # noqa: E731
        told(name, found, f"{share:.2f} of the best copy, 0.80 asked", bandwidth)
    batch, side, long = (8, 8, 8) if small else (128, 32, 128)
    thin, wide = (4, 32) if small else (64, 512)
    digits = RNG.standard_normal((64, 784), dtype="float32"), RNG.integers(0, 10, 64)
    pictures = RNG.standard_normal((batch, 3, side, side), dtype="float32")
    tokens = RNG.standard_normal((batch // 4, long, wide), dtype="float32")
    classes = [RNG.integers(0, 10, len(x)) for x in (pictures, tokens)]
    steps = {
        "MLP": (perceptron, *digits, "1.00 asked"),
        "CNN": (lambda lib: convolutional(lib, thin), pictures, classes[0], "0.50 asked"),
        "transformer": (lambda lib: transformer(lib, wide), tokens, classes[1], "0.50 asked"),
    }
    took = lambda s: f"{s * 1e3:.3f} ms"  # noqa: E731
    for name, (build, x, y, asked) in steps.items():
        for compiled in (False, True):
            found = medians(all_of, trained(build, x, y, compiled), least)
            told(f"{name} step{', compiled' * compiled}", found, asked, took)


if __name__ == "__main__":
    main()
