"""Averages of models, their schedule, and batch statistics made anew.
Leans on schuss.optim.swa_utils; the numbers were made with torch 2.15 by the program quoted."""

from __future__ import annotations

import pytest
import schuss
from schuss import nn
from schuss.optim import swa_utils
from schuss.optim.swa_utils import (
    SWALR,
    AveragedModel,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    get_swa_multi_avg_fn,
    update_bn,
)

# torch.set_default_dtype(torch.float64)
# model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 1))
# with torch.no_grad():
#     for k, p in enumerate(model.parameters()):
#         p.copy_(torch.linspace(-1, 1 + k, p.numel()).view_as(p))
# x = torch.linspace(-1, 1, 12).view(6, 2) ** 2
# opt = torch.optim.SGD(model.parameters(), lr=0.01)
# mean = AveragedModel(model, **options)
# schedule = SWALR(opt, swa_lr=0.02, anneal_epochs=3)
# for _ in range(5):
#     opt.zero_grad()
#     ((model(x) - 1) ** 2).mean().backward()
#     opt.step()
#     mean.update_parameters(model)
#     schedule.step()
#     print(schedule.get_last_lr()[0])
# update_bn([(x[:3], 0), (x[3:], 0)], mean)
# print([v.double().sum().item() for v in mean.state_dict().values()])
OPTIONS = {
    "mean": [
        5.0,
        -0.000362753913,
        1.0,
        -0.095742221685,
        1.252338354333,
        0.999857096943,
        0.619170338067,
        2.0,
        1.199432358067,
        -1.530514463436,
    ],
    "mean of one": [
        5.0,
        -0.000362753913,
        1.0,
        -0.095742221685,
        1.252338354333,
        0.999857096943,
        0.619170338067,
        2.0,
        1.199432358067,
        -1.530514463436,
    ],
    "mean of lists": [
        5.0,
        -0.000362753913,
        1.0,
        -0.095742221685,
        1.252338354333,
        0.999857096943,
        0.619170338067,
        2.0,
        1.199432358067,
        -1.530514463436,
    ],
    "ema of one": [
        5.0,
        -0.000343325285,
        1.0,
        0.141059883536,
        1.379170785358,
        0.999864750645,
        0.611543759434,
        2.0,
        1.506757441705,
        -1.447171517196,
    ],
    "ema of lists": [
        5.0,
        -0.000343325285,
        1.0,
        0.141059883536,
        1.379170785358,
        0.999864750645,
        0.611543759434,
        2.0,
        1.506757441705,
        -1.447171517196,
    ],
    "buffers": [
        5.0,
        -0.000375190513,
        1.0,
        -0.271329068867,
        1.169294412445,
        0.999852197677,
        0.626323634712,
        2.0,
        0.973084345096,
        -1.593752318885,
    ],
}
KINDS = {
    "mean": {},
    "mean of one": {"avg_fn": get_swa_avg_fn()},
    "mean of lists": {"multi_avg_fn": get_swa_multi_avg_fn()},
    "ema of one": {"avg_fn": get_ema_avg_fn(0.9)},
    "ema of lists": {"multi_avg_fn": get_ema_multi_avg_fn(0.9)},
    "buffers": {"avg_fn": get_ema_avg_fn(0.5), "use_buffers": True},
}
RATES = [0.012499999999999999, 0.017499999999999998, 0.02, 0.02, 0.02]


def small(dtype=schuss.float64):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1)).to(dtype)
    with schuss.no_grad():
        for k, p in enumerate(model.parameters()):
            p.copy_(schuss.linspace(-1, 1 + k, p.numel(), dtype=dtype).view_as(p))
    return model


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_averages_of_pytorch(kind, compiled):
    model = small()
    x = schuss.linspace(-1, 1, 12, dtype=schuss.float64).view(6, 2) ** 2
    opt = schuss.optim.SGD(model.parameters(), lr=0.01)
    mean = AveragedModel(model, **KINDS[kind])
    schedule = SWALR(opt, swa_lr=0.02, anneal_epochs=3)
    rates = []

    def step(x):
        opt.zero_grad()
        ((model(x) - 1) ** 2).mean().backward()
        opt.step()
        mean.update_parameters(model)

    step = schuss.compile(step) if compiled else step
    for _ in range(5):
        step(x)
        schedule.step()
        rates += schedule.get_last_lr()
    assert rates == pytest.approx(RATES, rel=1e-12)
    update_bn([(x[:3], 0), (x[3:], 0)], mean)
    names, sums = zip(
        *((k, v.double().sum().item()) for k, v in mean.state_dict().items()), strict=True
    )
    assert names[:3] == ("n_averaged", "module.0.weight", "module.0.bias")
    assert list(sums) == pytest.approx(OPTIONS[kind], rel=1e-10, abs=1e-12)
    assert not compiled or step.programs()[0]["seconds"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [schuss.float32, schuss.bfloat16])
def test_a_compiled_average_has_the_bits_of_an_eager_one(kind, dtype):
    model = small(dtype)
    means = [AveragedModel(model, **KINDS[kind]) for _ in range(2)]
    compiled = schuss.compile(lambda: means[0].update_parameters(model))
    for k in range(12):
        if k == 8:
            [mean.n_averaged.zero_() for mean in means]
        with schuss.no_grad():
            for p in model.parameters():
                p.add_(schuss.rand_like(p))
        compiled()
        means[1].update_parameters(model)
        one, two = (mean.state_dict() for mean in means)
        assert all(schuss.equal(one[name], two[name]) for name in two)
    assert compiled.programs()[0]["seconds"]


def test_the_copy_is_its_own():
    model = small()
    mean = AveragedModel(model)
    assert all(a is not b for a, b in zip(mean.parameters(), model.parameters(), strict=True))
    x = schuss.ones(3, 2, dtype=schuss.float64)
    mean.eval(), model.eval()
    assert schuss.equal(mean(x), model(x))
    assert mean.n_averaged.item() == 0


def test_statistics_are_made_anew_and_modes_come_back():
    model = nn.Sequential(nn.BatchNorm1d(1), nn.Dropout())
    model.eval()
    update_bn([schuss.tensor([[1.0], [3.0]]), schuss.tensor([[5.0], [7.0]])], model)
    assert model[0].running_mean.tolist() == [4.0] and model[0].momentum == 0.1
    assert not model.training and model[0].num_batches_tracked.item() == 2
    plain = nn.Linear(1, 1)
    update_bn(iter([]), plain)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: get_ema_avg_fn(1.5), ValueError, "decay must be between 0 and 1, got 1.5"),
        (lambda: get_ema_multi_avg_fn(-1), ValueError, "decay"),
        (lambda: AveragedModel(small(), avg_fn=1, multi_avg_fn=2), AssertionError, "not both"),
        (lambda: AveragedModel(3), TypeError, "needs a model, got int"),
        (lambda: AveragedModel(small()).update_parameters(3), TypeError, "got int"),
        (lambda: SWALR(None, 0.1), TypeError, "Optimizer"),
        (lambda: SWALR(schuss.optim.SGD([schuss.ones(1)]), 0.1, -1), ValueError, "anneal_epochs"),
        (
            lambda: SWALR(schuss.optim.SGD([schuss.ones(1)]), 0.1, anneal_strategy="x"),
            ValueError,
            "'x'",
        ),
    ],
)
def test_bad_input_is_named(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_another_architecture_is_refused_before_anything_is_written():
    mean = AveragedModel(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)))
    before = {k: v.clone() for k, v in mean.state_dict().items()}
    wrong = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    with pytest.raises(schuss.ShapeError, match=r"1\.weight has the shape \(3, 2\) there"):
        mean.update_parameters(wrong)
    with pytest.raises(schuss.ShapeError, match="it has 2 parameters and buffers, the mean 4"):
        mean.update_parameters(nn.Sequential(nn.Linear(2, 2)))
    assert all(schuss.equal(v, before[k]) for k, v in mean.state_dict().items())


def test_public_names():
    assert all(hasattr(swa_utils, name) for name in swa_utils.__all__)
