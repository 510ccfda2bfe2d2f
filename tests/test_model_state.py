"""A Model's state: state_dict and load_state_dict with their errors, extra state and hooks.
Leans on schuss alone."""

from collections import OrderedDict

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


def numbers(tensor):
    return tensor.detach().numpy()


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
