"""Memory: what is dropped is freed at once, without the collector, and nothing grows in a loop.

Leans on schuss and on the process's own memory count where the system shows it.
"""

from __future__ import annotations

import contextlib
import gc
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import schuss
from schuss.autograd import Function, grad

STATM = Path("/proc/self/statm")
SIZE = 1000


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Kept(Function):
    """Keeps its output on its context, which is a cycle unless the library breaks it."""

    @staticmethod
    def forward(ctx: object, x: schuss.Tensor) -> schuss.Tensor:
        y = x.exp()
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
        return g * ctx.saved_tensors[1]


def graph(kind: str) -> list:
    """Objects of one use of the library, all of which must die when the list does."""
    x = schuss.ones(SIZE, requires_grad=True)
    if kind == "forward":
        y = (x * 2).exp()
        return [x, y]
    if kind == "backward":
        y = (x * 2).exp()
        y.sum().backward()
        return [x, y, x.grad]
    if kind == "retained":
        y = x.exp()
        y.retain_grad()
        y.sum().backward(retain_graph=True)
        return [x, y, y.grad]
    if kind == "second":
        (g,) = grad((x**3).sum(), x, create_graph=True)
        (h,) = grad(g.sum(), x)
        return [x, g, h]
    if kind == "views":
        y = x * 1
        v = y.view(10, -1).t()[1:]
        v.mul_(3)
        return [x, y, v, y[0]]
    if kind == "function":
        y = Kept.apply(x)
        y.sum().backward()
        return [x, y]
    if kind == "hook":
        y = x * 2
        y.register_hook(lambda g: g * 2)
        x.register_hook(lambda g: None)
        y.sum().backward()
        return [x, y]
    if kind == "numpy":
        y = schuss.from_numpy(x.detach().numpy())
        return [x, y]
    if kind == "error":
        with contextlib.suppress(RuntimeError):
            x.view(3, 7)
        return [x]
    y = x * 2
    y.note = x
    return [x, y]


KINDS = [
    "forward", "backward", "retained", "second", "views", "function", "hook", "numpy", "error",
    "attribute",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("no_collector")
def test_what_is_dropped_dies_at_once(kind: str) -> None:
    held = graph(kind)
    there = [weakref.ref(x) for x in held]
    assert all(ref() is not None for ref in there)
    del held
    assert [ref() for ref in there] == [None] * len(there)


@pytest.mark.usefixtures("no_collector")
def test_backward_frees_what_it_saved() -> None:
    x = schuss.ones(3, requires_grad=True)
    middle = x * 2
    there = weakref.ref(middle)
    y = (middle**2).sum()
    del middle
    y.backward()
    assert there() is None and y.item() == 12.0


def test_a_cycle_of_attributes_is_collected() -> None:
    x = schuss.ones(2)
    x.loop = [x]
    there = weakref.ref(x)
    del x
    gc.collect()
    assert there() is None


CONTEXTS: list = []


class Cyclic(Function):
    """A context that holds its own result."""

    @staticmethod
    def forward(ctx: object, x: schuss.Tensor) -> schuss.Tensor:
        CONTEXTS.append(ctx)
        ctx.y = x * 2
        return ctx.y

    @staticmethod
    def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
        return g * ctx.y.detach() / ctx.y.detach() * 2


@pytest.mark.parametrize("kind", ["backward", "unused", "later"])
def test_a_cycle_through_a_context_is_collected(kind: str) -> None:
    x = schuss.ones(2, requires_grad=True)
    y = Cyclic.apply(x)
    there = weakref.ref(y)
    if kind == "backward":
        y.sum().backward()
    if kind == "later":
        # The context holds what was made of its result.
        z = y.exp().sin()
        there = weakref.ref(z)
        CONTEXTS[-1].y = z
        del z
    CONTEXTS.clear()
    del x, y
    gc.collect()
    assert there() is None


def test_a_context_that_something_still_needs_is_not_collected() -> None:
    x = schuss.ones(2, requires_grad=True)
    held = [Cyclic.apply(x)]
    loss = (Cyclic.apply(x) * held[0]).sum()
    chain = Cyclic.apply(x)
    for _ in range(100):
        chain = chain + 1
    gc.collect()
    CONTEXTS.clear()
    gc.collect()
    (loss + chain.sum()).backward(retain_graph=True)
    assert x.grad.tolist() == [10.0, 10.0]
    held[0].sum().backward()
    assert x.grad.tolist() == [12.0, 12.0]


def test_contexts_hold_while_other_threads_walk() -> None:
    """The collector runs all the time while threads build and walk graphs of such functions."""
    CONTEXTS.clear()
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            gc.collect()

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for _ in range(100):
            x = schuss.ones(40_000, requires_grad=True)
            y = Cyclic.apply(Cyclic.apply(x)).sin()
            CONTEXTS.clear()
            y.sum().backward()
            assert x.grad is not None
    finally:
        stop.set()
        collector.join()


WEIGHT = schuss.rand(20, 10, requires_grad=True)
INPUT = schuss.rand(50, 20)


def train_step() -> None:
    schuss.tanh(INPUT @ WEIGHT).square().mean().backward()
    with schuss.no_grad():
        WEIGHT.sub_(0.01 * WEIGHT.grad)
    WEIGHT.grad = None


def index_and_write() -> None:
    x = schuss.zeros(SIZE)
    x[x > 0] = 1
    x[schuss.tensor([1, 2])] = schuss.ones(2)
    x[::2].add_(1)
    list(x[:5])


def convert() -> None:
    x = schuss.rand(SIZE)
    schuss.from_numpy(x.numpy()).tolist()
    schuss.tensor(x.numpy()).to(schuss.float16).double()
    repr(x[:3])


def fail() -> None:
    x = schuss.ones(SIZE, requires_grad=True)
    for bad in (lambda: x + schuss.ones(3), lambda: x[SIZE], lambda: x.exp("a"), lambda: x.add_(1)):
        try:
            bad()
        except (RuntimeError, IndexError, TypeError):
            continue
    y = (x * 2).sum()
    y.backward()
    with contextlib.suppress(RuntimeError):
        y.backward()


def on_threads() -> None:
    thread = threading.Thread(target=graph, args=("backward",))
    thread.start()
    thread.join()


LOOPS: dict[str, tuple[Callable, int]] = {
    "a training step": (train_step, 10_000),
    "indices": (index_and_write, 2_000),
    "conversions": (convert, 3_000),
    "pickles": (lambda: pickle.loads(pickle.dumps(schuss.rand(SIZE))), 3_000),
    "errors": (fail, 2_000),
    "threads": (on_threads, 2_000),
    "modes": (lambda: schuss.no_grad()(len)("ab"), 10_000),
    "generators": (lambda: schuss.rand(10, generator=schuss.Generator()), 2_000),
    **{kind: (lambda kind=kind: graph(kind), 2_000) for kind in KINDS},
}


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.usefixtures("no_collector")
def test_nothing_grows_in_a_loop(name: str) -> None:
    """Python's count of blocks stays; so does the process's memory: a leaked tensor is 4 kB."""
    loop, times = LOOPS[name]
    for _ in range(times // 5):
        loop()
    blocks, pages = sys.getallocatedblocks(), resident()
    for _ in range(times):
        loop()
    gc.collect()
    assert sys.getallocatedblocks() - blocks < times / 10 + 100
    # One page of 2 MiB may come at any time.
    assert resident() - pages < times * SIZE * 4 / 2 + (2 << 20)


def resident() -> int:
    """Bytes in memory now, or 0 where the system does not say."""
    return int(STATM.read_text().split()[1]) * 4096 if STATM.exists() else 0


@pytest.mark.skipif(not STATM.exists(), reason="this system does not tell a process's memory")
def test_memory_is_given_back() -> None:

    def work() -> None:
        for _ in range(20):
            assert schuss.ones(2**22).exp().sum().item() > 0

    work()
    before = resident()
    work()
    assert resident() - before < 100 * 2**20


def test_slices_keep_only_what_they_must() -> None:
    x = schuss.ones(SIZE)
    there = weakref.ref(x)
    v = x[:2]
    del x
    assert v.sum().item() == 2.0
    assert there() is None or v._base is there()
