"""Layers that learn their input sizes at the first call, and tensors without a shape.
Leans on schuss; classes and reprs are PyTorch's."""

from __future__ import annotations

import copy

import pytest
import schuss
from schuss import nn
from schuss.nn.parameter import is_lazy
from schuss.nn.unshaped import LazyModuleMixin
from schuss.testing import assert_close

SHAPES = {1: (2, 3, 8), 2: (2, 3, 8, 8), 3: (2, 3, 8, 8, 8)}
LAYERS = {
    "LazyLinear": (lambda: nn.LazyLinear(4), (2, 3), nn.Linear, "in_features"),
    **{
        f"Lazy{kind}{d}d": (
            lambda kind=kind, d=d: getattr(nn, f"Lazy{kind}{d}d")(
                *((4, 3) if kind.startswith("Conv") else ())
            ),
            SHAPES[d],
            getattr(nn, f"{kind}{d}d"),
            "in_channels" if kind.startswith("Conv") else "num_features",
        )
        for kind in ("Conv", "ConvTranspose", "BatchNorm", "InstanceNorm")
        for d in (1, 2, 3)
    },
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_first_call_settles_the_shapes(name):
    make, shape, becomes, size = LAYERS[name]
    layer = make()
    assert type(layer) is getattr(nn, name) and layer.has_uninitialized_params()
    assert all(is_lazy(p) for p in layer.parameters())
    layer(schuss.randn(shape))
    assert type(layer) is becomes and getattr(layer, size) == 3
    assert not any(is_lazy(p) for p in layer.parameters())
    assert all(type(p) is nn.Parameter for p in layer.parameters())
    assert layer._model_hooks is None
    plain = becomes(3, *((4, 3) if "Conv" in name else (4,) if "Linear" in name else ()))
    shapes = {key: value.shape for key, value in layer.state_dict().items()}
    if "InstanceNorm" not in name:
        assert shapes == {key: value.shape for key, value in plain.state_dict().items()}


@pytest.mark.parametrize("name", LAYERS)
def test_a_state_settles_the_shapes_too(name):
    make, shape, becomes, _ = LAYERS[name]
    one, other = make().eval(), make().eval()
    x = schuss.randn(shape)
    one(x)
    other.load_state_dict(one.state_dict())
    assert not other.has_uninitialized_params()
    assert_close(one(x), other(x))
    assert type(other) is becomes


def test_first_weights_are_those_of_the_plain_layer():
    schuss.manual_seed(3)
    lazy = nn.LazyConv2d(4, 3)
    lazy(schuss.ones(1, 2, 5, 5))
    schuss.manual_seed(3)
    plain = nn.Conv2d(2, 4, 3)
    assert_close(lazy.weight, plain.weight)
    assert_close(lazy.bias, plain.bias)


def test_a_lazy_layer_is_copied_lazy():
    twin = copy.deepcopy(nn.LazyLinear(2, dtype=schuss.float64))
    assert twin.has_uninitialized_params()
    assert twin(schuss.ones(1, 5, dtype=schuss.float64)).dtype == schuss.float64


def test_a_tensor_without_a_shape_says_so():
    weight = nn.LazyLinear(2).weight
    for ask in (lambda: weight.shape, lambda: weight.numel(), lambda: len(weight)):
        with pytest.raises(RuntimeError, match="no shape yet"):
            ask()
    with pytest.raises(ValueError, match="no elements yet"):
        weight + 1
    assert repr(weight) == "<UninitializedParameter>"
    with pytest.raises(RuntimeError):
        nn.Linear(3, 2).load_state_dict(nn.LazyLinear(2).state_dict())


def test_a_lazy_model_trains():
    model = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(1))
    model(schuss.ones(4, 3)).sum().backward()
    assert [tuple(p.shape) for p in model.parameters()] == [(8, 3), (8,), (1, 8), (1,)]
    assert all(p.grad is not None for p in model.parameters())


def test_a_class_of_ones_own():
    class Scale(LazyModuleMixin, nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.UninitializedParameter()

        def initialize_parameters(self, x):
            self.weight.materialize((x.shape[-1],))
            nn.init.ones_(self.weight)

        def forward(self, x):
            return x * self.weight

    assert Scale()(schuss.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]


def test_buffers_without_a_shape_are_converted():
    layer = nn.LazyBatchNorm2d().double().cpu()
    assert type(layer.running_mean).__name__ == "UninitializedBuffer"
    made = layer(schuss.ones(2, 3, 4, 4, dtype=schuss.float64))
    assert made.dtype == layer.running_var.dtype == schuss.float64
    assert type(layer) is nn.BatchNorm2d and layer.running_mean.shape == (3,)
