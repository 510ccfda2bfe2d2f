"""The schedule that looks at a metric: less where it no longer improves.
Leans on the base of the schedules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from schuss.optim.lr_scheduler.base import LRScheduler, checked, put, rates, warn_of_epochs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from schuss.optim.optimizer import Optimizer


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
        self.optimizer = checked(self, optimizer)
        groups = len(optimizer.param_groups)
        listed = isinstance(min_lr, (list, tuple))
        self.default_min_lr = None if listed else min_lr
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
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self._last_lr = rates(self.optimizer)
        self._reset()

    def _reset(self) -> None:
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

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
        if epoch is not None:
            warn_of_epochs("ReduceLROnPlateau")
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
        self._last_lr = rates(self.optimizer)

    def _cut(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"ReduceLROnPlateau: {len(self.min_lrs)} min_lr for {len(groups)} groups; a "
                    "group was added, so add to min_lrs too"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, least)
            if old - new > self.eps:
                put(group, "lr", new)
