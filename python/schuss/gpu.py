"""GPUs of every make, by compute shaders: which there are, what they hold, and waiting for them.
Leans on the core, which looks for adapters only when it is first asked."""

from __future__ import annotations

from schuss import _core


def _index(device) -> int:
    """The number of a GPU named by a device, a name or a number."""
    if device is None:
        return 0
    found = _core.device(device)
    if found.type != "gpu":
        raise _core.DeviceError(f'gpu: {str(found)!r} is no GPU; name one such as "gpu:0"')
    return found.index or 0


def is_available() -> bool:
    """Whether a GPU can be used. A driver that computes on the processor counts only if it is
    named, as with `SCHUSS_ADAPTER=cpu`.

    >>> schuss.gpu.is_available() in (True, False)
    True
    """
    return _core._gpu_count() > 0


def device_count() -> int:
    """How many GPUs can be used: `"gpu:0"`, `"gpu:1"` and so on."""
    return _core._gpu_count()


def adapters() -> list[dict[str, str | None]]:
    """Every adapter that a driver offers: its name, kind, interface, driver and bus, and the device
    that it is; None for one that is used only by name.

    >>> all("name" in adapter for adapter in schuss.gpu.adapters())
    True
    """
    return _core._gpu_adapters()


def choose(model=None, work: float | None = None, *, batch: int = 64, compiled: bool = False):
    """The device that is quicker for training a model, as `"auto"` chooses it: the processor for
    small work, a GPU for large.

    Told from rates that are measured once on a machine (in a second or two for each GPU) and kept
    beside the kernels, under `SCHUSS_CACHE_DIR`; `python -m schuss doctor` measures them anew. A
    step's time is its layers, each at what even a small one costs (less in `compiled` steps), and
    its arithmetic: `work` floating-point operations, or else 6 for each parameter and example of a
    `batch`. A kernel of a convolution is counted at 256 places, and the layers of a model with
    recurrence, attention or an embedding at 32 steps: where that is far off, say `work`. A software
    adapter is never chosen, nor a GPU for a model in float64.

    Without model and work the answer is what was chosen last, so that data follow the model; before
    that, it is for a million parameters in four layers. `reason` tells why; so does the logger
    "schuss", once: as a warning where a GPU is left unused, else as information. TypeError for what
    is no model, ValueError for a batch below 1 or negative work.

    >>> model = schuss.nn.Linear(3, 1)
    >>> device = schuss.gpu.choose(model)
    >>> model.to(device).weight.device.type == device.type
    True
    """
    from schuss import choice

    return choice.choose(model, work, batch, compiled)


def reason() -> str | None:
    """Why `"auto"` and `choose` chose as they did last, in one sentence; None before the first.

    >>> device = schuss.gpu.choose(schuss.nn.Linear(3, 1))
    >>> schuss.gpu.reason().startswith(f"device 'auto' is '{device}'")
    True
    """
    from schuss import choice

    return choice.reason()


def memory(device=None) -> dict[str, int | None]:
    """Bytes of a GPU's memory: `used` by tensors, `idle` and kept for later, the `peak` of what was
    used, and the `budget` that `SCHUSS_GPU_MEM_LIMIT` sets (None without). Raises DeviceError where
    there is no such GPU."""
    used, idle, peak, budget = _core._gpu_memory(_index(device))
    return {
        "used": used,
        "idle": idle,
        "peak": peak,
        "budget": None if budget == 2**64 - 1 else budget,
    }


def counters(device=None) -> dict[str, int]:
    """What a GPU has been asked so far: `dispatches` of kernels, `submissions` of work, `kernels`
    compiled. Raises DeviceError where there is no such GPU."""
    names = ("dispatches", "submissions", "kernels")
    return dict(zip(names, _core._gpu_counters(_index(device)), strict=True))


def limits(device=None) -> dict[str, int | bool]:
    """What kernels of a GPU are written for: bytes of a buffer and of a binding, bindings,
    invocations of a workgroup, bytes of parameters, whether it has int64, float64 and subgroups,
    and is software. Raises DeviceError where there is no such GPU."""
    names = ("buffer", "binding", "bindings", "group", "immediates")
    flags = ("int64", "float64", "software", "subgroups")
    found = dict(zip(names + flags, _core._gpu_limits(_index(device)), strict=True))
    return {k: bool(v) if k in flags else v for k, v in found.items()}


def synchronize(device=None) -> None:
    """Wait until all work on a GPU is done. Raises DeviceError where there is no such GPU, and what
    went wrong on it since it was last waited for."""
    _core._gpu_synchronize(_index(device))


def empty_cache(device=None) -> None:
    """Give the memory that no tensor uses back to the driver."""
    if is_available():
        _core._gpu_empty_cache(_index(device))


__all__ = [
    "adapters",
    "choose",
    "counters",
    "device_count",
    "empty_cache",
    "is_available",
    "limits",
    "memory",
    "reason",
    "synchronize",
]
