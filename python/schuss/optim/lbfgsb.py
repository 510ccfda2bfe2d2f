"""LBFGSB: limited-memory quasi-Newton steps between bounds.
Leans on NumPy in float64 for the small matrices, and on the strong Wolfe search."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss.optim.flat import inner, largest
from schuss.optim.search import Trial, strong_wolfe
from schuss.optim.second_order import SecondOrder

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.flat import Closure

    Array = np.ndarray


class LBFGSB(SecondOrder):
    """L-BFGS-B: quasi-Newton steps from the last `history_size` gradients, within bounds.

    `lower` and `upper` are None, a number, or a tensor for each parameter (numbers or None among
    them). The parameters are moved inside first. A step goes along the bent path of steepest
    descent to the lowest point of the quadratic model, then to the lowest among the parameters
    still free, and is searched by the strong Wolfe conditions. `tol` is for the gradient as far as
    the bounds let it act. Errors and stopping as all second-order optimisers; ValueError where
    bounds cross. R. H. Byrd, P. Lu, J. Nocedal and C. Zhu (1995), A limited memory algorithm for
    bound constrained optimization, SIAM J. Sci. Comput. 16.

    >>> import schuss
    >>> w = schuss.tensor([1.0, -2.0], dtype=schuss.float64, requires_grad=True)
    >>> opt = schuss.optim.LBFGSB([w], upper=2.0)
    >>> _ = opt.step(lambda: ((w - schuss.tensor([3.0, 1.0])) ** 2).sum())
    >>> opt.converged, w.detach()
    (True, tensor([2., 1.], dtype=schuss.float64))
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        max_iter: int = 20,
        lower: Any = None,
        upper: Any = None,
        history_size: int = 10,
        *,
        tol: float = 1e-6,
        patience: int | None = None,
        min_delta: float = 0.0,
        max_trials: int = 25,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "lower": lower,
            "upper": upper,
            "history_size": history_size,
            "tol": tol,
            "patience": patience,
            "min_delta": min_delta,
            "line_search": "strong_wolfe",
            "max_trials": max_trials,
            "maximize": maximize,
        }
        super().__init__(params, defaults)
        low, high = self._bounds()
        if not (low <= high).all():
            raise ValueError(f"LBFGSB: lower {lower} passes upper {upper}")

    def _bounds(self) -> tuple[Array, Array]:
        found = []
        for key, none in (("lower", -math.inf), ("upper", math.inf)):
            given, parts = self.param_groups[0][key], []
            listed = isinstance(given, (list, tuple))
            if listed and len(given) != len(self._params):
                raise ValueError(
                    f"LBFGSB: {len(given)} {key} bounds for {len(self._params)} parameters"
                )
            for i, p in enumerate(self._params):
                bound = given[i] if listed else given
                bound = none if bound is None else bound
                value = schuss.as_tensor(bound, dtype=schuss.float64, device="cpu")
                parts.append(value.expand(p.shape).reshape(-1).numpy())
            found.append(np.concatenate(parts))
        return found[0], found[1]

    def _descend(self, closure: Closure) -> Any:
        low, high = self._bounds()
        x = self._point()
        inside = np.clip(x.cpu().double().numpy(), low, high)
        self._place(schuss.as_tensor(inside, device=x.device).to(x.dtype))
        return super()._descend(closure)

    def _reset(self, state: dict[str, Any]) -> None:
        state["steps"], state["changes"] = [], []

    def _advance(self, closure: Closure, here: Trial) -> Trial | None:
        group, state, grad = self.param_groups[0], self._memory(), here.found
        at = self._point()
        x, g = (t.cpu().double().numpy() for t in (at, grad))
        low, high = self._bounds()
        free = np.clip(x - g, low, high) - x
        if not np.abs(free).max(initial=0.0) > group["tol"]:
            return None
        state.setdefault("steps", [])
        state.setdefault("changes", [])
        for _ in range(2):
            model = Quadratic(state["steps"], state["changes"], len(x))
            target = model.lowest(x, g, low, high)
            d = target - x
            if float(d @ g) < 0 and np.isfinite(d).all():
                break
            self._reset(state)
        else:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(d > 0, (high - x) / d, np.where(d < 0, (low - x) / d, math.inf))
        longest = min(max(1.0, float(room.min(initial=math.inf))), 1e10)
        t = 1.0 if state["steps"] else min(1.0, 1.0 / float(np.abs(g).sum()))
        way, *bounds = (schuss.as_tensor(v).to(at.device, at.dtype) for v in (d, low, high))

        def measure(t: float) -> Trial:
            self._place(schuss.clamp(at + t * way, *bounds))
            _, loss, slopes = self._measured(closure)
            return Trial(t, loss, inner(slopes, way), slopes)

        start = Trial(0.0, here.loss, inner(grad, way), grad)
        most, size = group["max_trials"], largest(way)
        end, made = strong_wolfe(
            measure, start, t, size, tolerance=1e-12, most=most, longest=longest
        )
        state["func_evals"] += made
        if end.t == 0:
            self._place(at)
            return None
        moved = schuss.clamp(at + end.t * way, *bounds)
        self._place(moved)
        step, change = moved - at, end.found - grad
        if inner(step, change) > 2.2e-16 * inner(change, change):
            state["steps"] = [*state["steps"], step][-group["history_size"] :]
            state["changes"] = [*state["changes"], change][-group["history_size"] :]
        return end


class Quadratic:
    """The model of the loss: B = theta - W M W^T, in the compact form of the last steps."""

    def __init__(self, steps: list[Any], changes: list[Any], n: int) -> None:
        self.theta, self.W, self.M = 1.0, np.zeros((n, 0)), np.zeros((0, 0))
        if not steps:
            return
        S, Y = (np.stack([x.cpu().double().numpy() for x in part], 1) for part in (steps, changes))
        self.theta = theta = float(Y[:, -1] @ Y[:, -1]) / float(S[:, -1] @ Y[:, -1])
        products = S.T @ Y
        lower = np.tril(products, -1)
        corner = np.diag(np.diag(products))
        self.W = np.concatenate([Y, theta * S], 1)
        self.M = np.linalg.pinv(np.block([[-corner, lower.T], [lower, theta * S.T @ S]]))

    def lowest(self, x: Array, g: Array, low: Array, high: Array) -> Array:
        """About the lowest point of the model within the bounds."""
        target, c = self.along(x, g, low, high)
        free = (target > low) & (target < high)
        if not free.any() or not self.M.size:
            return target
        # The Newton step of the free ones from there: B^-1 by the formula of Sherman, Morrison and
        # Woodbury, then cut back to the bounds.
        r = (g + self.theta * (target - x) - self.W @ (self.M @ c))[free]
        W = self.W[free]
        v = self.M @ (W.T @ r)
        inside = np.eye(len(self.M)) - self.M @ (W.T @ W) / self.theta
        v = np.linalg.lstsq(inside, v, rcond=None)[0]
        d = -(r / self.theta + W @ v / self.theta**2)
        found = target.copy()
        found[free] = np.clip(target[free] + d, low[free], high[free])
        if float((found - x) @ g) < 0:
            return found
        # Cut one by one it no longer leads down: cut all together.
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.where(d > 0, (high - target)[free] / d, (low - target)[free] / d)
        found[free] = target[free] + min(1.0, float(np.nanmin(ends))) * d
        return found

    def along(self, x: Array, g: Array, low: Array, high: Array) -> tuple[Array, Array]:
        """The first low point along the path of steepest descent bent by the bounds, and W^T of
        how far it is."""
        with np.errstate(divide="ignore", invalid="ignore"):
            breaks = np.where(g < 0, (x - high) / g, np.where(g > 0, (x - low) / g, math.inf))
        d = np.where(breaks > 0, -g, 0.0)
        p, c = self.W.T @ d, np.zeros(self.W.shape[1])
        slope = -float(d @ d)
        bend = -self.theta * slope - float(p @ self.M @ p)
        target, now = x.copy(), 0.0
        if slope == 0:
            return target, c
        for i in np.argsort(breaks, kind="stable"):
            if breaks[i] <= 0:
                continue
            far = -slope / bend if bend > 0 else math.inf
            room = float(breaks[i]) - now
            if far < room or not math.isfinite(breaks[i]):
                break
            # The i-th stops at its bound, the others go on.
            bound = high[i] if d[i] > 0 else low[i]
            target[i] = bound
            z, w, gi = bound - x[i], self.W[i], float(g[i])
            c += room * p
            slope += room * bend + gi * gi + self.theta * gi * z - gi * float(w @ self.M @ c)
            bend -= self.theta * gi * gi + 2 * gi * float(w @ self.M @ p)
            bend -= gi * gi * float(w @ self.M @ w)
            p, now = p + gi * w, float(breaks[i])
            d[i] = 0.0
            if not d.any():
                return target, c
        far = max(-slope / bend if bend > 0 else 0.0, 0.0)
        moving = d != 0
        target[moving] = x[moving] + (now + far) * d[moving]
        return np.clip(target, low, high), c + far * p
