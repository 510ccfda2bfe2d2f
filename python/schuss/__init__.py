"""schuss: automatic differentiation and gradient descent, with PyTorch's habits and both tapes.
Leans on the compiled core; this file only gives names."""

from __future__ import annotations

import math as _math
import os as _os

from schuss import _core
from schuss._core import *  # noqa: F403
from schuss._core import (
    DeviceError,
    DTypeError,
    Edge,
    Generator,
    GradError,
    Scalar,
    ShapeError,
    Tensor,
    __version__,
    device,
    dtype,
)
from schuss.size import Size

_core._set_size(Size)

from schuss import arrangement, conversion, mathematics, methods  # noqa: E402
from schuss.creation import *  # noqa: E402, F403
from schuss.modes import (  # noqa: E402
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)

conversion.attach()
methods.attach()

from schuss.arrangement import (  # noqa: E402
    argsort,
    argwhere,
    broadcast_tensors,
    broadcast_to,
    chunk,
    concatenate,
    diag,
    diag_embed,
    flatten,
    gather,
    hstack,
    index_add,
    index_copy,
    index_fill,
    index_put,
    index_select,
    masked_select,
    movedim,
    narrow,
    nonzero,
    ravel,
    repeat_interleave,
    roll,
    scatter,
    scatter_add,
    select,
    sort,
    split,
    stack,
    swapaxes,
    t,
    take,
    take_along_dim,
    tile,
    topk,
    unbind,
    unflatten,
    vstack,
)
from schuss.mathematics import (  # noqa: E402
    add,
    addmm,
    addmv,
    allclose,
    aminmax,
    baddbmm,
    bmm,
    broadcast_shapes,
    clamp,
    clamp_max,
    clamp_min,
    count_nonzero,
    dist,
    div,
    dot,
    equal,
    finfo,
    float_power,
    iinfo,
    is_floating_point,
    is_tensor,
    isclose,
    max,
    min,
    mm,
    mv,
    nan_to_num,
    nanmean,
    nansum,
    norm,
    numel,
    outer,
    prod,
    result_type,
    rsub,
    std,
    std_mean,
    sub,
    trace,
    var,
    var_mean,
    where,
)
from schuss.mathematics import rounded as round  # noqa: E402

concat, moveaxis, swapdims, clip = concatenate, movedim, swapaxes, clamp
subtract, multiply, divide, true_divide = sub, _core.mul, div, div
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
floor, ceil, trunc = Tensor.floor, Tensor.ceil, Tensor.trunc
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


from schuss import autograd, cuda, nn, optim  # noqa: E402
from schuss.model import Model, Parameter  # noqa: E402

if hasattr(_os, "register_at_fork"):
    # A forked child has the pool's memory but none of its threads.
    _os.register_at_fork(after_in_child=_core._after_fork)

_LAZY = {
    "tf": "schuss.tf",
    "viz": "schuss.viz",
    "utils": "schuss.utils",
    "testing": "schuss.testing",
    "descent": "schuss.descent",
    "linalg": "schuss.linalg",
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
