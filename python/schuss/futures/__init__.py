"""Futures: values that come later, and waiting for several of them.
Leans on threading alone."""

from __future__ import annotations

from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class Future:
    """A value, or an exception, that someone sets once and others wait for.

    >>> later = schuss.futures.Future()
    >>> double = later.then(lambda done: 2 * done.wait())
    >>> later.set_result(21)
    >>> double.wait()
    42
    """

    def __init__(self, *, devices: Any = None) -> None:
        self._changed = Condition()
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future], Any]] = []

    def done(self) -> bool:
        """Whether the value, or an exception, is there."""
        return self._done

    def wait(self) -> Any:
        """The value, as soon as it is there; the exception is raised if there is one instead."""
        with self._changed:
            self._changed.wait_for(lambda: self._done)
        return self.value()

    def value(self) -> Any:
        """The value; RuntimeError while it is not there."""
        if not self._done:
            raise RuntimeError("Future: the value is not there yet; use wait()")
        if self._error is not None:
            raise self._error
        return self._value

    def _settle(self, value: Any, error: BaseException | None) -> None:
        with self._changed:
            if self._done:
                raise RuntimeError("Future: the result is set already, and can be set once")
            self._value, self._error, self._done = value, error, True
            callbacks, self._callbacks = self._callbacks, []
            self._changed.notify_all()
        for callback in callbacks:
            callback(self)

    def set_result(self, result: Any) -> None:
        """Give the value; RuntimeError a second time."""
        self._settle(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Give an exception in the value's place; TypeError for anything else."""
        if not isinstance(result, BaseException):
            raise TypeError(f"Future: {result!r} is no exception")
        self._settle(None, result)

    def add_done_callback(self, callback: Callable[[Future], Any]) -> None:
        """Call a function with this future when it is done, at once if it is."""
        with self._changed:
            if not self._done:
                self._callbacks.append(callback)
                return
        callback(self)

    def then(self, callback: Callable[[Future], Any]) -> Future:
        """The future of what a function makes of this one when it is done."""
        later = Future()

        def follow(done: Future) -> None:
            try:
                found = callback(done)
            except Exception as error:
                later.set_exception(error)
            else:
                later.set_result(found)

        self.add_done_callback(follow)
        return later


def collect_all(futures: Sequence[Future]) -> Future:
    """The future of the list of futures, done when all of them are.

    >>> one = schuss.futures.Future()
    >>> one.set_result(1)
    >>> [future.wait() for future in schuss.futures.collect_all([one]).wait()]
    [1]
    """
    all_of_them, waiting = Future(), list(futures)
    left, lock = [len(waiting)], Condition()

    def count(_: Future) -> None:
        with lock:
            left[0] -= 1
            last = left[0] == 0
        if last:
            all_of_them.set_result(waiting)

    if not waiting:
        all_of_them.set_result(waiting)
    for future in waiting:
        future.add_done_callback(count)
    return all_of_them


def wait_all(futures: Sequence[Future]) -> list[Any]:
    """The values of all futures, in their order; the first exception is raised.

    >>> schuss.futures.wait_all([])
    []
    """
    return [future.wait() for future in collect_all(futures).wait()]


__all__ = ["Future", "collect_all", "wait_all"]
