"""Adafactor: second moments of matrices kept as one row and one column.
Leans on tensors and on the plain step of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import _core
from schuss.optim.fused import Fused
from schuss.optim.optimizer import check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Entry, Group, Members, Rule


class Adafactor(Fused):
    """Adafactor: steps relative to the parameter's size, by factored second moments.

    `lr` is the largest relative step and the rate of decoupled decay, `beta2_decay` the power of
    the step count by which the moments are averaged, `d` the size from which updates are clipped.
    ValueError for a negative lr, eps or weight_decay, a beta2_decay above 0 and a d below 1.
    N. Shazeer and M. Stern (2018), Adafactor: adaptive learning rates with sublinear memory cost.

    >>> import schuss
    >>> w = schuss.ones(2, 2, requires_grad=True)
    >>> opt = schuss.optim.Adafactor([w], lr=0.25)
    >>> w.sum().backward()
    >>> opt.step()
    >>> w
    tensor([[0.7500, 0.7500],
            [0.7500, 0.7500]], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_number("Adafactor", "lr", lr)
        if not beta2_decay <= 0:
            raise ValueError(f"Adafactor: beta2_decay must be at most 0, got {beta2_decay}")
        if eps[0] is not None:
            check_number("Adafactor", "eps[0]", eps[0])
        check_number("Adafactor", "eps[1]", eps[1])
        if not d >= 1:
            raise ValueError(f"Adafactor: d must be at least 1, got {d}")
        check_number("Adafactor", "weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _begin(self, p: Any, group: Group) -> Entry:
        if isinstance(p, schuss.Scalar):
            raise TypeError("Adafactor: a Scalar has no size to measure steps by; use Adam")
        if p.dim() <= 1:
            return {"variance": schuss.zeros_like(p, requires_grad=False)}
        *outer, rows, columns = p.shape
        kind = {"dtype": p.dtype, "device": p.device}
        return {
            "row_var": schuss.zeros(*outer, rows, 1, **kind),
            "col_var": schuss.zeros(*outer, 1, columns, **kind),
        }

    def _rule(self, group: Group, age: int) -> Rule:
        return "adafactor", (), (age,)

    _fixed = ("eps", "d", "maximize")

    def _all(self, group: Group, age: Any, entries: list[Entry]) -> list[tuple[str, Any]]:
        mean, move = _numbers(group, age)
        moments = (1 if "variance" in entry else 2 for entry in entries)
        return [("plain_step", x) for count in moments for x in (*[mean] * count, move)]

    def _run(self, group: Group, rule: Rule, members: Members) -> None:
        numbers = _numbers(group, rule[2][0])
        with schuss.no_grad():
            for p, grad, entry in zip(*members, strict=True):
                _move(p, -grad if group["maximize"] else grad, entry, group, numbers)


def _numbers(group: Group, age: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What the passes take: that of a running mean, and that of the parameter with its decay."""
    lr = float(group["lr"])
    step = min(lr, age**-0.5)
    decay = lr * group["weight_decay"] / step if step else 0.0
    return (-1.0, age ** group["beta2_decay"], 1.0), (1.0, step, decay)


def _move(p: schuss.Tensor, grad: schuss.Tensor, entry: Entry, group: Group, numbers: Any) -> None:
    mean, move = numbers
    tiny, least = group["eps"]
    tiny = schuss.finfo(p.dtype).eps if tiny is None else tiny
    root = p.numel() ** 0.5 or 1.0
    size = (p.norm() / root).clamp(min=least)
    squares = grad * grad
    if "variance" in entry:
        _core.fused_step("plain_step", [[entry["variance"]], [squares]], mean)
        moment = entry["variance"]
    else:
        rows, columns = entry["row_var"], entry["col_var"]
        _core.fused_step("plain_step", [[rows], [squares.mean(dim=-1, keepdim=True)]], mean)
        _core.fused_step("plain_step", [[columns], [squares.mean(dim=-2, keepdim=True)]], mean)
        moment = rows @ columns / rows.mean(dim=-2, keepdim=True).clamp(min=tiny)
    update = grad * moment.clamp(min=tiny * tiny).rsqrt()
    clipped = (update.norm() / (root * group["d"])).clamp(min=1.0)
    _core.fused_step("plain_step", [[p], [update * (size / clipped)]], move)
