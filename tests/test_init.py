"""First weights, gradient clipping, and parameters as one vector.
Leans on schuss and NumPy; bounds and deviations follow from the formulas in the papers."""

import math

import numpy as np
import pytest
import schuss
from schuss import nn
from schuss.nn import init
from schuss.testing import assert_close


def test_gains():
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("leaky_relu", 1.0) == 1.0
    for wrong in ("swish", "leaky"):
        with pytest.raises(ValueError):
            init.calculate_gain(wrong)
    with pytest.raises(ValueError):
        init.calculate_gain("leaky_relu", True)


@pytest.mark.parametrize(
    ("fill_in", "deviation"),
    [
        (init.xavier_uniform_, math.sqrt(2 / (200 + 300))),
        (init.xavier_normal_, math.sqrt(2 / (200 + 300))),
        (init.kaiming_uniform_, math.sqrt(2 / 200)),
        (init.kaiming_normal_, math.sqrt(2 / 200)),
        (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="linear"), 300**-0.5),
        (lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), math.sqrt(1 / (3 * 200))),
        (init.normal_, 1.0),
        (init.uniform_, math.sqrt(1 / 12)),
    ],
)
def test_deviation_of_first_weights(fill_in, deviation):
    schuss.manual_seed(0)
    weights = nn.Parameter(schuss.empty(300, 200))
    assert fill_in(weights) is weights and weights.grad_fn is None
    assert abs(float(weights.detach().std()) / deviation - 1) < 0.02


def test_fans_count_the_field_of_a_kernel():
    bound = math.sqrt(6 / ((3 + 5) * 4))
    w = init.xavier_uniform_(schuss.empty(5, 3, 2, 2))
    assert 0.8 * bound < float(w.abs().max()) <= bound


def test_constants_and_eye():
    w = schuss.empty(2, 3)
    assert init.constant_(w, 2.5).tolist() == [[2.5] * 3] * 2
    assert init.ones_(w).sum().item() == 6.0 and init.zeros_(w).sum().item() == 0.0
    assert init.eye_(w).tolist() == [[1, 0, 0], [0, 1, 0]]
    for wrong in (init.eye_, init.xavier_normal_, init.kaiming_normal_, init.orthogonal_):
        with pytest.raises(ValueError):
            wrong(schuss.empty(3))
    with pytest.raises(ValueError):
        init.kaiming_normal_(w, mode="fan")
    with pytest.warns(UserWarning, match="no elements"):
        init.kaiming_uniform_(schuss.empty(0, 3))


@pytest.mark.parametrize(("a", "b", "mean", "std"), [(-2, 2, 0, 1), (3, 9, 0, 1), (-1, 5, 2, 3)])
def test_truncated_normal(a, b, mean, std):
    schuss.manual_seed(0)
    w = init.trunc_normal_(schuss.empty(20000, dtype=schuss.float64), mean, std, a, b).numpy()
    assert w.min() >= a and w.max() <= b
    grid = np.linspace(a, b, 100001)
    density = np.exp(-0.5 * ((grid - mean) / std) ** 2)
    expected = (grid * density).sum() / density.sum()
    assert abs(w.mean() - expected) < 0.03 * std
    with pytest.raises(ValueError):
        init.trunc_normal_(schuss.empty(2), std=0.0)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (3, 2, 2)])
def test_orthogonal(shape):
    w = init.orthogonal_(schuss.empty(*shape), gain=2.0).reshape(shape[0], -1).numpy()
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    assert_close(schuss.tensor(product), schuss.tensor(4 * np.eye(len(product), dtype="float32")))


# Gradient clipping and vectors


@pytest.mark.parametrize(
    ("order", "total"), [(2.0, 13.0), (1.0, 19.0), (math.inf, 12.0), ("inf", 12.0)]
)
def test_clip_grad_norm(order, total):
    ps = [nn.Parameter(schuss.zeros(2)), nn.Parameter(schuss.zeros(1)), nn.Parameter()]
    ps[0].grad, ps[1].grad = schuss.tensor([3.0, -4.0]), schuss.tensor([12.0])
    assert_close(nn.utils.clip_grad_norm_(ps, 2 * total, order), schuss.tensor(total))
    assert ps[0].grad.tolist() == [3.0, -4.0]
    nn.utils.clip_grad_norm_(iter(ps), total / 2, order)
    assert_close(ps[0].grad, schuss.tensor([1.5, -2.0]))
    assert_close(ps[1].grad, schuss.tensor([6.0]))
    nn.utils.clip_grad_norm_({"a": ps[0]}, 0.0)
    assert ps[0].grad.tolist() == [0.0, -0.0]


def test_clipping_a_model_itself_is_refused():
    with pytest.raises(TypeError, match=r"needs Tensors, got Linear; pass model.parameters\(\)"):
        nn.utils.clip_grad_norm_(nn.Linear(1, 1), 1.0)


def test_clip_grad_norm_of_nothing_and_of_nan():
    p = nn.Parameter(schuss.zeros(1))
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == 0.0
    p.grad = schuss.tensor([math.nan])
    with pytest.raises(RuntimeError):
        nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert math.isnan(nn.utils.clip_grad_norm_(p, 1.0).item())


def test_clip_grad_value():
    p = nn.Parameter(schuss.zeros(3))
    p.grad = schuss.tensor([-5.0, 0.5, 5.0])
    held = p.grad
    nn.utils.clip_grad_value_([p], 1.0)
    assert held.tolist() == [-1.0, 0.5, 1.0]


def test_vectors():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = nn.utils.parameters_to_vector(model.parameters())
    assert vector.shape == (13,) and vector.requires_grad
    new = schuss.arange(13.0)
    nn.utils.vector_to_parameters(new, model.parameters())
    assert model[0].weight.tolist() == [[0, 1], [2, 3], [4, 5]] and model[1].bias.item() == 12.0
    assert model[0].weight.requires_grad
    with pytest.raises(RuntimeError):
        nn.utils.vector_to_parameters(schuss.zeros(12), model.parameters())
    with pytest.raises(TypeError):
        nn.utils.vector_to_parameters([0.0] * 13, model.parameters())
