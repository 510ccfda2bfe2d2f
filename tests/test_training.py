"""`fit`: the same numbers as the loop by hand, and what callbacks may do between the epochs.

Leans on schuss.training; the data are made here.
"""

from __future__ import annotations

import csv
import math

import pytest
import schuss
from conftest import refuses
from schuss import nn, optim
from schuss.training import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
    accuracy,
    evaluate,
)
from schuss.utils.data import DataLoader, IterableDataset, TensorDataset


@pytest.fixture
def data():
    x = schuss.randn(60, 3)
    return x, x @ schuss.tensor([[1.0], [-2.0], [0.5]]) + 0.1


def line():
    schuss.manual_seed(7)
    model = nn.Linear(3, 1)
    return model, optim.Adam(model.parameters(), lr=0.05)


def quiet(model, data, optimizer, epochs=3, **options):
    return schuss.fit(model, data, nn.MSELoss(), optimizer, epochs, verbose=False, **options)


def test_the_loop_by_hand(data):
    model, optimizer = line()
    losses = []
    for _ in range(4):
        total = 0.0
        for x, y in DataLoader(TensorDataset(*data), batch_size=16, shuffle=True):
            loss = nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        losses.append(total / 60)
    other, optimizer = line()
    history = quiet(other, data, optimizer, 4, batch_size=16)
    assert history.history == {"loss": pytest.approx(losses, rel=1e-12)} and history.epoch == [
        *range(4)
    ]
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert schuss.equal(a, b)


def test_every_kind_of_data(data):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(zip(*data, strict=True))

    arrays = tuple(part.numpy() for part in data)
    loader = DataLoader(TensorDataset(*data), batch_size=20)
    for given in (data, arrays, TensorDataset(*data), loader, Stream(), [data], list(loader)):
        model, optimizer = line()
        found = quiet(model, given, optimizer, 2, batch_size=20, shuffle=False).history["loss"]
        assert len(found) == 2 and found[1] < found[0]


def test_validation_metrics_and_modes(data):
    modes = []

    class Watched(nn.Linear):
        def forward(self, x):
            modes.append(self.training)
            return super().forward(x)

    model = Watched(3, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    history = quiet(model, data, optimizer, 2, batch_size=60, validation=data,
                    metrics=["mae", lambda p, y: 5]).history  # fmt: skip
    assert set(history) == {"loss", "mae", "<lambda>", "val_loss", "val_mae", "val_<lambda>"}
    assert modes == [True, False] * 2 and history["<lambda>"] == [5, 5]
    found = evaluate(model, data, nn.MSELoss(), metrics="mae")
    assert found["mae"] == pytest.approx(history["val_mae"][-1])


def test_accuracy():
    assert accuracy(schuss.tensor([1.0, -1.0]), schuss.tensor([1.0, 1.0])) == 0.5
    with refuses(schuss.ShapeError, (2, 3), (5,)):
        accuracy(schuss.ones(2, 3), schuss.ones(5))


def test_optimisers_that_ask_several_times(data):
    model, _ = line()
    optimizer = optim.LBFGS(model.parameters(), max_iter=30)
    losses = quiet(model, data, optimizer, 2, batch_size=60).history["loss"]
    assert losses[0] > 0.1 and losses[1] < 1e-8


def test_schedulers_and_clipping(data):
    model, optimizer = line()
    schedule = optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    quiet(model, data, optimizer, 3, scheduler=schedule, clip=1e-6, validation=data)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05 / 8)
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters()))
    assert norm <= 1.01e-6
    led = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    quiet(model, data, optimizer, 2, scheduler=led)


def test_early_stopping_gives_the_best_back(data):
    model, optimizer = line()
    best = {}

    def climb(epoch, logs):
        if epoch == 2:
            best.update({name: value.clone() for name, value in model.state_dict().items()})
        logs["val_loss"] = [3.0, 2.0, 1.0, 1.5, 1.4, 0.5][epoch]

    stop = EarlyStopping(patience=2, restore_best_weights=True)
    history = quiet(model, data, optimizer, 6, callbacks=[LambdaCallback(on_epoch_end=climb), stop])
    assert len(history.epoch) == 5 and (stop.best, stop.best_epoch) == (1.0, 2)
    assert all(schuss.equal(value, best[name]) for name, value in model.state_dict().items())


def test_a_number_that_is_not_there(data):
    model, optimizer = line()
    with refuses(KeyError, "val_loss", "loss", "validation"):
        quiet(model, data, optimizer, callbacks=EarlyStopping())


def test_resuming_to_the_same_bits(data, tmp_path):
    def made():
        model, optimizer = line()
        return model, optimizer, optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

    model, optimizer, schedule = made()
    whole = quiet(model, data, optimizer, 6, scheduler=schedule).history
    half, optimizer, schedule = made()
    path = tmp_path / "{epoch}.pt"
    quiet(half, data, optimizer, 3, scheduler=schedule,
          callbacks=ModelCheckpoint(path, monitor="loss"))  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.pt", "2.pt", "3.pt"]
    schuss.manual_seed(99)
    other, optimizer, schedule = made()
    rest = quiet(other, data, optimizer, 6, scheduler=schedule, resume=tmp_path / "3.pt").history
    assert rest == whole
    assert all(map(schuss.equal, model.parameters(), other.parameters()))
    schuss.save(other.state_dict(), tmp_path / "weights.pt")
    with refuses(ValueError, "weights.pt", "no checkpoint"):
        quiet(other, data, optimizer, resume=tmp_path / "weights.pt")


def test_checkpoints_of_the_best(data, tmp_path):
    model, optimizer = line()
    values = LambdaCallback(on_epoch_end=lambda e, logs: logs.update(acc=[0.1, 0.5, 0.3, 0.7][e]))
    keep = ModelCheckpoint(tmp_path / "{epoch}-{acc:.1f}.pt", "acc", save_best_only=True,
                           save_weights_only=True)  # fmt: skip
    quiet(model, data, optimizer, 4, callbacks=[values, keep])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-0.1.pt", "2-0.5.pt", "4-0.7.pt"]
    model.load_state_dict(schuss.load(tmp_path / "4-0.7.pt"))


def test_rates(data):
    model, optimizer = line()
    seen = []
    note = LambdaCallback(on_epoch_end=lambda e, logs: seen.append(optimizer.param_groups[0]["lr"]))
    quiet(
        model, data, optimizer, 3, callbacks=[LearningRateScheduler(lambda e: 0.1 / (e + 1)), note]
    )
    assert seen == pytest.approx([0.1, 0.05, 0.1 / 3])
    seen.clear()
    flat = LambdaCallback(on_epoch_end=lambda e, logs: logs.update(val_loss=1.0))
    lower = ReduceLROnPlateau(factor=0.5, patience=1, min_lr=0.01)
    quiet(model, data, optimizer, 4, callbacks=[flat, lower, note])
    assert seen == pytest.approx([0.1 / 3, 0.1 / 6, 0.01, 0.01])


def test_a_file_of_numbers_and_a_nan(data, tmp_path, capsys):
    model, optimizer = line()
    quiet(model, data, optimizer, 2, callbacks=CSVLogger(tmp_path / "log.csv"))
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "loss"] and [row[0] for row in rows[1:]] == ["0", "1"]
    x, y = data
    history = quiet(model, (x, y * math.nan), optimizer, 5, callbacks=TerminateOnNaN())
    assert len(history.epoch) == 1 and "nan" in capsys.readouterr().out


def test_the_bar(data, capsys):
    model, optimizer = line()
    schuss.fit(model, data, nn.MSELoss(), optimizer, 2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[####") and "1/2" in lines[0] and "loss" in lines[1]


class Order(Callback):
    def __init__(self):
        self.told = []

    def on_train_begin(self, logs=None):
        self.told.append("begin")

    def on_epoch_end(self, epoch, logs=None):
        self.told.append(epoch)
        self.model.stop_training = epoch == 1

    def on_train_end(self, logs=None):
        self.told.append("end")


def test_own_callbacks(data):
    model, optimizer = line()
    order = Order()
    quiet(model, data, optimizer, 9, callbacks=order)
    assert order.told == ["begin", 0, 1, "end"]
    with refuses(TypeError, "on_epoch_ned"):
        LambdaCallback(on_epoch_ned=print)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ((schuss.ones(0, 3), schuss.ones(0, 1)), ValueError, ("training", "empty")),
        ([], ValueError, ("training data are empty",)),
        (3, TypeError, ("DataLoader", "int")),
        ([schuss.ones(2, 3)], TypeError, ("(inputs, target)",)),
    ],
)
def test_bad_data(given, error, words):
    model, optimizer = line()
    with refuses(error, *words):
        quiet(model, given, optimizer)


def test_bad_options(data):
    model, optimizer = line()
    with refuses(ValueError, "epochs", "-1"):
        quiet(model, data, optimizer, -1)
    with refuses(ValueError, "f1", "accuracy"):
        quiet(model, data, optimizer, metrics=["f1"])
    with refuses(ValueError, "validation", "empty"):
        quiet(model, data, optimizer, validation=[])
    with refuses(ValueError, "mode"):
        EarlyStopping(mode="up")
