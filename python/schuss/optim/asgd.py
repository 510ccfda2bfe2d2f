"""ASGD: gradient descent that also keeps the mean of where it has been.
Leans on the fused steps of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from schuss.optim.fused import Fused, rate, sign, zeros
from schuss.optim.optimizer import check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Rule


class ASGD(Fused):
    """Averaged gradient descent: the mean of the parameters from step `t0` on is state "ax".

    The rate falls as lr / (1 + lambd * lr * step) ** alpha, and the parameters by lambd times it.
    ValueError for a negative number. B. T. Polyak and A. B. Juditsky (1992), Acceleration of
    stochastic approximation by averaging, SIAM J. Control Optim. 30.

    >>> import schuss
    >>> w = schuss.tensor([1.0], requires_grad=True)
    >>> opt = schuss.optim.ASGD([w], lr=0.125)
    >>> (w**2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.7500], requires_grad=True)
    """

    _counted = ("step", "eta", "mu")
    _counts_alike = False

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_number("ASGD", "lr", lr)
        check_number("ASGD", "lambd", lambd)
        check_number("ASGD", "alpha", alpha)
        check_number("ASGD", "weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        # The rate of a step is worked out in the one before, as a float32.
        return {"eta": float(np.float32(float(group["lr"]))), "mu": 1.0, "ax": zeros(p)}

    def _age(self, entry: dict[str, Any], group: dict[str, Any]) -> tuple[float, float]:
        entry["step"] = step = entry["step"] + 1
        now = entry["eta"], entry["mu"]
        lr = float(rate(group))
        falling = lr / (1 + group["lambd"] * lr * step) ** group["alpha"]
        entry["eta"] = float(np.float32(falling))
        entry["mu"] = float(np.float32(1 / max(1, step - group["t0"])))
        return now

    def _rule(self, group: dict[str, Any], age: tuple[float, float]) -> Rule:
        eta, mu = age
        kept = 1 - group["lambd"] * eta
        return "asgd_step", ("ax",), (sign(group), group["weight_decay"], kept, eta, mu)
