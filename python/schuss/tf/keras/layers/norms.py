"""Layers that bring numbers to mean 0 and variance 1.
Leans on the base beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss.tf.keras.layers.base import Layer

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


class BatchNormalization(Layer):
    """Each channel over the batch in training, by running means otherwise (Ioffe, Szegedy, 2015).

    >>> BatchNormalization()(schuss.ones(4, 2), training=True).sum().item()
    0.0
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.axis, self.momentum, self.epsilon = axis, momentum, epsilon
        self.center, self.scale = center, scale

    def build(self, input_shape: Any) -> None:
        n = input_shape[self.axis]
        self.gamma = self.add_weight("gamma", (n,), None, "ones", trainable=self.scale)
        self.beta = self.add_weight("beta", (n,), None, "zeros", trainable=self.center)
        self.moving_mean = self.add_weight("moving_mean", (n,), None, "zeros", trainable=False)
        self.moving_variance = self.add_weight(
            "moving_variance", (n,), None, "ones", trainable=False
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        at = self.axis % inputs.ndim
        shape = [n if i == at else 1 for i, n in enumerate(inputs.shape)]
        if training and self.trainable:
            axes = [i for i in range(inputs.ndim) if i != at]
            mean = inputs.mean(axes)
            variance = schuss.square(inputs - mean.reshape(shape)).mean(axes)
            keep = self.momentum
            with schuss.no_grad():
                for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                    moving.assign(moving * keep + now.detach() * (1 - keep))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        factor = self.gamma / schuss.sqrt(variance + self.epsilon)
        return (inputs - mean.reshape(shape)) * factor.reshape(shape) + self.beta.reshape(shape)


class LayerNormalization(Layer):
    """Each sample over its last axis (Ba, Kiros and Hinton, 2016)."""

    def __init__(self, axis: int = -1, epsilon: float = 1e-3, **options: Any) -> None:
        super().__init__(**options)
        self.axis, self.epsilon = axis, epsilon

    def build(self, input_shape: Any) -> None:
        n = input_shape[self.axis]
        self.gamma = self.add_weight("gamma", (n,), None, "ones")
        self.beta = self.add_weight("beta", (n,), None, "zeros")

    def call(self, inputs: Tensor) -> Tensor:
        mean = inputs.mean(self.axis, keepdim=True)
        variance = schuss.square(inputs - mean).mean(self.axis, keepdim=True)
        made = (inputs - mean) / schuss.sqrt(variance + self.epsilon)
        return made * self.gamma + self.beta


class Normalization(Layer):
    """(x - mean) / deviation with what `adapt(data)` has found, or what was given."""

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.axis = axis
        self._mean, self._variance = mean, variance

    def adapt(self, data: Any) -> None:
        """Find mean and variance along every axis but the layer's."""
        values = np.asarray(data, dtype=np.float64)
        if self.axis is None:
            self._mean, self._variance = values.mean(), values.var()
            return
        axes = tuple(i for i in range(values.ndim) if i != self.axis % values.ndim)
        self._mean, self._variance = values.mean(axes), values.var(axes)

    def call(self, inputs: Tensor) -> Tensor:
        if self._mean is None:
            raise ValueError(f"{self.name}: call adapt(data) first, or give mean and variance")
        mean = schuss.tensor(np.asarray(self._mean), dtype=schuss.float32)
        variance = schuss.tensor(np.asarray(self._variance), dtype=schuss.float32)
        return (inputs - mean) / schuss.sqrt(variance).clamp(min=1e-7)
