"""Floats that a compiled step is given: numbers that remember how they were worked out, so that a
program is told them anew at each run. Leans on the core's recorder and Python's operators."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import schuss
from schuss import _core

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Given:
    """A float while a step is recorded. Beside a tensor it becomes an operand of the program;
    arithmetic with numbers gives another such float; whatever else asks for its value makes the
    program one for this value alone."""

    __slots__ = ("_again", "_read", "_roots", "_value")

    def __init__(
        self, value: float, again: Callable[[], float], roots: frozenset[int], read: set[int]
    ) -> None:
        self._value, self._again, self._roots, self._read = value, again, roots, read

    @property
    def __class__(self) -> type:  # type: ignore[override]
        """For whoever asks whether it is a number."""
        return float

    def _operand(self, dtype: Any) -> Any:
        """One element that holds the value, written anew before each run."""
        again, made = self._again, schuss.empty((), dtype=dtype)
        _core.fused_step("given_step", [[made]], (self._value,))
        _core._host_call(lambda: _core._numbers([again()]))
        return made

    def __float__(self) -> float:
        self._read.update(self._roots)
        return self._value

    def __reduce_ex__(self, protocol: Any) -> Any:
        return float, (float(self),)

    def __copy__(self) -> float:
        return float(self)

    def __deepcopy__(self, memo: Any) -> float:
        return float(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(float(self), name)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        import numpy

        return numpy.asarray(float(self), *args, **kwargs)


def _worked_out(work: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """An operator of two numbers for `Given`, and the same with the sides changed."""

    def combine(self: Given, other: Any, swapped: bool) -> Any:
        if type(other) is Given:
            again, roots = other._again, self._roots | other._roots
            other = other._value
        elif type(other) in (int, float, bool):
            roots, number = self._roots, other

            def again() -> Any:
                return number
        else:
            return NotImplemented
        own = self._again
        sides = (other, self._value) if swapped else (self._value, other)
        value = work(*sides)
        if type(value) is not float:
            return work(*((other, float(self)) if swapped else (float(self), other)))

        def anew() -> float:
            return work(again(), own()) if swapped else work(own(), again())

        return Given(value, anew, roots, self._read)

    def plain(self: Given, other: Any) -> Any:
        return combine(self, other, False)

    def reflected(self: Given, other: Any) -> Any:
        return combine(self, other, True)

    return plain, reflected


def _asked(work: Callable[..., Any]) -> Callable[..., Any]:
    """An operator for which the value itself is needed."""

    def ask(self: Given, *rest: Any) -> Any:
        rest = tuple(float(x) if type(x) is Given else x for x in rest)
        return NotImplemented if any(map(_is_tensor, rest)) else work(float(self), *rest)

    return ask


def _is_tensor(x: Any) -> bool:
    return isinstance(x, schuss.Tensor)


for _name in ("add", "sub", "mul", "truediv", "pow"):
    _plain, _reflected = _worked_out(getattr(operator, _name))
    setattr(Given, f"__{_name}__", _plain)
    setattr(Given, f"__r{_name}__", _reflected)
for _name in ("lt", "le", "eq", "ne", "gt", "ge", "floordiv", "mod"):
    setattr(Given, f"__{_name}__", _asked(getattr(operator, _name)))
for _name, _work in {
    "rfloordiv": lambda x, y: y // x,
    "rmod": lambda x, y: y % x,
    "divmod": divmod,
    "bool": bool,
    "int": int,
    "trunc": int,
    "round": round,
    "hash": hash,
    "str": str,
    "repr": repr,
    "format": format,
    "abs": abs,
    "floor": lambda x: x.__floor__(),
    "ceil": lambda x: x.__ceil__(),
}.items():
    setattr(Given, f"__{_name}__", _asked(_work))
Given.__neg__ = lambda self: -1.0 * self  # type: ignore[attr-defined]
Given.__pos__ = lambda self: self  # type: ignore[attr-defined]
_core._given_class(Given)


def give(args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> tuple[Any, Any, Any, Any]:
    """Arguments with their floats made `Given`, the list that those are read from, and the set of
    the places in it that were read as numbers."""
    values: list[float] = []
    read: set[int] = set()

    def given(x: Any) -> Any:
        if type(x) is not float:
            return x
        k = len(values)
        values.append(x)
        return Given(x, lambda: values[k], frozenset((k,)), read)

    plain = tuple(map(given, args))
    named = None if kwargs is None else {name: given(x) for name, x in kwargs.items()}
    return plain, named, values, read
