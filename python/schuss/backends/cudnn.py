"""Switches of cuDNN, which schuss does not use: they can be set and change nothing.
Leans on nothing."""

from __future__ import annotations

from contextlib import contextmanager

enabled = False
benchmark = False
benchmark_limit = 10
deterministic = True  # the same seed gives the same bits on one machine, always
allow_tf32 = False


def is_available() -> bool:
    """Whether cuDNN is there: no.

    >>> schuss.backends.cudnn.is_available()
    False
    """
    return False


def version() -> None:
    """The version of cuDNN: there is none."""


@contextmanager
def flags(enabled=False, benchmark=False, deterministic=True, allow_tf32=False, **others):
    """A block in which switches are set; they change nothing."""
    yield


__all__ = ["flags", "is_available", "version"]
