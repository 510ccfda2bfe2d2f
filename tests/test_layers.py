"""Layers, losses and functions against values made with PyTorch.
Leans on schuss and NumPy; layers.json holds what `layer_values` and `loss_values` below return
under PyTorch 2.15 (this file with `import torch as schuss` and `from torch import nn`)."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import schuss
from schuss import nn
from schuss.nn import functional as F
from schuss.testing import assert_close

VALUES = json.loads(Path(__file__).with_name("layers.json").read_text())

X = schuss.tensor([[-2.0, -0.5, 0.1], [0.25, 1.0, 3.0]])
T = schuss.tensor([[0.0, -1.0, 0.5], [0.25, 2.0, 1.0]])
P = schuss.tensor([[0.1, 0.7, 0.2], [0.3, 0.3, 0.4]])
C = schuss.tensor([2, 0])
W = schuss.tensor([0.5, 1.0, 2.0])

LAYERS = {
    "linear": lambda: nn.Linear(3, 2),
    "linear without bias": lambda: nn.Linear(3, 2, bias=False),
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky relu": lambda: nn.LeakyReLU(0.1),
    "prelu": lambda: nn.PReLU(3),
    "elu": lambda: nn.ELU(0.5),
    "celu": lambda: nn.CELU(0.5),
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "gelu by tanh": lambda: nn.GELU("tanh"),
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "tanh": nn.Tanh,
    "tanhshrink": nn.Tanhshrink,
    "sigmoid": nn.Sigmoid,
    "log sigmoid": nn.LogSigmoid,
    "softsign": nn.Softsign,
    "softplus": nn.Softplus,
    "steep softplus": lambda: nn.Softplus(2.0, 3.0),
    "hardtanh": lambda: nn.Hardtanh(-1.5, 2.0),
    "softmax of rows": lambda: nn.Softmax(1),
    "softmax of columns": lambda: nn.Softmax(0),
    "softmin": lambda: nn.Softmin(-1),
    "log softmax": lambda: nn.LogSoftmax(-1),
    "layer norm": lambda: nn.LayerNorm(3),
    "layer norm without weights": lambda: nn.LayerNorm(3, elementwise_affine=False),
    "batch norm": lambda: nn.BatchNorm1d(3, eps=0.1),
    "flatten": lambda: nn.Flatten(0),
    "unflatten": lambda: nn.Unflatten(1, (3, 1)),
    "two layers": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)),
}

LOSSES = {
    "mse": (nn.MSELoss, {}, X, T),
    "l1": (nn.L1Loss, {}, X, T + 0.01),
    "smooth l1": (nn.SmoothL1Loss, {}, X, T),
    "smooth l1, beta": (nn.SmoothL1Loss, {"beta": 0.5}, X, T),
    "huber": (nn.HuberLoss, {"delta": 0.7}, X, T),
    "bce": (nn.BCELoss, {}, P, (T > 0).float()),
    "bce, weight": (nn.BCELoss, {"weight": W}, P, (T > 0).float()),
    "logits": (nn.BCEWithLogitsLoss, {}, X, P),
    "logits, weights": (nn.BCEWithLogitsLoss, {"weight": W, "pos_weight": 2 * W}, X, P),
    "nll": (nn.NLLLoss, {}, X, C),
    "nll, weight": (nn.NLLLoss, {"weight": W}, X, C),
    "nll, ignore": (nn.NLLLoss, {"ignore_index": 2}, X, C),
    "cross entropy": (nn.CrossEntropyLoss, {}, X, C),
    "cross entropy, weight": (nn.CrossEntropyLoss, {"weight": W}, X, C),
    "cross entropy, smooth": (nn.CrossEntropyLoss, {"weight": W, "label_smoothing": 0.1}, X, C),
    "cross entropy, ignore": (nn.CrossEntropyLoss, {"ignore_index": 0}, X, C),
    "cross entropy, soft": (nn.CrossEntropyLoss, {}, X, P),
    "cross entropy, soft smooth": (
        nn.CrossEntropyLoss,
        {"weight": W, "label_smoothing": 0.2},
        X,
        P,
    ),
    "kl": (nn.KLDivLoss, {}, X, P),
    "kl, log target": (nn.KLDivLoss, {"log_target": True}, X, T),
}


def fill(model):
    with schuss.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(schuss.cos(schuss.arange(p.numel()) + i).reshape(p.shape))
    return model


def layer_values(name):
    model = fill(LAYERS[name]())
    x = X.clone().requires_grad_()
    y = model(x)
    slope = schuss.arange(1, y.numel() + 1).reshape(y.shape) / y.numel()
    (y * slope).sum().backward()
    grads = [x.grad, *(p.grad for p in model.parameters())]
    return [value.flatten().tolist() for value in (y, *grads)]


def loss_values(name):
    kind, options, x, target = LOSSES[name]
    losses = []
    for reduction in ("none", "sum", "mean"):
        x = x.detach().clone().requires_grad_()
        losses.append(kind(**options, reduction=reduction)(x, target))
    losses[-1].backward()
    return [value.flatten().tolist() for value in (*losses, x.grad)]


def compare(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert_close(schuss.tensor(a), schuss.tensor(b))


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    compare(layer_values(name), VALUES["layers"][name])


@pytest.mark.filterwarnings("ignore:.*batchmean")
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    compare(loss_values(name), VALUES["losses"][name])


@pytest.mark.parametrize("name", LAYERS)
def test_layers_keep_float64(name):
    model = LAYERS[name]().double()
    assert model(X.double()).dtype == schuss.float64


# Layers


@pytest.mark.parametrize("kind", [nn.ReLU, nn.ReLU6, nn.SiLU, nn.SELU, nn.Mish])
def test_activations_in_place(kind):
    x = X.clone()
    expected = kind()(X)
    assert kind(inplace=True)(x) is x
    assert_close(x, expected)
    assert repr(kind(inplace=True)) == f"{kind.__name__}(inplace=True)"


def test_first_weights_of_linear_fill_their_bound():
    schuss.manual_seed(0)
    layer = nn.Linear(100, 200)
    for p in (layer.weight, layer.bias):
        largest = float(p.detach().abs().max())
        assert 0.09 < largest <= 0.1
    assert abs(float(layer.weight.detach().mean())) < 0.002


def test_linear_takes_any_number_of_axes():
    layer = fill(nn.Linear(3, 2))
    batch = schuss.randn(4, 5, 3)
    assert layer(batch).shape == (4, 5, 2)
    assert_close(layer(batch)[1, 2], layer(batch[1, 2]))
    with pytest.raises(RuntimeError):
        layer(schuss.ones(2, 4))


def test_settings_are_shown():
    shown = {
        nn.Linear(3, 2, bias=False): "Linear(in_features=3, out_features=2, bias=False)",
        nn.Bilinear(1, 2, 3): (
            "Bilinear(in1_features=1, in2_features=2, out_features=3, bias=True)"
        ),
        nn.Dropout(0.2): "Dropout(p=0.2, inplace=False)",
        nn.Flatten(): "Flatten(start_dim=1, end_dim=-1)",
        nn.Unflatten(1, (2, 3)): "Unflatten(dim=1, unflattened_size=(2, 3))",
        nn.LeakyReLU(): "LeakyReLU(negative_slope=0.01)",
        nn.ELU(): "ELU(alpha=1.0)",
        nn.GELU(): "GELU(approximate='none')",
        nn.Softplus(): "Softplus(beta=1.0, threshold=20.0)",
        nn.Softmax(1): "Softmax(dim=1)",
        nn.Embedding(5, 2, padding_idx=-1): "Embedding(5, 2, padding_idx=4)",
        nn.Hardtanh(): "Hardtanh(min_val=-1.0, max_val=1.0)",
        nn.MSELoss(): "MSELoss()",
    }
    for layer, text in shown.items():
        assert repr(layer) == text


def test_bilinear():
    layer = fill(nn.Bilinear(2, 3, 4))
    x, y = schuss.randn(5, 2), schuss.randn(5, 3)
    expected = np.einsum("bn,knm,bm->bk", x, layer.weight.detach(), y) + layer.bias.detach().numpy()
    assert_close(layer(x, y).detach(), schuss.tensor(expected))
    with pytest.raises(RuntimeError):
        layer(x, schuss.ones(4, 3))
    with pytest.raises(RuntimeError):
        layer(y, x)
    with pytest.raises(ValueError):
        nn.Bilinear(0, 3, 4)


def test_dropout():
    schuss.manual_seed(0)
    drop = nn.Dropout(0.25)
    ones = schuss.ones(10000)
    dropped = drop(ones)
    kept = dropped != 0
    assert abs(float(kept.float().mean()) - 0.75) < 0.02
    assert_close(dropped[kept], schuss.full((int(kept.sum()),), 4 / 3))
    assert drop.eval()(ones) is ones
    assert_close(nn.Dropout(0.0)(ones), ones)
    assert_close(nn.Dropout(1.0)(ones), schuss.zeros(10000))
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError):
            nn.Dropout(p)


def test_flatten_and_unflatten():
    x = schuss.randn(2, 3, 4)
    assert nn.Flatten()(x).shape == (2, 12)
    assert nn.Flatten(0, 1)(x).shape == (6, 4)
    assert nn.Unflatten(2, (2, -1))(x).shape == (2, 3, 2, 2)
    assert nn.Unflatten(-2, (3, 1))(x).shape == (2, 3, 1, 4)
    with pytest.raises(RuntimeError):
        nn.Unflatten(1, (2, 2))(x)
    with pytest.raises(TypeError):
        nn.Unflatten(1, (2, 1.5))


def test_embedding():
    table = nn.Embedding(5, 2, padding_idx=1)
    assert table.weight[1].tolist() == [0.0, 0.0]
    out = table(schuss.tensor([[1, 3], [3, 0]]))
    assert out.shape == (2, 2, 2)
    out.sum().backward()
    assert table.weight.grad.tolist() == [[1, 1], [0, 0], [0, 0], [2, 2], [0, 0]]
    given = nn.Embedding.from_pretrained(schuss.ones(3, 2))
    assert not given.weight.requires_grad and given.num_embeddings == 3
    with pytest.raises(IndexError):
        table(schuss.tensor([5]))


def test_batch_norm_keeps_running_values():
    layer = nn.BatchNorm1d(2)
    batch = schuss.tensor([[1.0, 10.0], [3.0, 30.0]])
    layer(batch)
    # 0.9 * start + 0.1 * batch; the variance that is kept divides by n - 1.
    assert_close(layer.running_mean, schuss.tensor([0.2, 2.0]))
    assert_close(layer.running_var, schuss.tensor([1.1, 20.9]))
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    expected = (batch - schuss.tensor([0.2, 2.0])) / (schuss.tensor([1.1, 20.9]) + 1e-5) ** 0.5
    assert_close(layer(batch).detach(), expected)
    assert layer.num_batches_tracked.item() == 1
    mean = nn.BatchNorm1d(2, momentum=None)
    mean(batch), mean(batch + 2)
    assert_close(mean.running_mean, schuss.tensor([3.0, 21.0]))
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0.0, 0.0]


def test_batch_norm_over_three_axes_and_its_errors():
    layer = nn.BatchNorm1d(3)
    out = layer(schuss.randn(4, 3, 5)).detach()
    assert_close(out.mean((0, 2)), schuss.zeros(3))
    for shape in ((3,), (2, 3, 4, 5), (1, 3)):
        with pytest.raises(ValueError):
            layer(schuss.ones(*shape))
    with pytest.raises(RuntimeError):
        layer(schuss.ones(2, 4))


# Losses and functions


def test_older_reduction_switches():
    for options, expected in (
        ({"size_average": False}, "sum"),
        ({"reduce": False}, "none"),
        ({"size_average": True}, "mean"),
        ({"reduce": True, "size_average": False}, "sum"),
    ):
        assert nn.MSELoss(**options).reduction == expected


@pytest.mark.parametrize("kind", [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss])
def test_shapes_that_differ_warn(kind):
    with pytest.warns(UserWarning, match=r"size|shape|broadcast"):
        kind()(schuss.ones(4, 1), schuss.ones(4))


def test_losses_refuse_bad_targets():
    logits = schuss.zeros(2, 3)
    for target in ([0, 3], [-1, 0]):
        with pytest.raises(IndexError):
            F.cross_entropy(logits, schuss.tensor(target))
        with pytest.raises(IndexError):
            F.nll_loss(logits, schuss.tensor(target))
    with pytest.raises(ValueError):
        F.cross_entropy(logits, schuss.tensor([0, 1, 2]))
    with pytest.raises(ValueError):
        F.binary_cross_entropy(schuss.full((2,), 0.5), schuss.ones(3))
    with pytest.raises(ValueError):
        F.binary_cross_entropy_with_logits(schuss.zeros(2), schuss.ones(3))
    with pytest.raises(RuntimeError):
        F.binary_cross_entropy(schuss.full((2,), 1.5), schuss.ones(2))
    for loss in (F.smooth_l1_loss, F.mse_loss, F.huber_loss):
        with pytest.raises(ValueError):
            loss(logits, logits, reduction="average")
    with pytest.raises(RuntimeError):
        F.huber_loss(logits, logits, delta=0.0)
    with pytest.raises(RuntimeError):
        F.smooth_l1_loss(logits, logits, beta=-1.0)


def test_huber_with_weights():
    x, weight = schuss.tensor([3.0, 0.5]), schuss.tensor([1.0, 3.0])
    loss = F.huber_loss(x, schuss.zeros(2), weight=weight)
    assert_close(loss, schuss.tensor((2.5 + 3 * 0.125) / 4))
    with pytest.raises(ValueError):
        F.huber_loss(x, schuss.zeros(2), weight=schuss.ones(3))


def test_kl_div_of_zero_probability_is_finite():
    x = schuss.tensor([[0.5, 0.5]]).log().requires_grad_()
    p = schuss.tensor([[1.0, 0.0]])
    loss = F.kl_div(x, p, reduction="batchmean")
    loss.backward()
    assert_close(loss.detach(), schuss.tensor(math.log(2)))
    assert x.grad.tolist() == [[-1.0, 0.0]]
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(x, p)


def test_one_hot():
    assert F.one_hot(schuss.tensor([[0], [2]])).tolist() == [[[1, 0, 0]], [[0, 0, 1]]]
    assert F.one_hot(schuss.tensor([1]), 4).dtype == schuss.int64
    for classes, count in (([-1], 3), ([3], 3)):
        with pytest.raises(RuntimeError):
            F.one_hot(schuss.tensor(classes), count)
    with pytest.raises(RuntimeError):
        F.one_hot(schuss.tensor([0.0]))


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "edge", "wrap", "constant"])
def test_pad_as_numpy_pads(mode):
    name = {"edge": "replicate", "wrap": "circular"}.get(mode, mode)
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    if mode == "symmetric":
        with pytest.raises(NotImplementedError):
            F.pad(schuss.tensor(x), (1, 1), name)
        return
    options = {"constant_values": 0.5} if mode == "constant" else {}
    expected = np.pad(x, ((0, 0), (0, 0), (2, 1), (1, 2)), mode, **options)
    value = 0.5 if mode == "constant" else None
    assert_close(F.pad(schuss.tensor(x), (1, 2, 2, 1), name, value), schuss.tensor(expected))


def test_pad_crops_and_passes_gradients():
    x = schuss.ones(2, 3, requires_grad=True)
    y = F.pad(x, (-1, 2))
    assert y.shape == (2, 4)
    y.sum().backward()
    assert x.grad.tolist() == [[0, 1, 1], [0, 1, 1]]
    for widths in ((1,), (1, 1, 1, 1, 1, 1), (-2, -2)):
        with pytest.raises(RuntimeError):
            F.pad(x, widths)
    with pytest.raises(RuntimeError):
        F.pad(x[None], (3, 0), "reflect")


def test_distances():
    x, y = schuss.tensor([[3.0, 4.0]]), schuss.tensor([[4.0, -3.0]])
    assert_close(F.normalize(x), schuss.tensor([[0.6, 0.8]]))
    assert_close(F.normalize(schuss.zeros(1, 2)), schuss.zeros(1, 2))
    assert_close(nn.CosineSimilarity()(x, y), schuss.zeros(1))
    assert_close(nn.PairwiseDistance(eps=0.0)(x, y), schuss.tensor([math.sqrt(50)]))
    assert nn.PairwiseDistance(p=1, eps=0.0, keepdim=True)(x, y).tolist() == [[8.0]]


@pytest.mark.parametrize(("name", "power"), [("mse_loss", 2), ("l1_loss", 1)])
def test_a_weighted_mean_is_divided_by_the_weights(name, power):
    loss = getattr(nn.functional, name)
    x, y = schuss.tensor([1.0, 4.0]), schuss.tensor([0.0, 1.0])
    w = schuss.tensor([1.0, 3.0])
    each = loss(x, y, reduction="none")
    assert each.tolist() == [1.0, 3.0**power]
    assert loss(x, y, weight=w).item() == pytest.approx((each * w).sum().item() / 4.0)
    assert loss(x, y, weight=w, reduction="sum").item() == pytest.approx((each * w).sum().item())
    with pytest.raises(ValueError, match=r"weight \(3,\) for losses \(2,\)"):
        loss(x, y, weight=schuss.ones(3))
