"""Recurrent networks over whole sequences: several layers, both directions, packed batches.
Leans on the steps of cells; the inputs of all steps are multiplied by their weights at once."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import schuss
from schuss.model import Model, Parameter
from schuss.naming import warn
from schuss.nn import functional as F
from schuss.nn import init
from schuss.nn.cells import sequence, stepper
from schuss.nn.settings import probability, whole
from schuss.nn.utils.rnn import PackedSequence, step_counts

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor
    from schuss.nn.cells import State, Step

_CHUNKS = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


@cache
def _cut() -> Any:
    """The Function that cuts rows into runs, and joins all their gradients in one copy."""
    from schuss.autograd import Function

    class Cut(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, sizes: list[int]) -> tuple[Tensor, ...]:
            return tuple(x.split(sizes))

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
            return schuss.cat(grads), None

    return Cut


def _steps(x: Tensor, sizes: list[int]) -> tuple[Tensor, ...]:
    """The rows of each step."""
    if x.requires_grad and schuss.is_grad_enabled() and len(sizes) > 1:
        return _cut().apply(x, sizes)
    return tuple(x.split(sizes))


def _run(step: Step, steps: tuple[Tensor, ...], state: State, reverse: bool) -> Any:
    """The outputs in order of time, and the state after the last step."""
    found = []
    for x in reversed(steps) if reverse else steps:
        state = step(x, state)
        found.append(state[0])
    if reverse:
        found.reverse()
    return found, state


def _run_packed(step: Step, steps: tuple[Tensor, ...], first: State, reverse: bool) -> Any:
    """The same where fewer rows go on with every step."""
    found = []
    if reverse:
        state = tuple(part[: steps[-1].shape[0]] for part in first)
        for x in reversed(steps):
            had, has = state[0].shape[0], x.shape[0]
            if has > had:
                state = tuple(
                    schuss.cat([part, begun[had:has]])
                    for part, begun in zip(state, first, strict=True)
                )
            state = step(x, state)
            found.append(state[0])
        found.reverse()
        return found, state
    state, ended = first, []
    for x in steps:
        has = x.shape[0]
        if has < state[0].shape[0]:
            ended.append(tuple(part[has:] for part in state))
            state = tuple(part[:has] for part in state)
        state = step(x, state)
        found.append(state[0])
    ended.append(state)
    return found, tuple(schuss.cat(parts[::-1]) for parts in zip(*ended, strict=True))


class RNNBase(Model):
    """What RNN, LSTM and GRU share: weights for each layer and direction, and the way through."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        layer = type(self).__name__
        if mode not in _CHUNKS:
            raise ValueError(f"{layer}: mode is one of {', '.join(_CHUNKS)}, not {mode!r}")
        self.mode = mode
        self.input_size = whole(layer, "input_size", input_size)
        self.hidden_size = whole(layer, "hidden_size", hidden_size)
        self.num_layers = whole(layer, "num_layers", num_layers)
        self.bias = bias
        self.batch_first = batch_first
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)):
            raise ValueError(f"{layer}: dropout must be a number from 0 to 1, got {dropout!r}")
        self.dropout = float(probability(layer, "dropout", dropout))
        self.bidirectional = bidirectional
        self.proj_size = whole(layer, "proj_size", proj_size)
        for name, least in (("input_size", 0), ("hidden_size", 1), ("num_layers", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"{layer}: {name} must be at least {least}, got {getattr(self, name)}"
                )
        if proj_size and mode != "LSTM":
            raise ValueError(f"{layer}: proj_size goes with LSTM alone")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"{layer}: proj_size must be from 0 to below hidden_size {hidden_size}, got"
                f" {proj_size}"
            )
        if dropout > 0 and num_layers == 1:
            warn(
                f"{layer}: dropout is applied between layers, and there is one layer",
            )
        options = {"device": device, "dtype": dtype}
        rows, out = _CHUNKS[mode] * hidden_size, proj_size or hidden_size
        for i in range(num_layers):
            width = input_size if i == 0 else out * self._directions
            for suffix in self._suffixes(i):
                shapes = {"weight_ih": (rows, width), "weight_hh": (rows, out)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    setattr(self, f"{name}{suffix}", Parameter(schuss.empty(shape, **options)))
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self._directions]

    def _weights_of(self, suffix: str) -> list[Any]:
        """The weights of one layer in one direction; None for those it does without."""
        own = self.__dict__
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        # A weight that is made of others, such as a normed one, is no entry of the dict.
        return [
            own[name] if (name := f"{base}{suffix}") in own else getattr(self, name, None)
            for base in names
        ]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights, a list for each layer and direction."""
        return [
            [weight for weight in self._weights_of(suffix) if weight is not None]
            for i in range(self.num_layers)
            for suffix in self._suffixes(i)
        ]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [weight for weights in self.all_weights for weight in weights]

    def flatten_parameters(self) -> None:
        """Nothing to do: the weights need not lie side by side."""

    def reset_parameters(self) -> None:
        """Draw the weights anew, uniform within 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _first_states(self, hx: Any, batch: int | None, like: Tensor) -> list[Tensor]:
        """The states (layers * directions, batch, size) to begin with, zeros if none are given."""
        layer, lstm = type(self).__name__, self.mode == "LSTM"
        count = self.num_layers * self._directions
        sizes = [self.proj_size or self.hidden_size, *([self.hidden_size] if lstm else [])]
        alone = batch is None
        if hx is None:
            shape = (count, 1 if batch is None else batch)
            return [schuss.zeros((*shape, n), dtype=like.dtype, device=like.device) for n in sizes]
        given = list(hx) if isinstance(hx, (tuple, list)) else [hx]
        if len(given) != len(sizes):
            raise RuntimeError(
                f"{layer}: hx must be {'a pair of tensors' if lstm else 'one tensor'}, got"
                f" {len(given)}"
            )
        for name, state, n in zip(("hidden", "cell"), given, sizes, strict=False):
            wanted = (count, n) if alone else (count, batch, n)
            if tuple(state.shape) != wanted:
                raise schuss.ShapeError(
                    f"{layer}: the {name} state must be {wanted} (layers * directions,"
                    f" {'' if alone else 'batch, '}size), got {tuple(state.shape)}"
                )
        return [state.unsqueeze(1) for state in given] if alone else given

    def forward(self, input: Any, hx: Any = None) -> Any:
        layer, packed = type(self).__name__, isinstance(input, PackedSequence)
        data, order, back = (
            (input.data, input.sorted_indices, input.unsorted_indices)
            if packed
            else (input, None, None)
        )
        if not packed and data.ndim not in (2, 3):
            raise schuss.ShapeError(
                f"{layer}: the input must have 2 or 3 axes, got {tuple(data.shape)}"
            )
        if data.shape[-1] != self.input_size:
            raise schuss.ShapeError(
                f"{layer}: {tuple(data.shape)} has {data.shape[-1]} features, the layer"
                f" {self.input_size}"
            )
        alone = not packed and data.ndim == 2
        if packed:
            sizes = step_counts(input)
        else:
            if alone:
                data = data.unsqueeze(1)
            elif self.batch_first:
                data = data.transpose(0, 1)
            time, batch = data.shape[:2]
            if not time:
                raise RuntimeError(f"{layer}: the sequence has no steps, {tuple(input.shape)}")
            sizes = [batch] * time
            data = data.reshape(time * batch, self.input_size)
        states = self._first_states(hx, None if alone else sizes[0], data)
        if order is not None and hx is not None:
            states = [state.index_select(1, order) for state in states]
        data, last = self._through(data, sizes, states, _run_packed if packed else _run)
        if back is not None:
            last = [state.index_select(1, back) for state in last]
        if packed:
            output: Any = PackedSequence(data, input.batch_sizes, order, back)
        else:
            output = data.reshape(time, batch, data.shape[-1])
            if alone:
                output, last = output.squeeze(1), [state.squeeze(1) for state in last]
            elif self.batch_first:
                output = output.transpose(0, 1)
        return output, tuple(last) if self.mode == "LSTM" else last[0]

    def _through(
        self, data: Tensor, sizes: list[int], states: list[Tensor], run: Any
    ) -> tuple[Tensor, list[Tensor]]:
        """All rows through all layers, and the last states of every layer and direction."""
        last: list[State] = []
        for i in range(self.num_layers):
            if i and self.dropout:
                data = F.dropout(data, self.dropout, self.training)
            outputs = []
            for reverse, suffix in enumerate(self._suffixes(i)):
                weights = tuple(self._weights_of(suffix))
                first = tuple(state[len(last)] for state in states)
                made = sequence(self.mode, data, sizes, weights, first, bool(reverse))
                if made is None:
                    project, step = stepper(self.mode, *weights)
                    found, ended = run(step, _steps(project(data), sizes), first, bool(reverse))
                    made = schuss.cat(found), ended
                outputs.append(made[0])
                last.append(made[1])
            data = outputs[0] if len(outputs) == 1 else schuss.cat(outputs, -1)
        return data, [schuss.stack(parts) for parts in zip(*last, strict=True)]

    def extra_repr(self) -> str:
        shown = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size:
            shown += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            shown += f", num_layers={self.num_layers}"
        if self.bias is not True:
            shown += f", bias={self.bias}"
        if self.batch_first is not False:
            shown += f", batch_first={self.batch_first}"
        if self.dropout:
            shown += f", dropout={self.dropout}"
        return shown + (f", bidirectional={self.bidirectional}" if self.bidirectional else "")


class RNN(RNNBase):
    """An Elman network over sequences (time, batch, input_size), f tanh or ReLU.

    Returns the outputs (time, batch, directions * hidden_size) and the last hidden states
    (layers * directions, batch, hidden_size). `batch_first` puts the batch before the time of
    inputs and outputs; a batch may be left out, or be a PackedSequence.

    >>> import schuss
    >>> output, h = schuss.nn.RNN(3, 4, num_layers=2)(schuss.ones(5, 2, 3))
    >>> output.shape, h.shape
    (schuss.Size([5, 2, 4]), schuss.Size([2, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        proj_size: int = 0,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity is 'tanh' or 'relu', not {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )


class LSTM(RNNBase):
    """Long short-term memory over sequences (time, batch, input_size).

    Returns the outputs, and a pair of the last hidden and cell states, each (layers * directions,
    batch, size); takes such a pair as `hx`. With `proj_size` outputs and hidden states are
    projected to it (Sak et al., 2014).

    >>> import schuss
    >>> lstm = schuss.nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    >>> output, (h, c) = lstm(schuss.ones(2, 5, 3))
    >>> output.shape, h.shape
    (schuss.Size([2, 5, 8]), schuss.Size([2, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )


class GRU(RNNBase):
    """A gated recurrent unit over sequences (time, batch, input_size) (Cho et al., 2014).

    >>> import schuss
    >>> output, h = schuss.nn.GRU(3, 4)(schuss.ones(5, 2, 3))
    >>> output.shape, h.shape
    (schuss.Size([5, 2, 4]), schuss.Size([1, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        proj_size: int = 0,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )
