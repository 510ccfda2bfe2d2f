"""RMSprop: steps scaled by a running mean of squared gradients.
Leans on the fused steps of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.optim.fused import Fused, rate, sign, zeros
from schuss.optim.optimizer import check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Rule


class RMSprop(Fused):
    """RMSprop: p -= lr * g / (sqrt(v) + eps), with v the running mean of g ** 2 at rate `alpha`.

    `centered` takes the running variance of g instead; `momentum` adds the steps up. ValueError for
    a negative number. T. Tieleman and G. Hinton (2012), Lecture 6.5 of Neural Networks for Machine
    Learning; A. Graves (2013), Generating sequences with recurrent neural networks.

    >>> import schuss
    >>> w = schuss.tensor([1.0], requires_grad=True)
    >>> opt = schuss.optim.RMSprop([w], lr=0.025)
    >>> (w**2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.7500], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_number("RMSprop", "lr", lr)
        check_number("RMSprop", "eps", eps)
        check_number("RMSprop", "momentum", momentum)
        check_number("RMSprop", "weight_decay", weight_decay)
        check_number("RMSprop", "alpha", alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        states = {"square_avg": zeros(p)}
        if group["momentum"] > 0:
            states["momentum_buffer"] = zeros(p)
        if group["centered"]:
            states["grad_avg"] = zeros(p)
        return states

    def _rule(self, group: dict[str, Any], age: int) -> Rule:
        alpha, momentum = group["alpha"], group["momentum"]
        rates = (alpha, 1 - alpha, group["eps"], rate(group), momentum)
        keys, name = ("square_avg",), "rmsprop"
        if group["centered"]:
            keys, name = (*keys, "grad_avg"), f"{name}_centered"
        if momentum > 0:
            keys, name = (*keys, "momentum_buffer"), f"{name}_momentum"
        return f"{name}_step", keys, (sign(group), group["weight_decay"], *rates)
