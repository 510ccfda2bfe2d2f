"""How far a training step raises the peak of memory, beside PyTorch: each in a process of its own.

Leans on steps.py for the models and on the system's count of resident memory; Linux alone.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from importlib import import_module
from pathlib import Path

CASES = {"pictures": 0.8, "transformer": 0.8, "series": None}
STEPS = 3


def resident() -> int:
    """Bytes of this process that lie in memory."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def rise(library: str, name: str) -> int:
    """Bytes by which the peak lies above what was resident before the first step."""
    import steps

    lib = import_module(library)
    lib.set_num_threads(1)
    step = steps.CASES[name][0](lib)
    before = resident()
    for _ in range(STEPS):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def measured(library: str, name: str) -> int | None:
    """The same in a fresh process; None where the library is not installed."""
    command = [sys.executable, __file__, "--one", library, name]
    done = subprocess.run(command, capture_output=True, text=True)
    return int(done.stdout) if done.returncode == 0 else None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--one", nargs=2, metavar=("LIBRARY", "CASE"), help="one figure, in bytes")
    chosen = parser.parse_args()
    if chosen.one:
        print(rise(*chosen.one))
        return
    print(f"{STEPS} steps, one thread: peak of resident memory less what was resident before\n")
    for name, asked in CASES.items():
        ours, theirs = measured("schuss", name), measured("torch", name)
        row = f"{name:12s} schuss {(ours or 0) / 2**20:7.1f} MiB"
        if theirs:
            aim = f" (aim {asked:g} at most)" if asked else ""
            row += f"   torch {theirs / 2**20:7.1f} MiB   {(ours or 0) / theirs:.2f}{aim}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
