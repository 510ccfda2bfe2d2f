"""The host's part of a compiled step: counts of optimisers, schedules and generators, once or not
at all. Leans on the package alone; the same step run eagerly says what is right."""

import copy
import random

import numpy as np
import pytest
import schuss
from schuss import nn
from schuss.nn import functional as F
from schuss.optim import lr_scheduler


def trained(optimizer, change, *, compiled, scheduled=False, steps=12):
    """Losses, state and rates of a small regression whose options change half-way."""
    schuss.manual_seed(0)
    model = nn.Linear(3, 2)
    x, y = schuss.randn(8, 3), schuss.randn(8, 2)
    own = optimizer(model.parameters())
    schedules = []
    if scheduled:
        inner = lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(own, 3, 0.5)])
        schedules = [inner, lr_scheduler.ExponentialLR(own, 0.9)]

    def step(x, y):
        own.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        own.step()
        for schedule in schedules:
            schedule.step()
        return loss

    run = schuss.compile(step) if compiled else step
    losses = []
    for i in range(steps):
        if i == steps // 2:
            change(own)
        losses.append(run(x, y).item())
    if compiled:
        assert run.counts()[0] >= steps // 2
    counted = [
        {k: v for k, v in entry.items() if not isinstance(v, schuss.Tensor)}
        for entry in own.state.values()
    ]
    numbers = [(s.last_epoch, s.get_last_lr()) for s in schedules if hasattr(s, "last_epoch")]
    return losses, counted, own.param_groups[0]["lr"], numbers


def option(key, value):
    return lambda own: own.param_groups[0].__setitem__(key, value)


@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize(
    "optimizer, change",
    [
        (schuss.optim.Adam, option("amsgrad", True)),
        (schuss.optim.AdamW, lambda own: own.load_state_dict(copy.deepcopy(own.state_dict()))),
        (lambda p: schuss.optim.SGD(p, lr=0.1), option("momentum", 0.9)),
        (lambda p: schuss.optim.SGD(p, lr=0.1, momentum=0.9), option("nesterov", True)),
        (schuss.optim.NAdam, option("maximize", True)),
        (schuss.optim.ASGD, option("lambd", 0.1)),
        (schuss.optim.RAdam, option("lr", 0.01)),
        (schuss.optim.Lion, option("weight_decay", 0.1)),
    ],
)
def test_a_step_recorded_anew_counts_once(optimizer, change, scheduled):
    eager = trained(optimizer, change, compiled=False, scheduled=scheduled)
    assert trained(optimizer, change, compiled=True, scheduled=scheduled) == eager


def test_a_step_that_fails_has_counted_nothing():
    schuss.manual_seed(0)
    table = nn.Embedding(5, 4)
    own = schuss.optim.NAdam(table.parameters(), lr=0.1)
    schedule = lr_scheduler.SequentialLR(
        own, [lr_scheduler.ConstantLR(own, 0.5, 2), lr_scheduler.ExponentialLR(own, 0.9)], [4]
    )

    @schuss.compile
    def step(index):
        own.zero_grad()
        loss = F.dropout(table(index), 0.5).square().sum()
        loss.backward()
        own.step()
        schedule.step()
        return loss

    good, bad = schuss.tensor([0, 2, 4]), schuss.tensor([0, 2, 9])
    for _ in range(5):
        step(good)
    runs = step.counts()[0]
    held = [
        copy.deepcopy(own.state_dict()),
        copy.deepcopy(schedule.state_dict()),
        table.weight.tolist(),
        schuss.get_rng_state().tolist(),
    ]
    with pytest.raises(IndexError, match="9"):
        step(bad)
    now = [own.state_dict(), schedule.state_dict(), table.weight.tolist()]
    now.append(schuss.get_rng_state().tolist())
    assert str(now) == str(held)
    step(good)
    assert step.counts()[0] == runs + 1
    assert own.state[table.weight]["step"] == 6


def test_numbers_drawn_by_others_are_told():
    noisy = schuss.compile(lambda x: x * random.random())
    noisy(schuss.ones(1))
    with pytest.warns(UserWarning, match="Python's random or NumPy's"):
        noisy(schuss.ones(1))
    legacy = schuss.compile(lambda x: x * float(np.random.rand()))
    legacy(schuss.ones(1))
    with pytest.warns(UserWarning, match="draw with schuss.rand"):
        legacy(schuss.ones(1))
    quiet = schuss.compile(lambda x: x * schuss.rand(1))
    assert len({quiet(schuss.ones(1)).item() for _ in range(5)}) == 5
