"""How a line of the oracle table is written: drawn inputs, cases, entries, answers by dtype.

Leans on NumPy only; reference.py is written in these words and test_ops.py reads them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

# What comes out for an input of each dtype, in the order ? B b h i l e w f d (NumPy's letters;
# w is bfloat16, - is refused with a RuntimeError). Made with PyTorch 2.15, for each name:
#   for d in dtypes: try: f(*inputs of d).dtype; except RuntimeError: "-"
SAME = "?Bbhilewfd"
FLOATED = "ffffffewfd"
FLOAT = "------ewfd"
NUMBER = "-Bbhilewfd"
INTEGER = "?Bbhil----"
MASK = "??????????"
SUM = "llllllewfd"
PLACE = "-lllllllll"
SIZE_SAME = "lBbhilewfd"


class Draw(NamedTuple):
    """One input: what to draw (see ``values``), its shape, and for indices their bound."""

    what: str
    shape: tuple
    high: int = 0

    @property
    def moves(self) -> bool:
        """Whether this input takes the dtype under test and, if that is a float, a gradient."""
        return self.what in "FNPS"

    def values(self, rng: np.random.Generator, dtype: np.dtype, lo: float, hi: float) -> np.ndarray:
        if self.what == "I":
            return rng.integers(0, self.high, self.shape)
        if self.what == "M":
            return rng.random(self.shape) < 0.5
        if self.what in "PK":
            lo, hi = 0.05, 0.95
        if dtype.kind in "biu":
            low = max(math.ceil(lo), 0 if dtype.kind == "u" else -128)
            drawn = rng.integers(low, max(math.floor(hi), low) + 1, self.shape)
            x = drawn % 2 if dtype.kind == "b" else drawn
        else:
            x = rng.uniform(lo, hi, self.shape)
        if self.what == "N":
            x = np.where(np.abs(x) < 0.5, 1, x)
        if self.what == "S":
            x = x + 4 * np.eye(self.shape[-1])
        return np.asarray(x).astype(dtype)


def F(*shape: int) -> Draw:
    return Draw("F", shape)


def N(*shape: int) -> Draw:
    return Draw("N", shape)


def P(*shape: int) -> Draw:
    return Draw("P", shape)


def K(*shape: int) -> Draw:
    return Draw("K", shape)


def S(*shape: int) -> Draw:
    return Draw("S", shape)


def M(*shape: int) -> Draw:
    return Draw("M", shape)


def L(high: int, *shape: int) -> Draw:
    return Draw("I", shape, high)


class Case(NamedTuple):
    """One call: the drawn inputs, then plain arguments and keywords."""

    inputs: tuple
    args: tuple
    keywords: dict


def case(*parts: Any, **keywords: Any) -> Case:
    drawn = tuple(p for p in parts if isinstance(p, Draw))
    return Case(drawn, tuple(p for p in parts if not isinstance(p, Draw)), keywords)


class Entry(NamedTuple):
    oracle: Callable
    kind: str
    dtypes: str
    check: tuple[float, float]
    grad: bool
    cases: tuple
    call: Callable | None
    any_layout: bool


TABLE: dict[str, Entry] = {}


def entry(
    name: str,
    oracle: Callable,
    dtypes: str = SAME,
    check: tuple[float, float] = (-2.0, 2.0),
    *cases: Case,
    kind: str = "cases",
    grad: bool = True,
    call: Callable | None = None,
    any_layout: bool = True,
) -> None:
    TABLE[name] = Entry(oracle, kind, dtypes, check, grad, cases, call, any_layout)


def unary(name: str, oracle: Callable, *rest: Any, **more: Any) -> None:
    entry(name, oracle, *rest, kind="unary", **more)


def binary(name: str, oracle: Callable, *rest: Any, **more: Any) -> None:
    entry(name, oracle, *rest, kind="binary", **more)
