"""Adam and AdamW: steps scaled by running moments of the gradient.
Leans on the fused step of the core for tensors; Scalars are stepped in plain Python."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import _core
from schuss.optim.optimizer import Optimizer, check_manner, check_number

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Adam(Optimizer):
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
        if len(betas) != 2:
            raise ValueError(f"{owner}: betas must be two numbers, got {betas}")
        for i, beta in enumerate(betas):
            check_number(owner, f"betas[{i}]", beta, below=1)
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

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)
        # Checkpoints from elsewhere hold the count of steps as a tensor.
        for entry in self.state.values():
            if "step" in entry:
                entry["step"] = int(entry["step"])

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; returns the closure's loss, if there is one."""
        loss = self._closed(closure)
        scalar = schuss.Scalar
        for group in self.param_groups:
            # One fused call for all parameters that are equally old.
            ages: dict[int, list[tuple[Any, Any, dict[str, Any]]]] = {}
            for p in group["params"]:
                if isinstance(p, scalar):
                    self._step_scalar(p, group)
                elif (grad := p.grad) is not None:
                    state = self._state(p, group)
                    state["step"] += 1
                    ages.setdefault(state["step"], []).append((p, grad, state))
            for step, entries in ages.items():
                self._step_tensors(step, entries, group)
        return loss

    def _state(self, p: schuss.Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = self.state[p]
        if not state:
            state["step"] = 0
            state["exp_avg"] = schuss.zeros_like(p, requires_grad=False)
            state["exp_avg_sq"] = schuss.zeros_like(p, requires_grad=False)
        if group["amsgrad"] and "max_exp_avg_sq" not in state:
            state["max_exp_avg_sq"] = schuss.zeros_like(p, requires_grad=False)
        return state

    def _step_tensors(
        self,
        step: int,
        entries: list[tuple[Any, Any, dict[str, Any]]],
        group: dict[str, Any],
    ) -> None:
        beta1, beta2 = group["betas"]
        amsgrad = group["amsgrad"]
        _core.adam_step(
            [p for p, _, _ in entries],
            [grad for _, grad, _ in entries],
            [state["exp_avg"] for _, _, state in entries],
            [state["exp_avg_sq"] for _, _, state in entries],
            [state["max_exp_avg_sq"] for _, _, state in entries] if amsgrad else [],
            step,
            lr=float(group["lr"]),
            beta1=float(beta1),
            beta2=float(beta2),
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            amsgrad=amsgrad,
            maximize=group["maximize"],
            decoupled=group["decoupled_weight_decay"],
        )

    def _step_scalar(self, p: schuss.Scalar, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state.update(step=0, exp_avg=0.0, exp_avg_sq=0.0)
        state["step"] += 1
        lr, decay = float(group["lr"]), group["weight_decay"]
        beta1, beta2 = group["betas"]
        grad, value = p.backwards_grad, p.value
        if group["maximize"]:
            grad = -grad
        if group["decoupled_weight_decay"]:
            value = value * (1 - lr * decay)
        else:
            grad = grad + decay * value
        mean = state["exp_avg"] + (1 - beta1) * (grad - state["exp_avg"])
        square = beta2 * state["exp_avg_sq"] + (1 - beta2) * grad * grad
        state["exp_avg"], state["exp_avg_sq"] = mean, square
        if group["amsgrad"]:
            square = state["max_exp_avg_sq"] = max(state.get("max_exp_avg_sq", 0.0), square)
        scale = math.sqrt(square / (1 - beta2 ** state["step"])) + group["eps"]
        p.value = value - lr / (1 - beta1 ** state["step"]) * mean / scale


class AdamW(Adam):
    """Adam with decoupled weight decay: p shrinks by lr * weight_decay before the step.

    Errors as Adam. I. Loshchilov and F. Hutter (2019), Decoupled weight decay regularization, ICLR.

    >>> import schuss
    >>> w = schuss.tensor([1.0], dtype=schuss.float64, requires_grad=True)
    >>> opt = schuss.optim.AdamW([w], lr=0.25, weight_decay=0.5)
    >>> w.sum().backward()
    >>> opt.step()
    >>> round(w.item(), 6)
    0.625
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
