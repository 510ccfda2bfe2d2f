"""Lion: steps of one size, by the sign of a mean of gradients.
Leans on the fused steps of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.optim.fused import Fused, rate, sign, zeros
from schuss.optim.optimizer import check_betas, check_manner, check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Rule


class Lion(Fused):
    """Lion: p -= lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p).

    m is the running mean of g at rate beta2. ValueError for a negative lr or weight_decay and for
    betas outside [0, 1). X. Chen et al. (2023), Symbolic discovery of optimization algorithms.

    >>> import schuss
    >>> w = schuss.tensor([1.0, -3.0], requires_grad=True)
    >>> opt = schuss.optim.Lion([w], lr=0.25)
    >>> (w**2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([ 0.7500, -2.7500], requires_grad=True)
    """

    _counted = ()
    _counts_alike = False

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_number("Lion", "lr", lr)
        check_betas("Lion", betas)
        check_number("Lion", "weight_decay", weight_decay)
        check_manner("Lion", foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"exp_avg": zeros(p)}

    def _age(self, entry: dict[str, Any], group: dict[str, Any]) -> None:
        return None

    def _rule(self, group: dict[str, Any], age: None) -> Rule:
        lr, (beta1, beta2) = rate(group), group["betas"]
        rates = (beta1, 1 - beta1, beta2, 1 - beta2)
        return "lion_step", ("exp_avg",), (sign(group), 1 - lr * group["weight_decay"], lr, *rates)
