"""Nested arguments and results of transformed functions: lists, tuples and dicts of tensors.
Leans on the nests that tapes use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss._core import Tensor
from schuss.tape.nest import flatten, pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def mapped(function: Callable, tree: Any) -> Any:
    """The same nest with a function of each leaf in its place."""
    return pack(tree, iter([function(leaf) for leaf in flatten(tree)]))


def tensors(op: str, role: str, tree: Any) -> list[Tensor]:
    """The leaves of a nest, all of which must be tensors; raises TypeError naming another."""
    leaves = flatten(tree)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise TypeError(f"{op}: {role} must be tensors or nests of them, got {_named(leaf)}")
    return leaves


def floats(op: str, role: str, tree: Any) -> list[Tensor]:
    """The leaves of a nest, all of which must be tensors of floats."""
    leaves = tensors(op, role, tree)
    for leaf in leaves:
        if not leaf.dtype.to_real().is_floating_point:
            raise RuntimeError(f"{op}: {role} must be floats, got {leaf.dtype}; use .float()")
    return leaves


def alike(op: str, what: str, tree: Any, against: Any, role: str) -> list[Any]:
    """The leaves of a nest that must be nested as another; raises RuntimeError saying both."""
    mine, other = shape(tree), shape(against)
    if mine != other:
        raise RuntimeError(f"{op}: {what} is nested as {mine}, {role} as {other}; make them equal")
    return flatten(tree)


def shape(tree: Any) -> str:
    """How values are nested, with * for each leaf."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key!r}: {shape(tree[key])}" for key in tree) + "}"
    if isinstance(tree, tuple):
        return "(" + ", ".join(shape(part) for part in tree) + ("," if len(tree) == 1 else "") + ")"
    if isinstance(tree, list):
        return "[" + ", ".join(shape(part) for part in tree) + "]"
    return "*"


def chosen(op: str, argnums: int | tuple[int, ...], args: tuple) -> Any:
    """The arguments that a derivative is taken at: one, or a tuple of several."""
    places = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for place in places:
        if not isinstance(place, int) or not -len(args) <= place < len(args):
            raise RuntimeError(
                f"{op}: argnums={argnums!r}, but the function is called with {len(args)} positional"
                " arguments"
            )
    return args[argnums] if isinstance(argnums, int) else tuple(args[i] for i in places)


def replaced(argnums: int | tuple[int, ...], args: tuple, new: Any) -> tuple:
    """The arguments with those of a derivative exchanged."""
    changed = list(args)
    for place, value in (
        [(argnums, new)] if isinstance(argnums, int) else zip(argnums, new, strict=True)
    ):
        changed[place] = value
    return tuple(changed)


def _named(value: Any) -> str:
    return "None" if value is None else type(value).__name__
