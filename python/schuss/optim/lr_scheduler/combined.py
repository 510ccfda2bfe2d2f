"""Schedules made of schedules: one after the other, or all at once.
Leans on the base of the schedules."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from schuss.optim.lr_scheduler.base import LRScheduler, put, rates
from schuss.optim.lr_scheduler.plateau import ReduceLROnPlateau

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from schuss.optim.optimizer import Optimizer


class _Combined(LRScheduler):
    """What both do with their parts: look at them, and keep their state."""

    _schedulers: Sequence[Any]

    def _check(self, schedulers: Sequence[Any], optimizer: Any) -> None:
        owner = type(self).__name__
        for i, schedule in enumerate(schedulers):
            if not hasattr(schedule, "optimizer"):
                raise TypeError(f"{owner}: schedule {i} has no optimizer, it is {schedule!r}")
            if isinstance(schedule, ReduceLROnPlateau):
                raise ValueError(
                    f"{owner}: schedule {i} is a ReduceLROnPlateau, whose step needs a metric; "
                    "step it on its own"
                )
            if schedule.optimizer is not optimizer:
                raise ValueError(f"{owner}: schedule {i} belongs to another optimizer")

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser, with the states of the parts."""
        kept = {k: v for k, v in vars(self).items() if k not in ("optimizer", "_schedulers")}
        return {**kept, "_schedulers": [part.state_dict() for part in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.__dict__.update({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for part, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            part.load_state_dict(state)


class SequentialLR(_Combined):
    """One schedule after the other: the next takes over at each of the `milestones`.

    Each starts at its own epoch 0. ValueError unless there is one milestone fewer than schedules,
    all of the same optimiser.

    >>> import schuss
    >>> from schuss.optim.lr_scheduler import ConstantLR, ExponentialLR, SequentialLR
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> parts = [ConstantLR(opt, factor=0.25, total_iters=9), ExponentialLR(opt, gamma=0.5)]
    >>> schedule = SequentialLR(opt, parts, milestones=[2])
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     opt.step()
    ...     schedule.step()
    >>> rates
    [0.25, 0.25, 1.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        if len(schedulers) < 1:
            raise ValueError("SequentialLR: needs at least one schedule, got none")
        self._check(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedules need {len(schedulers) - 1} milestones, "
                f"got {len(milestones)}"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Each part has set the rates of its own epoch 0 when it was made: only the first one may.
        for group in optimizer.param_groups:
            put(group, "lr", group["initial_lr"])
        _undo(schedulers)
        first = schedulers[bisect_right(milestones, 0)]
        # A chain steps its parts here, before any step of the optimiser; that is no mistake.
        called, optimizer._opt_called = optimizer._opt_called, True
        first._initial_step()
        optimizer._opt_called = called
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """Go on to the next epoch; call it after the optimiser's `step`."""
        self.last_epoch += 1
        place = bisect_right(self._milestones, self.last_epoch)
        part = self._schedulers[place]
        if place > 0 and self._milestones[place - 1] == self.last_epoch:
            part._update_lr(0)
        else:
            part.step()
        self._last_lr = part.get_last_lr()


def _undo(schedulers: Sequence[Any]) -> None:
    for schedule in schedulers:
        if hasattr(schedule, "_schedulers"):
            _undo(schedule._schedulers)
        elif hasattr(schedule, "last_epoch"):
            schedule.last_epoch -= 1


class ChainedScheduler(_Combined):
    """Several schedules at once: each step is a step of all, so their factors multiply.

    ValueError for none, or for schedules of different optimisers.

    >>> import schuss
    >>> from schuss.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> parts = [ConstantLR(opt, factor=0.25, total_iters=2), ExponentialLR(opt, gamma=0.5)]
    >>> schedule = ChainedScheduler(parts, optimizer=opt)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     opt.step()
    ...     schedule.step()
    >>> rates
    [0.25, 0.125, 0.25, 0.125]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if len(schedulers) < 1:
            raise ValueError("ChainedScheduler: needs at least one schedule, got none")
        if optimizer is None:
            optimizer = getattr(schedulers[0], "optimizer", None)
        self._check(schedulers, optimizer)
        self._schedulers = schedulers
        self.optimizer: Any = optimizer
        self._last_lr = rates(self.optimizer)

    def step(self) -> None:
        """Step every schedule, in order; call it after the optimiser's `step`."""
        for part in self._schedulers:
            part.step()
        self._last_lr = rates(self.optimizer)
