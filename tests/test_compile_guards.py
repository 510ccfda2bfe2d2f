"""A compiled step has the numbers of the step itself whatever changes between calls.
Leans on the same function run eagerly."""

from __future__ import annotations

import collections
import enum
import functools
import types
from typing import Any
from unittest import mock

import pytest
import schuss
from schuss import nn, optim

ONE = schuss.ones(1)


def settled(function: Any, *args: Any) -> Any:
    """Called until it is a program, and once more."""
    for _ in range(3):
        function(*args)
    return function(*args)


# ---- models -------------------------------------------------------------------------------------


class Odd(nn.Module):
    """A model with attributes of many kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.cfg = {"k": 2.0}
        self.act = schuss.relu
        self.factors = [1.0]
        self.shift = (1,)
        self.more = Settings()

    def forward(self, x: schuss.Tensor) -> schuss.Tensor:
        return self.act(x) * self.cfg["k"] * self.factors[0] * self.shift[0] * self.more.k


class Settings:
    """Numbers under names, some of the class alone."""

    shared = 3.0

    def __init__(self) -> None:
        self.k = 1.0


EDITS = {
    "entry": lambda m: m.cfg.__setitem__("k", 5.0),
    "dictionary": lambda m: setattr(m, "cfg", {"k": 5.0}),
    "item": lambda m: m.factors.__setitem__(0, 5.0),
    "list": lambda m: setattr(m, "factors", [5.0]),
    "tuple": lambda m: setattr(m, "shift", (5,)),
    "function": lambda m: setattr(m, "act", schuss.neg),
    "object": lambda m: setattr(m.more, "k", 5.0),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("how", ["itself", "argument", "default", "partial", "listed", "bound"])
def test_attributes_of_models(edit: str, how: str) -> None:
    m = Odd()

    def given(x: schuss.Tensor, m: Odd = m) -> schuss.Tensor:
        return m(x)

    models = [m]
    runs = {
        "itself": schuss.compile(m),
        "argument": functools.partial(schuss.compile(lambda m, x: m(x)), m),
        "default": schuss.compile(given),
        "partial": schuss.compile(functools.partial(lambda m, x: m(x), m)),
        "listed": schuss.compile(lambda x: models[0](x)),
        "bound": schuss.compile(m.forward),
    }
    run = runs[how]
    assert settled(run, ONE).item() == 2.0
    EDITS[edit](m)
    assert run(ONE).item() == m(ONE).item() != 2.0


def test_settings_of_layers() -> None:
    x = schuss.ones(1, 1, 6)
    c = nn.Conv1d(1, 1, 1)
    f = schuss.compile(c)
    settled(f, x)
    c.stride = (2,)
    assert f(x).shape == c(x).shape == (1, 1, 3)


def test_what_a_model_sets_in_its_calls_is_forgiven() -> None:
    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last: Any = None

        def forward(self, x: schuss.Tensor) -> schuss.Tensor:
            self.last = x * 2
            return self.last + 1

    f = schuss.compile(Remembers())
    settled(f, ONE)
    settled(f, ONE)
    again, recorded, _ = f.counts()
    assert again >= 4
    assert recorded <= 2


@pytest.mark.parametrize("how", ["default", "partial", "listed", "entry", "keyword"])
def test_modes_of_models_wherever_they_are(how: str) -> None:
    m = nn.Dropout(0.5)
    x, ms, named = schuss.ones(64), [m], {"m": m}

    def default(x: schuss.Tensor, m: nn.Module = m) -> schuss.Tensor:
        return m(x)

    def keyword(x: schuss.Tensor, *, m: nn.Module = m) -> schuss.Tensor:
        return m(x)

    f = schuss.compile(
        {
            "default": default,
            "keyword": keyword,
            "partial": functools.partial(lambda m, x: m(x), m),
            "listed": lambda x: ms[0](x),
            "entry": lambda x: named["m"](x),
        }[how]
    )
    assert 0.0 in settled(f, x).tolist()
    m.eval()
    assert f(x).tolist() == x.tolist()


def test_buffers_and_parameters_put_in_place() -> None:
    m = nn.BatchNorm1d(2)
    f = schuss.compile(m)
    x = schuss.randn(4, 2) + 5
    settled(f, x)
    m.double()
    m.float()
    before = m.running_mean.clone()
    f(x)
    assert (before != m.running_mean).all()
    line = nn.Linear(2, 2)
    g = schuss.compile(line)
    settled(g, x)
    line._parameters["weight"] = nn.Parameter(schuss.zeros(2, 2))
    line._parameters["bias"] = nn.Parameter(schuss.zeros(2))
    assert g(x).sum().item() == 0.0


def test_swapped_hooks() -> None:
    w = schuss.ones(1, requires_grad=True)
    m = nn.Linear(1, 1, bias=False)

    @schuss.compile
    def step() -> None:
        w.grad = None
        w.sum().backward()

    @schuss.compile
    def through() -> None:
        m.zero_grad()
        m(schuss.ones(1, 1, requires_grad=True)).sum().backward()

    settled(step)
    for factor in (2, 3):
        handle = w.register_hook(lambda g, factor=factor: g * factor)
        settled(step)
        assert w.grad.item() == factor
        handle.remove()
        step()
        assert w.grad.item() == 1
    for factor in (3, 5):
        handle = m.register_full_backward_pre_hook(lambda _, g, factor=factor: (g[0] * factor,))
        settled(through)
        assert m.weight.grad.item() == factor
        handle.remove()


# ---- functions, classes and other values --------------------------------------------------------

scale = 2.0
table = {"k": 2.0}
words = {"double"}
settings = Settings()


def scaled(x: schuss.Tensor) -> schuss.Tensor:
    return x * scale


def by_table(x: schuss.Tensor, *, table: dict = table) -> schuss.Tensor:
    return x * table["k"]


def times(factor: float, x: schuss.Tensor) -> schuss.Tensor:
    return x * scale * factor


class Bound:
    """An object whose method is compiled."""

    def __init__(self) -> None:
        self.k = 2.0
        self.w = schuss.ones(3)

    def m(self, x: schuss.Tensor) -> schuss.Tensor:
        return x * self.k

    @schuss.compile
    def step(self, x: schuss.Tensor) -> schuss.Tensor:
        return self.w * x * self.k


part, bound, functions = functools.partial(times, 1.0), Bound(), [scaled]


def around(function: Any) -> Any:
    k = 1.0

    @functools.wraps(function)
    def inner(x: schuss.Tensor) -> schuss.Tensor:
        return function(x) * k

    def change() -> None:
        nonlocal k
        k = 2.5

    inner.change = change
    return inner


@around
def decorated(x: schuss.Tensor) -> schuss.Tensor:
    return x * 2.0


def change(**values: float) -> None:
    globals().update(values)


CHANGES: dict[str, tuple[Any, Any, Any]] = {
    "function given": (
        functools.partial(schuss.compile(lambda f, x: f(x)), scaled),
        lambda: change(scale=5.0),
        lambda: change(scale=2.0),
    ),
    "partial": (
        schuss.compile(lambda x: part(x)),
        lambda: change(scale=5.0),
        lambda: change(scale=2.0),
    ),
    "listed": (
        schuss.compile(lambda x: functions[0](x)),
        lambda: change(scale=5.0),
        lambda: change(scale=2.0),
    ),
    "method": (
        schuss.compile(lambda x: bound.m(x)),
        lambda: setattr(bound, "k", 5.0),
        lambda: setattr(bound, "k", 2.0),
    ),
    "method of a class": (
        lambda x: bound.step(x)[0],
        lambda: setattr(bound, "k", 5.0),
        lambda: setattr(bound, "k", 2.0),
    ),
    "decorator": (schuss.compile(decorated), decorated.change, lambda: None),
    "keyword": (
        schuss.compile(by_table),
        lambda: table.__setitem__("k", 5.0),
        lambda: table.__setitem__("k", 2.0),
    ),
    "object in a partial": (
        schuss.compile(functools.partial(lambda o, x: x * o.k, bound)),
        lambda: setattr(bound, "k", 5.0),
        lambda: setattr(bound, "k", 2.0),
    ),
    "class": (
        schuss.compile(lambda x: x * Settings.shared - x),
        lambda: setattr(Settings, "shared", 6.0),
        lambda: setattr(Settings, "shared", 3.0),
    ),
    "set": (
        schuss.compile(lambda x: x * 2 if "double" in words else x * 5),
        words.clear,
        lambda: words.add("double"),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_values_that_functions_lead_to(name: str) -> None:
    run, edit, undo = CHANGES[name]
    assert settled(run, ONE).item() == 2.0
    try:
        edit()
        assert run(ONE).item() == 5.0
        assert settled(run, ONE).item() == 5.0
    finally:
        undo()


def test_methods_as_decorators_replay() -> None:
    own = Bound()
    settled(own.step, schuss.ones(3))
    assert Bound.__dict__["step"].counts()[0] > 0
    own.w = schuss.ones(3) * 7
    assert own.step(schuss.ones(3)).tolist() == [14.0, 14.0, 14.0]


def test_class_methods_and_their_numbers() -> None:
    class Own:
        k = 2.0

        @classmethod
        def scaled(cls, x: schuss.Tensor) -> schuss.Tensor:
            return x * cls.k

    f = schuss.compile(Own.scaled)
    assert settled(f, ONE).item() == 2.0
    Own.k = 7.0
    assert f(ONE).item() == 7.0


def test_tuples_of_other_classes() -> None:
    a, b = collections.namedtuple("a", "x y"), collections.namedtuple("b", "y x")
    f = schuss.compile(lambda p: p.x * 2 + p.y)
    assert settled(f, a(ONE, ONE * 10)).item() == 12.0
    assert f(b(ONE, ONE * 10)).item() == 21.0
    with pytest.raises(AttributeError):
        f((ONE, ONE * 10))


def test_large_integers_are_no_texts() -> None:
    f = schuss.compile(lambda x, n: x * (1 if isinstance(n, str) else 2))
    assert settled(f, ONE, 2**70).item() == 2.0
    assert f(ONE, str(2**70)).item() == 1.0


@pytest.mark.parametrize(
    "make", [lambda: iter([1.0] * 9), lambda: bytearray(b"12"), lambda: {}.keys()]
)
def test_arguments_that_change_unnoticed_are_refused(make: Any) -> None:
    f, value = schuss.compile(lambda x, _: x * 2), make()
    f(ONE, value)
    with pytest.raises(
        schuss.CompileError, match=f"cannot be followed \\({type(value).__name__}\\)"
    ):
        f(ONE, value)


def test_arguments_that_the_step_reaches_otherwise() -> None:
    w = schuss.ones(1, requires_grad=True)
    w.grad = ONE * 5

    class Own:
        t = ONE * 5

    f, g = schuss.compile(lambda x: x * 100 + w.grad), schuss.compile(lambda x: x * 100 + Own.t)
    for step, own in ((f, w.grad), (g, Own.t)):
        step(own)
        step(own)
        assert step(ONE).item() == 105.0


# ---- what must not keep a step from being repeated ----------------------------------------------


class Kind(enum.Enum):
    A = "a"


def replays(step: Any, *args: Any, between: Any = None) -> None:
    """Runs a step six times; all but the first two must be programs."""
    for _ in range(6):
        step(*args)
        if between is not None:
            between()
    counts = getattr(step, "counts", None)
    assert counts is None or counts() == (4, 1, 1)


class Trainer:
    """The usual shape of a training program."""

    def __init__(self) -> None:
        self.m = nn.Linear(3, 3)
        self.opt = optim.SGD(self.m.parameters(), lr=0.1)
        self.global_step = 0
        self.metrics = {"best": 1.0}

    def train(self, x: schuss.Tensor) -> schuss.Tensor:
        self.opt.zero_grad()
        loss = self.m(x).sum()
        loss.backward()
        self.opt.step()
        return loss

    def count(self) -> None:
        self.global_step += 1
        self.metrics = {"best": float(self.global_step)}


def test_what_a_step_does_not_read_may_change() -> None:
    trainer = Trainer()
    replays(schuss.compile(trainer.train), schuss.ones(2, 3), between=trainer.count)
    replays(schuss.compile(lambda x: x * 2 if Kind.A.value == "a" else x), ONE)


def test_a_compiled_method_named_step() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.l = nn.Linear(3, 3)

        @schuss.compile
        def step(self, x: schuss.Tensor) -> schuss.Tensor:
            o.zero_grad()
            loss = self.l(x).sum()
            loss.backward()
            o.step()
            return loss

    net = Net()
    o = optim.SGD(net.parameters(), lr=0.1)
    replays(net.step, schuss.ones(2, 3))
    assert Net.__dict__["step"].counts() == (4, 1, 1)


def test_functions_in_a_dictionary() -> None:
    own = Bound()
    named = {"f": own.m}
    f = schuss.compile(lambda x: named["f"](x))
    assert settled(f, ONE).item() == 2.0
    own.k = 5.0
    assert f(ONE).item() == 5.0


def test_arguments_that_hold_themselves_are_refused() -> None:
    own: list = []
    own.append(own)
    with pytest.raises(RecursionError, match="hold themselves"):
        schuss.compile(lambda x, _: x)(ONE, own)
    f = schuss.compile(lambda x: (x, own))
    f(ONE)
    with pytest.raises(schuss.CompileError, match="holds itself"):
        f(ONE)


class Raising:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class Endless:
    def __getattr__(self, name: str) -> Any:
        return Endless()


def looped(x: schuss.Tensor) -> schuss.Tensor:
    return x


looped.__wrapped__ = looped  # type: ignore[attr-defined]
ODD = [
    Raising(),
    Endless(),
    mock.Mock(),
    mock.MagicMock(),
    mock.call,
    types.ModuleType("m"),
    looped,
]


@pytest.mark.parametrize("k", range(len(ODD)))
def test_odd_values_that_a_step_names(k: int) -> None:
    odd = ODD[k]

    def step(x: schuss.Tensor, other: Any = odd) -> schuss.Tensor:
        return x * 2 if odd is other else x

    replays(schuss.compile(step), ONE)
    m = nn.Linear(1, 1)
    m.odd = odd
    replays(schuss.compile(lambda x: m(x)), ONE)
