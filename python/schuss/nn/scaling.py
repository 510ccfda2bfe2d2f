"""Normalisation: over batches, groups of channels, single images, and neighbouring channels.
Leans on the core's folds."""

from __future__ import annotations

import math

import schuss
from schuss import Tensor, _core, no_grad
from schuss.naming import given_each
from schuss.nn import fused


def _channels(x, *values):
    """Vectors of one number a channel, shaped to fit (batch, channels, sizes...)."""
    shape = [1, -1] + [1] * (x.ndim - 2)
    return [v if v is None else v.reshape(shape) for v in values]


def _scaled(x, weight, bias):
    if weight is not None and bias is not None:
        return _core.addcmul(bias, x, weight)
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every channel (axis 1) over all other axes (Ioffe and Szegedy, 2015).

    In training it uses the batch and updates the running values; otherwise it uses those.
    ValueError for a training batch of one value a channel.
    """
    if input.ndim < 2:
        if input.numel():
            raise RuntimeError(f"batch_norm: needs at least two axes, got {tuple(input.shape)}")
        return input.clone()
    if training:
        count = input.numel() // input.shape[1] if input.shape[1] else 0
        if count < 2 and input.shape[1] and input.numel():
            raise ValueError(
                f"batch_norm: needs more than 1 value a channel to train, got {tuple(input.shape)}"
            )
        found, mean, _, var = _core._normalised_channels(input, weight, bias, eps)
        if running_mean is not None or running_var is not None:
            mean, var = mean.detach().reshape(-1), var.detach().reshape(-1)
            _followed(running_mean, running_var, mean, var, momentum, count)
        return found
    if running_mean is None or running_var is None:
        raise ValueError("batch_norm: needs running_mean and running_var, or training=True")
    # What belongs to the channels is put together first, so that images are gone through once.
    scale = (running_var + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -running_mean * scale if bias is None else bias - running_mean * scale
    shape = [1, -1] + [1] * (input.ndim - 2)
    return _core.addcmul(shift.reshape(shape), input, scale.reshape(shape))


def _followed(running_mean, running_var, mean, var, momentum, count):
    """Moves running values towards a batch's, whose variance is that of `count` elements."""
    with no_grad():
        if running_mean is not None:
            running_mean.mul_(1 - momentum).add_(mean.detach() * momentum)
        if running_var is not None:
            share = momentum * count / max(count - 1, 1)
            running_var.mul_(1 - momentum).add_(var.detach() * share)


def native_batch_norm(
    input, weight, bias, running_mean, running_var, training, momentum, eps, *, out=None
):
    """`batch_norm`, and the batch's mean and 1 / deviation where it was used."""
    found = batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training:
        none = _core.empty(0, dtype=input.dtype, device=input.device)
        return given_each("native_batch_norm", (found, none, none.clone()), out)
    axes = [axis for axis in range(input.ndim) if axis != 1]
    mean = input.mean(axes)
    scale = (_core._var(input, axes, 0, False) + eps).rsqrt()
    return given_each("native_batch_norm", (found, mean, scale), out)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Each sample's groups of channels brought to mean 0 and variance 1 (Wu and He 2018).

    >>> import schuss
    >>> schuss.nn.functional.group_norm(schuss.tensor([[1.0, 3.0]]), 1)
    tensor([[-1.0000,  1.0000]])
    """
    return _grouped("group_norm", input, num_groups, weight, bias, eps)[0]


def _grouped(op, input, groups, weight, bias, eps):
    if input.ndim < 2:
        raise RuntimeError(f"{op}: needs at least two axes, got {tuple(input.shape)}")
    if groups < 1 or input.shape[1] % groups:
        raise RuntimeError(f"{op}: {input.shape[1]} channels do not fall into {groups} groups")
    for name, values in (("weight", weight), ("bias", bias)):
        if values is not None and tuple(values.shape) != (input.shape[1],):
            raise _core.ShapeError(
                f"{op}: {name} {tuple(values.shape)} for {input.shape[1]} channels of"
                f" {tuple(input.shape)}"
            )
    size = math.prod(input.shape[1:]) // groups
    if not size:
        raise RuntimeError(f"{op}: the groups of {tuple(input.shape)} have no elements")
    found, mean, scale = _core._normalised_groups(input, weight, bias, groups, eps)
    return found, mean.squeeze(2), scale.squeeze(2)


def native_group_norm(input, weight, bias, N, C, HxW, group, eps):
    """`group_norm`, and the groups' means and 1 / deviations."""
    return _grouped("native_group_norm", input, group, weight, bias, eps)


def native_layer_norm(input, normalized_shape, weight, bias, eps):
    """`layer_norm`, and the samples' means and 1 / deviations."""
    found = fused.layer_norm(input, normalized_shape, weight, bias, eps)
    axes = list(range(input.ndim - len(normalized_shape), input.ndim))
    scale = (_core._var(input, axes, 0, True) + eps).rsqrt()
    return found, input.mean(axes, True), scale


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    """Every channel of every sample brought to mean 0 and variance 1 (Ulyanov et al. 2016).

    >>> import schuss
    >>> schuss.nn.functional.instance_norm(schuss.tensor([[[1.0, 3.0]]]))
    tensor([[[-1.0000,  1.0000]]])
    """
    weight, bias = _channels(input, weight, bias)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError("instance_norm: needs running_mean and running_var to use them")
        mean, var = (x.reshape(1, -1, *[1] * (input.ndim - 2)) for x in (running_mean, running_var))
        return _scaled((input - mean) * (var + eps).rsqrt(), weight, bias)
    count = math.prod(input.shape[2:])
    if count == 1:
        raise ValueError(
            f"instance_norm: needs more than 1 value a channel, got {tuple(input.shape)}"
        )
    axes = list(range(2, input.ndim))
    found, mean, _ = _core._normalised_rows(input, None, None, len(axes), eps)
    if running_mean is not None or running_var is not None:
        var, flat = _core._var(input.detach(), axes, 0, True), [0, *axes]
        mean = mean.detach().mean(flat)
        _followed(running_mean, running_var, mean, var.mean(flat), momentum, count)
    return _scaled(found, weight, bias)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """Each sample's last axes brought to a mean square of 1 (Zhang and Sennrich 2019).

    >>> import schuss
    >>> schuss.nn.functional.rms_norm(schuss.tensor([3.0, 3.0]), (2,))
    tensor([1., 1.])
    """
    shape = tuple(normalized_shape)
    if not shape or tuple(input.shape[-len(shape) :]) != shape:
        raise RuntimeError(f"rms_norm: the last axes of {tuple(input.shape)} must be {shape}")
    eps = schuss.finfo(input.dtype).eps if eps is None else eps
    return _core._normalised_rows(input, weight, None, len(shape), eps, False)[0]


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """Each element divided by (k + alpha * the mean square of `size` channels) ** beta.

    >>> import schuss
    >>> schuss.nn.functional.local_response_norm(schuss.ones(1, 1, 1), 1, alpha=3.0, beta=0.5)
    tensor([[[0.5000]]])
    """
    if input.ndim < 3:
        raise ValueError(f"local_response_norm: needs three axes, got {tuple(input.shape)}")
    if not input.numel():
        return input.clone()
    squares = input * input
    before, channels = size // 2, input.shape[1]
    blank = [input.shape[0], 0, *input.shape[2:]]
    edges = []
    for width in (before, size - 1 - before):
        blank[1] = width
        edges.append(_core.zeros(*blank, dtype=input.dtype, device=input.device))
    wide = _core.cat([edges[0], squares, edges[1]], 1)
    total = wide.narrow(1, 0, channels)
    for i in range(1, size):
        total = total + wide.narrow(1, i, channels)
    return input / (total / size * alpha + k).pow(beta)


__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "local_response_norm",
    "native_batch_norm",
    "native_group_norm",
    "native_layer_norm",
    "rms_norm",
]
