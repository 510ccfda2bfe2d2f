"""tf.nn: activations and the losses that take logits.
Leans on the core's mathematics; cross entropies are computed from logits, without overflow."""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING

import schuss
from schuss import ShapeError, Tensor
from schuss.tf.arrangement import check_bounds, place
from schuss.tf.conversion import operand
from schuss.tf.mathematics import floats, sigmoid, tanh
from schuss.tf.random import uniform
from schuss.tf.windows import conv2d, embedding_lookup, max_pool2d, moments

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "conv2d",
    "dropout",
    "elu",
    "embedding_lookup",
    "gelu",
    "l2_loss",
    "leaky_relu",
    "log_softmax",
    "max_pool2d",
    "moments",
    "relu",
    "sigmoid",
    "sigmoid_cross_entropy_with_logits",
    "softmax",
    "softmax_cross_entropy_with_logits",
    "softplus",
    "sparse_softmax_cross_entropy_with_logits",
    "tanh",
]


def relu(features: Any, name: str | None = None) -> Tensor:
    """x where it is above 0, else 0.

    >>> relu([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    return schuss.relu(operand(features))


def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Tensor:
    """x where it is above 0, else alpha times x.

    >>> [round(v, 4) for v in leaky_relu([-1.0, 2.0]).tolist()]
    [-0.2, 2.0]
    """
    x = floats("leaky_relu", features)
    return schuss.where(x > 0, x, x * alpha)


def elu(features: Any, name: str | None = None) -> Tensor:
    """x where it is above 0, else exp(x) - 1.

    >>> elu([2.0, 0.0]).tolist()
    [2.0, 0.0]
    """
    x = floats("elu", features)
    zero = operand(0, x.dtype)
    return schuss.where(x > 0, x, schuss.expm1(schuss.where(x > 0, zero, x)))


def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Tensor:
    """x times the normal distribution function of x (Hendrycks and Gimpel, 2016).

    >>> gelu([0.0]).tolist()
    [0.0]
    """
    x = floats("gelu", features)
    if approximate:
        return 0.5 * x * (1.0 + schuss.tanh((2.0 / pi) ** 0.5 * (x + 0.044715 * x**3)))
    return 0.5 * x * (1.0 + schuss.erf(x * 0.5**0.5))


def softplus(features: Any, name: str | None = None) -> Tensor:
    """log(1 + exp(x)), without overflow.

    >>> softplus([1000.0]).tolist()
    [1000.0]
    """
    return _softplus(floats("softplus", features))


def _softplus(x: Tensor) -> Tensor:
    # max(x, 0) + log(1 + exp(-|x|)), chosen by where: at 0 the slopes of max and |x| would be lost.
    above = x >= 0
    return schuss.where(above, x, operand(0, x.dtype)) + schuss.log1p(
        schuss.exp(schuss.where(above, -x, x))
    )


def softmax(logits: Any, axis: int = -1, name: str | None = None) -> Tensor:
    """Exponentials over their sum along an axis.

    >>> softmax([0.0, 0.0]).tolist()
    [0.5, 0.5]
    """
    x = floats("softmax", logits)
    return schuss.softmax(x, place("softmax", axis, x.ndim))


def log_softmax(logits: Any, axis: int = -1, name: str | None = None) -> Tensor:
    """The logarithm of softmax, without overflow.

    >>> log_softmax([1000.0, 0.0]).tolist()
    [0.0, -1000.0]
    """
    x = floats("log_softmax", logits)
    return schuss.log_softmax(x, place("log_softmax", axis, x.ndim))


def softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, axis: int = -1, name: str | None = None
) -> Tensor:
    """-sum(labels * log_softmax(logits)) along an axis; shapes that differ raise ValueError.

    >>> softmax_cross_entropy_with_logits([[0.0, 1.0]], [[1.0, 1.0]]).tolist()
    [0.6931471824645996]
    """
    x = floats("softmax_cross_entropy_with_logits", logits)
    y = operand(labels, x.dtype)
    if y.shape != x.shape:
        raise ShapeError(
            f"softmax_cross_entropy_with_logits: labels {tuple(y.shape)} and logits "
            f"{tuple(x.shape)} differ; use tf.one_hot on classes given as integers"
        )
    at = place("softmax_cross_entropy_with_logits", axis, x.ndim)
    return -(y * schuss.log_softmax(x, at)).sum(at)


def sparse_softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, name: str | None = None
) -> Tensor:
    """-log_softmax(logits) at the integer label, along the last axis.

    A label that is not a class raises IndexError, shapes that do not fit ValueError.

    >>> sparse_softmax_cross_entropy_with_logits([1], [[1.0, 1.0]]).tolist()
    [0.6931471824645996]
    """
    op = "sparse_softmax_cross_entropy_with_logits"
    x, y = floats(op, logits), operand(labels)
    if x.ndim == 0 or y.shape != x.shape[:-1]:
        raise ShapeError(
            f"{op}: labels {tuple(y.shape)} do not fit logits {tuple(x.shape)}; "
            "labels have the shape of the logits without the last axis"
        )
    check_bounds(op, y, x.shape[-1])
    places = y.to(schuss.int64).unsqueeze(-1)
    return -schuss.gather(schuss.log_softmax(x, x.ndim - 1), x.ndim - 1, places).squeeze(-1)


def sigmoid_cross_entropy_with_logits(
    labels: Any = None, logits: Any = None, name: str | None = None
) -> Tensor:
    """softplus(x) - x * labels for logits x: the cross entropy of sigmoid(x), without overflow.

    >>> sigmoid_cross_entropy_with_logits([1.0], [0.0]).tolist()
    [0.6931471824645996]
    """
    if labels is None or logits is None:
        raise ValueError("sigmoid_cross_entropy_with_logits: give both labels and logits")
    x = floats("sigmoid_cross_entropy_with_logits", logits)
    y = operand(labels, x.dtype)
    if y.shape != x.shape:
        raise ShapeError(
            f"sigmoid_cross_entropy_with_logits: labels {tuple(y.shape)} and logits "
            f"{tuple(x.shape)} must have the same shape"
        )
    return _softplus(x) - x * y


def l2_loss(t: Any, name: str | None = None) -> Tensor:
    """Half the sum of squares.

    >>> float(l2_loss([3.0, 4.0]))
    12.5
    """
    return 0.5 * schuss.square(floats("l2_loss", t)).sum()


def dropout(x: Any, rate: float, seed: int | None = None, name: str | None = None) -> Tensor:
    """Elements set to 0 with probability rate, the others made larger by 1 / (1 - rate).

    A rate outside [0, 1) raises ValueError.

    >>> dropout([1.0, 2.0], 0.0).tolist()
    [1.0, 2.0]
    """
    x = floats("dropout", x)
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: rate {rate} is outside [0, 1)")
    kept = uniform(x.shape, dtype=schuss.float32, seed=seed) >= rate
    return schuss.where(kept, x / (1.0 - rate), operand(0, x.dtype))
