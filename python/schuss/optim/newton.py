"""Newton, by the whole Hessian, and NewtonCG, by products with it.
Leans on the base of the second-order optimisers, and on differentiating twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.optim.flat import inner
from schuss.optim.optimizer import check_number
from schuss.optim.second_order import SecondOrder

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.flat import Closure
    from schuss.optim.search import Trial


class _Twice(SecondOrder):
    """What both need: the gradient on the tape, kept as long as the parameters stay."""

    # The gradient of the last evaluation, as a part of the graph.
    _slopes: Any = None

    def _place(self, x: schuss.Tensor) -> None:
        self._slopes = None
        super()._place(x)

    def _settle(self, x: schuss.Tensor) -> None:
        # Mostly it is where the last evaluation was, whose graph still holds.
        if not schuss.equal(self._point(), x):
            self._place(x)

    def _measured(self, closure: Closure) -> tuple[Any, float, schuss.Tensor]:
        owner, params = type(self).__name__, self._params
        for p in params:
            p.grad = None
        with schuss.enable_grad():
            loss = closure()
            self._check_loss(loss)
            if not getattr(loss, "requires_grad", False):
                raise schuss.GradError(
                    f"{owner}: the closure must return a loss that depends on the parameters"
                )
            try:
                grads = schuss.autograd.grad(loss, params, create_graph=True, allow_unused=True)
            except RuntimeError as error:
                raise schuss.GradError(
                    f"{owner}: differentiates the loss again; return it from the closure without "
                    f"calling backward(), or call backward(create_graph=True) ({error})"
                ) from error
            pairs = zip(grads, params, strict=True)
            flat = schuss.cat(
                [p.new_zeros(p.numel()) if g is None else g.reshape(-1) for g, p in pairs]
            )
            if self.param_groups[0]["maximize"]:
                flat = -flat
        for p in params:
            p.grad = None
        self._slopes = flat
        value = float(loss)
        return loss, -value if self.param_groups[0]["maximize"] else value, flat.detach()

    def _product(self, closure: Closure, v: schuss.Tensor) -> schuss.Tensor:
        """The Hessian times a vector."""
        if self._slopes is None:
            self._measured(closure)
            self._memory()["func_evals"] += 1
        if not self._slopes.requires_grad:
            return schuss.zeros_like(v)
        found = schuss.autograd.grad(
            self._slopes, self._params, grad_outputs=v, retain_graph=True, allow_unused=True
        )
        self._memory()["products"] = self._memory().get("products", 0) + 1
        return self._joined(found)


class Newton(_Twice):
    """Newton's method: d = -(|H| + damping)^-1 g, by the whole Hessian, for small models.

    On a quadratic it ends in one step. `damping` is added to the diagonal; where the Hessian is not
    positive definite its eigenvalues count without their signs (Y. Dauphin et al. 2014), so that
    saddles are left. The closure returns the loss without calling
    `backward` (GradError if its graph has been freed). Errors, stopping and searches as all
    second-order optimisers. J. Nocedal and S. J. Wright (2006), Numerical Optimization, chapter 3.

    >>> import schuss
    >>> w = schuss.tensor([1.0, -2.0], dtype=schuss.float64, requires_grad=True)
    >>> opt = schuss.optim.Newton([w])
    >>> _ = opt.step(lambda: ((w - 3) ** 2 * schuss.tensor([1.0, 9.0])).sum())
    >>> opt.state_dict()["state"][0]["n_iter"], [round(x, 6) for x in w.tolist()]
    (1, [3.0, 3.0])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        max_iter: int = 20,
        damping: float = 0.0,
        *,
        tol: float = 1e-6,
        patience: int | None = None,
        min_delta: float = 0.0,
        line_search: str | None = "backtracking",
        max_trials: int = 25,
        maximize: bool = False,
    ) -> None:
        check_number("Newton", "damping", damping)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "damping": damping,
            "tol": tol,
            "patience": patience,
            "min_delta": min_delta,
            "line_search": line_search,
            "max_trials": max_trials,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _direction(self, state: dict[str, Any], closure: Closure, here: Trial) -> schuss.Tensor:
        grad, n = here.found, len(here.found)
        basis = schuss.eye(n, dtype=grad.dtype, device=grad.device)
        hessian = schuss.stack([self._product(closure, row) for row in basis])
        hessian = (hessian + hessian.T) / 2
        return -solved(hessian, grad, self.param_groups[0]["damping"])


def solved(hessian: schuss.Tensor, grad: schuss.Tensor, damping: float) -> schuss.Tensor:
    """(|hessian| + damping)^-1 grad: curvatures without their signs, so that it leads down.

    Where all are positive this is Newton's step. Y. Dauphin et al. (2014), Identifying and
    attacking the saddle point problem in high-dimensional non-convex optimization, NeurIPS.

    >>> import schuss
    >>> from schuss.optim.newton import solved
    >>> solved(schuss.tensor([[2.0, 0.0], [0.0, -4.0]]), schuss.tensor([2.0, 2.0]), 0.0)
    tensor([1.0000, 0.5000])
    """
    basis = schuss.eye(len(grad), dtype=grad.dtype, device=grad.device)
    factor, order = schuss.linalg.cholesky_ex(hessian + damping * basis)
    if order.item() == 0:
        return schuss.cholesky_solve(grad.unsqueeze(1), factor).squeeze(1)
    curvatures, directions = schuss.linalg.eigh(hessian)
    sizes = curvatures.abs()
    # What is nearly flat is taken for a little curved.
    sizes = sizes.clamp(min=max(1e-3 * sizes.max().item(), 1e-30)) + damping
    return directions @ ((directions.T @ grad) / sizes)


class NewtonCG(_Twice):
    """Newton's method by products of the Hessian with vectors, which it never forms.

    Each direction comes of conjugate gradients on H d = -g, to an accuracy of
    min(0.5, sqrt(|g|)) |g|, of at most `max_cg` products (by default twice the number of
    parameters), and stops where the curvature is negative. The closure returns the loss without
    calling `backward`. Errors, stopping and searches as all second-order optimisers. J. Nocedal and
    S. J. Wright (2006), Numerical Optimization, algorithm 7.1.

    >>> import schuss
    >>> w = schuss.tensor([1.0, -2.0], dtype=schuss.float64, requires_grad=True)
    >>> opt = schuss.optim.NewtonCG([w])
    >>> _ = opt.step(lambda: ((w - 3) ** 2 * schuss.tensor([1.0, 9.0])).sum())
    >>> opt.converged, [round(x, 6) for x in w.tolist()]
    (True, [3.0, 3.0])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        max_iter: int = 20,
        max_cg: int | None = None,
        *,
        tol: float = 1e-6,
        patience: int | None = None,
        min_delta: float = 0.0,
        line_search: str | None = "backtracking",
        max_trials: int = 25,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_cg": max_cg,
            "tol": tol,
            "patience": patience,
            "min_delta": min_delta,
            "line_search": line_search,
            "max_trials": max_trials,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _direction(self, state: dict[str, Any], closure: Closure, here: Trial) -> schuss.Tensor:
        grad = here.found
        length = inner(grad, grad) ** 0.5
        enough = min(0.5, length**0.5) * length
        d, left = schuss.zeros_like(grad), grad
        towards, square = -grad, inner(grad, grad)
        for turn in range(self.param_groups[0]["max_cg"] or 2 * len(grad)):
            product = self._product(closure, towards)
            curvature = inner(towards, product)
            if not curvature > 0:
                return -grad if turn == 0 else d
            far = square / curvature
            d, left = d + far * towards, left + far * product
            before, square = square, inner(left, left)
            if square**0.5 <= enough:
                break
            towards = towards * (square / before) - left
        return d
