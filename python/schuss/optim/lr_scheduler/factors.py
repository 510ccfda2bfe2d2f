"""Schedules that multiply the rate: by a function, at steps, at milestones, or on every epoch.
Leans on the base of the schedules."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from schuss.optim.lr_scheduler.base import LRScheduler, checked, rates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from schuss.optim.optimizer import Optimizer


class _ByFunction(LRScheduler):
    """What schedules by functions do: one function for all groups or a list, kept out of state."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        owner, groups = type(self).__name__, len(checked(self, optimizer).param_groups)
        one = not isinstance(lr_lambda, (list, tuple))
        self.lr_lambdas: list[Any] = [lr_lambda] * groups if one else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"{owner}: {len(self.lr_lambdas)} functions for {groups} groups")
        for rule in self.lr_lambdas:
            if not callable(rule):
                raise TypeError(f"{owner}: lr_lambda must be callable, got {type(rule).__name__}")
        super().__init__(optimizer, last_epoch)

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


class LambdaLR(_ByFunction):
    """The starting rate times f(epoch), with one function for all groups or a list of them.

    ValueError where the list does not match the groups, TypeError for what is no function. A
    checkpoint holds the attributes of callable objects, but no plain functions.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=0.5)
    >>> schuss.optim.lr_scheduler.LambdaLR(opt, lambda epoch: 1 / (1 + epoch)).get_last_lr()
    [0.5]
    """

    def get_lr(self) -> list[Any]:
        """The starting rates times the functions' values at `last_epoch`."""
        self._warn_if_asked()
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * rule(self.last_epoch) for base, rule in pairs]


class MultiplicativeLR(_ByFunction):
    """The rate times f(epoch) every epoch, with one function for all groups or a list of them.

    Errors and checkpoints as LambdaLR.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0)
    >>> schedule = schuss.optim.lr_scheduler.MultiplicativeLR(opt, lambda epoch: 0.5)
    >>> for _ in range(2):
    ...     opt.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def get_lr(self) -> list[Any]:
        """The rates before, times the functions' values at `last_epoch`."""
        self._warn_if_asked()
        now = rates(self.optimizer)
        if self._is_initial:
            return now
        return [lr * rule(self.last_epoch) for lr, rule in zip(now, self.lr_lambdas, strict=True)]


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
        if not hasattr(step_size, "__float__"):
            raise TypeError(f"StepLR: step_size must be a number of epochs, got {step_size!r}")
        if step_size < 1:
            raise ValueError(f"StepLR: step_size must be at least 1, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates at `last_epoch`, from those before it."""
        self._warn_if_asked()
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if due else lr for lr in rates(self.optimizer)]

    def _get_closed_form_lr(self) -> list[Any]:
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

    def get_lr(self) -> list[Any]:
        """The rates at `last_epoch`, from those before it."""
        self._warn_if_asked()
        times = self.milestones[self.last_epoch]
        return [lr * self.gamma**times if times else lr for lr in rates(self.optimizer)]

    def _get_closed_form_lr(self) -> list[Any]:
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

    def get_lr(self) -> list[Any]:
        """The rates at `last_epoch`, from those before it."""
        self._warn_if_asked()
        return [lr if self._is_initial else lr * self.gamma for lr in rates(self.optimizer)]

    def _get_closed_form_lr(self) -> list[Any]:
        return [lr * self.gamma**self.last_epoch for lr in self.base_lrs]
