"""`compile` and bad input: what cannot be recorded is refused with a line and an advice, and what
is wrong in one call leaves the next ones as they were. Leans on schuss alone."""

from __future__ import annotations

import threading
import types

import numpy as np
import pytest
import schuss
from schuss.nn import functional as F


@pytest.mark.parametrize(
    "step",
    [
        lambda x: x * x.sum().item(),
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x[x > 0],
        lambda x: schuss.tensor(x.numpy() + 1),
        lambda x: x * float(x.sum()),
        lambda x: schuss.nonzero(x),
    ],
)
def test_what_reads_elements_is_refused_or_run_eagerly(step):
    x = schuss.tensor([1.0, -2.0, 4.0])
    compiled = schuss.compile(step)
    compiled(x)
    with pytest.raises(schuss.CompileError, match=r"compile: .*fallback=True"):
        compiled(x)
    loose = schuss.compile(step, fallback=True)
    with pytest.warns(UserWarning, match="run eagerly") as seen:
        for k in (1.0, 2.0, 3.0, 4.0):
            assert schuss.equal(loose(x * k), step(x * k))
    assert len(seen) == 1


def test_an_exception_inside_ends_the_recording():
    def step(x, fail):
        y = x * 2
        if fail:
            raise KeyError("inside")
        return y

    compiled = schuss.compile(step)
    for _ in range(3):
        with pytest.raises(KeyError):
            compiled(schuss.ones(2), True)
    assert not schuss._core._is_recording()
    for _ in range(3):
        assert compiled(schuss.ones(2), False).tolist() == [2.0, 2.0]


def test_targets_are_checked_each_time():
    step = schuss.compile(lambda x, y: F.cross_entropy(x, y))
    x = schuss.zeros(2, 3)
    for _ in range(3):
        step(x, schuss.tensor([0, 2]))
    with pytest.raises(IndexError, match="target 5"):
        step(x, schuss.tensor([0, 5]))
    assert step(x, schuss.tensor([0, 1])).item() == pytest.approx(np.log(3))


def test_threads_and_recursion():
    step = schuss.compile(lambda x: (x * 2 + 1).tanh().sum())
    expected = (schuss.ones(1000) * 2 + 1).tanh().sum()
    wrong = []

    def work():
        for _ in range(200):
            if not schuss.equal(step(schuss.ones(1000)), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong

    @schuss.compile
    def down(x, n):
        return x if n == 0 else down(x * 2, n - 1)

    for _ in range(3):
        assert down(schuss.ones(1), 5).item() == 32.0


def test_an_optimiser_with_python_numbers_is_refused():
    class Halving(schuss.optim.Optimizer):
        def step(self, closure=None):
            with schuss.no_grad():
                for p in self.param_groups[0]["params"]:
                    p.mul_(self.param_groups[0]["factor"])

    w = schuss.ones(2, requires_grad=True)
    optimizer = Halving([w], {"factor": 0.5})
    step = schuss.compile(optimizer.step)
    step()
    with pytest.raises(schuss.CompileError, match="Halving"):
        step()


def test_what_is_no_function():
    with pytest.raises(TypeError, match="compile: needs a function"):
        schuss.compile(3)
    double = lambda x: x * 2  # noqa: E731
    assert schuss.compile(double, disable=True) is double
    assert schuss.compile(fallback=True)(double)(schuss.ones(1)).item() == 2.0


def test_results_that_may_change_are_refused():
    for make in (
        lambda x: {x.sum()},
        lambda x: (y for y in [x * 2]),
        lambda x: [np.ones(1), x],
    ):
        step = schuss.compile(make)
        step(schuss.ones(2))
        with pytest.raises(schuss.CompileError, match="returns an object"):
            step(schuss.ones(2))


def test_an_argument_with_parts_is_refused():
    box = types.SimpleNamespace(x=schuss.ones(2))
    step = schuss.compile(lambda b: b.x * 2)
    step(box)
    with pytest.raises(schuss.CompileError, match="an argument is an object"):
        step(box)
