"""Schedules along half cosines, with and without restarts.
Leans on the base of the schedules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from schuss.optim.lr_scheduler.base import LRScheduler, rates

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.optimizer import Optimizer


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

    def get_lr(self) -> list[Any]:
        """The rates at `last_epoch`, from those before it."""
        self._warn_if_asked()
        if self._is_initial:
            return rates(self.optimizer)
        low, period = self.eta_min, self.T_max
        if (self.last_epoch - 1 - period) % (2 * period) == 0:
            # The epoch before was the lowest point, where no factor leads on.
            rise = (1 - math.cos(math.pi / period)) / 2
            pairs = zip(rates(self.optimizer), self.base_lrs, strict=True)
            return [lr + (base - low) * rise for lr, base in pairs]
        here, before = (1 + math.cos(math.pi * (self.last_epoch - k) / period) for k in (0, 1))
        return [here / before * (lr - low) + low for lr in rates(self.optimizer)]

    def _get_closed_form_lr(self) -> list[Any]:
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

    def get_lr(self) -> list[Any]:
        """The rates at `T_cur` epochs of a cosine of `T_i`."""
        self._warn_if_asked()
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
        with self._asking():
            found = self.get_lr()
        self._set(found)
