"""Layer: weights made when the first input is seen, layers in layers, and symbols for later.
Leans on tf.Module and Variables."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from threading import local
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.naming import form, unknown
from schuss.tape.nest import flatten
from schuss.tf.conversion import operand
from schuss.tf.keras import initializers, regularizers
from schuss.tf.module import Module
from schuss.tf.variable import Variable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class _Mode(local):
    training = False


_MODE = _Mode()
_COUNTS: dict[str, Any] = {}


@contextmanager
def training_as(training: bool | None) -> Iterator[bool]:
    """A block in which layers train, or do not; None leaves it as it is outside."""
    before = _MODE.training
    _MODE.training = before if training is None else bool(training)
    try:
        yield _MODE.training
    finally:
        _MODE.training = before


def _takes_training(layer: Any) -> bool:
    code = getattr(layer.call, "__code__", None)
    return code is not None and (
        "training" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    )


class Symbol:
    """What stands for a tensor while a model is put together: its shape, and what makes it."""

    def __init__(self, stand_in: Tensor, layer: Any = None, args: Any = (), kwargs: Any = None):
        self.stand_in, self.layer, self.args, self.kwargs = stand_in, layer, args, kwargs or {}

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The sizes; None for the batch."""
        return (None, *self.stand_in.shape[1:])

    @property
    def dtype(self) -> Any:
        """The dtype."""
        return self.stand_in.dtype

    def _with(self, name: str, other: Any) -> Any:
        return Operation(name)(self, other)

    def __add__(self, other: Any) -> Any:
        return self._with("__add__", other)

    def __sub__(self, other: Any) -> Any:
        return self._with("__sub__", other)

    def __mul__(self, other: Any) -> Any:
        return self._with("__mul__", other)

    def __truediv__(self, other: Any) -> Any:
        return self._with("__truediv__", other)

    def __matmul__(self, other: Any) -> Any:
        return self._with("__matmul__", other)

    def __getitem__(self, index: Any) -> Any:
        return self._with("__getitem__", index)

    __radd__, __rmul__ = __add__, __mul__

    def __repr__(self) -> str:
        return f"<Symbol shape={self.shape}, dtype={self.dtype}>"


def _stand_in(value: Any) -> Any:
    if isinstance(value, Symbol):
        return value.stand_in
    if isinstance(value, (list, tuple)):
        return type(value)(map(_stand_in, value))
    return value


def _symbols(value: Any) -> list[Symbol]:
    if isinstance(value, (list, tuple)):
        return [symbol for part in value for symbol in _symbols(part)]
    return [value] if isinstance(value, Symbol) else []


class Making:
    """The arguments with which something was made, or called."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args, self.kwargs = args, kwargs


class Remembered:
    """A class whose objects know how they were made."""

    _making = Making((), {})

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        self._making = Making(args, kwargs)
        return self


class Layer(Remembered, Module):
    """A part of a model: `build(input_shape)` makes its weights, `call(inputs)` uses them.

    Called with a tensor it computes; called with an Input's symbol it notes what is to be computed.

    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.w = self.add_weight(shape=(input_shape[-1],), initializer="ones")
    ...
    ...     def call(self, inputs):
    ...         return inputs * self.w
    >>> Scale()(schuss.ones(1, 2)).tolist()
    [[1.0, 1.0]]
    """

    built = False
    # Zeros like the inputs of the first call, for whom the weights were made.
    _seen: Making | None = None
    # The shape of what it gave first.
    _gave: Any = None

    def __init__(
        self,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        input_shape: Any = None,
        input_dim: int | None = None,
        activity_regularizer: Any = None,
        **others: Any,
    ) -> None:
        if others:
            raise unknown(type(self).__name__, next(iter(others)), form(type(self)))
        super().__init__(None)
        plain = super().name
        number = next(_COUNTS.setdefault(plain, count()))
        self._name = name or (plain if number == 0 else f"{plain}_{number}")
        self.trainable = trainable
        self._costs: list[tuple[Any, Variable]] = []
        self._given_shape = (input_dim,) if input_dim is not None else input_shape

    @property
    def name(self) -> str:
        """The name given, or the class's in snake case with a number."""
        return self._name or super().name

    def build(self, input_shape: Any) -> None:
        """Make the weights; called once, before the first `call`."""

    def call(self, inputs: Any) -> Any:
        """Compute; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__}: define call(inputs)")

    def add_weight(
        self,
        name: Any = None,
        shape: Any = (),
        dtype: Any = None,
        initializer: Any = "glorot_uniform",
        regularizer: Any = None,
        trainable: bool = True,
        constraint: Any = None,
    ) -> Variable:
        """A Variable of a shape that begins as an initializer says."""
        if isinstance(name, (tuple, list)):
            name, shape = None, name
        first = initializers.get(initializer)(tuple(shape), dtype or schuss.float32)
        made = Variable(first, trainable=trainable, name=name or "variable", constraint=constraint)
        if regularizer is not None:
            self._costs.append((regularizers.get(regularizer), made))
        return made

    def __call__(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        if _symbols((inputs, *args)):
            made = self(*_stand_in((inputs, *args)), training=False, **kwargs)
            if isinstance(made, (list, tuple)):
                whole = Symbol(made[0], self, (inputs, *args), kwargs)
                return [Symbol(part, Part(i), (whole,)) for i, part in enumerate(made)]
            return Symbol(made, self, (inputs, *args), kwargs)
        inputs = _read(inputs)
        if self._seen is None:
            self._seen = Making((_zeros(inputs),), {})
        if not self.built:
            shape = [tuple(x.shape) for x in inputs] if isinstance(inputs, list) else inputs.shape
            self.build(shape if isinstance(shape, list) else tuple(shape))
            self.built = True
        with training_as(training) as mode:
            if _takes_training(self):
                kwargs["training"] = mode
            made = self.call(inputs, *args, **kwargs)
        if self._gave is None:
            self._gave = _form(made)
        return made

    def _parts(self) -> Iterator[Any]:
        """The Variables, then the layers, in its attributes and in lists there, in their order."""
        leaves = [leaf for value in list(vars(self).values()) for leaf in _leaves(value)]
        yield from (leaf for leaf in leaves if isinstance(leaf, Variable))
        yield from (leaf for leaf in leaves if isinstance(leaf, Module))

    def _all(self, seen: set[int]) -> Iterator[tuple[Variable, bool]]:
        """Every Variable once, and whether it is trained."""
        for part in self._parts():
            if id(part) in seen:
                continue
            seen.add(id(part))
            if isinstance(part, Variable):
                yield part, part.trainable and self.trainable
            elif isinstance(part, Layer):
                yield from ((v, on and self.trainable) for v, on in part._all(seen))
            else:
                yield from ((v, v.trainable and self.trainable) for v in part.variables)

    def _gather(self, found: list[Variable], seen: set[int]) -> None:
        parts = [part for part in self._parts() if id(part) not in seen]
        own = [part for part in parts if isinstance(part, Variable)]
        for part in sorted(own, key=lambda v: not v.trainable) + parts:
            if id(part) in seen:
                continue
            seen.add(id(part))
            if isinstance(part, Variable):
                found.append(part)
            elif isinstance(part, Layer):
                part._gather(found, seen)
            else:
                found += part.variables

    @property
    def variables(self) -> list[Variable]:  # type: ignore[override]
        """All Variables, layer by layer; of each layer those that may be trained come first."""
        found: list[Variable] = []
        self._gather(found, set())
        return found

    weights = variables

    @property
    def trainable_variables(self) -> list[Variable]:  # type: ignore[override]
        """The Variables that are trained."""
        return [v for v, on in self._all(set()) if on]

    trainable_weights = trainable_variables

    @property
    def non_trainable_variables(self) -> list[Variable]:  # type: ignore[override]
        """The Variables that are not trained."""
        return [v for v, on in self._all(set()) if not on]

    non_trainable_weights = non_trainable_variables

    @property
    def losses(self) -> list[Tensor]:
        """What the weights cost by their regularizers, here and in layers below."""
        found = [cost(variable) for cost, variable in self._costs]
        for part in self._parts():
            if isinstance(part, Layer):
                found += part.losses
        return found

    def get_weights(self) -> list[Any]:
        """The values of all Variables as arrays."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Any) -> None:
        """Give the Variables values; ValueError for another number of them."""
        variables = self.variables
        if len(weights) != len(variables):
            raise ValueError(
                f"set_weights: {self.name} has {len(variables)} weights, got {len(weights)}; is it "
                "built?"
            )
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def get_config(self) -> dict[str, Any]:
        """How it was made, by the names of the arguments."""
        import inspect

        found = inspect.signature(type(self).__init__).bind(
            None, *self._making.args, **self._making.kwargs
        )
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        for key, value in list(found.arguments.items())[1:]:
            config.update(value if isinstance(value, dict) and key in _REST else {key: value})
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """One that is made by what `get_config` says."""
        return cls(**config)

    def count_params(self) -> int:
        """How many numbers the Variables hold."""
        return sum(v.numel() for v in self.variables)


# What constructors call the keywords that they hand on.
_REST = ("options", "others", "kwargs")


class Operation(Layer):
    """A method of tensors as a layer, for arithmetic between symbols."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method

    def call(self, inputs: Any, other: Any = None) -> Any:
        return getattr(inputs, self.method)(other)


class Part(Layer):
    """One of the several results of a layer."""

    def __init__(self, i: int) -> None:
        super().__init__()
        self.i = i

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return inputs[self.i]


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, (Variable, Module)):
        return [value]
    if isinstance(value, (list, tuple, dict)):
        return flatten(value)
    return []


def _form(made: Any) -> Any:
    if isinstance(made, (list, tuple)):
        return [_form(part) for part in made]
    return tuple(made.shape) if hasattr(made, "shape") else None


def _zeros(inputs: Any) -> Any:
    """One sample of nothing, of the form of inputs."""
    if isinstance(inputs, (list, tuple)):
        return [_zeros(part) for part in inputs]
    if isinstance(inputs, dict):
        return {name: _zeros(part) for name, part in inputs.items()}
    return schuss.zeros((1, *inputs.shape[1:]), dtype=inputs.dtype) if inputs.ndim else inputs


def _read(value: Any) -> Any:
    """Inputs as tensors; floats of 64 bits as those of 32."""
    if isinstance(value, (list, tuple)) and any(isinstance(v, Tensor) for v in value):
        return [_read(v) for v in value]
    made = operand(value)
    return made.to(schuss.float32) if made.dtype == schuss.float64 else made


def Input(
    shape: Any = None, batch_size: int | None = None, dtype: Any = None, name: str | None = None
) -> Symbol:
    """What a functional model begins with: the shape of one sample, without the batch.

    >>> Input((28, 28)).shape
    (None, 28, 28)
    """
    from schuss.tf.dtypes import as_dtype

    sizes = (shape,) if isinstance(shape, int) else tuple(shape or ())
    # A length that is not known is stood for by a short one.
    sizes = tuple(8 if size is None else size for size in sizes)
    kind = schuss.float32 if dtype is None else as_dtype(dtype)
    return Symbol(schuss.zeros((1, *sizes), dtype=kind))
