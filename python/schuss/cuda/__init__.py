"""The questions that programs ask of CUDA, answered for GPUs of every make: "cuda" is another name
of "gpu". Leans on gpu."""

from __future__ import annotations

import schuss
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


def memory_reserved(device=None) -> int:
    """Bytes that are held on a GPU, used or kept for later; 0 without one."""
    if not is_available():
        return 0
    found = gpu.memory(device)
    return int(found["used"] or 0) + int(found["idle"] or 0)


def is_initialized() -> bool:
    """Whether a GPU can be used at once."""
    return is_available()


def init() -> None:
    """Accepted: a GPU is made ready when it is first used."""


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether a GPU computes in bfloat16 by itself: none is asked to.

    >>> schuss.cuda.is_bf16_supported()
    False
    """
    return False


def reset_peak_memory_stats(device=None) -> None:
    """Accepted: the peak is counted from the start of the program."""


def get_rng_state(device="cuda"):
    """The state of the generator, which all devices share."""
    return schuss.get_rng_state()


def set_rng_state(new_state, device="cuda") -> None:
    """Put the generator, which all devices share, into a state that get_rng_state gave."""
    schuss.set_rng_state(new_state)


class device:
    """A block in which "gpu" means a certain GPU: the first, as everywhere.

    Raises DeviceError for another one, and where there is none.
    """

    def __init__(self, device) -> None:
        self.idx = gpu._index(device)

    def __enter__(self):
        set_device(self.idx)
        return self

    def __exit__(self, *exception) -> None:
        pass


class Event:
    """A mark in the work of a GPU; the time between two of them is `elapsed_time`.

    A mark waits for all work before it, so the time is that of the work between the marks.

    >>> before, after = schuss.cuda.Event(enable_timing=True), schuss.cuda.Event()
    >>> before.record(), after.record(), before.elapsed_time(after) >= 0
    (None, None, True)
    """

    def __init__(self, enable_timing=False, blocking=False, interprocess=False) -> None:
        self._time = None

    def record(self, stream=None) -> None:
        """Note the time when all work so far is done."""
        from time import perf_counter

        synchronize()
        self._time = perf_counter()

    def synchronize(self) -> None:
        """Wait for the mark: it is there already."""

    def query(self) -> bool:
        """Whether the work before the mark is done: always."""
        return True

    def elapsed_time(self, end_event) -> float:
        """Milliseconds from this mark to another; RuntimeError where one was not recorded."""
        if self._time is None or end_event._time is None:
            raise RuntimeError("Event: elapsed_time needs two marks that were recorded")
        return 1000.0 * (end_event._time - self._time)


def __getattr__(name: str):
    from importlib import import_module

    from schuss import kinds

    if name == "amp":
        return import_module("schuss.cuda.amp")
    if name in kinds.__all__:
        return getattr(kinds, name)
    raise AttributeError(f"module 'schuss.cuda' has no attribute {name!r}")


__all__ = [
    "Event",
    "current_device",
    "device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "get_rng_state",
    "init",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "reset_peak_memory_stats",
    "set_device",
    "set_rng_state",
    "synchronize",
]
