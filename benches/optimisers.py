"""Times one step of optimisers over 10 million parameters beside PyTorch's fused steps.

Leans on schuss and, for the peer, on torch. `python3 benches/optimisers.py` prints a table: medians
of interleaved steps on one thread, in milliseconds, and the ratio.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import schuss

TENSORS, SIZE, ROUNDS = 100, 100_000, 21
# Name, the options of both, and those that ask the peer for its fused step.
ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("SGD", {"momentum": 0.9}, {"fused": True}),
    ("Adam", {}, {"fused": True}),
    ("Adam", {"amsgrad": True}, {"fused": True}),
    ("AdamW", {}, {"fused": True}),
    ("Adagrad", {}, {"fused": True}),
    ("RMSprop", {}, {}),
    ("NAdam", {}, {}),
]


def begin(library: Any, name: str, options: dict[str, Any]) -> Any:
    """An optimiser with gradients, that has made its first steps."""
    params = [library.rand(SIZE).requires_grad_() for _ in range(TENSORS)]
    for p in params:
        p.grad = library.rand(SIZE) - 0.5
    opt = getattr(library.optim, name)(params, lr=1e-3, **options)
    for _ in range(3):
        opt.step()
    return opt


def timed(step: Any) -> float:
    """How long one call takes, in milliseconds."""
    start = time.perf_counter()
    step()
    return (time.perf_counter() - start) * 1e3


def main() -> int:
    try:
        import torch
    except ImportError:
        print("needs torch: python3 -m pip install torch", file=sys.stderr)
        return 1
    torch.set_num_threads(1)
    schuss.set_num_threads(1)
    what, peer = f"step of {TENSORS} x {SIZE:,} float32", f"torch {torch.__version__}"
    print(f"| {what} | schuss, ms | {peer}, ms | ratio |")
    print("|---|---|---|---|")
    for name, options, fused in ROWS:
        ours, theirs = begin(schuss, name, options), begin(torch, name, {**options, **fused})
        mine, other = [], []
        for _ in range(ROUNDS):
            mine.append(timed(ours.step))
            other.append(timed(theirs.step))
        a, b = statistics.median(mine), statistics.median(other)
        told = f"{name} {options}" if options else name
        print(f"| {told} | {a:.1f} | {b:.1f} | {b / a:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
