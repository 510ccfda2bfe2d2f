"""All the parameters of a model as one vector, and back.
Leans on tensor operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.nn.utils.clip_grad import _tensors

if TYPE_CHECKING:
    from schuss.nn.utils.clip_grad import Tensors


def parameters_to_vector(parameters: Tensors) -> Tensor:
    """All the parameters, flattened and joined; gradients flow through it.

    >>> import schuss
    >>> model = schuss.nn.Linear(3, 2)
    >>> schuss.nn.utils.parameters_to_vector(model.parameters()).shape
    schuss.Size([8])
    """
    found = _tensors(parameters, "parameters_to_vector")
    if not found:
        raise ValueError("parameters_to_vector: there are no parameters")
    return schuss.cat([p.reshape(-1) for p in found])


def vector_to_parameters(vec: Tensor, parameters: Tensors) -> None:
    """Give every parameter its part of a vector; they then share its storage.

    TypeError for anything but a Tensor, ShapeError if its length is not the parameters' total.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: needs a Tensor, got {type(vec).__name__}")
    found = _tensors(parameters, "vector_to_parameters")
    total = sum(p.numel() for p in found)
    if vec.numel() != total:
        raise schuss.ShapeError(
            f"vector_to_parameters: {vec.numel()} numbers for parameters of {total}"
        )
    start = 0
    for p in found:
        stop = start + p.numel()
        p.data = vec[start:stop].view_as(p).data
        start = stop
