"""Models: layers in a row, a graph of symbols, or a subclass; compile, fit, evaluate, predict.
Leans on layers, and on the training beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.tf.keras.layers.base import Input, Layer, Making, Symbol, _symbols
from schuss.tf.keras.layers.core import InputLayer
from schuss.tf.keras.training import Trained

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Model(Trained, Layer):
    """What is trained: `Model(inputs, outputs)` of symbols, or a subclass that defines `call`.

    >>> x = Input((3,))
    >>> from schuss.tf.keras.layers import Dense
    >>> model = Model(inputs=x, outputs=Dense(2)(x))
    >>> model(schuss.ones(4, 3)).shape, model.count_params()
    (schuss.Size([4, 2]), 8)
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        given = len(args) > 1 or "inputs" in kwargs
        self = object.__new__(Functional if cls is Model and given else cls)
        self._making = Making(args, kwargs)
        return self

    @property
    def layers(self) -> list[Layer]:
        """The layers in its attributes, in the order in which they were set."""
        return [part for part in self._parts() if isinstance(part, Layer)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or number; ValueError where there is none."""
        if index is not None:
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise ValueError(f"get_layer: no layer {name!r} in {self.name}; there are {names}")

    def summary(self, print_fn: Any = print, **options: Any) -> None:
        """Print the layers, the shape that each gives, and how many numbers it holds."""
        rows = [("Layer (type)", "Output Shape", "Param #")]
        for layer in self.layers:
            kind = f"{layer.name} ({type(layer).__name__})"
            rows.append((kind, _shown(layer._gave), f"{layer.count_params():,}"))
        first, second = (max(len(row[i]) for row in rows) + 2 for i in (0, 1))
        wide = max(first + second + 12, 60)
        print_fn(f'Model: "{self.name}"')
        for i, (kind, shape, count) in enumerate(rows):
            print_fn("_" * wide if i != 1 else "=" * wide)
            print_fn(f"{kind:<{first}}{shape:<{second}}{count:>{wide - first - second}}")
        print_fn("=" * wide)
        trained = sum(v.numel() for v in self.trainable_variables)
        whole = self.count_params()
        print_fn(f"Total params: {whole:,}")
        print_fn(f"Trainable params: {trained:,}")
        print_fn(f"Non-trainable params: {whole - trained:,}")
        print_fn("_" * wide)


def _shown(shape: Any) -> str:
    """A shape with the batch as None; a question mark before a layer has been used."""
    if shape is None:
        return "?"
    if isinstance(shape, list):
        return "[" + ", ".join(map(_shown, shape)) + "]"
    return str((None, *shape[1:]))


class Functional(Model):
    """A model made of symbols: what `Model(inputs, outputs)` gives."""

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name, **options)
        self._inputs, self._outputs = inputs, outputs
        order: list[Layer] = []
        seen: set[int] = set()
        given = {id(symbol) for symbol in _symbols(inputs if _many(inputs) else [inputs])}
        # Walked without recursion, so that a deep model is no deep stack.
        waiting = [(symbol, False) for symbol in _symbols(outputs if _many(outputs) else [outputs])]
        while waiting:
            symbol, done = waiting.pop()
            if done:
                if symbol.layer is not None and symbol.layer not in order:
                    order.append(symbol.layer)
                continue
            if id(symbol) in seen or id(symbol) in given:
                continue
            seen.add(id(symbol))
            if symbol.layer is None:
                raise ValueError(f"{self.name}: the outputs need an Input that is not in inputs")
            waiting.append((symbol, True))
            waiting += [(part, False) for part in _symbols(symbol.args)]
        symbols = _symbols(inputs if _many(inputs) else [inputs])
        self._heads = []
        for i, symbol in enumerate(symbols):
            head = InputLayer(symbol.shape[1:], name="input_layer" + (f"_{i}" if i else ""))
            head._gave = symbol.shape
            self._heads.append(head)
        self._steps = order
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        known: dict[int, Any] = {}
        if isinstance(self._inputs, dict):
            pairs = [(symbol, inputs[name]) for name, symbol in self._inputs.items()]
        elif isinstance(self._inputs, (list, tuple)):
            values = inputs if isinstance(inputs, (list, tuple)) else [inputs]
            if len(values) != len(self._inputs):
                raise ValueError(
                    f"{self.name}: takes {len(self._inputs)} inputs, got {len(values)}"
                )
            pairs = list(zip(self._inputs, values, strict=True))
        else:
            pairs = [(self._inputs, inputs)]
        for symbol, value in pairs:
            known[id(symbol)] = value
        return self._value(self._outputs, known)

    def _value(self, wanted: Any, known: dict[int, Any]) -> Any:
        if isinstance(wanted, dict):
            return {name: self._value(part, known) for name, part in wanted.items()}
        if isinstance(wanted, (list, tuple)):
            return [self._value(part, known) for part in wanted]
        if not isinstance(wanted, Symbol):
            return wanted
        waiting = [wanted]
        while waiting:
            symbol = waiting[-1]
            missing = [part for part in _symbols(symbol.args) if id(part) not in known]
            if id(symbol) not in known and missing:
                waiting += missing
                continue
            waiting.pop()
            if id(symbol) not in known:
                args = _filled(symbol.args, known)
                known[id(symbol)] = symbol.layer(*args, **symbol.kwargs)
        return known[id(wanted)]


def _many(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _filled(value: Any, known: dict[int, Any]) -> Any:
    if isinstance(value, Symbol):
        return known[id(value)]
    return [_filled(part, known) for part in value] if _many(value) else value


class Sequential(Model):
    """Layers one after the other.

    >>> from schuss.tf.keras.layers import Dense
    >>> model = Sequential([Input((3,)), Dense(4, activation="relu"), Dense(1)])
    >>> model(schuss.ones(2, 3)).shape, len(model.layers)
    (schuss.Size([2, 1]), 2)
    """

    def __init__(
        self, layers: Sequence[Any] | None = None, name: str | None = None, **options: Any
    ) -> None:
        super().__init__(name=name, **options)
        self._row: list[Layer] = []
        self._shape: Any = None
        for layer in layers or []:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Put a layer at the end; TypeError for what is none."""
        if isinstance(layer, Symbol):
            self._shape = layer.shape[1:]
        elif isinstance(layer, Layer):
            if layer._given_shape is not None and not self._row:
                self._shape = layer._given_shape
            if type(layer).__name__ != "InputLayer":
                self._row.append(layer)
        else:
            raise TypeError(f"{self.name}: a {type(layer).__name__} is no layer")
        if self._shape is not None and self._row and not self._row[-1].built:
            # The weights of layers whose input is known are made at once.
            self._made()

    def _made(self) -> None:
        x = Input(tuple(self._shape))
        for layer in self._row:
            x = layer(x)
        self.built = True

    def pop(self) -> None:
        """Take the last layer away."""
        self._row.pop()

    @property
    def layers(self) -> list[Layer]:
        return list(self._row)

    def build(self, input_shape: Any = None) -> None:
        if input_shape is not None and self._shape is None and not self.built:
            sizes = tuple(input_shape)[1:]
            if all(isinstance(size, int) or size is None for size in sizes):
                self._shape = sizes
                if self._row and not self._row[0].built and None not in sizes:
                    self._made()

    def call(self, inputs: Any) -> Any:
        for layer in self._row:
            inputs = layer(inputs)
        return inputs


def clone_model(model: Any) -> Any:
    """A Sequential of the same layers' copies, with weights of their own."""
    import copy

    return copy.deepcopy(model)


def __getattr__(name: str) -> Any:
    if name in ("load_model", "save_model"):
        from schuss.tf.keras import saving

        return getattr(saving, name)
    raise AttributeError(f"module 'schuss.tf.keras.models' has no attribute {name!r}")


__all__ = ["Functional", "Model", "Sequential", "clone_model"]
