"""Several processes that run one function, each with its number, joined as one.
Leans on Python's multiprocessing."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class ProcessException(Exception):
    """One of the processes did not end well; `error_index` is its number."""

    def __init__(self, message: str, error_index: int, pid: int | None) -> None:
        super().__init__(message)
        self.msg, self.error_index, self.pid = message, error_index, pid


class ProcessRaisedException(ProcessException):
    """One of the processes ended with an exception, whose traceback is the message."""


class ProcessExitedException(ProcessException):
    """One of the processes was stopped, or left with a code other than 0."""

    def __init__(
        self, message: str, error_index: int, pid: int | None, exit_code: int | None
    ) -> None:
        super().__init__(message, error_index, pid)
        self.exit_code = exit_code


def _run(function: Callable[..., Any], index: int, args: tuple[Any, ...], told: Any) -> None:
    try:
        function(index, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        told.put((index, traceback.format_exc()))
        raise SystemExit(1) from None


class ProcessContext:
    """Processes that were started together."""

    def __init__(self, processes: list[Any], told: list[Any]) -> None:
        self.processes, self._told = processes, told

    def pids(self) -> list[int]:
        """The numbers that the system gave the processes."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait for all; True when all have ended. If one fails the others are stopped and
        ProcessRaisedException or ProcessExitedException says which and why."""
        end = None if timeout is None else time.monotonic() + timeout
        while any(process.is_alive() for process in self.processes):
            failed = [i for i, p in enumerate(self.processes) if p.exitcode not in (None, 0)]
            if failed:
                break
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return False
            first = next(p for p in self.processes if p.is_alive())
            first.join(0.05 if left is None else min(0.05, left))
        for i, process in enumerate(self.processes):
            if process.exitcode not in (None, 0):
                for other in self.processes:
                    if other.is_alive():
                        other.terminate()
                    other.join()
                self._fail(i, process)
        return True

    def _fail(self, i: int, process: Any) -> None:
        if not self._told[i].empty():
            _, text = self._told[i].get()
            message = f"spawn: process {i} ended with this error:\n\n{text}"
            raise ProcessRaisedException(message, i, process.pid)
        message = f"spawn: process {i} ended with exit code {process.exitcode}"
        raise ProcessExitedException(message, i, process.pid, process.exitcode)


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run fn(i, *args) in processes 0 to nprocs - 1; with `join` wait for them and return None."""
    import multiprocessing

    if nprocs < 1:
        raise ValueError(f"spawn: nprocs must be 1 or more, got {nprocs}")
    context: Any = multiprocessing.get_context(start_method)
    processes, told = [], []
    for i in range(nprocs):
        # A queue for each, so that one that is stopped cannot spoil another's.
        queue = context.SimpleQueue()
        process = context.Process(target=_run, args=(fn, i, tuple(args), queue), daemon=daemon)
        process.start()
        processes.append(process)
        told.append(queue)
    found = ProcessContext(processes, told)
    if not join:
        return found
    while not found.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run fn(i, *args) in new interpreters, as `start_processes` does.

    The function must be importable, and tensors among the arguments arrive as copies.
    """
    return start_processes(fn, args, nprocs, join, daemon, start_method)
