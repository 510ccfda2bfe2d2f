"""Singular values and eigenvalues, and what is made of them: ranks, roots, pseudo-inverses.
Leans on the core's records of matrices."""

from __future__ import annotations

from schuss import _core
from schuss._core import Tensor
from schuss.linalg.results import _as, _matrices, _square
from schuss.naming import given


def svd(A, full_matrices=True, *, driver=None, out=None):
    """Left vectors, falling singular values, and right vectors as rows.

    >>> schuss.linalg.svd(schuss.tensor([[0.0, 3.0], [4.0, 0.0]])).S
    tensor([4., 3.])
    """
    _matrices("svd", A)
    return _as("svd", "U S Vh", _core._svd_of(A, bool(full_matrices)), out)


def svdvals(A, *, driver=None, out=None):
    """The singular values of matrices, the largest first."""
    _matrices("svdvals", A)
    return given("svdvals", _core._svd_of(A, False)[1], out)


def _side(UPLO):
    if UPLO not in ("L", "U", "l", "u"):
        raise RuntimeError(f"eigh: UPLO is 'L' or 'U', not {UPLO!r}")
    return UPLO in ("U", "u")


def eigh(A, UPLO="L", *, out=None):
    """The rising eigenvalues and the vectors of symmetric matrices, of which a triangle is read.

    >>> schuss.linalg.eigh(schuss.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    _square("eigh", A)
    found = _core._eigh_of(A, _side(UPLO))
    return _as("eigh", "eigenvalues eigenvectors", found, out)


def eigvalsh(A, UPLO="L", *, out=None):
    """The rising eigenvalues of symmetric matrices."""
    _square("eigvalsh", A)
    return given("eigvalsh", _core._eigh_of(A, _side(UPLO))[0], out)


def eig(A, *, out=None):
    """Eigenvalues and vectors, as columns of length 1, of square matrices; both are complex.

    >>> schuss.linalg.eig(schuss.tensor([[0.0, 1.0], [-1.0, 0.0]])).eigenvalues.imag.abs()
    tensor([1., 1.])
    """
    _square("eig", A)
    return _as("eig", "eigenvalues eigenvectors", _core._eig_of(A), out)


def eigvals(A, *, out=None):
    """The eigenvalues of square matrices, which are complex.

    >>> schuss.linalg.eigvals(schuss.tensor([[2.0]]))
    tensor([2.+0.j])
    """
    _square("eigvals", A)
    return given("eigvals", _core._eig_of(A)[0], out)


def matrix_sqrth(A, *, out=None):
    """The square root of symmetric matrices without negative eigenvalues."""
    values, vectors = eigh(A.detach())
    found = (vectors * values.clamp(min=0).sqrt().unsqueeze(-2)) @ vectors.mH
    return given("matrix_sqrth", _core._sqrth_of(A, found), out)


def polar(A, *, side="right", out=None):
    """An orthogonal factor and a positive one whose product is the matrix."""
    U, S, Vh = svd(A, False)
    if side == "right":
        return _as("polar", "U P", (U @ Vh, (Vh.mH * S.unsqueeze(-2)) @ Vh), out)
    return _as("polar", "U P", (U @ Vh, (U * S.unsqueeze(-2)) @ U.mH), out)


def _bounds(values, atol, rtol, shape, given):
    """Below which size a singular value counts as 0."""
    kind = values.dtype
    eps = {"float32": 2.0**-23, "float64": 2.0**-52}[repr(kind).split(".")[-1]]
    zero = _core.zeros((), dtype=kind, device=values.device)

    def number(x):
        return x.to(kind) if isinstance(x, Tensor) else zero + float(x)

    low = zero if atol is None else number(atol)
    if rtol is None:
        rtol = number(max(shape) * eps) if shape and max(shape) else zero
        # An absolute bound above 0 replaces the usual relative one.
        rtol = rtol if atol is None else _core._where(low > 0, 0.0, rtol)
    else:
        rtol = number(rtol)
    if not values.shape[-1]:
        return low
    top = values.detach().amax(-1)
    return _core.maximum(low, rtol * top).unsqueeze(-1)


def matrix_rank(A, tol=None, *, atol=None, rtol=None, hermitian=False, out=None):
    """How many singular values are above a bound.

    >>> schuss.linalg.matrix_rank(schuss.ones(2, 2))
    tensor(1)
    """
    _matrices("matrix_rank", A)
    atol, rtol = (tol, 0.0) if tol is not None else (atol, rtol)
    values = eigvalsh(A.detach()).abs() if hermitian else svdvals(A.detach())
    bound = _bounds(values, atol, rtol, A.shape[-2:], tol)
    return given("matrix_rank", (values > bound).sum(-1), out)


def pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """The pseudo-inverse (Moore 1920, Penrose 1955), small singular values counting as 0.

    >>> schuss.linalg.pinv(schuss.tensor([[2.0, 0.0]]))
    tensor([[0.5000],
            [0.0000]])
    """
    _matrices("pinv", A)
    rtol = rcond if rcond is not None else rtol
    if A.numel() == 0:
        return given("pinv", A.mH.clone(), out)
    with_no_past = A.detach()
    if hermitian:
        _square("pinv", A)
        values, vectors = eigh(with_no_past)
        bound = _bounds(values.abs(), atol, rtol, A.shape[-2:], None)
        kept = values.abs() > bound
        left, right, weight = vectors, vectors, values
    else:
        left, weight, right = svd(with_no_past, False)
        bound = _bounds(weight, atol, rtol, A.shape[-2:], None)
        kept, right = weight > bound, right.mH
    scale = _core._where(kept, 1 / _core._where(kept, weight, 1.0), 0.0).to(A.dtype)
    return given("pinv", _core._pinv_of(A, (right * scale.unsqueeze(-2)) @ left.mH), out)


def lstsq(A, B, rcond=None, *, driver=None, out=None):
    """x of least |A x - B|; the residuals, ranks and singular values where they are known.

    >>> A, b = schuss.tensor([[1.0], [1.0]]), schuss.tensor([[1.0], [3.0]])
    >>> schuss.linalg.lstsq(A, b).solution.round(decimals=3)
    tensor([[2.]])
    """
    _matrices("lstsq", A)
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(f"lstsq: driver is 'gels', 'gelsy', 'gelsd' or 'gelss', not {driver!r}")
    vector = B.ndim == A.ndim - 1 and B.shape == A.shape[:-1]
    right = B.unsqueeze(-1) if vector else B
    if A.dtype != B.dtype or right.shape[-2] != A.shape[-2]:
        raise RuntimeError(f"lstsq: {tuple(A.shape)} and {tuple(B.shape)} do not fit")
    m, n = A.shape[-2:]
    found = pinv(A, rcond) @ right
    none = found.reshape(-1)[:0].real
    ranks, values, residuals = A.new_empty(0, dtype=_core.int64), none, none
    if driver != "gels":
        ranks = matrix_rank(A)
    if driver in ("gelsd", "gelss"):
        values = svdvals(A)
    if m > n and (
        driver == "gels" or (values is not none and bool((_core._values(ranks) == n).all()))
    ):
        gap = A @ found - right
        residuals = (gap.abs() ** 2 if gap.is_complex() else gap * gap).sum(-2)
    solution = found.squeeze(-1) if vector else found
    names = "solution residuals rank singular_values"
    return _as("lstsq", names, (solution, residuals, ranks, values), out)


__all__ = [
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "lstsq",
    "matrix_rank",
    "matrix_sqrth",
    "pinv",
    "polar",
    "svd",
    "svdvals",
]
