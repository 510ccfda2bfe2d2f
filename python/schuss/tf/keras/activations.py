"""Functions between layers, by Keras's names.
Leans on tf.nn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.tf import nn
from schuss.tf.nn import elu, gelu, leaky_relu, relu, softmax, softplus

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


def linear(x: Any) -> Any:
    """x itself.

    >>> linear(3)
    3
    """
    return x


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return schuss.sigmoid(x)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return schuss.tanh(x)


def silu(x: Tensor) -> Tensor:
    """x times its sigmoid."""
    return x * schuss.sigmoid(x)


def selu(x: Tensor) -> Tensor:
    """An ELU whose constants keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return 1.0507009873554805 * schuss.where(x > 0, x, 1.6732632423543772 * elu(x))


def exponential(x: Tensor) -> Tensor:
    """e^x."""
    return schuss.exp(x)


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return x / (1.0 + schuss.abs(x))


def hard_sigmoid(x: Tensor) -> Tensor:
    """A sigmoid of three straight parts."""
    return schuss.clamp(x / 6.0 + 0.5, 0.0, 1.0)


def log_softmax(x: Tensor) -> Tensor:
    """The logarithm of softmax along the last axis."""
    return nn.log_softmax(x)


swish = silu
_KNOWN = {
    f.__name__: f
    for f in (
        elu,
        exponential,
        gelu,
        hard_sigmoid,
        leaky_relu,
        linear,
        log_softmax,
        relu,
        selu,
        sigmoid,
        silu,
        softmax,
        softplus,
        softsign,
        tanh,
    )
}
_KNOWN["swish"] = silu


def get(identifier: Any) -> Any:
    """The function of a name; None is `linear`, a function itself.

    >>> get("relu") is relu, get(None) is linear
    (True, True)
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        if identifier not in _KNOWN:
            raise ValueError(
                f"activations.get: no activation {identifier!r}; there are {', '.join(_KNOWN)}"
            )
        return _KNOWN[identifier]
    return identifier
