"""Parameter and Buffer under the name that PyTorch programs import them by, and lists of them.
Leans on schuss.model, where the first two live."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from schuss import Tensor
from schuss.model import Buffer, Model, Parameter
from schuss.nn.unshaped import (
    UninitializedBuffer,
    UninitializedParameter,
    UninitializedTensorMixin,
    is_lazy,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Self

__all__ = [
    "Buffer",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


def pairs_of(entries: Any, name: str) -> list[tuple[str, Any]]:
    """The entries of a dict, or of anything that has items, or of an iterable of pairs."""
    if hasattr(entries, "items"):
        return list(entries.items())
    try:
        pairs = [tuple(pair) for pair in entries]
    except TypeError:
        raise TypeError(
            f"{name}.update: needs a dict or pairs of name and value, got {type(entries).__name__}"
        ) from None
    for pair in pairs:
        if len(pair) != 2:
            raise ValueError(f"{name}.update: needs pairs of name and value, got {len(pair)} items")
    return pairs


def _owned(value: Any) -> Any:
    plain = isinstance(value, Tensor) and not isinstance(value, Parameter)
    return Parameter(value) if plain else value


def _shown(name: Any, value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"({name}): Object of type: {type(value).__name__}"
    size = "x".join(map(str, value.shape))
    where = "" if str(value.device) == "cpu" else f" ({value.device})"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    return f"({name}): {kind} containing: [{value.detach().type()} of size {size}{where}]"


class ParameterList(Model):
    """A list of parameters; plain tensors put into it become Parameters.

    >>> import schuss
    >>> weights = schuss.nn.ParameterList([schuss.zeros(2), schuss.zeros(3)])
    >>> len(weights), len(list(weights.parameters()))
    (2, 2)
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self._size = 0
        if values is not None:
            self.extend(values)

    def _place_of(self, index: int) -> str:
        if not -self._size <= index < self._size:
            raise IndexError(f"{type(self).__name__}: index {index} in a list of {self._size}")
        return str(index % self._size)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(self._size)])

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self[i] for i in range(self._size)[index])
        return getattr(self, self._place_of(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._place_of(index), _owned(value))

    def append(self, value: Any) -> Self:
        """Add a value at the end."""
        self._size += 1
        self[-1] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add several values at the end."""
        if isinstance(values, Tensor) or not hasattr(values, "__iter__"):
            raise TypeError(f"ParameterList: needs an iterable, got {type(values).__name__}")
        for value in values:
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def extra_repr(self) -> str:
        return "\n".join(_shown(i, value) for i, value in enumerate(self))

    def __repr__(self) -> str:
        return _block(self)


class ParameterDict(Model):
    """A dict of parameters; plain tensors put into it become Parameters.

    >>> import schuss
    >>> weights = schuss.nn.ParameterDict({"a": schuss.zeros(2)})
    >>> weights["a"].requires_grad
    True
    """

    def __init__(self, parameters: Any = None) -> None:
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in self._keys and hasattr(self, key):
            raise KeyError(f"ParameterDict: attribute {key!r} already exists")
        self._keys[key] = None
        setattr(self, key, _owned(value))

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def keys(self) -> Any:
        """The names."""
        return self._keys.keys()

    def values(self) -> list[Any]:
        """The parameters."""
        return [self[key] for key in self._keys]

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of name and parameter."""
        return [(key, self[key]) for key in self._keys]

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of that name, or `default`."""
        return self[key] if key in self._keys else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter of that name, put there first if it is missing."""
        if key not in self._keys:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take a parameter out and return it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last pair out and return it."""
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def clear(self) -> None:
        """Take all parameters out."""
        for key in list(self._keys):
            del self[key]

    def copy(self) -> ParameterDict:
        """Another dict of the same parameters."""
        return ParameterDict(self)

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new dict with these names, each with `default`."""
        return ParameterDict((key, default) for key in keys)

    def update(self, parameters: Any) -> None:
        """Add or replace parameters from a dict, by the order of its names, or from pairs.

        Optimisers number parameters by their order, which is PyTorch's: an OrderedDict keeps its
        own.
        """
        pairs = pairs_of(parameters, "ParameterDict")
        if isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict):
            pairs.sort(key=lambda pair: pair[0])
        for key, value in pairs:
            self[key] = value

    def __or__(self, other: Any) -> ParameterDict:
        made = self.copy()
        made.update(other)
        return made

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def extra_repr(self) -> str:
        return "\n".join(_shown(key, value) for key, value in self.items())

    def __repr__(self) -> str:
        return _block(self)


def _block(model: Model) -> str:
    extra = model.extra_repr().replace("\n", "\n    ")
    return f"{model._get_name()}(\n    {extra}\n)" if extra else f"{model._get_name()}()"
