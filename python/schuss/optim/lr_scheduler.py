"""Schedules: rules that change an optimiser's learning rates as training goes on.
Leans on `param_groups` alone; every schedule reads and writes the key "lr" of each group."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from typing import TYPE_CHECKING

from schuss.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

__all__ = [
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "MultiStepLR",
    "ReduceLROnPlateau",
    "StepLR",
]


def _checked(schedule: object, optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{type(schedule).__name__}: needs an Optimizer, got {type(optimizer).__name__}"
        )
    return optimizer


class LRScheduler:
    """The base of the schedules: write `get_lr`, which returns the next rate of each group.

    `last_epoch` is the number of the last epoch done; a schedule that goes on from a checkpoint
    finds the starting rates in the groups' "initial_lr" (KeyError if they are not there). Making
    one sets the rates of epoch 0. TypeError where `optimizer` is none.

    >>> import schuss
    >>> class Halving(schuss.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [lr / 2**self.last_epoch for lr in self.base_lrs]
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> schedule = Halving(opt)
    >>> for _ in range(3):
    ...     opt.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.125]
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = _checked(self, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", float(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}: group {i} has no initial_lr to go on from; load the "
                    "optimiser's state first, or start with last_epoch=-1"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._start()

    def _start(self) -> None:
        # From here on a step of the optimiser is expected before a step of the schedule.
        self.optimizer._opt_called = False
        self._step_count = 1
        self._advance(None)

    def get_lr(self) -> list[float]:
        """The rate of each group at `last_epoch`; written by each schedule, called by `step`."""
        raise NotImplementedError(f"{type(self).__name__}.get_lr: write the rule in this method")

    def get_last_lr(self) -> list[float]:
        """The rate of each group, as last set."""
        return list(self._last_lr)

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch, or to `epoch`; call it after the optimiser's `step`."""
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                f"{type(self).__name__}: schedule.step() came before optimizer.step(): the first "
                "rate was never used; call them in the other order",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        self._advance(epoch)

    def _advance(self, epoch: int | None) -> None:
        if epoch is None:
            self.last_epoch += 1
            rates = self.get_lr()
        else:
            self.last_epoch = epoch
            closed = getattr(self, "_closed_form", self.get_lr)
            rates = closed()
        self._set(rates)

    def _set(self, rates: Sequence[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]

    def _rates(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser, as a dict."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; load the optimiser's own state beside it."""
        self.__dict__.update(state_dict)


class LambdaLR(LRScheduler):
    """The starting rate times f(epoch), with one function for all groups or a list of them.

    ValueError where the list does not match the groups. A checkpoint holds the attributes of
    callable objects, but no plain functions.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=0.5)
    >>> schuss.optim.lr_scheduler.LambdaLR(opt, lambda epoch: 1 / (1 + epoch)).get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(_checked(self, optimizer).param_groups)
        one = callable(lr_lambda)
        self.lr_lambdas = [lr_lambda] * groups if one else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"LambdaLR: {len(self.lr_lambdas)} functions for {groups} groups")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The starting rates times the functions' values at `last_epoch`."""
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * rule(self.last_epoch) for base, rule in pairs]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser and plain functions."""
        state = super().state_dict()
        state["lr_lambdas"] = [
            dict(vars(rule))
            if hasattr(rule, "__dict__") and not hasattr(rule, "__code__")
            else None
            for rule in self.lr_lambdas
        ]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; plain functions stay as they are."""
        kept = {key: value for key, value in state_dict.items() if key != "lr_lambdas"}
        super().load_state_dict(kept)
        for rule, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if attributes is not None:
                vars(rule).update(attributes)


class StepLR(LRScheduler):
    """The rate times `gamma` every `step_size` epochs.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> schedule = schuss.optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     opt.step()
    ...     schedule.step()
    >>> opt.param_groups[0]["lr"]
    0.25
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: step_size must be at least 1, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`, from those before it."""
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if due else lr for lr in self._rates()]

    def _closed_form(self) -> list[float]:
        return [lr * self.gamma ** (self.last_epoch // self.step_size) for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """The rate times `gamma` at each of the `milestones`, which are epochs.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> schedule = schuss.optim.lr_scheduler.MultiStepLR(opt, milestones=[1, 3], gamma=0.5)
    >>> for _ in range(4):
    ...     opt.step()
    ...     schedule.step()
    >>> opt.param_groups[0]["lr"]
    0.25
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`, from those before it."""
        times = self.milestones[self.last_epoch]
        return [lr * self.gamma**times if times else lr for lr in self._rates()]

    def _closed_form(self) -> list[float]:
        passed = sum(n for epoch, n in self.milestones.items() if epoch <= self.last_epoch)
        return [lr * self.gamma**passed for lr in self.base_lrs]


class ExponentialLR(LRScheduler):
    """The rate times `gamma` every epoch.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> schedule = schuss.optim.lr_scheduler.ExponentialLR(opt, gamma=0.5)
    >>> opt.step()
    >>> schedule.step()
    >>> opt.param_groups[0]["lr"]
    0.5
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`, from those before it."""
        return [lr if self._step_count == 1 else lr * self.gamma for lr in self._rates()]

    def _closed_form(self) -> list[float]:
        return [lr * self.gamma**self.last_epoch for lr in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the starting rate down to `eta_min` in `T_max` epochs, and up again.

    The rate is written as a factor on the rate before it, so that it may be combined with other
    schedules. I. Loshchilov and F. Hutter (2017), SGDR, ICLR, equation 5.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> schedule = schuss.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=4)
    >>> for _ in range(2):
    ...     opt.step()
    ...     schedule.step()
    >>> round(opt.param_groups[0]["lr"], 6)
    0.5
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_max <= 0:
            raise ValueError(f"CosineAnnealingLR: T_max must be above 0, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`, from those before it."""
        if self._step_count == 1:
            return self._rates()
        low, period = self.eta_min, self.T_max
        if (self.last_epoch - 1 - period) % (2 * period) == 0:
            # The epoch before was the lowest point, where no factor leads on.
            rise = (1 - math.cos(math.pi / period)) / 2
            pairs = zip(self._rates(), self.base_lrs, strict=True)
            return [lr + (base - low) * rise for lr, base in pairs]
        here, before = (1 + math.cos(math.pi * (self.last_epoch - k) / period) for k in (0, 1))
        return [here / before * (lr - low) + low for lr in self._rates()]

    def _closed_form(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half cosines from the starting rate to `eta_min`, each `T_mult` times longer than the last.

    The first takes `T_0` epochs. `step(epoch)` takes fractions, for a rate that falls within the
    epoch: step(epoch + i / n_batches). ValueError where T_0 or T_mult is no int above 0.
    I. Loshchilov and F. Hutter (2017), SGDR: stochastic gradient descent with warm restarts, ICLR.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> schedule = schuss.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=2, T_mult=2)
    >>> rates = []
    >>> for epoch in (0, 0.5, 1, 2, 4, 6):
    ...     schedule.step(epoch)
    ...     rates.append(round(opt.param_groups[0]["lr"], 4))
    >>> rates
    [1.0, 0.8536, 0.5, 1.0, 0.5, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"CosineAnnealingWarmRestarts: {name} must be an int above 0, got {value}"
                )
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def _start(self) -> None:
        self.step()

    def get_lr(self) -> list[float]:
        """The rates at `T_cur` epochs of a cosine of `T_i`."""
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to `epoch`, which may be a fraction; ValueError below 0."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        elif not 0 <= epoch < math.inf:
            raise ValueError(
                f"CosineAnnealingWarmRestarts: epoch must be at least 0 and finite, got {epoch}"
            )
        elif self.T_mult == 1:
            self.T_cur, self.T_i = epoch % self.T_0, self.T_0
        else:
            self.T_cur, self.T_i = epoch, self.T_0
            while self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())


class ReduceLROnPlateau(LRScheduler):
    """The rate times `factor` once a metric has not improved for more than `patience` epochs.

    `mode` "min" wants the metric to fall, "max" to rise, by more than `threshold`, relative to the
    best ("rel") or absolute ("abs"). After a cut it waits `cooldown` epochs; rates stay above
    `min_lr`, and changes below `eps` are not made. ValueError for a factor of 1 or more and for
    unknown modes.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> schedule = schuss.optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=1)
    >>> for loss in (3.0, 3.0, 3.0):
    ...     schedule.step(loss)
    >>> opt.param_groups[0]["lr"]
    0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(f'ReduceLROnPlateau: mode must be "min" or "max", got {mode!r}')
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f'ReduceLROnPlateau: threshold_mode must be "rel" or "abs", got {threshold_mode!r}'
            )
        self.optimizer = _checked(self, optimizer)
        groups = len(optimizer.param_groups)
        listed = isinstance(min_lr, (list, tuple))
        self.min_lrs: list[Any] = list(min_lr) if listed else [min_lr] * groups
        if len(self.min_lrs) != groups:
            raise ValueError(f"ReduceLROnPlateau: {len(self.min_lrs)} min_lr for {groups} groups")
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self._last_lr = self._rates()

    @property
    def in_cooldown(self) -> bool:
        """Whether a recent cut is still being waited out."""
        return self.cooldown_counter > 0

    def is_better(self, a: float, best: float) -> bool:
        """Whether `a` improves on `best` by more than the threshold."""
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            bar = best * (1 + sign * self.threshold)
        else:
            bar = best + sign * self.threshold
        return a < bar if self.mode == "min" else a > bar

    def step(self, metrics: Any, epoch: int | None = None) -> None:
        """Look at the epoch's metric, a number or a tensor of one element, and cut if it is due."""
        current = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(current, self.best):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._cut()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._rates()

    def _cut(self) -> None:
        rates = self._rates()
        lower = [max(lr * self.factor, low) for lr, low in zip(rates, self.min_lrs, strict=True)]
        self._set(
            [new if old - new > self.eps else old for old, new in zip(rates, lower, strict=True)]
        )
