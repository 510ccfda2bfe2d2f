"""LAMB: Adam's direction, taken as far as each parameter is long.
Leans on the fused steps of the core, and on norms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import _core
from schuss.optim.fused import Fused, rate, sign, zeros
from schuss.optim.optimizer import check_betas, check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Entry, Group, Members, Rule


class LAMB(Fused):
    """LAMB: p -= lr * |p| / |u| * u, with u Adam's direction plus `weight_decay` * p, by tensor.

    Where |p| or |u| is 0 their ratio counts as 1; `trust_clip` keeps it at most 1. ValueError for a
    negative lr, eps or weight_decay and for betas outside [0, 1). Y. You et al. (2020), Large batch
    optimization for deep learning: training BERT in 76 minutes, ICLR.

    >>> import schuss
    >>> w = schuss.tensor([3.0, 4.0], requires_grad=True)
    >>> opt = schuss.optim.LAMB([w], lr=0.25, weight_decay=0)
    >>> w.sum().backward()
    >>> opt.step()
    >>> w
    tensor([2.1161, 3.1161], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        trust_clip: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        check_number("LAMB", "lr", lr)
        check_betas("LAMB", betas)
        check_number("LAMB", "eps", eps)
        check_number("LAMB", "weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "trust_clip": trust_clip,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of tensors; LAMB measures tensors, so a Scalar is refused by TypeError."""
        super().add_param_group(param_group)
        if any(isinstance(p, schuss.Scalar) for p in self.param_groups[-1]["params"]):
            self.param_groups.pop()
            raise TypeError("LAMB: a Scalar has no length to measure steps by; use AdamW")

    def _begin(self, p: Any, group: Group) -> Entry:
        return {"exp_avg": zeros(p), "exp_avg_sq": zeros(p)}

    def _rule(self, group: Group, age: int) -> Rule:
        beta1, beta2 = group["betas"]
        scales = (1 - beta1**age, 1 - beta2**age, group["eps"])
        rates = (1 - beta1, beta2, 1 - beta2)
        numbers = (sign(group), group["weight_decay"], *rates, *scales)
        return "lamb_direction", ("exp_avg", "exp_avg_sq"), numbers

    _fixed = ("trust_clip",)

    def _all(self, group: Group, age: Any, entries: list[Entry]) -> list[tuple[str, Any]]:
        return [*super()._all(group, age, entries), ("plain_step", (1.0, rate(group), 0.0))]

    def _run(self, group: Group, rule: Rule, members: Members) -> None:
        name, keys, numbers = rule
        params, grads, entries = members
        states = [[entry[key] for entry in entries] for key in keys]
        directions = [schuss.empty_like(p, requires_grad=False) for p in params]
        _core.fused_step(name, [*states, directions, grads, params], numbers)
        with schuss.no_grad():
            for p, direction in zip(params, directions, strict=True):
                length, size = p.norm(), direction.norm()
                ratio = schuss.where((length > 0) & (size > 0), length / size, 1.0)
                direction.mul_(ratio.clamp(max=1.0) if group["trust_clip"] else ratio)
            _core.fused_step("plain_step", [params, directions], (1.0, rate(group), 0.0))
