"""tf.keras: layers, models and their training, on Variables and GradientTape.
Leans on the rooms beside it; data sets are loaded when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from schuss import _core
from schuss.tf import losses, optimizers
from schuss.tf.keras import (
    activations,
    backend,
    callbacks,
    initializers,
    layers,
    metrics,
    models,
    preprocessing,
    regularizers,
    saving,
    utils,
)
from schuss.tf.keras.layers import Input, Layer
from schuss.tf.keras.metrics import Metric
from schuss.tf.keras.models import Model, Sequential
from schuss.tf.losses import Loss
from schuss.tf.optimizers import Optimizer
from schuss.tf.variable import Variable

if TYPE_CHECKING:
    from schuss.tf.keras import datasets as datasets


def __getattr__(name: str):
    if name == "datasets":
        return import_module("schuss.tf.keras.datasets")
    raise AttributeError(f"module 'schuss.tf.keras' has no attribute {name!r}")


__version__ = _core.__version__

__all__ = [
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Sequential",
    "Variable",
    "activations",
    "backend",
    "callbacks",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "preprocessing",
    "regularizers",
    "saving",
    "utils",
]
