"""What derivatives keep is asked once for each record and set of inputs, then remembered: no call
may leave an answer behind that is wrong for a later one.

Leans on schuss and on the calls of the oracle table.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import schuss
from reference import TABLE
from samples import Case, F, case
from schuss.testing import assert_close
from test_ops import RECORDS, arrays, cases, function, outputs

NAMES = sorted(name for name in TABLE if TABLE[name].grad)
# Where a rule may take another way: numbers in the place of tensors, and of parameters.
NUMBERS = (0, 1, -1, 2, 0.5, 0.0)
PLAIN = {"number": NUMBERS, "bool": (False, True), "int": (-1, 0, 1), "text": ()}
# Values of operands: as they are drawn, and those at which derivatives have corners.
VALUES: dict[str, Callable] = {
    "drawn": lambda x: x,
    "zero": np.zeros_like,
    "negative": lambda x: -np.abs(x),
}
# One call: the function, its operands (arrays, or numbers that stay such), which of them move.
Call = tuple[Callable, list, tuple[int, ...]]


def shaped(name: str) -> list[Case]:
    """The table's calls, and for element-wise records 0-d, empty and broadcast operands."""
    made = cases(TABLE[name], largest=30)
    if TABLE[name].kind == "binary":
        made += [case(F(3, 1), F(4)), case(F(1), F(2, 3)), case(F(), F(2)), case(F(2), F())]
    return made


def variants(name: str, one: Case) -> Iterator[Case]:
    """The call as it is, and with other values of the record's parameters."""
    yield one
    record = RECORDS.get(name)
    if record is None or TABLE[name].call:
        return
    for param, kind in zip(record["params"], record["kinds"], strict=True):
        if param not in one.keywords and len(one.args) <= record["params"].index(param):
            for value in PLAIN.get(kind.removeprefix("maybe"), ()):
                yield one._replace(keywords={**one.keywords, param: value})


def calls(name: str) -> Iterator[Call]:
    f = function(name)
    for one in shaped(name):
        values = arrays(name, one, "d")
        moving = [i for i, draw in enumerate(one.inputs) if draw.moves]
        for form in variants(name, one):

            def run(*xs: object, form: Case = form) -> object:
                return f(*xs, *form.args, **form.keywords)

            for size in range(1, len(moving) + 1):
                for chosen in itertools.combinations(moving, size):
                    yield run, list(values), chosen
        if TABLE[name].kind == "binary":
            # A plain number on one side.
            for i, number in itertools.product(range(2), NUMBERS):
                operands: list = list(values)
                operands[i] = number
                yield f, operands, (1 - i,)


def slopes(call: Call, look: Callable) -> list | None:
    """The gradients of a call, or None where it is refused."""
    f, operands, chosen = call
    drawn = [isinstance(x, np.ndarray) and x.dtype.kind == "f" for x in operands]
    xs = [np.asarray(look(x)) if d else x for x, d in zip(operands, drawn, strict=True)]
    xs = [schuss.tensor(x) if isinstance(x, np.ndarray) else x for x in xs]
    moving = [xs[i].requires_grad_() for i in chosen]
    try:
        found = [y for y in outputs(f(*xs)) if y.requires_grad]
    except (RuntimeError, ValueError, TypeError, IndexError):
        return None
    if not found:
        return None
    weights = [schuss.full(tuple(y.shape), 0.7, dtype=y.dtype) for y in found]
    return list(schuss.autograd.grad(found, moving, weights, allow_unused=True))


def thinned(listed: list, most: int = 16) -> list:
    step = max(1, len(listed) // most)
    return listed[::step]


@pytest.mark.parametrize("name", NAMES)
def test_no_call_leaves_a_wrong_answer_behind(name: str) -> None:
    """Any call may come first: the next one's gradient is what it is on its own."""
    alone = []
    for call in thinned(list(calls(name)), 60):
        schuss._core._forget_kept()
        found = slopes(call, VALUES["drawn"])
        if found is not None:
            alone.append((call, found))
    assert alone, f"{name}: no call of the table has a derivative"
    # Each call first, with each kind of value; after it, every other.
    for (first, _), look in itertools.product(thinned(alone), VALUES.values()):
        schuss._core._forget_kept()
        # The first one's own derivative may not exist there: a matrix of zeros has no inverse.
        with contextlib.suppress(RuntimeError):
            slopes(first, look)
        for second, want in thinned(alone):
            got = slopes(second, VALUES["drawn"])
            assert got is not None
            for g, w in zip(got, want, strict=True):
                assert (g is None) == (w is None)
                if g is not None:
                    assert_close(g, w, equal_nan=True, msg=f"{name}{second} after {first}")
