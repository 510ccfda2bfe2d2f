"""Norms of vectors and matrices, and condition numbers.
Leans on the folds, the singular values and the inverse."""

from __future__ import annotations

import math

from schuss import _core
from schuss.arrangement import _axis
from schuss.linalg.factors import inv_ex
from schuss.linalg.results import _matrices, _square
from schuss.linalg.spectra import svdvals
from schuss.mathematics import norm as _plain_norm
from schuss.naming import given, must_float


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None, out=None):
    """The norm of vectors along axes, or of all elements: (sum |x| ** ord) ** (1 / ord).

    >>> schuss.linalg.vector_norm(schuss.tensor([3.0, 4.0]))
    tensor(5.)
    """
    x = x.abs() if x.is_complex() else x
    must_float("vector_norm", x)
    if isinstance(ord, str):
        raise RuntimeError(f"vector_norm: ord must be a number, got {ord!r}")
    axes = None if dim is None else dim if isinstance(dim, int) else list(dim)
    if ord == 2 and dtype is None:
        found = _core._norm(x, () if axes is None else axes, keepdim)
    else:
        found = _plain_norm(x, float(ord), axes, keepdim, dtype=dtype)
    return given("vector_norm", found, out)


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, out=None):
    """The norm of matrices: "fro", "nuc", infinity, 1, 2, or the negatives of these numbers.

    >>> schuss.linalg.matrix_norm(schuss.tensor([[3.0, 0.0], [0.0, 4.0]]), 2)
    tensor(4.)
    """
    if A.ndim < 2:
        raise RuntimeError(f"matrix_norm: needs at least two axes, got {tuple(A.shape)}")
    if not A.is_complex():
        must_float("matrix_norm", A)
    if isinstance(dim, int) or len(dim) != 2:
        raise RuntimeError(f"matrix_norm: dim must be two axes, got {dim}")
    A = A if dtype is None else A.to(dtype)
    a, b = (_axis("matrix_norm", d, A.ndim) for d in dim)
    if a == b:
        raise RuntimeError(f"matrix_norm: needs two different axes, got {dim}")
    if isinstance(ord, str) and ord == "fro":
        return given("matrix_norm", _core._norm(A, [a, b], keepdim), out)
    if ord == "nuc" or (not isinstance(ord, str) and abs(ord) == 2):
        values = svdvals(A.movedim((a, b), (-2, -1)))
        largest = ord != "nuc" and ord > 0
        found = values.sum(-1) if ord == "nuc" else _end(values, largest)
    elif not isinstance(ord, str) and abs(ord) in (1, math.inf):
        first, second = (a, b) if abs(ord) == 1 else (b, a)
        sums = A.abs().sum(first, True)
        found = sums.amax((first, second)) if ord > 0 else sums.amin((first, second))
    else:
        raise RuntimeError(
            f"matrix_norm: ord is 'fro', 'nuc', inf, 1, 2 or the negative of one, not {ord!r}"
        )
    if keepdim:
        found = found.unsqueeze(min(a, b)).unsqueeze(max(a, b))
    return given("matrix_norm", found, out)


def _end(values, largest):
    return values.amax(-1) if largest else values.amin(-1)


def norm(A, ord=None, dim=None, keepdim=False, *, out=None, dtype=None):
    """The norm of a vector or a matrix, as `dim` and the number of axes say.

    >>> schuss.linalg.norm(schuss.tensor([3.0, 4.0]))
    tensor(5.)
    """
    two = dim is not None and not isinstance(dim, int) and len(dim) == 2
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype, out=out)
    if two or (dim is None and A.ndim == 2):
        return matrix_norm(A, ord, dim if two else (-2, -1), keepdim, dtype=dtype, out=out)
    if isinstance(ord, str):
        raise RuntimeError(f"norm: ord {ord!r} is for matrices; give two axes")
    if dim is None and A.ndim != 1:
        raise RuntimeError(f"norm: ord with shape {tuple(A.shape)} needs dim")
    return vector_norm(A, ord, dim, keepdim, dtype=dtype, out=out)


def cond(A, p=None, *, out=None):
    """The condition number: the norm of a matrix times that of its inverse.

    >>> schuss.linalg.cond(schuss.tensor([[1.0, 0.0], [0.0, 2.0]]))
    tensor(2.)
    """
    _matrices("cond", A)
    if p is None or p in (2, -2):
        if A.numel() == 0:
            return given(
                "cond", _core.zeros(tuple(A.shape[:-2]), dtype=A.dtype, device=A.device), out
            )
        values = svdvals(A)
        found = values[..., 0] / values[..., -1]
        return given("cond", 1 / found if p == -2 else found, out)
    _square("cond", A)
    if A.numel() == 0:
        return given("cond", _core.zeros(tuple(A.shape[:-2]), dtype=A.dtype, device=A.device), out)
    back, info = inv_ex(A)
    found = matrix_norm(A, p) * matrix_norm(back, p)
    return given("cond", found.masked_fill(info != 0, math.inf), out)


__all__ = [
    "cond",
    "matrix_norm",
    "norm",
    "vector_norm",
]
