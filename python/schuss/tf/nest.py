"""tf.nest: nested lists, tuples and dicts as one list and back.
Leans on the tape's own nests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.tape.nest import flatten, pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "flatten",
    "map_structure",
    "pack_sequence_as",
]


def pack_sequence_as(structure: Any, flat_sequence: Any) -> Any:
    """The same nest around a flat list; a list of another length raises ValueError.

    >>> pack_sequence_as({"a": 0, "b": [0]}, [1, 2])
    {'a': 1, 'b': [2]}
    """
    flat = list(flat_sequence)
    if len(flat) != len(flatten(structure)):
        raise ValueError(
            f"pack_sequence_as: the structure has {len(flatten(structure))} leaves, the list "
            f"{len(flat)}; give one for each"
        )
    return pack(structure, iter(flat))


def map_structure(func: Callable[..., Any], *structure: Any) -> Any:
    """The nest of what a function makes of each leaf; nests of other sizes raise ValueError.

    >>> map_structure(abs, {"a": -1, "b": [-2]})
    {'a': 1, 'b': [2]}
    """
    columns = [flatten(one) for one in structure]
    if len({len(column) for column in columns}) != 1:
        raise ValueError("map_structure: the nests differ; give nests of one structure")
    return pack(structure[0], iter([func(*leaves) for leaves in zip(*columns, strict=True)]))
