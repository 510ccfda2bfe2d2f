"""`compile`: what a step reaches besides its arguments, and how it is told that this has changed.

Leans on schuss alone; every result is compared with what the function itself would give."""

from __future__ import annotations

import warnings

import pytest
import schuss


def test_a_method_may_be_compiled():
    class Scaled(schuss.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = schuss.nn.Parameter(schuss.tensor([2.0, 3.0]))

        @schuss.compile
        def forward(self, x):
            return self.weight * x

    models = [Scaled(), Scaled()]
    with schuss.no_grad():
        models[1].weight.mul_(10)
    for _ in range(4):
        assert models[0](schuss.ones(2)).tolist() == [2.0, 3.0]
        assert models[1](schuss.ones(2)).tolist() == [20.0, 30.0]


def test_one_tensor_in_two_places_is_part_of_the_form():
    c = schuss.ones(3)
    d = c * 10
    add = schuss.compile(lambda a, b: a + b)
    for _ in range(3):
        assert add(c, c).tolist() == [2.0] * 3
    for _ in range(3):
        assert add(c, d).tolist() == [11.0] * 3
        assert add(d, c).tolist() == [11.0] * 3
        assert add(d, d).tolist() == [20.0] * 3
    layer = schuss.nn.MultiheadAttention(4, 2, batch_first=True)
    compiled = schuss.compile(layer)
    q, k = schuss.randn(2, 3, 4), schuss.randn(2, 5, 4)
    with schuss.no_grad():
        for _ in range(3):
            assert compiled(q, q, q)[0].tolist() == layer(q, q, q)[0].tolist()
        for _ in range(3):
            assert compiled(q, k, k)[0].tolist() == layer(q, k, k)[0].tolist()


def test_an_argument_that_is_also_reached_by_name():
    given = schuss.ones(3) * 100
    step = schuss.compile(lambda a: a + given)
    for _ in range(3):
        assert step(given).tolist() == [200.0] * 3
    for _ in range(3):
        assert step(schuss.ones(3)).tolist() == [101.0] * 3


class Plain:
    """An object of no class that the library knows."""

    def __init__(self):
        self.scale, self.shift, self.options = 2.0, schuss.zeros(3), {"power": 1}
        self.inner = None

    def __call__(self, x):
        return self.work(x)

    def work(self, x):
        return self.scale * x ** self.options["power"] + self.shift

    def deep(self, x):
        return self.inner.work(x) + self.inner.shift


def bound(plain):
    return plain.work


def called(plain):
    return plain


def closed(plain):
    return lambda x: plain.scale * x ** plain.options["power"] + plain.shift


def through(plain):
    own = Plain()
    own.inner = plain

    def step(x):
        return own.inner.work(x)

    return step


@pytest.mark.parametrize("make", [bound, called, closed, through])
def test_attributes_of_plain_objects_are_watched(make):
    plain = Plain()
    step = schuss.compile(make(plain))
    x = schuss.tensor([1.0, 2.0, 3.0])

    def agree():
        for _ in range(4):
            assert schuss.equal(step(x), plain.scale * x ** plain.options["power"] + plain.shift)

    agree()
    assert step.counts()[0] > 0
    plain.scale = 3.0
    agree()
    plain.options["power"] = 2
    agree()
    plain.options = {"power": 3}
    agree()
    plain.shift = schuss.ones(3)
    agree()
    with schuss.no_grad():
        plain.shift += 1
    agree()


RATE = 0.5


def halved(x):
    return RATE * x


def test_globals_of_functions_that_the_step_calls_are_watched(monkeypatch):
    step = schuss.compile(lambda x: halved(x) + 1)
    for _ in range(4):
        assert step(schuss.ones(2)).tolist() == [1.5, 1.5]
    monkeypatch.setattr("test_compile_reach.RATE", 2.0)
    for _ in range(4):
        assert step(schuss.ones(2)).tolist() == [3.0, 3.0]


@pytest.mark.parametrize("make", [bound, called, closed, through])
def test_an_argument_that_is_also_an_attribute(make):
    plain = Plain()
    step = schuss.compile(make(plain))
    for _ in range(4):
        assert step(plain.shift).tolist() == [0.0, 0.0, 0.0]
    for _ in range(4):
        assert step(schuss.ones(3)).tolist() == [2.0, 2.0, 2.0]
    # A view of it shares its elements, and is told from it no better.
    plain.shift = schuss.arange(3.0)
    again = schuss.compile(make(plain))
    for _ in range(4):
        assert again(plain.shift[1:2]).tolist() == [2.0, 3.0, 4.0]
    for _ in range(4):
        assert again(schuss.ones(1)).tolist() == [2.0, 3.0, 4.0]


def test_an_argument_that_is_also_a_buffer_or_in_a_list():
    layer = schuss.nn.BatchNorm1d(3).eval()
    step = schuss.compile(lambda x: layer(x[None]) + x)
    for _ in range(3):
        assert schuss.equal(step(layer.running_var), layer(layer.running_var[None]) + 1)
    for _ in range(3):
        assert schuss.equal(step(schuss.zeros(3)), layer(schuss.zeros(1, 3)))
    held = {"list": [schuss.ones(2)]}
    step = schuss.compile(lambda x: x + held["list"][0])
    for _ in range(3):
        assert step(held["list"][0]).tolist() == [2.0, 2.0]
    for _ in range(3):
        assert step(schuss.zeros(2)).tolist() == [1.0, 1.0]


def test_a_step_that_counts_is_recorded_anew_and_says_so():
    class Counting:
        def __init__(self):
            self.count = 0

        def step(self, x):
            self.count += 1
            return x * self.count

    own = Counting()
    step = schuss.compile(own.step)
    with pytest.warns(UserWarning, match=r"8 times in a row because `count` had changed"):
        for i in range(20):
            assert step(schuss.ones(1)).item() == i + 1
    assert own.count == 20


def test_steps_that_stay_the_same_are_not_warned_of():
    plain = Plain()
    step = schuss.compile(plain.work)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(1, 20):
            for _ in range(4):
                step(schuss.ones(n, 3))


def descend(x, y, w, rate, damping=0.5):
    loss = ((x @ w - y) ** 2).mean()
    loss.backward()
    with schuss.no_grad():
        w -= rate * (1 - damping) * w.grad + (rate / 4) * damping
        w.grad = None
    return loss * rate


@pytest.mark.parametrize("dtype", [schuss.float32, schuss.float64, schuss.bfloat16])
def test_a_float_argument_is_told_anew_to_one_program(dtype):
    x = schuss.randn(8, 2, dtype=dtype)
    y = schuss.randn(8, dtype=dtype)
    ours, theirs = (schuss.ones(2, dtype=dtype, requires_grad=True) for _ in range(2))
    step = schuss.compile(descend)
    for k in range(20):
        rate, damping = 0.1 / (k + 1), 1 / (k + 3)
        assert schuss.equal(
            step(x, y, ours, rate, damping=damping), descend(x, y, theirs, rate, damping)
        )
        assert schuss.equal(ours, theirs)
    # Beside a 0-d tensor of narrow floats a number counts by its value.
    assert step.counts() == ((18, 1, 1) if dtype != schuss.bfloat16 else (0, 1, 19))


def test_a_float_that_the_step_asks_for_counts_by_its_value():
    step = schuss.compile(lambda x, a, b: x * a if a > 0.5 else x * b)
    x = schuss.ones(2)
    for _ in range(3):
        for a in (0.25, 0.75):
            for b in (2.0, 3.0, 4.0):
                assert step(x, a, b).tolist() == [a if a > 0.5 else b] * 2
    assert step.counts()[0] >= 8
    power = schuss.compile(lambda x, p: x**p + schuss.full((2,), p))
    for p in (2.0, 3.0, 2.0, 0.5, 2.0, 3.0):
        assert schuss.allclose(power(x * 3, p), (x * 3) ** p + p)


def test_what_a_given_float_is_in_python():
    seen = []

    def step(x, a):
        seen.append(
            (isinstance(a, float), f"{a:.2f}", int(a * 4), max(a, 0.0), round(a, 1), -a < 0)
        )
        return x + a, a, a * 2

    compiled = schuss.compile(step)
    for _ in range(3):
        total, own, double = compiled(schuss.zeros(1), 1.25)
        assert (total.item(), own, double) == (1.25, 1.25, 2.5)
        assert type(own) is type(double) is float
    assert seen == [(True, "1.25", 5, 1.25, 1.2, True)] * 2


def test_a_given_float_behind_a_compiled_model():
    scaled = schuss.compile(lambda x, a: (x * a).tanh())
    for a in (0.5, 1.5, 2.5, 3.5):
        x = schuss.ones(3, requires_grad=True)
        twin = schuss.ones(3, requires_grad=True)
        scaled(x, a).sum().backward()
        (twin * a).tanh().sum().backward()
        assert schuss.equal(x.grad, twin.grad)
    assert scaled.counts()[0] >= 2


def test_integers_beside_a_given_float():
    scaled = schuss.compile(lambda x, a: x * a)
    for a in (0.5, 1.5, 2.5, 3.5):
        found = scaled(schuss.arange(3), a)
        assert found.dtype == schuss.float32
        assert found.tolist() == [0.0, a, 2 * a]


class Shared:
    rate = 2.0

    def __init__(self):
        self.k = 3.0

    @property
    def both(self):
        return self.k * self.rate

    def first(self, x):
        return x * self.rate

    def __mul__(self, x):
        return x * self.k


class Derived(Shared):
    @schuss.no_grad()
    def first(self, x):
        return super().first(x) * getattr(self, "k")  # noqa: B009 - it is what is tried


class Slotted:
    __slots__ = ("k",)

    def __init__(self):
        self.k = 3.0

    def step(self, x):
        return x * self.k


@pytest.mark.parametrize(
    ("make", "step"),
    [
        (Shared, lambda own: own.first),
        (Shared, lambda own: lambda x: x * own.both),
        (Shared, lambda own: lambda x: own * x),
        (Derived, lambda own: own.first),
        (Slotted, lambda own: own.step),
    ],
)
def test_members_of_classes_slots_and_properties_are_watched(make, step):
    own, x = make(), schuss.ones(2)
    plain = step(own)
    compiled = schuss.compile(plain)
    for name, value in (("k", 4.0), ("rate", 5.0), ("k", 6.0)):
        for _ in range(4):
            assert schuss.equal(compiled(x), plain(x))
        if name == "k" or make is not Slotted:
            setattr(own, name, value)
    assert compiled.counts()[0] > 0
    assert schuss.equal(compiled(x), plain(x))


def test_a_variable_around_the_step_may_have_no_value_yet():
    def step(x):
        return later(x) if x.shape[0] > 2 else x * 2

    compiled = schuss.compile(step)
    for _ in range(4):
        assert compiled(schuss.ones(2)).tolist() == [2.0, 2.0]

    def later(x):
        return x * 3

    for _ in range(4):
        assert compiled(schuss.ones(3)).tolist() == [3.0] * 3


def test_settings_in_a_module_are_watched(monkeypatch):
    import types

    settings = types.ModuleType("settings")
    settings.LIMIT = 2.0
    monkeypatch.setitem(globals(), "settings_of_the_test", settings)
    step = schuss.compile(lambda x: x * settings_of_the_test.LIMIT)  # noqa: F821
    for value in (2.0, 3.0):
        settings.LIMIT = value
        for _ in range(4):
            assert step(schuss.ones(1)).item() == value


def test_a_given_float_in_a_list_or_kept():
    import copy
    import pickle

    kept = []

    def step(x, rate):
        kept.append(rate)
        return schuss.tensor([rate, 1.0]), x * rate

    compiled = schuss.compile(step)
    for rate in (0.1, 0.1, 0.1, 0.3):
        found, scaled = compiled(schuss.ones(2), rate)
        assert found.dtype == schuss.float32
        assert found.tolist() == schuss.tensor([rate, 1.0]).tolist()
        assert schuss.equal(scaled, schuss.ones(2) * rate)
    assert all(type(x) is float for x in pickle.loads(pickle.dumps(kept)))
    assert all(type(x) is float for x in copy.deepcopy(kept))


RATES = [0.5, 0.25]
TABLE = {"rates": (1.0, [2.0, 3.0]), 3: 4.0}


def test_numbers_in_lists_and_dicts_are_watched():
    key = 3
    local = [1.0]
    local.append(local)

    @schuss.compile
    def step(x):
        return x * RATES[1] + TABLE["rates"][1][0] + TABLE[key] + local[0]

    x = schuss.tensor(8.0)
    for _ in range(3):
        assert step(x).item() == 9.0
    assert step.counts() == (1, 1, 1)
    RATES[1] = 0.5
    assert step(x).item() == 11.0
    TABLE["rates"][1][0] = 3.0
    assert step(x).item() == 12.0
    TABLE[key] = 0.0
    for _ in range(3):
        assert step(x).item() == 8.0
    assert step.counts() == (3, 4, 1)


def test_lists_that_the_step_writes_to_are_not_watched():
    losses, times = [], []

    def step(x):
        loss = (x * 2).sum()
        losses.append(loss)
        times.append(1.5)
        return loss

    step = schuss.compile(step)
    for _ in range(5):
        step(schuss.ones(3))
    assert step.counts() == (3, 1, 1)
