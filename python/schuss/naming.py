"""What functions and classes ask of arguments, errors told in the name that was called, warnings at
the caller's line. Leans on the core's tensors."""

from __future__ import annotations

import linecache
import sys
import warnings
from functools import wraps
from types import FunctionType
from typing import TYPE_CHECKING

from schuss import _core
from schuss._core import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable)


def rename(error: Exception, op: str) -> None:
    """Puts another operation's name in front of an error's message."""
    inner, colon, rest = str(error).partition(": ")
    if colon and inner.isidentifier():
        error.args = (f"{op}: {rest}",)


def called(op: str, hidden: bool) -> str:
    """The public function that a program called, for the core's refusals: of the package's frames
    that lead to the record `op` the outermost that is one, or else the layer whose `forward` runs.
    """
    names, found, layer = _public_names(), None, None
    frame = sys._getframe(1)
    while frame is not None and _is_ours(frame):
        code = frame.f_code
        found = names.get(code, found)
        owner = type(frame.f_locals.get("self"))
        if code.co_name == "forward" and owner is not _NONE and owner.__name__ != "Sequential":
            layer = owner.__name__
        elif owner.__module__.startswith("schuss.distributions") and hasattr(owner, code.co_name):
            found = f"{owner.__name__}.{code.co_name}"
        frame = frame.f_back
    if layer is not None and (found or op) in _INSIDE and not layer.endswith("Linear"):
        return layer
    name = found or (layer if hidden else None) or op
    return op if op.rpartition(".")[2] == name else name


# What layers are made of that are not called by that name.
_INSIDE = {"linear", "multi_head_attention_forward"}
_names: dict[Any, str] = {}
_seen = 0


def _public_names() -> dict[Any, str]:
    """The names under which programs reach the package's functions, by their code."""
    global _seen
    inner = ("nn.functional", "nn.utils", "linalg", "fft", "special", "signal.windows")
    modules = [sys.modules.get("schuss." + name) for name in inner]
    holders = [vars(m) for m in (sys.modules.get("schuss"), Tensor, *modules) if m is not None]
    count = sum(map(len, holders))
    if count == _seen:
        return _names
    _names.clear()
    makers: dict[Any, Any] = {}
    several: set[Any] = set()
    for holder in holders:
        for name, value in list(holder.items()):
            function = getattr(value, "__wrapped__", value)
            code = getattr(function, "__code__", None)
            if code is None or name.startswith("_"):
                continue
            if name == code.co_name or code not in makers:
                _names[code], makers[code] = name, function
            elif makers[code] is not function and _names[code] != code.co_name:
                several.add(code)
    # What one maker made under many names cannot be told apart by its code.
    for code in several:
        del _names[code]
    _seen = count
    return _names


def must_tensor(op: str, **named) -> None:
    """Refuses what is no tensor (nor an array, which the core reads as one)."""
    for name, value in named.items():
        if not isinstance(value, Tensor) and not hasattr(value, "__array__"):
            raise TypeError(
                f"{op}: {name} must be a Tensor, got {type(value).__name__};"
                " use schuss.tensor(...) first"
            )


def must_float(op: str, *values: Tensor, wanted: str = "a float tensor") -> None:
    """Refuses elements that are no real floats, and says how to come by some."""
    for x in values:
        if not x.dtype.is_floating_point:
            half = "take x.real, x.imag or x.abs(), or view_as_real(x)"
            advice = half if x.dtype.is_complex else "use x.float() first"
            raise _core.DTypeError(f"{op}: needs {wanted}, got {x.dtype.name}; {advice}")


def given(op: str, found, out, same=False):
    """What was found, or `out` with it; `same` asks for one dtype."""
    return found if out is None else _core._into(op, found, out, same)


def given_each(op: str, found, out, same: bool | tuple[bool, ...] = False):
    """Several results, or the tensors of `out` with them, in their order.

    With `same` these must have the dtypes of the results: all of them, or each that it names.
    """
    if out is None:
        return found
    if isinstance(out, _core.Tensor) or len(out) != len(found):
        raise TypeError(f"{op}: out must be {len(found)} tensors, one for each result")
    if not isinstance(same, tuple):
        same = (same,) * len(found)
    return tuple(_core._into(op, *each) for each in zip(found, out, same, strict=True))


# What other libraries, or habit, call a keyword.
_OTHER_NAMES = {
    "activation_fn": "activation",
    "axis": "dim",
    "dim": "axis",
    "keep_prob": "p",
    "learning_rate": "lr",
    "lr": "learning_rate",
    "mean": "loc",
    "prob": "p",
    "rate": "p",
    "std": "scale",
}


def unknown(op: str, key: str, form: str) -> TypeError:
    """The refusal of a keyword that a function has not: the nearest that it has, and its form."""
    import re
    from difflib import get_close_matches

    known = re.findall(r"\w+", form)[1:]
    other = _OTHER_NAMES.get(key)
    near = [other] if other in known else get_close_matches(key, known, 1)
    guess = f" (did you mean {near[0]}?)" if near else ""
    return TypeError(f"{op}() has no argument {key}{guess}; its form is {form}")


def returned(kind: str, **values: Any) -> str:
    """How several results with names are shown."""
    lines = ",\n".join(f"{name}={value!r}" for name, value in values.items())
    return f"schuss.return_types.{kind}(\n{lines})"


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warns at the line of the program that called into this package, however deep this is."""
    level, _ = _caller()
    warnings.warn(text, category, stacklevel=level)


def place() -> tuple[str, list[Any]]:
    """The line of the program that called into this package, with what it says, and the package's
    frames that led here, the outermost first."""
    _, frame = _caller()
    path, number = frame.f_code.co_filename, frame.f_lineno
    said = linecache.getline(path, number, frame.f_globals).strip()
    said = said if len(said) <= _LINE else f"{said[: _LINE - 3]}..."
    ours, inner = [], sys._getframe(1)
    while inner is not frame and inner is not None:
        ours.insert(0, inner)
        inner = inner.f_back
    return f"{path}, line {number}: {said}" if said else f"{path}, line {number}", ours


# How much of a line of the program is shown.
_LINE = 72


def _caller() -> tuple[int, Any]:
    """How many frames above a function of this module the program is, and its frame there."""
    level, frame = 2, sys._getframe(2)
    while frame.f_back is not None and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    return level, frame


_warned_of_half = False


def warn_of_half() -> None:
    """Warns, the first time, that complex numbers lose their imaginary parts."""
    global _warned_of_half
    if not _warned_of_half:
        _warned_of_half = True
        warn("complex numbers made real lose their imaginary parts; use x.real where that is meant")


def _is_ours(frame: Any) -> bool:
    name = frame.f_globals.get("__name__", "")
    return name.partition(".")[0] == "schuss" or name in ("contextlib", "functools")


def check_making(cls: type, args: tuple, kwargs: dict) -> None:
    """Refuses keywords that a class of ours has not, and arguments that are missing, in the name of
    the class. Nothing at all is let through: that is how objects are copied."""
    begin = cls.__init__
    code = getattr(begin, "__code__", None)
    if code is None or not begin.__module__.startswith("schuss.") or code.co_flags & 0x08:
        return
    count, only = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames[1 : count + only]
    if cls.__module__.startswith("schuss.nn.") and cls.__module__ not in _HOLDING_TENSORS:
        _check_settings(cls, names[: count - 1], args)
    for key in kwargs:
        if key not in names:
            raise unknown(cls.__name__, key, form(cls))
    needed = names[len(args) : count - 1 - len(begin.__defaults__ or ())]
    missing = [name for name in needed if name not in kwargs]
    if missing and (args or kwargs):
        raise TypeError(f"{cls.__name__}: is missing {', '.join(missing)}; its form is {form(cls)}")
    if len(args) > count - 1 and not code.co_flags & 0x04:
        more = f"takes {count - 1} arguments by position, got {len(args)}"
        raise TypeError(f"{cls.__name__}: {more}; its form is {form(cls)}")


_HOLDING_TENSORS = {"schuss.nn.containers", "schuss.nn.utils.parametrize"}
# Settings of layers that are tensors.
_TENSORS = {"weight", "_weight", "pos_weight"}


def _check_settings(cls: type, names: tuple[str, ...], args: tuple) -> None:
    """Refuses tensors where a layer is told its settings: it was taken for a function."""
    tensors = [i for i, value in enumerate(args) if isinstance(value, Tensor) and value.ndim]
    settings = [names[i] if i < len(names) else None for i in tensors]
    if not tensors or (len(tensors) == 1 and settings[0] in _TENSORS):
        return
    asked = f"{settings[0]} is a setting of it, " if settings[0] else ""
    raise TypeError(
        f"{cls.__name__}: is made first and called then: {asked}got a tensor of shape "
        f"{tuple(args[tensors[0]].shape)}; write {_use(cls, len(args))}"
    )


def _use(cls: type, count: int) -> str:
    """How a layer is made and called, and the function that does the same, if there is one."""
    settings = [part for part in form(cls).partition("(")[2][:-1].split(", ") if part]
    needed = [part for part in settings if "=" not in part and not part.startswith("*")]
    given = "input, target" if cls.__name__.endswith("Loss") or count == 2 else "input"
    written = f"nn.{cls.__name__}({', '.join(needed)})({given})"
    bare = cls.__name__.lower().replace("bce", "binarycrossentropy")
    names = vars(sys.modules["schuss.nn.functional"])
    shelf = {name.replace("_", ""): name for name in names if name[-1] != "_"}
    function = shelf.get(bare) or shelf.get(bare.removesuffix("loss"))
    return f"{written}, or use nn.functional.{function}" if function else written


def own_name(cls: type) -> None:
    """Gives a class of ours that is made as its private base is a maker of its own name: Python's
    refusals tell it."""
    begin = cls.__init__
    inherited = "__init__" not in cls.__dict__ and begin.__qualname__.startswith("_")
    if inherited and cls.__module__.startswith("schuss.") and isinstance(begin, FunctionType):
        code, defaults = begin.__code__, begin.__defaults__
        own = FunctionType(code, begin.__globals__, "__init__", defaults, begin.__closure__)
        own.__kwdefaults__, own.__annotations__ = begin.__kwdefaults__, begin.__annotations__
        own.__doc__, own.__module__ = begin.__doc__, begin.__module__
        own.__qualname__ = f"{cls.__qualname__}.__init__"
        cls.__init__ = own


def form(cls: type) -> str:
    """How a class is called: `Linear(in_features, out_features, bias=True, device=None)`."""
    import inspect

    signature = inspect.signature(cls.__init__)
    shown = list(signature.parameters.values())[1:]
    bare = [p.replace(annotation=p.empty, default=_Shown.of(p.default)) for p in shown]
    return cls.__name__ + str(inspect.Signature(bare))


class _Shown(str):
    """A default that is a function or class, under its name."""

    __repr__ = str.__str__

    @classmethod
    def of(cls, default: Any) -> Any:
        plain = isinstance(default, type) or not hasattr(default, "__name__")
        return default if plain else cls(default.__name__)


class Checked:
    """A class whose objects are made with arguments that are checked by name."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs:
            check_making(cls, args, kwargs)
        following: Any = super().__new__
        return following(cls) if following is object.__new__ else following(cls, *args, **kwargs)


def swapped(op: str, alpha: Any, old: tuple[Any, ...]) -> tuple[Any, Any]:
    """Alpha and the other operand of a sum or difference in PyTorch's old order."""
    if len(old) > 1:
        raise TypeError(f"{op}: takes an input, another and alpha=, got {len(old) + 2} operands")
    return alpha, old[0]


def speaks(function: F, name: str = "") -> F:
    """A function made of others whose errors carry its own name."""
    name = name or getattr(function, "__name__", "")

    @wraps(function)
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except Exception as error:
            wrong = _retold(error, name, function, args, kwargs)
            if wrong is not None:
                raise wrong from error
            raise

    call.__dict__["speaks"] = True
    return call  # pyright: ignore[reportReturnType]


_SILENT = (__name__, "schuss.modes", "schuss.recording")
_THIN = {"gelu", "l1_loss", "leaky_relu", "linear", "mse_loss", "relu", "sigmoid", "tanh"}
_THIN |= {"add_", "clone", "sub_"}


def publish(holder: dict[str, Any], home: str, names: Any) -> None:
    """Has the functions of a namespace that are written in Python speak; `home` is its name.

    Not the thinnest of them, for which a call more would count.
    """
    shared: dict[Any, Any] = {}
    thin = [holder[name] for name in _THIN if name in holder]
    for name in names:
        function = holder.get(name)
        if not isinstance(function, FunctionType) or "speaks" in vars(function) or function in thin:
            continue
        if function.__module__.startswith("schuss.") and function.__module__ not in _SILENT:
            if function not in shared:
                own = function.__name__
                shared[function] = made = speaks(function, own if own in names else name)
                # Functions are pickled by where they are found.
                made.__module__, made.__name__ = home, own if own in names else name
            # What had two names is still one function.
            holder[name] = shared[function]


def _retold(error: Exception, name: str, function: Any, args: tuple, kwargs: dict) -> Any:
    """An error in the name of the function that was called: mended, or another one in its place."""
    if isinstance(error, Warning) or not error.args or not isinstance(error.args[0], str):
        return None
    text = error.args[0]
    inner, colon, rest = text.partition(": ")
    misused = isinstance(error, AttributeError) and not isinstance(error.obj, (Tensor, type(sys)))
    if misused and not text.startswith("module "):
        return _not_a_tensor(error, name, function, args, kwargs)
    if isinstance(error, TypeError) and text.startswith(f"{function.__name__}() "):
        wrong = _misfit(text, name, function)
        if wrong is not None:
            return wrong
    form, bracket, after = text.partition("()")
    if colon and inner.isidentifier() and _is_operation(inner):
        error.args = (f"{name}: {rest}",)
    elif bracket and (form == function.__name__ or (form.isidentifier() and _is_operation(form))):
        error.args = (f"{name}(){after}",)
    elif type(error) in _PLAIN_ERRORS and not _speaks_of(text):
        error.args = (f"{name}: {text}",)
    return None


_NONE = type(None)


def _misfit(text: str, name: str, function: Any) -> TypeError | None:
    """The refusal of arguments that do not fit a function's form, with the form; Python says only
    what is wrong with them."""
    import re

    known = "got an unexpected keyword argument '"
    if known not in text and not re.search(r"\(\) (missing \d|takes )", text):
        return None
    shown = function_form(name, function)
    if known in text:
        return unknown(name, text.partition(known)[2].partition("'")[0], shown)
    return TypeError(f"{name}(){text.partition('()')[2]}; its form is {shown}")


def function_form(name: str, function: Any) -> str:
    """How a function is called: `cross_entropy(input, target, weight=None, ...)`."""
    import inspect

    shown = list(inspect.signature(function).parameters.values())
    bare = [
        p.replace(annotation=p.empty, default=_Shown.of(p.default))
        for p in shown
        if not p.name.startswith("_")
    ]
    return name + str(inspect.Signature(bare))


_PLAIN_ERRORS = (TypeError, ValueError, IndexError, RuntimeError)
# What a function asks of an argument, Python's words for it among them.
_QUESTIONS = {"bool", "complex", "dtype", "device", "float", "int", "item", "len", "requires_grad"}


def _is_operation(name: str) -> bool:
    """Whether a word in front of a message is one that stands for what was called."""
    stem = name.rstrip("_")
    if stem in _QUESTIONS:
        return False
    forms = (stem, f"{stem}_", f"_{stem}")
    known = any(hasattr(holder, n) for holder in (Tensor, _core) for n in forms)
    return known or name == "index" or name in _public_names().values()


def _speaks_of(text: str) -> bool:
    """Whether a message begins with a name: `view: ...`, `linalg.svd: ...`, `view() takes ...`."""
    head = text.partition(": ")[0] if ": " in text else text.partition("(")[0]
    plain = head != text and all(part.isidentifier() for part in head.split("."))
    return plain and head not in _QUESTIONS


def _not_a_tensor(error: Any, name: str, function: Any, args: tuple, kwargs: dict) -> Exception:
    """The refusal of what was used as a tensor and is none."""
    given = {**dict(zip(function.__code__.co_varnames, args, strict=False)), **kwargs}
    which = [key for key, value in given.items() if value is error.obj]
    what = f"{which[0]} must be a Tensor" if which else "expected a Tensor"
    found = type(error.obj).__name__
    return TypeError(f"{name}: {what}, got {found}; use schuss.tensor(...) first")
