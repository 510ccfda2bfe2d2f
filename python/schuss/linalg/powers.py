"""Products of vectors and powers of matrices.
Leans on products and on the inverse."""

from __future__ import annotations

from schuss import _core
from schuss.linalg.factors import inv
from schuss.linalg.results import _square
from schuss.naming import given
from schuss.products import cross as _cross

#: How often `matrix_exp` squares at most where it cannot look.
_SQUARINGS = 16


def cross(input, other, *, dim=-1, out=None):
    """The cross product of vectors of three elements along an axis, with broadcasting.

    >>> schuss.linalg.cross(schuss.tensor([1.0, 0.0, 0.0]), schuss.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    return _cross(input, other, dim, out=out)


def vecdot(x, y, *, dim=-1, out=None):
    """The inner products of vectors along an axis; the first are conjugated.

    >>> schuss.linalg.vecdot(schuss.tensor([1.0, 2.0]), schuss.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return given("vecdot", (x.conj() * y).sum(dim), out)


def matmul(input, other, *, out=None):
    """The matrix product."""
    return _core.matmul(input, other, out=out)


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """The diagonals of matrices, as a view."""
    return A.diagonal(offset, dim1, dim2)


def vander(x, N=None):
    """The powers 0 to N - 1 of every element, along a new last axis.

    >>> schuss.linalg.vander(schuss.tensor([2, 3]), N=3)
    tensor([[1, 2, 4],
            [1, 3, 9]])
    """
    x = x.reshape(1) if x.ndim == 0 else x
    n = x.shape[-1] if N is None else N
    if n <= 1 and N is not None:
        raise RuntimeError(f"vander: N must be above 1, got {N}")
    one = _core.ones(*x.shape, 1, dtype=x.dtype, device=x.device)
    if n < 2:
        return one[..., :n]
    powers = x.unsqueeze(-1).expand(*x.shape, n - 1).cumprod(-1)
    return _core.cat([one, powers.to(x.dtype)], -1)


def matrix_power(A, n, *, out=None):
    """A matrix to an integer power; negative powers are of its inverse.

    >>> schuss.linalg.matrix_power(schuss.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError(f"matrix_power: needs square matrices, got {tuple(A.shape)}")
    if n == 0:
        everywhere = _core.ones((), dtype=_core.bool, device=A.device)
        return given(
            "matrix_power",
            A.masked_fill(everywhere, 0) + _core.eye(A.shape[-1], dtype=A.dtype, device=A.device),
            out,
        )
    base, n = (inv(A), -n) if n < 0 else (A, n)
    found = None
    while n:
        if n & 1:
            found = base if found is None else found @ base
        n >>= 1
        base = base @ base if n else base
    return given("matrix_power", found.clone() if found is A else found, out)


def matrix_exp(A):
    """The exponential of square matrices, by scaling, a Taylor polynomial, and squaring.

    >>> schuss.linalg.matrix_exp(schuss.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    _square("matrix_exp", A)
    wide = _core.promote_types(A.dtype, _core.float64)
    if A.dtype != wide:
        # The squarings add up rounding errors that float64 has room for.
        return matrix_exp(A.to(wide)).to(A.dtype)
    eye = _core.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    if A.numel() == 0:
        return A + eye
    # Each matrix is halved until its norm is at most a half, and squared as many times.
    size = A.detach().abs().sum(-2).amax(-1)
    times = (size.clamp(min=1e-30).log2().ceil() + 1).clamp(min=0)
    if _core._is_recording():
        # How often must be known beforehand; elements of larger norms overflow or all but vanish.
        most, said = _SQUARINGS, "a compiled step takes matrices of norms up to 32,768"
        _core._demand(times <= most, "runtime", "matrix_exp", said)
    else:
        most = int(_core._values(times).max())
    scaled = A * (-times).exp2().unsqueeze(-1).unsqueeze(-1)
    degree = 18
    found = eye + scaled / degree
    for k in range(degree - 1, 0, -1):
        found = eye + scaled @ found / k
    for k in range(most):
        more = (times > k).unsqueeze(-1).unsqueeze(-1)
        found = _core._where(more, found @ found, found)
    return found


__all__ = [
    "cross",
    "diagonal",
    "matmul",
    "matrix_exp",
    "matrix_power",
    "vander",
    "vecdot",
]
