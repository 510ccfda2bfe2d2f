"""Model: registration, walks, state, hooks, training methods, and models that list parameters.
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
    assert nn.Parameter((data * nn.Parameter(data))).is_leaf
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
    with pytest.raises(schuss.ShapeError, match="second.scale"):
        net.load_parameters({"bias": good, "second.scale": schuss.ones(3)})
    with pytest.raises(TypeError):
        net.load_parameters({"bias": 1.0})
    assert numbers(net.bias).tolist() == [0.0, 0.0]


# Models whose parameters() returns a dict


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
    class Half(Net):
        def parameters(self, recurse=True):
            return [self.bias]

    net = Half()
    assert [name for name, _ in net.named_parameters()] == NAMES
    net.requires_grad_(False)
    assert not net.bias.requires_grad and net.first.scale.requires_grad


# State


def test_state_dict_shares_storage_and_is_detached():
    net = Net()
    state = net.state_dict()
    assert isinstance(state, OrderedDict)
    assert list(state) == [
        "bias",
        "first.scale",
        "first.count",
        "first.linear.weight",
        "first.linear.bias",
        "second.scale",
        "second.count",
        "second.linear.weight",
        "second.linear.bias",
    ]
    assert not any(value.requires_grad for value in state.values())
    state["bias"][0] = 4.0
    assert net.bias[0].item() == 4.0
    assert net.state_dict(keep_vars=True)["bias"] is net.bias
    assert list(net.first.linear.state_dict(prefix="x.")) == ["x.weight", "x.bias"]
    collected = OrderedDict(other=1)
    assert net.first.linear.state_dict(destination=collected) is collected
    assert list(collected) == ["other", "weight", "bias"]


def test_load_state_dict_copies_in_place():
    net, other = Net(), Net()
    held = net.bias
    with schuss.no_grad():
        other.bias.fill_(3.0)
        other.first.count.fill_(8.0)
    answer = net.load_state_dict(other.state_dict())
    assert repr(answer) == "<All keys matched successfully>"
    assert net.bias is held and held[0].item() == 3.0 and net.first.count.item() == 8.0
    assert held.requires_grad and held.is_leaf


def test_load_state_dict_lists_everything_at_once_and_changes_nothing():
    net = Net()
    state = net.state_dict()
    state = OrderedDict((name, value + 1) for name, value in state.items())
    del state["second.scale"]
    state["second.more"] = schuss.ones(1)
    state["elsewhere.x"] = schuss.ones(1)
    state["first.linear.bias"] = schuss.ones(5)
    state["first.scale"] = schuss.ones(2, 2)
    before = numbers(net.bias).copy()
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    for part in ("Net", "second.scale", "second.more", "elsewhere.x", "first.linear.bias", "(5,)"):
        assert part in text
    assert "first.scale" in text
    assert (numbers(net.bias) == before).all()
    with pytest.raises(RuntimeError):  # wrong shapes raise without strict as well
        net.load_state_dict(state, strict=False)


def test_load_state_dict_not_strict_returns_the_differences():
    net = Net()
    answer = net.load_state_dict({"bias": schuss.ones(2), "odd": schuss.ones(1)}, strict=False)
    assert net.bias[1].item() == 1.0
    assert answer.unexpected_keys == ["odd"]
    assert "first.scale" in answer.missing_keys and "bias" not in answer.missing_keys
    with pytest.raises(TypeError):
        net.load_state_dict([("bias", schuss.ones(2))])


def test_load_state_dict_assign_takes_the_tensors():
    layer = nn.Linear(1, 1).double()
    state = nn.Linear(1, 1).state_dict()
    layer.load_state_dict(state, assign=True)
    assert layer.weight.dtype == schuss.float32 and isinstance(layer.weight, nn.Parameter)
    state["weight"].fill_(9.0)
    assert layer.weight.item() == 9.0 and layer.weight.requires_grad


def test_loading_casts_to_the_dtype_of_the_model():
    layer = nn.Linear(1, 1)
    layer.load_state_dict(nn.Linear(1, 1).double().state_dict())
    assert layer.weight.dtype == schuss.float32


def test_extra_state():
    class Counted(nn.Linear):
        steps = 0

        def get_extra_state(self):
            return {"steps": self.steps}

        def set_extra_state(self, state):
            self.steps = state["steps"]

    model = nn.Sequential(Counted(1, 1))
    model[0].steps = 5
    state = model.state_dict()
    assert state["0._extra_state"] == {"steps": 5}
    other = nn.Sequential(Counted(1, 1))
    other.load_state_dict(state)
    assert other[0].steps == 5
    del state["0._extra_state"]
    with pytest.raises(RuntimeError, match="_extra_state"):
        other.load_state_dict(state)
    with pytest.raises(RuntimeError, match="_extra_state"):
        nn.Sequential(nn.Linear(1, 1)).load_state_dict(model.state_dict())


def test_version_in_the_metadata_reaches_the_loading_class():
    seen = []

    class Aged(nn.Linear):
        _version = 3

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
            seen.append((prefix, local_metadata.get("version")))
            state_dict[prefix + "weight"] = state_dict.pop(prefix + "old", None)
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)
            seen.append(self.weight.item())

    model = nn.Sequential(Aged(1, 1))
    state = model.state_dict()
    state["0.old"] = schuss.tensor([[4.0]])
    del state["0.weight"]
    model.load_state_dict(state)
    assert seen == [("0.", 3), 4.0]


def test_state_hooks():
    log = []
    model = nn.Sequential(nn.Linear(1, 1))
    model.register_state_dict_pre_hook(lambda m, prefix, keep: log.append(("pre", prefix, keep)))
    model[0].register_state_dict_post_hook(
        lambda m, state, prefix, meta: state.update({prefix + "extra": schuss.ones(1)})
    )
    state = model.state_dict()
    assert log == [("pre", "", False)] and list(state) == ["0.weight", "0.bias", "0.extra"]

    def rename(m, state, prefix, meta, strict, missing, unexpected, errors):
        state.pop(prefix + "0.extra")

    handle = model.register_load_state_dict_pre_hook(rename)
    model[0].register_load_state_dict_post_hook(
        lambda m, keys: log.append((m.weight.item(), list(keys.missing_keys)))
    )
    state["0.weight"] = schuss.tensor([[6.0]])
    model.load_state_dict(state)
    assert log[-1] == (6.0, [])
    handle.remove()
    with pytest.raises(RuntimeError, match="extra"):
        model.load_state_dict(state)


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


# Hooks


def test_forward_hooks_see_and_replace():
    log = []
    model = nn.Identity()
    pre = model.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    model.register_forward_pre_hook(lambda m, args: args[0] * 10, prepend=True)
    post = model.register_forward_hook(lambda m, args, out: log.append((args, out)))
    model.register_forward_hook(lambda m, args, out: out + 0.5)
    assert model(2) == 21.5 and log == [((21,), 21)]
    pre.remove()
    pre.remove()
    with post:
        assert model(2) == 20.5
    assert len(log) == 2
    model(2)
    assert len(log) == 2


def test_forward_hooks_with_kwargs():
    net = Net()
    seen = []
    net.register_forward_pre_hook(lambda m, args, kw: (args, {"shift": 5.0}), with_kwargs=True)
    net.register_forward_hook(lambda m, args, kw, out: seen.append(kw), with_kwargs=True)
    net(schuss.ones(1, 2), shift=1.0)
    assert seen == [{"shift": 5.0}]
    net.register_forward_pre_hook(lambda m, args, kw: 3, with_kwargs=True)
    with pytest.raises(RuntimeError):
        net(schuss.ones(1, 2))


def test_always_call_runs_after_an_error():
    class Broken(nn.Module):
        def forward(self, x):
            raise ArithmeticError("no")

    seen = []
    model = Broken()
    model.register_forward_hook(lambda m, args, out: seen.append("plain"))
    model.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(ArithmeticError):
        model(1)
    assert seen == [None]


def test_backward_hooks_see_both_gradients():
    class Product(nn.Module):
        def forward(self, x, factor, y):
            return x * y * factor

    log = []
    model = Product()
    model.register_full_backward_hook(lambda m, gin, gout: log.append((gin, gout)))
    x = schuss.tensor([2.0], requires_grad=True)
    y = schuss.tensor([3.0], requires_grad=True)
    (model(x, 10.0, y) * 7).sum().backward()
    (gin, gout), = log
    assert [None if g is None else g.item() for g in gin] == [210.0, None, 140.0]
    assert [g.item() for g in gout] == [7.0]
    assert (x.grad.item(), y.grad.item()) == (210.0, 140.0)


def test_backward_hooks_replace_gradients():
    model = nn.Identity()
    model.register_full_backward_pre_hook(lambda m, gout: (gout[0] * 2,))
    handle = model.register_full_backward_hook(lambda m, gin, gout: (gin[0] * 5 + gout[0],))
    x = schuss.tensor([1.0], requires_grad=True)
    model(x * 1).sum().backward()
    assert x.grad.item() == 12.0
    handle.remove()
    x.grad = None
    model(x * 1).sum().backward()
    assert x.grad.item() == 2.0


def test_backward_hook_without_input_gradients():
    layer = nn.Linear(1, 1)
    log = []
    layer.register_full_backward_hook(lambda m, gin, gout: log.append((gin, gout[0].item())))
    layer(schuss.ones(1, 1)).sum().backward()
    assert log == [((None,), 1.0)]
    assert layer.weight.grad.item() == 1.0


def test_backward_hooks_on_several_outputs():
    class Pair(nn.Module):
        def forward(self, x):
            return x * 2, x * 3

    seen = []
    model = Pair()
    model.register_full_backward_hook(lambda m, gin, gout: seen.append((gin[0].item(), gout[1])))
    x = schuss.tensor([1.0], requires_grad=True)
    first, second = model(x)
    (first.sum() + 10 * second.sum()).backward()
    assert seen[0][0] == 32.0 and seen[0][1].item() == 10.0
    with schuss.no_grad():
        assert model(x)[1].item() == 3.0


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
