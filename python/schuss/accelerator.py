"""The questions that programs ask of "the accelerator", whichever that is: here it is the GPU.
Leans on gpu."""

from __future__ import annotations

from contextlib import contextmanager

from schuss import _core, cuda, gpu
from schuss.gpu import device_count, empty_cache, is_available, synchronize


def current_accelerator(check_available: bool = False):
    """The device "gpu", or None where there is none.

    >>> found = schuss.accelerator.current_accelerator()
    >>> (found is None) != schuss.accelerator.is_available()
    True
    """
    return _core.device("gpu") if is_available() else None


def current_device_index() -> int:
    """The number of the GPU that "gpu" means: 0. Raises DeviceError where there is none."""
    return cuda.current_device()


def set_device_index(device) -> None:
    """Accepted for the first GPU, which "gpu" always means; DeviceError for others."""
    cuda.set_device(device)


@contextmanager
def device_index(device: int | None):
    """A block in which "gpu" means the first GPU, as everywhere; DeviceError for another one."""
    if device is not None:
        cuda.set_device(device)
    yield


def memory_allocated(device=None) -> int:
    """Bytes that tensors use on a GPU; 0 without one."""
    return cuda.memory_allocated(device)


def max_memory_allocated(device=None) -> int:
    """The most bytes that tensors ever used on a GPU; 0 without one."""
    return cuda.max_memory_allocated(device)


def memory_reserved(device=None) -> int:
    """Bytes that are held on a GPU, used or kept for later; 0 without one."""
    if not gpu.is_available():
        return 0
    found = gpu.memory(device)
    return int(found["used"] or 0) + int(found["idle"] or 0)


current_device_idx, set_device_idx = current_device_index, set_device_index

__all__ = [
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "device_count",
    "device_index",
    "empty_cache",
    "is_available",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "set_device_idx",
    "set_device_index",
    "synchronize",
]
