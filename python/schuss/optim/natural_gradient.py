"""NaturalGradient: steps measured by how much the model's answers change.
Leans on the base of the second-order optimisers; the closure returns the loss of each sample."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss.optim.jacobian import jacobian
from schuss.optim.newton import solved
from schuss.optim.optimizer import check_number
from schuss.optim.second_order import SecondOrder

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.flat import Closure
    from schuss.optim.search import Trial


class NaturalGradient(SecondOrder):
    """Natural gradient: d = -(F + damping)^-1 g, F the mean of g g^T over the samples.

    The closure returns the negative log-likelihood of each sample, a vector, without calling
    `backward`; g is the gradient of its mean. F, Fisher's matrix as the samples show it, is kept
    whole ("full", for up to a few hundred parameters) or by its diagonal ("diagonal"). `decay`
    averages F over the steps. Steps are `lr` long unless there is a line search. Errors and
    stopping as all second-order optimisers. S. Amari (1998), Natural gradient works efficiently in
    learning, Neural Computation 10.

    >>> import schuss
    >>> x = schuss.tensor([1.0, 3.0])
    >>> mean = schuss.tensor(0.0, requires_grad=True)
    >>> opt = schuss.optim.NaturalGradient([mean], lr=0.5, max_iter=1, damping=0.0)
    >>> _ = opt.step(lambda: (x - mean) ** 2 / 2)
    >>> mean.detach()
    tensor(0.2000)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        max_iter: int = 1,
        damping: float = 1e-4,
        fisher: str = "full",
        decay: float = 0.0,
        *,
        tol: float = 1e-6,
        patience: int | None = None,
        min_delta: float = 0.0,
        line_search: str | None = None,
        max_trials: int = 25,
    ) -> None:
        check_number("NaturalGradient", "damping", damping)
        check_number("NaturalGradient", "decay", decay, below=1)
        if fisher not in ("full", "diagonal"):
            raise ValueError(
                f'NaturalGradient: fisher must be "full" or "diagonal", got {fisher!r}'
            )
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "damping": damping,
            "fisher": fisher,
            "decay": decay,
            "tol": tol,
            "patience": patience,
            "min_delta": min_delta,
            "line_search": line_search,
            "max_trials": max_trials,
        }
        super().__init__(params, defaults)

    # The gradient of every sample where the parameters are.
    _each: Any = None

    def _measured(self, closure: Closure) -> tuple[Any, float, schuss.Tensor]:
        with schuss.enable_grad():
            losses = closure()
        if not isinstance(losses, schuss.Tensor) or not losses.requires_grad or losses.dim() != 1:
            shape = tuple(getattr(losses, "shape", ()))
            raise schuss.GradError(
                "NaturalGradient: the closure must return a vector with the loss of each sample, "
                f"which depends on the parameters, without backward(); got shape {shape}"
            )
        loss = losses.detach().mean()
        if not math.isfinite(loss.item()):
            self._each = None
            return loss, math.inf, schuss.full_like(self._point(), math.nan)
        self._each = jacobian(losses, self._params)
        return loss, loss.item(), self._each.mean(dim=0)

    def _direction(self, state: dict[str, Any], closure: Closure, here: Trial) -> schuss.Tensor:
        group, each = self.param_groups[0], self._each
        full = group["fisher"] == "full"
        fisher = each.T @ each / len(each) if full else (each * each).mean(dim=0)
        if group["decay"]:
            old = state.get("fisher")
            fisher = fisher if old is None else old + (1 - group["decay"]) * (fisher - old)
            state["fisher"] = fisher
        if full:
            return -solved(fisher, here.found, group["damping"])
        return -here.found / (fisher + max(group["damping"], 1e-30))
