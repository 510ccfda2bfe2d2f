"""Triangular and orthogonal factors of matrices, and what is solved with them.
Leans on the core's records of matrices."""

from __future__ import annotations

import math

from schuss import _core
from schuss.linalg.results import _as, _batched, _matrices, _square
from schuss.naming import given


def _lu(op, A, pivot):
    _matrices(op, A)
    packed, pivots, order = _core._lu_of(A, pivot)
    k = min(A.shape[-2:])
    zero = packed.detach().diagonal(0, -2, -1) == 0
    # The first diagonal element that is 0, counted from 1; 0 where there is none.
    if k:
        first = zero.to(_core.int32).argmax(-1) + 1
        info = _core._where(zero.any(-1), first, first * 0).to(_core.int32)
    else:
        info = _core.zeros(tuple(A.shape[:-2]), dtype=_core.int32, device=A.device)
    return packed, pivots, order, info


def lu_factor_ex(A, *, pivot=True, check_errors=False, out=None):
    """The LU factors in one matrix, the row swaps, and where a pivot was 0.

    >>> schuss.linalg.lu_factor_ex(schuss.tensor([[2.0]])).info
    tensor(0, dtype=schuss.int32)
    """
    packed, pivots, _, info = _lu("lu_factor", A, pivot)
    if check_errors and bool((_core._values(info) != 0).any()):
        raise _core.LinAlgError("lu_factor: a matrix is singular (a pivot is 0)")
    return _as("lu_factor_ex", "LU pivots info", (packed, pivots, info), out)


def lu_factor(A, *, pivot=True, out=None):
    """The LU factors in one matrix, and the row swaps, counted from 1.

    >>> schuss.linalg.lu_factor(schuss.tensor([[0.0, 1.0], [2.0, 0.0]])).pivots
    tensor([2, 2], dtype=schuss.int32)
    """
    packed, pivots, _, _ = _lu("lu_factor", A, pivot)
    return _as("lu_factor", "LU pivots", (packed, pivots), out)


def _apart(packed):
    m, n = packed.shape[-2:]
    k = min(m, n)
    eye = _core.eye(m, k, dtype=packed.dtype, device=packed.device)
    return packed[..., :k].tril(-1) + eye, packed[..., :k, :].triu()


def _rows_of(order, dtype):
    """The permutation matrix whose row order[i] has its 1 in column i."""
    n = order.shape[-1]
    return (_core.arange(n, device=order.device).unsqueeze(-1) == order.unsqueeze(-2)).to(dtype)


def lu(A, *, pivot=True, out=None):
    """A permutation, a unit lower and an upper triangle whose product is the matrix.

    >>> P, L, U = schuss.linalg.lu(schuss.tensor([[0.0, 1.0], [2.0, 0.0]]))
    >>> P @ L @ U
    tensor([[0., 1.],
            [2., 0.]])
    """
    packed, _, order, _ = _lu("lu", A, pivot)
    lower, upper = _apart(packed)
    rows = _rows_of(order, A.dtype) if pivot else A.new_empty(0)
    return _as("lu", "P L U", (rows, lower, upper), out)


def _ldl(op, A, hermitian, check):
    _square(op, A)
    packed, pivots, info = _core._ldl_of(A, hermitian)
    if check:
        _core._demand(info == 0, "algebra", op, "a matrix is singular (a pivot is 0)")
    return packed, pivots, info


def ldl_factor_ex(A, *, hermitian=False, check_errors=False, out=None):
    """`ldl_factor`, and 0 or the first row (from 1) whose pivot is 0.

    >>> schuss.linalg.ldl_factor_ex(schuss.zeros(1, 1)).info
    tensor(1, dtype=schuss.int32)
    """
    found = _ldl("ldl_factor_ex", A, hermitian, check_errors)
    return _as("ldl_factor_ex", "LD pivots info", found, out)


def ldl_factor(A, *, hermitian=False, out=None):
    """A unit lower triangle, with the blocks of a diagonal in it, of symmetric matrices; with
    `hermitian` of those that are their own conjugate transpose.

    The lower triangle of A is read (Bunch and Kaufman 1977). `pivots` (int32) holds the row that
    each row was exchanged with, from 1, and is negative where a block has two rows. RuntimeError
    for a singular matrix. There is no derivative.

    >>> schuss.linalg.ldl_factor(schuss.tensor([[2.0, 0.0], [1.0, 3.0]])).LD
    tensor([[2.0000, 0.0000],
            [0.5000, 2.5000]])
    """
    return _as("ldl_factor", "LD pivots", _ldl("ldl_factor", A, hermitian, True)[:2], out)


def ldl_solve(LD, pivots, B, *, hermitian=False, out=None):
    """x of `A x = B` for matrices that `ldl_factor` took apart; RuntimeError where shapes differ.

    >>> LD, pivots = schuss.linalg.ldl_factor(schuss.tensor([[2.0, 0.0], [1.0, 3.0]]))
    >>> schuss.linalg.ldl_solve(LD, pivots, schuss.tensor([[3.0], [4.0]]))
    tensor([[1.],
            [1.]])
    """
    _square("ldl_solve", LD)
    _matrices("ldl_solve", B)
    if pivots.shape != LD.shape[:-1] or pivots.is_floating_point() or pivots.dtype == _core.bool:
        raise RuntimeError(
            f"ldl_solve: the pivots must be integers of shape {tuple(LD.shape[:-1])}, got"
            f" {tuple(pivots.shape)} of {pivots.dtype.name}"
        )
    packed, right = _batched("ldl_solve", LD, B)
    swaps = pivots.expand(*packed.shape[:-1])
    return given("ldl_solve", _core._ldl_solve_of(packed, swaps, right, hermitian), out)


def _order(pivots, m):
    """The order of m rows after swaps counted from 1."""
    order = _core.arange(m, device=pivots.device).expand(*pivots.shape[:-1], m).clone()
    for i in range(pivots.shape[-1]):
        j = pivots[..., i : i + 1].long() - 1
        here, there = order[..., i : i + 1].clone(), order.gather(-1, j)
        order = order.scatter(-1, j, here)
        order[..., i : i + 1] = there
    return order


def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True, *, out=None):
    """The permutation and the triangles of packed LU factors."""
    lower = upper = rows = LU_data.new_empty(0)
    if unpack_data:
        lower, upper = _apart(LU_data)
    if unpack_pivots:
        if LU_pivots.dtype != _core.int32:
            raise RuntimeError(f"lu_unpack: pivots must be int32, got {LU_pivots.dtype}")
        rows = _rows_of(_order(LU_pivots, LU_data.shape[-2]), LU_data.dtype)
    return _as("lu_unpack", "P L U", (rows, lower, upper), out)


def _through(packed, order, B):
    """x of `P L U x = B`; `order` says which row of B each row of L belongs to."""
    packed, B = _batched("lu_solve", packed, B)
    places = order.expand(*B.shape[:-1]).unsqueeze(-1).expand(B.shape)
    half = _core._triangular_of(packed, B.gather(-2, places), False, True)
    return _core._triangular_of(packed, half, True, False)


def _through_turned(packed, order, B):
    """x of `(P L U).H x = B`."""
    packed, B = _batched("lu_solve", packed, B)
    half = _core._triangular_of(packed.mH, B, False, False)
    half = _core._triangular_of(packed.mH, half, True, True)
    places = order.expand(*B.shape[:-1]).unsqueeze(-1).expand(B.shape)
    return _core.zeros(tuple(B.shape), dtype=B.dtype, device=B.device).scatter(-2, places, half)


def lu_solve(LU, pivots, B, *, left=True, adjoint=False, out=None):
    """x of `A x = B` (or `x A = B`, or with A transposed) from the LU factors of A."""
    order = _order(pivots, LU.shape[-2])
    if not left:
        turned = lu_solve(LU, pivots, B.mH, adjoint=not adjoint)
        return given("lu_solve", turned.mH, out)
    return given("lu_solve", (_through_turned if adjoint else _through)(LU, order, B), out)


def solve_triangular(A, B, *, upper, left=True, unitriangular=False, out=None):
    """x of `A x = B` (or `x A = B`) for a triangle A.

    >>> A = schuss.tensor([[2.0, 0.0], [1.0, 1.0]])
    >>> schuss.linalg.solve_triangular(A, schuss.tensor([[2.0], [3.0]]), upper=False)
    tensor([[1.],
            [2.]])
    """
    _square("solve_triangular", A)
    if not left:
        A, B, upper = A.mT, B.mT, not upper
    A, B = _batched("solve_triangular", A, B)
    found = _core._triangular_of(A, B, bool(upper), bool(unitriangular))
    return given("solve_triangular", found if left else found.mT, out)


def _solved(op, A, B, left):
    _square(op, A)
    if A.dtype != B.dtype:
        kinds = f"A is {A.dtype.name} and B {B.dtype.name}"
        raise _core.DTypeError(f"{op}: {kinds}; convert one with .to()")
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])
    if vector:
        if not left:
            raise RuntimeError(f"{op}: vectors on the right side stand on the left of x")
        B = B.unsqueeze(-1)
    rows = B.shape[-2] if left else B.shape[-1]
    if rows != A.shape[-1]:
        shape = tuple(B.shape[:-1] if vector else B.shape)
        raise _core.ShapeError(
            f"{op}: A is {tuple(A.shape)} and B {shape}: a matrix of {A.shape[-1]} rows and a "
            f"{'right' if left else 'left'} side of {rows} do not fit"
        )
    packed, _, order, info = _lu(op, A, True)
    found = _through(packed, order, B) if left else _through_turned(packed, order, B.mH).mH
    return (found.squeeze(-1) if vector else found), packed, order, info


def solve_ex(A, B, *, left=True, check_errors=False, out=None):
    """`solve`, and where a matrix was singular instead of an error."""
    found, _, _, info = _solved("solve", A, B, left)
    if check_errors:
        _regular("solve", info)
    return _as("solve_ex", "result info", (found, info), out)


def _regular(op, info):
    _core._demand(info == 0, "algebra", op, "a matrix is singular (its determinant is 0)")


def solve(A, B, *, left=True, out=None):
    """x of `A x = B`, or of `x A = B`, for square matrices. A singular one raises LinAlgError.

    >>> schuss.linalg.solve(schuss.tensor([[2.0, 0.0], [0.0, 4.0]]), schuss.tensor([2.0, 4.0]))
    tensor([1., 1.])
    """
    found, _, _, info = _solved("solve", A, B, left)
    _regular("solve", info)
    return given("solve", found, out)


def inv_ex(A, *, check_errors=False, out=None):
    """The inverses of square matrices, and where one was singular instead of an error."""
    _square("inv", A)
    eye = _core.eye(A.shape[-1], dtype=A.dtype, device=A.device).expand(A.shape)
    found, _, _, info = _solved("inv", A, eye, True)
    if check_errors:
        _regular("inv", info)
    return _as("inv_ex", "inverse info", (found, info), out)


def inv(A, *, out=None):
    """The inverses of square matrices. A singular one raises LinAlgError.

    >>> schuss.linalg.inv(schuss.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    found, info = inv_ex(A)
    _regular("inv", info)
    return given("inv", found, out)


def slogdet(A, *, out=None):
    """The signs of determinants, and the logarithms of their sizes.

    >>> schuss.linalg.slogdet(schuss.tensor([[0.0, 1.0], [1.0, 0.0]])).sign
    tensor(-1.)
    """
    _square("slogdet", A)
    packed, pivots, _, _ = _lu("slogdet", A, True)
    slots = _core.arange(A.shape[-1], device=A.device) + 1
    odd = (pivots.long() != slots).sum(-1) % 2
    values = packed.diagonal(0, -2, -1)
    sign = values.sgn().prod(-1) * (1 - 2 * odd).to(A.dtype)
    return _as("slogdet", "sign logabsdet", (sign, values.abs().log().sum(-1)), out)


def logdet(A):
    """The logarithms of determinants; NaN where a real one is negative.

    >>> schuss.logdet(schuss.tensor([[1.0]]))
    tensor(0.)
    """
    sign, size = slogdet(A)
    if A.is_complex():
        return sign.log() + size
    return _core._where(sign < 0, math.nan, size)


def det(A, *, out=None):
    """The determinants of square matrices.

    >>> schuss.linalg.det(schuss.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """
    return given("det", _core.det(A), out)


def cholesky_ex(A, *, upper=False, check_errors=False, out=None):
    """The Cholesky factors, and the order that is not positive where there is one."""
    _square("cholesky", A)
    found, info = _core._cholesky_of(A.mH if upper else A)
    if check_errors:
        _positive(info)
    return _as("cholesky_ex", "L info", (found.mH if upper else found, info), out)


def _positive(info):
    if _core._is_recording():
        said = "a leading minor is not positive; the matrix is not positive definite"
        return _core._demand(info == 0, "algebra", "cholesky", said)
    info = _core._values(info).reshape(-1)
    bad = info[info != 0]
    if bad.numel():
        raise _core.LinAlgError(
            f"cholesky: the leading minor of order {int(bad[0])} is not positive; the matrix is not"
            " positive definite"
        )


def cholesky(A, *, upper=False, out=None):
    """The lower triangle L with `L @ L.T` = A, for a positive definite A; or the upper one.

    >>> schuss.linalg.cholesky(schuss.tensor([[4.0, 0.0], [0.0, 9.0]]))
    tensor([[2., 0.],
            [0., 3.]])
    """
    found, info = cholesky_ex(A, upper=upper)
    _positive(info)
    return given("cholesky", found, out)


def cholesky_solve(B, L, upper=False, *, out=None):
    """x of `A x = B` from the Cholesky factor of A."""
    L = L.mH if upper else L
    L, B = _batched("cholesky_solve", L, B)
    return given("cholesky_solve", _core._cholesky_solve_of(B, L), out)


def cholesky_inverse(L, upper=False, *, out=None):
    """The inverse of A from its Cholesky factor."""
    _square("cholesky_inverse", L)
    eye = _core.eye(L.shape[-1], dtype=L.dtype, device=L.device).expand(L.shape)
    return cholesky_solve(eye, L, upper, out=out)


def qr(A, mode="reduced", *, out=None):
    """An orthogonal and an upper triangular factor; mode "complete" gives a square one, "r" none.

    >>> Q, R = schuss.linalg.qr(schuss.tensor([[3.0], [4.0]]))
    >>> R
    tensor([[-5.]])
    """
    _matrices("qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr: mode is 'reduced', 'complete' or 'r', not {mode!r}")
    if mode == "r" and A.requires_grad and _core.is_grad_enabled():
        raise RuntimeError("qr: mode 'r' has no derivative; use mode 'reduced'")
    Q, R = _core._qr_of(A, mode == "complete")
    Q = A.new_empty(0) if mode == "r" else Q
    return _as("qr", "Q R", (Q, R), out)


def householder_product(A, tau, *, out=None):
    """The first columns of the product of Householder's reflections below A's diagonal."""
    _matrices("householder_product", A)
    m, n = A.shape[-2:]
    if m < n or tau.shape[-1] > n:
        raise RuntimeError(
            f"householder_product: {tuple(A.shape)} and {tau.shape[-1]} reflections do not fit"
        )
    if A.numel() == 0:
        return given("householder_product", A.clone(), out)
    found = A.masked_fill(_core.ones((), dtype=_core.bool, device=A.device), 0) + _core.eye(
        m, n, dtype=A.dtype, device=A.device
    )
    below = A.tril(-1) + _core.eye(m, n, dtype=A.dtype, device=A.device)
    for k in reversed(range(tau.shape[-1])):
        v = below[..., k : k + 1]
        found = found - tau[..., k : k + 1].unsqueeze(-1) * (v @ (v.mH @ found))
    return given("householder_product", found, out)


__all__ = [
    "cholesky",
    "cholesky_ex",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "householder_product",
    "inv",
    "inv_ex",
    "ldl_factor",
    "ldl_factor_ex",
    "ldl_solve",
    "logdet",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "lu_unpack",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
]
