"""Averages of a model's parameters along its training, and the schedule that goes with them.
Leans on Model and on the schedules; what is not averaged is copied."""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import chain
from typing import TYPE_CHECKING

import schuss
from schuss import _core, nn
from schuss.optim.lr_scheduler.base import LRScheduler, by_group, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from schuss.optim.optimizer import Optimizer

    Average = Callable[[schuss.Tensor, schuss.Tensor, Any], schuss.Tensor]
    MultiAverage = Callable[[list[schuss.Tensor], list[schuss.Tensor], Any], None]

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _checked_decay(owner: str, decay: float) -> float:
    if not 0 <= decay <= 1:
        raise ValueError(f"{owner}: decay must be between 0 and 1, got {decay}")
    return decay


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """An exponential moving average of lists of parameters, for AveragedModel's `multi_avg_fn`.

    ValueError for a decay outside [0, 1].

    >>> import schuss
    >>> from schuss.optim.swa_utils import get_ema_multi_avg_fn
    >>> mean = schuss.tensor([1.0])
    >>> get_ema_multi_avg_fn(0.75)([mean], [schuss.tensor([3.0])], 1)
    >>> mean
    tensor([1.5000])
    """
    rest = 1 - _checked_decay("get_ema_multi_avg_fn", decay)

    def ema_update(means: list[schuss.Tensor], now: list[schuss.Tensor], _: Any) -> None:
        with schuss.no_grad():
            for mean, p in zip(means, now, strict=True):
                if mean.is_floating_point():
                    mean.lerp_(p, rest)
                else:
                    mean.copy_(mean * decay + p * rest)

    return ema_update


def get_swa_multi_avg_fn() -> MultiAverage:
    """The plain mean of lists of parameters so far, for AveragedModel's `multi_avg_fn`.

    >>> import schuss
    >>> from schuss.optim.swa_utils import get_swa_multi_avg_fn
    >>> mean = schuss.tensor([1.0])
    >>> get_swa_multi_avg_fn()([mean], [schuss.tensor([3.0])], 1)
    >>> mean
    tensor([2.])
    """

    def swa_update(means: list[schuss.Tensor], now: list[schuss.Tensor], count: Any) -> None:
        # A recorded step counts by itself; the share is rounded to what the mean computes in.
        recorded = _core._is_recording() and isinstance(count, schuss.Tensor)
        share = None if recorded else 1 / (float(count) + 1)
        with schuss.no_grad():
            for mean, p in zip(means, now, strict=True):
                if recorded:
                    wide = mean.dtype in (schuss.float64, schuss.complex128)
                    kind = schuss.float64 if wide else schuss.float32
                    share = 1 / (count.to(mean.device, kind) + 1)
                if mean.is_floating_point():
                    mean.lerp_(p, share)
                else:
                    mean.copy_(mean + (p - mean) * share)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """An exponential moving average of one parameter, for AveragedModel's `avg_fn`.

    ValueError for a decay outside [0, 1].

    >>> import schuss
    >>> from schuss.optim.swa_utils import get_ema_avg_fn
    >>> get_ema_avg_fn(0.75)(schuss.tensor([1.0]), schuss.tensor([3.0]), 1)
    tensor([1.5000])
    """
    _checked_decay("get_ema_avg_fn", decay)

    def ema_update(mean: schuss.Tensor, now: schuss.Tensor, _: Any) -> schuss.Tensor:
        with schuss.no_grad():
            return decay * mean + (1 - decay) * now

    return ema_update


def get_swa_avg_fn() -> Average:
    """The plain mean of one parameter so far, for AveragedModel's `avg_fn`.

    >>> import schuss
    >>> from schuss.optim.swa_utils import get_swa_avg_fn
    >>> get_swa_avg_fn()(schuss.tensor([1.0]), schuss.tensor([3.0]), 1)
    tensor([2.])
    """

    def swa_update(mean: schuss.Tensor, now: schuss.Tensor, count: Any) -> schuss.Tensor:
        with schuss.no_grad():
            return mean + (now - mean) / (count + 1)

    return swa_update


class AveragedModel(nn.Module):
    """A copy of a model that holds the mean of its parameters, by `update_parameters` after steps.

    Without `avg_fn` (of one parameter) or `multi_avg_fn` (of lists) it is the plain mean. Buffers
    are copied, or averaged too with `use_buffers`. AssertionError for both functions. P. Izmailov
    et al. (2018), Averaging weights leads to wider optima and better generalization, UAI.

    >>> import schuss
    >>> model = schuss.nn.Linear(1, 1, bias=False)
    >>> mean = schuss.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = schuss.nn.init.constant_(model.weight, value)
    ...     mean.update_parameters(model)
    >>> mean(schuss.tensor([[1.0]])).item()
    3.0
    """

    n_averaged: schuss.Tensor

    def __init__(
        self,
        model: Any,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if not hasattr(model, "parameters"):
            raise TypeError(f"AveragedModel: needs a model, got {type(model).__name__}")
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("AveragedModel: give avg_fn or multi_avg_fn, not both")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        count = schuss.tensor(0, dtype=schuss.int64, device=device)
        self.register_buffer("n_averaged", count)
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's answer."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Any) -> None:
        """Take the model as it now is into the mean."""
        self._must_be_alike(model)
        means, now = _tensors(self.module, self.use_buffers), _tensors(model, self.use_buffers)
        pairs = [(a.detach(), b.detach().to(a.device)) for a, b in zip(means, now, strict=True)]
        # A step that is being recorded cannot ask whether this is the first time: it chooses.
        recorded = _core._is_recording()
        with schuss.no_grad():
            first = self.n_averaged == 0
            first = first if recorded else bool(first)
            if recorded or not first:
                self._average(pairs)
            if recorded:
                for mean, p in pairs:
                    mean.copy_(schuss.where(first.to(mean.device), p, mean))
            elif first:
                for mean, p in pairs:
                    mean.copy_(p)
            if not self.use_buffers:
                for mine, theirs in zip(self.module.buffers(), model.buffers(), strict=True):
                    mine.detach().copy_(theirs.detach().to(mine.device))
            self.n_averaged += 1

    def _must_be_alike(self, model: Any) -> None:
        """Refuses a model with other parameters or buffers before anything is written."""
        if not hasattr(model, "parameters"):
            raise TypeError(f"update_parameters: needs a model, got {type(model).__name__}")
        own, given = ([tuple(t.shape) for t in _tensors(m, True)] for m in (self.module, model))
        if own == given:
            return
        names = [n for n, _ in chain(self.module.named_parameters(), self.module.named_buffers())]
        for name, mine, theirs in zip(names, own, given, strict=False):
            if mine != theirs:
                why = f"{name} has the shape {theirs} there, and {mine} in the mean"
                break
        else:
            why = f"it has {len(given)} parameters and buffers, the mean {len(own)}"
        raise schuss.ShapeError(
            f"update_parameters: the model is another than the one that is averaged: {why}; give"
            " a model of the same form"
        )

    def _average(self, pairs: list[tuple[schuss.Tensor, schuss.Tensor]]) -> None:
        if self.avg_fn is not None:
            for mean, p in pairs:
                mean.copy_(self.avg_fn(mean, p, self.n_averaged))
            return
        average = self.multi_avg_fn or get_swa_multi_avg_fn()
        for kind in dict.fromkeys(mean.dtype for mean, _ in pairs):
            alike = [pair for pair in pairs if pair[0].dtype == kind]
            average([a for a, _ in alike], [b for _, b in alike], self.n_averaged)


def _tensors(model: Any, with_buffers: bool) -> list[schuss.Tensor]:
    return list(chain(model.parameters(), model.buffers() if with_buffers else ()))


def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Make the running statistics of a model's batch normalisations anew, by one pass of the data.

    A batch that is a list or a tuple is represented by its first element.

    >>> import schuss
    >>> model = schuss.nn.BatchNorm1d(1)
    >>> batches = [schuss.tensor([[1.0], [3.0]]), schuss.tensor([[5.0], [7.0]])]
    >>> schuss.optim.swa_utils.update_bn(batches, model)
    >>> model.running_mean
    tensor([4.])
    """
    layers: list[Any] = [m for m in model.modules() if _is_batch_norm(m)]
    if not layers:
        return
    momenta, training = [layer.momentum for layer in layers], model.training
    for layer in layers:
        layer.reset_running_stats()
        # A momentum of None is the plain mean of all batches.
        layer.momentum = None
    model.train()
    try:
        with schuss.no_grad():
            for batch in loader:
                first = batch[0] if isinstance(batch, (list, tuple)) else batch
                model(first if device is None else first.to(device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(training)


def _is_batch_norm(module: Any) -> bool:
    return any("BatchNorm" in kind.__name__ for kind in type(module).__mro__)


class SWALR(LRScheduler):
    """The rate led to `swa_lr` in `anneal_epochs` epochs, along a half cosine or straight.

    ValueError for an unknown strategy or a negative number of epochs.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> schedule = schuss.optim.swa_utils.SWALR(
    ...     opt, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear"
    ... )
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     opt.step()
    ...     schedule.step()
    >>> rates
    [1.0, 0.75, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        checked(self, optimizer)
        targets = by_group(self, optimizer, "swa_lr", swa_lr)
        for target, group in zip(targets, optimizer.param_groups, strict=True):
            group["swa_lr"] = target
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f'SWALR: anneal_strategy must be "cos" or "linear", got {anneal_strategy!r}'
            )
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"SWALR: anneal_epochs must be an int from 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: float) -> float:
        share = max(0, min(1, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * share)) / 2 if self._anneal_strategy == "cos" else share

    def get_lr(self) -> list[Any]:
        """The rates at this step, from those before it."""
        self._warn_if_asked()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        found = []
        for group in self.optimizer.param_groups:
            target, lr = group["swa_lr"], group["lr"]
            start = target if before == 1 else (lr - before * target) / (1 - before)
            found.append(target * now + start * (1 - now))
        return found
