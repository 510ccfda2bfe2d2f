"""A progress bar of one line: redrawn in place on a terminal, a line now and then elsewhere.
Leans on the standard library alone.
"""

from __future__ import annotations

import sys

WIDTH = 30


def progress(done: int, total: int, text: str = "", *, lines: int = 10) -> None:
    """Show that `done` of `total` parts are done; where there is no terminal, in about `lines`.

    ValueError unless 0 <= done <= total and total > 0.

    >>> progress(2, 4, "epochs", lines=2)
    [###############...............] 2/4 epochs
    """
    if not 0 <= done <= total or total == 0:
        raise ValueError(f"progress: {done} of {total} parts; done should lie in 0..total")
    bar = ("#" * (WIDTH * done // total)).ljust(WIDTH, ".")
    line = f"[{bar}] {done}/{total} {text}".rstrip()
    if sys.stdout.isatty():
        # The escape clears what a longer line before this one left behind.
        print(f"\r{line}\x1b[K", end="\n" if done == total else "", flush=True)
    elif done == total or done % max(1, total // lines) == 0:
        print(line, flush=True)
