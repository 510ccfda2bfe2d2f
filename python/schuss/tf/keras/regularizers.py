"""What large weights cost beside the loss.
Leans on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


class L1L2:
    """l1 times the sum of sizes plus l2 times the sum of squares.

    >>> float(L1L2(l2=0.5)(schuss.ones(4)))
    2.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        if l1 < 0 or l2 < 0:
            raise ValueError(f"{type(self).__name__}: costs must not be negative, got {l1}, {l2}")
        self.l1, self.l2 = l1, l2

    def __call__(self, x: Tensor) -> Tensor:
        cost = 0.0 * schuss.sum(x)
        if self.l1:
            cost = cost + self.l1 * schuss.sum(schuss.abs(x))
        if self.l2:
            cost = cost + self.l2 * schuss.sum(schuss.square(x))
        return cost


class L1(L1L2):
    """l1 times the sum of sizes."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """l2 times the sum of squares."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


l1, l2, l1_l2 = L1, L2, L1L2
_KNOWN = {"l1": L1, "l2": L2, "l1_l2": L1L2}


def get(identifier: Any) -> Any:
    """The regularizer of a name; None and functions as they are.

    >>> get("l2").l2
    0.01
    """
    if isinstance(identifier, str):
        if identifier not in _KNOWN:
            raise ValueError(f"regularizers.get: no regularizer {identifier!r}")
        return _KNOWN[identifier]()
    return identifier
