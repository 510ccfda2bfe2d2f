"""`compile`: a step recorded once and run again without Python, and what it depends on besides.
Leans on the core's recorder; models and optimisers tell it what they are."""

from __future__ import annotations

import functools
import pickle
import random
from types import CellType, ModuleType
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss import _core
from schuss.model import Model
from schuss.model.compiled import Compiled

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Their steps are one formula for each element, and Python gives only its numbers.
_NUMBERS = (bool, int, float, str, type(None))
_PLAIN = (bool, int, float, str)


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
    model = _inside(model)
    step = step_of(model, fallback, cache_size)
    if isinstance(model, Model):
        step.__name__ = type(model).__name__
        return Compiled(model, step, {"fallback": fallback, "cache_size": cache_size})
    functools.update_wrapper(step, model, updated=())
    return step


def step_of(function: Callable[..., Any], fallback: bool, cache_size: int) -> Any:
    """A step with what the core asks of Python about its function."""
    look, reach = functools.partial(_look, function), functools.partial(_reach, function)
    return _core.Step(function, (look, reach, _known, _odds), fallback, cache_size)


def _odds() -> Any:
    """Where the random numbers of Python and NumPy are, which a program does not draw again."""
    return random.getstate(), pickle.dumps(np.random.get_state(legacy=False))


def _inside(value: Any) -> Any:
    """The model inside a compiled one; anything else is itself."""
    return value._orig_mod if isinstance(value, Compiled) else value


class Program:
    """The program that a compiled step used last: print it."""

    def __init__(self, step: Any) -> None:
        self.name = getattr(step, "__name__", type(step).__name__)
        self.facts = next(iter(step.programs()), None)

    def __repr__(self) -> str:
        facts = self.facts
        if facts is None:
            return f"{self.name}: no program yet; it is recorded at the second call"
        run = f", {facts['seconds'] * 1e6:.1f} us a run" if facts["seconds"] else ""
        lines = [
            f"{self.name}: {facts['launches']} launches of {facts['recorded']} recorded "
            f"({facts['fused']} fused, {facts['constant']} constant, {facts['common']} equal to "
            f"others, {facts['dead']} read by nobody), {_size(facts['arena'])} of memory{run}"
        ]
        for i, parts in enumerate(facts["steps"], 1):
            for k, (name, reads, writes, bytes_) in enumerate(parts):
                number = f"{i:4d}" if k == 0 else "   +"
                what = f"{', '.join(reads)} -> {', '.join(writes)}"
                lines.append(f"{number}  {name:14s} {what}  {_size(bytes_)}")
        return "\n".join(lines)


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _known(objects: list[Any]) -> bool:
    """Whether arguments that are no plain values are of kinds that a program knows how to guard."""
    kinds = (Model, schuss.optim.Optimizer, schuss.optim.lr_scheduler.LRScheduler, type)
    return all(
        isinstance(x, kinds)
        or hasattr(x, "__code__")
        or (
            type(x).__module__ in ("schuss", "builtins", "schuss._core")
            and not hasattr(x, "__dict__")
            and not isinstance(x, dict | list | set)
        )
        for x in objects
    )


def _plain(function: Any) -> tuple[Any, Any]:
    """The Python function inside a callable, and the object that it is bound to."""
    own = None
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__func__"):
            own, function = function.__self__, function.__func__
        elif hasattr(function, "__code__"):
            return _unwrapped(function), own
        elif isinstance(function, Model):
            own, function = function, type(function).forward
        elif callable(function) and hasattr(type(function).__call__, "__code__"):
            own, function = function, type(function).__call__
        else:
            return None, own


def _names(code: Any) -> tuple[list[str], set[Any]]:
    """What a function and the functions inside it name: globals and attributes, and the texts that
    may be keys."""
    found, texts = list(code.co_names), {c for c in code.co_consts if isinstance(c, str)}
    for const in code.co_consts:
        if hasattr(const, "co_names"):
            names, inner = _names(const)
            found += names
            texts |= inner
    return found, texts


def _unwrapped(function: Any) -> Any:
    """The function inside those that decorators have put around it."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def _is_record(value: Any) -> bool:
    """Whether a value is an object of a class of the user's, whose attributes are its own."""
    guarded = (Model, schuss.optim.Optimizer, schuss.optim.lr_scheduler.LRScheduler)
    if isinstance(value, (*guarded, schuss.Tensor, type, ModuleType, functools.partial)):
        return False
    held = hasattr(value, "__dict__") or hasattr(type(value), "__slots__")
    return held and not hasattr(value, "__code__") and type(value).__module__ != "builtins"


def _classes(value: Any) -> list[Any]:
    """The classes of the user's that an object, or a class, has its members from."""
    kind = value if isinstance(value, type) else type(value)
    return [c for c in kind.__mro__ if c.__module__.partition(".")[0] not in ("schuss", "builtins")]


def _functions(plain: Any, own: Any) -> list[Any]:
    """A function and those of its module that it names, be it as methods of objects at hand."""
    found, around = [plain], plain.__globals__
    for function in found:
        names = set(_names(function.__code__)[0])
        values = [around[name] for name in names if name in around]
        values += [cell.cell_contents for cell in function.__closure__ or () if _is_full(cell)]
        around_it = map(_inside, (own, *values))
        holders = [x for x in around_it if isinstance(x, (Model, type)) or _is_record(x)]
        holders += [x for x in getattr(own, "__dict__", {}).values() if _is_record(x)]
        holders += [m for x in holders if isinstance(x, Model) for m in x.modules()]
        for kind in dict.fromkeys(c for x in holders for c in _classes(x)):
            # Operators, and what calls of models run, are methods that nobody names.
            named = names | {"forward"} if issubclass(kind, Model) else names
            values += [f for n, f in vars(kind).items() if n in named or n.startswith("__")]
        for value in values:
            inner = getattr(value, "fget", None) or getattr(value, "__func__", value)
            inner = _unwrapped(inner)
            if getattr(inner, "__globals__", None) is around and inner not in found:
                found.append(inner)
    return found


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty cell raises
    except ValueError:
        return False
    return True


def _look(function: Any) -> tuple[list[tuple[Any, str | None, Any]], tuple[Any, ...]]:
    """What a function depends on besides its arguments: variables around it, globals, attributes
    and entries that it and the functions of its module name, and the state of the models there."""
    plain, own = _plain(function)
    places: list[tuple[Any, str | None, Any]] = []
    names: dict[str, None] = {}
    texts: set[Any] = set()
    for code in () if plain is None else _functions(plain, own):
        cells = [cell for cell in code.__closure__ or () if _is_full(cell)]
        places += [(cell, None, cell.cell_contents) for cell in cells]
        found, more = _names(code.__code__)
        names |= dict.fromkeys(found)
        texts |= more
    around = {} if plain is None else plain.__globals__
    for name in names:
        value = around.get(name)
        if isinstance(value, ModuleType):
            # Plain values of a module that holds settings.
            if value.__name__.partition(".")[0] != "schuss":
                inside = vars(value)
                places += [(inside, n, inside[n]) for n in names if type(inside.get(n)) in _PLAIN]
        elif name in around:
            places.append((around, name, value))
    reached = [own] if own is not None else []
    reached += [value for *_, value in places]
    seen: set[int] = set()
    for value in reached:
        if id(value) in seen:
            continue
        seen.add(id(value))
        entries: list[tuple[Any, str | None, Any]] = []
        if _is_record(value):
            inside = getattr(value, "__dict__", {})
            for key in (*names, *(t for t in texts if t not in names)):
                if key in inside:
                    entries.append((inside, key, inside[key]))
                elif (shared := _shared(value, key)) is not None:
                    entries.append((value, key, shared))
        elif isinstance(value, dict):
            entries = [(value, key, value[key]) for key in texts if key in value]
        places += entries
        reached += [entry for *_, entry in entries]
    if isinstance(own, Model):
        reached += vars(own).values()
    return places, tuple(_state(value) for value in reached if isinstance(value, Model))


def _shared(value: Any, key: str) -> Any:
    """What an object has from its class under a name, or in a slot; None for functions and the
    like."""
    for kind in _classes(value):
        if key in vars(kind):
            slot = type(vars(kind)[key]).__name__ == "member_descriptor"
            found = getattr(value, key, None) if slot else vars(kind)[key]
            known = type(found) in _PLAIN or isinstance(found, schuss.Tensor) or _is_record(found)
            return found if known else None
    return None


def _reach(function: Any) -> list[Any]:
    """Every tensor that a function can reach without its arguments."""
    plain, own = _plain(function)
    todo, seen, found = [plain, own], set(), []
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, (*_NUMBERS, bytes, type, ModuleType)):
            continue
        seen.add(id(value))
        if isinstance(value, schuss.Tensor):
            found.append(value)
        elif isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list | tuple | set | frozenset):
            todo += value
        elif hasattr(value, "__code__"):
            names, _ = _names(value.__code__)
            todo += (value.__globals__[name] for name in names if name in value.__globals__)
            todo += (value.__closure__, value.__defaults__, value.__kwdefaults__)
        elif isinstance(value, CellType):
            todo += [value.cell_contents] if _is_full(value) else []
        elif hasattr(value, "__func__"):
            todo += (value.__func__, value.__self__)
        elif isinstance(value, functools.partial):
            todo += (value.func, value.args, value.keywords)
        elif hasattr(value, "__dict__"):
            todo.append(vars(value))
    return found


def _state(model: Model) -> tuple[Any, ...]:
    """What a program of a model depends on: its parts, their order, modes, numbers and hooks."""
    parts = []
    for name, part in model.named_modules():
        members = part.__dict__
        facts = [
            (key, value if isinstance(value, _NUMBERS) else id(value))
            for key, value in members.items()
            if not key.startswith("__")
            and (isinstance(value, _NUMBERS) or key in part._member_kinds)
        ]
        hooks = part._model_hooks
        parts.append(
            (
                name,
                id(part),
                part.training,
                tuple(facts),
                hooks and (*hooks.forward_pre, *hooks.forward),
            )
        )
    return tuple(parts)


def note_step(optimizer: Any, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run an optimiser's step that is being recorded; its numbers are asked for again each time."""
    if args or kwargs or optimizer._pre_hooks or optimizer._post_hooks:
        _core._refuse_recording(
            "the step gives its optimiser a closure, or the optimiser has hooks"
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
