"""Products of matrices and what is asked of them: tf.linalg and its names at the top.
Leans on the core's matmul, inverse and determinant."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss import ShapeError, Tensor
from schuss.tf.arrangement import place
from schuss.tf.creation import eye
from schuss.tf.mathematics import floats, pair
from schuss.tf.reductions import global_norm, norm

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "det",
    "eye",
    "global_norm",
    "inv",
    "matmul",
    "matrix_transpose",
    "matvec",
    "norm",
    "solve",
    "tensordot",
]


def matmul(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, name: str | None = None
) -> Tensor:
    """The product of matrices, or of batches of them; operands without two axes raise ValueError.

    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]]).tolist()
    [[11.0]]
    """
    a, b = pair(a, b)
    if a.ndim < 2 or b.ndim < 2:
        raise ShapeError(
            f"matmul: {tuple(a.shape)} @ {tuple(b.shape)}: ndims must be >= 2; "
            "use tf.linalg.matvec or tf.tensordot for vectors"
        )
    a = a.transpose(-2, -1) if transpose_a else a
    b = b.transpose(-2, -1) if transpose_b else b
    return schuss.matmul(a, b)


def matvec(a: Any, b: Any, transpose_a: bool = False, name: str | None = None) -> Tensor:
    """The product of a matrix and a vector, or of batches of them.

    >>> matvec([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]).tolist()
    [3.0, 7.0]
    """
    a, b = pair(a, b)
    return matmul(a, b.unsqueeze(-1), transpose_a=transpose_a).squeeze(-1)


def matrix_transpose(a: Any, name: str | None = None) -> Tensor:
    """The last two axes exchanged.

    >>> matrix_transpose([[1.0, 2.0]]).tolist()
    [[1.0], [2.0]]
    """
    return floats("matrix_transpose", a).transpose(-2, -1)


def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Tensor:
    """Products summed over pairs of axes: the last n of a and first n of b, or two lists of axes.

    >>> float(tensordot([1.0, 2.0], [3.0, 4.0], 1))
    11.0
    """
    a, b = pair(a, b)
    if np.ndim(axes) == 0:
        count = int(axes)
        if not 0 <= count <= min(a.ndim, b.ndim):
            raise ShapeError(
                f"tensordot: {tuple(a.shape)} and {tuple(b.shape)} have no {count} axes in common"
            )
        left, right = list(range(a.ndim - count, a.ndim)), list(range(count))
    else:
        left = [place("tensordot", x, a.ndim) for x in np.ravel(axes[0])]
        right = [place("tensordot", x, b.ndim) for x in np.ravel(axes[1])]
    if [a.shape[x] for x in left] != [b.shape[x] for x in right]:
        raise ShapeError(
            f"tensordot: {tuple(a.shape)} over axes {left} and {tuple(b.shape)} over {right}: "
            "sizes differ"
        )
    rows = [x for x in range(a.ndim) if x not in left]
    columns = [x for x in range(b.ndim) if x not in right]
    inner = prod(a.shape[x] for x in left)
    shape = [a.shape[x] for x in rows] + [b.shape[x] for x in columns]
    height, width = (prod(sizes) for sizes in (shape[: len(rows)], shape[len(rows) :]))
    # The sizes are spelt out: -1 could not be worked out of an empty tensor.
    first = (a.permute(*rows, *left) if a.ndim else a).reshape(height, inner)
    second = (b.permute(*right, *columns) if b.ndim else b).reshape(inner, width)
    return schuss.matmul(first, second).reshape(shape)


def inv(input: Any, name: str | None = None) -> Tensor:
    """The inverse of a square matrix; a singular one raises RuntimeError.

    >>> inv([[2.0]]).tolist()
    [[0.5]]
    """
    return schuss.inverse(floats("inv", input))


def det(input: Any, name: str | None = None) -> Tensor:
    """The determinant of a square matrix.

    >>> round(float(det([[1.0, 2.0], [3.0, 4.0]])), 4)
    -2.0
    """
    return schuss.det(floats("det", input))


def solve(matrix: Any, rhs: Any, adjoint: bool = False, name: str | None = None) -> Tensor:
    """x with matrix x = rhs, column by column.

    >>> solve([[2.0, 0.0], [0.0, 4.0]], [[2.0], [2.0]]).tolist()
    [[1.0], [0.5]]
    """
    a, b = floats("solve", matrix), floats("solve", rhs)
    return schuss.linalg.solve(a.mT if adjoint else a, b)
