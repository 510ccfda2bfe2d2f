"""GaussNewton and LevenbergMarquardt: steps for losses that are sums of squares.
Leans on the base of the second-order optimisers; the closure returns the residuals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss.optim.flat import finite
from schuss.optim.jacobian import jacobian
from schuss.optim.optimizer import check_number
from schuss.optim.search import Trial
from schuss.optim.second_order import SecondOrder

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.flat import Closure


class _Squares(SecondOrder):
    """What both do: from residuals r to the loss r.r / 2, its gradient J^T r, and J."""

    # The residuals of the last evaluation, as a part of the graph, and their Jacobian.
    _residuals: Any = None
    _slopes: Any = None

    def _place(self, x: schuss.Tensor) -> None:
        self._residuals = self._slopes = None
        super()._place(x)

    def _settle(self, x: schuss.Tensor) -> None:
        if not schuss.equal(self._point(), x):
            self._place(x)

    def _measured(self, closure: Closure) -> tuple[Any, float, schuss.Tensor]:
        with schuss.enable_grad():
            residuals = closure()
        if not isinstance(residuals, schuss.Tensor) or not residuals.requires_grad:
            raise schuss.GradError(
                f"{type(self).__name__}: the closure must return the residuals, a tensor that "
                "depends on the parameters, without calling backward()"
            )
        flat = residuals.detach().reshape(-1)
        self._residuals, self._slopes = residuals.reshape(-1), None
        loss = schuss.dot(flat, flat) / 2
        if not math.isfinite(loss.item()):
            return loss, math.inf, schuss.full_like(self._point(), math.nan)
        self._slopes = jacobian(self._residuals, self._params)
        return loss, loss.item(), flat @ self._slopes

    def _matrix(self, closure: Closure) -> tuple[schuss.Tensor, schuss.Tensor]:
        """Jacobian and residuals where the parameters are."""
        if self._slopes is None:
            self._measured(closure)
            self._memory()["func_evals"] += 1
        return self._slopes, self._residuals.detach()


class GaussNewton(_Squares):
    """Gauss-Newton: d of least |J d + r|, the Hessian without the curvature of the residuals.

    The closure returns the residuals r, of any shape, without calling `backward`; the loss is
    r.r / 2, and a line in two parameters ends in one step. A Jacobian without full rank gives the
    shortest d. Errors, stopping and searches as all second-order optimisers. J. Nocedal and S. J.
    Wright (2006), Numerical Optimization, section 10.3.

    >>> import schuss
    >>> x, w = schuss.linspace(0, 1, 5), schuss.zeros(2, requires_grad=True)
    >>> opt = schuss.optim.GaussNewton([w])
    >>> _ = opt.step(lambda: w[0] * x + w[1] - (3 * x + 0.5))
    >>> w.detach().round(decimals=4)
    tensor([3.0000, 0.5000])
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
        line_search: str | None = "backtracking",
        max_trials: int = 25,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "tol": tol,
            "patience": patience,
            "min_delta": min_delta,
            "line_search": line_search,
            "max_trials": max_trials,
        }
        super().__init__(params, defaults)

    def _direction(self, state: dict[str, Any], closure: Closure, here: Trial) -> schuss.Tensor:
        slopes, residuals = self._matrix(closure)
        return -(schuss.linalg.pinv(slopes) @ residuals)


class LevenbergMarquardt(_Squares):
    """Levenberg-Marquardt: (J^T J + damping * D) d = -J^T r, between descent and Gauss-Newton.

    The damping falls where the loss falls as foretold and grows where it does not. D is the largest
    number on the diagonal of J^T J at the start; with `scaled` it is the diagonal itself, which
    suits parameters of very different sizes. The closure returns the
    residuals r, of any shape, without calling `backward`; the loss is r.r / 2. `max_trials` is how
    often a step may be refused. Errors and stopping as all second-order optimisers. K. Levenberg
    (1944); D. W. Marquardt (1963); K. Madsen, H. B. Nielsen and O. Tingleff (2004), Methods for
    non-linear least squares problems, algorithm 3.16.

    >>> import schuss
    >>> w = schuss.tensor([-1.2, 1.0], dtype=schuss.float64, requires_grad=True)
    >>> opt = schuss.optim.LevenbergMarquardt([w], max_iter=50)
    >>> _ = opt.step(lambda: schuss.stack([10 * (w[1] - w[0] ** 2), 1 - w[0]]))
    >>> opt.converged, w.detach().round(decimals=6)
    (True, tensor([1., 1.], dtype=schuss.float64))
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        max_iter: int = 20,
        damping: float = 1e-3,
        scaled: bool = False,
        *,
        tol: float = 1e-6,
        patience: int | None = None,
        min_delta: float = 0.0,
        max_trials: int = 25,
    ) -> None:
        check_number("LevenbergMarquardt", "damping", damping)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "damping": damping,
            "scaled": scaled,
            "tol": tol,
            "patience": patience,
            "min_delta": min_delta,
            "line_search": None,
            "max_trials": max_trials,
        }
        super().__init__(params, defaults)

    def _advance(self, closure: Closure, here: Trial) -> Trial | None:
        group, state, x = self.param_groups[0], self._memory(), self._point()
        slopes, _ = self._matrix(closure)
        grad = here.found
        normal = slopes.T @ slopes
        diagonal = normal.diagonal().clone()
        largest = max(diagonal.max().item(), 1e-30)
        weights = schuss.full_like(diagonal, state.setdefault("scale", largest))
        if group["scaled"]:
            # What no residual depends on still needs some weight.
            weights = diagonal.clamp(min=1e-12 * largest)
        damping, growth = state.setdefault("damping", group["damping"]), 2.0
        for _ in range(group["max_trials"]):
            factor, order = schuss.linalg.cholesky_ex(normal + schuss.diag(damping * weights))
            if order.item() == 0:
                d = -schuss.cholesky_solve(grad.unsqueeze(1), factor).squeeze(1) * self._rates()
                end = self._tried(closure, x, d)
                foretold = -(schuss.dot(d, grad) + schuss.dot(d, normal @ d) / 2).item()
                if end.usable and end.loss < here.loss and foretold > 0:
                    share = (here.loss - end.loss) / foretold
                    damping *= max(1 / 3, 1 - (2 * share - 1) ** 3)
                    state["damping"] = max(damping, 1e-15)
                    return end
                if not d.abs().max().item() > 0:
                    break
            damping, growth = max(damping, 1e-15) * growth, growth * 2
        state["damping"] = group["damping"]
        self._place(x)
        return None

    def _tried(self, closure: Closure, x: schuss.Tensor, d: schuss.Tensor) -> Trial:
        self._place(x + d)
        _, loss, grad = self._measured(closure)
        self._memory()["func_evals"] += 1
        return Trial(1.0, loss, 0.0 if finite(loss) else math.nan, grad)
