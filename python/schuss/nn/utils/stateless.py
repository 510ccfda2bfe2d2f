"""A model called with other parameters than its own.
Leans on the table of names that Model keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from schuss import Tensor
    from schuss.model import Model


def functional_call(
    module: Model,
    parameters_and_buffers: Mapping[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """What the model returns for `args` with the tensors of a dict in place of its own.

    Parameters that are one tensor under several names are replaced under all of them, unless
    `tie_weights=False`; `strict` asks for a dict of all names and no others, else RuntimeError.

    >>> import schuss
    >>> model = schuss.nn.Linear(2, 1)
    >>> weights = {"weight": schuss.ones(1, 2), "bias": schuss.zeros(1)}
    >>> schuss.nn.utils.stateless.functional_call(model, weights, schuss.tensor([[2.0, 3.0]]))
    tensor([[5.]])
    """
    given = dict(parameters_and_buffers)
    own = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    unknown = [name for name in given if name not in own]
    missing = [name for name in own if name not in given]
    if unknown or (strict and missing):
        lines = [f"unexpected keys: {', '.join(unknown)}"] if unknown else []
        lines += [f"missing keys: {', '.join(missing)}"] if strict and missing else []
        raise RuntimeError(
            f"functional_call: the tensors do not fit {type(module).__name__}; {'; '.join(lines)}"
        )
    if tie_weights:
        by_tensor = {id(own[name]): value for name, value in given.items()}
        for name, value in own.items():
            if id(value) in by_tensor:
                given.setdefault(name, by_tensor[id(value)])
    replaced = []
    try:
        for name, value in given.items():
            path, _, last = name.rpartition(".")
            owner = module.get_submodule(path).__dict__
            replaced.append((owner, last, owner[last]))
            # Straight into the dict: what takes a parameter's place need not be one.
            owner[last] = value
        args = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*args, **(kwargs or {}))
    finally:
        for owner, last, value in reversed(replaced):
            owner[last] = value


__all__ = ["functional_call"]
