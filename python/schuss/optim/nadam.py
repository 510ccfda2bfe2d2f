"""NAdam: Adam with Nesterov's look-ahead.
Leans on the fused steps of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from schuss.optim.fused import Fused, decays, rate, sign, zeros
from schuss.optim.optimizer import check_betas, check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Rule


class NAdam(Fused):
    """NAdam: Adam's step with the mean looked ahead by a momentum that grows from 0.5 * beta1.

    The momentum at step t is mu = beta1 * (1 - 0.96 ** (t * momentum_decay) / 2). ValueError for a
    negative lr, eps, weight_decay or momentum_decay and for betas outside [0, 1). T. Dozat (2016),
    Incorporating Nesterov momentum into Adam, ICLR workshop.

    >>> import schuss
    >>> w = schuss.tensor([1.0], requires_grad=True)
    >>> opt = schuss.optim.NAdam([w], lr=0.25)
    >>> (w**2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.7359], requires_grad=True)
    """

    _counted = ("step", "mu_product")
    _counts_alike = False

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_number("NAdam", "lr", lr)
        check_number("NAdam", "eps", eps)
        check_betas("NAdam", betas)
        check_number("NAdam", "weight_decay", weight_decay)
        check_number("NAdam", "momentum_decay", momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"mu_product": 1.0, "exp_avg": zeros(p), "exp_avg_sq": zeros(p)}

    def _age(self, entry: dict[str, Any], group: dict[str, Any]) -> tuple[int, float]:
        entry["step"] = step = entry["step"] + 1
        # PyTorch keeps the product as a float32, and its rounding is part of the numbers.
        mu = np.float32(_momentum(group, step))
        entry["mu_product"] = product = float(np.float32(entry["mu_product"]) * mu)
        return step, product

    def _rule(self, group: dict[str, Any], age: tuple[int, float]) -> Rule:
        step, product = age
        lr, (beta1, beta2) = rate(group), group["betas"]
        mu, next_mu = _momentum(group, step), _momentum(group, step + 1)
        now, ahead = lr * (1 - mu) / (1 - product), lr * next_mu / (1 - product * next_mu)
        rates = (1 - beta1, beta2, 1 - beta2, 1 - beta2**step, group["eps"])
        numbers = (sign(group), *decays(group, lr), *rates, now, ahead)
        return "nadam_step", ("exp_avg", "exp_avg_sq"), numbers


def _momentum(group: dict[str, Any], step: int) -> float:
    return group["betas"][0] * (1 - 0.5 * 0.96 ** (step * group["momentum_decay"]))
