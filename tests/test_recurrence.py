"""Recurrent networks as one node beside the same step by step: values, first and second slopes.
Leans on the cells' formulas; numbers made with PyTorch are in test_nn_modules."""

from __future__ import annotations

import numpy as np
import pytest
import schuss
from schuss import nn
from schuss.autograd import gradcheck, gradgradcheck
from schuss.nn import cells, recurrence
from schuss.testing import assert_close

MODES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
SIZES = {"even": [3] * 4, "packed": [4, 4, 2, 1], "one step": [5], "one row": [1] * 3}


def operands(mode, sizes, inputs=3, hidden=5, bias=True, dtype=schuss.float64):
    """Input rows, weights, and first states, all of which require gradients."""
    schuss.manual_seed(3)
    gates = MODES[mode] * hidden

    def made(*shape):
        return (schuss.randn(*shape, dtype=schuss.float64) * 0.5).to(dtype).requires_grad_()

    weights = [made(gates, inputs), made(gates, hidden)]
    weights += [made(gates), made(gates)] if bias else [None, None]
    states = tuple(made(sizes[0], hidden) for _ in range(2 if mode == "LSTM" else 1))
    return made(sum(sizes), inputs), (*weights, None), states


def stepwise(mode, x, sizes, weights, states, reverse):
    """What `sequence` computes, one step after the other."""
    project, step = cells.stepper(mode, *weights)
    even = len(set(sizes)) == 1
    run = recurrence._run if even else recurrence._run_packed
    found, ended = run(step, project(x).split(sizes), states, reverse)
    return schuss.cat(found), ended


def leaves(x, weights, states):
    return [x, *(w for w in weights if w is not None), *states]


def loss(y, ended):
    """All results, each element with a weight of its own."""
    total = (y * schuss.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)).sum()
    for k, state in enumerate(ended):
        total = total + (state * state).sum() * (k + 1)
    return total


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", SIZES)
@pytest.mark.parametrize("mode", MODES)
def test_a_sequence_is_its_steps_forth_and_back(mode, steps, reverse):
    sizes = SIZES[steps]
    x, weights, states = operands(mode, sizes, bias=steps != "one row")
    own = cells.sequence(mode, x, sizes, weights, states, reverse)
    other = stepwise(mode, x, sizes, weights, states, reverse)
    for a, b in zip((own[0], *own[1]), (other[0], *other[1]), strict=True):
        assert_close(a, b, rtol=1e-13, atol=1e-14)
    every = leaves(x, weights, states)
    mine, theirs = (schuss.autograd.grad(loss(*found), every) for found in (own, other))
    for a, b in zip(mine, theirs, strict=True):
        assert_close(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sizes, hidden", [([70, 70, 33, 1], 37), ([9] * 3, 151), ([1] * 9, 50)])
@pytest.mark.parametrize("mode", MODES)
def test_weights_in_panels(mode, sizes, hidden, reverse, dtype):
    # Units that fill no vector, sums of over 512 products, more rows than go together, one alone.
    x, weights, states = operands(mode, sizes, hidden=hidden, dtype=getattr(schuss, dtype))
    small = [w if w is None else (w * 0.2).detach().requires_grad_() for w in weights]
    every = leaves(x, small, states)
    own = cells.sequence(mode, x, sizes, small, states, reverse)
    other = stepwise(mode, x, sizes, small, states, reverse)
    rtol = 1e-4 if dtype == "float32" else 1e-12
    for a, b in zip((own[0], *own[1]), (other[0], *other[1]), strict=True):
        assert_close(a, b, rtol=rtol, atol=rtol)
    mine, theirs = (schuss.autograd.grad(loss(*found), every) for found in (own, other))
    for a, b in zip(mine, theirs, strict=True):
        assert_close(a, b, rtol=rtol, atol=rtol * b.abs().max().item())


@pytest.mark.parametrize("mode", MODES)
def test_where_only_a_part_of_the_results_is_used(mode):
    x, weights, states = operands(mode, [2] * 3)
    every = leaves(x, weights, states)
    for pick in (
        lambda y, ended: y.sum(),
        lambda y, ended: ended[-1].sum(),
        lambda y, ended: y[2].sum(),
    ):
        own = pick(*cells.sequence(mode, x, [2] * 3, weights, states))
        other = pick(*stepwise(mode, x, [2] * 3, weights, states, False))
        mine, theirs = (schuss.autograd.grad(v, every, allow_unused=True) for v in (own, other))
        for a, b in zip(mine, theirs, strict=True):
            assert_close(a, schuss.zeros_like(a) if b is None else b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("mode", ["LSTM", "GRU", "RNN_TANH"])
def test_derivatives_of_both_orders_beside_differences(mode, reverse):
    sizes = [2, 2, 1]
    x, weights, states = operands(mode, sizes, inputs=2, hidden=2)
    every = leaves(x, weights, states)

    def run(x, w_ih, w_hh, b_ih, b_hh, *states):
        y, ended = cells.sequence(mode, x, sizes, (w_ih, w_hh, b_ih, b_hh, None), states, reverse)
        return (y, *ended)

    assert gradcheck(run, every)
    assert gradgradcheck(run, every)


def test_a_third_derivative():
    _, weights, states = operands("LSTM", [1, 1], inputs=1, hidden=1)

    def orders(run):
        at = schuss.full((2, 1), 0.3, dtype=schuss.float64, requires_grad=True)
        found, value = [], run(at)
        for _ in range(3):
            (slope,) = schuss.autograd.grad(value, at, create_graph=True)
            value = (slope * slope).sum()
            found.append(slope)
        return found

    own = orders(lambda x: cells.sequence("LSTM", x, [1, 1], weights, states)[0].sum())
    other = orders(lambda x: stepwise("LSTM", x, [1, 1], weights, states, False)[0].sum())
    for a, b in zip(own, other, strict=True):
        assert_close(a, b, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("mode", MODES)
def test_short_floats_are_computed_in_float32_and_rounded(mode, dtype):
    short = getattr(schuss, dtype)
    x, weights, states = operands(mode, [3, 2], dtype=short)
    wide = [None if w is None else w.detach().float() for w in weights]
    y, ended = cells.sequence(mode, x, [3, 2], weights, states)
    assert y.dtype == short and all(state.dtype == short for state in ended)
    # The input's part of the gates is rounded to the short type first, as any product is.
    part = nn.functional.linear(x, weights[0], weights[2] if mode == "GRU" else None).detach()
    eye = schuss.eye(part.shape[1])
    bias = wide[3] if mode == "GRU" else (weights[2] + weights[3]).detach().float()
    begin = None if mode == "GRU" else bias - bias
    rows = (eye, wide[1], begin, bias, None)
    begun = tuple(state.detach().float() for state in states)
    z, _ = cells.sequence(mode, part.float(), [3, 2], rows, begun)
    assert bool((y == z.to(short)).all())
    (g,) = schuss.autograd.grad(y.sum(), x)
    assert g.dtype == short and bool(g.isfinite().all())


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_batch_of_nothing(kind):
    model = getattr(nn, kind)(3, 4)
    y, _ = model(schuss.zeros(2, 0, 3))
    y.sum().backward()
    assert tuple(y.shape) == (2, 0, 4)
    assert all(not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("rows, hidden", [(160, 128), (40, 128), (9, 700)])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_threads_change_no_bit(kind, rows, hidden):
    schuss.manual_seed(0)
    model, x = getattr(nn, kind)(64, hidden), schuss.randn(3, rows, 64)
    found = []
    before = schuss.get_num_threads()
    for count in (1, 2, 3):
        schuss.set_num_threads(count)
        model.zero_grad()
        y, _ = model(x)
        y.sum().backward()
        found.append([y.detach().numpy(), *(p.grad.numpy() for p in model.parameters())])
    schuss.set_num_threads(before)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_compiled_step_is_the_eager_one_to_the_last_bit(kind):
    schuss.manual_seed(0)
    model = getattr(nn, kind)(3, 5, num_layers=2, bidirectional=True)

    def step(x):
        model.zero_grad()
        y, _ = model(x)
        value = (y * y).sum()
        value.backward()
        return value

    compiled = schuss.compile(step)
    for _ in range(4):
        x = schuss.randn(4, 3, 3)
        eager = [step(x).item(), *(p.grad.numpy().copy() for p in model.parameters())]
        again = [compiled(x).item(), *(p.grad.numpy().copy() for p in model.parameters())]
        assert all(np.array_equal(a, b) for a, b in zip(eager, again, strict=True))


def test_refusals_name_what_does_not_fit():
    x, weights, states = operands("GRU", [2, 2])
    with pytest.raises(schuss.ShapeError, match="do not fit"):
        cells.sequence("GRU", x, [2, 3], weights, states)
    with pytest.raises(schuss.ShapeError, match="do not fit"):
        cells.sequence("GRU", x, [1, 3], weights, states)
    with pytest.raises(schuss.DTypeError):
        cells.sequence("GRU", x, [2, 2], weights, (states[0].float(),))
    with pytest.raises(ValueError, match="'lstm', 'gru', 'tanh' or 'relu'"):
        schuss._core._recurrence(x, weights[1], None, states[0], None, [2, 2], "rnn", False)


@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell", "RNNCell"])
def test_a_cell_takes_a_row_alone(kind):
    cell = getattr(nn, kind)(3, 4)
    x = schuss.randn(2, 3)
    both, alone = cell(x), cell(x[1])
    for a, b in zip(
        both if kind == "LSTMCell" else [both],
        alone if kind == "LSTMCell" else [alone],
        strict=True,
    ):
        assert_close(a[1], b)
