"""Schedules: PyTorch's rates epoch by epoch, checkpoints, warm restarts by fractions of an epoch.
Leans on schuss.optim; the rates were made with torch 2.15 by the programs quoted below."""

from __future__ import annotations

import json
import math
import pickle
from contextlib import nullcontext
from pathlib import Path

import pytest
import schuss
from schuss.optim import SGD, lr_scheduler
from schuss.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
    StepLR,
)

# import torch
# from torch.optim.lr_scheduler import *
# opt = torch.optim.SGD([torch.zeros(1)], lr=1.0)
# s = eval(text)
# for _ in range(9):
#     print(s.get_last_lr()[0])
#     opt.step()
#     s.step()
TABLE = [
    ("StepLR(opt, 3, gamma=0.5)", [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]),
    (
        "MultiStepLR(opt, [2, 5, 5], gamma=0.3)",
        [1.0, 1.0, 0.3, 0.3, 0.3, 0.027, 0.027, 0.027, 0.027],
    ),
    (
        "ExponentialLR(opt, 0.9)",
        [
            1.0,
            0.9,
            0.81,
            0.7290000000000001,
            0.6561000000000001,
            0.5904900000000002,
            0.5314410000000002,
            0.47829690000000014,
            0.43046721000000016,
        ],
    ),
    (
        "LambdaLR(opt, lambda epoch: 1 / (1 + epoch))",
        [
            1.0,
            0.5,
            0.3333333333333333,
            0.25,
            0.2,
            0.16666666666666666,
            0.14285714285714285,
            0.125,
            0.1111111111111111,
        ],
    ),
    (
        "CosineAnnealingLR(opt, 4, eta_min=0.1)",
        [
            1.0,
            0.8681980515339464,
            0.55,
            0.23180194846605368,
            0.1,
            0.2318019484660536,
            0.55,
            0.8681980515339467,
            1.0000000000000004,
        ],
    ),
    (
        "CosineAnnealingWarmRestarts(opt, 3, T_mult=2, eta_min=0.1)",
        [
            1.0,
            0.775,
            0.3250000000000001,
            1.0,
            0.9397114317029974,
            0.775,
            0.55,
            0.3250000000000001,
            0.16028856829700258,
        ],
    ),
]
MAKERS = {text: eval("lambda opt: " + text) for text, _ in TABLE}


def optimizer(*rates):
    groups = [{"params": [schuss.zeros(1)], "lr": lr} for lr in rates or (1.0,)]
    return SGD(groups, lr=1.0)


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_the_rates_of_pytorch(text, expected):
    opt = optimizer(1.0, 1.0)
    schedule = MAKERS[text](opt)
    rates = []
    for _ in range(9):
        first, second = (group["lr"] for group in opt.param_groups)
        assert first == second == schedule.get_last_lr()[0]
        rates.append(first)
        opt.step()
        schedule.step()
    assert rates == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_a_schedule_goes_on_from_its_state(text, expected):
    opt = optimizer()
    schedule = MAKERS[text](opt)
    for _ in range(4):
        opt.step()
        schedule.step()
    saved = pickle.loads(pickle.dumps((opt.state_dict(), schedule.state_dict())))
    later = optimizer(0.3)
    twin = MAKERS[text](later)
    later.load_state_dict(saved[0])
    twin.load_state_dict(saved[1])
    for want in expected[5:]:
        later.step()
        twin.step()
        assert later.param_groups[0]["lr"] == pytest.approx(want, rel=1e-14)


@pytest.mark.parametrize("text", [text for text, _ in TABLE])
def test_an_epoch_may_be_given(text):
    opt = optimizer()
    schedule = MAKERS[text](opt)
    expected = dict(TABLE)[text]
    opt.step()
    for epoch in (5, 2, 8, 0):
        restarts = isinstance(schedule, CosineAnnealingWarmRestarts)
        with nullcontext() if restarts else pytest.warns(UserWarning, match="deprecated"):
            schedule.step(epoch)
        assert opt.param_groups[0]["lr"] == pytest.approx(expected[epoch], rel=1e-14)
        assert schedule.last_epoch == epoch


# opt = torch.optim.SGD([torch.zeros(1)], lr=1.0)
# s = CosineAnnealingWarmRestarts(opt, 2, T_mult=T_mult, eta_min=0.01)
# for epoch in (0, 0.25, 1.75, 2, 3.5, 6, 9.25, 0.5):
#     s.step(epoch)
#     print(s.get_last_lr()[0])
@pytest.mark.parametrize(
    ("T_mult", "expected"),
    [
        (
            1,
            [
                1.0,
                0.9623203685930869,
                0.047679631406913066,
                1.0,
                0.15498214331265903,
                1.0,
                0.3155717009792806,
                0.855017856687341,
            ],
        ),
        (
            2,
            [
                1.0,
                0.9623203685930869,
                0.047679631406913066,
                1.0,
                0.6944282990207195,
                1.0,
                0.6486909152409588,
                0.855017856687341,
            ],
        ),
    ],
)
def test_warm_restarts_by_fractions_of_an_epoch(T_mult, expected):
    opt = optimizer()
    schedule = CosineAnnealingWarmRestarts(opt, 2, T_mult=T_mult, eta_min=0.01)
    for epoch, want in zip((0, 0.25, 1.75, 2, 3.5, 6, 9.25, 0.5), expected, strict=True):
        schedule.step(epoch)
        assert opt.param_groups[0]["lr"] == pytest.approx(want, rel=1e-14)


def test_warm_restarts_begin_exactly_where_a_cosine_ends():
    # The number of restarts by a logarithm would be 2 here, as log(1000, 10) is 2.9999999999999996.
    schedule = CosineAnnealingWarmRestarts(optimizer(), 1, T_mult=10)
    schedule.step(111)
    assert (schedule.T_cur, schedule.T_i, schedule.get_last_lr()) == (0, 1000, [1.0])


METRICS = [5, 4, 4.1, 3.9999, 4.2, 4.3, 3, 3, 3, 3, 3, -1, -1, -1.00001, -2, -2, -2]


# opt = torch.optim.SGD([torch.zeros(1)], lr=1.0)
# s = ReduceLROnPlateau(opt, **options)
# for metric in METRICS:
#     s.step(metric)
#     print(opt.param_groups[0]["lr"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"patience": 1, "factor": 0.5},
            [
                1.0,
                1.0,
                1.0,
                0.5,
                0.5,
                0.25,
                0.25,
                0.25,
                0.125,
                0.125,
                0.0625,
                0.0625,
                0.0625,
                0.0625,
                0.0625,
                0.0625,
                0.0625,
            ],
        ),
        (
            {"patience": 0, "factor": 0.5, "cooldown": 2},
            [
                1.0,
                1.0,
                0.5,
                0.5,
                0.5,
                0.25,
                0.25,
                0.25,
                0.125,
                0.125,
                0.125,
                0.125,
                0.125,
                0.125,
                0.125,
                0.125,
                0.125,
            ],
        ),
        (
            {
                "mode": "max",
                "patience": 1,
                "factor": 0.1,
                "threshold_mode": "abs",
                "threshold": 0.5,
                "min_lr": 0.005,
            },
            [
                1.0,
                1.0,
                0.1,
                0.1,
                0.010000000000000002,
                0.010000000000000002,
                0.005,
                0.005,
                0.005,
                0.005,
                0.005,
                0.005,
                0.005,
                0.005,
                0.005,
                0.005,
                0.005,
            ],
        ),
        (
            {"patience": 0, "factor": 0.5, "threshold_mode": "abs"},
            [
                1.0,
                1.0,
                0.5,
                0.25,
                0.125,
                0.0625,
                0.0625,
                0.03125,
                0.015625,
                0.0078125,
                0.00390625,
                0.00390625,
                0.001953125,
                0.0009765625,
                0.0009765625,
                0.00048828125,
                0.000244140625,
            ],
        ),
    ],
)
def test_plateaus(options, expected):
    opt = optimizer()
    schedule = ReduceLROnPlateau(opt, **options)
    rates = []
    for metric in METRICS:
        schedule.step(metric)
        rates.append(opt.param_groups[0]["lr"])
    assert rates == pytest.approx(expected, rel=1e-14)
    assert schedule.get_last_lr() == rates[-1:]


def test_a_plateau_takes_tensors_and_lists_of_floors_and_goes_on():
    opt = optimizer(1.0, 2.0)
    schedule = ReduceLROnPlateau(opt, factor=0.1, patience=0, min_lr=[0.5, 0.0], cooldown=1)
    for _ in range(2):
        schedule.step(schuss.tensor(1.0))
    assert [group["lr"] for group in opt.param_groups] == [0.5, 0.2]
    assert schedule.in_cooldown
    twin = ReduceLROnPlateau(opt, factor=0.1, patience=0)
    twin.load_state_dict(pickle.loads(pickle.dumps(schedule.state_dict())))
    assert twin.in_cooldown and twin.best == 1.0 and twin.min_lrs == [0.5, 0.0]
    schedule.step(math.nan)
    assert schedule.best == 1.0


def test_each_group_has_its_own_rate_and_rule():
    opt = optimizer(1.0, 0.5)
    schedule = LambdaLR(opt, [lambda epoch: 0.5**epoch, lambda epoch: 1.0])
    opt.step()
    schedule.step()
    assert schedule.get_last_lr() == [0.5, 0.5]
    assert [group["initial_lr"] for group in opt.param_groups] == [1.0, 0.5]


def test_callable_objects_are_kept_in_the_state():
    class Warmup:
        def __init__(self, epochs):
            self.epochs = epochs

        def __call__(self, epoch):
            return min(1.0, (epoch + 1) / self.epochs)

    saved = LambdaLR(optimizer(), Warmup(4)).state_dict()
    assert saved["lr_lambdas"] == [{"epochs": 4}]
    assert LambdaLR(optimizer(), lambda epoch: 1.0).state_dict()["lr_lambdas"] == [None]
    rule = Warmup(10)
    LambdaLR(optimizer(), rule).load_state_dict(saved)
    assert rule.epochs == 4


def test_two_schedules_multiply():
    opt = optimizer()
    schedules = [ExponentialLR(opt, 0.5), StepLR(opt, 2, gamma=0.1)]
    for _ in range(2):
        opt.step()
        for schedule in schedules:
            schedule.step()
    assert opt.param_groups[0]["lr"] == pytest.approx(0.025)


def test_going_on_from_an_epoch():
    opt = optimizer()
    with pytest.raises(KeyError, match="initial_lr"):
        StepLR(opt, 3, last_epoch=4)
    opt.param_groups[0]["initial_lr"] = 1.0
    schedule = StepLR(opt, 3, gamma=0.5, last_epoch=4)
    assert (schedule.last_epoch, schedule.base_lrs) == (5, [1.0])
    # s = torch.optim.lr_scheduler.StepLR(opt, 3, gamma=0.5, last_epoch=5); s.get_last_lr()
    assert StepLR(opt, 3, gamma=0.5, last_epoch=5).get_last_lr() == [0.5]
    opt.param_groups[0]["lr"] = 1.0
    # s = torch.optim.lr_scheduler.ExponentialLR(opt, 0.5, last_epoch=3); s.get_last_lr()
    assert ExponentialLR(opt, 0.5, last_epoch=3).get_last_lr() == [1.0]


def test_the_wrong_order_is_told():
    opt = optimizer()
    schedule = ExponentialLR(opt, 0.5)
    with pytest.warns(UserWarning, match=r"schedule.step\(\) came before optimizer.step"):
        schedule.step()
    opt.step()
    schedule.step()
    assert opt.param_groups[0]["lr"] == 0.25


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: StepLR(3, 1), TypeError, "StepLR: needs an Optimizer, got int"),
        (lambda: ReduceLROnPlateau(None), TypeError, "needs an Optimizer"),
        (lambda: LRScheduler(optimizer()), NotImplementedError, "get_lr"),
        (lambda: StepLR(optimizer(), 0), ValueError, "step_size"),
        (lambda: LambdaLR(optimizer(), [3]), TypeError, "callable, got int"),
        (lambda: lr_scheduler.ConstantLR(optimizer(), 2.0), ValueError, "factor"),
        (lambda: lr_scheduler.LinearLR(optimizer(), 0.0), ValueError, "start_factor"),
        (lambda: lr_scheduler.LinearLR(optimizer(), 1.0, 2.0), ValueError, "end_factor"),
        (lambda: lr_scheduler.CyclicLR(optimizer(), 0.1, [1, 2]), ValueError, "2 values for 1"),
        (lambda: lr_scheduler.CyclicLR(optimizer(), 0.1, 1, mode="x"), ValueError, "mode"),
        (
            lambda: lr_scheduler.CyclicLR(schuss.optim.Rprop([schuss.ones(1)]), 0.1, 1),
            ValueError,
            "cycle_momentum=False",
        ),
        (lambda: lr_scheduler.OneCycleLR(optimizer(), 0.1), ValueError, "total_steps"),
        (lambda: lr_scheduler.OneCycleLR(optimizer(), 0.1, 0), ValueError, "got 0"),
        (lambda: lr_scheduler.OneCycleLR(optimizer(), 0.1, 9, pct_start=2), ValueError, "pct"),
        (lambda: lr_scheduler.ChainedScheduler([]), ValueError, "at least one"),
        (lambda: lr_scheduler.ChainedScheduler([3]), TypeError, "no optimizer"),
        (
            lambda: lr_scheduler.ChainedScheduler([ReduceLROnPlateau(optimizer())]),
            ValueError,
            "metric",
        ),
        (
            lambda: lr_scheduler.SequentialLR(optimizer(), [StepLR(optimizer(), 1)], []),
            ValueError,
            "another optimizer",
        ),
        (lambda: CosineAnnealingLR(optimizer(), 0), ValueError, "T_max"),
        (lambda: MultiStepLR(optimizer(), 3), TypeError, "iterable"),
        (lambda: LambdaLR(optimizer(), [abs, abs]), ValueError, "2 functions for 1 groups"),
        (lambda: CosineAnnealingWarmRestarts(optimizer(), 0), ValueError, "T_0"),
        (lambda: CosineAnnealingWarmRestarts(optimizer(), 2, T_mult=0.5), ValueError, "T_mult"),
        (lambda: CosineAnnealingWarmRestarts(optimizer(), 2).step(-1), ValueError, "got -1"),
        (lambda: CosineAnnealingWarmRestarts(optimizer(), 2).step(math.nan), ValueError, "nan"),
        (lambda: ReduceLROnPlateau(optimizer(), factor=1.0), ValueError, "factor"),
        (lambda: ReduceLROnPlateau(optimizer(), mode="up"), ValueError, "mode"),
        (lambda: ReduceLROnPlateau(optimizer(), threshold_mode="x"), ValueError, "threshold_mode"),
        (lambda: ReduceLROnPlateau(optimizer(), min_lr=[1, 2]), ValueError, "min_lr"),
    ],
)
def test_bad_input_is_named(call, error, match):
    with pytest.raises(error, match=match):
        call()


# Of each row of schedules.json, the optimiser's name and the schedule are known, and this was
# printed, the momenta (or betas[0]) only for the cyclic schedules:
#
# a, b = torch.zeros(2, requires_grad=True), torch.zeros(3, requires_grad=True)
# groups = [{"params": [a]}, {"params": [b], "lr": 0.2}]
# o = torch.optim.SGD(groups, lr=0.5, momentum=0.9)  # or torch.optim.Adam(groups, lr=0.5)
# s = eval(schedule)
# for _ in range(16):
#     rates = s.get_last_lr(), [g.get("momentum") or g["betas"][0] for g in o.param_groups]
#     a.grad = torch.ones(2)
#     o.step()
#     s.step()
# state = sorted(s.state_dict())
ROWS = json.loads((Path(__file__).parent / "schedules.json").read_text(encoding="utf-8"))
NAMES = {name: getattr(lr_scheduler, name) for name in lr_scheduler.__all__}


def begin(row):
    groups = [{"params": [schuss.zeros(2)]}, {"params": [schuss.zeros(3)], "lr": 0.2}]
    options = {"momentum": 0.9} if row["optimizer"] == "SGD" else {}
    opt = getattr(schuss.optim, row["optimizer"])(groups, lr=0.5, **options)
    return opt, eval(row["schedule"], {**NAMES, "o": opt})


def advance(row, opt, schedule, steps):
    rates = []
    for _ in range(steps):
        momenta = [g.get("momentum") or g["betas"][0] for g in opt.param_groups]
        found = [*schedule.get_last_lr(), *momenta]
        assert found[:2] == [g["lr"] for g in opt.param_groups]
        rates += found[: len(row["rates"][0])]
        opt.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['optimizer']}-{row['schedule']}")
def test_all_schedules_of_pytorch(row):
    opt, schedule = begin(row)
    expected = [rate for rates in row["rates"] for rate in rates]
    assert advance(row, opt, schedule, 16) == pytest.approx(expected, rel=1e-12)
    assert sorted(schedule.state_dict()) == row["state"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['optimizer']}-{row['schedule']}")
def test_all_schedules_go_on_from_their_state(row):
    opt, schedule = begin(row)
    advance(row, opt, schedule, 6)
    saved = pickle.loads(pickle.dumps((opt.state_dict(), schedule.state_dict())))
    later, twin = begin(row)
    later.load_state_dict(saved[0])
    twin.load_state_dict(saved[1])
    assert advance(row, later, twin, 9) == advance(row, opt, schedule, 9)


def test_a_rate_in_a_tensor_stays_in_it():
    lr = schuss.tensor(0.5)
    opt = SGD([schuss.zeros(1)], lr=lr)
    schedule = StepLR(opt, 1, gamma=0.5)
    kept = schedule.get_last_lr()
    opt.step()
    schedule.step()
    assert opt.param_groups[0]["lr"] is lr and lr.item() == 0.25
    assert kept[0].item() == 0.5


def test_who_asks_for_the_next_rates_is_told():
    schedule = ExponentialLR(optimizer(), 0.5)
    with pytest.warns(UserWarning, match="get_last_lr"):
        assert schedule.get_lr() == [0.5]


def test_public_names():
    assert all(hasattr(lr_scheduler, name) for name in lr_scheduler.__all__)
