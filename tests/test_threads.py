"""Threads and processes: grad modes by thread, shared reads, gradients at once, fork and spawn.

Leans on schuss and the standard library.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
import schuss
from schuss.autograd import grad
from schuss.testing import assert_close


def at_once(work: Callable, count: int = 4) -> list:
    """Run work(i) on several threads that start together; give its results, raise its errors."""
    gate = threading.Barrier(count)
    results: list = [None] * count
    faults: list = []

    def run(i: int) -> None:
        try:
            gate.wait()
            results[i] = work(i)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if faults:
        raise faults[0]
    return results


def test_grad_modes_belong_to_a_thread() -> None:
    x = schuss.ones(1, requires_grad=True)
    with schuss.no_grad():
        assert at_once(lambda i: (x * 2).requires_grad) == [True] * 4

    def work(i: int) -> bool:
        if i % 2:
            with schuss.no_grad():
                time.sleep(0.01)
                return (x * 2).requires_grad
        time.sleep(0.005)
        return (x * 2).requires_grad

    assert at_once(work) == [True, False, True, False]
    assert schuss.is_grad_enabled()


def test_tensors_of_its_own_for_each_thread() -> None:
    def train(i: int) -> float:
        w = schuss.full((8,), float(i + 1), requires_grad=True)
        for _ in range(300):
            loss = ((w - 2) ** 2).sum()
            loss.backward()
            with schuss.no_grad():
                w -= 0.1 * w.grad
                w.grad.zero_()
        return loss.item()

    assert max(at_once(train)) < 1e-6


def test_reads_of_a_shared_tensor() -> None:
    x = schuss.rand(300, 200)
    want = ((x @ x.t()).sum().item(), x.t()[::3].exp().sum().item(), x.max().item())

    def read(i: int) -> tuple:
        for _ in range(20):
            got = ((x @ x.t()).sum().item(), x.t()[::3].exp().sum().item(), x.max().item())
        return got

    assert at_once(read) == [want] * 4


def test_gradients_through_a_shared_graph() -> None:
    x = schuss.rand(50, 50, dtype=schuss.float64, requires_grad=True)
    y = schuss.tanh(x @ x).sum()
    (want,) = grad(y, x, retain_graph=True)
    for got in at_once(lambda i: [grad(y, x, retain_graph=True)[0] for _ in range(20)][-1]):
        assert_close(got, want)


def test_accumulation_from_many_threads_loses_nothing() -> None:
    leaves = [schuss.zeros(3, requires_grad=True) for _ in range(4)]
    shared = schuss.ones(3)

    def work(i: int) -> None:
        for _ in range(100):
            (leaves[i] * shared).sum().backward()

    at_once(work)
    assert [x.grad.tolist() for x in leaves] == [[100.0] * 3] * 4


def test_racing_writes_never_crash() -> None:
    x = schuss.zeros(1000)
    leaf = schuss.zeros(10, requires_grad=True)

    def work(i: int) -> None:
        for _ in range(200):
            x.add_(1)
            x[i::4].mul_(0.5)
            x.view(10, 100).sum(0)
            (leaf * 2).sum().backward()

    at_once(work)
    assert schuss.isfinite(x).all() and schuss.isfinite(leaf.grad).all()


def test_tensors_die_on_other_threads() -> None:
    made = at_once(lambda i: [schuss.rand(1000, requires_grad=True).exp() for _ in range(50)])
    at_once(lambda i: made[i].clear())
    assert made == [[], [], [], []]


def test_numbers_of_threads() -> None:
    before = schuss.get_num_threads()
    assert before >= 1
    try:
        schuss.set_num_threads(2)
        assert schuss.get_num_threads() == 2
        assert schuss.ones(2**20).sum().item() == 2**20
        for wrong in (0, -1):
            with pytest.raises((RuntimeError, ValueError)):
                schuss.set_num_threads(wrong)
    finally:
        schuss.set_num_threads(before)


FORK = """
import os, sys, warnings
warnings.simplefilter("ignore")
import schuss
x = schuss.rand(600, 600, requires_grad=True)
(x @ x).sum().backward()                      # the pool has run in the parent
pid = os.fork()
if pid == 0:
    y = schuss.rand(600, 600, requires_grad=True)
    (y @ y).exp().mean().backward()
    os._exit(0 if y.grad.shape == (600, 600) else 3)
_, status = os.waitpid(pid, 0)
(x @ x).sum().backward()
sys.exit(os.waitstatus_to_exitcode(status))
"""

SPAWN = """
import multiprocessing, schuss
def work(x):
    return (x * 2).sum().item(), x.t()
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        a, b = pool.map(work, [schuss.ones(2, 3), schuss.arange(6.0).reshape(2, 3)])
    assert a[0] == 12.0 and b[1].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
"""


def run(*command: str) -> None:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_computes() -> None:
    run("-c", FORK)


def test_spawned_workers_take_and_give_tensors(tmp_path: object) -> None:
    script = tmp_path / "spawned.py"
    script.write_text(SPAWN)
    run(str(script))


def test_the_interpreter_ends_while_threads_run() -> None:
    run("-c", "import threading, schuss\n"
        "def work():\n"
        "    x = schuss.ones(100, requires_grad=True)\n"
        "    while True: (x * 2).sum().backward()\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "y = schuss.rand(500, 500); (y @ y).sum().item()\n")  # fmt: skip


def test_an_interrupt_stops_a_loop() -> None:
    script = (
        "import os, signal, threading, schuss\n"
        "threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "x = schuss.ones(1000, requires_grad=True)\n"
        "def loop():\n"
        "    while True: (x * 2).sum().backward()\n"
        # In a function: CPython 3.11 does not guard the jump back of a bare loop inside a try.
        "try: loop()\n"
        "except KeyboardInterrupt: pass\n"
        "assert (schuss.ones(2) + 1).tolist() == [2.0, 2.0]\n"
    )
    run("-c", script)


WIDE = "schuss.ones(1, 1).expand(20000, 20000)"
LONG = {
    "matmul": f"{WIDE} @ {WIDE}",
    "dot": "schuss.ones(1).expand(10**12) @ schuss.ones(1).expand(10**12)",
    "integers": f"{WIDE}.long() @ {WIDE}.long()".replace("20000", "4000"),
    "sum": "schuss.ones(1).expand(10**12).sum()",
    "rows": "schuss.ones(1).expand(2, 10**12).sum(1)",
    "columns": "schuss.ones(1, 8).expand(10**12, 8).sum(0)",
    "place": "schuss.ones(1).expand(10**12).argmax()",
    "truth": "schuss.zeros(1).expand(10**12).any()",
    "convolution": "schuss.nn.functional.conv2d(schuss.ones(64, 1, 1, 1).expand(64, 32, 200, 200),"
    " schuss.ones(1, 1, 1, 1).expand(512, 32, 5, 5))",
    "inverse": "schuss.rand(3000, 3000).inverse()",
    "cholesky": "schuss.linalg.cholesky(schuss.eye(9000))",
    "qr": "schuss.linalg.qr(schuss.rand(4000, 4000))",
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", LONG)
def test_an_interrupt_stops_a_long_kernel(name: str, threads: int) -> None:
    """One call that would take many seconds, or hours, ends at Ctrl-C; the next one works."""
    script = (
        "import os, signal, threading, time, schuss\n"
        f"schuss.set_num_threads({threads})\n"
        "threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "start = time.perf_counter()\n"
        "def work():\n"
        f"    {LONG[name]}\n"
        "    return 'done'\n"
        "try: found = work()\n"
        "except KeyboardInterrupt: found = 'stopped'\n"
        "took = time.perf_counter() - start\n"
        "assert found == 'stopped', took\n"
        "assert took < 5, took\n"
        "assert (schuss.ones(200, 200) @ schuss.ones(200, 200)).sum().item() == 200.0**3\n"
    )
    run("-c", script)


def test_what_was_stopped_in_place_is_not_used_for_a_derivative() -> None:
    """A write that was left half done counts as one: a derivative that would read it is refused."""
    script = (
        "import os, signal, threading, schuss\n"
        "w = schuss.ones(3, requires_grad=True)\n"
        "x = schuss.ones(60_000_000)\n"
        "loss = (w.sum() * x).sum()\n"
        "threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "def work():\n"
        "    for _ in range(100): x.lgamma_()\n"
        "before = x._version\n"
        "try: work()\n"
        "except KeyboardInterrupt: pass\n"
        "assert x._version > before\n"
        "try: loss.backward()\n"
        "except RuntimeError as error: assert 'in-place' in str(error), error\n"
        "else: raise AssertionError('the half written tensor was used')\n"
    )
    run("-c", script)
