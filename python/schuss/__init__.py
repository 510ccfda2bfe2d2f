"""schuss: automatic differentiation and gradient descent, with PyTorch's habits and both tapes.
Leans on the compiled core; this file only gives names."""

from __future__ import annotations

import math as _math
import os as _os
from typing import TYPE_CHECKING

from schuss import _core
from schuss._core import *
from schuss._core import Tensor
from schuss._core import __version__ as __version__
from schuss.size import Size

_core._set_size(Size)

from schuss import (
    arrangement,
    bounds,
    complex_numbers,
    conversion,
    counting,
    creation,
    draws,
    exchange,
    formats,
    kinds,
    limits,
    mathematics,
    methods,
    modes,
    naming,
    order,
    parts,
    places,
    products,
    questions,
    series,
)
from schuss.creation import *
from schuss.modes import *

conversion.attach()
formats.attach()
methods.attach()
complex_numbers.attach()
kinds.attach()
exchange.attach()

from schuss.arrangement import *
from schuss.bounds import *
from schuss.complex_numbers import *
from schuss.counting import *
from schuss.draws import *
from schuss.exchange import *
from schuss.kinds import *
from schuss.limits import *
from schuss.mathematics import *
from schuss.order import *
from schuss.parts import *
from schuss.places import *
from schuss.products import *
from schuss.questions import *
from schuss.series import *

row_stack = arrangement.vstack
concat, moveaxis = arrangement.concatenate, arrangement.movedim
swapdims, clip = arrangement.swapaxes, bounds.clamp
subtract, multiply = mathematics.sub, _core.mul
divide = true_divide = mathematics.div
negative, absolute, fix = _core.neg, _core.abs, _core.trunc
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
spmm, ger = mathematics.mm, mathematics.outer
strided, clone = "schuss.strided", formats.clone
contiguous_format, preserve_format = formats.contiguous_format, formats.preserve_format
channels_last, channels_last_3d = formats.channels_last, formats.channels_last_3d
memory_format = formats.memory_format
inf, nan, pi, e, newaxis = _math.inf, _math.nan, _math.pi, _math.e, None
OutOfMemoryError = MemoryError
default_generator = _core._default_generator()
detach, gcd = Tensor.detach, counting.gcd

if TYPE_CHECKING:
    from schuss import accelerator as accelerator
    from schuss import amp as amp
    from schuss import array_api as array_api
    from schuss import autograd as autograd
    from schuss import backends as backends
    from schuss import cuda as cuda
    from schuss import descent as descent
    from schuss import distributions as distributions
    from schuss import fft as fft
    from schuss import func as func
    from schuss import futures as futures
    from schuss import gpu as gpu
    from schuss import hub as hub
    from schuss import linalg as linalg
    from schuss import multiprocessing as multiprocessing
    from schuss import nn as nn
    from schuss import optim as optim
    from schuss import random as random
    from schuss import serialization as serialization
    from schuss import signal as signal
    from schuss import special as special
    from schuss import testing as testing
    from schuss import tf as tf
    from schuss import training as training
    from schuss import utils as utils
    from schuss import version as version
    from schuss import vision as vision
    from schuss import viz as viz
    from schuss.amp import autocast
    from schuss.descent import GradientDescent
    from schuss.model import Model, Parameter
    from schuss.optim import Optimizer
    from schuss.recording import compile
    from schuss.serialization import load, save
    from schuss.tape import GradientTape
    from schuss.training import fit

if hasattr(_os, "register_at_fork"):
    # A forked child has the pool's memory but none of its threads.
    _os.register_at_fork(after_in_child=_core._after_fork)

_MODULES = (
    "accelerator",
    "amp",
    "array_api",
    "autograd",
    "backends",
    "compiler",
    "cuda",
    "descent",
    "distributions",
    "fft",
    "func",
    "futures",
    "gpu",
    "hub",
    "linalg",
    "multiprocessing",
    "nn",
    "optim",
    "random",
    "serialization",
    "signal",
    "special",
    "testing",
    "tf",
    "training",
    "utils",
    "version",
    "vision",
    "viz",
)
_HOMES = {
    "GradientDescent": "descent",
    "GradientTape": "tape",
    "Model": "model",
    "Optimizer": "optim",
    "Parameter": "model",
    "autocast": "amp",
    "compile": "recording",
    "fit": "training",
    "load": "serialization",
    "save": "serialization",
    "is_anomaly_check_nan_enabled": "autograd.anomaly",
    "is_anomaly_enabled": "autograd.anomaly",
    "vmap": "func",
}
# Functions that PyTorch has both here and in a module of their kind.
for _home, _names in {
    "linalg": (
        "cholesky_inverse cholesky_solve inv logdet lu_unpack matrix_exp matrix_power slogdet"
    ),
    "spectrum": "istft stft",
    "linalg.older": (
        "cholesky lu lu_solve orgqr pca_lowrank pinverse qr svd svd_lowrank triangular_solve"
    ),
    "amp": "GradScaler",
    "nn.functional": (
        "adaptive_avg_pool1d adaptive_max_pool1d alpha_dropout avg_pool1d batch_norm bilinear"
        " celu channel_shuffle conv1d conv2d conv3d conv_transpose1d conv_transpose2d"
        " conv_transpose3d cosine_similarity embedding_bag feature_alpha_dropout group_norm"
        " instance_norm layer_norm max_pool1d max_pool1d_with_indices max_pool2d max_pool3d"
        " pairwise_distance pixel_shuffle pixel_unshuffle prelu rms_norm rrelu"
    ),
    "settings": (
        "are_deterministic_algorithms_enabled"
        " compiled_with_cxx11_abi get_default_device get_deterministic_debug_mode"
        " get_num_interop_threads is_warn_always_enabled set_deterministic_debug_mode"
        " set_flush_denormal set_num_interop_threads set_warn_always"
        " get_float32_matmul_precision is_autocast_enabled"
        " is_deterministic_algorithms_warn_only_enabled layout set_default_device"
        " set_default_tensor_type set_float32_matmul_precision typename"
        " use_deterministic_algorithms"
    ),
    "signal.windows": ("bartlett_window blackman_window hamming_window hann_window kaiser_window"),
    "nn.images": "grid_sampler grid_sampler_2d grid_sampler_3d",
    "nn.scaling": "native_batch_norm native_group_norm native_layer_norm",
}.items():
    _HOMES.update(dict.fromkeys(_names.split(), _home))


def __getattr__(name: str):
    # Loaded on first use, so that importing schuss stays quick.
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"schuss.{name}")
    if name in _HOMES:
        found = getattr(import_module(f"schuss.{_HOMES[name]}"), name)
        globals()[name] = found
        naming.publish(globals(), "schuss", (name,))
        return globals()[name]
    if name.endswith("_") and hasattr(Tensor, name):
        # What writes in place is a method, and a function in older programs.
        return getattr(Tensor, name)

    raise missing("schuss", name)


def __dir__():
    dunder = [name for name in globals() if name.startswith("__") and name.endswith("__")]
    return sorted({*dunder, *__all__, *_MODULES})


from schuss.absent import missing

# What `from schuss import *` gives; the other modules are reached by their names.
__all__ = [
    "GradientDescent",
    "GradientTape",
    "Model",
    "Optimizer",
    "OutOfMemoryError",
    "Parameter",
    "Size",
    "absolute",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "autocast",
    "autograd",
    "ceil",
    "channels_last",
    "channels_last_3d",
    "clip",
    "compile",
    "concat",
    "contiguous_format",
    "default_generator",
    "detach",
    "divide",
    "e",
    "fit",
    "fix",
    "floor",
    "ger",
    "greater",
    "greater_equal",
    "inf",
    "less",
    "less_equal",
    "load",
    "memory_format",
    "moveaxis",
    "multiply",
    "nan",
    "negative",
    "newaxis",
    "nn",
    "not_equal",
    "optim",
    "pi",
    "preserve_format",
    "round",
    "row_stack",
    "save",
    "strided",
    "subtract",
    "swapdims",
    "true_divide",
    "trunc",
]
__all__ += _core.__all__
__all__ += counting.__all__
__all__ += creation.__all__
__all__ += draws.__all__
__all__ += exchange.__all__
__all__ += modes.__all__
__all__ += arrangement.__all__
__all__ += complex_numbers.__all__
__all__ += bounds.__all__
__all__ += mathematics.__all__
__all__ += kinds.__all__
__all__ += limits.__all__
__all__ += order.__all__
__all__ += parts.__all__
__all__ += places.__all__
__all__ += products.__all__
__all__ += questions.__all__
__all__ += series.__all__
__all__ += [name for name in _HOMES if name not in __all__]
naming.publish(globals(), "schuss", __all__)
