"""Models whose `parameters()` returns a dict of names to Scalars or Tensors, in every method.
Leans on schuss alone; the expected gradients follow from the definitions."""

import copy

import pytest
import schuss
from schuss import nn


class ScalarLine(schuss.Model):
    def __init__(self):
        self.a = schuss.Scalar(1)
        self.b = schuss.Scalar(1)

    def forward(self, x):
        return self.a * x + self.b

    def parameters(self):
        return {"a": self.a, "b": self.b}


class TensorLine(schuss.Model):
    def __init__(self):
        self.a = schuss.tensor([1.0], requires_grad=True)
        self.b = schuss.tensor([1.0], requires_grad=True)

    def forward(self, x):
        return self.a * x + self.b

    def parameters(self):
        return {"a": self.a, "b": self.b}


def test_scalar_model_is_called_and_trained():
    model = ScalarLine()
    assert model(42).value == 43
    loss = (model(2.0) + (-1.0)) ** 2
    loss.backward()
    assert (model.a.backwards_grad, model.b.backwards_grad) == (8.0, 4.0)
    model.gradient_update(0.125)
    assert (model.a.value, model.b.value) == (0.0, 0.5)
    model.zero_grad()
    assert model.a.backwards_grad == 0


def test_scalar_model_copies_and_loads():
    model = ScalarLine()
    kept = model.copy_parameters()
    assert list(kept) == ["a", "b"] and kept["a"] is not model.a
    loaded = {"a": schuss.Scalar(-1), "b": schuss.Scalar(-2)}
    model.load_parameters(loaded)
    assert model.a is loaded["a"] and model(1).value == -3
    assert kept["a"].value == 1
    with pytest.raises(KeyError, match="c"):
        model.load_parameters({"c": schuss.Scalar(0)})


def test_scalar_model_in_the_rest_of_the_protocol():
    model = ScalarLine()
    assert [n for n, _ in model.named_parameters()] == ["a", "b"]
    assert dict(model.state_dict()) == {"a": 1, "b": 1}
    model.load_state_dict({"a": 5, "b": schuss.tensor(6.0)})
    assert (model.a.value, model.b.value) == (5, 6.0)
    assert model.train().to(schuss.float64).requires_grad_(False).eval() is model
    assert repr(model) == "ScalarLine()"
    assert copy.deepcopy(model).a is not model.a
    other = schuss.Scalar(0)
    holder = nn.Sequential(model, nn.Identity())
    assert [n for n, _ in holder.named_parameters()] == ["0.a", "0.b"]
    assert list(holder.parameters()) == [model.a, model.b]
    assert list(holder.state_dict()) == ["0.a", "0.b"]
    holder.load_parameters({"0.a": other})
    assert model.a is other


def test_tensor_model_in_the_whole_protocol():
    model = TensorLine()
    model(schuss.tensor([2.0])).sum().backward()
    model.gradient_update(0.5)
    assert (model.a.item(), model.b.item()) == (0.0, 0.5)
    model.zero_grad()
    assert model.a.grad is None
    assert list(model.state_dict()) == ["a", "b"]
    held = model.a
    model.load_state_dict({"a": schuss.tensor([7.0]), "b": schuss.tensor([8.0])})
    assert model.a is held and held.item() == 7.0
    model.double()
    assert held.dtype == schuss.float64 and held.requires_grad
    model.requires_grad_(False)
    assert not held.requires_grad
    fresh = {"a": schuss.tensor([1.0]), "b": schuss.tensor([2.0])}
    model.load_parameters(fresh)
    assert model.a is fresh["a"]


def test_a_listing_may_lean_on_the_walk_and_on_registered_children():
    class Named(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(1, 1)
            self.free = schuss.zeros(1, requires_grad=True)

        def parameters(self):
            return {**dict(self.named_parameters()), "free": self.free}

    model = Named()
    names = ["inner.weight", "inner.bias", "free"]
    assert [n for n, _ in model.named_parameters()] == names
    assert sorted(model.state_dict()) == sorted(names)
    other = Named()
    other.load_state_dict(model.state_dict())
    assert other.inner.weight.item() == model.inner.weight.item()
    model.double()
    assert {p.dtype for _, p in model.named_parameters()} == {schuss.float64}


def test_load_parameters_of_a_listed_name_that_is_no_attribute():
    class Held(schuss.Model):
        def __init__(self):
            self.weights = [schuss.Scalar(1), schuss.Scalar(2)]

        def parameters(self):
            return {f"w{i}": w for i, w in enumerate(self.weights)}

    model = Held()
    model.load_parameters({"w1": schuss.Scalar(9)})
    assert [w.value for w in model.weights] == [1, 9] and not hasattr(model, "w1")


def test_a_listing_of_numbers_raises():
    class Wrong(schuss.Model):
        def parameters(self):
            return {"a": 1.0}

    with pytest.raises(TypeError, match="Wrong"):
        Wrong().gradient_update(0.1)


def test_parameters_overridden_in_another_way_keeps_the_walks():
    class Half(nn.Module):
        def __init__(self):
            self.bias = nn.Parameter(schuss.zeros(2))
            self.scale = nn.Parameter(schuss.ones(2))

        def parameters(self, recurse=True):
            return [self.bias]

    net = Half()
    assert [name for name, _ in net.named_parameters()] == ["bias", "scale"]
    net.requires_grad_(False)
    assert not net.bias.requires_grad and net.scale.requires_grad
