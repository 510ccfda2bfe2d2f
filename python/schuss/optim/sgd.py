"""Stochastic gradient descent with momentum, Nesterov's look-ahead and weight decay.
Leans on the fused steps of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.optim.fused import Fused, by_hand, rate, sign, zeros
from schuss.optim.optimizer import check_manner, check_number

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from schuss.optim.fused import Members, Rule


class SGD(Fused):
    """Stochastic gradient descent: p -= lr * d, with d the gradient or its running sum.

    With g the gradient (negated by `maximize`) plus `weight_decay` * p, `momentum` keeps the sum
    b = momentum * b + (1 - dampening) * g, which starts as g; the direction is b, or
    g + momentum * b with `nesterov`. ValueError for numbers below 0, or for nesterov without
    momentum or with dampening. B. Polyak (1964); I. Sutskever et al. (2013), On the importance of
    initialization and momentum in deep learning, ICML. `foreach` and `fused` are accepted and
    change nothing: every step is fused. With `differentiable` a step is recorded, and can be
    differentiated by the gradients, the parameters before it, and a rate that is a tensor.

    >>> import schuss
    >>> w = schuss.tensor([1.0, -2.0], requires_grad=True)
    >>> opt = schuss.optim.SGD([w], lr=0.25)
    >>> for _ in range(2):
    ...     opt.zero_grad()
    ...     (w**2).sum().backward()
    ...     opt.step()
    >>> w.tolist()
    [0.25, -0.5]
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_number("SGD", "lr", lr)
        check_number("SGD", "momentum", momentum)
        check_number("SGD", "weight_decay", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                f"SGD: nesterov needs momentum above 0 and dampening 0, got momentum {momentum} "
                f"and dampening {dampening}"
            )
        check_manner("SGD", foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    _counted = ()
    _counts_alike = False

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; returns the closure's loss, if there is one."""
        loss = self._closed(closure)
        scalar = schuss.Scalar
        for group in self.param_groups:
            momentum = group["momentum"]
            fresh: Members = ([], [], [])
            moving: Members = ([], [], [])
            for p in group["params"]:
                single = isinstance(p, scalar)
                grad = p.backwards_grad if single else p.grad
                if grad is None:
                    continue
                entry, members = {}, fresh
                if momentum:
                    entry = self.state[p]
                    if entry.get("momentum_buffer") is None:
                        entry["momentum_buffer"] = zeros(p)
                    else:
                        members = moving
                if single:
                    by_hand(self._rule(group, members is moving), p, grad, entry)
                    continue
                members[0].append(p)
                members[1].append(grad)
                members[2].append(entry)
            if fresh[0]:
                self._together(group, False, fresh)
            if moving[0]:
                self._together(group, True, moving)
        return loss

    def _age(self, entry: dict[str, Any], group: dict[str, Any]) -> bool:
        return True

    def _rule(self, group: dict[str, Any], age: bool) -> Rule:
        numbers = (sign(group), rate(group), group["weight_decay"])
        momentum = group["momentum"]
        if not momentum:
            return "plain_step", (), numbers
        # The first velocity is the whole gradient: no dampening yet.
        damp = 1.0 - group["dampening"] if age else 1.0
        rest = (momentum, damp, 1.0 if group["nesterov"] else 0.0)
        return "sgd_step", ("momentum_buffer",), (*numbers, *rest)
