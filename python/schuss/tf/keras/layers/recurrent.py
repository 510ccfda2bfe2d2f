"""Layers that read a series step by step: SimpleRNN, LSTM, GRU, both ways at once.
Leans on the base beside it; weights are laid out as Keras lays them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import schuss
from schuss.tf.keras import activations
from schuss.tf.keras.layers.base import Layer

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


class Recurrent(Layer):
    """A series (N, steps, features) to its last state, or with `return_sequences` to all."""

    gates = 1

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.units, self.use_bias, self.dropout = units, use_bias, dropout
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards = go_backwards
        self._makers = (kernel_initializer, recurrent_initializer)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 3:
            raise schuss.ShapeError(
                f"{self.name}: takes (batch, steps, features), got {tuple(input_shape)}"
            )
        width = self.gates * self.units
        self.kernel = self.add_weight("kernel", (input_shape[-1], width), None, self._makers[0])
        self.recurrent_kernel = self.add_weight(
            "recurrent_kernel", (self.units, width), None, self._makers[1]
        )
        if self.use_bias:
            self.bias = self.add_weight("bias", self._bias_shape(width), None, "zeros")
            self._begin_bias()

    def _bias_shape(self, width: int) -> tuple[int, ...]:
        return (width,)

    def _begin_bias(self) -> None:
        """What a bias begins with besides zeros."""

    def _start(self, n: int) -> list[Tensor]:
        return [schuss.zeros(n, self.units)]

    def _step(self, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        raise NotImplementedError(f"{type(self).__name__}: no step")

    def _entered(self, inputs: Tensor) -> Tensor:
        """What the inputs give to the gates, for all steps at once."""
        made = inputs @ self.kernel
        return made + self.bias if self.use_bias else made

    def call(self, inputs: Tensor, initial_state: Any = None, training: bool = False) -> Any:
        if training and self.dropout:
            inputs = schuss.nn.functional.dropout(inputs, self.dropout)
        entered = self._entered(inputs)
        given = initial_state if initial_state is None else list(initial_state)
        states = self._start(inputs.shape[0]) if given is None else given
        steps = range(inputs.shape[1])
        outputs = []
        for t in reversed(steps) if self.go_backwards else steps:
            states = self._step(entered[:, t], states)
            outputs.append(states[0])
        made = schuss.stack(outputs, 1) if self.return_sequences else outputs[-1]
        return [made, *states] if self.return_state else made


class SimpleRNN(Recurrent):
    """h = tanh(x kernel + h recurrent + bias).

    >>> SimpleRNN(4)(schuss.ones(2, 5, 3)).shape
    schuss.Size([2, 4])
    """

    def _step(self, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        return [self.activation(x + states[0] @ self.recurrent_kernel)]


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997); gates in the order i, f, c, o.

    >>> LSTM(4, return_sequences=True)(schuss.ones(2, 5, 3)).shape
    schuss.Size([2, 5, 4])
    """

    gates = 4

    def __init__(self, units: int, *args: Any, unit_forget_bias: bool = True, **options: Any):
        super().__init__(units, *args, **options)
        self.unit_forget_bias = unit_forget_bias

    def _begin_bias(self) -> None:
        if self.unit_forget_bias:
            n = self.units
            zeros = schuss.zeros(n)
            self.bias.assign(schuss.cat([zeros, schuss.ones(n), zeros, zeros]))

    def _start(self, n: int) -> list[Tensor]:
        return [schuss.zeros(n, self.units), schuss.zeros(n, self.units)]

    def _step(self, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        h, c = states
        i, f, new, o = (x + h @ self.recurrent_kernel).chunk(4, 1)
        gate = self.recurrent_activation
        c = gate(f) * c + gate(i) * self.activation(new)
        return [gate(o) * self.activation(c), c]


class GRU(Recurrent):
    """Gated recurrent units (Cho et al., 2014), reset after the product; gates z, r, h.

    >>> GRU(4)(schuss.ones(2, 5, 3)).shape
    schuss.Size([2, 4])
    """

    gates = 3

    def _bias_shape(self, width: int) -> tuple[int, ...]:
        return (2, width)

    def _entered(self, inputs: Tensor) -> Tensor:
        made = inputs @ self.kernel
        return made + self.bias[0] if self.use_bias else made

    def _step(self, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        (h,) = states
        inner = h @ self.recurrent_kernel
        inner = inner + self.bias[1] if self.use_bias else inner
        (xz, xr, xh), (hz, hr, hh) = x.chunk(3, 1), inner.chunk(3, 1)
        gate = self.recurrent_activation
        z, r = gate(xz + hz), gate(xr + hr)
        return [z * h + (1.0 - z) * self.activation(xh + r * hh)]


class Bidirectional(Layer):
    """A recurrent layer and its twin that reads from the end, their results side by side."""

    def __init__(self, layer: Recurrent, merge_mode: str | None = "concat", **options: Any) -> None:
        super().__init__(**options)
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise ValueError(f"Bidirectional: merge_mode {merge_mode!r} is unknown")
        if layer.built:
            raise ValueError("Bidirectional: give a layer that has not been used yet")
        self.forward_layer, self.backward_layer = layer, copy.copy(layer)
        self.backward_layer._costs = []
        self.backward_layer.go_backwards = not layer.go_backwards
        self.merge_mode = merge_mode

    def call(self, inputs: Tensor) -> Any:
        a, b = self.forward_layer(inputs), self.backward_layer(inputs)
        if self.forward_layer.return_sequences:
            b = b.flip(1)
        if self.merge_mode is None:
            return [a, b]
        if self.merge_mode == "concat":
            return schuss.cat([a, b], -1)
        if self.merge_mode == "mul":
            return a * b
        return a + b if self.merge_mode == "sum" else (a + b) / 2.0


class TimeDistributed(Layer):
    """A layer applied to every step of a series."""

    def __init__(self, layer: Layer, **options: Any) -> None:
        super().__init__(**options)
        self.layer = layer

    def call(self, inputs: Tensor) -> Tensor:
        n, steps = inputs.shape[:2]
        made = self.layer(inputs.reshape(n * steps, *inputs.shape[2:]))
        return made.reshape(n, steps, *made.shape[1:])
