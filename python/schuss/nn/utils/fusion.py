"""Layers in evaluation joined to one, and layers made without drawing their weights.
Leans on tensor operations alone."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import schuss
from schuss.model import Parameter

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of a convolution that does what it and the batch norm behind it do in evaluation.

    `transpose` for transposed convolutions. RuntimeError if either is training.

    >>> import schuss
    >>> conv, bn = schuss.nn.Conv2d(1, 2, 3).eval(), schuss.nn.BatchNorm2d(2).eval()
    >>> schuss.nn.utils.fuse_conv_bn_eval(conv, bn)
    Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
    """
    made = _fusible("fuse_conv_bn_eval", conv, bn)
    made.weight, made.bias = fuse_conv_bn_weights(
        made.weight,
        made.bias,
        bn.running_mean,
        bn.running_var,
        bn.eps,
        bn.weight,
        bn.bias,
        transpose,
    )
    return made


def _fusible(op: str, layer: Any, bn: Any) -> Any:
    if layer.training or bn.training:
        raise RuntimeError(f"{op}: both layers must be in evaluation; call eval() first")
    if bn.running_mean is None or bn.running_var is None:
        raise RuntimeError(f"{op}: the batch norm must have running values")
    return deepcopy(layer)


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """The weight and bias of a convolution followed by a batch norm of these values."""
    scale = (bn_rv + bn_eps).rsqrt()
    scale = scale if bn_w is None else scale * bn_w
    begun = -bn_rm if conv_b is None else conv_b - bn_rm
    bias = begun * scale if bn_b is None else begun * scale + bn_b
    shape = [1] * conv_w.ndim
    shape[1 if transpose else 0] = -1
    weight = conv_w * scale.reshape(shape)
    return (
        Parameter(weight.detach().to(conv_w.dtype), conv_w.requires_grad),
        Parameter(bias.detach(), conv_w.requires_grad if conv_b is None else conv_b.requires_grad),
    )


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of a linear layer that does what it and the batch norm behind it do in evaluation."""
    made = _fusible("fuse_linear_bn_eval", linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise RuntimeError(
            f"fuse_linear_bn_eval: {linear.out_features} features and a batch norm of"
            f" {bn.num_features}"
        )
    made.weight, made.bias = fuse_linear_bn_weights(
        made.weight, made.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return made


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """The weight and bias of a linear layer followed by a batch norm of these values."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """A layer whose weights are not meant to be used before they are set; draws no numbers.

    >>> import schuss
    >>> schuss.nn.utils.skip_init(schuss.nn.Linear, 3, 2).weight.shape
    schuss.Size([2, 3])
    """
    state = schuss.get_rng_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        schuss.set_rng_state(state)


def convert_conv2d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """The model itself: there is one order of axes in memory."""
    return module


def convert_conv3d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """The model itself: there is one order of axes in memory."""
    return module
