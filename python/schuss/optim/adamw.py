"""AdamW: Adam with decoupled weight decay.
Leans on Adam."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.optim.adam import Adam

if TYPE_CHECKING:
    from typing import Any


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
