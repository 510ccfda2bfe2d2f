"""A tour of the whole in a few seconds: run it first, because it says quickest what is broken.

Leans on schuss and NumPy alone.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import schuss
from schuss.testing import assert_close


def test_a_number_and_its_slope() -> None:
    x = schuss.tensor(3.0, requires_grad=True)
    y = x**2 + 2 * x + 1
    y.backward()
    assert y.item() == 16.0
    assert x.grad.item() == 8.0


def test_an_expression_with_everything_reused() -> None:
    def expression(a: object, b: object, exp: object) -> object:
        c = a * b + b**3
        c = c + c + 1
        d = 3 * c - (a / b) * 2.5
        e = exp(-d * 0.01) + (d - c) ** 2 / (1.0 + b * b)
        return e + 24.0 / e + a

    a, b = schuss.tensor([-4.0, 2.0], dtype=schuss.float64, requires_grad=True).unbind()
    y = expression(a, b, schuss.exp)
    assert math.isclose(y.item(), expression(-4.0, 2.0, math.exp), rel_tol=1e-12)
    da, db = schuss.autograd.grad(y, (a, b))
    eps = 1e-6
    for got, one, two in [(da, eps, 0.0), (db, 0.0, eps)]:
        up = expression(-4.0 + one, 2.0 + two, math.exp)
        down = expression(-4.0 - one, 2.0 - two, math.exp)
        assert math.isclose(got.item(), (up - down) / (2 * eps), rel_tol=1e-6)


def test_views_share_their_memory() -> None:
    x = schuss.ones(3, 2)
    x[:, 0].mul_(5)
    assert x.tolist() == [[5.0, 1.0]] * 3
    x.t()[1].zero_()
    assert x.tolist() == [[5.0, 0.0]] * 3


def test_numpy_shares_memory_both_ways() -> None:
    a = np.arange(6.0).reshape(2, 3)
    t = schuss.from_numpy(a)
    a[0, 0] = 7
    t[1, 2] = 9
    assert t[0, 0].item() == 7 and a[1, 2] == 9
    assert np.shares_memory(t.numpy(), a)


def test_shapes_broadcast_and_gradients_come_back() -> None:
    w = schuss.ones(3, 1, requires_grad=True)
    b = schuss.zeros(4, requires_grad=True)
    ((w + b) * schuss.arange(12.0).reshape(3, 4)).sum().backward()
    assert w.grad.tolist() == [[6.0], [22.0], [38.0]]
    assert b.grad.tolist() == [12.0, 15.0, 18.0, 21.0]


def test_a_line_is_fitted() -> None:
    schuss.manual_seed(0)
    x = schuss.rand(200, 1)
    y = 3 * x + 2 + 0.01 * schuss.randn(200, 1)
    w = schuss.zeros(1, 1, requires_grad=True)
    b = schuss.zeros(1, requires_grad=True)
    for _ in range(400):
        loss = (x @ w + b - y).square().mean()
        loss.backward()
        with schuss.no_grad():
            for p in (w, b):
                p -= 0.5 * p.grad
                p.grad.zero_()
    assert abs(w.item() - 3) < 0.02 and abs(b.item() - 2) < 0.02


def test_a_tracked_value_is_written_into_a_plain_tensor() -> None:
    x = schuss.tensor([3.0], requires_grad=True)
    y = schuss.zeros(3, 1)
    y[0] = x[0] ** 2
    y.sum().backward()
    assert x.grad.tolist() == [6.0]


def test_derivatives_of_every_order() -> None:
    x = schuss.tensor(2.0, dtype=schuss.float64, requires_grad=True)
    y = x**5
    for want in (80.0, 160.0, 240.0, 240.0, 120.0):
        (y,) = schuss.autograd.grad(y, x, create_graph=True)
        assert y.item() == want


def test_a_network_learns_exclusive_or() -> None:
    schuss.manual_seed(1)
    x = schuss.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = schuss.tensor([[0.0], [1.0], [1.0], [0.0]])
    w1 = schuss.randn(2, 8, requires_grad=True)
    b1 = schuss.zeros(8, requires_grad=True)
    w2 = schuss.randn(8, 1, requires_grad=True)
    b2 = schuss.zeros(1, requires_grad=True)
    for _ in range(3000):
        loss = ((schuss.tanh(x @ w1 + b1) @ w2 + b2 - y) ** 2).mean()
        grads = schuss.autograd.grad(loss, (w1, b1, w2, b2))
        with schuss.no_grad():
            for p, g in zip((w1, b1, w2, b2), grads, strict=True):
                p.sub_(g, alpha=0.1)
    assert loss.item() < 1e-2


def test_bad_input_is_an_exception() -> None:
    with pytest.raises(RuntimeError):
        schuss.ones(2, 3) + schuss.ones(4)
    with pytest.raises(IndexError):
        schuss.ones(3)[3]
    with pytest.raises(TypeError):
        schuss.ones("three")
    assert_close(schuss.ones(2) + 1, [2.0, 2.0])


def test_random_numbers_repeat() -> None:
    schuss.manual_seed(5)
    a = schuss.rand(4)
    schuss.manual_seed(5)
    assert a.tolist() == schuss.rand(4).tolist()
