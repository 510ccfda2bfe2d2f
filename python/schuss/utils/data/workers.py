"""Threads that fetch batches ahead of their use, in order, and stop when no one wants more.
Leans on queues and generators; what to fetch and how is handed in."""

from __future__ import annotations

import copy
import queue
import threading
import time
from typing import TYPE_CHECKING

from schuss import _core
from schuss.creation import own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

_here = threading.local()


class WorkerInfo:
    """Which worker this thread is: id, num_workers, seed, and its own copy of the data set."""

    def __init__(self, id: int, num_workers: int, seed: int, dataset: Any) -> None:
        self.id = id
        self.num_workers = num_workers
        self.seed = seed
        self.dataset = dataset

    def __repr__(self) -> str:
        return f"WorkerInfo(id={self.id}, num_workers={self.num_workers}, seed={self.seed})"


def get_worker_info() -> WorkerInfo | None:
    """The WorkerInfo of the loader thread that asks, None anywhere else.

    >>> from schuss.utils.data import get_worker_info
    >>> get_worker_info() is None
    True
    """
    return getattr(_here, "info", None)


class Failed:
    """An exception on its way from a worker to the loop that waits for the batch."""

    def __init__(self, error: BaseException, worker: int) -> None:
        error.add_note(f"(raised in DataLoader worker {worker})")
        self.error = error


class Ended:
    """A worker's stream has no more samples."""

    def __init__(self, worker: int) -> None:
        self.worker = worker


class Run:
    """One pass over the data: where its results go, and whether anyone still wants them."""

    def __init__(self) -> None:
        self.results: queue.SimpleQueue = queue.SimpleQueue()
        self.stopped = False


def _work(
    tasks: queue.SimpleQueue, info: WorkerInfo, start: Callable | None, make: Callable
) -> None:
    _here.info = info
    # Threads in no certain order would draw other numbers from one generator in every run.
    own.generator = _core._stream(info.seed)
    failure = None
    try:
        if start is not None:
            start(info.id)
    except BaseException as error:
        failure = Failed(error, info.id)
    run: Any = None
    fetch: Any = None
    while (task := tasks.get()) is not None:
        wanted, place, job = task
        if wanted.stopped:
            run = fetch = None
            continue
        try:
            if wanted is not run and failure is None:
                run, fetch = wanted, make(info)
            result = failure if failure is not None else fetch(job)
        except BaseException as error:
            result = Failed(error, info.id)
        wanted.results.put((place, result))
        # Nothing of a finished batch may stay alive while the thread waits.
        del task, wanted, place, job, result


class Crew:
    """A number of worker threads that take tasks in turn."""

    def __init__(
        self,
        count: int,
        dataset: Any,
        seed: int,
        start: Callable[[int], Any] | None,
        make: Callable[[WorkerInfo], Callable[[Any], Any]],
        copies: bool,
    ) -> None:
        self.tasks = [queue.SimpleQueue() for _ in range(count)]
        self.threads = []
        for i, tasks in enumerate(self.tasks):
            # What a worker sets on its data set is its own, as if it were another process.
            own = _copied(dataset) if copies else dataset
            info = WorkerInfo(i, count, seed + i, own)
            thread = threading.Thread(
                target=_work, args=(tasks, info, start, make), name=f"DataLoader-{i}", daemon=True
            )
            thread.start()
            self.threads.append(thread)

    def stop(self) -> None:
        """Let every thread end after the sample at hand."""
        for tasks in self.tasks:
            tasks.put(None)

    def run(self, jobs: Iterable[Any], ahead: int, timeout: float, in_order: bool) -> Iterator[Any]:
        """Hand out jobs round the crew, `ahead` to each at most, and yield the results.

        A worker that answers Ended gets no more; RuntimeError after `timeout` seconds of waiting.
        """
        run = Run()
        jobs = iter(jobs)
        active = list(range(len(self.tasks)))
        held: dict[int, Any] = {}
        sent = next_place = turn = waiting = 0
        more = True
        try:
            while True:
                while more and active and waiting < ahead * len(self.tasks):
                    try:
                        job = next(jobs)
                    except StopIteration:
                        more = False
                        break
                    worker = active[turn % len(active)]
                    turn += 1
                    self.tasks[worker].put((run, sent, job))
                    sent += 1
                    waiting += 1
                if not waiting:
                    return
                if next_place not in held:
                    place, result = _received(run, timeout)
                    held[place if in_order else next_place] = result
                    continue
                result = held.pop(next_place)
                next_place += 1
                waiting -= 1
                if isinstance(result, Failed):
                    raise result.error
                if isinstance(result, Ended):
                    if result.worker in active:
                        active.remove(result.worker)
                    continue
                yield result
        finally:
            run.stopped = True


def _copied(dataset: Any) -> Any:
    try:
        return copy.copy(dataset)
    except Exception:
        return dataset


def _received(run: Run, timeout: float) -> Any:
    deadline = time.monotonic() + timeout if timeout else None
    while True:
        try:
            # Short waits, because some systems deliver Ctrl-C only between them.
            return run.results.get(timeout=1.0 if deadline is None else min(1.0, timeout))
        except queue.Empty:
            if deadline is not None and time.monotonic() >= deadline:
                raise RuntimeError(f"DataLoader: no batch within {timeout} seconds") from None
