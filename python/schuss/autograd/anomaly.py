"""The search for what went wrong: NaN in gradients, with the line of the operation behind it.
Leans on the core, whose nodes note their lines while the search is on."""

from __future__ import annotations

from schuss import _core


class set_detect_anomaly:
    """Turns the search on or off; as a context manager, until its end. See `detect_anomaly`.

    >>> with schuss.autograd.set_detect_anomaly(True):
    ...     schuss.is_anomaly_enabled()
    True
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = _core._set_anomaly(bool(mode), check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        _core._set_anomaly(*self._before)


class detect_anomaly(set_detect_anomaly):
    """While open, the walk back stops at the first NaN gradient and names the operation's line.

    Raises RuntimeError from `backward` with the operation, its operand and the line of the program.
    With check_nan=False lines are noted and shown by other errors alone. Slow: for debugging.

    >>> x = schuss.tensor(0.0, requires_grad=True)
    >>> with schuss.autograd.detect_anomaly():
    ...     (x.sqrt() * 0).backward()
    Traceback (most recent call last):
    schuss.GradError: backward: sqrt returned NaN as the gradient of its operand 0; ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check = check_nan
        self._entries: list = []

    def __enter__(self) -> None:
        self._entries.append(_core._set_anomaly(True, self._check))

    def __exit__(self, *error: object) -> None:
        _core._set_anomaly(*self._entries.pop())


def is_anomaly_enabled() -> bool:
    """Whether anomalies are looked for on this thread."""
    return _core._anomaly()[0]


def is_anomaly_check_nan_enabled() -> bool:
    """Whether gradients are searched for NaN on this thread."""
    return _core._anomaly()[1]


__all__ = [
    "detect_anomaly",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "set_detect_anomaly",
]
