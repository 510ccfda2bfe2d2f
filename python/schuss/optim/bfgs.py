"""BFGS: the whole inverse Hessian, learnt from the gradients along the way.
Leans on the base of the second-order optimisers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.optim.flat import inner
from schuss.optim.second_order import SecondOrder

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.search import Trial


class BFGS(SecondOrder):
    """BFGS: d = -H g, with H the inverse Hessian as learnt so far, n x n numbers.

    `step(closure)` takes up to `max_iter` steps and returns the loss before the first. The closure
    returns the loss; it may call `backward()`, as LBFGS's must, and need not. A step ends early
    where the largest gradient is at most `tol`; `converged` tells. For up to some thousand
    parameters; LBFGS keeps the last steps alone. Errors and searches as all second-order
    optimisers. J. Nocedal and S. J. Wright (2006), Numerical
    Optimization, algorithm 6.1.

    >>> import schuss
    >>> w = schuss.tensor([1.0, -2.0], dtype=schuss.float64, requires_grad=True)
    >>> opt = schuss.optim.BFGS([w])
    >>> _ = opt.step(lambda: ((w - 3) ** 2 * schuss.tensor([1.0, 9.0])).sum())
    >>> opt.converged, [round(x, 4) for x in w.tolist()]
    (True, [3.0, 3.0])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        max_iter: int = 20,
        *,
        tol: float = 1e-6,
        patience: int | None = None,
        min_delta: float = 0.0,
        line_search: str | None = "strong_wolfe",
        max_trials: int = 25,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "tol": tol,
            "patience": patience,
            "min_delta": min_delta,
            "line_search": line_search,
            "max_trials": max_trials,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _reset(self, state: dict[str, Any]) -> None:
        state.pop("H", None)

    def _direction(self, state: dict[str, Any], closure: Any, here: Trial) -> schuss.Tensor:
        inverse = state.get("H")
        return -here.found if inverse is None else -(inverse @ here.found)

    def _first_length(self, state: dict[str, Any], grad: schuss.Tensor, slope: float) -> float:
        return 1.0 if "H" in state else min(1.0, 1.0 / grad.abs().sum().item())

    def _learn(
        self, state: dict[str, Any], moved: schuss.Tensor, grad: schuss.Tensor, end: Trial
    ) -> None:
        change = end.found - grad
        curvature = inner(change, moved)
        if not curvature > 1e-10 * (inner(moved, moved) * inner(change, change)) ** 0.5:
            return
        inverse = state.get("H")
        if inverse is None:
            kind = {"dtype": grad.dtype, "device": grad.device}
            inverse = schuss.eye(len(grad), **kind) * (curvature / inner(change, change))
        hy = inverse @ change
        scale = (1 + inner(change, hy) / curvature) / curvature
        cross = schuss.outer(moved, hy) / curvature
        state["H"] = inverse + scale * schuss.outer(moved, moved) - cross - cross.T
