"""The questions that programs ask of CUDA, answered for GPUs of every make: "cuda" is another name
of "gpu". Leans on gpu."""

from __future__ import annotations

from schuss import _core, gpu
from schuss.gpu import device_count, empty_cache, is_available


def current_device() -> int:
    """The number of the GPU that "gpu" means: the first. Raises DeviceError where there is none."""
    gpu.limits(0)
    return 0


def set_device(device) -> None:
    """Accepted for the first GPU, which "gpu" always means; others are named, as "gpu:1". Raises
    DeviceError for them, and where there is none."""
    index = gpu._index(device)
    gpu.limits(index)
    if index:
        message = f'set_device: "gpu" is always the first GPU; name gpu:{index} where it is used'
        raise _core.DeviceError(message)


def get_device_name(device=None) -> str:
    """The name of a GPU; raises DeviceError where there is none."""
    index = gpu._index(device)
    gpu.limits(index)
    return str(gpu.adapters()[index]["name"])


def manual_seed(seed: int) -> None:
    """Seeds the generator that all devices share: equal seeds give equal draws on each."""
    _core.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seeds the generator that all devices share: equal seeds give equal draws on each."""
    _core.manual_seed(seed)


def synchronize(device=None) -> None:
    """Wait until all work on a GPU is done; without one there is nothing to wait for."""
    if is_available():
        gpu.synchronize(device)


def memory_allocated(device=None) -> int:
    """Bytes that tensors use on a GPU; 0 without one."""
    return int(gpu.memory(device)["used"] or 0) if is_available() else 0


def max_memory_allocated(device=None) -> int:
    """The most bytes that tensors ever used on a GPU; 0 without one."""
    return int(gpu.memory(device)["peak"] or 0) if is_available() else 0


__all__ = [
    "current_device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "set_device",
    "synchronize",
]
