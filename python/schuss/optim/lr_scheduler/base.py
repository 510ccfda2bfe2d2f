"""LRScheduler, the base of the schedules, and what they share: rates by group, warnings, state.
Leans on `param_groups` alone; a rate that is a tensor is written in place."""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import TYPE_CHECKING

import schuss
from schuss import _core
from schuss.naming import Checked, warn
from schuss.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any


def checked(schedule: object, optimizer: Any) -> Optimizer:
    """The optimizer, if it is one."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{type(schedule).__name__}: needs an Optimizer, got {type(optimizer).__name__}"
        )
    return optimizer


def rates(optimizer: Optimizer, key: str = "lr") -> list[Any]:
    """The rate of each group; of one in a tensor, a copy."""
    return [_copied(group[key]) for group in optimizer.param_groups]


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, schuss.Tensor) else value


def put(group: dict[str, Any], key: str, value: Any) -> None:
    """Set a number of a group, in its tensor if it is in one."""
    if isinstance(group[key], schuss.Tensor):
        group[key].fill_(float(value))
    else:
        group[key] = value


def by_group(schedule: object, optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """A number for each group, from one for all or a list."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        value = [value] * count
    if len(value) != count:
        owner = type(schedule).__name__
        raise ValueError(f"{owner}: {name} has {len(value)} values for {count} groups")
    return [_copied(x) for x in value]


def warn_of_epochs(owner: str) -> None:
    """Tell that `step` better takes no epoch."""
    warn(
        f"{owner}: step(epoch) is deprecated and not known by all schedules; call step() once "
        "an epoch",
    )


# Whether this thread is inside a schedule's step that is being recorded.
_within = threading.local()


def _told(step: Callable[..., None]) -> Callable[..., None]:
    """Wraps a class's `step`: in a step that is being recorded it is a part of the host, made again
    each time; once, even where one schedule steps others."""

    @functools.wraps(step)
    def wrapper(self: LRScheduler, *args: Any, **kwargs: Any) -> None:
        if not _core._is_recording() or getattr(_within, "step", False):
            return step(self, *args, **kwargs)
        before: list[tuple[dict[str, Any], dict[str, Any]]] = []

        def again() -> None:
            before[:] = [(place, dict(place)) for place in _written(self)]
            step(self, *args, **kwargs)

        def back() -> None:
            for place, was in before:
                place.clear()
                place.update(was)

        _core._host_call(again, back)
        _within.step = True
        try:
            return step(self, *args, **kwargs)
        finally:
            _within.step = False

    return wrapper


def _written(schedule: LRScheduler) -> list[dict[str, Any]]:
    """Everything that a schedule's step writes to: its own numbers, its parts' and the groups'."""
    parts = getattr(schedule, "_schedulers", ())
    inner = [place for part in parts for place in _written(part)]
    return [vars(schedule), *schedule.optimizer.param_groups, *inner]


class LRScheduler(Checked):
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

    _get_lr_called_within_step = False
    _is_initial = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _told(cls.__dict__["step"])

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked(self, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}: group {i} has no initial_lr to go on from; load the "
                    "optimiser's state first, or start with last_epoch=-1"
                )
        self.base_lrs: list[Any] = rates(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        # From the first schedule on a step of the optimiser is expected before one of a schedule.
        if not optimizer._scheduled:
            optimizer._scheduled, optimizer._opt_called = True, False
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Any]:
        """The rate of each group at `last_epoch`; written by each schedule, called by `step`."""
        raise NotImplementedError(f"{type(self).__name__}.get_lr: write the rule in this method")

    def get_last_lr(self) -> list[Any]:
        """The rate of each group, as last set."""
        return self._last_lr

    @_told
    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch, or to `epoch`; call it after the optimiser's `step`."""
        if self._step_count == 1 and not self.optimizer._opt_called:
            warn(
                f"{type(self).__name__}: schedule.step() came before optimizer.step(): the first "
                "rate was never used; call them in the other order",
            )
        self._step_count += 1
        if epoch is not None:
            warn_of_epochs(type(self).__name__)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        with self._asking():
            if epoch is None:
                self.last_epoch += 1
                found = self.get_lr()
            else:
                self.last_epoch = epoch
                found = getattr(self, "_get_closed_form_lr", self.get_lr)()
        self._set(found)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_if_asked(self) -> None:
        """Tell who calls `get_lr` outside a step that it is not the rate in force."""
        if not self._get_lr_called_within_step:
            warn(
                f"{type(self).__name__}: get_lr() makes the next rates; for those in force use "
                "get_last_lr()",
            )

    def _set(self, found: Sequence[Any]) -> None:
        for group, lr in zip(self.optimizer.param_groups, found, strict=True):
            put(group, "lr", lr)
        self._last_lr = rates(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser, as a dict."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; load the optimiser's own state beside it."""
        self.__dict__.update(state_dict)
