"""Nests of lists, tuples and dicts: their leaves in order, and the same nest around others.
Leans on nothing but the standard library."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def flatten(nest: Any) -> list[Any]:
    """List the leaves of nested lists, tuples and dicts; a dict's in the order of its sorted keys.

    >>> flatten({"b": [1, (2,)], "a": 0})
    [0, 1, 2]
    """
    if isinstance(nest, dict):
        return [leaf for key in _keys(nest) for leaf in flatten(nest[key])]
    if isinstance(nest, (list, tuple)):
        return [leaf for part in nest for leaf in flatten(part)]
    return [nest]


def pack(nest: Any, leaves: Iterator[Any]) -> Any:
    """Build the same nest anew around other leaves, which are taken in the order of `flatten`.

    >>> pack({"b": [1, (2,)], "a": 0}, iter("xyz"))
    {'b': ['y', ('z',)], 'a': 'x'}
    """
    if isinstance(nest, dict):
        packed = copy.copy(nest)
        for key in _keys(nest):
            packed[key] = pack(nest[key], leaves)
        return packed
    if isinstance(nest, (list, tuple)):
        parts = [pack(part, leaves) for part in nest]
        return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)
    return next(leaves)


def _keys(nest: dict[Any, Any]) -> list[Any]:
    try:
        return sorted(nest)
    except TypeError:
        return list(nest)
