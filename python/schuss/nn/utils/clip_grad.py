"""Gradients held within a norm or within bounds.
Leans on tensor operations; a model's `parameters()` is taken as generator, list, dict or tensor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor, no_grad
from schuss.naming import warn

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Tensors = Tensor | Iterable[Tensor] | dict[str, Tensor]


def _tensors(parameters: Any, name: str) -> list[Tensor]:
    if isinstance(parameters, Tensor):
        return [parameters]
    if not hasattr(parameters, "__iter__"):
        raise TypeError(
            f"{name}: needs Tensors, got {type(parameters).__name__}; "
            "pass model.parameters() for a model's"
        )
    found = list(parameters.values() if isinstance(parameters, dict) else parameters)
    for p in found:
        if not isinstance(p, Tensor):
            raise TypeError(f"{name}: needs Tensors, got {type(p).__name__}")
    return found


def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all the tensors as if they were one vector; `foreach` changes nothing.

    RuntimeError for an infinite or NaN norm if `error_if_nonfinite`.

    >>> import schuss
    >>> schuss.nn.utils.get_total_norm([schuss.tensor([3.0]), schuss.tensor([4.0])])
    tensor(5.)
    """
    found = _tensors(tensors, "get_total_norm")
    p = float(norm_type)
    if not found:
        return schuss.tensor(0.0)
    norms = [t.norm(p).to(found[0].device) for t in found]
    total = norms[0] if len(norms) == 1 else schuss.stack(norms).norm(p)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of order {p} is {total.item()}, so it cannot be clipped; "
            "pass error_if_nonfinite=False to scale the gradients all the same"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients in place by max_norm / total_norm, where that is below 1."""
    with no_grad():
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for p in _tensors(parameters, "clip_grads_with_norm_"):
            if p.grad is not None:
                p.grad.mul_(factor.to(p.grad.device, p.grad.dtype))


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients so that their norm together is at most `max_norm`; return what it was.

    >>> import schuss
    >>> w = schuss.nn.Parameter(schuss.zeros(2))
    >>> w.grad = schuss.tensor([30.0, 40.0])
    >>> schuss.nn.utils.clip_grad_norm_([w], 1.0), w.grad
    (tensor(50.), tensor([0.6000, 0.8000]))
    """
    found = _tensors(parameters, "clip_grad_norm_")
    if isinstance(max_norm, str) or not hasattr(max_norm, "__float__"):
        raise TypeError(f"clip_grad_norm_: max_norm must be a number, got {max_norm!r}")
    with no_grad():
        grads = [p.grad for p in found if p.grad is not None]
        total = get_total_norm(grads, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(found, max_norm, total)
    return total


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Clamp every element of the gradients to [-clip_value, clip_value].

    >>> import schuss
    >>> w = schuss.nn.Parameter(schuss.zeros(2))
    >>> w.grad = schuss.tensor([-3.0, 0.5])
    >>> schuss.nn.utils.clip_grad_value_(w, 1.0)
    >>> w.grad
    tensor([-1.0000,  0.5000])
    """
    limit = float(clip_value)
    with no_grad():
        for p in _tensors(parameters, "clip_grad_value_"):
            if p.grad is not None:
                p.grad.copy_(p.grad.clamp(-limit, limit))


def clip_grad_norm(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The older spelling of `clip_grad_norm_`; warns."""
    warn("clip_grad_norm: is deprecated; write clip_grad_norm_", FutureWarning)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)
