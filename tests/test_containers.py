"""Sequential, ModuleList, ModuleDict, ParameterList and ParameterDict as containers.
Leans on schuss alone."""

from collections import OrderedDict

import pytest
import schuss
from schuss import nn


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
        model + a
    with pytest.raises(TypeError):
        nn.Sequential(lambda x: x)
    with pytest.raises(ValueError):
        model * 0


def test_sequential_of_names():
    model = nn.Sequential(OrderedDict(one=nn.Linear(1, 2), act=nn.ReLU(), two=nn.Linear(2, 1)))
    assert model(schuss.ones(3, 1)).shape == (3, 1)
    assert model.act is model[1]
    assert next(iter(model.state_dict())) == "one.weight"
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
    assert isinstance(layers[:2], nn.ModuleList) and len(layers + layers[:1]) == 4
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
    assert repr(weights[1:2]).endswith("[schuss.FloatTensor of size 3]\n)")
    with pytest.raises(IndexError):
        weights[3]
    named = nn.ParameterDict({"x": schuss.zeros(1)})
    named["y"] = schuss.ones(1)
    assert list(named) == ["x", "y"] and list(named.state_dict()) == ["x", "y"]
    assert named.pop("x").shape == (1,) and "x" not in named
    assert list((named | {"z": schuss.zeros(1)}).keys()) == ["y", "z"]
    assert named.get("q", 5) == 5 and list(dict(named.items())) == ["y"]


def test_parameters_of_a_plain_dict_are_ordered_by_name():
    """As PyTorch 2.15 lists them, so that states of optimisers fit each other."""
    from collections import OrderedDict

    def given(names):
        return [(name, nn.Parameter(schuss.zeros(1))) for name in names]

    held = nn.ParameterDict(dict(given("ba")))
    held.update(dict(given("zc")))
    assert list(held) == ["a", "b", "c", "z"]
    assert list(nn.ParameterDict(given("ba"))) == ["b", "a"]
    assert list(nn.ParameterDict(OrderedDict(given("ba")))) == ["b", "a"]
    held = nn.ParameterDict(dict(given("qe")))
    held["a"] = nn.Parameter(schuss.zeros(1))
    assert list(held) == ["e", "q", "a"] and list(nn.ParameterDict(held)) == ["e", "q", "a"]


def test_the_layer_that_fails_is_named():
    inner = nn.Sequential(nn.ReLU(), nn.Linear(4, 3))
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), inner)
    with pytest.raises(schuss.ShapeError, match=r"^linear: input ") as caught:
        model(schuss.ones(2, 3))
    first, second = caught.value.__notes__
    assert first == "in Sequential['1'], Linear(in_features=4, out_features=3, bias=True)"
    assert second == "in Sequential['2'], Sequential()"
    named = nn.Sequential({"norm": nn.BatchNorm1d(3)})
    with pytest.raises(ValueError, match="more than 1 value a channel") as caught:
        named(schuss.ones(1, 3))
    assert caught.value.__notes__[0].startswith("in Sequential['norm'], BatchNorm1d(3, ")
