"""Long chains: a million operations built, differentiated and dropped, also on a small stack.

Leans on schuss and on threads of the standard library.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable

import pytest
import schuss
from schuss.autograd import Function, grad

LENGTH = 1_000_000
SMALL_STACK = 256 * 1024


def chain(x: schuss.Tensor, length: int) -> schuss.Tensor:
    for _ in range(length):
        x = x + 1.0
    return x


def on_a_small_stack(work: Callable) -> None:
    """Run work on a thread with 256 KiB of stack, and raise what it raises."""
    faults = []

    def guarded() -> None:
        try:
            work()
        except BaseException as fault:
            faults.append(fault)

    old = threading.stack_size(SMALL_STACK)
    try:
        thread = threading.Thread(target=guarded)
        thread.start()
    finally:
        threading.stack_size(old)
    thread.join()
    if faults:
        raise faults[0]


def build_differentiate_drop(length: int) -> None:
    x = schuss.zeros((), requires_grad=True)
    y = chain(x, length)
    y.backward()
    assert x.grad.item() == 1.0 and y.item() == float(min(length, 2**24))
    del y
    z = chain(x, length)
    del z


def test_a_million_operations() -> None:
    build_differentiate_drop(LENGTH)


def test_a_million_operations_on_a_small_stack() -> None:
    on_a_small_stack(lambda: build_differentiate_drop(LENGTH))


def test_a_chain_is_dropped_by_another_thread() -> None:
    held = [chain(schuss.zeros((), requires_grad=True), LENGTH // 2)]
    on_a_small_stack(held.clear)
    assert not held


def test_a_chain_is_dropped_by_the_collector() -> None:
    x = chain(schuss.zeros((), requires_grad=True), LENGTH // 4)
    cycle = [x]
    cycle.append(cycle)
    there = weakref.ref(x)
    del x, cycle
    gc.collect()
    assert there() is None


def test_a_chain_is_cut_in_the_middle() -> None:
    x = schuss.ones((), requires_grad=True)
    middle = chain(x, LENGTH // 10)
    end = chain(middle * 2, LENGTH // 10)
    del middle
    end.backward(retain_graph=True)
    assert x.grad.item() == 2.0
    node = end.grad_fn
    del end
    for _ in range(1000):
        node = node.next_functions[0][0]
    del node


@pytest.mark.parametrize("kind", ["view", "in place", "view written", "index", "many inputs"])
def test_chains_of_other_kinds(kind: str) -> None:
    def work() -> None:
        x = schuss.ones(2, requires_grad=True)
        y = x * 1
        if kind == "view":
            for _ in range(LENGTH // 10):
                y = y.view(1, 2).view(2)
        elif kind == "in place":
            for _ in range(LENGTH // 4):
                y += 1
        elif kind == "view written":
            for _ in range(LENGTH // 100):
                y[0] += 1
        elif kind == "index":
            for _ in range(LENGTH // 10):
                y = y[:]
        else:
            y = schuss.stack([y[0]] * (LENGTH // 100))
        y.sum().backward()
        assert x.grad is not None
        del y

    on_a_small_stack(work)


def test_deep_second_derivatives() -> None:
    def work() -> None:
        x = schuss.ones((), dtype=schuss.float64, requires_grad=True)
        y = x * x
        for _ in range(LENGTH // 20):
            y = y * 1.0
        (g,) = grad(y, x, create_graph=True)
        (h,) = grad(g, x)
        assert g.item() == 2.0 and h.item() == 2.0

    on_a_small_stack(work)


def test_deep_chains_of_functions_and_hooks() -> None:
    class Same(Function):
        @staticmethod
        def forward(ctx: object, x: schuss.Tensor) -> schuss.Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
            return g

    calls = []

    def work() -> None:
        x = schuss.ones((), requires_grad=True)
        y = x
        for i in range(LENGTH // 50):
            y = Same.apply(y)
            if i % 100 == 0:
                y.register_hook(lambda g: calls.append(1))
        y.backward()
        assert x.grad.item() == 1.0

    on_a_small_stack(work)
    assert len(calls) == LENGTH // 5000


def test_a_deep_graph_of_detached_saves() -> None:
    """Each saved output hangs on the next: dropping the end must not recurse through them."""

    def work() -> None:
        y = schuss.zeros((), requires_grad=True)
        for _ in range(LENGTH // 4):
            y = y.tanh()
        del y

    on_a_small_stack(work)


def test_gradients_in_a_deep_nest_of_modes() -> None:
    x = schuss.ones((), requires_grad=True)
    modes = [schuss.no_grad() if i % 2 else schuss.enable_grad() for i in range(10_000)]
    for mode in modes:
        mode.__enter__()
    assert not (x * 2).requires_grad
    for mode in reversed(modes):
        mode.__exit__(None, None, None)
    assert (x * 2).requires_grad
