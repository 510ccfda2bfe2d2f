"""The runner, the two losses, paths and roots, with Scalars and with tensors.
Leans on schuss and NumPy; known values quote the program that made them."""

from __future__ import annotations

import math
import random
import warnings

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss import Scalar
from schuss.descent import (
    GradientDescent,
    binary_cross_entropy,
    descend,
    mean_squared_error,
    newton,
)


class Line:
    def __init__(self, a=1.0, b=1.0, make=Scalar):
        self.a, self.b = make(a), make(b)

    def __call__(self, x):
        return self.a * x + self.b

    def parameters(self):
        return {"a": self.a, "b": self.b}

    def numbers(self):
        return float(self.a.value), float(self.b.value)


def parameter(x):
    return schuss.tensor(x, dtype=schuss.float64, requires_grad=True)


def f64(values):
    return schuss.tensor(values, dtype=schuss.float64)


def data(n=40):
    rng = random.Random(1)
    xs = [rng.random() for _ in range(n)]
    return xs, [0.8 * x - 1.2 + rng.gauss(0, 0.1) for x in xs]


def by_numpy(xs, ys, lr, n_steps):
    """The same descent written out with NumPy: the losses and the two parameters."""
    x, y, a, b, losses = np.array(xs), np.array(ys), 1.0, 1.0, []
    for _ in range(n_steps):
        r = a * x + b - y
        losses.append((r**2).mean())
        a, b = a - lr * 2 * (r * x).mean(), b - lr * 2 * r.mean()
    return losses, (a, b)


def test_scalars_one_sample_at_a_time():
    xs, ys = data()
    model = Line()
    losses = GradientDescent(model, mean_squared_error).run(xs, ys, lr=0.5, n_steps=50)
    expected, parameters = by_numpy(xs, ys, 0.5, 50)
    assert losses == pytest.approx(expected, rel=1e-9)
    assert model.numbers() == pytest.approx(parameters, rel=1e-9)
    assert all(type(loss) is float for loss in losses)


@pytest.mark.parametrize("form", [f64, np.array, list, tuple])
def test_tensors_in_every_form_of_data(form):
    xs, ys = data()
    model = Line(make=parameter)
    losses = GradientDescent(model, mean_squared_error).run(form(xs), form(ys), 0.5, 50)
    expected, (a, b) = by_numpy(xs, ys, 0.5, 50)
    assert losses == pytest.approx(expected, rel=1e-9)
    assert (model.a.item(), model.b.item()) == pytest.approx((a, b), rel=1e-9)
    assert model.a.is_leaf and model.a.requires_grad


def test_scalars_with_arrays():
    xs, ys = data(5)
    model = Line()
    losses = GradientDescent(model, mean_squared_error).run(np.array(xs), np.array(ys), 0.5, 3)
    assert losses == pytest.approx(by_numpy(xs, ys, 0.5, 3)[0], rel=1e-9)


def test_the_call_is_one_for_a_tensor_and_one_a_sample_for_a_list():
    calls, pairs = [], []

    class Watched(Line):
        def __call__(self, x):
            calls.append(x)
            return super().__call__(x)

    def loss(preds, ys):
        pairs.append((type(preds), type(ys)))
        return mean_squared_error(preds, ys)

    model = Watched(make=parameter)
    GradientDescent(model, loss).run([1.0, 2.0], [3.0, 4.0], n_steps=1)
    assert calls == [1.0, 2.0] and pairs == [(list, list)]
    calls.clear()
    GradientDescent(model, loss).run(f64([1.0, 2.0]), f64([3.0, 4.0]), n_steps=1)
    assert len(calls) == 1


def test_a_module_with_an_iterator_of_parameters():
    schuss.manual_seed(0)
    model = schuss.nn.Linear(1, 1)
    x = schuss.linspace(0, 1, 20).reshape(-1, 1)
    y = 3 * x + 2
    losses = GradientDescent(model, schuss.nn.MSELoss()).run(x, y, lr=0.5, n_steps=300)
    assert len(losses) == 300 and losses[-1] < 1e-6
    assert model.weight.item() == pytest.approx(3, abs=1e-2)


def test_gradients_are_zeroed_before_each_step_and_absent_ones_are_skipped():
    class Idle(Line):
        def parameters(self):
            return {**super().parameters(), "idle": self.idle, "still": self.still}

    model = Idle(make=parameter)
    model.idle, model.still = parameter(5.0), Scalar(7)
    model.still.backwards_grad = 100
    model.a.grad = schuss.full_like(model.a, 1e6).detach()
    run = GradientDescent(model, mean_squared_error).run
    losses = run(f64([1.0, 2.0]), f64([3.0, 5.0]), 0.1, 500)
    assert losses[-1] < 1e-3
    assert model.idle.item() == 5.0 and model.still.value == 7


def test_parameters_may_be_replaced_between_runs():
    model = Line()
    run = GradientDescent(model, mean_squared_error).run
    run([1, 2], [3, 5], 0.1, 5)
    model.a, model.b = Scalar(2), Scalar(1)
    assert run([1, 2], [3, 5], 0.1, 3) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("make", [Scalar, parameter])
def test_too_high_a_rate_warns_once_and_ends_with_finite_parameters(make):
    model = Line(make=make)
    run = GradientDescent(model, mean_squared_error).run
    advice = r"step \d+ with lr=10000; the rate is too high: try lr=1000"
    with pytest.warns(RuntimeWarning, match=advice) as got:
        losses = run([1.0, 2.0], [3.0, 5.0], 1e4, 1000)
    assert len(got) == 1
    assert len(losses) < 1000
    assert not math.isfinite(losses[-1]) and all(map(math.isfinite, losses[:-1]))
    a = model.a if make is Scalar else model.a.detach()
    assert math.isfinite(float(a))


def test_data_that_are_not_finite_are_not_blamed_on_the_rate():
    with pytest.warns(RuntimeWarning, match="look at the data"):
        losses = GradientDescent(Line(), mean_squared_error).run([1.0], [math.nan])
    assert len(losses) == 1


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: GradientDescent(lambda x: x, mean_squared_error), TypeError, "no parameters"),
        (lambda: GradientDescent(Line(), None), TypeError, "callable"),
        (lambda: GradientDescent(Line(), max).run([1, 2], [1]), ValueError, "2 xs and 1 ys"),
        (lambda: GradientDescent(Line(), max).run([1], [1], lr=-1), ValueError, "lr"),
        (lambda: GradientDescent(Line(), max).run([1], [1], n_steps=1.5), TypeError, "float"),
        (lambda: GradientDescent(Line(), lambda p, y: 3.0).run([1], [1]), TypeError, "got float"),
        (
            lambda: GradientDescent(Line(make=parameter), lambda p, y: p).run(f64([1, 2]), [1, 2]),
            schuss.ShapeError,
            r"shape \(2,\)",
        ),
        (lambda: mean_squared_error([1], [1, 2]), ValueError, "1 and 2 values"),
        (lambda: mean_squared_error([], []), ValueError, "no values"),
        (lambda: mean_squared_error(f64([]), f64([])), ValueError, "no values"),
        (
            lambda: mean_squared_error(schuss.ones(3, 1), schuss.ones(3)),
            schuss.ShapeError,
            r"\(3, 1\) and \(3,\)",
        ),
        (lambda: binary_cross_entropy([Scalar(1.5)], [1]), ValueError, "1.5 is outside"),
        (lambda: binary_cross_entropy(f64([-0.5]), f64([1.0])), ValueError, "-0.5 is outside"),
        (lambda: descend(lambda x: x, [1.0, 2.0]), schuss.ShapeError, "one number"),
        (lambda: descend(lambda x: x, 1.0, lr=math.nan), ValueError, "lr"),
        (lambda: descend(lambda x: x, schuss.tensor(1)), schuss.DTypeError, "float"),
        (lambda: newton(lambda x: x**2 + 1, 0.0), ValueError, "derivative is 0"),
        (lambda: newton(lambda x: x**2 + 1, 0.5), RuntimeError, "no root after 50 steps"),
        (lambda: newton(lambda x: x.sum(), [1.0, 2.0]), schuss.ShapeError, "keep the shape"),
    ],
)
def test_bad_input_is_named(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_mean_squared_error_is_symmetric_and_takes_anything():
    p, y = [1.0, 2.0, 4.0], [1.0, 1.0, 1.0]
    want = 10 / 3
    scalars = [Scalar(v) for v in p]
    for preds in (scalars, f64(p), [parameter(v) for v in p], np.array(p), p):
        for ys in (y, np.array(y), f64(y)):
            for loss in (mean_squared_error(preds, ys), mean_squared_error(ys, preds)):
                got = loss.item() if isinstance(loss, schuss.Tensor) else float(loss)
                assert got == pytest.approx(want)
    loss = mean_squared_error(y, scalars)
    loss.backward()
    assert [s.backwards_grad for s in scalars] == pytest.approx([0, 2 / 3, 2])
    rows = [parameter([v]) for v in p]
    mean_squared_error(rows, y).backward()
    assert [r.grad.item() for r in rows] == pytest.approx([0, 2 / 3, 2])


# import torch
# p = torch.tensor([0.2, 0.7, 1.0, 0.0, 1.0], dtype=torch.float64, requires_grad=True)
# y = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
# loss = torch.nn.functional.binary_cross_entropy(p, y); loss.backward()
# print(loss.item(), p.grad.tolist())
BCE_LOSS = 20.11596369905059
BCE_GRAD = [0.24999999999999994, -0.2857142857142857, 0.0, 0.0, 200000000799.16058]


def test_binary_cross_entropy_has_pytorchs_numbers():
    p, y = [0.2, 0.7, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0, 0.0]
    scalars = [Scalar(v) for v in p]
    loss = binary_cross_entropy(scalars, y)
    loss.backward()
    assert loss.value == pytest.approx(BCE_LOSS, rel=1e-14)
    assert [s.backwards_grad for s in scalars] == pytest.approx(BCE_GRAD, rel=1e-8)
    tensor = f64(p).requires_grad_()
    loss = binary_cross_entropy(tensor, f64(y))
    loss.backward()
    assert loss.item() == pytest.approx(BCE_LOSS, rel=1e-14)
    assert tensor.grad.tolist() == pytest.approx(BCE_GRAD, rel=1e-8)
    listed = [parameter(v) for v in p]
    assert binary_cross_entropy(listed, y).item() == pytest.approx(BCE_LOSS, rel=1e-14)
    assert binary_cross_entropy(p, y) == pytest.approx(BCE_LOSS, rel=1e-14)
    truth = Scalar(0.25)
    binary_cross_entropy([0.2], [truth]).backward()
    assert truth.backwards_grad == pytest.approx(math.log(0.8) - math.log(0.2))


def test_predictions_that_are_nan_make_the_loss_nan():
    for preds in ([Scalar(math.nan)], f64([math.nan]), [math.nan]):
        assert math.isnan(float(binary_cross_entropy(preds, [1.0])))


def test_a_classifier_learns():
    rng = random.Random(0)
    xs = [rng.uniform(-1, 1) for _ in range(60)]
    ys = [float(x > 0.2) for x in xs]

    class Logistic(Line):
        def __call__(self, x):
            return super().__call__(x).sigmoid()

    model = Logistic()
    losses = GradientDescent(model, binary_cross_entropy).run(xs, ys, lr=5.0, n_steps=300)
    assert losses[-1] < 0.1 < losses[0]
    a, b = model.numbers()
    assert -b / a == pytest.approx(0.2, abs=0.05)


def test_descend_returns_the_path():
    path = descend(lambda x: (x - 2) ** 2 + 1, 0.0, lr=0.3, n_steps=40)
    assert len(path) == 41
    assert path[0].item() == 0.0 and path[1].item() == pytest.approx(1.2)
    assert path[-1].item() == pytest.approx(2.0, abs=1e-9)
    assert not any(x.requires_grad for x in path)
    start = schuss.tensor([1.0, 0.5])
    saddle = descend(lambda x: x[0] ** 2 - x[1] ** 2, start, lr=0.1, n_steps=3)
    assert saddle[-1].tolist() == pytest.approx([0.8**3, 0.5 * 1.2**3])
    assert saddle[0] is not start and start.tolist() == [1.0, 0.5]
    with schuss.no_grad():
        assert len(descend(lambda x: x**2, 1.0, n_steps=2)) == 3


def test_descend_stops_where_it_flies_off():
    with pytest.warns(RuntimeWarning, match="descend: the loss is inf"):
        path = descend(lambda x: x**4, 10.0, lr=1.0, n_steps=100)
    assert 1 < len(path) < 100
    assert math.isfinite(path[-1].item())
    with pytest.warns(RuntimeWarning, match="look at the data"):
        assert len(descend(lambda x: x.sqrt(), 0.0)) == 1


def test_newton():
    assert newton(lambda x: x**2 - 2, 1.0).item() == pytest.approx(math.sqrt(2), rel=1e-15)
    root = newton(lambda x: x.cos() - x, 1)
    assert root.item() == pytest.approx(0.7390851332151607, rel=1e-14)
    assert not root.requires_grad
    both = newton(lambda x: x**2 - 2, schuss.tensor([1.0, -3.0]))
    assert both.dtype == schuss.float32
    assert both.tolist() == pytest.approx([math.sqrt(2), -math.sqrt(2)], rel=1e-6)
    assert newton(lambda x: x**3, 0.0).item() == 0.0
    with warnings.catch_warnings(), schuss.no_grad():
        warnings.simplefilter("error")
        assert newton(lambda x: x.exp() - 1, 0.5, n_steps=20).item() == pytest.approx(0, abs=1e-12)


def test_a_run_that_cannot_train_says_so() -> None:
    class Bare(schuss.Model):
        def __init__(self) -> None:
            self.a = schuss.Scalar(1)

        def forward(self, x):
            return self.a * x

    def runner(model):
        return schuss.GradientDescent(model, schuss.nn.functional.mse_loss)

    with refuses(ValueError, "Bare", "no parameters", "parameters()"):
        runner(Bare()).run([1, 2], [1, 2])
    line = runner(schuss.nn.Linear(1, 1))
    with refuses(ValueError, "n_steps", "-1"):
        line.run(schuss.ones(4, 1), schuss.ones(4, 1), n_steps=-1)
    with refuses(TypeError, "n_steps", "str"):
        line.run(schuss.ones(4, 1), schuss.ones(4, 1), n_steps="a")
    with refuses(ValueError, "(4, 1)", "(3, 1)", "lengths differ"):
        line.run(schuss.ones(4, 1), schuss.ones(3, 1))


def test_losses_ask_for_tensors() -> None:
    functional = schuss.nn.functional
    for loss in (functional.mse_loss, functional.l1_loss, functional.smooth_l1_loss):
        with refuses(TypeError, loss.__name__, "target", "list", "schuss.tensor"):
            loss(schuss.ones(3), [1, 1, 1])


def test_newton_solves_systems():
    def f(x):
        return schuss.stack([x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7])

    root = schuss.descent.newton_system(f, [1.0, 1.0])
    assert f(root).abs().max().item() < 1e-12
    assert root.dtype == schuss.float64
    near = schuss.descent.newton_system(f, schuss.tensor([1.0, 1.0]))
    assert near.dtype == schuss.float32 and near.tolist() == pytest.approx([3.0, 2.0])
    # Far out the slope of an arc tangent is nearly 0: whole steps run away, halved ones do not.
    flat = schuss.descent.newton_system(lambda x: x.atan(), [3.0, -20.0])
    assert flat.tolist() == pytest.approx([0.0, 0.0], abs=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: schuss.descent.newton_system(lambda x: x, 1.0), schuss.ShapeError, "vector"),
        (
            lambda: schuss.descent.newton_system(lambda x: x[:1], [1.0, 2.0]),
            schuss.ShapeError,
            r"maps \(2,\) to \(1,\)",
        ),
        (
            lambda: schuss.descent.newton_system(lambda x: x.sum() + 0 * x, [1.0, 2.0]),
            ValueError,
            "singular",
        ),
        (
            lambda: schuss.descent.newton_system(lambda x: x**2 + 1, [0.5], n_steps=5),
            RuntimeError,
            "no root after 5 steps",
        ),
    ],
)
def test_newton_for_systems_names_what_is_wrong(call, error, match):
    with pytest.raises(error, match=match):
        call()
