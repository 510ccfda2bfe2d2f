"""Rprop: a step size for each element, by whether its slope kept its sign.
Leans on the fused steps of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import Scalar
from schuss.optim.fused import Fused, filled, sign, zeros
from schuss.optim.optimizer import check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Rule


class Rprop(Fused):
    """Resilient propagation: p -= sign(g) * size, the sizes starting at `lr`.

    A size grows by etas[1] while the slope keeps its sign and shrinks by etas[0] where it turns,
    within `step_sizes`. For whole batches. ValueError unless 0 < etas[0] < 1 < etas[1].
    M. Riedmiller and H. Braun (1993), A direct adaptive method for faster backpropagation learning.

    >>> import schuss
    >>> w = schuss.tensor([1.0], requires_grad=True)
    >>> opt = schuss.optim.Rprop([w], lr=0.25)
    >>> (w**2).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.7500], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_number("Rprop", "lr", lr)
        if not 0 < etas[0] < 1 < etas[1]:
            raise ValueError(f"Rprop: etas must lie below and above 1, got {etas}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        size: Any = float(group["lr"])
        # The parts of a complex number are two parameters, each with its size.
        both = not isinstance(p, Scalar) and p.dtype.is_complex
        return {"prev": zeros(p), "step_size": filled(p, complex(size, size) if both else size)}

    def _rule(self, group: dict[str, Any], age: int) -> Rule:
        numbers = (sign(group), *group["etas"], *group["step_sizes"])
        return "rprop_step", ("prev", "step_size"), numbers
