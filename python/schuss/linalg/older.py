"""The oldest forms of factors, which stand beside the tensors: `schuss.lu`, `schuss.svd`...
Leans on the factors and the singular values."""

from __future__ import annotations

from schuss import _core
from schuss.linalg import factors, spectra
from schuss.linalg.results import _as

pinverse = spectra.pinv


def lu(A, pivot=True, get_infos=False, out=None):
    """The LU factors in one matrix and the row swaps; with `get_infos` where a pivot was 0.

    >>> schuss.lu(schuss.tensor([[0.0, 1.0], [2.0, 0.0]]))[1]
    tensor([2, 2], dtype=schuss.int32)
    """
    packed, pivots, _, info = factors._lu("lu", A, pivot)
    if get_infos:
        return _as("lu_packed_ex", "LU pivots infos", (packed, pivots, info), out)
    return _as("lu_packed", "LU pivots", (packed, pivots), out)


def lu_solve(b, LU_data, LU_pivots, *, out=None):
    """x of `A x = b` from the LU factors of A; `linalg.lu_solve` has another order of operands."""
    return factors.lu_solve(LU_data, LU_pivots, b, out=out)


def svd(input, some=True, compute_uv=True, *, out=None):
    """Left vectors, falling singular values, and right vectors as columns."""
    U, S, Vh = spectra.svd(input, not some)
    if not compute_uv:
        m, n = input.shape[-2:]
        lead = input.shape[:-2]
        U, Vh = (_core.zeros((*lead, k, k), dtype=input.dtype) for k in (m, n))
    return _as("svd_turned", "U S V", (U, S, Vh.mH), out)


__all__ = ["lu", "lu_solve", "pinverse", "svd"]
