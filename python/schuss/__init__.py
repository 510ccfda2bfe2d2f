"""schuss: automatic differentiation and gradient descent, with PyTorch's habits and both tapes.
Leans on the compiled core; this file only gives names."""

from __future__ import annotations

import math as _math
import os as _os

from schuss import _core
from schuss._core import *
from schuss._core import Tensor
from schuss.size import Size

_core._set_size(Size)

from schuss import arrangement, conversion, mathematics, methods
from schuss.creation import *
from schuss.modes import *

conversion.attach()
methods.attach()

from schuss.arrangement import *
from schuss.mathematics import *
from schuss.order import *
from schuss.parts import *
from schuss.products import *
from schuss.series import *

concat, moveaxis = arrangement.concatenate, arrangement.movedim
swapdims, clip = arrangement.swapaxes, mathematics.clamp
subtract, multiply = mathematics.sub, _core.mul
divide = true_divide = mathematics.div
negative, absolute, fix, sgn = _core.neg, _core.abs, _core.trunc, _core.sign
greater, greater_equal, less, less_equal, not_equal = (
    _core.gt,
    _core.ge,
    _core.lt,
    _core.le,
    _core.ne,
)
arcsin, arccos, arctan, arctan2 = _core.asin, _core.acos, _core.atan, _core.atan2
arcsinh, arccosh, arctanh = _core.asinh, _core.acosh, _core.atanh
round = mathematics.rounded
floor, ceil, trunc = Tensor.floor, Tensor.ceil, Tensor.trunc
spmm = mathematics.mm
strided, contiguous_format, preserve_format = "schuss.strided", "contiguous", "preserve"
inf, nan, pi, e = _math.inf, _math.nan, _math.pi, _math.e


def FloatTensor(*data):
    """A float32 tensor from data or sizes: PyTorch's oldest spelling."""
    return Tensor(*data, dtype=_core.float32)


def DoubleTensor(*data):
    """A float64 tensor from data or sizes: PyTorch's oldest spelling."""
    return Tensor(*data, dtype=_core.float64)


def LongTensor(*data):
    """An int64 tensor from data or sizes: PyTorch's oldest spelling."""
    return Tensor(*data, dtype=_core.int64)


def IntTensor(*data):
    """An int32 tensor from data or sizes: PyTorch's oldest spelling."""
    return Tensor(*data, dtype=_core.int32)


def ByteTensor(*data):
    """A uint8 tensor from data or sizes: PyTorch's oldest spelling."""
    return Tensor(*data, dtype=_core.uint8)


def BoolTensor(*data):
    """A bool tensor from data or sizes: PyTorch's oldest spelling."""
    return Tensor(*data, dtype=_core.bool)


from schuss import autograd as autograd
from schuss import cuda as cuda
from schuss import linalg as linalg
from schuss import nn as nn
from schuss import optim as optim
from schuss.model import Model as Model
from schuss.model import Parameter as Parameter

cholesky, cholesky_inverse = linalg.cholesky, linalg.cholesky_inverse
cholesky_solve, lu, lu_solve = linalg.cholesky_solve, linalg.factors.lu_packed, linalg.factors.lu_of
lu_unpack, matrix_exp, pinverse = linalg.lu_unpack, linalg.matrix_exp, linalg.pinv
matrix_power, qr, svd = linalg.matrix_power, linalg.qr, linalg.spectra.svd_turned
logdet, slogdet, inv = linalg.logdet, linalg.slogdet, linalg.inv

_F = nn.functional
adaptive_avg_pool1d, adaptive_max_pool1d = _F.adaptive_avg_pool1d, _F.adaptive_max_pool1d
alpha_dropout, feature_alpha_dropout = _F.alpha_dropout, _F.feature_alpha_dropout
avg_pool1d, max_pool1d = _F.avg_pool1d, _F.max_pool1d
max_pool2d, max_pool3d = _F.max_pool2d, _F.max_pool3d
max_pool1d_with_indices = _F.max_pool1d_with_indices
batch_norm, group_norm, instance_norm = _F.batch_norm, _F.group_norm, _F.instance_norm
layer_norm, rms_norm, embedding_bag = _F.layer_norm, _F.rms_norm, _F.embedding_bag
channel_shuffle, pixel_shuffle = _F.channel_shuffle, _F.pixel_shuffle
pixel_unshuffle = _F.pixel_unshuffle
conv1d, conv2d, conv3d = _F.conv1d, _F.conv2d, _F.conv3d
conv_transpose1d, conv_transpose2d = _F.conv_transpose1d, _F.conv_transpose2d
conv_transpose3d = _F.conv_transpose3d
grid_sampler = nn.images.grid_sampler
grid_sampler_2d = grid_sampler_3d = grid_sampler
native_batch_norm, native_group_norm = nn.scaling.native_batch_norm, nn.scaling.native_group_norm
native_layer_norm = nn.scaling.native_layer_norm

if hasattr(_os, "register_at_fork"):
    # A forked child has the pool's memory but none of its threads.
    _os.register_at_fork(after_in_child=_core._after_fork)

_LAZY = {
    "tf": "schuss.tf",
    "viz": "schuss.viz",
    "utils": "schuss.utils",
    "testing": "schuss.testing",
    "descent": "schuss.descent",
}
_LAZY_NAMES = {
    "GradientTape": "schuss.tape",
    "GradientDescent": "schuss.descent",
    "Optimizer": "schuss.optim",
}


def __getattr__(name: str):
    # Loaded on first use, so that importing schuss stays quick.
    from importlib import import_module

    if name in _LAZY:
        return import_module(_LAZY[name])
    if name in _LAZY_NAMES:
        return getattr(import_module(_LAZY_NAMES[name]), name)
    raise AttributeError(f"module 'schuss' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LAZY, *_LAZY_NAMES})
