"""SecondOrder, the base of the optimisers that know curvature: steps, searches, when to stop.
Leans on flat vectors and on the line searches; where to go is written by each of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss.optim.flat import Flat, inner, largest
from schuss.optim.optimizer import check_number
from schuss.optim.search import Trial, backtracking, strong_wolfe

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.flat import Closure

SEARCHES = ("strong_wolfe", "backtracking", None)


class SecondOrder(Flat):
    """The base of the optimisers that know curvature: write `_direction`.

    `step(closure)` takes up to `max_iter` steps and returns the loss before the first. It stops
    where the largest gradient is at most `tol`, where no step makes the loss smaller, or after
    `patience` steps in a row of which none made it smaller by more than `min_delta`; then
    `converged` is True. A loss that is infinite or NaN counts as too far: the step is shortened,
    and if nothing better is found the parameters stay. RuntimeError where it is so at the start.
    """

    # The slope that is flat enough, as a share of that at the start.
    _flatness = 0.9

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        owner = type(self).__name__
        for name in ("lr", "tol", "min_delta"):
            check_number(owner, name, defaults[name])
        for name in ("max_iter", "max_trials", "patience"):
            value = defaults[name]
            bad = isinstance(value, bool) or not isinstance(value, int) or value < 1
            if bad and not (name == "patience" and value is None):
                raise ValueError(f"{owner}: {name} must be an int from 1, got {value!r}")
        if defaults["line_search"] not in SEARCHES:
            raise ValueError(
                f"{owner}: line_search must be one of {SEARCHES}, got {defaults['line_search']!r}"
            )
        super().__init__(params, defaults)

    @property
    def converged(self) -> bool:
        """Whether the last step ended because there was nothing more to gain."""
        return bool(self._memory().get("converged"))

    def step(self, closure: Closure | None = None) -> Any:
        """Take up to `max_iter` steps; returns the loss before the first."""
        if closure is None:
            raise TypeError(f"{type(self).__name__}.step: needs a closure that returns the loss")
        x = self._point()
        try:
            return self._descend(closure)
        except BaseException:
            # Whatever goes wrong inside the closure, the parameters are those from before.
            self._place(x)
            raise

    def _descend(self, closure: Closure) -> Any:
        group, state = self.param_groups[0], self._memory()
        for key in ("func_evals", "n_iter", "stalled"):
            state.setdefault(key, 0)
        first, loss, grad = self._measured(closure)
        state["func_evals"] += 1
        state["converged"] = False
        self._check_start(loss, grad)
        best = loss
        for _ in range(group["max_iter"]):
            if largest(grad) <= group["tol"]:
                state["converged"] = True
                break
            state["n_iter"] += 1
            end = self._advance(closure, Trial(0.0, loss, 0.0, grad))
            if end is None:
                state["converged"] = True
                break
            loss, grad = end.loss, end.found
            state["stalled"] = 0 if loss < best - group["min_delta"] else state["stalled"] + 1
            best = min(best, loss)
            if group["patience"] is not None and state["stalled"] >= group["patience"]:
                state["converged"] = True
                break
        return first

    def _direction(self, state: dict[str, Any], closure: Closure, here: Trial) -> schuss.Tensor:
        """Where to go from a point of which loss and gradient are known."""
        raise NotImplementedError

    def _reset(self, state: dict[str, Any]) -> None:
        """Forget what has been learnt of the curvature."""

    def _first_length(self, state: dict[str, Any], grad: schuss.Tensor, slope: float) -> float:
        """The first distance to try: 1 where the direction has a length of its own."""
        return 1.0

    def _advance(self, closure: Closure, here: Trial) -> Trial | None:
        """One step; None where none leads down, with the parameters as they were."""
        group, state, grad = self.param_groups[0], self._memory(), here.found
        x = self._point()
        d = self._direction(state, closure, here) * self._rates()
        slope = inner(grad, d)
        if not slope < 0 or not math.isfinite(slope):
            self._reset(state)
            d = -grad * self._rates()
            slope = inner(grad, d)
        t = self._first_length(state, grad, slope)
        start, measure = Trial(0.0, here.loss, slope, grad), self._along(closure, x, d)
        search, most, made = group["line_search"], group["max_trials"], 1
        if search == "strong_wolfe":
            c2, tiny = self._flatness, 1e-12
            end, made = strong_wolfe(
                measure, start, t, largest(d), c2=c2, tolerance=tiny, most=most
            )
        elif search == "backtracking":
            end, made = backtracking(measure, start, t, most=most)
        else:
            end = measure(t)
            if not end.usable:
                end = start
        state["func_evals"] += made
        if end.t == 0:
            self._place(x)
            return None
        self._settle(x + end.t * d)
        self._learn(state, end.t * d, grad, end)
        state["slope"] = slope
        state["t"] = end.t
        return end

    def _settle(self, x: schuss.Tensor) -> None:
        """Be where the search has ended."""
        self._place(x)

    def _learn(
        self, state: dict[str, Any], moved: schuss.Tensor, grad: schuss.Tensor, end: Trial
    ) -> None:
        """Take in how the gradient changed along a step."""
