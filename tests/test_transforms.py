"""Every differentiable function transformed: its tangent against its own reverse mode, many
examples at once against one after the other, and both modes over each other.

Leans on schuss.func and on the calls and layouts of the oracle table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import schuss
from reference import TABLE
from schuss.func import grad, jvp, vjp, vmap
from schuss.testing import assert_close
from test_ops import NAMES, cases, function, laid, outputs, shown

GRADED = [name for name in NAMES if TABLE[name].grad]
CLOSE = {"rtol": 1e-7, "atol": 1e-9, "equal_nan": True}
Run = tuple[Callable, list]


def moving(name: str, layouts: tuple[str, ...] = ("contiguous", "transposed")) -> Iterator[Run]:
    """Functions of their moving operands in float64, for each call and layout."""
    entry, f = TABLE[name], function(name)
    for one in cases(entry, largest=24):
        if not any(draw.moves for draw in one.inputs):
            continue
        for layout in layouts if entry.any_layout else layouts[:1]:
            for stored, views, _ in laid(entry, one, "d", name, layout):
                places = [i for i, draw in enumerate(one.inputs) if draw.moves]

                def run(*xs, stored=stored, views=views, one=one, places=places):
                    full = list(stored)
                    for place, x in zip(places, xs, strict=True):
                        full[place] = x
                    out = f(*shown(full, views), *one.args, **one.keywords)
                    return tuple(y for y in outputs(out) if y.is_floating_point())

                yield run, [stored[i] for i in places]


def drawn(like: list, seed: int = 0) -> list:
    rng = np.random.default_rng(seed)
    return [schuss.tensor(rng.standard_normal(tuple(x.shape))).to(x.dtype) for x in like]


@pytest.mark.parametrize("name", GRADED)
def test_tangents_are_those_of_reverse_mode(name: str) -> None:
    for run, xs in moving(name):
        along = drawn(xs)
        ys, moved = jvp(run, tuple(xs), tuple(along))
        found, pull = vjp(run, *xs)
        for y, f in zip(ys, found, strict=True):
            assert_close(y, f, **CLOSE)
        if any(bool(y.isnan().any()) for y in ys):
            continue  # the mean of nothing moves nowhere
        weights = drawn(list(ys), 1)
        back = pull(*weights) if len(weights) > 1 else pull(tuple(weights))
        left = sum((w * t).sum() for w, t in zip(weights, moved, strict=True))
        right = sum((g * v).sum() for g, v in zip(back, along, strict=True))
        assert_close(left, right, rtol=1e-6, atol=1e-8, equal_nan=True, msg=name)


@pytest.mark.parametrize("name", GRADED)
def test_many_examples_are_one_after_the_other(name: str) -> None:
    for run, xs in moving(name):
        # A few per cent more of each operand stays where the function is sampled.
        many = [schuss.stack([x, x * 1.02, x * 0.99]) for x in xs]
        found = vmap(run)(*many)
        rows = [run(*(m[k].clone() for m in many)) for k in range(3)]
        for k, y in enumerate(found):
            assert_close(y, schuss.stack([row[k] for row in rows]), **CLOSE, msg=name)
        # The first operand alone differs.
        found = vmap(run, in_dims=(0,) + (None,) * (len(xs) - 1))(many[0], *xs[1:])
        rows = [run(many[0][k].clone(), *xs[1:]) for k in range(3)]
        for k, y in enumerate(found):
            assert_close(y, schuss.stack([row[k] for row in rows]), **CLOSE, msg=name)


def total(run: Callable, weights: list) -> Callable:
    def summed(*xs):
        return sum((w * y).sum() for w, y in zip(weights, run(*xs), strict=True))

    return summed


@pytest.mark.parametrize("name", GRADED)
def test_gradients_of_many_examples(name: str) -> None:
    for run, xs in moving(name, ("contiguous",)):
        loss = total(run, drawn(list(run(*xs)), 1))
        many = [schuss.stack([x, x * 1.02]) for x in xs]
        places = tuple(range(len(xs)))
        slope = grad(loss, argnums=places)
        found = vmap(slope)(*many)
        rows = [slope(*(m[k].clone() for m in many)) for k in range(2)]
        for k, g in enumerate(found):
            assert_close(g, schuss.stack([row[k] for row in rows]), **CLOSE, msg=name)


@pytest.mark.parametrize("name", GRADED)
def test_forward_over_reverse_is_reverse_over_reverse(name: str) -> None:
    for run, xs in moving(name, ("contiguous",)):
        loss = total(run, drawn(list(run(*xs)), 1))
        along, places = drawn(xs, 2), tuple(range(len(xs)))
        slope = grad(loss, argnums=places)
        _, first = jvp(slope, tuple(xs), tuple(along))

        def product(*at, slope=slope, along=along):
            return sum((g * v).sum() for g, v in zip(slope(*at), along, strict=True))

        second = grad(product, argnums=places)(*xs)
        for a, b in zip(first, second, strict=True):
            assert_close(a, b, rtol=1e-6, atol=1e-8, equal_nan=True, msg=name)
