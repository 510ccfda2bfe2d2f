"""Layers under the paths by which programs import them from PyTorch: `nn.modules.conv` and its kin.
Leans on the rooms where they live; the names here are theirs."""

from __future__ import annotations

import sys
from types import ModuleType

from schuss import nn
from schuss.model import Model
from schuss.nn import (
    activations,
    batches,
    borders,
    cells,
    containers,
    convolutions,
    dropouts,
    layers,
    lazy,
    likelihoods,
    losses,
    margins,
    multihead,
    norms,
    parameter,
    pools,
    recurrence,
    resizing,
    settings,
    tables,
    transformers,
    unshaped,
)

_ROOMS = {
    "activation": (activations, multihead),
    "adaptive": (likelihoods,),
    "batchnorm": (batches, lazy),
    "channelshuffle": (resizing,),
    "container": (containers, parameter),
    "conv": (convolutions, lazy),
    "distance": (layers,),
    "dropout": (dropouts,),
    "flatten": (layers,),
    "fold": (convolutions,),
    "instancenorm": (batches, lazy),
    "lazy": (unshaped,),
    "linear": (layers, lazy, multihead),
    "loss": (losses, margins, likelihoods),
    "module": (),
    "normalization": (norms,),
    "padding": (borders,),
    "pixelshuffle": (resizing,),
    "pooling": (pools,),
    "rnn": (recurrence, cells),
    "sparse": (tables,),
    "transformer": (transformers,),
    "upsampling": (resizing,),
    "utils": (settings,),
}

for _name, _rooms in _ROOMS.items():
    _path = f"{__name__}.{_name}"
    _made = ModuleType(_path, f"Names of PyTorch's nn.modules.{_name}.")
    for _room in _rooms:
        _names = {key: value for key, value in vars(_room).items() if not key.startswith("__")}
        _made.__dict__.update(_names)
    _made.__dict__["Module"] = Model
    sys.modules[_path] = globals()[_name] = _made

__all__ = [name for name in nn.__all__ if isinstance(getattr(nn, name), type)]
globals().update((name, getattr(nn, name)) for name in __all__)
