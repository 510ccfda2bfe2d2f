"""On which device a training is quicker: told by measured rates and by what one step has to do.
Leans on gpu and measures."""

from __future__ import annotations

from typing import Any, NamedTuple

import schuss
from schuss import gpu, measures
from schuss.nn.parameter import is_lazy

# Where a kernel of a convolution is used, and rows of a sequence: unknown before data are seen.
PLACES, STEPS = 256, 32
_LOOKED_UP = {"Embedding", "EmbeddingBag"}
_SEQUENCES = {"RNNBase", "RNNCellBase", "MultiheadAttention", *_LOOKED_UP}

_chosen: dict[str, Any] = {}
_said: set[str] = set()


class Decision(NamedTuple):
    """The name of a device, why it was chosen, and whether a user may be surprised."""

    device: str
    why: str
    aloud: bool = False

    @property
    def told(self) -> str:
        return f"device 'auto' is {self.device!r}: {self.why}"


class Task(NamedTuple):
    """What a training step does: over how many numbers, in how many layers, how much arithmetic."""

    parameters: int
    layers: int
    work: float
    name: str


def task(model: Any = None, work: float | None = None, batch: int = 64) -> Task:
    """The training step of a model for one batch; a million parameters in four layers without."""
    if model is None:
        count, layers = 1_000_000, 4
        used = float(count)
    elif callable(getattr(model, "modules", None)):
        count, layers, used = _counted(model)
    else:
        raise TypeError(f"choose: model must be a schuss.Model, got {type(model).__name__}")
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ValueError(f"choose: batch is a whole number from 1, got {batch!r}")
    if work is None:
        name = f"{count:,} parameters (batches of {batch})"
        return Task(count, layers, 6 * used * batch, name)
    if isinstance(work, bool) or not isinstance(work, (int, float)) or not 0 <= work < float("inf"):
        raise ValueError(f"choose: work is a number of operations from 0, got {work!r}")
    if model is None:
        count = 0
    return Task(count, layers, float(work), f"{work:.3g} floating-point operations")


def _counted(model: Any) -> tuple[int, int, float]:
    """Parameters, layers that have some, and how often each parameter is used for an example."""
    modules = list(model.modules())
    names = [{kind.__name__ for kind in type(module).__mro__} for module in modules]
    rows = STEPS if any(kinds & _SEQUENCES for kinds in names) else 1
    count = layers = 0
    used = 0.0
    for module, kinds in zip(modules, names, strict=True):
        sizes = [p.shape for p in module.parameters(recurse=False) if not is_lazy(p)]
        own = sum(shape.numel() for shape in sizes)
        count += own
        layers += bool(own)
        if "_ConvNd" in kinds:
            used += own * PLACES
        elif not kinds & _LOOKED_UP:
            used += own * rows
    return count, max(layers, 1), used


def seconds(rates: dict[str, float], what: Task, compiled: bool = False) -> float:
    """How long a training step takes: what every layer costs however small it is, arithmetic,
    some ten passes over the parameters (forward, backward, Adam), and the loss that is read."""
    layers = what.layers * rates["compiled" if compiled else "layer"]
    moved = 40 * what.parameters / rates["memory"]
    return layers + what.work / rates["product"] + moved + rates["wait"]


def _time(value: float) -> str:
    return f"{value * 1e3:.2g} ms" if value < 0.1 else f"{value:.2g} s"


def decide(model: Any, what: Task, compiled: bool = False) -> Decision:
    """The device for a training step: the quickest of the processor and the GPUs."""
    usable = [found for found in gpu.adapters() if found["device"] is not None]
    if not usable:
        return Decision("cpu", "no GPU can be used here")
    real = [found for found in usable if found["kind"] != "software"]
    if not real:
        first = usable[0]
        why = f"{first['device']} ({first['name']}) itself computes on the processor"
        return Decision("cpu", why)
    if any(p.dtype == schuss.float64 for p in (() if model is None else model.parameters())):
        why = "the model is in float64, whose mathematics the processor computes"
        return Decision("cpu", why, True)
    best, host, troubles = None, 0.0, []
    for found in real:
        try:
            rates = measures.known(found)
        except (RuntimeError, MemoryError) as error:
            troubles.append(f"{found['device']} ({found['name']}) does not work: {error}")
            continue
        host = seconds(rates[0], what, compiled)
        own = seconds(rates[1], what, compiled)
        if best is None or own < best[0]:
            best = own, found
    if best is None:
        return Decision("cpu", "; ".join(troubles), True)
    own, found = best
    there = f"{found['device']} ({found['name']})"
    kind = "a compiled training step" if compiled else "a training step"
    if own < host:
        compared = f"{_time(own)} on {there} and {_time(host)} on the processor"
        return Decision(str(found["device"]), f"{kind} of {what.name} takes about {compared}")
    compared = f"{_time(host)} on the processor and {_time(own)} on {there}"
    return Decision("cpu", f"{kind} of {what.name} takes about {compared}", True)


def choose(model: Any, work: float | None, batch: int, compiled: bool) -> Any:
    """See `gpu.choose`."""
    asked = model is not None or work is not None
    if not asked and "device" in _chosen:
        return _chosen["device"]
    found = decide(model, task(model, work, batch), compiled)
    _chosen["reason"] = found.told
    device = schuss.device(found.device)
    if asked:
        _chosen["device"] = device
    _say(_chosen["reason"], found.aloud)
    return device


def _say(sentence: str, aloud: bool) -> None:
    """Once for each sentence; shown by default where a GPU is there and is not used."""
    import logging

    if sentence not in _said:
        _said.add(sentence)
        level = logging.WARNING if aloud else logging.INFO
        logging.getLogger("schuss").log(level, "%s", sentence)


def reason() -> str | None:
    """See `gpu.reason`."""
    return _chosen.get("reason")


__all__ = ["Decision", "Task", "choose", "decide", "reason", "seconds", "task"]
