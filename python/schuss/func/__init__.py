"""Transformations of functions: derivatives by both modes, and one function for many examples.
Leans on the core's levels, where tensors stand for a value with its tangent, or for a batch."""

from __future__ import annotations

from schuss.func.batching import vmap
from schuss.func.forward import jacfwd, jvp, linearize
from schuss.func.models import functional_call, stack_module_state
from schuss.func.reverse import grad, grad_and_value, hessian, jacrev, value_and_grad, vjp

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "value_and_grad",
    "vjp",
    "vmap",
]
