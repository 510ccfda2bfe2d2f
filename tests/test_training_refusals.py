"""What goes wrong in trainings: each is told by a clear error, and nothing is lost by it.

Leans on schuss; other files test the same layer by layer.
"""

from __future__ import annotations

import inspect
import math
import os

import pytest
import schuss
from conftest import refuses
from schuss import nn, optim
from schuss.nn import functional as F
from schuss.utils.data import DataLoader, Dataset, RandomSampler, TensorDataset

OPTIMISERS = sorted(
    name
    for name, value in vars(optim).items()
    if isinstance(value, type) and "lr" in inspect.signature(value).parameters
)


def test_a_wrong_state_is_listed_whole():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = {name: value + 1 for name, value in before.items()}
    del state["1.running_mean"], state["2.bias"]
    state["0.weight"] = schuss.ones(5, 4)
    state["2.weight"] = schuss.ones(9)
    state["3.weight"] = state["head"] = schuss.ones(1)
    with refuses(RuntimeError, "1.running_mean", "2.bias", "3.weight", "head", "0.weight",
                 "2.weight", (5, 4), (3, 2), (9,), (1, 3)):  # fmt: skip
        model.load_state_dict(state)
    assert all(schuss.equal(value, before[name]) for name, value in model.state_dict().items())
    # What fits is taken when it is asked for, and the rest named.
    found = model.load_state_dict({"0.bias": schuss.zeros(3), "x": before["0.bias"]}, strict=False)
    assert found.unexpected_keys == ["x"] and "2.bias" in found.missing_keys
    assert model[0].bias.tolist() == [0, 0, 0]


def test_there_are_optimisers_to_try():
    assert len(OPTIMISERS) >= 17 and {"SGD", "Adam", "Muon", "LBFGS"} <= set(OPTIMISERS)


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("lr", [-0.1, math.nan])
def test_a_rate_below_zero(name, lr):
    with refuses(ValueError, name, "lr", lr):
        getattr(optim, name)([schuss.ones(2, 2, requires_grad=True)], lr=lr)


class Nothing(Dataset):
    def __len__(self):
        return 0

    def __getitem__(self, index):
        raise IndexError(index)


@pytest.mark.parametrize("data", [TensorDataset(schuss.ones(0, 2)), Nothing(), []])
def test_an_empty_data_set(data):
    with refuses(ValueError, "empty"):
        DataLoader(data, shuffle=True)
    with refuses(ValueError, "empty"):
        RandomSampler(data)
    assert list(DataLoader(data, batch_size=4)) == []
    model = nn.Linear(2, 1)
    with refuses(ValueError, "fit", "empty"):
        schuss.fit(model, DataLoader(data), F.mse_loss, optim.SGD(model.parameters(), lr=0.1))


@pytest.mark.parametrize("target", [3, -1, 10**12, -(10**12)])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss, F.multi_margin_loss])
def test_a_target_out_of_range(loss, target):
    x = schuss.zeros(2, 3, requires_grad=True)
    with refuses((IndexError, RuntimeError, ValueError), target):
        loss(x, schuss.tensor([0, target]))


@pytest.mark.parametrize("probability", [1.5, -0.5, math.nan])
def test_a_probability_out_of_range(probability):
    with refuses(RuntimeError, "binary_cross_entropy", "0 to 1"):
        F.binary_cross_entropy(schuss.tensor([probability]), schuss.ones(1))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.BatchNorm1d(3), (1, 3)),
        (nn.BatchNorm2d(3), (1, 3, 1, 1)),
        (nn.SyncBatchNorm(3), (1, 3)),
        (nn.InstanceNorm2d(3), (2, 3, 1, 1)),
    ],
)
def test_a_batch_of_one(layer, shape):
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    with refuses(ValueError, "more than 1 value", shape):
        layer(schuss.ones(shape))
    assert all(schuss.equal(value, before[name]) for name, value in layer.state_dict().items())
    if not isinstance(layer, nn.InstanceNorm2d):
        assert layer.eval()(schuss.ones(shape)).shape == shape


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_a_loss_that_is_no_number_to_begin_with(search):
    w = schuss.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.LBFGS([w], line_search_fn=search)

    def closure():
        optimizer.zero_grad()
        loss = w.log().sum()
        loss.backward()
        return loss

    with refuses(RuntimeError, "LBFGS", "nan"):
        optimizer.step(closure)
    assert w.tolist() == [1.0, -2.0]


def test_a_loss_that_is_no_number_on_the_way():
    w = schuss.tensor([3.0], requires_grad=True)
    optimizer = optim.LBFGS([w], lr=100.0, line_search_fn="strong_wolfe", max_iter=50)

    def closure():
        optimizer.zero_grad()
        loss = (w - 2 * w.log()).sum()  # nothing below 0, where a long step lands
        loss.backward()
        return loss

    optimizer.step(closure)
    assert w.item() == pytest.approx(2.0, abs=1e-3)


def saved(tmp_path):
    model = nn.Linear(50, 40)
    schuss.save(model.state_dict(), tmp_path / "x.pt")
    return model, tmp_path / "x.pt"


@pytest.mark.parametrize("keep", [0, 1, 30, 0.5, -1])
def test_a_checkpoint_that_is_cut_off(tmp_path, keep):
    _, path = saved(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(RuntimeError, match=r"load: .*(cut off|damaged)"):
        schuss.load(path)


def test_a_checkpoint_that_is_corrupt(tmp_path):
    _, path = saved(tmp_path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(255 - byte for byte in data[middle : middle + 8])
    path.write_bytes(bytes(data))
    with refuses(RuntimeError, "load", "damaged"):
        schuss.load(path)


def test_a_disk_that_is_full_while_fitting(tmp_path, monkeypatch):
    """The checkpoint of the epoch before is whole, and a training can go on from it."""
    from schuss.training import ModelCheckpoint

    def trained(epochs, **options):
        schuss.manual_seed(4)
        model = nn.Linear(3, 1)
        optimizer = optim.Adam(model.parameters())
        x = schuss.linspace(0, 1, 24).reshape(8, 3)
        schuss.fit(model, (x, x.sum(1, keepdim=True)), F.mse_loss, optimizer, epochs,
                   verbose=False, **options)  # fmt: skip
        return model

    path, real, calls = tmp_path / "x.pt", os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with refuses(OSError, "No space left"):
        trained(5, callbacks=ModelCheckpoint(path, monitor="loss"))
    assert [p.name for p in tmp_path.iterdir()] == ["x.pt"]
    monkeypatch.undo()
    assert schuss.load(path)["epoch"] == 2
    whole, resumed = trained(5), trained(5, resume=path)
    assert schuss.equal(whole.weight, resumed.weight) and schuss.equal(whole.bias, resumed.bias)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"loss": "mse"},
            "loss is a function of (prediction, target), such as nn.MSELoss(), got",
        ),
        ({"loss": nn.MSELoss}, "got the class MSELoss"),
        ({"optimizer": "adam"}, "such as optim.Adam(model.parameters()), got 'adam'"),
        ({"optimizer": optim.SGD}, "got the class SGD"),
        ({"loss": "other", "optimizer": "other"}, "loss and optimizer are exchanged"),
        ({"model": "other", "data": "other"}, "got tuple; model and data are exchanged"),
        ({"model": nn.Linear}, "got the class Linear"),
    ],
)
def test_arguments_in_each_others_place(given, says):
    model, data = nn.Linear(1, 1), (schuss.ones(2, 1), schuss.ones(2, 1))
    usual = {"model": model, "data": data, "loss": nn.MSELoss()}
    usual["optimizer"] = optim.SGD(model.parameters())
    swapped = {"loss": "optimizer", "optimizer": "loss", "model": "data", "data": "model"}
    called = {
        **usual,
        **{k: usual[swapped[k]] if v == "other" else v for k, v in given.items()},
    }
    with pytest.raises(TypeError) as caught:
        schuss.fit(**called, verbose=False)
    assert says in str(caught.value)


def test_a_rate_far_too_high_is_warned_of_once():
    model, x = nn.Linear(1, 1), schuss.ones(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=1e9)
    with pytest.warns(
        RuntimeWarning, match="the learning rate is 1e\\+09 and .* try 1e\\+08"
    ) as seen:
        schuss.fit(model, (x, 2 * x), nn.MSELoss(), optimizer, epochs=20, verbose=False)
    assert [w.filename for w in seen] == [__file__]


def test_a_folder_is_no_file(tmp_path):
    for act in (lambda: schuss.save({}, tmp_path), lambda: schuss.load(tmp_path)):
        with pytest.raises(IsADirectoryError, match="is a folder; give a file in it"):
            act()
    assert list(tmp_path.iterdir()) == []
