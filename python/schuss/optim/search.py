"""Line searches: how far to go along a direction, by the strong Wolfe conditions or by halving.
Leans on nothing but a function of the distance; a value that is infinite or NaN is too far."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Trial(NamedTuple):
    """A distance along the direction, the loss and its slope there, and what else was found."""

    t: float
    loss: float
    slope: float
    found: Any = None

    @property
    def usable(self) -> bool:
        """Whether loss and slope are numbers."""
        return math.isfinite(self.loss) and math.isfinite(self.slope)


def _lowest(a: Trial, b: Trial, low: float | None = None, high: float | None = None) -> float:
    """Where the cubic through two trials is lowest, within bounds; their middle if nowhere.

    J. Nocedal and S. J. Wright (2006), Numerical Optimization, equation 3.59.
    """
    if a.t > b.t:
        a, b = b, a
    low, high = a.t if low is None else low, b.t if high is None else high
    if a.usable and b.usable:
        d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
        square = d1 * d1 - a.slope * b.slope
        if square >= 0:
            d2 = math.sqrt(square)
            below = b.slope - a.slope + 2 * d2
            if below != 0:
                return min(max(b.t - (b.t - a.t) * ((b.slope + d2 - d1) / below), low), high)
    return (low + high) / 2


def strong_wolfe(
    measure: Callable[[float], Trial],
    start: Trial,
    t: float,
    size: float,
    *,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
    most: int = 25,
    longest: float = math.inf,
) -> tuple[Trial, int]:
    """A trial that lies low enough and is flat enough, and how many were made.

    `start` is the trial at 0, `t` the first distance to try, `size` the largest element of the
    direction: a bracket of less than tolerance / size is not searched further, and none goes
    beyond `longest`. The loss must be
    below start.loss + c1 * t * start.slope, the slope's size below c2 times that at the start; if
    `most` trials do not reach this, the lowest one is given. First a bracket is found by going
    further, then it is narrowed by cubic interpolation, with points near its ends moved inwards.
    J. Nocedal and S. J. Wright (2006), Numerical Optimization, algorithms 3.5 and 3.6.

    >>> from schuss.optim.search import Trial, strong_wolfe
    >>> def measure(t):
    ...     return Trial(t, (t - 3) ** 2, 2 * (t - 3))
    >>> strong_wolfe(measure, measure(0.0), 1.0, 1.0)[0].t
    1.0
    >>> strong_wolfe(measure, measure(0.0), 1.0, 1.0, c2=0.1)[0].t
    3.0
    """
    low_enough = lambda trial: trial.loss <= start.loss + c1 * trial.t * start.slope  # noqa: E731
    flat_enough = lambda trial: abs(trial.slope) <= -c2 * start.slope  # noqa: E731
    before, here, made, turns = start, measure(t), 1, 0
    while turns < most:
        if not here.usable or not low_enough(here) or (turns > 1 and here.loss >= before.loss):
            break
        if flat_enough(here):
            return here, made
        if here.slope >= 0:
            break
        if here.t >= longest:
            return here, made
        nearest = min(here.t + 0.01 * (here.t - before.t), longest)
        furthest = min(here.t * 10, longest)
        before, here = here, measure(_lowest(before, here, nearest, furthest))
        made, turns = made + 1, turns + 1
    if turns == most:
        before = start
    low, high = (before, here) if not here.usable or before.loss <= here.loss else (here, before)
    stuck = False
    while turns < most and not abs(high.t - low.t) * size < tolerance:
        ends = sorted((low.t, high.t))
        t, edge = _lowest(low, high), 0.1 * (ends[1] - ends[0])
        if min(ends[1] - t, t - ends[0]) < edge:
            if stuck or not ends[0] < t < ends[1]:
                t = ends[1] - edge if abs(t - ends[1]) < abs(t - ends[0]) else ends[0] + edge
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        trial = measure(t)
        made, turns = made + 1, turns + 1
        if not trial.usable or not low_enough(trial) or trial.loss >= low.loss:
            high = trial
            if high.usable and high.loss < low.loss:
                low, high = high, low
            continue
        if flat_enough(trial):
            return trial, made
        if trial.slope * (high.t - low.t) >= 0:
            high = low
        low = trial
    return low, made


def backtracking(
    measure: Callable[[float], Trial],
    start: Trial,
    t: float,
    *,
    c1: float = 1e-4,
    shrink: float = 0.5,
    most: int = 25,
) -> tuple[Trial, int]:
    """The first of t, t * shrink, ... that lies low enough, or `start`; and how many were made.

    L. Armijo (1966), Minimization of functions having Lipschitz continuous first partial
    derivatives, Pacific J. Math. 16.

    >>> from schuss.optim.search import Trial, backtracking
    >>> def measure(t):
    ...     return Trial(t, (t - 3) ** 2, 2 * (t - 3))
    >>> trial, made = backtracking(measure, measure(0.0), 8.0)
    >>> trial.t, made
    (4.0, 2)
    """
    for made in range(1, most + 1):
        trial = measure(t)
        if trial.usable and trial.loss <= start.loss + c1 * t * start.slope:
            return trial, made
        t *= shrink
    return start, most
