"""Times an epoch of shuffled batches from memory beside PyTorch's, in one process, turn by turn.

Leans on schuss and torch. `python benches/batches.py [threads]` prints a table of times.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import schuss
import schuss.utils.data
import torch
import torch.utils.data

ROWS, TURNS = 60_000, 5


def epoch(loader: Any) -> float:
    start = time.perf_counter()
    for _x, _y in loader:
        pass
    return time.perf_counter() - start


def loader(library: Any, width: int, size: int) -> Any:
    x, y = library.randn(ROWS, width), library.randint(0, 10, (ROWS,))
    data = library.utils.data.TensorDataset(x, y)
    return library.utils.data.DataLoader(data, batch_size=size, shuffle=True)


def main(threads: int | None = None) -> None:
    """With one thread each, or with as many as each library takes by itself."""
    if threads is not None:
        schuss.set_num_threads(threads)
        torch.set_num_threads(threads)
    print("| 60,000 rows of | batch | schuss | torch | ratio |\n|---|---|---|---|---|")
    for width in (1, 20, 784):
        for size in (32, 64, 256):
            ours, theirs = (loader(library, width, size) for library in (schuss, torch))
            epoch(ours)
            pairs = [(epoch(ours), epoch(theirs)) for _ in range(TURNS)]
            a, b = (statistics.median(times) for times in zip(*pairs, strict=True))
            ratio = statistics.median(q / p for p, q in pairs)
            print(f"| {width} | {size} | {a * 1e3:.1f} ms | {b * 1e3:.0f} ms | {ratio:.1f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
