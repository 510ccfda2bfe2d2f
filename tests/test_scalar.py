"""The scalar graph: Python's numbers, the tutorial's class as an oracle, long chains, copies.
Leans on schuss alone; the plain class below is the reference for values and gradients."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import threading
import weakref
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import schuss
from schuss import Edge, Scalar


class Plain:
    """The same graph in plain Python, with recursion and without care: the oracle."""

    def __init__(self, value, prevs=()):
        self.value, self.prevs, self.backwards_grad = value, list(prevs), 0

    @staticmethod
    def of(x):
        return x if isinstance(x, Plain) else Plain(x)

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                node.backwards_grad = 0
                for prev, _ in node.prevs:
                    visit(prev)
                order.append(node)

        visit(self)
        self.backwards_grad = 1
        for node in reversed(order):
            for prev, slope in node.prevs:
                prev.backwards_grad += slope * node.backwards_grad

    def __add__(self, other):
        other = Plain.of(other)
        return Plain(self.value + other.value, [(self, 1), (other, 1)])

    def __radd__(self, other):
        return Plain.of(other) + self

    def __sub__(self, other):
        other = Plain.of(other)
        return Plain(self.value - other.value, [(self, 1), (other, -1)])

    def __rsub__(self, other):
        return Plain.of(other) - self

    def __mul__(self, other):
        other = Plain.of(other)
        return Plain(self.value * other.value, [(self, other.value), (other, self.value)])

    def __rmul__(self, other):
        return Plain.of(other) * self

    def __neg__(self):
        return Plain(-self.value, [(self, -1)])

    def __truediv__(self, other):
        other = Plain.of(other)
        a, b = self.value, other.value
        return Plain(a / b, [(self, 1 / b), (other, -a / b**2)])

    def __rtruediv__(self, other):
        return Plain.of(other) / self

    def __pow__(self, other):
        other = Plain.of(other)
        a, b = self.value, other.value
        slopes = b * a ** (b - 1), math.log(abs(a)) * a**b
        return Plain(a**b, [(self, slopes[0]), (other, slopes[1])])

    def __rpow__(self, other):
        return Plain.of(other) ** self


FORMULAS = {
    "add": lambda a, b: a + b,
    "add number": lambda a, b: a + 2 + (3.5 + b),
    "sub": lambda a, b: a - b,
    "sub number": lambda a, b: (a - 2) * (3.5 - b),
    "mul": lambda a, b: a * b,
    "mul number": lambda a, b: a * 2 + 0.1 * b,
    "div": lambda a, b: a / b,
    "div number": lambda a, b: a / 3 + 7 / b,
    "neg": lambda a, b: -a * -b,
    "pow": lambda a, b: a**b,
    "pow number": lambda a, b: a**2 + 2**b + b**-1 + a**0.5,
    "shared": lambda a, b: (a * b) * (a * b) + a * (b + a),
    "sum": lambda a, b: sum([a, b, a * b, 1]),
    "deep": lambda a, b: ((a * b + a) ** 2 / (a + b) - b) * a,
}


@pytest.mark.parametrize("values", [(3, 4), (3.0, 4.0), (3, 0.7), (1.3, 2), (2, 5)], ids=str)
@pytest.mark.parametrize("name", FORMULAS)
def test_the_same_bits_and_types_as_plain_python(name, values):
    ours, plain = [Scalar(v) for v in values], [Plain(v) for v in values]
    y, z = FORMULAS[name](*ours), FORMULAS[name](*plain)
    assert (y.value, type(y.value)) == (z.value, type(z.value))
    for _ in range(2):
        y.backward()
        z.backward()
        got = [s.backwards_grad for s in (*ours, y)]
        want = [s.backwards_grad for s in (*plain, z)]
        assert got == want
        assert [type(g) for g in got] == [type(g) for g in want]


def test_a_product_lists_where_it_came_from():
    a, b = Scalar(3), Scalar(4)
    c = a * b
    assert repr(c) == "Scalar(12)"
    left, right = "Edge(prev=Scalar(3), local_grad=4)", "Edge(prev=Scalar(4), local_grad=3)"
    assert repr(c.prevs) == f"[{left}, {right}]"
    assert c.prevs == [Edge(a, 4), Edge(b, 3)]
    assert c.prevs[0].prev is a
    prev, local_grad = c.prevs[1]
    assert prev is b and local_grad == 3
    assert isinstance(c.prevs[0], tuple)
    assert a.prevs == []
    assert type(c.value) is int


def test_gradients_are_kept_on_every_node():
    a = Scalar(2.0)
    b = a * 3
    c = b * b
    c.backward()
    assert (c.backwards_grad, b.backwards_grad, a.backwards_grad) == (1, 12.0, 36.0)
    assert b.prevs[1].prev.backwards_grad == 24.0
    a.backwards_grad = 5
    assert a.backwards_grad == 5
    c.backward()
    assert a.backwards_grad == 36.0


def test_edges_may_be_given():
    a, b, c = Scalar(1.0), Scalar(2), Scalar(3)
    y = Scalar(10, [Edge(a, 0.5), (b, 2), Edge(prev=c, local_grad=-1), (a, 1)])
    y.backward()
    assert (a.backwards_grad, b.backwards_grad, c.backwards_grad) == (1.5, 2, -1)
    assert y.prevs == [Edge(a, 0.5), Edge(b, 2), Edge(c, -1), Edge(a, 1)]
    assert Scalar(1, []).prevs == [] == Scalar(1, None).prevs


@pytest.mark.parametrize(
    ("name", "x", "value", "slope"),
    [
        ("exp", 1.5, math.exp(1.5), math.exp(1.5)),
        ("log", 1.5, math.log(1.5), 1 / 1.5),
        ("tanh", 0.5, math.tanh(0.5), 1 - math.tanh(0.5) ** 2),
        ("sigmoid", 0.5, 0.6224593312018546, 0.2350037122015945),
        ("sigmoid", -1000.0, 0.0, 0.0),
        ("sigmoid", 1000.0, 1.0, 0.0),
        ("relu", 2, 2, 1),
        ("relu", -2, 0, 0),
        ("relu", 0, 0, 0),
        ("relu", 0.5, 0.5, 1),
    ],
)
def test_functions(name, x, value, slope):
    s = Scalar(x)
    y = getattr(s, name)()
    y.backward()
    assert y.value == pytest.approx(value, rel=1e-15)
    assert s.backwards_grad == pytest.approx(slope, rel=1e-15)
    assert len(y.prevs) == 1


def test_the_exponent_of_zero_and_of_negative_bases():
    def slopes(base, exponent):
        b, e = Scalar(base), Scalar(exponent)
        (b**e).backward()
        return b.backwards_grad, e.backwards_grad

    assert slopes(0, 2) == (0, 0.0)
    assert slopes(0.0, 1) == (1.0, 0.0)
    assert slopes(0.0, 0.5) == (math.inf, 0.0)
    assert slopes(0.0, 0) == (0.0, 0.0)
    assert slopes(-2.0, 3) == (12.0, math.log(2.0) * -8.0)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: Scalar(1) / 0, ZeroDivisionError, "div: 1 / 0"),
        (lambda: 1.0 / Scalar(0.0), ZeroDivisionError, "keep the divisor away"),
        (lambda: Scalar(0) ** -1, ZeroDivisionError, "pow: 0"),
        (lambda: 0.0 ** Scalar(-0.5), ZeroDivisionError, "pow"),
        (lambda: Scalar(-2.0) ** 0.5, ValueError, "positive base"),
        (lambda: Scalar(0.0).log(), ValueError, "log: 0.0 is not positive; keep"),
        (lambda: Scalar(-1).log(), ValueError, "log"),
        (lambda: Scalar("3"), TypeError, "got str"),
        (lambda: Scalar(None), TypeError, "got NoneType"),
        (lambda: Scalar(1 + 2j), TypeError, "got complex"),
        (lambda: Scalar(Scalar(1)), TypeError, "got Scalar"),
        (lambda: Scalar([1]), TypeError, "got list"),
        (lambda: Scalar(1, prevs=3), TypeError, "iterable"),
        (lambda: Scalar(1, prevs=[3]), TypeError, "Edge"),
        (lambda: Scalar(1, prevs=[Edge(1, 2)]), TypeError, "Edge"),
        (lambda: Scalar(1, prevs=[Edge(Scalar(1), "2")]), TypeError, "local_grad"),
        (lambda: Scalar(1, lable="x"), TypeError, "lable"),
        (lambda: Scalar(10**400), OverflowError, "too large"),
        (lambda: Scalar(1) + "1", TypeError, "unsupported operand"),
        (lambda: [1] * Scalar(1), TypeError, "sequence"),
        (lambda: pow(Scalar(2), 3, 5), TypeError, "pow"),
        (lambda: setattr(Scalar(1), "value", "x"), TypeError, "value"),
        (lambda: setattr(Scalar(1), "backwards_grad", None), TypeError, "backwards_grad"),
        (lambda: setattr(Scalar(1), "prevs", []), AttributeError, "prevs"),
        (lambda: Scalar(1).gradient_update("fast"), TypeError, "lr"),
    ],
)
def test_bad_input_is_named(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_ints_stay_ints_while_they_fit_and_floats_overflow_to_inf():
    assert (Scalar(2) ** 62).value == 2**62
    assert (Scalar(2) ** 70).value == 2.0**70
    assert (Scalar(2**62) * 2).value == 2.0**63
    assert Scalar(2**70).value == 2.0**70
    assert (Scalar(2) ** -1).value == 0.5
    assert (-Scalar(-(2**63))).value == 2.0**63
    assert (Scalar(1e200) * 1e200).value == math.inf
    assert (Scalar(10.0) ** 400).value == math.inf
    assert Scalar(1000).exp().value == math.inf
    x = Scalar(1e-200)
    (1 / x).backward()
    assert x.backwards_grad == -math.inf


def test_numbers_of_other_kinds():
    assert Scalar(np.float64(2.5)).value == 2.5
    assert Scalar(np.float32(0.5)).value == 0.5
    assert Scalar(np.int64(3)).value == 3
    assert Scalar(True).value == 1
    assert (Scalar(1) + Fraction(1, 2)).value == 1.5
    assert (np.float64(2.0) * Scalar(3)).value == 6.0
    assert (Scalar(3) * np.int64(2)).value == 6
    a = Scalar(2.0)
    row = np.array([1.0, 2.0]) * a
    assert [float(s) for s in row] == [2.0, 4.0]
    assert float(Scalar(3)) == 3.0
    assert f"{Scalar(0.123456):.3f} {Scalar(3)}" == "0.123 Scalar(3)"


def test_identity_attributes_and_weak_references():
    a, b = Scalar(1), Scalar(1)
    assert a != b and a == a and len({a, b, a}) == 2
    a.label = "weight"
    assert (a + b).prevs[0].prev.label == "weight"
    ref = weakref.ref(b)
    c = a + b
    del b
    assert ref() is None
    first = c.prevs[1].prev
    assert c.prevs[1].prev is first
    a.me = a
    ref = weakref.ref(a)
    del a, c, first
    gc.collect()
    assert ref() is None


def test_a_weak_reference_callback_may_read_the_dying_nodes_graph():
    seen = []
    a = Scalar(7)
    c = a * 2
    ref = weakref.ref(a, lambda _: seen.append(c.prevs[0].prev))
    del a
    assert seen[0].value == 7 and ref() is None
    assert c.prevs[0].prev.value == 7


def test_a_value_may_be_changed_and_a_fresh_forward_sees_it():
    a = Scalar(3)
    y = a * a
    y.backward()
    a.gradient_update(0.25)
    assert a.value == 1.5
    assert y.value == 9
    assert (a * a).value == 2.25
    a.value = 4
    assert (a * a).value == 16
    b = Scalar(5)
    (b * 2).backward()
    b.gradient_update(1)
    assert (b.value, type(b.value)) == (3, int)


def test_copies_are_leaves():
    a = Scalar(3)
    c = a * 2
    c.backward()
    c.label = ["c"]
    makers = (copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s)))
    for make in makers:
        d = make(c)
        assert d is not c
        assert (d.value, d.backwards_grad, d.prevs, d.label) == (6, 1, [], ["c"])
        d.value = 0
    assert c.value == 6
    both = copy.deepcopy({"x": a, "y": a})
    assert both["x"] is both["y"] is not a


class Named(Scalar):
    def __init__(self, value, prevs=None, name="?"):
        super().__init__(value, prevs)
        self.name = name

    def double(self):
        return self + self


def test_a_subclass_keeps_its_class():
    a = Named(2, name="a")
    assert a.name == "a"
    y = (a * 3).double()
    assert type(y) is Named and y.value == 12
    assert y.prevs[0].prev.prevs[0].prev is a
    y.backward()
    assert a.backwards_grad == 6
    twin = pickle.loads(pickle.dumps(a))
    assert type(twin) is Named and (twin.value, twin.name, twin.backwards_grad) == (2, "a", 6)


def chain(length):
    x = Scalar(1)
    y = x
    for _ in range(length):
        y = y + x
    y.backward()
    assert x.backwards_grad == length + 1
    del y


def test_a_million_nodes_fit_a_small_stack():
    failures = []

    def work():
        try:
            chain(1_000_000)
        except BaseException as error:
            failures.append(error)

    old = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
    finally:
        threading.stack_size(old)
    thread.join()
    assert not failures


def test_wide_sums_and_doubling_graphs():
    xs = [Scalar(i) for i in range(10_000)]
    sum(xs).backward()
    assert all(x.backwards_grad == 1 for x in xs)
    x = y = Scalar(1)
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.backwards_grad == 2**60


def test_threads_share_a_parameter():
    w = Scalar(2.0)
    results = []

    def work(k):
        for _ in range(200):
            results.append((w * k).value)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(results)) == [0.0, 2.0, 4.0, 6.0]


def test_descent_by_hand_reaches_the_minimum():
    a, b = Scalar(1), Scalar(1)
    xs = [k / 10 for k in range(10)]
    ys = [0.8 * x - 1.2 for x in xs]
    losses = []
    for _ in range(400):
        loss = sum([(a * x + b - y) ** 2 for x, y in zip(xs, ys, strict=True)]) / len(xs)
        loss.backward()
        for p in (a, b):
            p.gradient_update(0.5)
        losses.append(loss.value)
    assert all(later <= earlier for earlier, later in pairwise(losses[:50]))
    assert a.value == pytest.approx(0.8, abs=1e-6)
    assert b.value == pytest.approx(-1.2, abs=1e-6)


def test_public_names():
    assert schuss.Scalar.__module__ == schuss.Edge.__module__ == "schuss"
    assert Edge._fields == ("prev", "local_grad")
