"""Whole models as files: how every layer was made, the weights, and how the model is trained.
Leans on schuss.save; a file holds descriptions alone, and no program is run to read it."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

import schuss
from schuss.naming import warn
from schuss.tf.keras import activations, models
from schuss.tf.keras.layers.base import Input, Layer, Symbol
from schuss.tf.optimizers import Optimizer
from schuss.tf.variable import Variable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_FORMAT = "schuss.keras 1"
_OWN = "schuss.tf."
_registered: dict[str, type] = {}


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable:
    """A decorator of classes that `load_model` shall find by their names.

    >>> @register_keras_serializable()
    ... class Twice(Layer):
    ...     def call(self, inputs):
    ...         return 2 * inputs
    """

    def register(cls: type) -> type:
        _registered[name or cls.__name__] = cls
        return cls

    return register


# ---- values --------------------------------------------------------------------------------------


class Writer:
    """Values as plain lists and dicts; layers and symbols by number where they occur again."""

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self.numbers: dict[int, int] = {}

    def value(self, value: Any, where: str) -> Any:
        """A description; TypeError for what no file can hold."""
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (list, tuple)):
            return {"is": type(value).__name__, "of": [self.value(v, where) for v in value]}
        if isinstance(value, dict):
            return {"is": "dict", "of": [[k, self.value(v, where)] for k, v in value.items()]}
        if isinstance(value, Layer):
            return {"is": "layer", "of": self.layer(value)}
        if isinstance(value, Variable):
            told = {"value": value.value().detach(), "trainable": value.trainable}
            return {"is": "variable", "name": value.name.partition(":")[0], **told}
        if isinstance(value, schuss.Tensor) or hasattr(value, "__array__"):
            return {"is": "array", "of": schuss.as_tensor(value).detach()}
        if isinstance(value, schuss.dtype):
            return {"is": "dtype", "of": value.name}
        name = getattr(value, "__name__", "")
        if callable(value) and getattr(activations, name, None) is value:
            return {"is": "activation", "of": name}
        if type(value).__module__.startswith(_OWN) and hasattr(value, "__dict__"):
            return {"is": "object", **self.kind(value), "of": self.value(vars(value), where)}
        raise TypeError(
            f"save: {where} holds {name or 'a ' + type(value).__name__}, which no file can hold; "
            "use save_weights, and make the model in the program that reads them"
        )

    def kind(self, value: Any) -> dict[str, Any]:
        """The class of an object; the module only of those that come with this package."""
        cls = type(value)
        own = cls.__module__.startswith(_OWN)
        return {"class": cls.__name__, "module": cls.__module__ if own else None}

    def layer(self, layer: Any) -> int:
        """The number of a layer in the list; one that occurs twice is one again."""
        if id(layer) not in self.numbers:
            told = self.described(layer)
            self.numbers[id(layer)] = len(self.layers)
            self.layers.append(told)
        return self.numbers[id(layer)]

    def described(self, layer: Any) -> dict[str, Any]:
        """How a layer was made."""
        told = {**self.kind(layer), "name": layer._name, "trainable": layer.trainable}
        if type(layer) is models.Sequential:
            rows = [self.layer(part) for part in layer.layers]
            shape = self.value(layer._shape, layer.name)
            return {**told, "row": rows, "shape": shape}
        if type(layer) is models.Functional:
            return {**told, **self.graph(layer)}
        making = layer._making
        told["args"] = self.value(list(making.args), layer.name)
        told["kwargs"] = self.value(dict(making.kwargs), layer.name)
        return told

    def graph(self, model: Any) -> dict[str, Any]:
        """The symbols of a functional model, each after those that it is made of."""
        nodes: list[Any] = []
        known: dict[int, int] = {}

        def reference(value: Any) -> Any:
            if isinstance(value, Symbol):
                return {"is": "symbol", "of": visit(value)}
            if isinstance(value, (list, tuple)):
                return {"is": type(value).__name__, "of": [reference(v) for v in value]}
            if isinstance(value, dict):
                return {"is": "dict", "of": [[k, reference(v)] for k, v in value.items()]}
            return self.value(value, model.name)

        def visit(symbol: Any) -> int:
            if id(symbol) not in known:
                if symbol.layer is None:
                    kind = symbol.dtype.name
                    node = {"input": self.value(list(symbol.shape[1:]), ""), "dtype": kind}
                else:
                    args, kwargs = reference(list(symbol.args)), reference(dict(symbol.kwargs))
                    node = {"layer": self.layer(symbol.layer), "args": args, "kwargs": kwargs}
                known[id(symbol)] = len(nodes)
                nodes.append(node)
            return known[id(symbol)]

        ends = {"inputs": reference(model._inputs), "outputs": reference(model._outputs)}
        return {"nodes": nodes, **ends}


class Reader:
    """Layers made again from their descriptions."""

    def __init__(self, layers: list[Any], custom: dict[str, Any]) -> None:
        self.told, self.custom = layers, {**_registered, **custom}
        self.made: dict[int, Any] = {}

    def value(self, told: Any, symbols: Any = ()) -> Any:
        """What a description stands for."""
        if not isinstance(told, dict):
            return told
        kind, of = told["is"], told.get("of")
        if kind in ("list", "tuple"):
            found = [self.value(v, symbols) for v in of]
            return found if kind == "list" else tuple(found)
        if kind == "dict":
            return {k: self.value(v, symbols) for k, v in of}
        if kind == "layer":
            return self.layer(of)
        if kind == "symbol":
            return symbols[of]
        if kind == "variable":
            return Variable(told["value"], trainable=told["trainable"], name=told["name"])
        if kind == "dtype":
            return getattr(schuss, of)
        if kind == "activation":
            return activations.get(of)
        if kind == "object":
            made = object.__new__(self.find(told))
            made.__dict__.update(self.value(of))
            return made
        return of

    def find(self, told: dict[str, Any]) -> type:
        """A class by its name: one of this package, or one that the program has given."""
        name, module = told["class"], told["module"]
        if module is None:
            if name not in self.custom:
                raise ValueError(
                    f"load_model: the class {name} is not known; give custom_objects="
                    f"{{{name!r}: {name}}}, or decorate it with register_keras_serializable()"
                )
            return self.custom[name]
        found = getattr(import_module(module), name, None) if module.startswith(_OWN) else None
        if not isinstance(found, type) or not found.__module__.startswith(_OWN):
            raise ValueError(f"load_model: the file names {module}.{name}, which is no class here")
        return found

    def layer(self, number: int) -> Any:
        """The layer of a number."""
        if number not in self.made:
            told = self.told[number]
            made = self.built(told)
            made._name = told["name"]
            made.trainable = told["trainable"]
            self.made[number] = made
        return self.made[number]

    def built(self, told: dict[str, Any]) -> Any:
        if "row" in told:
            shape = self.value(told["shape"])
            first = [] if shape is None else [Input(tuple(shape))]
            return models.Sequential([*first, *(self.layer(i) for i in told["row"])])
        if "nodes" in told:
            symbols: list[Any] = []
            for node in told["nodes"]:
                if "input" in node:
                    symbols.append(Input(tuple(self.value(node["input"])), dtype=node["dtype"]))
                    continue
                args = self.value(node["args"], symbols)
                kwargs = self.value(node["kwargs"], symbols)
                symbols.append(self.layer(node["layer"])(*args, **kwargs))
            inputs, outputs = (self.value(told[end], symbols) for end in ("inputs", "outputs"))
            return models.Functional(inputs, outputs)
        return self.find(told)(*self.value(told["args"]), **self.value(told["kwargs"]))


# ---- training ------------------------------------------------------------------------------------


def _trained(model: Any, writer: Writer) -> Any:
    """How a model is trained and how far its optimizer is; None where that is no plain matter."""
    if model.optimizer is None:
        return None
    opt = model.optimizer
    kept = {k: v for k, v in vars(opt).items() if k != "_slots"}
    slots = [opt._slots.get(v.ref(), {}) for v in model.variables]
    try:
        return {
            "optimizer": {**writer.kind(opt), "state": writer.value(kept, "the optimizer")},
            "slots": [writer.value(dict(each), "the optimizer") for each in slots],
            "loss": writer.value(model._compiled_with.values["loss"], "the loss"),
            "metrics": writer.value(model._compiled_with.values["metrics"], "the metrics"),
        }
    except TypeError:
        return None


def _compile(model: Any, told: Any, reader: Reader) -> None:
    opt: Any = object.__new__(reader.find(told["optimizer"]))
    if not isinstance(opt, Optimizer):
        raise ValueError(f"load_model: {type(opt).__name__} is no optimizer")
    opt.__dict__.update(reader.value(told["optimizer"]["state"]), _slots={})
    for variable, slots in zip(model.variables, told["slots"], strict=True):
        if found := reader.value(slots):
            opt._slots[variable.ref()] = found
    model.compile(opt, reader.value(told["loss"]), reader.value(told["metrics"]))


# ---- files ---------------------------------------------------------------------------------------


def save_model(model: Any, filepath: Any, overwrite: bool = True, **options: Any) -> None:
    """Write a model: its layers, its weights, and how it is trained.

    Layers of the program's own are written by their names and arguments; functions (those of a
    Lambda) cannot be, TypeError. The file is whole or not there.

    >>> import tempfile
    >>> from schuss.tf.keras import Sequential
    >>> from schuss.tf.keras.layers import Dense
    >>> model = Sequential([Input((3,)), Dense(2, activation="relu")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, folder + "/model.keras")
    ...     again = load_model(folder + "/model.keras")
    >>> bool((again(schuss.ones(1, 3)) == model(schuss.ones(1, 3))).all())
    True
    """
    if str(filepath).endswith((".h5", ".hdf5")):
        warn(f"save: {filepath} is written as schuss writes models, not as HDF5: it is read here")
    if not overwrite and os.path.exists(filepath):
        raise FileExistsError(f"save: {filepath} is there already")
    writer = Writer()
    top = writer.layer(model)
    seen = model._seen
    state = {
        "format": _FORMAT,
        "model": top,
        "seen": None if seen is None else writer.value(list(seen.args), model.name),
        "training": _trained(model, writer),
        "layers": writer.layers,
        "weights": [v.value().detach() for v in model.variables],
    }
    schuss.save(state, filepath)


def load_model(
    filepath: Any,
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    **options: Any,
) -> Any:
    """Read a model that `save_model` wrote, ready to be asked or trained further.

    Classes of the program's own are found in `custom_objects`, or by register_keras_serializable;
    ValueError for those that are not, and for a file of something else.
    """
    state = schuss.load(filepath)
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise ValueError(
            f"load_model: {os.fspath(filepath)} holds no model; weights alone are read by "
            "load_weights of a model that the program makes"
        )
    reader = Reader(state["layers"], custom_objects or {})
    model = reader.layer(state["model"])
    if len(model.variables) != len(state["weights"]) and state["seen"] is not None:
        # The weights are made when a model first sees inputs of their shape.
        model(*reader.value(state["seen"]), training=False)
    model.set_weights(state["weights"])
    if compile and state["training"] is not None:
        _compile(model, state["training"], reader)
    return model


__all__ = ["load_model", "register_keras_serializable", "save_model"]
