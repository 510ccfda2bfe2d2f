"""Gradients of many parts of one tensor, gathered in one sum: values, who else holds it, its cost.
Leans on schuss and NumPy."""

from __future__ import annotations

import time

import numpy as np
import pytest
import schuss

CUTS = {
    "unbind": lambda x: x.unbind(0),
    "split": lambda x: x.split(2),
    "chunk": lambda x: x.chunk(3, 1),
    "index": lambda x: [x[i] for i in range(6)],
    "overlapping": lambda x: [x[i : i + 3] for i in range(4)],
    "stepped": lambda x: [x[::2], x[:, 1::3], x[1:5, ::4]],
    "new axes": lambda x: [x[None, 2], x[:, None, 1], x[3, 2]],
    "diagonals": lambda x: [x.diagonal(), x.diagonal(1), x.diagonal(-2)],
    "one twice": lambda x: [x[1], x[1], x[1]],
}


def weighted(parts):
    """A sum in which each element of each part has a weight of its own."""
    return sum(
        (p * schuss.arange(1.0, p.numel() + 1, dtype=p.dtype).reshape(p.shape)).sum() * (k + 1)
        for k, p in enumerate(parts)
    )


def expected(cut, shape):
    """The same gradient by NumPy: where each element of each part comes from."""
    places = cut(schuss.arange(float(np.prod(shape)), dtype=schuss.float64).reshape(shape))
    found = np.zeros(int(np.prod(shape)))
    for k, part in enumerate(places):
        flat = part.numpy().reshape(-1).astype(int)
        np.add.at(found, flat, np.arange(1.0, flat.size + 1) * (k + 1))
    return found.reshape(shape)


@pytest.mark.parametrize("requires", [True, False])
@pytest.mark.parametrize("name", CUTS)
def test_parts_add_up_to_the_whole(name, requires):
    x = schuss.randn(6, 9, dtype=schuss.float64, requires_grad=True)
    whole = x if requires else x * 1.0
    (g,) = schuss.autograd.grad(weighted(CUTS[name](whole)), x)
    assert np.array_equal(g.numpy(), expected(CUTS[name], (6, 9)))
    (again,) = schuss.autograd.grad(weighted(CUTS[name](whole)), x, create_graph=True)
    assert np.array_equal(again.detach().numpy(), g.numpy())


def test_parts_of_what_is_used_whole_as_well():
    x = schuss.randn(4, 3, requires_grad=True)
    given = schuss.ones(4, 3)
    y = x * 2.0
    schuss.autograd.backward([y, y[0].sum(), y[1].sum(), y[1].sum()], [given, None, None, None])
    assert bool((given == 1).all())
    assert x.grad[:, 0].tolist() == [4.0, 6.0, 2.0, 2.0]


def test_a_cotangent_that_others_hold_is_not_written():
    x = schuss.randn(3, 2, requires_grad=True)
    y, kept = x.clone(), []
    y.register_hook(lambda g: kept.append(g))
    z = y.clone()
    z.register_hook(lambda g: kept.append(g))
    total = z.sum() + y[0].sum() * 2 + y[1].sum() * 3
    total.backward()
    assert kept[0].tolist() == [[1.0] * 2] * 3
    assert kept[1][:, 0].tolist() == [3.0, 4.0, 1.0] == x.grad[:, 0].tolist()


def test_a_walk_that_is_kept_can_be_walked_again():
    x = schuss.randn(5, 2, requires_grad=True)
    loss = sum((part * part).sum() for part in x.unbind(0))
    loss.backward(retain_graph=True)
    first = x.grad.clone()
    loss.backward()
    assert bool((x.grad == 2 * first).all()) and bool((first == 2 * x.detach()).all())


def test_second_derivatives_pass_through_parts():
    x = schuss.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (g,) = schuss.autograd.grad(sum(part**3 for part in x.unbind(0)), x, create_graph=True)
    (h,) = schuss.autograd.grad(g.sum(), x)
    assert h.tolist() == [6.0, 12.0, 18.0]


def test_a_compiled_walk_through_parts_is_the_eager_one():
    x = schuss.randn(8, 5, requires_grad=True)

    def step(scale):
        x.grad = None
        y = x * scale
        loss = sum((part * part * (k + 1)).sum() for k, part in enumerate(y.split(3, 1)))
        loss = loss + sum((y[i].tanh()).sum() for i in range(8))
        loss.backward()
        return loss

    compiled = schuss.compile(step)
    for value in (0.5, 1.5, -2.0, 0.25):
        scale = schuss.tensor(value)
        eager = step(scale).item(), x.grad.numpy().copy()
        again = compiled(scale).item(), x.grad.numpy().copy()
        assert eager[0] == again[0] and np.array_equal(eager[1], again[1])


def test_many_parts_cost_no_more_each_than_few():
    def seconds(n):
        x = schuss.ones(n, 4096, requires_grad=True)
        best = float("inf")
        for _ in range(5):
            loss = sum(part.sum() for part in x.unbind(0))
            begun = time.process_time()
            loss.backward()
            best = min(best, time.process_time() - begun)
        return best / n

    # Summed whole for each part, 512 would cost 16 times as much each as 32.
    assert seconds(512) < 6 * seconds(32)
