"""tf.keras: layers, models and their training, on Variables and GradientTape.
Leans on the rooms beside it; data sets are loaded when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from schuss.tf import losses, optimizers
from schuss.tf.keras import (
    activations,
    callbacks,
    initializers,
    layers,
    metrics,
    models,
    regularizers,
    utils,
)
from schuss.tf.keras.layers import Input
from schuss.tf.keras.models import Model, Sequential

if TYPE_CHECKING:
    from schuss.tf.keras import datasets as datasets


def __getattr__(name: str):
    if name == "datasets":
        return import_module("schuss.tf.keras.datasets")
    raise AttributeError(f"module 'schuss.tf.keras' has no attribute {name!r}")


__all__ = [
    "Input",
    "Model",
    "Sequential",
    "activations",
    "callbacks",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "utils",
]
