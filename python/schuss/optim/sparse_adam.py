"""SparseAdam: Adam that leaves rows without a gradient alone.
Leans on the fused steps of the core; gradients here are dense, so a row of zeros is one without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import _core
from schuss.optim.fused import Fused, rate, sign, zeros
from schuss.optim.optimizer import check_betas, check_number

if TYPE_CHECKING:
    from typing import Any

    from schuss.optim.fused import Entry, Group, Members, Rule


class SparseAdam(Fused):
    """Adam for gradients of few rows, as an Embedding has: the other rows and their moments stay.

    A row (one position of the first axis) counts as untouched where its gradient is 0 throughout;
    all gradients are dense tensors here. ValueError for an lr or eps of 0 or below and for betas
    outside [0, 1).

    >>> import schuss
    >>> w = schuss.ones(3, 2, requires_grad=True)
    >>> opt = schuss.optim.SparseAdam([w], lr=0.25)
    >>> w[1].sum().backward()
    >>> opt.step()
    >>> w.detach()
    tensor([[1.0000, 1.0000],
            [0.7500, 0.7500],
            [1.0000, 1.0000]])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        for name, value in (("lr", lr), ("eps", eps)):
            check_number("SparseAdam", name, value)
            if value == 0:
                raise ValueError(f"SparseAdam: {name} must be above 0, got {value}")
        check_betas("SparseAdam", betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    def _begin(self, p: Any, group: Group) -> Entry:
        return {"exp_avg": zeros(p), "exp_avg_sq": zeros(p)}

    def _rule(self, group: Group, age: int) -> Rule:
        beta1, beta2 = group["betas"]
        # eps is added before the correction of the second moment, so it is not corrected either.
        size = rate(group) * (1 - beta2**age) ** 0.5 / (1 - beta1**age)
        numbers = (sign(group), 0.0, 1.0, 1 - beta1, beta2, 1 - beta2, size, 1.0, group["eps"])
        return "adam_step", ("exp_avg", "exp_avg_sq"), numbers

    def _all(self, group: Group, age: Any, entries: list[Entry]) -> list[tuple[str, Any]]:
        return super()._all(group, age, entries) * len(entries)

    def _run(self, group: Group, rule: Rule, members: Members) -> None:
        name, keys, numbers = rule
        for p, grad, entry in zip(*members, strict=True):
            if self._passes is not None:
                self._choose(rule, p, grad, entry)
                continue
            if p.dim() == 0:
                if grad != 0:
                    super()._run(group, rule, ([p], [grad], [entry]))
                continue
            with schuss.no_grad():
                touched = (grad != 0).reshape(len(grad), -1).any(dim=1).nonzero().squeeze(1)
                if len(touched) == 0:
                    continue
                whole = [p, *(entry[key] for key in keys)]
                rows = [tensor.index_select(0, touched) for tensor in whole]
                _core.fused_step(name, [[x] for x in (*rows, grad[touched])], numbers)
                for tensor, part in zip(whole, rows, strict=True):
                    tensor.index_copy_(0, touched, part)

    def _choose(self, rule: Rule, p: Any, grad: Any, entry: Entry) -> None:
        """The same without asking which rows they are: all are stepped, the touched ones kept."""
        name, keys, numbers = rule
        with schuss.no_grad():
            touched = (grad != 0).reshape(len(grad) if grad.dim() else 1, -1).any(dim=1)
            touched = touched.reshape(grad.shape[:1] + (1,) * (grad.dim() - 1))
            whole = [p, *(entry[key] for key in keys)]
            moved = [tensor.detach().clone() for tensor in whole]
            _core.fused_step(name, [[x] for x in (*moved, grad)], numbers)
            for tensor, part in zip(whole, moved, strict=True):
                tensor.copy_(schuss.where(touched, part, tensor))

    def _saved(self, entry: Any) -> Any:
        return entry
