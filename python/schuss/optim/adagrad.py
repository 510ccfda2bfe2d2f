"""Adagrad: steps scaled by the sum of all squared gradients.
Leans on the fused steps of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.optim.fused import Fused, filled, rate, sign
from schuss.optim.optimizer import check_manner, check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Rule


class Adagrad(Fused):
    """Adagrad: p -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(sum of g ** 2) + eps).

    ValueError for a negative number. J. Duchi, E. Hazan and Y. Singer (2011), Adaptive subgradient
    methods for online learning and stochastic optimization, JMLR 12.

    >>> import schuss
    >>> w = schuss.tensor([1.0], requires_grad=True)
    >>> opt = schuss.optim.Adagrad([w], lr=0.25)
    >>> (w**2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.7500], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_number("Adagrad", "lr", lr)
        check_number("Adagrad", "lr_decay", lr_decay)
        check_number("Adagrad", "weight_decay", weight_decay)
        check_number("Adagrad", "initial_accumulator_value", initial_accumulator_value)
        check_number("Adagrad", "eps", eps)
        check_manner("Adagrad", foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = {"step": 0, **self._begin(p, group)}

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"sum": filled(p, group["initial_accumulator_value"])}

    def _rule(self, group: dict[str, Any], age: int) -> Rule:
        lr = rate(group) / (1 + (age - 1) * group["lr_decay"])
        return "adagrad_step", ("sum",), (sign(group), group["weight_decay"], lr, group["eps"])
