"""Flat, the base of optimisers that see all parameters as one vector, and what closures give them.
Leans on autograd for closures that only return their loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss.optim.optimizer import Optimizer
from schuss.optim.search import Trial

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Closure = Callable[[], Any]
    Measure = Callable[[float], Trial]


class Flat(Optimizer):
    """The base of optimisers that see all parameters as one vector.

    The state of the whole is kept as that of the first parameter, so `state_dict` holds it.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of tensors; a Scalar is no part of a vector: TypeError."""
        super().add_param_group(param_group)
        owner, group = type(self).__name__, self.param_groups[-1]
        bad = [p for p in group["params"] if isinstance(p, schuss.Scalar)]
        if bad:
            self.param_groups.pop()
            raise TypeError(f"{owner}: moves tensors, got a Scalar; use SGD or Adam for Scalars")
        # One number for all groups, or lr by group: what else a group says of itself is not used.
        for key, value in self.defaults.items():
            if key not in ("lr", "params") and group[key] is not value and group[key] != value:
                self.param_groups.pop()
                raise ValueError(
                    f"{owner}: {key} must be the same for all groups, got {group[key]} and {value}"
                )

    @property
    def _params(self) -> list[Any]:
        return [p for group in self.param_groups for p in group["params"]]

    def _memory(self) -> dict[str, Any]:
        return self.state[self._params[0]]

    def _point(self) -> schuss.Tensor:
        """All parameters as one new vector."""
        return schuss.cat([reals(p.detach()).reshape(-1) for p in self._params])

    def _place(self, x: schuss.Tensor) -> None:
        """Put a vector's elements into the parameters."""
        start = 0
        with schuss.no_grad():
            for p in self._params:
                parts = reals(p)
                count = parts.numel()
                parts.copy_(x[start : start + count].view_as(parts))
                start += count

    def _joined(self, grads: Any) -> schuss.Tensor:
        pairs = zip(grads, self._params, strict=True)
        return schuss.cat(
            [reals(schuss.zeros_like(p) if g is None else g.detach()).reshape(-1) for g, p in pairs]
        )

    def _measured(self, closure: Closure) -> tuple[Any, float, schuss.Tensor]:
        """What the closure returns, the loss to make small, and its gradient as one vector.

        A closure that does not call `backward` is differentiated here.
        """
        params = self._params
        for p in params:
            p.grad = None
        with schuss.enable_grad():
            loss = closure()
        self._check_loss(loss)
        grads = [p.grad for p in params]
        if all(grad is None for grad in grads):
            if not getattr(loss, "requires_grad", False):
                raise schuss.GradError(
                    f"{type(self).__name__}: the closure must return a loss that depends on the"
                    " parameters, or call backward() on it"
                )
            grads = schuss.autograd.grad(loss, params, allow_unused=True)
        flat, value = self._joined(grads), float(loss)
        if self.param_groups[0].get("maximize"):
            return loss, -value, -flat
        return loss, value, flat

    def _check_loss(self, loss: Any) -> None:
        """TypeError or ShapeError where a closure does not return one number."""
        owner = type(self).__name__
        if loss is None:
            raise TypeError(
                f"{owner}: the closure must return the loss, got None; end it with return"
            )
        if isinstance(loss, schuss.Tensor) and loss.numel() != 1:
            raise schuss.ShapeError(
                f"{owner}: the closure must return one number, got shape {tuple(loss.shape)};"
                " use .sum() or .mean()"
            )

    def _along(self, closure: Closure, x: schuss.Tensor, d: schuss.Tensor) -> Measure:
        """The function of the distance along a direction that line searches ask."""

        def measure(t: float) -> Trial:
            self._place(x + t * d)
            _, loss, grad = self._measured(closure)
            return Trial(t, loss, inner(grad, d), grad)

        return measure

    def _check_start(self, loss: float, grad: schuss.Tensor) -> None:
        """RuntimeError where there is nothing to go down from."""
        if not (math.isfinite(loss) and math.isfinite(largest(grad))):
            raise RuntimeError(
                f"{type(self).__name__}: the loss is {loss:g} and its largest slope "
                f"{largest(grad):g} at the start; begin where both are numbers"
            )

    def _rates(self) -> Any:
        """The rate of all groups, or a vector of them."""
        rates = [float(group["lr"]) for group in self.param_groups]
        if len(set(rates)) == 1:
            return rates[0]
        counts = [sum(reals(p).numel() for p in group["params"]) for group in self.param_groups]
        like = reals(self._params[0])
        parts = zip(rates, counts, strict=True)
        return schuss.cat([like.new_full((count,), rate) for rate, count in parts])


def reals(x: schuss.Tensor) -> schuss.Tensor:
    """A tensor, complex numbers as their two parts."""
    return schuss.view_as_real(x) if x.dtype.is_complex else x


def largest(x: schuss.Tensor) -> float:
    """The largest element without its sign; 0 for none, NaN where there is one."""
    return x.abs().max().item() if x.numel() else 0.0


def inner(a: schuss.Tensor, b: schuss.Tensor) -> float:
    """The inner product of two vectors, as a number."""
    return schuss.dot(a, b).item()


def finite(*numbers: float) -> bool:
    """Whether all are."""
    return all(map(math.isfinite, numbers))
