"""Models as functions of their parameters, alone and many at once.
Leans on the model's own way of running with other tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import _core
from schuss.nn.utils.stateless import functional_call as _called

if TYPE_CHECKING:
    from typing import Any


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
):
    """Runs a model with other tensors in place of its parameters and buffers, by their names.

    `parameter_and_buffer_dicts` is a dict of name to tensor, or a sequence of such dicts with no
    name twice. Raises ValueError where a name is given twice, RuntimeError with strict=True where
    names are missing.

    >>> model = schuss.nn.Linear(2, 1, bias=False)
    >>> schuss.func.functional_call(
    ...     model, {"weight": schuss.ones(1, 2)}, schuss.tensor([2.0, 3.0])
    ... ).tolist()
    [5.0]
    """
    dicts = parameter_and_buffer_dicts
    if not isinstance(dicts, dict):
        merged: dict = {}
        for part in dicts:
            twice = sorted(set(merged) & set(part))
            if twice:
                raise ValueError(f"functional_call: {twice[0]!r} is given by two of the dicts")
            merged.update(part)
        dicts = merged
    given = () if args is None else args if isinstance(args, tuple) else (args,)
    return _called(module, dicts, given, kwargs, tie_weights=tie_weights, strict=strict)


def stack_module_state(models: list) -> tuple[dict, dict]:
    """The parameters and the buffers of equal models, stacked along a first axis: for an ensemble.

    Raises RuntimeError for an empty list, or where classes or training modes differ.

    >>> models = [schuss.nn.Linear(2, 1) for _ in range(3)]
    >>> params, buffers = schuss.func.stack_module_state(models)
    >>> params["weight"].shape
    schuss.Size([3, 1, 2])
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: needs at least one model, got none")
    kinds = {type(m).__name__ for m in models}
    if len(kinds) > 1:
        raise RuntimeError(f"stack_module_state: the models are of classes {sorted(kinds)}")
    if len({m.training for m in models}) > 1:
        raise RuntimeError("stack_module_state: some models are in training mode and some are not")

    def stacked(dicts: list[dict]) -> dict:
        return {
            name: _core._stack([d[name].detach() for d in dicts], 0).requires_grad_(
                dicts[0][name].requires_grad
            )
            for name in dicts[0]
        }

    params = stacked([dict(m.named_parameters()) for m in models])
    return params, stacked([dict(m.named_buffers()) for m in models])


__all__ = ["functional_call", "stack_module_state"]
