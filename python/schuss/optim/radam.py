"""RAdam: Adam whose adaptive rate waits until its variance is known.
Leans on the fused steps of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.optim.fused import Fused, decays, rate, sign, zeros
from schuss.optim.optimizer import check_betas, check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Rule


class RAdam(Fused):
    """RAdam: Adam with a rectified rate; the first steps follow the corrected mean alone.

    ValueError for a negative lr, eps or weight_decay and for betas outside [0, 1). L. Liu et al.
    (2020), On the variance of the adaptive learning rate and beyond, ICLR.

    >>> import schuss
    >>> w = schuss.tensor([1.0], requires_grad=True)
    >>> opt = schuss.optim.RAdam([w], lr=0.25)
    >>> (w**2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.5000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_number("RAdam", "lr", lr)
        check_number("RAdam", "eps", eps)
        check_betas("RAdam", betas)
        check_number("RAdam", "weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"exp_avg": zeros(p), "exp_avg_sq": zeros(p)}

    def _rule(self, group: dict[str, Any], age: int) -> Rule:
        lr, (beta1, beta2) = rate(group), group["betas"]
        rest = 1 - beta2**age
        # The length of the average that beta2 makes, now and in the end.
        end = 2 / (1 - beta2) - 1
        length = end - 2 * age * beta2**age / rest
        rectified = 0.0
        if length > 5:
            share = (length - 4) * (length - 2) * end / ((end - 4) * (end - 2) * length)
            rectified = share**0.5 * rest**0.5
        rates = (1 - beta1, beta2, 1 - beta2, lr / (1 - beta1**age), rectified, group["eps"])
        return "radam_step", ("exp_avg", "exp_avg_sq"), (sign(group), *decays(group, lr), *rates)
