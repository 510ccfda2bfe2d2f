"""Normed, constrained, pruned and joined weights; parameters as functions of others.
Leans on schuss and NumPy; results beside PyTorch's are in test_nn_modules."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import schuss
from schuss import nn
from schuss.nn.utils import parametrizations, parametrize, prune, stateless
from schuss.testing import assert_close


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT

    def right_inverse(self, x):
        return x.triu()


class Doubled(nn.Module):
    def forward(self, x):
        return 2.0 * x

    def right_inverse(self, x):
        return x / 2.0


def rows(shape, period):
    return schuss.tensor(np.sin(np.arange(np.prod(shape)) * period).reshape(shape)).float()


# ---- parametrizations ----------------------------------------------------------------------------


def test_a_parametrized_weight_is_computed_and_trained():
    layer = nn.Linear(3, 3)
    first = layer.weight
    begun = first.detach().clone()
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    assert type(layer).__name__ == "ParametrizedLinear" and isinstance(layer, nn.Linear)
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert_close(layer.weight, layer.weight.mT)
    assert_close(layer.parametrizations.weight.original, begun.triu())
    assert [name for name, _ in layer.named_parameters()] == [
        "bias",
        "parametrizations.weight.original",
    ]
    optimizer = schuss.optim.SGD(layer.parameters(), lr=0.1)
    layer(schuss.ones(2, 3)).square().sum().backward()
    optimizer.step()
    assert_close(layer.weight, layer.weight.mT)


def test_assigning_goes_through_the_inverse():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Doubled())
    layer.weight = schuss.ones(2, 2)
    assert layer.weight.tolist() == [[1.0] * 2] * 2
    assert layer.parametrizations.weight.original.tolist() == [[0.5] * 2] * 2


def test_parametrizations_in_a_chain():
    layer = nn.Linear(2, 2)
    begun = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", Doubled())
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert_close(layer.weight, begun)
    assert_close(layer.parametrizations["weight"].original, begun / 4)


def test_what_removing_leaves():
    for kept in (True, False):
        layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Doubled())
        with schuss.no_grad():
            layer.parametrizations.weight.original.fill_(3.0)
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=kept)
        assert type(layer) is nn.Linear and list(layer.state_dict()) == ["bias", "weight"]
        assert layer.weight.tolist() == [[6.0 if kept else 3.0] * 2] * 2
        assert isinstance(layer.weight, nn.Parameter)


def test_a_buffer_can_be_parametrized():
    model = nn.Module()
    model.register_buffer("mask", schuss.ones(2))
    parametrize.register_parametrization(model, "mask", Doubled())
    assert model.mask.tolist() == [1.0, 1.0] and not list(model.parameters())
    parametrize.remove_parametrizations(model, "mask")
    assert [name for name, _ in model.named_buffers()] == ["mask"]


def test_what_changes_shape_or_dtype_is_refused_unless_meant():
    class Flat(nn.Module):
        def forward(self, x):
            return x.flatten()

    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="unsafe"):
        parametrize.register_parametrization(layer, "weight", Flat())
    assert isinstance(layer.weight, nn.Parameter) and type(layer) is nn.Linear
    parametrize.register_parametrization(layer, "weight", Flat(), unsafe=True)
    assert tuple(layer.weight.shape) == (4,)


def test_cached_weights_are_computed_once():
    calls = []

    class Counted(nn.Module):
        def forward(self, x):
            calls.append(1)
            return x + 0.0

    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Counted())
    calls.clear()
    with parametrize.cached():
        first = layer.weight
        assert layer.weight is first and len(calls) == 1
    assert layer.weight is not first and len(calls) == 2


def test_copies_states_and_pickles():
    layer = parametrizations.weight_norm(nn.Linear(3, 2))
    twin = copy.deepcopy(layer)
    assert_close(twin.weight, layer.weight)
    assert twin.parametrizations.weight.original0 is not layer.parametrizations.weight.original0
    other = parametrizations.weight_norm(nn.Linear(3, 2))
    other.load_state_dict(layer.state_dict())
    assert_close(other.weight, layer.weight)
    with pytest.raises(RuntimeError, match="state_dict"):
        pickle.dumps(layer)


def test_parametrizations_go_over_to_another_model():
    one = parametrizations.weight_norm(nn.Linear(3, 2))
    other = parametrize.transfer_parametrizations_and_params(one, nn.Linear(3, 2))
    assert_close(other.weight, one.weight)
    assert parametrize.is_parametrized(other, "weight")


def test_weight_norm_takes_states_of_the_older_form():
    with pytest.warns(FutureWarning):
        older = nn.utils.weight_norm(nn.Linear(3, 2))
    newer = parametrizations.weight_norm(nn.Linear(3, 2))
    newer.load_state_dict(older.state_dict())
    x = schuss.randn(4, 3)
    assert_close(newer(x), older(x))


@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6)])
@pytest.mark.parametrize("trivial", [True, False])
def test_orthogonal_weights_stay_orthogonal(how, shape, trivial):
    schuss.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0]).double()
    parametrizations.orthogonal(layer, "weight", how, use_trivialization=trivial)
    assert len(dict(layer.named_parameters())) == 2
    optimizer = schuss.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        w = layer.weight
        small = w @ w.mT if shape[0] < shape[1] else w.mT @ w
        assert_close(small, schuss.eye(min(shape), dtype=schuss.float64), rtol=0.0, atol=1e-9)
        optimizer.zero_grad()
        (layer.weight * rows(shape, 1.3).double()).sum().backward()
        optimizer.step()


def test_an_orthogonal_weight_is_kept_as_it_was():
    layer = nn.Linear(4, 4)
    nn.init.orthogonal_(layer.weight)
    begun = layer.weight.detach().clone()
    parametrizations.orthogonal(layer)
    assert_close(layer.weight, begun, rtol=1e-5, atol=1e-5)
    nn.init.orthogonal_(begun)
    layer.weight = begun
    assert_close(layer.weight, begun, rtol=1e-5, atol=1e-5)


# ---- norms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [nn.utils.spectral_norm, parametrizations.spectral_norm])
def test_spectral_norm_comes_to_one(make):
    schuss.manual_seed(1)
    layer = make(nn.Conv2d(3, 5, 2))
    for _ in range(50):
        layer(schuss.ones(1, 3, 2, 2))
    assert abs(np.linalg.norm(layer.weight.detach().reshape(5, -1).numpy(), 2) - 1) < 1e-3
    layer.eval()
    buffers = [value.clone() for _, value in layer.named_buffers()]
    layer(schuss.ones(1, 3, 2, 2))
    for value, before in zip(layer.buffers(), buffers, strict=True):
        assert_close(value, before)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_hooked_norms_come_and_go(name):
    layer = nn.Linear(3, 2)
    make, remove = getattr(nn.utils, name), getattr(nn.utils, f"remove_{name}")
    assert make(layer) is layer
    assert not isinstance(layer.weight, nn.Parameter)
    layer(schuss.ones(1, 3)).sum().backward()
    shown = layer.weight.detach().clone()
    with pytest.raises(RuntimeError, match="already"):
        make(layer)
    assert remove(layer) is layer and isinstance(layer.weight, nn.Parameter)
    assert_close(layer.weight, shown)
    assert list(layer.state_dict()) == ["bias", "weight"]
    with pytest.raises(ValueError, match="not under"):
        remove(layer)


def test_a_weight_norm_on_recurrent_weights_trains():
    model = parametrizations.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")
    model(schuss.randn(5, 2, 3))[0].sum().backward()
    assert all(p.grad is not None for p in model.parameters())


# ---- pruning -------------------------------------------------------------------------------------


def pruned_places(layer):
    return (layer.weight == 0).flatten().nonzero().flatten().tolist()


def test_pruning_by_size_then_by_rows_then_by_columns():
    # The places are those that PyTorch 2.15 prunes for this weight.
    layer = nn.Linear(6, 4)
    layer.weight.data.copy_(rows((4, 6), 1.3))
    prune.l1_unstructured(layer, "weight", 0.3)
    assert pruned_places(layer) == [0, 5, 7, 12, 17, 19, 22]
    prune.l1_unstructured(layer, "weight", 0.3)
    assert pruned_places(layer) == [0, 2, 3, 5, 7, 10, 12, 14, 15, 17, 19, 22]
    prune.ln_structured(layer, "weight", 1, 2, 0)
    assert pruned_places(layer) == [0, 1, 2, 3, 4, 5, 7, 10, 12, 14, 15, 17, 19, 22]
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_mask"]
    layer(schuss.ones(1, 6)).sum().backward()
    assert_close(layer.weight_orig.grad == 0, layer.weight_mask == 0)
    assert prune.is_pruned(nn.Sequential(layer))
    zeros = pruned_places(layer)
    prune.remove(layer, "weight")
    assert pruned_places(layer) == zeros and not prune.is_pruned(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]


def test_pruning_across_models():
    a, b = nn.Linear(6, 4), nn.Linear(6, 4)
    b.weight.data.mul_(100.0)
    prune.global_unstructured([(a, "weight"), (b, "weight")], prune.L1Unstructured, amount=24)
    assert int((a.weight == 0).sum()) > 20
    assert int((a.weight == 0).sum() + (b.weight == 0).sum()) == 24


def test_pruning_at_random_and_by_masks():
    layer = nn.Linear(6, 4)
    prune.random_structured(layer, "weight", 2, 1)
    assert int((layer.weight == 0).all(0).sum()) == 2
    prune.random_unstructured(layer, "weight", 3)
    assert int((layer.weight == 0).sum()) == 11
    prune.custom_from_mask(layer, "bias", schuss.tensor([1, 0, 0, 1]))
    assert layer.bias.tolist()[1:3] == [0.0, 0.0]
    for amount, error in ((1.5, ValueError), (-1, ValueError), ("half", TypeError)):
        with pytest.raises(error):
            prune.l1_unstructured(nn.Linear(2, 2), "weight", amount)
    with pytest.raises(ValueError, match="not pruned"):
        prune.remove(nn.Linear(2, 2), "weight")


# ---- layers joined, layers called with other weights ---------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("transpose", [False, True])
def test_a_convolution_takes_its_batch_norm_in(d, transpose):
    name = f"ConvTranspose{d}d" if transpose else f"Conv{d}d"
    conv = getattr(nn, name)(4, 6, 2, bias=d == 2).eval()
    bn = getattr(nn, f"BatchNorm{d}d")(6)
    x = schuss.randn(3, 4, *[4] * d)
    bn(conv(x))
    bn.eval()
    joined = nn.utils.fuse_conv_bn_eval(conv, bn, transpose)
    assert_close(joined(x), bn(conv(x)), rtol=1e-5, atol=1e-5)
    with pytest.raises(RuntimeError, match="eval"):
        nn.utils.fuse_conv_bn_eval(conv.train(), bn)


def test_a_linear_layer_takes_its_batch_norm_in():
    linear, bn = nn.Linear(3, 4), nn.BatchNorm1d(4)
    x = schuss.randn(5, 3)
    bn(linear(x))
    linear.eval(), bn.eval()
    assert_close(nn.utils.fuse_linear_bn_eval(linear, bn)(x), bn(linear(x)), rtol=1e-5, atol=1e-5)


def test_calling_with_other_weights():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    x = schuss.randn(4, 2)
    own = dict(model.state_dict())
    weight = schuss.zeros(2, 2, requires_grad=True)
    out = stateless.functional_call(model, {"0.weight": weight}, x)
    out.square().sum().backward()
    assert weight.grad is not None and model[0].weight.grad is None
    assert_close(model[0].weight, own["0.weight"])
    with pytest.raises(RuntimeError, match="missing keys"):
        stateless.functional_call(model, {"0.weight": weight}, x, strict=True)
    with pytest.raises(RuntimeError, match=r"unexpected keys: 0\.wait"):
        stateless.functional_call(model, {"0.wait": weight}, x)


def test_tied_weights_are_replaced_together():
    model = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    model["b"].weight = model["a"].weight
    model.forward = lambda x: model["b"](model["a"](x))
    x, two = schuss.ones(1, 2), 2 * schuss.eye(2)
    assert stateless.functional_call(model, {"a.weight": two}, x).tolist() == [[4.0, 4.0]]
    mixed = stateless.functional_call(model, {"a.weight": two}, x, tie_weights=False)
    assert_close(mixed, model["b"](2 * x))


def test_skipping_the_first_draws_leaves_the_generator_alone():
    schuss.manual_seed(5)
    wanted = schuss.rand(1)
    schuss.manual_seed(5)
    assert tuple(nn.utils.skip_init(nn.Conv2d, 1, 2, 3).weight.shape) == (2, 1, 3, 3)
    assert_close(schuss.rand(1), wanted)
