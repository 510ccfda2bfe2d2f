"""What a layer is told when it is made, checked there and then.
Leans on the core's error classes."""

from __future__ import annotations

from numbers import Real
from operator import index
from typing import TYPE_CHECKING

from schuss._core import ShapeError

if TYPE_CHECKING:
    from typing import Any


def whole(layer: str, name: str, value: Any) -> int:
    """An integer; TypeError for anything else, such as 3.0."""
    try:
        return index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{layer}: {name} must be an integer, got {kind}") from None


def size(layer: str, name: str, value: Any) -> int:
    """An integer of at least 0; ShapeError for one below."""
    found = whole(layer, name, value)
    if found < 0:
        raise ShapeError(f"{layer}: {name} must be at least 0, got {found}")
    return found


def probability(layer: str, name: str, value: Any) -> Any:
    """A number from 0 to 1; ValueError outside, TypeError for what is no number."""
    if not isinstance(value, Real):
        raise TypeError(f"{layer}: {name} must be a number, got {type(value).__name__}")
    if not 0 <= float(value) <= 1:
        raise ValueError(f"{layer}: {name} must be a probability from 0 to 1, got {value}")
    return value


def each(layer: str, name: str, value: Any, count: int) -> tuple[int, ...]:
    """`count` integers, from one of them or from as many; ValueError for another number of them."""
    if not isinstance(value, (tuple, list)):
        return (whole(layer, name, value),) * count
    if len(value) != count:
        raise ValueError(f"{layer}: {name} must be one number or {count}, got {tuple(value)}")
    return tuple(whole(layer, name, v) for v in value)


def repeated(count: int) -> Any:
    """The function that says one value `count` times, and makes a tuple of any iterable.

    >>> from schuss.nn.modules.utils import _pair
    >>> _pair(3), _pair([1, 2])
    ((3, 3), (1, 2))
    """

    def tupled(value: Any) -> tuple[Any, ...]:
        return tuple(value) if hasattr(value, "__iter__") else (value,) * count

    return tupled


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """The device and dtype among a layer's keywords; TypeError for any other.

    >>> from schuss import nn
    >>> nn.factory_kwargs({"device": "cpu"})
    {'device': 'cpu'}
    """
    found = dict(kwargs or {})
    found.update(found.pop("factory_kwargs", {}))
    unknown = sorted(set(found) - {"device", "dtype", "memory_format"})
    if unknown:
        raise TypeError(f"factory_kwargs: unknown keywords {', '.join(unknown)}")
    return found


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Take a prefix off the names of a state dict, in place: "module." of a wrapped model's.

    >>> from schuss.nn.modules.utils import consume_prefix_in_state_dict_if_present as consume
    >>> state = {"module.weight": 1}
    >>> consume(state, "module.")
    >>> state
    {'weight': 1}
    """
    for name in [name for name in state_dict if name.startswith(prefix)]:
        state_dict[name[len(prefix) :]] = state_dict.pop(name)
    facts = getattr(state_dict, "_metadata", None)
    for name in list(facts or ()):
        if name and (name.startswith(prefix) or name == prefix.removesuffix(".")):
            facts[name[len(prefix) :]] = facts.pop(name)


_single, _pair, _triple, _quadruple = (repeated(n) for n in (1, 2, 3, 4))
_ntuple = repeated
