"""Python's multiprocessing with `spawn`, under the name that programs import it by.
Leans on the standard library; a tensor that goes to another process goes as a copy."""

from __future__ import annotations

import multiprocessing as _python
from multiprocessing import *  # noqa: F403
from multiprocessing import get_context

from schuss.multiprocessing.spawning import (
    ProcessContext,
    ProcessExitedException,
    ProcessRaisedException,
    spawn,
    start_processes,
)


def get_all_sharing_strategies() -> set[str]:
    """How tensors go to other processes: as copies.

    >>> schuss.multiprocessing.get_all_sharing_strategies()
    {'copy'}
    """
    return {"copy"}


def get_sharing_strategy() -> str:
    """How tensors go to other processes: as copies."""
    return "copy"


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted, and changes nothing: tensors go to other processes as copies."""


__all__ = [
    *_python.__all__,
    "ProcessContext",
    "ProcessExitedException",
    "ProcessRaisedException",
    "get_all_sharing_strategies",
    "get_context",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]
