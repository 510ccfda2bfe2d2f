"""Poolings against their definition: largest elements and means of windows, and their gradients.

Leans on schuss and NumPy; the slow versions go window by window.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import schuss
from schuss.testing import assert_close

F = schuss.nn.functional
SIZES = ((23,), (40,), (11, 14), (24, 24), (5, 6, 37))
WAYS = [
    (k, s, p, ceil)
    for k, s, p, ceil in itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1), (False, True))
    if p <= k // 2
]


def counts(sizes: Any, k: int, s: int, p: int, gap: int, ceil: bool) -> list[int]:
    """How many windows each axis has; with `ceil` the last may hang over, but begins inside."""
    found = []
    for n in sizes:
        room = n + 2 * p - gap * (k - 1) - 1
        count = (-(-room // s) if ceil else room // s) + 1
        found.append(count - int(ceil and (count - 1) * s >= n + p))
    return found


def windows(sizes: Any, k: int, s: int, p: int, gap: int, ceil: bool) -> Any:
    """Each place, and the positions inside of the axes that its window has, axis by axis."""
    for place in np.ndindex(*counts(sizes, k, s, p, gap, ceil)):
        lists = []
        for q, n in zip(place, sizes, strict=True):
            at = [q * s - p + j * gap for j in range(k)]
            lists.append([a for a in at if 0 <= a < n])
        yield place, lists


def largest(x: np.ndarray, *way: Any) -> tuple[np.ndarray, np.ndarray]:
    sizes = x.shape[2:]
    shape = (*x.shape[:2], *counts(sizes, *way))
    values, places = np.zeros(shape, x.dtype), np.zeros(shape, int)
    rows = x.reshape(*x.shape[:2], -1)
    for place, lists in windows(sizes, *way):
        flat = np.array([np.ravel_multi_index(at, sizes) for at in itertools.product(*lists)])
        part = rows[..., flat]
        # NumPy's argmax, too, gives the first NaN, or else the first of equal ones.
        values[(..., *place)], places[(..., *place)] = part.max(-1), flat[part.argmax(-1)]
    return values, places


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_of_windows(sizes: tuple[int, ...], dtype: str) -> None:
    pool = getattr(F, f"max_pool{len(sizes)}d")
    draw = np.random.default_rng(0)
    for k, s, p, ceil in WAYS:
        for gap in (1, 2):
            if any(n + 2 * p < gap * (k - 1) + 1 for n in sizes):
                continue
            # Few different numbers, so that there are equal ones; some are infinite or none.
            x = draw.integers(-2, 3, (2, 3, *sizes)).astype(dtype)
            x[draw.random(x.shape) < 0.2] = -np.inf
            x[1][draw.random(x[1].shape) < 0.05] = np.nan
            tensor = schuss.tensor(x, requires_grad=True)
            have = pool(tensor, k, s, p, gap, ceil, True)
            values, places = largest(x, k, s, p, gap, ceil)
            note = f"{k} {s} {p} {gap} {ceil}"
            assert np.array_equal(have[0].detach().numpy(), values, equal_nan=True), note
            assert np.array_equal(have[1].numpy(), places), note
            g = draw.integers(-4, 5, values.shape).astype(dtype)
            (found,) = schuss.autograd.grad(have[0], tensor, schuss.tensor(g), create_graph=True)
            want = np.zeros((2, 3, x[0, 0].size), dtype)
            for i, j in np.ndindex(2, 3):
                np.add.at(want[i, j], places[i, j].ravel(), g[i, j].ravel())
            assert np.array_equal(found.detach().numpy(), want.reshape(x.shape)), note


def test_the_gradient_of_the_largest_is_differentiated_again() -> None:
    x = schuss.tensor([[[1.0, 3.0, 2.0, 5.0]]], requires_grad=True)
    g = schuss.tensor([[[10.0, 20.0]]], requires_grad=True)
    (first,) = schuss.autograd.grad(F.max_pool1d(x, 2), x, g, create_graph=True)
    assert first.flatten().tolist() == [0.0, 10.0, 0.0, 20.0]
    (second,) = schuss.autograd.grad((first * schuss.arange(4.0)).sum(), g)
    assert second.flatten().tolist() == [1.0, 3.0]


def means(x: np.ndarray, way: Any, include: bool, divisor: int | None) -> Any:
    """Means, and the matrix that gives them from a flattened plane."""
    k, s, p, ceil = way
    sizes = x.shape[2:]
    shape = counts(sizes, k, s, p, 1, ceil)
    matrix = np.zeros((int(np.prod(shape)), int(np.prod(sizes))))
    for row, (place, lists) in enumerate(windows(sizes, k, s, p, 1, ceil)):
        # Positions in the padding count, those beyond it do not.
        whole = [min(q * s - p + k, n + p) - (q * s - p) for q, n in zip(place, sizes, strict=True)]
        share = np.prod(whole if include else [len(at) for at in lists])
        for at in itertools.product(*lists):
            matrix[row, np.ravel_multi_index(at, sizes)] = 1.0 / (divisor or share)
    return (x.reshape(*x.shape[:2], -1) @ matrix.T).reshape(*x.shape[:2], *shape), matrix


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_means_of_windows(sizes: tuple[int, ...]) -> None:
    pool = getattr(F, f"avg_pool{len(sizes)}d")
    draw = np.random.default_rng(0)
    for way in WAYS[:: 1 if len(sizes) < 3 else 3]:
        k, s, p, ceil = way
        if any(n + 2 * p < k for n in sizes):
            continue
        for include, divisor in ((True, None), (False, None), (True, 7)):
            if divisor is not None and len(sizes) == 1:
                continue
            rest = {} if divisor is None else {"divisor_override": divisor}
            x = draw.normal(size=(2, 3, *sizes))
            tensor = schuss.tensor(x, requires_grad=True)
            have = pool(tensor, k, s, p, ceil, include, **rest)
            want, matrix = means(x, way, include, divisor)
            assert_close(have.detach(), schuss.tensor(want), msg=f"{way} {include} {divisor}")
            g = draw.normal(size=want.shape)
            grad = schuss.tensor(g, requires_grad=True)
            (found,) = schuss.autograd.grad(have, tensor, grad, create_graph=True)
            back = (g.reshape(2, 3, -1) @ matrix).reshape(x.shape)
            assert_close(found.detach(), schuss.tensor(back), msg=f"{way} {include} {divisor}")
            again = draw.normal(size=x.shape)
            (second,) = schuss.autograd.grad(found, grad, schuss.tensor(again))
            assert_close(second, schuss.tensor(means(again, way, include, divisor)[0]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_means_are_rounded_once(dtype: str) -> None:
    kind = getattr(schuss, dtype)
    x = schuss.tensor(np.random.default_rng(2).normal(size=(2, 3, 9, 35))).to(kind)
    wide = x.to(schuss.float64)
    assert_close(F.avg_pool2d(x, 3, 2, 1), F.avg_pool2d(wide, 3, 2, 1).to(kind))
    x.requires_grad_()
    F.avg_pool2d(x, 2).sum().backward()
    assert (x.grad[..., :8, :34] == 0.25).all() and (x.grad[..., 8, :] == 0).all()


def test_planes_that_do_not_lie_in_rows() -> None:
    x = schuss.tensor(np.random.default_rng(2).normal(size=(9, 2, 12, 3))).permute(1, 3, 0, 2)
    for pool in (F.max_pool2d, F.avg_pool2d):
        assert_close(pool(x, 3, 2, 1), pool(x.contiguous(), 3, 2, 1))
    assert F.max_pool2d(schuss.zeros(0, 3, 8, 8), 2).shape == (0, 3, 4, 4)
    assert F.avg_pool2d(schuss.zeros(0, 3, 8, 8), 2).shape == (0, 3, 4, 4)
