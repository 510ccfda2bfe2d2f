"""Clipping of gradients, parameters as a vector, normed and constrained weights, layers joined.
Leans on the modules beside it, of which the larger are loaded when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from schuss.nn.utils import rnn
from schuss.nn.utils.clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from schuss.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from schuss.nn.utils.fusion import (
    convert_conv2d_weight_memory_format,
    convert_conv3d_weight_memory_format,
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
    skip_init,
)
from schuss.nn.utils.norming import (
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)

if TYPE_CHECKING:
    from schuss.nn.utils import parametrizations as parametrizations
    from schuss.nn.utils import parametrize as parametrize
    from schuss.nn.utils import prune as prune
    from schuss.nn.utils import stateless as stateless

_LATER = ("parametrizations", "parametrize", "prune", "stateless")


def __getattr__(name: str):
    if name in _LATER:
        return import_module(f"schuss.nn.utils.{name}")
    from schuss.absent import missing

    raise missing("schuss.nn.utils", name)


__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "convert_conv2d_weight_memory_format",
    "convert_conv3d_weight_memory_format",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "prune",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "stateless",
    "vector_to_parameters",
    "weight_norm",
]
