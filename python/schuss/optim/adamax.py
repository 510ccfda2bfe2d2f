"""Adamax: Adam whose steps are scaled by the largest gradient, slowly forgotten.
Leans on the fused steps of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.optim.fused import Fused, rate, sign, zeros
from schuss.optim.optimizer import check_betas, check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Rule


class Adamax(Fused):
    """Adamax: p -= lr * m / u, with m the corrected mean of g and u the largest of beta2 * u, |g|.

    ValueError for a negative lr, eps or weight_decay and for betas outside [0, 1). D. P. Kingma and
    J. Ba (2015), Adam, ICLR, section 7.1.

    >>> import schuss
    >>> w = schuss.tensor([1.0], requires_grad=True)
    >>> opt = schuss.optim.Adamax([w], lr=0.25)
    >>> (w**2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.7500], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_number("Adamax", "lr", lr)
        check_number("Adamax", "eps", eps)
        check_betas("Adamax", betas)
        check_number("Adamax", "weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"exp_avg": zeros(p), "exp_inf": zeros(p)}

    def _rule(self, group: dict[str, Any], age: int) -> Rule:
        beta1, beta2 = group["betas"]
        size = rate(group) / (1 - beta1**age)
        numbers = (sign(group), group["weight_decay"], 1 - beta1, beta2, group["eps"], size)
        return "adamax_step", ("exp_avg", "exp_inf"), numbers
