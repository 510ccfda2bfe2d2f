"""Adam: steps scaled by running moments of the gradient.
Leans on the fused steps of the core; AdamW is beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.optim.fused import Fused, decays, rate, sign, zeros
from schuss.optim.optimizer import check_betas, check_manner, check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Rule


class Adam(Fused):
    """Adam: p -= lr * m / (sqrt(v) + eps), with m and v the corrected moments of the gradient.

    m and v are running means of g and of g ** 2, with rates `betas`, divided by 1 - beta ** step.
    `weight_decay` * p is added to the gradient; with `decoupled_weight_decay` it shrinks p itself
    instead, by lr * weight_decay (AdamW). `amsgrad` divides by the largest v so far. ValueError for
    a negative lr, eps or weight_decay and for betas outside [0, 1). D. P. Kingma and J. Ba (2015),
    Adam, ICLR; S. J. Reddi et al. (2018), On the convergence of Adam and beyond, ICLR. `foreach`,
    `fused` and `capturable` are accepted and change nothing: every step is fused.

    >>> import schuss
    >>> w = schuss.tensor([1.0, -2.0], dtype=schuss.float64, requires_grad=True)
    >>> opt = schuss.optim.Adam([w], lr=0.25)
    >>> (w**2).sum().backward()
    >>> opt.step()
    >>> [round(x, 6) for x in w.tolist()]
    [0.75, -1.75]
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        owner = type(self).__name__
        check_number(owner, "lr", lr)
        check_number(owner, "eps", eps)
        check_number(owner, "weight_decay", weight_decay)
        check_betas(owner, betas)
        check_manner(owner, foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"exp_avg": zeros(p), "exp_avg_sq": zeros(p)}

    def _age(self, entry: dict[str, Any], group: dict[str, Any]) -> int:
        if group["amsgrad"] and "max_exp_avg_sq" not in entry:
            entry["max_exp_avg_sq"] = 0 * entry["exp_avg"]
        entry["step"] = step = entry["step"] + 1
        return step

    def _rule(self, group: dict[str, Any], age: int) -> Rule:
        lr, (beta1, beta2) = rate(group), group["betas"]
        decay, kept = decays(group, lr)
        size, root = lr / (1 - beta1**age), (1 - beta2**age) ** 0.5
        rates = (1 - beta1, beta2, 1 - beta2)
        numbers = (sign(group), decay, kept, *rates, size, root, group["eps"])
        if group["amsgrad"]:
            return "amsgrad_step", ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"), numbers
        return "adam_step", ("exp_avg", "exp_avg_sq"), numbers
