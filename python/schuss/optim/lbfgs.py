"""LBFGS: quasi-Newton steps from the last gradients, by PyTorch's algorithm.
Leans on flat vectors and on the strong Wolfe search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.optim.flat import Flat, inner, largest
from schuss.optim.optimizer import check_number
from schuss.optim.search import Trial, strong_wolfe

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class LBFGS(Flat):
    """Limited-memory BFGS: up to `max_iter` steps in one call of `step(closure)`.

    `closure` computes the loss anew, calls `backward` and returns it. `line_search_fn` is None, for
    steps of `lr`, or "strong_wolfe". It stops early where the largest gradient is at most
    `tolerance_grad`, where parameters and loss change by less than `tolerance_change`, and after
    `max_eval` evaluations (by default 1.25 max_iter). ValueError for a negative lr and for more
    than one group; RuntimeError for another line search, and where the loss is no number to begin
    with. D. C. Liu and J. Nocedal (1989), On the limited memory BFGS method for large scale
    optimization, Mathematical Programming 45.

    >>> import schuss
    >>> w = schuss.tensor([1.0, -2.0], requires_grad=True)
    >>> opt = schuss.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     opt.zero_grad()
    ...     loss = ((w - 3) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> opt.step(closure).item(), w.detach().round(decimals=4)
    (29.0, tensor([3., 3.]))
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
        *,
        maximize: bool = False,
    ) -> None:
        check_number("LBFGS", "lr", lr)
        for name, number in (("max_iter", max_iter), ("history_size", history_size)):
            if number < 1:
                raise ValueError(f"LBFGS: {name} must be at least 1, got {number}")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
            "maximize": maximize,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS: takes one group of parameters, its options are for all")

    def step(self, closure: Callable[[], Any]) -> Any:
        """Take up to `max_iter` steps; returns the loss before the first."""
        searching = self.param_groups[0]["line_search_fn"]
        if searching not in (None, "strong_wolfe"):
            raise RuntimeError(
                f"LBFGS: the line search is 'strong_wolfe' or None, not {searching!r}"
            )
        x = self._point()
        try:
            return self._descend(closure, searching)
        except BaseException:
            # Whatever goes wrong inside the closure, the parameters are those from before.
            self._place(x)
            raise

    def _descend(self, closure: Callable[[], Any], searching: str | None) -> Any:
        group, state = self.param_groups[0], self._memory()
        lr, tiny = float(group["lr"]), group["tolerance_change"]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first, loss, grad = self._measured(closure)
        made = 1
        state["func_evals"] += 1
        self._check_start(loss, grad)
        if largest(grad) <= group["tolerance_grad"]:
            return first
        for turn in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = direction(state, grad, group["history_size"])
            before = loss
            state.update(d=d, prev_flat_grad=grad, prev_loss=loss)
            t = min(1.0, 1.0 / grad.abs().sum().item()) * lr if state["n_iter"] == 1 else lr
            state["t"] = t
            slope, x = inner(grad, d), self._point()
            if slope > -tiny:
                break
            trials = 0
            if searching:
                measure = self._along(closure, x, d)
                most = group["max_eval"] - made
                start, size = Trial(0.0, loss, slope, grad), largest(d)
                end, trials = strong_wolfe(measure, start, t, size, tolerance=tiny, most=most)
                t, loss, grad = end.t, end.loss, end.found
                state["t"] = t
                self._place(x + t * d)
            else:
                self._place(x + t * d)
                # After the last step nobody asks, and a stochastic loss will be another.
                if turn != group["max_iter"]:
                    _, loss, grad = self._measured(closure)
                    trials = 1
            made += trials
            state["func_evals"] += trials
            if (
                made >= group["max_eval"]
                or largest(grad) <= group["tolerance_grad"]
                or t * largest(d) <= tiny
                or abs(loss - before) < tiny
            ):
                break
        return first


def direction(state: dict[str, Any], grad: schuss.Tensor, history: int) -> schuss.Tensor:
    """The quasi-Newton direction at a gradient, and the memory of how the last one changed.

    The two-loop recursion: J. Nocedal and S. J. Wright (2006), Numerical Optimization, algorithm
    7.4. `state` holds the last direction, its length and its gradient, and the memory itself.
    """
    if state.get("prev_flat_grad") is None or state.get("old_dirs") is None:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
        return -grad
    changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
    change, step = grad - state["prev_flat_grad"], state["d"] * float(state["t"])
    curvature = inner(change, step)
    if curvature > 1e-10:
        if len(changes) >= history:
            for memory in (changes, steps, inverses):
                memory.pop(0)
        changes.append(change)
        steps.append(step)
        inverses.append(1.0 / curvature)
        state["H_diag"] = curvature / inner(change, change)
    q = -grad
    parts = []
    for y, s, inverse in zip(changes[::-1], steps[::-1], inverses[::-1], strict=True):
        part = inner(s, q) * float(inverse)
        parts.append(part)
        q = q - part * y
    r = q * float(state["H_diag"])
    for y, s, inverse, part in zip(changes, steps, inverses, parts[::-1], strict=True):
        r = r + s * (part - inner(y, r) * float(inverse))
    return r
