"""Layers, losses, functions, initialisation and clipping against values made with PyTorch.
Leans on schuss and NumPy; layers.json holds what `layer_values` and `loss_values` below return
under PyTorch 2.15 (this file with `import torch as schuss` and `from torch import nn`)."""

import json
import math
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import schuss
from schuss import nn
from schuss.nn import functional as F
from schuss.nn import init
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


# Containers


def test_sequential_as_a_list():
    a, b, c, d = (nn.Linear(1, 1) for _ in range(4))
    model = nn.Sequential(a, b)
    assert model.append(c) is model and list(model) == [a, b, c] and model[-1] is c
    assert list(model[1:]) == [b, c] and isinstance(model[1:], nn.Sequential)
    model[0] = d
    assert list(model) == [d, b, c]
    del model[1]
    assert list(model) == [d, c] and list(model._modules) == ["0", "1"]
    model.insert(1, a)
    assert list(model) == [d, a, c] and list(model._modules) == ["0", "1", "2"]
    assert model.pop(0) is d and list(model) == [a, c]
    assert list(model + nn.Sequential(b)) == [a, c, b] and len(model * 2) == 4
    assert list(model.extend([b])) == [a, c, b]
    for index in (3, -4):
        with pytest.raises(IndexError):
            model[index]
    with pytest.raises(TypeError):
        model + [a]
    with pytest.raises(TypeError):
        nn.Sequential(lambda x: x)
    with pytest.raises(ValueError):
        model * 0


def test_sequential_of_names():
    model = nn.Sequential(OrderedDict(one=nn.Linear(1, 2), act=nn.ReLU(), two=nn.Linear(2, 1)))
    assert model(schuss.ones(3, 1)).shape == (3, 1)
    assert model.act is model[1]
    assert list(model.state_dict())[0] == "one.weight"
    del model[1]
    assert list(model._modules) == ["one", "two"]


def test_module_list():
    layers = nn.ModuleList([nn.Linear(1, 1) for _ in range(3)])
    assert len(list(layers.parameters())) == 6
    assert repr(layers).count("3 x Linear") == 1
    layers += [nn.ReLU()]
    layers.insert(0, nn.Tanh())
    assert [type(m).__name__ for m in layers] == ["Tanh", "Linear", "Linear", "Linear", "ReLU"]
    del layers[1:3]
    assert list(layers._modules) == ["0", "1", "2"]
    assert isinstance(layers[:2], nn.ModuleList) and len(layers + [nn.ReLU()]) == 4
    with pytest.raises(NotImplementedError):
        layers(1)
    with pytest.raises(TypeError):
        layers.extend(3)


def test_module_dict():
    models = nn.ModuleDict({"a": nn.Linear(1, 1)})
    models["b"] = nn.ReLU()
    models.update([("c", nn.Tanh())])
    assert list(models) == ["a", "b", "c"] and "b" in models and len(models) == 3
    assert [name for name, _ in models.named_parameters()] == ["a.weight", "a.bias"]
    assert isinstance(models.pop("b"), nn.ReLU) and list(models.keys()) == ["a", "c"]
    del models["c"]
    assert [type(m).__name__ for m in models.values()] == ["Linear"]
    models.clear()
    assert len(models) == 0
    for error, entries in ((TypeError, 3), (ValueError, [("a", nn.ReLU(), 1)])):
        with pytest.raises(error):
            models.update(entries)
    with pytest.raises(KeyError):
        models["a"]


def test_parameter_list_and_dict():
    weights = nn.ParameterList([schuss.zeros(2), nn.Parameter(schuss.ones(3))])
    weights.append(schuss.zeros(()))
    weights[0] = schuss.ones(2)
    assert [name for name, _ in weights.named_parameters()] == ["0", "1", "2"]
    assert isinstance(weights[0], nn.Parameter) and weights[-1].shape == ()
    assert len(weights[1:]) == 2 and len(list(weights)) == 3
    assert repr(weights[1:2]).endswith(f"[{schuss.float32} of size 3]\n)")
    with pytest.raises(IndexError):
        weights[3]
    named = nn.ParameterDict({"x": schuss.zeros(1)})
    named["y"] = schuss.ones(1)
    assert list(named) == ["x", "y"] and list(named.state_dict()) == ["x", "y"]
    assert named.pop("x").shape == (1,) and "x" not in named
    assert list((named | {"z": schuss.zeros(1)}).keys()) == ["y", "z"]
    assert named.get("q", 5) == 5 and list(dict(named.items())) == ["y"]


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
    with pytest.raises(ValueError):
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


# Initialisation


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
