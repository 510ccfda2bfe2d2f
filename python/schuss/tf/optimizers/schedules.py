"""Learning rates that change with the step; an optimizer calls them with its count of steps.
Leans on arithmetic alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class LearningRateSchedule:
    """A rate for every step: a subclass defines `__call__(step)`."""

    def __call__(self, step: Any) -> float:
        raise NotImplementedError(f"{type(self).__name__}: define __call__(step)")


class ExponentialDecay(LearningRateSchedule):
    """initial * rate^(step / decay_steps), in whole powers with `staircase`.

    >>> ExponentialDecay(0.1, 10, 0.5)(20)
    0.025
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase = decay_rate, staircase

    def __call__(self, step: Any) -> float:
        power = int(step) / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (
            math.floor(power) if self.staircase else power
        )


class InverseTimeDecay(ExponentialDecay):
    """initial / (1 + rate * step / decay_steps).

    >>> InverseTimeDecay(0.1, 10, 1.0)(10)
    0.05
    """

    def __call__(self, step: Any) -> float:
        part = int(step) / self.decay_steps
        part = math.floor(part) if self.staircase else part
        return self.initial_learning_rate / (1 + self.decay_rate * part)


class PolynomialDecay(LearningRateSchedule):
    """From the initial rate to the last one in decay_steps, by a power of what is left.

    >>> PolynomialDecay(1.0, 10, 0.0)(5)
    0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str | None = None,
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power, self.cycle = end_learning_rate, power, cycle

    def __call__(self, step: Any) -> float:
        step, length = int(step), self.decay_steps
        if self.cycle:
            length *= max(1, math.ceil(step / length))
        left = 1 - min(step, length) / length
        first, last = self.initial_learning_rate, self.end_learning_rate
        return (first - last) * left**self.power + last


class CosineDecay(LearningRateSchedule):
    """From the initial rate to alpha times it along half a cosine (Loshchilov and Hutter, 2017).

    >>> CosineDecay(1.0, 10)(5)
    0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str | None = None,
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.alpha, self.warmup_target, self.warmup_steps = alpha, warmup_target, warmup_steps

    def __call__(self, step: Any) -> float:
        step, top = int(step), self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return top + (self.warmup_target - top) * step / self.warmup_steps
            step, top = step - self.warmup_steps, self.warmup_target
        share = min(step, self.decay_steps) / self.decay_steps
        return top * ((1 - self.alpha) * 0.5 * (1 + math.cos(math.pi * share)) + self.alpha)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to the first boundary, values[1] up to the second, and so on.

    >>> rate = PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1])
    >>> rate(10), rate(11), rate(99)
    (1.0, 0.5, 0.1)
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str | None = None
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"PiecewiseConstantDecay: {len(boundaries)} boundaries need one value more, got "
                f"{len(values)}"
            )
        self.boundaries, self.values = boundaries, values

    def __call__(self, step: Any) -> float:
        return self.values[sum(int(step) > b for b in self.boundaries)]


__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]
