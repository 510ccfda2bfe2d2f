"""Layers by Keras's names, channels last.
Leans on the rooms beside it."""

from schuss.tf.keras.layers.attention import MultiHeadAttention
from schuss.tf.keras.layers.base import Input, Layer
from schuss.tf.keras.layers.core import (
    ELU,
    Activation,
    Add,
    Average,
    Concatenate,
    Dense,
    Dot,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    InputLayer,
    Lambda,
    LeakyReLU,
    Maximum,
    Multiply,
    Permute,
    PReLU,
    ReLU,
    RepeatVector,
    Rescaling,
    Reshape,
    Softmax,
    Subtract,
)
from schuss.tf.keras.layers.norms import BatchNormalization, LayerNormalization, Normalization
from schuss.tf.keras.layers.pictures import (
    AveragePooling1D,
    AveragePooling2D,
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
    UpSampling2D,
    ZeroPadding2D,
)
from schuss.tf.keras.layers.recurrent import GRU, LSTM, Bidirectional, SimpleRNN, TimeDistributed

MaxPool1D, MaxPool2D = MaxPooling1D, MaxPooling2D
AvgPool1D, AvgPool2D = AveragePooling1D, AveragePooling2D


def concatenate(inputs, axis: int = -1):
    """The inputs one after the other along an axis.

    >>> concatenate([schuss.ones(1, 2), schuss.ones(1, 3)]).shape
    schuss.Size([1, 5])
    """
    return Concatenate(axis)(inputs)


def add(inputs):
    """The sum of the inputs."""
    return Add()(inputs)


def multiply(inputs):
    """The product of the inputs."""
    return Multiply()(inputs)


def __getattr__(name: str):
    known = ", ".join(n for n in __all__ if n[0].isupper())
    raise AttributeError(
        f"module 'schuss.tf.keras.layers' has no layer {name!r}; there are {known}; another one is "
        "a subclass of Layer"
    )


__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "Activation",
    "Add",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "Dense",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "Input",
    "InputLayer",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPooling1D",
    "MaxPooling2D",
    "Maximum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SimpleRNN",
    "Softmax",
    "Subtract",
    "TimeDistributed",
    "UpSampling2D",
    "ZeroPadding2D",
    "add",
    "concatenate",
    "multiply",
]
