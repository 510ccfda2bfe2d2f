"""The questions that programs ask of CUDA, answered truly: this build has none.
Leans on the core's device names."""

from __future__ import annotations

from schuss import _core


def is_available() -> bool:
    """Whether a GPU can be used: not by this build.

    >>> schuss.cuda.is_available()
    False
    """
    return False


def device_count() -> int:
    """How many GPUs can be used."""
    return 0


def current_device() -> int:
    """The GPU in use; raises DeviceError where there is none."""
    _core.device("cuda")
    return 0


def get_device_name(device=None) -> str:
    """The name of a GPU; raises DeviceError where there is none."""
    _core.device("cuda" if device is None else device)
    return ""


def manual_seed(seed: int) -> None:
    """Accepted and of no effect: there is no GPU to seed."""


def manual_seed_all(seed: int) -> None:
    """Accepted and of no effect: there is no GPU to seed."""


def synchronize(device=None) -> None:
    """Waits for nothing: work on the processor is done when a call returns."""


def empty_cache() -> None:
    """Frees nothing: there is no GPU memory."""
