"""One step of a recurrent network: the formulas, and the cells that hold their weights.
Leans on the core's fused linear map, and on nn.init."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import _core
from schuss.model import Model, Parameter
from schuss.nn import init
from schuss.nn.settings import size

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from schuss import Tensor

    State = tuple[Tensor, ...]
    Step = Callable[[Tensor, State], State]

# A step takes x, the input already multiplied by its weights, and the state, whose first tensor is
# the output. What does not change from step to step is settled before the first.

_linear, _sigmoid, _tanh, _relu = _core.linear, _core.sigmoid, _core.tanh, _core.relu


def plain(activation: Callable[[Tensor], Tensor], weight: Tensor) -> Step:
    """f(x + W h) (Elman, 1990)."""

    def step(x: Tensor, state: State) -> State:
        return (activation(_linear(state[0], weight) + x),)

    return step


def long_short(weight: Tensor, projection: Tensor | None) -> Step:
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; Sak et al., 2014)."""
    n = weight.shape[0] // 4
    addcmul = schuss.addcmul

    def step(x: Tensor, state: State) -> State:
        h, c = state
        gates = _linear(h, weight) + x
        opened = _sigmoid(gates.narrow(-1, 0, 2 * n))
        let_in, kept = opened.narrow(-1, 0, n), opened.narrow(-1, n, n)
        c = addcmul(kept * c, let_in, _tanh(gates.narrow(-1, 2 * n, n)))
        h = _sigmoid(gates.narrow(-1, 3 * n, n)) * _tanh(c)
        return (h if projection is None else _linear(h, projection)), c

    return step


def gated(weight: Tensor, bias: Tensor | None) -> Step:
    """Gated recurrent unit (Cho et al., 2014), the reset gate after the product."""
    n = weight.shape[0] // 3
    lerp = schuss.lerp

    def step(x: Tensor, state: State) -> State:
        (h,) = state
        own = _linear(h, weight, bias)
        opened = _sigmoid(x.narrow(-1, 0, 2 * n) + own.narrow(-1, 0, 2 * n))
        reset, kept = opened.narrow(-1, 0, n), opened.narrow(-1, n, n)
        new = _tanh(x.narrow(-1, 2 * n, n) + reset * own.narrow(-1, 2 * n, n))
        return (lerp(new, h, kept),)

    return step


def sequence(
    mode: str,
    x: Tensor,
    sizes: list[int],
    weights: tuple[Tensor | None, ...],
    state: State,
    reverse: bool = False,
) -> tuple[Tensor, State] | None:
    """All steps at once, as one node: the states of all rows, and the last state.

    x holds the rows of all steps, `sizes` how many each step has. None where the steps must be
    taken one by one: with a projection.
    """
    weight_ih, weight_hh, bias_ih, bias_hh, projection = weights
    if projection is not None:
        return None
    if mode == "GRU":
        # What the state gives to the new gate is multiplied by the reset gate, its bias too.
        x, bias = _linear(x, weight_ih, bias_ih), bias_hh
    else:
        x = _linear(x, weight_ih)
        bias = bias_ih if bias_ih is None or bias_hh is None else bias_ih + bias_hh
    cell, memory = mode.removeprefix("RNN_").lower(), state[1] if mode == "LSTM" else None
    found = _core._recurrence(x, weight_hh, bias, state[0], memory, sizes, cell, reverse)
    return found[0], found[1:3] if mode == "LSTM" else found[1:2]


def stepper(
    mode: str,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    projection: Tensor | None = None,
) -> tuple[Callable[[Tensor], Tensor], Step]:
    """The map that is applied to all inputs at once, and the step."""
    if mode == "GRU":
        return (lambda x: _linear(x, weight_ih, bias_ih)), gated(weight_hh, bias_hh)
    bias = bias_ih if bias_ih is None or bias_hh is None else bias_ih + bias_hh
    step = (
        long_short(weight_hh, projection)
        if mode == "LSTM"
        else plain(_tanh if mode == "RNN_TANH" else _relu, weight_hh)
    )
    return (lambda x: _linear(x, weight_ih, bias)), step


class RNNCellBase(Model):
    """The weights of a cell, `num_chunks` gates of `hidden_size` each, and its call."""

    mode = ""
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        layer = type(self).__name__
        self.input_size = size(layer, "input_size", input_size)
        self.hidden_size = size(layer, "hidden_size", hidden_size)
        self.bias = bias
        options = {"device": device, "dtype": dtype}
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(schuss.empty((rows, input_size), **options))
        self.weight_hh = Parameter(schuss.empty((rows, hidden_size), **options))
        for name in ("bias_ih", "bias_hh"):
            made = Parameter(schuss.empty(rows, **options)) if bias else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew, uniform within 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _stepped(self, input: Tensor, states: tuple[Tensor | None, ...]) -> State:
        layer = type(self).__name__
        if input.ndim not in (1, 2):
            raise schuss.ShapeError(
                f"{layer}: the input must have 1 or 2 axes, got {tuple(input.shape)}"
            )
        if input.shape[-1] != self.input_size:
            raise schuss.ShapeError(
                f"{layer}: {tuple(input.shape)} has {input.shape[-1]} features, the layer"
                f" {self.input_size}"
            )
        wanted = (*input.shape[:-1], self.hidden_size)
        settled = []
        for state in states:
            if state is None:
                state = schuss.zeros(wanted, dtype=input.dtype, device=input.device)
            elif tuple(state.shape) != wanted:
                raise schuss.ShapeError(
                    f"{layer}: input {tuple(input.shape)} needs a hidden state {wanted}, got"
                    f" {tuple(state.shape)}"
                )
            settled.append(state)
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, None)
        alone = input.ndim == 1
        rows, first = (
            (input.unsqueeze(0), tuple(state.unsqueeze(0) for state in settled))
            if alone
            else (input, tuple(settled))
        )
        found = sequence(self.mode, rows, [rows.shape[0]], weights, first)
        if found is None:
            project, step = stepper(self.mode, *weights)
            return step(project(input), tuple(settled))
        return tuple(state.squeeze(0) for state in found[1]) if alone else found[1]

    def extra_repr(self) -> str:
        shown = f"{self.input_size}, {self.hidden_size}"
        return shown if self.bias is True else f"{shown}, bias={self.bias}"


class RNNCell(RNNCellBase):
    """One step of an Elman network: f(W_ih x + b_ih + W_hh h + b_hh), f tanh or ReLU.

    Input (N, input_size) or (input_size), hidden state (N, hidden_size) or (hidden_size).

    >>> import schuss
    >>> schuss.nn.RNNCell(3, 4)(schuss.ones(2, 3)).shape
    schuss.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    @property
    def mode(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The kind of recurrence, which the nonlinearity decides."""
        return f"RNN_{self.nonlinearity.upper()}"

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(
                f"RNNCell: nonlinearity is 'tanh' or 'relu', not {self.nonlinearity!r}"
            )
        return self._stepped(input, (hx,))[0]

    def extra_repr(self) -> str:
        shown = super().extra_repr()
        return (
            shown if self.nonlinearity == "tanh" else f"{shown}, nonlinearity={self.nonlinearity}"
        )


class LSTMCell(RNNCellBase):
    """One step of long short-term memory; takes and returns (hidden state, cell state).

    Gates are in the order input, forget, cell, output.

    >>> import schuss
    >>> h, c = schuss.nn.LSTMCell(3, 4)(schuss.ones(2, 3))
    >>> h.shape, c.shape
    (schuss.Size([2, 4]), schuss.Size([2, 4]))
    """

    mode = "LSTM"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> State:
        return self._stepped(input, (None, None) if hx is None else tuple(hx))


class GRUCell(RNNCellBase):
    """One step of a gated recurrent unit; gates are in the order reset, update, new.

    >>> import schuss
    >>> schuss.nn.GRUCell(3, 4)(schuss.ones(2, 3)).shape
    schuss.Size([2, 4])
    """

    mode = "GRU"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._stepped(input, (hx,))[0]
