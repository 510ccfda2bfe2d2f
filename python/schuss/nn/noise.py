"""Functions that draw at random while a network learns: dropout of channels and of units, leaks.
Leans on the makers of random tensors."""

from __future__ import annotations

import schuss
from schuss import _core
from schuss.nn import fused

# What scaled exponential units tend to far below 0, minus scale * alpha of their definition.
_FLOOR = -1.7580993408473766


def _chance(op, p):
    if not 0 <= p <= 1:
        raise ValueError(f"{op}: the probability must be from 0 to 1, got {p}")


def _channels(input, p, axes):
    """One draw for each of the first axes: 1 with probability 1 - p, else 0."""
    shape = [n if i < axes else 1 for i, n in enumerate(input.shape)]
    real = input.dtype.to_real()
    return (schuss.rand(shape, dtype=real, device=input.device) >= p).to(real)


def _channel_dropout(d):
    name = f"dropout{d}d"

    def dropout(input, p=0.5, training=True, inplace=False):
        _chance(name, p)
        if not training or p == 0 or not input.numel():
            return input if inplace else input.clone()
        whole = input.ndim == d + 2 or (d == 2 and input.ndim == 3)
        kept = _channels(input, p, 2 if whole else 1)
        found = input * (kept / (1 - p) if p < 1 else kept * 0)
        return input.copy_(found) if inplace else found

    dropout.__name__ = dropout.__qualname__ = name
    dropout.__doc__ = (
        f"Whole channels (over their last {d} axes) set to 0 at random, others scaled."
    )
    return dropout


dropout1d, dropout2d, dropout3d = (_channel_dropout(d) for d in (1, 2, 3))


def _alpha(op, input, p, training, inplace, axes):
    _chance(op, p)
    if not training or p == 0 or not input.numel():
        return input if inplace else input.clone()
    if p == 1:
        found = input * 0
    else:
        kept = _channels(input, p, input.ndim if axes is None else axes)
        # A scale and a shift that keep mean and variance (Klambauer et al. 2017).
        a = ((1 - p) * (1 + p * _FLOOR**2)) ** -0.5
        b = -a * p * _FLOOR
        found = (input * kept + _FLOOR * (1 - kept)) * a + b
    return input.copy_(found) if inplace else found


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps the mean and variance of scaled exponential units."""
    return _alpha("alpha_dropout", input, p, training, inplace, None)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """`alpha_dropout` of whole channels."""
    if training and input.ndim < 2:
        raise RuntimeError(
            f"feature_alpha_dropout: needs at least two axes, got {tuple(input.shape)}"
        )
    return _alpha("feature_alpha_dropout", input, p, training, inplace, 2)


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """`x` above 0, else `x` by a slope drawn from [lower, upper], or their mean (Xu et al. 2015).

    >>> import schuss
    >>> schuss.nn.functional.rrelu(schuss.tensor([-24.0, 1.0]))
    tensor([-5.5000,  1.0000])
    """
    if not lower <= upper:
        raise RuntimeError(f"rrelu: lower {lower} must not be above upper {upper}")
    if training:
        slope = schuss.rand_like(input.detach()) * (upper - lower) + lower
        found = _core._where(input > 0, input, input * slope)
    else:
        return fused.leaky_relu(input, (lower + upper) / 2, inplace)
    return input.copy_(found) if inplace else found


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """A draw of classes that has derivatives (Jang et al. 2016; Maddison et al. 2016).

    With `hard` it is one-hot, and its derivative is that of the soft draw.

    >>> import schuss
    >>> schuss.nn.functional.gumbel_softmax(schuss.zeros(3), hard=True).sum()
    tensor(1.)
    """
    gumbels = -schuss.empty_like(logits.detach()).exponential_().log()
    soft = _core.softmax((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    place = soft.detach().argmax(dim, keepdim=True)
    sharp = _core._scatter(
        schuss.zeros_like(soft), place, schuss.ones_like(place).to(soft.dtype), dim
    )
    return sharp - soft.detach() + soft


__all__ = [
    "alpha_dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
    "gumbel_softmax",
    "rrelu",
]
