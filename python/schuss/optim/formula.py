"""The formulas of optimisers' steps, read from the core's records and worked out in Python.
Leans on the records alone; for plain numbers, and for steps that are themselves differentiated."""

from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING

import schuss
from schuss import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


def _divided(a: Any, b: Any) -> Any:
    if isinstance(a, schuss.Tensor) or isinstance(b, schuss.Tensor) or b != 0:
        return a / b
    return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1, b)


def _root(a: Any) -> Any:
    if isinstance(a, schuss.Tensor):
        return a.sqrt()
    return math.sqrt(a) if a >= 0 else math.nan


def _chosen(mask: Any, yes: Any, no: Any) -> Any:
    if isinstance(mask, schuss.Tensor):
        return schuss.where(mask, yes, no)
    return yes if mask else no


def _either(a: Any, b: Any) -> Any:
    plain = isinstance(a, bool) and isinstance(b, bool)
    return (a or b) if plain else schuss.as_tensor(a) | schuss.as_tensor(b)


_WORDS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": _divided,
    "neg": operator.neg,
    "abs": abs,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "isnan": lambda a: a != a,
    "or": _either,
    "select": _chosen,
    "sqrt": _root,
}


@functools.cache
def _lines(name: str) -> tuple[list[list[str]], list[int]]:
    """The lines of a step's formula, as words, and those that are its results."""
    text = next(row["formula"] for row in _core.records() if row["name"] == name)
    *lines, last = text.strip().splitlines()
    results = [int(word.strip(" ,v")) for word in last.removeprefix("return").split(",")]
    return [line.split(" = ")[1].split() for line in lines], results


def worked_out(name: str, inputs: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
    """What a step writes, from its inputs and its numbers: tensors, or floats from floats.

    >>> from schuss.optim.formula import worked_out
    >>> worked_out("plain_step", (2.0, 4.0), (1.0, 0.25, 0.0))
    [1.0]
    """
    lines, results = _lines(name)
    values: list[Any] = []
    for word, *operands in lines:
        if word[0] == "x" and word[1:].isdigit():
            values.append(inputs[int(word[1:])])
        elif word[0] == "p" and word[1:].isdigit():
            values.append(numbers[int(word[1:])])
        elif operands:
            values.append(_WORDS[word](*(values[int(v[1:])] for v in operands)))
        else:
            values.append(float(word))
    return [values[k] for k in results]
