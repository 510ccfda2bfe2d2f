"""`compile`: a step recorded once and run again without Python, and what it depends on besides.
Leans on the core's recorder; models and optimisers tell it what they are."""

from __future__ import annotations

import functools
import pickle
import random
from typing import TYPE_CHECKING

import numpy as np

from schuss import _core, naming
from schuss.model import Model
from schuss.model.compiled import Compiled
from schuss.naming import speaks
from schuss.watching import inside, look, reach, unknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


@speaks
def compile(
    model: Callable[..., Any] | None = None,
    *,
    fallback: bool = False,
    cache_size: int = 64,
    fullgraph: bool = True,
    dynamic: bool | None = None,
    backend: str | None = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
    name: str | None = None,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    dynamic_shapes: Any = None,
) -> Any:
    """A function that is recorded at its second call and run again without Python from then on.

    The first call with arguments of one form (tree, shapes, dtypes, plain values) runs as it is,
    the second is recorded, the later ones run a program: what nobody reads is left out, equal
    results are computed once, maps that follow one another run in one pass, memory is planned.
    The results are those of the function itself, bit for bit. It may hold a whole training step:
    forward, `backward()`, `optimizer.step()`; what it writes (parameters, gradients, buffers,
    random draws) is written again each time. Rates and other numbers of the optimisers are read
    anew. Other things that Python does inside happen only while recording: printing, counting,
    appending to lists.

    The function is recorded anew where a number, truth or text that it names (in the function
    around it or in its module) has changed, or a model's structure or mode, or anything about the
    arguments but the elements of their tensors; `cache_size` programs are kept. CompileError is
    raised where it reads elements (`item`, `if` on a tensor, `numpy`); with `fallback=True` such a
    function runs eagerly, with one warning. Of a model another model is made, whose calls run
    programs of the first; it has that as its part `_orig_mod`, and its parameters under that name.
    The other keywords are accepted for PyTorch's programs; `disable=True` gives the function back.

    >>> import schuss
    >>> w = schuss.tensor([0.0, 0.0], requires_grad=True)
    >>> @schuss.compile
    ... def step(x, y):
    ...     loss = ((x @ w - y) ** 2).mean()
    ...     loss.backward()
    ...     with schuss.no_grad():
    ...         w.sub_(0.1 * w.grad)
    ...         w.grad.zero_()
    ...     return loss
    >>> x = schuss.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> losses = [step(x, schuss.tensor([1.0, 2.0])).item() for _ in range(50)]
    >>> losses[0], losses[-1] < 0.1
    (2.5, True)
    """
    if not isinstance(cache_size, int) or cache_size < 1:
        raise ValueError(f"compile: cache_size must be an integer of 1 or more, got {cache_size!r}")
    if mode not in _MODES:
        raise ValueError(f"compile: mode is one of {', '.join(map(repr, _MODES))}, not {mode!r}")
    if model is None:
        return functools.partial(
            compile,
            fallback=fallback,
            cache_size=cache_size,
            fullgraph=fullgraph,
            dynamic=dynamic,
            backend=backend,
            mode=mode,
            options=options,
            disable=disable,
        )
    if not callable(model):
        raise TypeError(f"compile: needs a function, got {type(model).__name__}")
    if disable:
        return model
    model = inside(model)
    step = step_of(model, fallback, cache_size)
    if isinstance(model, Model):
        step.__name__ = type(model).__name__
        return Compiled(model, step, {"fallback": fallback, "cache_size": cache_size})
    functools.update_wrapper(step, model, updated=())
    return step


# PyTorch's, which all mean the same here.
_MODES = (
    None,
    "default",
    "reduce-overhead",
    "max-autotune",
    "max-autotune-no-cudagraphs",
)


def step_of(function: Callable[..., Any], fallback: bool, cache_size: int) -> Any:
    """A step with what the core asks of Python about its function."""
    asked = [functools.partial(ask, function) for ask in (look, reach, unknown)]
    return _core.Step(function, (*asked, _odds), fallback, cache_size)


# What to do in place of functions and objects of ours that read elements.
_INSTEAD = {
    "allclose": "compare by isclose(a, b).all(), and read that outside of the step",
    "bincount": "count into a tensor of known size: zeros(n).index_add(0, x, ones)",
    "equal": "compare by (a == b).all(), and read that outside of the step",
    "histc": "give it the range, min= and max=",
    "histogram": "give it the range",
    "one_hot": "give it num_classes",
    "pack_padded_sequence": "give it the lengths as a list of numbers",
    "ReduceLROnPlateau": "call its step() outside of the step",
    "repeat_interleave": "give it output_size, and do without a list of counts",
    "fork_rng": "seed and restore generators outside of the step",
    "set_rng_state": "set generators back outside of the step",
    "set_state": "set generators back outside of the step",
}


def scene() -> tuple[str, str | None]:
    """Where the program is, and what to do in place of what it calls there, if that is known."""
    place, frames = naming.place()
    for frame in frames:
        owner = type(frame.f_locals.get("self")).__name__
        for name in (frame.f_code.co_name, owner):
            if name in _INSTEAD:
                return place, _INSTEAD[name]
    return place, None


def _odds() -> Any:
    """Where the random numbers of Python and NumPy are, which a program does not draw again."""
    return random.getstate(), pickle.dumps(np.random.get_state(legacy=False))


class Program:
    """The program that a compiled step used last: print it."""

    def __init__(self, step: Any) -> None:
        self.name = getattr(step, "__name__", type(step).__name__)
        self.facts = next(iter(step.programs()), None)
        self.refused = step.refused()

    def __repr__(self) -> str:
        facts = self.facts
        if facts is None:
            if self.refused:
                return f"{self.name}: no program; {self.refused}"
            return f"{self.name}: no program yet; it is recorded at the second call"
        spared = [
            f"{facts[key]} {said}"
            for key, said in {
                "fused": "fused into others",
                "constant": "always the same",
                "common": "equal to others",
                "moved": "copies spared",
                "dead": "read by nobody",
            }.items()
            if facts[key]
        ]
        what = f" ({', '.join(spared)})" if spared else ""
        run = f", {facts['seconds'] * 1e6:.1f} us a run" if facts["seconds"] else ""
        lines = [
            f"{self.name}: {_count(facts['launches'], 'launch', 'es')} for "
            f"{_count(facts['recorded'], 'operation', 's')}{what}, "
            f"{_size(facts['arena'])} kept between launches{run}"
        ]
        width = max((len(part[0]) for parts in facts["steps"] for part in parts), default=0)
        for i, parts in enumerate(facts["steps"], 1):
            for k, (name, reads, writes, bytes_) in enumerate(parts):
                number = f"{i:4d}" if k == 0 else "   +"
                what = f"{', '.join(reads)} -> {', '.join(writes)}"
                lines.append(f"{number}  {name:{width}s} {what}  {_size(bytes_)} moved")
        return "\n".join(lines)


def _count(n: int, what: str, many: str) -> str:
    return f"{n} {what}{many if n != 1 else ''}"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def note_step(optimizer: Any, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run an optimiser's step that is being recorded; its numbers are asked for again each time."""
    if args or kwargs:
        _core._refuse_recording(
            "the step gives its optimiser a closure",
            "compile the closure, which the optimiser calls",
        )
    kind = type(optimizer)
    if kind.__module__.split(".")[0] != "schuss" or not getattr(kind, "_repeats", False):
        _core._refuse_recording(f"{kind.__name__} computes with Python's numbers")
        return step(optimizer, *args, **kwargs)
    held = _tensors(optimizer)
    again = functools.partial(step, optimizer, *args, **kwargs)
    result, numbers, back = optimizer._repeated(again)
    _core._host_call(numbers, back)
    if _tensors(optimizer) != held:
        # Its state is made at its first step; the next one can be recorded.
        _core._retry_recording()
    return result


def _tensors(optimizer: Any) -> set[int]:
    return {id(v) for s in optimizer.state.values() for v in s.values() if hasattr(v, "data_ptr")}
