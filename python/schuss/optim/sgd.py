"""Stochastic gradient descent with momentum, Nesterov's look-ahead and weight decay.
Leans on the fused step of the core for tensors; Scalars are stepped in plain Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import _core
from schuss.optim.optimizer import Optimizer, check_manner, check_number

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * d, with d the gradient or its running sum.

    With g the gradient (negated by `maximize`) plus `weight_decay` * p, `momentum` keeps the sum
    b = momentum * b + (1 - dampening) * g, which starts as g; the direction is b, or
    g + momentum * b with `nesterov`. ValueError for numbers below 0, or for nesterov without
    momentum or with dampening. B. Polyak (1964); I. Sutskever et al. (2013), On the importance of
    initialization and momentum in deep learning, ICML. `foreach` and `fused` are accepted and
    change nothing: every step is fused.

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

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; returns the closure's loss, if there is one."""
        loss = self._closed(closure)
        scalar = schuss.Scalar
        for group in self.param_groups:
            params, grads = [], []
            for p in group["params"]:
                if isinstance(p, scalar):
                    self._step_scalar(p, group)
                elif (grad := p.grad) is not None:
                    params.append(p)
                    grads.append(grad)
            if not params:
                continue
            momentum = group["momentum"]
            if momentum:
                states = [self.state[p] for p in params]
                bufs = [state.get("momentum_buffer") for state in states]
            else:
                states, bufs = (), [None] * len(params)
            bufs = _core.sgd_step(
                params,
                grads,
                bufs,
                lr=float(group["lr"]),
                momentum=momentum,
                dampening=group["dampening"],
                weight_decay=group["weight_decay"],
                nesterov=group["nesterov"],
                maximize=group["maximize"],
            )
            for state, buf in zip(states, bufs, strict=False):
                state["momentum_buffer"] = buf
        return loss

    def _step_scalar(self, p: schuss.Scalar, group: dict[str, Any]) -> None:
        grad = -p.backwards_grad if group["maximize"] else p.backwards_grad
        if group["weight_decay"]:
            grad = grad + group["weight_decay"] * p.value
        momentum = group["momentum"]
        if momentum:
            state = self.state[p]
            buf = state.get("momentum_buffer")
            buf = grad if buf is None else momentum * buf + (1 - group["dampening"]) * grad
            state["momentum_buffer"] = buf
            grad = grad + momentum * buf if group["nesterov"] else buf
        p.value = p.value - float(group["lr"]) * grad
