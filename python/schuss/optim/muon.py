"""Muon: momentum made orthogonal, for the matrices of hidden layers.
Leans on matrix products and on the plain step of the core."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import _core
from schuss.optim.fused import Fused
from schuss.optim.optimizer import check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Entry, Group, Members, Rule

_RATES = {
    "original": lambda rows, columns: math.sqrt(max(1, rows / columns)),
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
    "spectral_unclamped": lambda rows, columns: math.sqrt(rows / columns),
}


class Muon(Fused):
    """Muon: p -= lr * o, with o the orthogonal matrix near the momentum, for matrices alone.

    o comes of `ns_steps` steps of a Newton-Schulz iteration in bfloat16, which leaves singular
    values between about 0.7 and 1.2. `adjust_lr_fn` makes lr depend on the shape: "original",
    "match_rms_adamw" or "spectral_unclamped". ValueError for a negative number, a parameter that is
    no matrix, or an unknown adjust_lr_fn. K. Jordan et al. (2024), Muon: an optimizer for hidden
    layers in neural networks; J. Liu et al. (2025), Muon is scalable for LLM training.

    >>> import schuss
    >>> w = schuss.zeros(2, 2, requires_grad=True)
    >>> opt = schuss.optim.Muon([w], lr=0.25)
    >>> (w * schuss.tensor([[0.0, 3.0], [-3.0, 0.0]])).sum().backward()
    >>> opt.step()
    >>> w.detach().sign()
    tensor([[ 0., -1.],
            [ 1.,  0.]])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_number("Muon", "lr", lr)
        check_number("Muon", "momentum", momentum)
        check_number("Muon", "weight_decay", weight_decay)
        if adjust_lr_fn is not None and adjust_lr_fn not in _RATES:
            raise ValueError(f"Muon: adjust_lr_fn {adjust_lr_fn!r} is none of {sorted(_RATES)}")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if isinstance(p, schuss.Scalar) or p.ndim != 2:
                    shape = () if isinstance(p, schuss.Scalar) else tuple(p.shape)
                    raise ValueError(
                        f"Muon: moves matrices alone, got a parameter of shape {shape}; "
                        "give the others to AdamW"
                    )

    _counted = ()
    _counts_alike = False
    _fixed = ("nesterov", "ns_coefficients", "eps", "ns_steps")

    def _begin(self, p: Any, group: Group) -> Entry:
        return {"momentum_buffer": schuss.zeros_like(p, requires_grad=False)}

    def _age(self, entry: Entry, group: Group) -> Any:
        return None

    def _rule(self, group: Group, age: Any) -> Rule:
        return "muon", ("momentum_buffer",), ()

    def _all(self, group: Group, age: Any, entries: list[Entry]) -> list[tuple[str, Any]]:
        found = [_numbers(group, entry["momentum_buffer"].shape) for entry in entries]
        return [
            ("plain_step", x)
            for mean, ahead, move in found
            for x in (mean, *([ahead] if group["nesterov"] else []), move)
        ]

    def _run(self, group: Group, rule: Rule, members: Members) -> None:
        with schuss.no_grad():
            for p, grad, entry in zip(*members, strict=True):
                mean, ahead, move = _numbers(group, p.shape)
                update = entry["momentum_buffer"]
                _core.fused_step("plain_step", [[update], [grad]], mean)
                if group["nesterov"]:
                    momentum, update = update, grad.detach().clone()
                    _core.fused_step("plain_step", [[update], [momentum]], ahead)
                coefficients, steps = group["ns_coefficients"], group["ns_steps"]
                update = orthogonal(update, coefficients, steps, group["eps"]).to(p.dtype)
                _core.fused_step("plain_step", [[p], [update]], move)


def _numbers(group: Group, shape: Any) -> tuple[tuple[float, ...], ...]:
    """What the passes take: two running means, and the parameter with its decay."""
    momentum, lr = group["momentum"], float(group["lr"])
    size = lr * _RATES[group["adjust_lr_fn"] or "original"](*shape)
    decay = lr * group["weight_decay"] / size if size else 0.0
    return (-1.0, 1 - momentum, 1.0), (-1.0, momentum, 1.0), (1.0, size, decay)


def orthogonal(
    matrix: schuss.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> schuss.Tensor:
    """The orthogonal matrix near one, in bfloat16: singular values x become a x + b x^3 + c x^5.

    ValueError for 100 steps or more, or where there are not three coefficients.

    >>> import schuss
    >>> from schuss.optim.muon import orthogonal
    >>> orthogonal(schuss.eye(2) * 5, (2.0, -1.5, 0.5), 10, 1e-7).float()
    tensor([[1., 0.],
            [0., 1.]])
    """
    if steps >= 100:
        raise ValueError(f"Muon: ns_steps must be below 100, got {steps}")
    if len(coefficients) != 3:
        raise ValueError(f"Muon: ns_coefficients must be three numbers, got {coefficients}")
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.to(schuss.bfloat16)
    x = x.T if tall else x
    x = x / x.float().norm().to(schuss.bfloat16).clamp(min=eps)
    for _ in range(steps):
        # Each sum is rounded to bfloat16 once, so products are taken in float32.
        gram = (x @ x.T).float()
        mixed = (b * gram + c * (gram @ gram)).to(schuss.bfloat16).float()
        x = (a * x.float() + mixed @ x.float()).to(schuss.bfloat16)
    return x.T if tall else x
