"""NonlinearCG: conjugate gradients for any smooth loss.
Leans on the base of the second-order optimisers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.optim.flat import inner
from schuss.optim.second_order import SecondOrder

if TYPE_CHECKING:
    from typing import Any

    import schuss
    from schuss.optim.search import Trial

_BETAS = {
    "fletcher_reeves": lambda g, y, old, d: inner(g, g) / inner(old, old),
    "polak_ribiere": lambda g, y, old, d: max(0.0, inner(g, y) / inner(old, old)),
    "hestenes_stiefel": lambda g, y, old, d: max(0.0, inner(g, y) / inner(d, y)),
    "dai_yuan": lambda g, y, old, d: inner(g, g) / inner(d, y),
}


class NonlinearCG(SecondOrder):
    """Nonlinear conjugate gradients: each direction leans on the one before.

    d = -g + beta * d, with beta by `update`: "polak_ribiere" (cut off at 0), "fletcher_reeves",
    "hestenes_stiefel" or "dai_yuan". Errors, stopping and searches as all second-order optimisers;
    ValueError for an unknown update. J. Nocedal and S. J. Wright (2006), Numerical Optimization,
    section 5.2.

    >>> import schuss
    >>> w = schuss.tensor([1.0, -2.0], dtype=schuss.float64, requires_grad=True)
    >>> opt = schuss.optim.NonlinearCG([w])
    >>> _ = opt.step(lambda: ((w - 3) ** 2 * schuss.tensor([1.0, 9.0])).sum())
    >>> opt.converged, w.detach()
    (True, tensor([3.0000, 3.0000], dtype=schuss.float64))
    """

    _flatness = 0.1

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        max_iter: int = 20,
        update: str = "polak_ribiere",
        *,
        tol: float = 1e-6,
        patience: int | None = None,
        min_delta: float = 0.0,
        line_search: str | None = "strong_wolfe",
        max_trials: int = 25,
        maximize: bool = False,
    ) -> None:
        if update not in _BETAS:
            raise ValueError(f"NonlinearCG: update must be in {sorted(_BETAS)}, got {update!r}")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "update": update,
            "tol": tol,
            "patience": patience,
            "min_delta": min_delta,
            "line_search": line_search,
            "max_trials": max_trials,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _reset(self, state: dict[str, Any]) -> None:
        state.pop("d", None)

    def _direction(self, state: dict[str, Any], closure: Any, here: Trial) -> schuss.Tensor:
        grad, d, old = here.found, state.get("d"), state.get("prev_flat_grad")
        if d is None:
            return -grad
        y = grad - old
        # Where gradients are far from orthogonal, the directions are no longer conjugate.
        if inner(d, y) == 0 or abs(inner(grad, old)) > 0.5 * inner(grad, grad):
            return -grad
        return d * _BETAS[self.param_groups[0]["update"]](grad, y, old, d) - grad

    def _first_length(self, state: dict[str, Any], grad: schuss.Tensor, slope: float) -> float:
        if state.get("d") is None:
            return min(1.0, 1.0 / grad.abs().sum().item())
        # As much gain as in the step before is what to hope for.
        return min(float(state["t"]) * float(state["slope"]) / slope, 1e3)

    def _learn(
        self, state: dict[str, Any], moved: schuss.Tensor, grad: schuss.Tensor, end: Trial
    ) -> None:
        state["d"] = moved / end.t
        state["prev_flat_grad"] = grad
