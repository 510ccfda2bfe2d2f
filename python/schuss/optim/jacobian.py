"""The derivatives of a vector by all parameters, from either side, whichever is shorter.
Leans on differentiating twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def _flat(grads: Sequence[Any], params: Sequence[Any]) -> schuss.Tensor:
    pairs = zip(grads, params, strict=True)
    return schuss.cat([p.new_zeros(p.numel()) if g is None else g.reshape(-1) for g, p in pairs])


def jacobian(outputs: schuss.Tensor, params: Sequence[Any]) -> schuss.Tensor:
    """The matrix of derivatives of a vector (m) by all elements of tensors (n), of shape (m, n).

    Row by row by m walks back; or, where n is smaller, column by column: the walk back is linear in
    what it starts from, and its own derivatives are the columns.

    >>> import schuss
    >>> from schuss.optim.jacobian import jacobian
    >>> w = schuss.tensor([1.0, 2.0], requires_grad=True)
    >>> jacobian(w.prod() * schuss.tensor([1.0, 2.0, 3.0]), [w])
    tensor([[2., 1.],
            [4., 2.],
            [6., 3.]])
    """
    many, few = len(outputs), sum(p.numel() for p in params)
    kind = {"dtype": outputs.dtype, "device": outputs.device}
    if many <= few:
        rows = []
        for start in schuss.eye(many, **kind):
            found = schuss.autograd.grad(
                outputs, params, grad_outputs=start, retain_graph=True, allow_unused=True
            )
            rows.append(_flat([g if g is None else g.detach() for g in found], params))
        return schuss.stack(rows)
    start = schuss.zeros(many, requires_grad=True, **kind)
    with schuss.enable_grad():
        back = schuss.autograd.grad(
            outputs, params, grad_outputs=start, create_graph=True, allow_unused=True
        )
        flat = _flat(back, params)
    columns = []
    for unit in schuss.eye(few, **kind):
        found = None
        if flat.requires_grad:
            (found,) = schuss.autograd.grad(
                flat, start, grad_outputs=unit, retain_graph=True, allow_unused=True
            )
        columns.append(schuss.zeros(many, **kind) if found is None else found.detach())
    return schuss.stack(columns, 1)
