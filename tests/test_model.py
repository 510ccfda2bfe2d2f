"""Model: registration, walks, calling, training methods, placement, copies and pickles.
Leans on schuss and NumPy; the expected orders and gradients follow from the definitions."""

import copy
import gc
import pickle
import warnings
import weakref
from collections import OrderedDict

import numpy as np
import pytest
import schuss
from schuss import nn


class Block(nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.scale = nn.Parameter(schuss.ones(width))
        self.register_buffer("count", schuss.zeros(1))

    def forward(self, x):
        return self.linear(x) * self.scale


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.second = Block()
        self.bias = nn.Parameter(schuss.zeros(2))

    def forward(self, x, shift=0.0):
        return self.second(self.first(x)) + self.bias + shift


class BareLine(schuss.Model):
    def __init__(self):
        self.w = nn.Parameter(schuss.tensor([3.0]))

    def forward(self, x):
        return self.w * x


NAMES = [
    "bias",
    "first.scale",
    "first.linear.weight",
    "first.linear.bias",
    "second.scale",
    "second.linear.weight",
    "second.linear.bias",
]


def numbers(tensor):
    return tensor.detach().numpy()


# Registration and walks


def test_names_come_in_order_of_assignment_own_first():
    assert [name for name, _ in Net().named_parameters()] == NAMES
    assert [name for name, _ in Net().named_buffers()] == ["first.count", "second.count"]
    assert [name for name, _ in Net().named_children()] == ["first", "second"]
    assert [name for name, _ in Net().named_modules()] == [
        "",
        "first",
        "first.linear",
        "second",
        "second.linear",
    ]


def test_prefix_and_recurse():
    assert [n for n, _ in Net().named_parameters("net")] == [f"net.{name}" for name in NAMES]
    assert [n for n, _ in Net().named_parameters(recurse=False)] == ["bias"]
    assert len(list(Net().parameters(recurse=False))) == 1
    assert [n for n, _ in Net().named_buffers("net", recurse=False)] == []
    assert [n for n, _ in Net().first.named_buffers("x", recurse=False)] == ["x.count"]


def test_shared_parameters_and_modules_are_walked_once():
    net = Net()
    net.second.linear.weight = net.first.linear.weight
    net.third = net.first
    assert len(list(net.parameters())) == 6
    assert len([n for n, _ in net.named_parameters(remove_duplicate=False)]) == 10
    assert len(list(net.children())) == 2
    assert len(list(net.modules())) == 5
    assert "third.scale" in net.state_dict()


def test_init_of_the_base_is_not_needed():
    model = BareLine()
    assert model(schuss.tensor([2.0])).item() == 6.0
    assert [n for n, _ in model.named_parameters()] == ["w"]


def test_attributes_and_registries_agree():
    block = Block()
    assert block.scale is block._parameters["scale"]
    assert vars(block)["linear"] is block._modules["linear"]
    replacement = nn.Linear(2, 2)
    block._modules["linear"] = replacement
    assert block.linear is replacement
    del block.scale
    assert "scale" not in block._parameters and not hasattr(block, "scale")
    del block._buffers["count"]
    assert not hasattr(block, "count")
    with pytest.raises(AttributeError):
        del block.scale
    with pytest.raises(KeyError):
        del block._modules["scale"]


def test_a_name_may_change_its_kind():
    block = Block()
    block.linear = nn.Parameter(schuss.ones(1))
    assert list(block._modules) == [] and "linear" in block._parameters
    block.count = nn.Parameter(schuss.ones(1))
    assert list(block._buffers) == [] and "count" in block._parameters


def test_none_keeps_the_place():
    layer = nn.Linear(2, 2)
    layer.bias = None
    assert [n for n, _ in layer.named_parameters()] == ["weight"]
    layer.bias = nn.Parameter(schuss.zeros(2))
    assert [n for n, _ in layer.named_parameters()] == ["weight", "bias"]
    assert nn.Linear(2, 2, bias=False).bias is None
    block = Block()
    block.linear = None
    block.count = None
    assert list(block.children()) == [] and list(block.buffers()) == []


def test_assigning_another_kind_of_value_raises():
    block = Block()
    for name, value in (
        ("scale", schuss.ones(2)),
        ("scale", 1.0),
        ("linear", lambda x: x),
        ("count", 3),
    ):
        with pytest.raises(TypeError, match=name):
            setattr(block, name, value)
    block.count = schuss.ones(1)
    assert block._buffers["count"].item() == 1.0


def test_bad_registrations_raise():
    model = nn.Module()
    for register, value in (
        (model.register_parameter, nn.Parameter(schuss.ones(1))),
        (model.register_buffer, schuss.ones(1)),
        (model.add_module, nn.Identity()),
    ):
        with pytest.raises(TypeError):
            register(3, value)
        with pytest.raises(TypeError):
            register("name", "text")
        with pytest.raises(KeyError):
            register("a.b", value)
        with pytest.raises(KeyError):
            register("", value)
        with pytest.raises(KeyError, match="forward"):
            register("forward", value)
    with pytest.raises(TypeError):
        model.register_parameter("plain", schuss.ones(1))


def test_buffers_persistent_or_not():
    model = nn.Module()
    model.register_buffer("kept", schuss.ones(1))
    model.register_buffer("passing", schuss.ones(1), persistent=False)
    model.also = nn.Buffer(schuss.zeros(1))
    model.never = nn.Buffer(schuss.zeros(1), persistent=False)
    assert [n for n, _ in model.named_buffers()] == ["kept", "passing", "also", "never"]
    assert list(model.state_dict()) == ["kept", "also"]
    assert list(model.parameters()) == []
    model.passing = schuss.zeros(1)
    assert list(model.state_dict()) == ["kept", "also"]


def test_parameter_is_a_leaf_that_requires_grad():
    data = schuss.ones(2)
    p = nn.Parameter(data)
    assert isinstance(p, schuss.Tensor) and p.requires_grad and p.is_leaf
    data[0] = 5.0
    assert numbers(p).tolist() == [5.0, 1.0]
    assert not nn.Parameter(schuss.ones(1), requires_grad=False).requires_grad
    assert nn.Parameter(data * nn.Parameter(data)).is_leaf
    assert not isinstance(p * 2, nn.Parameter)
    assert nn.Parameter().shape == (0,)
    assert repr(p) == "Parameter containing:\ntensor([5., 1.], requires_grad=True)"


def test_parameter_refuses_arrays():
    with pytest.raises(TypeError, match="ndarray"):
        nn.Parameter(np.ones(2))


def test_dotted_paths():
    net = Net()
    assert net.get_submodule("first.linear") is net.first.linear
    assert net.get_submodule("") is net
    assert net.get_parameter("second.linear.weight") is net.second.linear.weight
    assert net.get_buffer("first.count") is net.first.count
    for get, path in (
        (net.get_submodule, "first.nothing"),
        (net.get_submodule, "bias"),
        (net.get_parameter, "first.count"),
        (net.get_parameter, "first"),
        (net.get_buffer, "first.scale"),
    ):
        with pytest.raises(AttributeError):
            get(path)
    net.set_submodule("first.linear", nn.Identity())
    assert isinstance(net.first.linear, nn.Identity)


def test_dir_lists_registered_names_that_python_can_spell():
    assert {"scale", "linear", "count", "forward"} <= set(dir(Block()))
    assert "0" not in dir(nn.Sequential(nn.Identity()))


def test_repr():
    net = nn.Sequential(OrderedDict(body=nn.Sequential(nn.Linear(2, 3), nn.ReLU()), end=Block()))
    assert repr(net) == (
        "Sequential(\n"
        "  (body): Sequential(\n"
        "    (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "    (1): ReLU()\n"
        "  )\n"
        "  (end): Block(\n"
        "    (linear): Linear(in_features=2, out_features=2, bias=True)\n"
        "  )\n"
        ")"
    )

    class Told(nn.Sequential):
        def extra_repr(self):
            return "a=1\nb=2"

    assert repr(Told()) == "Told(\n  a=1\n  b=2\n)"
    assert repr(Told(nn.ReLU())) == "Told(\n  a=1\n  b=2\n  (0): ReLU()\n)"


# Calling


def test_a_model_without_forward_names_itself():
    class Nothing(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Nothing"):
        Nothing()(1)


def test_forward_may_be_replaced_on_the_instance():
    model = nn.Identity()
    model.forward = lambda x: x + 1
    assert model(1) == 2


def test_models_are_freed_without_the_collector():
    gc.disable()
    try:
        net = Net()
        list(net._parameters), net.state_dict()
        watched = weakref.ref(net)
        del net
        assert watched() is None
    finally:
        gc.enable()


# Training methods


def test_apply_goes_deepest_first():
    seen = []
    Net().apply(lambda model: seen.append(type(model).__name__))
    assert seen == ["Linear", "Block", "Linear", "Block", "Net"]


def test_train_and_eval():
    net = Net()
    assert net.training and net.eval() is net
    assert not any(model.training for model in net.modules())
    net.first.train()
    assert net.first.linear.training and not net.second.training
    with pytest.raises(ValueError):
        net.train(1)


def test_requires_grad_and_zero_grad():
    net = Net()
    net(schuss.ones(1, 2)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all((numbers(p.grad) == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert net.requires_grad_(False) is net
    assert not any(p.requires_grad for p in net.parameters())


def test_zero_grad_fills_in_place_and_cuts_the_graph():
    model = BareLine()
    (model.w.grad,) = schuss.autograd.grad((model.w**3).sum(), model.w, create_graph=True)
    model.zero_grad(set_to_none=False)
    assert model.w.grad.item() == 0.0 and not model.w.grad.requires_grad


def test_gradient_update_subtracts_the_gradient():
    model = BareLine()
    (model(schuss.tensor([2.0])) ** 2).sum().backward()  # d/dw (2w)^2 = 8w = 24
    model.gradient_update(0.125)
    assert model.w.item() == 0.0
    assert model.w.requires_grad and model.w.is_leaf


def test_copy_and_load_parameters_of_registered_ones():
    net = Net()
    held = net.first.linear.weight
    best = net.copy_parameters()
    before = numbers(held).copy()
    assert list(best) == NAMES and best["first.linear.weight"] is not held
    with schuss.no_grad():
        held.add_(1.0)
    assert (numbers(best["first.linear.weight"]) == before).all()
    net.load_parameters(best)
    assert net.first.linear.weight is held and (numbers(held) == before).all()
    with schuss.no_grad():
        held.add_(1.0)
    assert (numbers(best["first.linear.weight"]) == before).all()
    net.load_parameters({"bias": schuss.tensor([1.0, 2.0])})
    assert numbers(net.bias).tolist() == [1.0, 2.0] and isinstance(net.bias, nn.Parameter)


def test_load_parameters_checks_first():
    net = Net()
    good = schuss.ones(2)
    with pytest.raises(KeyError, match="nobody"):
        net.load_parameters({"bias": good, "nobody": good})
    with pytest.raises(schuss.ShapeError, match=r"second\.scale"):
        net.load_parameters({"bias": good, "second.scale": schuss.ones(3)})
    with pytest.raises(TypeError):
        net.load_parameters({"bias": 1.0})
    assert numbers(net.bias).tolist() == [0.0, 0.0]


# Placement


def test_to_and_its_kin_convert_in_place():
    net = Net()
    net.register_buffer("steps", schuss.tensor([3]))
    net(schuss.ones(1, 2)).sum().backward()
    held = net.bias
    assert net.double() is net and net.bias is held
    assert held.dtype == schuss.float64 and held.grad.dtype == schuss.float64
    assert held.is_leaf and held.requires_grad
    assert net.first.count.dtype == schuss.float64 and net.steps.dtype == schuss.int64
    assert net.float().bias.dtype == schuss.float32
    assert net.half().bias.dtype == schuss.float16
    assert net.bfloat16().bias.dtype == schuss.bfloat16
    assert net.to(schuss.float64).bias.dtype == schuss.float64
    assert net.to("cpu", dtype=schuss.float32).bias.dtype == schuss.float32
    assert net.to(schuss.zeros(1, dtype=schuss.float64)).bias.dtype == schuss.float64
    assert net.to(schuss.device("cpu")).cpu() is net
    with pytest.raises(TypeError):
        net.to(schuss.int64)


def test_shared_parameters_stay_shared_when_moved():
    net = Net()
    net.second.linear.weight = net.first.linear.weight
    net.double()
    assert net.second.linear.weight is net.first.linear.weight
    assert net.first.linear.weight.dtype == schuss.float64


# Copies and pickles


def test_deepcopy_keeps_ties_and_order():
    net = Net()
    net.second.linear.weight = net.first.linear.weight
    other = copy.deepcopy(net)
    assert other.second.linear.weight is other.first.linear.weight
    assert other.bias is not net.bias and isinstance(other.bias, nn.Parameter)
    assert list(other.state_dict()) == list(net.state_dict())
    with schuss.no_grad():
        other.bias.add_(1.0)
    assert net.bias[0].item() == 0.0
    other.extra = nn.Parameter(schuss.ones(1))
    assert "extra" not in dict(net.named_parameters())


def test_shallow_copy_registers_for_itself():
    net = Net()
    other = copy.copy(net)
    other.extra = nn.Parameter(schuss.ones(1))
    assert "extra" not in dict(net.named_parameters())
    assert other.bias is net.bias


def test_pickle():
    net = Net().eval()
    net.bias.requires_grad_(False)
    other = pickle.loads(pickle.dumps(net))
    assert list(other.state_dict()) == list(net.state_dict())
    for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True):
        assert (numbers(a) == numbers(b)).all()
    assert not other.training and not other.bias.requires_grad and other.first.scale.requires_grad
    assert isinstance(other.bias, nn.Parameter)


def test_share_memory_changes_nothing():
    net = Net()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert net.share_memory() is net
