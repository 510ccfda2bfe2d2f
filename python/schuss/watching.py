"""What a compiled step depends on besides its arguments: variables, attributes, models, and numbers
of optimisers that it reaches. Leans on the names that code objects list."""

from __future__ import annotations

import functools
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING

import schuss
from schuss.model import Model
from schuss.model.compiled import Compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    # A dictionary, an object or a cell; the name there, and the value.
    Place = tuple[Any, str | None, Any]

_PLAIN = (bool, int, float, str)
_NUMBERS = (*_PLAIN, type(None))
_HOLDERS = (list, tuple, set, frozenset)
_METHODS = (MethodType, staticmethod, classmethod)
# What classes have without its being called for its name while a step runs.
_ASIDE = {"__init__", "__new__", "__post_init__", "__init_subclass__", "__del__", "__repr__"}
_ASIDE |= {"__str__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__reduce__", "__class__"}
# Values of lists and the like that are looked into.
_LONG = 64


def look(function: Callable[..., Any], objects: Iterable[Any] = ()) -> tuple[list[Place], State]:
    """What a function depends on besides its arguments: variables around it, defaults, globals,
    attributes and entries that it and the functions of its module name, numbers of optimisers that
    it reads itself, and the state of the models there. Of `objects` among its arguments the same.
    """
    survey = _Survey(function, objects)
    return survey.places, State(survey.models)


def inside(value: Any) -> Any:
    """The model inside a compiled one; anything else is itself."""
    return value._orig_mod if isinstance(value, Compiled) else value


class _Survey:
    """The walk from a function to what it depends on."""

    def __init__(self, function: Callable[..., Any], objects: Iterable[Any]) -> None:
        self.places: list[Place] = []
        self.models: list[Model] = []
        self.functions: list[Any] = []
        self.owns: list[Any] = []
        for value in (function, *objects):
            self._take(value)
        self._gather()
        self._name()
        self._follow()

    def _take(self, value: Any, within: Any = None) -> None:
        """A callable taken apart: its functions, unless they are of another module than `within`,
        and what it is bound to."""
        functions, held = _apart(value)
        for inner in functions:
            known = any(inner is other for other in self.functions)
            if not known and within in (None, id(inner.__globals__)):
                self.functions.append(inner)
        for own in held:
            if not any(own is known for known in self.owns):
                self.owns.append(own)
        self._watch(held)

    def _watch(self, values: Iterable[Any]) -> None:
        """Lists and the like that no name leads to."""
        free = (v for v in values if isinstance(v, list | dict | set))
        self.places += [(CellType(value), None, value) for value in free]

    def _gather(self) -> None:
        """The functions, and those of their modules that they name, be it as methods of objects."""
        for function in self.functions:
            around = function.__globals__
            names = set(_names(function.__code__)[0])
            values = [around[name] for name in names if name in around] + _around(function)
            near = list(map(inside, (*self.owns, *values)))
            near += [x for own in self.owns for x in _members(own).values()]
            holders = [x for x in near if isinstance(x, (Model, type)) or _is_record(x)]
            holders += [m for x in holders if isinstance(x, Model) for m in x.modules()]
            for kind in dict.fromkeys(c for x in holders for c in _classes(x)):
                # Operators, and what calls of models run, are methods that nobody names.
                named = names | {"forward"} if issubclass(kind, Model) else names
                shared = {n: f for n, f in vars(kind).items() if n not in _ASIDE}
                values += [f for n, f in shared.items() if n in named or n.startswith("__")]
            lists = [v for v in values if type(v) in _HOLDERS and len(v) <= _LONG]
            tables = [v for v in values if type(v) is dict and len(v) <= _LONG]
            values += [x for v in lists for x in v] + [x for v in tables for x in v.values()]
            values += [f for x in holders if isinstance(x, Model) for f in _hooks(x)]
            for value in values:
                self._take(value, id(around))

    def _name(self) -> None:
        """Variables, defaults, and the globals that are named."""
        self.names: dict[str, None] = {}
        self.texts: set[str] = set()
        modules: dict[int, tuple[dict[str, Any], dict[str, None]]] = {}
        for function in self.functions:
            cells = [cell for cell in function.__closure__ or () if _is_full(cell)]
            self.places += [(cell, None, cell.cell_contents) for cell in cells]
            given = _defaults(function)
            self._watch(given)
            self.owns += given
            found, more = _names(function.__code__)
            modules.setdefault(id(function.__globals__), (function.__globals__, {}))[1].update(
                dict.fromkeys(found)
            )
            self.names |= dict.fromkeys(found)
            self.texts |= more
        for around, names in modules.values():
            for name in names:
                value = around.get(name)
                if isinstance(value, ModuleType):
                    # Plain values of a module that holds settings.
                    own = vars(value)
                    if _root(own.get("__name__")) != "schuss":
                        plain = (n for n in self.names if type(own.get(n)) in _PLAIN)
                        self.places += [(own, n, own[n]) for n in plain]
                elif name in around:
                    self.places.append((around, name, value))

    def _follow(self) -> None:
        """From value to value, as far as names and texts of the functions lead."""
        reached = [*self.owns, *(value for *_, value in self.places)]
        seen: set[int] = set()
        for value in reached:
            value = inside(value)
            if id(value) in seen:
                continue
            seen.add(id(value))
            try:
                entries, more = self._entries(value)
            except Exception:
                continue
            self.places += entries
            reached += more
            reached += [entry for *_, entry in entries]

    def _entries(self, value: Any) -> tuple[list[Place], Iterable[Any]]:
        """What is watched of a value, and where the walk goes on besides."""
        if isinstance(value, Model):
            self.models.append(value)
            return self._of_model(value)
        if isinstance(value, schuss.optim.Optimizer):
            groups = value.param_groups if "param_groups" in self.names else ()
            keys = self.texts - {"params"}
            return [(group, k, group[k]) for group in groups for k in keys if k in group], ()
        if isinstance(value, schuss.optim.lr_scheduler.LRScheduler):
            own, keys = vars(value), {*self.names}
            keys |= {"_last_lr"} if "get_last_lr" in keys else set()
            return [(own, k, own[k]) for k in keys - {"optimizer"} if k in own], ()
        if isinstance(value, _HOLDERS):
            return [], tuple(value) if len(value) <= _LONG else ()
        if isinstance(value, dict):
            entries = [(value, key, value[key]) for key in self.texts if key in value]
            kinds = (Model, functools.partial, *_METHODS)
            return entries, [v for v in value.values() if isinstance(v, kinds)]
        if isinstance(value, (functools.partial, *_METHODS)):
            held = _apart(value)[1]
            self._watch(held)
            return [], held
        if _is_record(value):
            own = _members(value)
            entries = []
            for key in (*self.names, *(t for t in self.texts if t not in self.names)):
                if key in own:
                    entries.append((own, key, own[key]))
                elif (shared := _shared(value, key)) is not None:
                    entries.append((value, key, shared))
            return entries, ()
        if isinstance(value, type):
            found = ((key, _shared(value, key)) for key in self.names)
            return [(value, key, shared) for key, shared in found if shared is not None], ()
        return [], ()

    def _of_model(self, model: Model) -> tuple[list[Place], list[Any]]:
        """Lists and objects that a model and its parts have; what else they have is their state."""
        entries: list[Place] = []
        more: list[Any] = []
        for part in model.modules():
            for key, value in part.__dict__.items():
                if key in part._member_kinds or key in _INNER:
                    continue
                if isinstance(value, list | dict | set):
                    entries.append((part.__dict__, key, value))
                elif _is_record(value) or isinstance(value, tuple):
                    more.append(value)
            for key in self.names:
                if key not in part.__dict__ and (shared := _shared(part, key)) is not None:
                    entries.append((part, key, shared))
        return entries, more


def _apart(value: Any) -> tuple[list[Any], list[Any]]:
    """The functions inside a callable, those of decorators around them too, and what partials and
    methods hold."""
    functions: list[Any] = []
    held: list[Any] = []
    todo, seen = [inside(value)], set()
    for value in todo:
        if id(value) in seen or isinstance(value, (*_NUMBERS, schuss.Tensor, ModuleType, type)):
            continue
        seen.add(id(value))
        wrapped = _members(value).get("__wrapped__")
        if isinstance(value, functools.partial):
            held += [*value.args, *value.keywords.values()]
            todo += [value.func, *(x for x in held if isinstance(x, FunctionType))]
        elif isinstance(value, property):
            todo.append(value.fget)
        elif isinstance(value, _METHODS):
            held += [value.__self__] if isinstance(value, MethodType) else []
            todo.append(value.__func__)
        elif isinstance(value, FunctionType):
            todo.append(wrapped)
            if wrapped is None or not _is_ours(value):
                functions.append(value)
        elif isinstance(value, Model):
            held.append(value)
            functions.append(_unwrapped(type(value).forward))
        elif wrapped is not None:
            todo.append(wrapped)
        elif _is_record(value):
            held.append(value)
            functions.append(_unwrapped(_of_class(value, "__call__")))
    return [f for f in functions if isinstance(f, FunctionType)], held


def _members(value: Any) -> dict[str, Any]:
    """What an object has of its own; nothing where that cannot be asked."""
    try:
        own = object.__getattribute__(value, "__dict__")
    except Exception:
        return {}
    return own if isinstance(own, dict) else {}


def _of_class(value: Any, name: str) -> Any:
    """What an object's class has under a name."""
    return next((vars(c)[name] for c in type(value).__mro__ if name in vars(c)), None)


def _root(name: Any) -> str:
    return str(name).partition(".")[0]


def _is_ours(function: Any) -> bool:
    return _root(getattr(function, "__module__", "")) == "schuss"


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


def _around(function: Any) -> list[Any]:
    """The values of the variables around a function, and of its defaults."""
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_full(cell)]
    return cells + _defaults(function)


def _defaults(function: Any) -> list[Any]:
    return [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


def _unwrapped(function: Any) -> Any:
    """The function inside those that decorators have put around it."""
    seen = []
    while "__wrapped__" in _members(function) and not any(function is one for one in seen):
        seen.append(function)
        function = function.__wrapped__
    return function


def _is_record(value: Any) -> bool:
    """Whether a value is an object of a class of the user's, whose attributes are its own."""
    guarded = (Model, schuss.optim.Optimizer, schuss.optim.lr_scheduler.LRScheduler)
    if isinstance(value, (*guarded, schuss.Tensor, type, ModuleType, functools.partial)):
        return False
    held = _of_class(value, "__dict__") is not None or _of_class(value, "__slots__") is not None
    return held and not isinstance(value, FunctionType) and type(value).__module__ != "builtins"


def _classes(value: Any) -> list[Any]:
    """The classes of the user's that an object, or a class, has its members from."""
    kind = value if isinstance(value, type) else type(value)
    return [c for c in kind.__mro__ if _root(c.__module__) not in ("schuss", "builtins")]


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty cell raises
    except ValueError:
        return False
    return True


def _shared(value: Any, key: str) -> Any:
    """What an object has from its class under a name, or in a slot; None for functions and the
    like."""
    for kind in _classes(value):
        if key in vars(kind):
            slot = type(vars(kind)[key]).__name__ == "member_descriptor"
            found = getattr(value, key, None) if slot else vars(kind)[key]
            values = (*_PLAIN, list, dict, tuple, set)
            plain = type(found) in values or isinstance(found, schuss.Tensor)
            # What gives something else when it is asked for is no value of the class.
            record = _is_record(found) and _of_class(found, "__get__") is None
            return found if plain or record else None
    return None


def reach(function: Callable[..., Any], objects: Iterable[Any] = ()) -> list[Any]:
    """Every tensor that a function can reach without its arguments."""
    todo, seen, found = [function, *objects], set(), []
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, (*_NUMBERS, bytes, ModuleType)):
            continue
        seen.add(id(value))
        if isinstance(value, schuss.Tensor):
            found.append(value)
            todo += [value.grad] if value.is_leaf and value.grad is not None else []
        elif isinstance(value, dict):
            todo += dict.values(value)
        elif type(value) in _HOLDERS:
            todo += value
        elif isinstance(value, type):
            todo += [x for kind in _classes(value) for x in vars(kind).values()]
        elif isinstance(value, _METHODS):
            todo += (value.__func__, getattr(value, "__self__", None))
        elif isinstance(value, FunctionType):
            names, _ = _names(value.__code__)
            todo += (value.__globals__[name] for name in names if name in value.__globals__)
            todo += (value.__closure__, value.__defaults__, value.__kwdefaults__)
            todo.append(_members(value).get("__wrapped__"))
        elif isinstance(value, CellType):
            todo += [value.cell_contents] if _is_full(value) else []
        elif isinstance(value, functools.partial):
            todo += (value.func, value.args, value.keywords)
        else:
            todo.append(_members(value))
            call = _of_class(value, "forward" if isinstance(value, Model) else "__call__")
            todo += [_unwrapped(call)] if isinstance(call, FunctionType) else []
    return found


_KNOWN = (complex, bytes, range, slice, frozenset, BuiltinFunctionType, type(...))


def unknown(function: Callable[..., Any], objects: list[Any]) -> list[str]:
    """Of arguments that are no plain values, the kinds of those that a program cannot guard.

    Objects of classes of the function's own module are looked into as it names their attributes.
    """
    kinds = (Model, schuss.optim.Optimizer, schuss.optim.lr_scheduler.LRScheduler, type)
    modules = {f.__globals__.get("__name__") for f in _apart(function)[0]}

    def known(x: Any) -> bool:
        ours = type(x).__module__ in ("schuss", "schuss._core") and not hasattr(x, "__dict__")
        near = _is_record(x) and type(x).__module__ in modules
        code = isinstance(x, (FunctionType, *_METHODS)) or "__wrapped__" in _members(x)
        return isinstance(x, (*kinds, *_KNOWN, functools.partial)) or ours or near or code

    return sorted({type(x).__name__ for x in objects if not known(x)})


# What models keep for themselves.
_INNER = frozenset({"_member_kinds", "_model_hooks"})


class _One:
    """A value that is the same only as itself."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _One) and self.value is other.value

    __hash__ = None  # type: ignore[assignment]


def _frozen(value: Any, deep: int = 4) -> Any:
    """What is compared of an attribute: plain values, and tuples of them, as what they are."""
    if isinstance(value, _NUMBERS):
        return type(value), value
    if type(value) is tuple and deep:
        return tuple(_frozen(item, deep - 1) for item in value)
    return _One(value)


class State:
    """What a program of some models depends on: their parts, order, modes, attributes and hooks."""

    def __init__(self, models: Iterable[Model]) -> None:
        self.facts: list[Any] = []
        self.rest: dict[tuple[int, str], Any] = {}
        for model in models:
            for name, part in model.named_modules():
                members, number = part._member_kinds, len(self.facts)
                facts = []
                for key, value in part.__dict__.items():
                    if key in _INNER or key.startswith("__"):
                        continue
                    if key in members or isinstance(value, _NUMBERS):
                        facts.append((key, _frozen(value)))
                    else:
                        self.rest[number, key] = _frozen(value)
                hooks = part._model_hooks
                occasions = ("forward_pre", "forward", "backward_pre", "backward")
                ids = hooks and [tuple(getattr(hooks, occasion)) for occasion in occasions]
                self.facts.append((name, _One(part), part.training, facts, ids))

    def forgive(self, after: State) -> None:
        """Leaves out what a step has set itself while it was recorded: a record of its calls."""
        for key, value in after.rest.items():
            if key not in self.rest or self.rest[key] != value:
                self.rest[key] = ...

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State) or self.facts != other.facts:
            return False
        return all(
            ... in (mine := self.rest.get(key), theirs := other.rest.get(key)) or mine == theirs
            for key in {*self.rest, *other.rest}
        )

    __hash__ = None  # type: ignore[assignment]


def _hooks(model: Model) -> list[Any]:
    """The functions that hang on a model's forward pass."""
    hooks = model._model_hooks
    every = () if hooks is None else (*hooks.forward_pre.values(), *hooks.forward.values())
    return [entry[0] if isinstance(entry, tuple) else entry for entry in every]
