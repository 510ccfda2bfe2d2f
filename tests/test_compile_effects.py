"""A compiled step gives, and does to optimisers and schedules, what the step itself does.
Leans on the same function run eagerly."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import schuss
from conftest import refuses
from schuss import Tensor, nn, optim
from schuss.optim.optimizer import register_optimizer_step_post_hook

ONE = schuss.ones(1)


def eager(function: Any) -> Any:
    return function


WAYS = (eager, schuss.compile)


def settled(function: Any, *args: Any) -> Any:
    """Called until it is a program, and once more."""
    for _ in range(3):
        function(*args)
    return function(*args)


# ---- what leaves a step -------------------------------------------------------------------------


def test_detached_results_are_in_no_graph() -> None:
    f = schuss.compile(lambda w, x: (w * x, w.detach(), w[1:].detach()))
    for _ in range(4):
        w = schuss.ones(3, requires_grad=True)
        p, t, part = f(w, schuss.arange(3.0))
        assert not t.requires_grad
        assert not part.requires_grad
        ((p - t) ** 2).sum().backward()
        assert w.grad.tolist() == [0.0, 0.0, 4.0]


def test_writes_to_computed_arguments() -> None:
    schuss.manual_seed(0)
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2))
    pre, x = nn.Linear(3, 3), schuss.randn(4, 3)
    known = []
    for c in (net, schuss.compile(net)):
        for _ in range(4):
            pre.zero_grad()
            c(pre(x)).square().sum().backward()
            known.append(pre.weight.grad.clone())
    assert all((g == known[0]).all() for g in known)
    for f in (way(lambda h: (h.mul_(2), h.sum())[1]) for way in WAYS):
        for _ in range(4):
            w = schuss.ones(3, requires_grad=True)
            f(w * 3).backward()
            assert w.grad.tolist() == [6.0, 6.0, 6.0]


def test_results_that_are_views_of_one_another() -> None:
    w = schuss.ones(3, requires_grad=True)

    def both(x: schuss.Tensor) -> tuple:
        y = w * x
        return y, y.view(3, 1)

    for way in WAYS:
        f = way(both)
        for _ in range(4):
            w.grad = None
            y, v = f(schuss.ones(3))
            y.mul_(3)
            v.sum().backward()
            assert w.grad.tolist() == [3.0, 3.0, 3.0]


def test_views_of_another_dtype_are_refused() -> None:
    f = schuss.compile(lambda x: x.view(schuss.int32))
    f(schuss.ones(2))
    with pytest.raises(schuss.CompileError, match="another dtype"):
        f(schuss.ones(2))


def test_leaves_and_kept_gradients() -> None:
    w = schuss.ones(2, requires_grad=True)

    def leaf(x: schuss.Tensor) -> schuss.Tensor:
        y = x.clone().requires_grad_()
        (y * y).sum().backward()
        return y

    def kept(x: schuss.Tensor) -> schuss.Tensor:
        y = w * x
        y.retain_grad()
        y.square().sum().backward()
        return y

    f, g, made = (schuss.compile(h) for h in (leaf, kept, lambda x: nn.Parameter(x * 2)))
    for _ in range(4):
        y = f(schuss.ones(2))
        assert y.requires_grad
        assert y.grad.tolist() == [2.0, 2.0]
        assert g(schuss.ones(2)).grad.tolist() == [2.0, 2.0]
        assert type(made(schuss.ones(2))) is nn.Parameter


def test_states_that_only_leave() -> None:
    m = nn.Linear(3, 2)
    f = schuss.compile(lambda x: (x * 2, m.weight))
    for _ in range(4):
        assert f(schuss.ones(3))[1] is m.weight


# ---- optimisers and schedules -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "Adamax", "NAdam", "RAdam", "ASGD", "Adafactor"])
def test_parameters_of_different_ages(kind: str) -> None:
    found = []
    for way in WAYS:
        a, b = (schuss.ones(1, requires_grad=True) for _ in range(2))
        o = getattr(optim, kind)([a, b], lr=0.1)

        def step(both: bool, a=a, b=b, o=o) -> None:
            o.zero_grad()
            loss = a.square().sum()
            if both:
                loss = loss + b.square().sum()
            loss.backward()
            o.step()

        run = way(step)
        for i in range(16):
            run(i % 4 != 3)
        found.append((a.item(), b.item(), [s["step"] for s in o.state.values()]))
    assert found[0] == found[1]


@pytest.mark.parametrize("how", ["state", "parameter"])
def test_swapped_tensors_of_an_optimiser(how: str) -> None:
    found = []
    for way in WAYS:
        w, v = (schuss.ones(1, requires_grad=True) for _ in range(2))
        o = optim.Adam([w], lr=0.1)

        def step(w=w, v=v, o=o) -> None:
            w.grad = v.grad = None
            (w.square() + v.square()).sum().backward()
            o.step()

        run = way(step)
        for _ in range(4):
            run()
        if how == "state":
            o.state[w]["exp_avg"] = ONE * 50
        else:
            o.param_groups[0]["params"] = [v]
        run()
        found.append((w.item(), v.item()))
    assert found[0] == found[1]


def test_numbers_that_a_step_reads_of_its_optimiser() -> None:
    seen = []
    for way in WAYS:
        w = schuss.zeros(1, requires_grad=True)
        o = optim.SGD([w], lr=1.0)
        s = optim.lr_scheduler.ExponentialLR(o, 0.5)

        def step(w=w, o=o, s=s) -> tuple:
            o.zero_grad()
            w.sum().backward()
            o.step()
            if s.last_epoch < 3:
                s.step()
            return w.detach() * 0 + s.get_last_lr()[0], o.param_groups[0]["lr"]

        run = way(step)
        seen.append([(t.item(), lr) for t, lr in (run() for _ in range(6))])
    assert seen[0] == seen[1]


def test_a_rate_read_by_hand() -> None:
    w = schuss.zeros(1, requires_grad=True)
    o = optim.SGD([w], lr=1.0)

    @schuss.compile
    def step() -> None:
        w.grad = None
        w.sum().backward()
        with schuss.no_grad():
            w.sub_(w.grad * o.param_groups[0]["lr"])

    settled(step)
    o.param_groups[0]["lr"] = 100.0
    before = w.item()
    step()
    assert before - w.item() == 100.0


def test_gradients_set_to_zero_inside() -> None:
    found = []
    for way in WAYS:
        schuss.manual_seed(0)
        m = nn.Linear(3, 2)
        o = optim.SGD(m.parameters(), lr=0.1)

        def step(x: schuss.Tensor, m=m, o=o) -> schuss.Tensor:
            o.zero_grad(set_to_none=False)
            loss = m(x).square().sum()
            loss.backward()
            o.step()
            return loss

        run = way(step)
        found.append([run(schuss.ones(3)).item() for _ in range(6)])
    assert found[0] == found[1]


def test_hooks_of_all_optimisers_are_refused() -> None:
    w = schuss.ones(1, requires_grad=True)
    o = optim.SGD([w], lr=0.0)
    calls = []

    @schuss.compile
    def step() -> None:
        o.zero_grad()
        w.sum().backward()
        o.step()

    settled(step)
    handle = register_optimizer_step_post_hook(lambda *_: calls.append(1))
    try:
        with pytest.raises(schuss.CompileError, match="hooks"):
            step()
    finally:
        handle.remove()


def test_scalars_of_an_optimiser_are_refused() -> None:
    s = schuss.Scalar(2.0)
    o = optim.SGD([s], lr=0.1)

    @schuss.compile
    def step() -> None:
        o.zero_grad()
        (s * s).backward()
        o.step()

    step()
    with pytest.raises(schuss.CompileError, match="Scalar"):
        step()


def test_schedules_of_two_threads() -> None:
    rates = {}

    def work(k: int) -> None:
        w = schuss.ones(1, requires_grad=True)
        o = optim.SGD([w], lr=1.0)

        def rate(epoch: int) -> float:
            if k == 0 and epoch == 2:
                time.sleep(0.4)
            return 0.5**epoch

        s = optim.lr_scheduler.LambdaLR(o, rate)

        @schuss.compile
        def step() -> None:
            o.zero_grad()
            w.sum().backward()
            o.step()
            s.step()

        for i in range(6):
            if k == 1 and i == 1:
                time.sleep(0.15)
            step()
        rates[k] = o.param_groups[0]["lr"]

    threads = [threading.Thread(target=work, args=(k,)) for k in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rates == {0: 0.5**6, 1: 0.5**6}


# ---- memory -------------------------------------------------------------------------------------


def test_gradients_that_were_one_tensor() -> None:
    found = []
    for way in WAYS:
        a, b = (schuss.ones(1, requires_grad=True) for _ in range(2))
        f = way(lambda x, a=a, b=b: ((a * x).sum() + (b * x * 2).sum()).backward())
        f(ONE)
        a.grad = schuss.zeros(1)
        b.grad = a.grad
        for _ in range(3):
            f(ONE)
        together = a.grad.item()
        b.grad = a.grad.clone()
        a.grad.zero_()
        b.grad.zero_()
        f(ONE)
        found.append((together, a.grad.item(), b.grad.item()))
    assert found[0] == found[1] == (9.0, 1.0, 2.0)


def test_writes_through_parts_of_an_argument_replay() -> None:
    @schuss.compile
    def f(x: schuss.Tensor) -> schuss.Tensor:
        x[0].mul_(2)
        x.t()[1].add_(1)
        x[:, -1] = x[:, 0]
        return x.sum()

    for _ in range(6):
        x = schuss.ones(2, 3)
        known = [[2.0, 3.0, 2.0], [1.0, 2.0, 1.0]]
        assert f(x).item() == 11.0
        assert x.tolist() == known
    assert f.counts()[:2] == (4, 1)


def test_arguments_that_are_views_of_one_another() -> None:
    f = schuss.compile(lambda x, y: (y.mul_(3), x.sum())[1])
    for _ in range(4):
        x = schuss.ones(2, 2)
        assert f(x, x[0]).item() == 8.0
    x = schuss.ones(2, 2)
    assert f(x, schuss.ones(2)).item() == 4.0
    assert f(x, x[1]).item() == 8.0


def test_a_loss_that_was_walked_back_inside_keeps_its_look() -> None:
    w = schuss.ones(3, requires_grad=True)

    def step(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        product = w * x
        loss = product.sum()
        loss.backward()
        return loss, loss * 2, product.detach()

    compiled = schuss.compile(step)
    for calls in range(1, 6):
        loss, twice, flat = compiled(schuss.ones(3))
        assert loss.requires_grad and twice.requires_grad and not flat.requires_grad
        assert [type(t.grad_fn).__name__ for t in (loss, twice)] == ["SumBackward0", "MulBackward0"]
        assert (loss.item(), w.grad.tolist()) == (3.0, [float(calls)] * 3)
        for result in (loss, twice):
            with refuses(RuntimeError, "a second time"):
                (result + 1).backward()
        assert w.grad.tolist() == [float(calls)] * 3
