"""The oldest forms of factors, which stand beside the tensors: `schuss.lu`, `schuss.svd`...
Leans on the factors and the singular values."""

from __future__ import annotations

from schuss import _core
from schuss.linalg import factors, spectra
from schuss.linalg.results import _as

pinverse = spectra.pinv


def cholesky(input, upper=False, *, out=None):
    """The lower triangle L with `L L^H = A`, or with `upper` the upper one; `linalg.cholesky`.

    >>> schuss.cholesky(schuss.tensor([[4.0]]))
    tensor([[2.]])
    """
    return factors.cholesky(input, upper=upper, out=out)


def qr(input, some=True, *, out=None):
    """Orthonormal columns and an upper triangle; all columns where not `some`. `linalg.qr`.

    >>> schuss.qr(schuss.ones(3, 1), some=False)[0].shape
    schuss.Size([3, 3])
    """
    return factors.qr(input, "reduced" if some else "complete", out=out)


def lu(A, pivot=True, get_infos=False, out=None):
    """The LU factors in one matrix and the row swaps; with `get_infos` where a pivot was 0.

    >>> schuss.lu(schuss.tensor([[0.0, 1.0], [2.0, 0.0]]))[1]
    tensor([2, 2], dtype=schuss.int32)
    """
    packed, pivots, _, info = factors._lu("lu", A, pivot)
    if get_infos:
        return _as("lu_packed_ex", "LU pivots infos", (packed, pivots, info), out, "lu")
    return _as("lu_packed", "LU pivots", (packed, pivots), out, "lu")


def lu_solve(b, LU_data, LU_pivots, *, out=None):
    """x of `A x = b` from the LU factors of A; `linalg.lu_solve` has another order of operands."""
    return factors.lu_solve(LU_data, LU_pivots, b, out=out)


def svd(input, some=True, compute_uv=True, *, out=None):
    """Left vectors, falling singular values, and right vectors as columns."""
    U, S, Vh = spectra.svd(input, not some)
    if not compute_uv:
        m, n = input.shape[-2:]
        lead = input.shape[:-2]
        U, Vh = (_core.zeros((*lead, k, k), dtype=input.dtype, device=input.device) for k in (m, n))
    return _as("svd_turned", "U S V", (U, S, Vh.mH), out, "svd")


def triangular_solve(b, A, upper=True, transpose=False, unitriangular=False, *, out=None):
    """x of `A x = b` for a triangle A, or of its transpose, and the triangle beside it.

    >>> A, b = schuss.tensor([[2.0, 1.0], [0.0, 1.0]]), schuss.tensor([[4.0], [2.0]])
    >>> schuss.triangular_solve(b, A)[0]
    tensor([[1.],
            [2.]])
    """
    sides = A.mT if transpose else A
    x = factors.solve_triangular(sides, b, upper=upper != transpose, unitriangular=unitriangular)
    return _as("triangular_solve", "solution cloned_coefficient", (x, A.clone()), out)


def _range_of(A, rank, rounds):
    """An orthonormal basis that holds most of a matrix's range (Halko, Martinsson, Tropp 2011)."""
    from schuss.creation import randn

    shape = (*A.shape[:-2], A.shape[-1], rank)
    q = factors.qr(A @ randn(*shape, dtype=A.dtype, device=A.device))[0]
    for _ in range(rounds):
        q = factors.qr(A.mT @ q)[0]
        q = factors.qr(A @ q)[0]
    return q


def svd_lowrank(A, q=6, niter=2, M=None):
    """The q largest singular values and their vectors as columns, by random projections
    (Halko, Martinsson and Tropp: Finding Structure with Randomness, 2011).

    >>> schuss.svd_lowrank(schuss.eye(3) * 2, 2)[1]
    tensor([2., 2.])
    """
    rank = min(6, *A.shape[-2:]) if q is None else q
    if not 0 <= rank <= min(A.shape[-2:]):
        raise ValueError(f"svd_lowrank: q={rank} of a matrix of shape {tuple(A.shape)}")
    whole = A if M is None else A - M
    turned = whole.shape[-2] < whole.shape[-1]
    whole = whole.mT if turned else whole
    basis = _range_of(whole, rank, niter)
    U, S, Vh = spectra.svd(basis.mT @ whole, False)
    left, right = basis @ U, Vh.mT
    return (right, S, left) if turned else (left, S, right)


def pca_lowrank(A, q=None, center=True, niter=2):
    """Principal components: `svd_lowrank` of rows less their mean, unless told otherwise.

    >>> schuss.pca_lowrank(schuss.tensor([[1.0, 1.0], [3.0, 3.0]]), 1)[1]
    tensor([2.])
    """
    rank = min(6, *A.shape[-2:]) if q is None else q
    if not 0 <= rank <= min(A.shape[-2:]):
        raise ValueError(f"pca_lowrank: q={rank} of a matrix of shape {tuple(A.shape)}")
    if niter < 0:
        raise ValueError(f"pca_lowrank: niter must be at least 0, got {niter}")
    return svd_lowrank(A - A.mean(-2, True) if center else A, rank, niter)


orgqr = factors.householder_product

__all__ = [
    "lu",
    "lu_solve",
    "orgqr",
    "pca_lowrank",
    "pinverse",
    "svd",
    "svd_lowrank",
    "triangular_solve",
]
