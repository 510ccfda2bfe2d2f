"""The training loop as one call: `fit`, with numbers of every epoch, early stopping, checkpoints.
Leans on optim, utils.data, the callbacks beside it, and on serialization for checkpoints."""

from __future__ import annotations

import copy
import math
from time import perf_counter
from typing import TYPE_CHECKING

import schuss
from schuss.naming import warn
from schuss.training.arguments import batches_of, check, check_parts, listed, parts_of
from schuss.training.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    Everyone,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from schuss import Model, Optimizer, Tensor


def accuracy(prediction: Tensor, target: Tensor) -> float:
    """The share of right answers: the largest of several numbers, or the sign of one logit.

    >>> accuracy(schuss.tensor([[0.0, 1.0], [2.0, 1.0]]), schuss.tensor([1, 1]))
    0.5
    """
    if prediction.ndim > 1 and (prediction.shape[:1] + prediction.shape[2:]) == target.shape:
        right = prediction.argmax(dim=1) == target
    elif prediction.shape == target.shape:
        right = (prediction > 0) == (target > 0.5)
    else:
        raise schuss.ShapeError(
            f"accuracy: predictions {tuple(prediction.shape)} and targets {tuple(target.shape)}; "
            "give (N, classes) and (N), or two of one shape"
        )
    return right.to(schuss.float32).mean().item()


def _mean_error(prediction: Tensor, target: Tensor) -> float:
    return (prediction - target).abs().mean().item()


def _mean_square(prediction: Tensor, target: Tensor) -> float:
    return (prediction - target).square().mean().item()


_METRICS = {"accuracy": accuracy, "acc": accuracy, "mae": _mean_error, "mse": _mean_square}


class Rate:
    """An optimiser's learning rate under the name that callbacks know; all groups move alike."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer

    @property
    def learning_rate(self) -> float:
        """The rate of the first group."""
        return float(self._optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        ratio = value / self.learning_rate if self.learning_rate else 1.0
        for i, group in enumerate(self._optimizer.param_groups):
            group["lr"] = value if i == 0 else group["lr"] * ratio


class Run:
    """A training while it goes on, as callbacks see it."""

    def __init__(self, model: Model, optimizer: Optimizer, scheduler: Any) -> None:
        self.module, self.base_optimizer, self.scheduler = model, optimizer, scheduler
        self.optimizer = Rate(optimizer)
        self.stop_training = False
        self.epoch = 0
        self.history = History()

    def get_weights(self) -> Any:
        """A copy of the model's state."""
        return copy.deepcopy(self.module.state_dict())

    def set_weights(self, weights: Any) -> None:
        """Give the model a state."""
        self.module.load_state_dict(weights)

    def save_weights(self, path: str) -> None:
        """Write the model's state."""
        schuss.save(self.module.state_dict(), path)

    def save(self, path: str) -> None:
        """Write all that `fit(..., resume=path)` needs to go on to the same bits."""
        schuss.save(
            {
                "model": self.module.state_dict(),
                "optimizer": self.base_optimizer.state_dict(),
                "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
                "epoch": self.epoch + 1,
                "history": self.history.history,
                "generator": schuss.get_rng_state(),
            },
            path,
        )

    def resume(self, path: Any) -> int:
        """Read what `save` wrote; returns the epoch to go on with."""
        state = schuss.load(path)
        if not isinstance(state, dict) or not {"model", "optimizer", "epoch"} <= set(state):
            raise ValueError(f"fit: {path} is no checkpoint of a training; load its weights first")
        self.module.load_state_dict(state["model"])
        self.base_optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None and state["scheduler"] is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.history.history = {name: list(values) for name, values in state["history"].items()}
        self.history.epoch = list(range(state["epoch"]))
        schuss.set_rng_state(state["generator"])
        return state["epoch"]


class _Means:
    """Means of the numbers of batches, weighed by how many samples each had."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, values: Mapping[str, float], n: int) -> None:
        self.count += n
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * n

    def values(self, prefix: str = "") -> dict[str, float]:
        return {prefix + name: total / self.count for name, total in self.sums.items()}


def _measured(metrics: dict[str, Any], prediction: Tensor, target: Tensor) -> dict[str, float]:
    with schuss.no_grad():
        return {name: float(metric(prediction, target)) for name, metric in metrics.items()}


def _named(metrics: Any) -> dict[str, Callable[[Any, Any], Any]]:
    if metrics is None:
        return {}
    if isinstance(metrics, dict):
        return dict(metrics)
    found: dict[str, Any] = {}
    for metric in [metrics] if isinstance(metrics, str) or callable(metrics) else metrics:
        if isinstance(metric, str) and metric not in _METRICS:
            raise ValueError(
                f"fit: no metric {metric!r}; there are {', '.join(sorted(_METRICS))}, or give a "
                "function of (prediction, target)"
            )
        name = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
        found[name] = _METRICS[metric] if isinstance(metric, str) else metric
    return found


def _evaluated(
    model: Any, data: Any, loss: Any, metrics: dict[str, Any], device: Any
) -> dict[str, float]:
    means, before = _Means(), model.training
    model.eval()
    try:
        with schuss.no_grad():
            for batch in data:
                inputs, target = parts_of(batch, device)
                prediction = model(*inputs)
                found = {"loss": loss(prediction, target).item()}
                found.update(_measured(metrics, prediction, target))
                means.add(found, len(target))
    finally:
        model.train(before)
    if not means.count:
        raise ValueError("fit: the validation data are empty")
    return means.values()


def evaluate(
    model: Model,
    data: Any,
    loss: Callable[[Any, Any], Tensor],
    *,
    metrics: Any = None,
    batch_size: int = 256,
    device: Any = None,
) -> dict[str, float]:
    """The mean loss, and the metrics, of a model over data, without gradients and without dropout.

    >>> x = schuss.ones(4, 1)
    >>> evaluate(nn.Identity(), (x, x + 2), nn.functional.mse_loss)
    {'loss': 4.0}
    """
    batches = batches_of("validation", data, batch_size, False)
    return _evaluated(model, batches, loss, _named(metrics), device)


def fit(
    model: Model,
    data: Any,
    loss: Callable[[Any, Any], Tensor],
    optimizer: Optimizer,
    epochs: int = 1,
    *,
    validation: Any = None,
    callbacks: Sequence[Callback] | Callback = (),
    metrics: str | Iterable[Any] | dict[str, Any] | None = None,
    scheduler: Any = None,
    batch_size: int = 32,
    shuffle: bool = True,
    clip: float | None = None,
    device: Any = None,
    resume: Any = None,
    verbose: bool = True,
) -> History:
    """Train a model, and return the loss and the metrics of every epoch.

    `data` and `validation` are a DataLoader, a Dataset, a pair (inputs, targets) or any iterable of
    batches; what comes before the last part of a batch goes to the model. `metrics` are functions
    of (prediction, target), or 'accuracy', 'mae', 'mse'. `scheduler` steps once an epoch, one that
    is led by a number by the validation's loss. `clip` bounds the norm of all gradients. `resume`
    goes on from a file that ModelCheckpoint wrote, to the same bits. ValueError for empty data,
    TypeError for arguments in each other's place. A loss that is not finite is warned of once.

    >>> x = schuss.linspace(-1, 1, 64).unsqueeze(1)
    >>> model = nn.Linear(1, 1)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.3)
    >>> history = schuss.fit(model, (x, 3 * x), nn.MSELoss(), optimizer, epochs=20, verbose=False)
    >>> history.history["loss"][-1] < 1e-3
    True
    """
    from schuss.viz.progress import progress

    check(model, data, loss, optimizer)
    check_parts(model, loss, optimizer)
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0:
        raise ValueError(f"fit: epochs is a whole number, 0 or more, got {epochs!r}")
    measured = _named(metrics)
    train = batches_of("training", data, batch_size, shuffle)
    tests = None if validation is None else batches_of("validation", validation, batch_size, False)
    run = Run(model, optimizer, scheduler)
    everyone = Everyone([run.history, *listed(callbacks)], run, {"epochs": epochs})
    first = 0 if resume is None else run.resume(resume)
    logs: dict[str, float] = {}
    everyone.tell("on_train_begin", logs)
    for epoch in range(first, epochs):
        run.epoch, start = epoch, perf_counter()
        everyone.tell("on_epoch_begin", epoch, logs)
        model.train()
        means, broken = _Means(), None
        for i, batch in enumerate(train):
            everyone.tell("on_train_batch_begin", i, logs)
            inputs, target = parts_of(batch, device)
            found = _step(model, loss, optimizer, inputs, target, measured, clip)
            means.add(found, len(target))
            if broken is None and not math.isfinite(found["loss"]):
                broken = [*inputs, target]
            everyone.tell("on_train_batch_end", i, means.values())
            if run.stop_training:
                break
        if not means.count:
            raise ValueError("fit: the training data are empty, or are used up; use a DataLoader")
        before, logs = logs, means.values()
        lost = not math.isfinite(logs["loss"]) and math.isfinite(before.get("loss", 0.0))
        if lost and not run.stop_training:
            _warn_not_finite(logs["loss"], epoch, run.optimizer.learning_rate, broken)
        if tests is not None:
            everyone.tell("on_test_begin", logs)
            found = _evaluated(model, tests, loss, measured, device)
            logs.update({f"val_{name}": value for name, value in found.items()})
            everyone.tell("on_test_end", logs)
        if scheduler is not None:
            led = isinstance(scheduler, schuss.optim.lr_scheduler.ReduceLROnPlateau)
            scheduler.step(*([logs.get("val_loss", logs["loss"])] if led else []))
        everyone.tell("on_epoch_end", epoch, logs)
        if verbose:
            numbers = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
            progress(epoch + 1, epochs, f"{perf_counter() - start:.1f} s, {numbers}")
        if run.stop_training:
            break
    everyone.tell("on_train_end", logs)
    return run.history


def _warn_not_finite(value: float, epoch: int, rate: float, batch: list[Any] | None) -> None:
    *inputs, target = batch or [None]
    places = [("inputs", x) for x in inputs] + [("targets", target)]
    found = next((f"{name} hold {said}" for name, x in places if (said := _not_finite(x))), None)
    about = (
        f"the {found}; mend the data, as by x.nan_to_num()"
        if found
        else f"the learning rate is {rate:g} and the data are finite; try {rate / 10:g}, or "
        "clip=1.0"
    )
    warn(
        f"fit: the loss is {value} in epoch {epoch + 1}: {about}; callbacks=TerminateOnNaN() ends "
        "such a training",
        RuntimeWarning,
    )


def _not_finite(x: Any) -> str:
    """What a tensor holds besides numbers: "nan", "inf", or nothing."""
    if not isinstance(x, schuss.Tensor) or not x.dtype.is_floating_point:
        return ""
    return "nan" if x.isnan().any() else "inf" if x.isinf().any() else ""


def _step(
    model: Any, loss: Any, optimizer: Any, inputs: Any, target: Any, metrics: Any, clip: Any
) -> dict[str, float]:
    """One step of the optimiser; the loss and the metrics before it."""
    first: dict[str, float] = {}

    def closure() -> Tensor:
        optimizer.zero_grad()
        prediction = model(*inputs)
        found = loss(prediction, target)
        found.backward()
        if clip is not None:
            schuss.nn.utils.clip_grad_norm_(model.parameters(), clip)
        if not first:
            first["loss"] = found.item()
            first.update(_measured(metrics, prediction.detach(), target))
        return found

    optimizer.step(closure)
    return first or {"loss": math.nan}


__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
    "accuracy",
    "evaluate",
    "fit",
]
