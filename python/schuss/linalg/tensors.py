"""Tensors of many axes as matrices: inverses and solutions.
Leans on the factors."""

from __future__ import annotations

import math

from schuss.linalg.factors import inv, solve
from schuss.naming import given


def tensorinv(A, ind=2, *, out=None):
    """The inverse of a tensor as a map from its last axes to its first `ind`."""
    if ind <= 0:
        raise RuntimeError(f"tensorinv: ind must be above 0, got {ind}")
    first, last = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if math.prod(first) != math.prod(last):
        raise RuntimeError(f"tensorinv: {first} and {last} hold unequal numbers of elements")
    found = inv(A.reshape(math.prod(first), math.prod(last)))
    return given("tensorinv", found.reshape(*last, *first), out)


def tensorsolve(A, B, dims=None, *, out=None):
    """x whose product with a tensor over its last axes is B."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(-len(dims), 0)))
    rest = tuple(A.shape[B.ndim :])
    if math.prod(rest) != B.numel() or math.prod(A.shape[: B.ndim]) != B.numel():
        raise RuntimeError(f"tensorsolve: {tuple(A.shape)} and {tuple(B.shape)} do not fit")
    found = solve(A.reshape(B.numel(), B.numel()), B.reshape(-1))
    return given("tensorsolve", found.reshape(rest), out)


__all__ = [
    "tensorinv",
    "tensorsolve",
]
