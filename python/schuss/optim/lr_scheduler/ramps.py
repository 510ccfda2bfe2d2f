"""Schedules that lead the rate from one factor to another in a number of epochs.
Leans on the base of the schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.optim.lr_scheduler.base import LRScheduler, rates

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.optimizer import Optimizer


class ConstantLR(LRScheduler):
    """The rate times `factor` until epoch `total_iters`.

    ValueError for a factor outside [0, 1].

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> schedule = schuss.optim.lr_scheduler.ConstantLR(opt, factor=0.5, total_iters=2)
    >>> for _ in range(2):
    ...     print(schedule.get_last_lr())
    ...     opt.step()
    ...     schedule.step()
    [0.5]
    [0.5]
    >>> schedule.get_last_lr()
    [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"ConstantLR: factor must be between 0 and 1, got {factor}")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates at `last_epoch`, from those before it."""
        self._warn_if_asked()
        if self.last_epoch == 0:
            return [lr * self.factor for lr in rates(self.optimizer)]
        if self.last_epoch != self.total_iters:
            return rates(self.optimizer)
        return [lr * (1.0 / self.factor) for lr in rates(self.optimizer)]

    def _get_closed_form_lr(self) -> list[Any]:
        factor = 1.0 if self.last_epoch >= self.total_iters else self.factor
        return [base * factor for base in self.base_lrs]


class LinearLR(LRScheduler):
    """The rate times a factor that goes from `start_factor` to `end_factor` by `total_iters`.

    ValueError for a start_factor outside (0, 1] or an end_factor outside [0, 1].

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> schedule = schuss.optim.lr_scheduler.LinearLR(opt, start_factor=0.5, total_iters=4)
    >>> for _ in range(2):
    ...     opt.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor must be in (0, 1], got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor must be between 0 and 1, got {end_factor}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates at `last_epoch`, from those before it."""
        self._warn_if_asked()
        now = rates(self.optimizer)
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in now]
        if self._is_initial or self.last_epoch > self.total_iters:
            return now
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return [lr * (1.0 + rise / before) for lr in now]

    def _get_closed_form_lr(self) -> list[Any]:
        share = min(self.total_iters, self.last_epoch) / self.total_iters
        factor = self.start_factor + (self.end_factor - self.start_factor) * share
        return [base * factor for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """The rate times (1 - epoch / total_iters) ** power, until it is 0.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> schedule = schuss.optim.lr_scheduler.PolynomialLR(opt, total_iters=4, power=2.0)
    >>> for _ in range(2):
    ...     opt.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates at `last_epoch`, from those before it."""
        self._warn_if_asked()
        if self._is_initial or self.last_epoch > self.total_iters:
            return rates(self.optimizer)
        here, before = (1.0 - (self.last_epoch - k) / self.total_iters for k in (0, 1))
        return [lr * (here / before) ** self.power for lr in rates(self.optimizer)]

    def _get_closed_form_lr(self) -> list[Any]:
        left = 1.0 - min(self.total_iters, self.last_epoch) / self.total_iters
        return [base * left**self.power for base in self.base_lrs]
