"""Schedules that go up and down between two rates, momentum the other way round.
Leans on the base of the schedules; they are stepped after every batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from schuss.optim.lr_scheduler.base import LRScheduler, by_group, checked, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from schuss.optim.optimizer import Optimizer


class _Cycle(LRScheduler):
    """What both do with momentum, which is betas[0] where there are betas."""

    use_beta1 = False

    def _begin_momentum(self, optimizer: Optimizer, base: Any, most: Any, fresh: bool) -> None:
        owner = type(self).__name__
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(
                f"{owner}: {type(optimizer).__name__} has neither momentum nor betas to cycle; "
                "pass cycle_momentum=False"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        if fresh:
            for low, high, group in zip(base, most, optimizer.param_groups, strict=True):
                self._put_momentum(group, high)
                group["max_momentum"] = high
                group["base_momentum"] = low

    def _put_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(_Cycle):
    """The rate goes straight from `base_lr` to `max_lr` and back, batch by batch.

    `mode` "triangular2" halves the height each cycle, "exp_range" multiplies it by gamma ** batch;
    `scale_fn` is a rule of your own, of the cycle or, by `scale_mode`, of the batch. Momentum falls
    while the rate rises. ValueError for an unknown mode, and for an optimiser without momentum
    unless cycle_momentum is False. L. N. Smith (2017), Cyclical learning rates for training neural
    networks, WACV.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0, momentum=0.9)
    >>> schedule = schuss.optim.lr_scheduler.CyclicLR(opt, 0.5, 1.5, step_size_up=2)
    >>> rates = []
    >>> for _ in range(6):
    ...     rates += schedule.get_last_lr()
    ...     opt.step()
    ...     schedule.step()
    >>> rates
    [0.5, 1.0, 1.5, 1.0, 0.5, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked(self, optimizer)
        base_lrs = by_group(self, optimizer, "base_lr", base_lr)
        if last_epoch == -1:
            for lr, group in zip(base_lrs, optimizer.param_groups, strict=True):
                put(group, "lr", lr)
        self.max_lrs = by_group(self, optimizer, "max_lr", max_lr)
        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(
                f'CyclicLR: mode must be "triangular", "triangular2" or "exp_range", got {mode!r}'
            )
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums = by_group(self, optimizer, "base_momentum", base_momentum)
            self.max_momentums = by_group(self, optimizer, "max_momentum", max_momentum)
            fresh = last_epoch == -1
            self._begin_momentum(optimizer, self.base_momentums, self.max_momentums, fresh)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of cycle x, or at batch x, as a share of the first."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return 1 / 2.0 ** (x - 1)
        return self.gamma**x if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[Any]:
        """The rates at batch `last_epoch`; sets the momenta too."""
        self._warn_if_asked()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        up = x <= self.step_ratio
        height = x / self.step_ratio if up else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            pairs = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, pairs, strict=True):
                self._put_momentum(group, high - (high - low) * height * scale)
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height * scale for low, high in pairs]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser and a plain function."""
        state = super().state_dict()
        rule = state.pop("_scale_fn_custom")
        kept = rule is not None and hasattr(rule, "__dict__") and not hasattr(rule, "__code__")
        return {**state, "_scale_fn_custom": dict(vars(rule)) if kept else None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; a plain function stays as it is."""
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_scale_fn_custom"})
        attributes = state_dict.get("_scale_fn_custom")
        if attributes is not None:
            vars(self._scale_fn_custom).update(attributes)


class OneCycleLR(_Cycle):
    """One rise to `max_lr` and a long fall far below the start, batch by batch.

    It starts at max_lr / div_factor, is highest after the share `pct_start` of all batches, and
    ends at a further `final_div_factor` below the start; with `three_phase` it first comes back to
    the start. Give `total_steps`, or `epochs` and `steps_per_epoch`. Momentum goes the other way.
    ValueError for what does not fit, and for a step beyond the last. L. N. Smith and N. Topin
    (2018), Super-convergence: very fast training of neural networks using large learning rates.

    >>> import schuss
    >>> opt = schuss.optim.SGD([schuss.tensor([1.0])], lr=1.0, momentum=0.9)
    >>> schedule = schuss.optim.lr_scheduler.OneCycleLR(
    ...     opt, max_lr=1.0, total_steps=5, pct_start=0.6, anneal_strategy="linear", div_factor=4
    ... )
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     opt.step()
    ...     schedule.step()
    >>> rates
    [0.25, 0.625, 1.0, 0.5000125]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked(self, optimizer)
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
        if total_steps is None:
            counts = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
        else:
            counts = {"total_steps": total_steps}
        self.total_steps = 1
        for name, count in counts.items():
            if not isinstance(count, int) or count <= 0:
                raise ValueError(f"OneCycleLR: {name} must be an int above 0, got {count}")
            self.total_steps *= count
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must be a float in [0, 1], got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f'OneCycleLR: anneal_strategy must be "cos" or "linear", got {anneal_strategy!r}'
            )
        self._anneal_func_type = anneal_strategy
        top, last = pct_start * self.total_steps - 1, self.total_steps - 1
        if three_phase:
            phases = [
                (top, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
                (2 * (top + 1) - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                (last, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
            ]
        else:
            phases = [
                (top, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
                (last, "max_lr", "min_lr", "base_momentum", "max_momentum"),
            ]
        keys = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
        self._schedule_phases = [dict(zip(keys, phase, strict=True)) for phase in phases]
        fresh = last_epoch == -1
        for high, group in zip(
            by_group(self, optimizer, "max_lr", max_lr), optimizer.param_groups, strict=True
        ):
            if fresh:
                group["initial_lr"] = high / div_factor
                group["max_lr"] = high
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            low = by_group(self, optimizer, "base_momentum", base_momentum)
            most = by_group(self, optimizer, "max_momentum", max_momentum)
            self._begin_momentum(optimizer, low, most, fresh)
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
        return (end - start) * share + start

    def get_lr(self) -> list[Any]:
        """The rates at batch `last_epoch`; sets the momenta too."""
        self._warn_if_asked()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step {step} of {self.total_steps} in all; make it with more steps"
            )
        start: Any = 0.0
        for phase in self._schedule_phases:
            end: Any = phase["end_step"]
            if step <= end or phase is self._schedule_phases[-1]:
                break
            start = end
        share, found = (step - start) / (end - start), []
        for group in self.optimizer.param_groups:
            ends = group[phase["start_lr"]], group[phase["end_lr"]]
            found.append(self._between(*ends, share))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._put_momentum(group, self._between(*ends, share))
        return found
