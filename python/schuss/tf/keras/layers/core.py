"""Layers of one function each: dense, dropout, shapes, activations, embeddings, merging.
Leans on the base beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.tf import nn
from schuss.tf.keras import activations
from schuss.tf.keras.layers.base import Layer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from schuss import Tensor


class InputLayer(Layer):
    """The shape of one sample, as the first of a Sequential."""

    def __init__(self, shape: Any = None, input_shape: Any = None, **options: Any) -> None:
        options.pop("batch_size", None)
        super().__init__(input_shape=input_shape if shape is None else shape, **options)

    def call(self, inputs: Any) -> Any:
        return inputs


class Dense(Layer):
    """activation(x @ kernel + bias), for the last axis.

    >>> Dense(3)(schuss.ones(2, 5)).shape
    schuss.Size([2, 3])
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not isinstance(units, int) or units < 1:
            raise ValueError(f"Dense: units is a whole number above 0, got {units!r}")
        self.units, self.activation, self.use_bias = units, activations.get(activation), use_bias
        self._makers = (kernel_initializer, bias_initializer)
        self._fines = (kernel_regularizer, bias_regularizer)

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight("kernel", shape, None, self._makers[0], self._fines[0])
        if self.use_bias:
            self.bias = self.add_weight(
                "bias", (self.units,), None, self._makers[1], self._fines[1]
            )

    def call(self, inputs: Tensor) -> Tensor:
        if inputs.shape[-1] != self.kernel.shape[0]:
            raise schuss.ShapeError(
                f"{self.name}: inputs {tuple(inputs.shape)} and a kernel of "
                f"{tuple(self.kernel.shape)}; the last axis must be {self.kernel.shape[0]}"
            )
        inputs = inputs if inputs.dtype.is_floating_point else inputs.to(schuss.float32)
        made = inputs @ self.kernel
        return self.activation(made + self.bias if self.use_bias else made)


class Activation(Layer):
    """A function by its name, or any function of a tensor."""

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(inputs)


class ReLU(Layer):
    """The larger of x and 0, at most `max_value`; below 0 `negative_slope` times x."""

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, **options: Any
    ) -> None:
        super().__init__(**options)
        self.max_value, self.negative_slope = max_value, negative_slope

    def call(self, inputs: Tensor) -> Tensor:
        made = (
            nn.leaky_relu(inputs, self.negative_slope) if self.negative_slope else nn.relu(inputs)
        )
        return made if self.max_value is None else made.clamp(max=self.max_value)


class LeakyReLU(Layer):
    """x above 0, negative_slope x below."""

    def __init__(
        self, negative_slope: float = 0.3, alpha: float | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.negative_slope = negative_slope if alpha is None else alpha

    def call(self, inputs: Tensor) -> Tensor:
        return nn.leaky_relu(inputs, self.negative_slope)


class Softmax(Layer):
    """Exponentials over their sum along an axis."""

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def call(self, inputs: Tensor) -> Tensor:
        return nn.softmax(inputs, self.axis)


class Flatten(Layer):
    """All axes but the batch as one.

    >>> Flatten()(schuss.ones(2, 3, 4)).shape
    schuss.Size([2, 12])
    """

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.reshape(inputs.shape[0], -1)


class Reshape(Layer):
    """Another shape of each sample; one size may be -1."""

    def __init__(self, target_shape: Any, **options: Any) -> None:
        super().__init__(**options)
        self.target_shape = tuple(target_shape)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.reshape(inputs.shape[0], *self.target_shape)


class Permute(Layer):
    """The axes of each sample in another order, counted from 1."""

    def __init__(self, dims: Any, **options: Any) -> None:
        super().__init__(**options)
        self.dims = tuple(dims)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.permute(0, *self.dims)


class RepeatVector(Layer):
    """Each sample n times, along a new axis."""

    def __init__(self, n: int, **options: Any) -> None:
        super().__init__(**options)
        self.n = n

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.unsqueeze(1).expand(-1, self.n, -1)


class Lambda(Layer):
    """A function as a layer."""

    def __init__(
        self, function: Callable[..., Any], output_shape: Any = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.function = function

    def call(self, inputs: Any) -> Any:
        return self.function(inputs)


class Dropout(Layer):
    """In training each number is 0 with probability `rate`, and the others larger for it."""

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: Any = None, **options: Any
    ) -> None:
        super().__init__(**options)
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout: rate is from 0 to below 1, got {rate}")
        self.rate, self.seed = rate, seed

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        return nn.dropout(inputs, self.rate, self.seed) if training and self.rate else inputs


class GaussianNoise(Layer):
    """In training normal numbers are added."""

    def __init__(self, stddev: float, seed: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.stddev = stddev

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        return inputs + self.stddev * schuss.randn_like(inputs) if training else inputs


class Rescaling(Layer):
    """x times a scale, plus an offset."""

    def __init__(self, scale: float, offset: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Tensor) -> Tensor:
        inputs = inputs if inputs.dtype.is_floating_point else inputs.to(schuss.float32)
        return inputs * self.scale + self.offset


class Embedding(Layer):
    """A row of a table for each whole number.

    >>> Embedding(10, 4)([[1, 2, 3]]).shape
    schuss.Size([1, 3, 4])
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        mask_zero: bool = False,
        input_length: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if mask_zero:
            raise NotImplementedError("Embedding: mask_zero is not here; pad at the front instead")
        self.input_dim, self.output_dim = input_dim, output_dim
        self._maker, self._fine = embeddings_initializer, embeddings_regularizer

    def build(self, input_shape: Any) -> None:
        shape = (self.input_dim, self.output_dim)
        self.embeddings = self.add_weight("embeddings", shape, None, self._maker, self._fine)

    def call(self, inputs: Tensor) -> Tensor:
        return schuss.nn.functional.embedding(inputs.to(schuss.int64), self.embeddings)


class Merge(Layer):
    """Several inputs as one; a subclass says how in `pair`."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ValueError(f"{self.name}: takes a list of two inputs or more")
        made = inputs[0]
        for other in inputs[1:]:
            made = self.pair(made, other)
        return made

    def pair(self, a: Tensor, b: Tensor) -> Tensor:
        """Two inputs as one."""
        raise NotImplementedError(f"{type(self).__name__}: define pair(a, b)")


class Add(Merge):
    """The sum of the inputs."""

    def pair(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class Subtract(Merge):
    """The first input less the second."""

    def pair(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b


class Multiply(Merge):
    """The product of the inputs."""

    def pair(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b


class Maximum(Merge):
    """The largest of the inputs."""

    def pair(self, a: Tensor, b: Tensor) -> Tensor:
        return schuss.maximum(a, b)


class Average(Merge):
    """The mean of the inputs."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        return super().call(inputs) / float(len(inputs))

    def pair(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class Concatenate(Layer):
    """The inputs one after the other along an axis."""

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def call(self, inputs: list[Tensor]) -> Tensor:
        return schuss.cat(list(inputs), self.axis)


class Dot(Layer):
    """The products of two inputs summed along an axis of each."""

    def __init__(self, axes: Any, normalize: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.axes = (axes, axes) if isinstance(axes, int) else tuple(axes)
        self.normalize = normalize

    def call(self, inputs: list[Tensor]) -> Tensor:
        a, b = (x.movedim(axis, -1) for x, axis in zip(inputs, self.axes, strict=True))
        if self.normalize:
            a, b = (x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12) for x in (a, b))
        a2, b2 = (x.reshape(x.shape[0], -1, x.shape[-1]) for x in (a, b))
        made = a2 @ b2.transpose(1, 2)
        rest = (*a.shape[1:-1], *b.shape[1:-1])
        return made.reshape(a.shape[0], *(rest or (1,)))


class ELU(Layer):
    """x above 0, alpha (e^x - 1) below."""

    def __init__(self, alpha: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.alpha = alpha

    def call(self, inputs: Tensor) -> Tensor:
        return schuss.where(inputs > 0, inputs, self.alpha * nn.elu(inputs))


class PReLU(Layer):
    """x above 0, a learnt share of x below."""

    def __init__(
        self, alpha_initializer: Any = "zeros", shared_axes: Any = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._maker, self.shared_axes = alpha_initializer, shared_axes or ()

    def build(self, input_shape: Any) -> None:
        shape = [1 if i in self.shared_axes else n for i, n in enumerate(input_shape)][1:]
        self.alpha = self.add_weight("alpha", shape, None, self._maker)

    def call(self, inputs: Tensor) -> Tensor:
        return schuss.where(inputs > 0, inputs, self.alpha * inputs)
