"""Adadelta: steps measured by the mean square of those before.
Leans on the fused steps of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.optim.fused import Fused, rate, sign, zeros
from schuss.optim.optimizer import check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Rule


class Adadelta(Fused):
    """Adadelta: p -= lr * g * rms(steps) / rms(g), with running means of rate `rho`.

    ValueError for a negative lr, eps or weight_decay and for rho outside [0, 1]. M. D. Zeiler
    (2012), ADADELTA: an adaptive learning rate method.

    >>> import schuss
    >>> w = schuss.tensor([1.0], requires_grad=True)
    >>> opt = schuss.optim.Adadelta([w], lr=100.0)
    >>> (w**2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.6838], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_number("Adadelta", "lr", lr)
        check_number("Adadelta", "rho", rho)
        if rho > 1:
            raise ValueError(f"Adadelta: rho must be at most 1, got {rho}")
        check_number("Adadelta", "eps", eps)
        check_number("Adadelta", "weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"square_avg": zeros(p), "acc_delta": zeros(p)}

    def _rule(self, group: dict[str, Any], age: int) -> Rule:
        rho, rest = group["rho"], (group["eps"], rate(group))
        numbers = (sign(group), group["weight_decay"], rho, 1 - rho, *rest)
        return "adadelta_step", ("square_avg", "acc_delta"), numbers
