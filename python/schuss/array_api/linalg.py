"""Products, decompositions and norms of matrices, by the standard's names and defaults.
Leans on linalg and products; stacks of matrices lie in the last two axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import schuss
from schuss import _core
from schuss import linalg as _linalg
from schuss._core import Tensor
from schuss.arrangement import _axis
from schuss.array_api import statistics
from schuss.array_api.dtypes import result_type


class Eig(NamedTuple):
    """What `eig` gives."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class Eigh(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QR(NamedTuple):
    """What `qr` gives."""

    Q: Tensor
    R: Tensor


class Slogdet(NamedTuple):
    """What `slogdet` gives."""

    sign: Tensor
    logabsdet: Tensor


class SVD(NamedTuple):
    """What `svd` gives."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def _both(x1, x2):
    kind = result_type(x1, x2)
    return x1.to(dtype=kind), x2.to(dtype=kind)


def matmul(x1, x2, /):
    """The product of matrices, or of a matrix and a vector.

    >>> schuss.array_api.matmul(schuss.ones(2, 3), schuss.ones(3))
    tensor([3., 3.])
    """
    return _core.matmul(*_both(x1, x2))


def matrix_transpose(x, /):
    """The last two axes exchanged.

    >>> schuss.array_api.matrix_transpose(schuss.ones(2, 3)).shape
    schuss.Size([3, 2])
    """
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose: needs at least two axes, got shape {tuple(x.shape)}")
    return x.mT


def tensordot(x1, x2, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2):
    """The sum of products over the last axes of x1 and the first of x2, or over listed pairs.

    >>> schuss.array_api.tensordot(schuss.ones(2, 3), schuss.ones(3, 4), axes=1).shape
    schuss.Size([2, 4])
    """
    pairs: Any = axes if isinstance(axes, int) else [list(a) for a in axes]
    return schuss.tensordot(*_both(x1, x2), pairs)


def vecdot(x1, x2, /, *, axis=-1):
    """The sum of products along an axis, the others broadcast.

    >>> schuss.array_api.vecdot(schuss.tensor([1, 2]), schuss.tensor([3, 4]))
    tensor(11)
    """
    x1, x2 = (x.movedim(_axis("vecdot", axis, x.ndim), -1) for x in _both(x1, x2))
    if x1.shape[-1] != x2.shape[-1]:
        raise ValueError(
            f"vecdot: sizes {x1.shape[-1]} and {x2.shape[-1]} differ along axis {axis}"
        )
    return statistics.sum(schuss.conj(x1) * x2, axis=-1, dtype=x1.dtype)


def cholesky(x, /, *, upper=False):
    """The triangular matrix L with x = L L^T, or U with x = U^T U.

    >>> schuss.array_api.linalg.cholesky(schuss.tensor([[4.0]]))
    tensor([[2.]])
    """
    return _linalg.cholesky(x, upper=upper)


def cross(x1, x2, /, *, axis=-1):
    """The cross product of vectors of three elements along an axis.

    >>> schuss.array_api.linalg.cross(schuss.tensor([1, 0, 0]), schuss.tensor([0, 1, 0]))
    tensor([0, 0, 1])
    """
    x1, x2 = (x.movedim(_axis("cross", axis, x.ndim), -1) for x in _both(x1, x2))
    return _linalg.cross(*schuss.broadcast_tensors(x1, x2), dim=-1).movedim(-1, axis)


def det(x, /):
    """The determinant.

    >>> schuss.array_api.linalg.det(2 * schuss.eye(2))
    tensor(4.)
    """
    return _linalg.det(x)


def diagonal(x, /, *, offset=0):
    """The elements of a diagonal of matrices.

    >>> schuss.array_api.linalg.diagonal(schuss.eye(2))
    tensor([1., 1.])
    """
    rows, columns = x.shape[-2:]
    if not -rows < offset < columns:
        return x[..., :1, :0].squeeze(-2) if rows else x[..., :0, 0]
    return x.diagonal(offset, -2, -1)


def eig(x, /):
    """The eigenvalues and eigenvectors of square matrices, complex numbers in no order.

    >>> schuss.array_api.linalg.eig(schuss.eye(1)).eigenvalues
    tensor([1.+0.j])
    """
    return Eig(*_linalg.eig(x))


def eigvals(x, /):
    """The eigenvalues of square matrices, complex numbers in no order.

    >>> schuss.array_api.linalg.eigvals(schuss.eye(1))
    tensor([1.+0.j])
    """
    return _linalg.eigvals(x)


def eigh(x, /):
    """The eigenvalues, in order, and eigenvectors of symmetric matrices.

    >>> schuss.array_api.linalg.eigh(schuss.eye(2)).eigenvalues
    tensor([1., 1.])
    """
    return Eigh(*_linalg.eigh(x))


def eigvalsh(x, /):
    """The eigenvalues of symmetric matrices, in order.

    >>> schuss.array_api.linalg.eigvalsh(schuss.eye(2))
    tensor([1., 1.])
    """
    return _linalg.eigvalsh(x)


def inv(x, /):
    """The inverse.

    >>> schuss.array_api.linalg.inv(2 * schuss.eye(1))
    tensor([[0.5000]])
    """
    return _linalg.inv(x)


def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """The norm of matrices: "fro", "nuc", infinity, 1, 2, or the negatives of these numbers.

    >>> schuss.array_api.linalg.matrix_norm(schuss.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    return _linalg.matrix_norm(x, "fro" if ord is None else ord, keepdim=keepdims)


def matrix_power(x, n, /):
    """A matrix multiplied by itself n times; of a negative n, its inverse.

    >>> schuss.array_api.linalg.matrix_power(2 * schuss.eye(1), 3)
    tensor([[8.]])
    """
    return _linalg.matrix_power(x, n)


def _cut(x, values, rtol):
    """What counts as 0 among singular values: those below rtol times the largest."""
    if rtol is None:
        rtol = max(x.shape[-2:]) * schuss.finfo(x.dtype).eps
    elif isinstance(rtol, Tensor):
        rtol = rtol.to(dtype=values.dtype).unsqueeze(-1)
    largest = values.amax(-1, True) if values.shape[-1] else values.sum(-1, True)
    return largest * rtol


def matrix_rank(x, /, *, rtol=None):
    """How many singular values are above rtol times the largest.

    >>> schuss.array_api.linalg.matrix_rank(schuss.ones(3, 3))
    tensor(1)
    """
    values = _linalg.svdvals(x)
    return (values > _cut(x, values, rtol)).sum(-1)


def outer(x1, x2, /):
    """Every product of an element of one vector and one of another.

    >>> schuss.array_api.linalg.outer(schuss.tensor([1, 2]), schuss.tensor([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    return schuss.outer(*_both(x1, x2))


def pinv(x, /, *, rtol=None):
    """The pseudo-inverse of Moore and Penrose; singular values below rtol times the largest are 0.

    >>> schuss.array_api.linalg.pinv(schuss.ones(1, 2))
    tensor([[0.5000],
            [0.5000]])
    """
    if rtol is None:
        rtol = max(x.shape[-2:]) * schuss.finfo(x.dtype).eps
    return _linalg.pinv(x, rtol=rtol)


def qr(x, /, *, mode="reduced"):
    """An orthogonal and an upper triangular matrix whose product is x.

    >>> schuss.array_api.linalg.qr(schuss.eye(2)).R.shape
    schuss.Size([2, 2])
    """
    return QR(*_linalg.qr(x, mode))


def slogdet(x, /):
    """The sign of the determinant, and the logarithm of its absolute value.

    >>> schuss.array_api.linalg.slogdet(schuss.eye(2)).logabsdet
    tensor(0.)
    """
    return Slogdet(*_linalg.slogdet(x))


def solve(x1, x2, /):
    """The solution of x1 y = x2, where x2 is a vector or a stack of matrices.

    >>> schuss.array_api.linalg.solve(2 * schuss.eye(2), schuss.ones(2))
    tensor([0.5000, 0.5000])
    """
    x1, x2 = _both(x1, x2)
    # Only what has one axis is a vector here; the core takes a stack of vectors too.
    if x2.ndim == 1:
        return _linalg.solve(x1, x2.unsqueeze(-1)).squeeze(-1)
    batch = schuss.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    return _linalg.solve(x1.expand(*batch, *x1.shape[-2:]), x2.expand(*batch, *x2.shape[-2:]))


def svd(x, /, *, full_matrices=True):
    """The singular value decomposition: x = U diag(S) Vh.

    >>> schuss.array_api.linalg.svd(schuss.eye(2)).S
    tensor([1., 1.])
    """
    return SVD(*_linalg.svd(x, full_matrices))


def svdvals(x, /):
    """The singular values, the largest first.

    >>> schuss.array_api.linalg.svdvals(schuss.eye(2))
    tensor([1., 1.])
    """
    return _linalg.svdvals(x)


def trace(x, /, *, offset=0, dtype=None):
    """The sum of a diagonal of matrices; integers are added up in int64.

    >>> schuss.array_api.linalg.trace(schuss.eye(3))
    tensor(3.)
    """
    return statistics.sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """The norm along axes: (sum |x| ** ord) ** (1 / ord), the extreme for infinities, the number of
    elements that are not 0 for 0.

    >>> schuss.array_api.linalg.vector_norm(schuss.tensor([3.0, 4.0]))
    tensor(5.)
    """
    axes = statistics._axes("vector_norm", axis, x.ndim)
    if not axes:
        size = x.abs()
        return (size != 0).to(dtype=size.dtype) if ord == 0 else size
    flat = statistics._joined(x, axes)
    return statistics._spread(_linalg.vector_norm(flat, ord, -1), axes, keepdims)


__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
