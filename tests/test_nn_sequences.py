"""Packed and padded sequences, and what recurrent networks promise beyond their numbers.
Leans on schuss and NumPy; packed results beside PyTorch's are in test_nn_modules."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import schuss
from schuss import nn
from schuss.nn.utils import rnn
from schuss.testing import assert_close

LENGTHS = [2, 5, 1, 5, 3]


def sequences(*behind):
    return [schuss.randn(n, *behind) for n in LENGTHS]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("behind", [(), (3,), (3, 2)])
def test_padding_and_packing_undo_each_other(batch_first, behind):
    given = sequences(*behind)
    padded = rnn.pad_sequence(given, batch_first, padding_value=7.0)
    assert tuple(padded.shape) == ((5, 5, *behind))
    for x, y in zip(given, rnn.unpad_sequence(padded, LENGTHS, batch_first), strict=True):
        assert_close(x, y)
    packed = rnn.pack_padded_sequence(padded, LENGTHS, batch_first, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [5, 4, 3, 2, 2]
    assert packed.data.shape[0] == sum(LENGTHS)
    again, lengths = rnn.pad_packed_sequence(packed, batch_first, padding_value=7.0)
    assert_close(again, padded)
    assert lengths.tolist() == LENGTHS
    for x, y in zip(given, rnn.unpack_sequence(packed), strict=True):
        assert_close(x, y)


def test_padding_on_the_left():
    padded = rnn.pad_sequence([schuss.tensor([1, 2]), schuss.tensor([3])], True, 0, "left")
    assert padded.tolist() == [[1, 2], [0, 3]]


def test_padding_further():
    packed = rnn.pack_sequence([schuss.tensor([1, 2]), schuss.tensor([3])])
    padded, _ = rnn.pad_packed_sequence(packed, True, total_length=4)
    assert padded.tolist() == [[1, 2, 0, 0], [3, 0, 0, 0]]


def test_gradients_pass_through_packing():
    given = [schuss.ones(n, requires_grad=True) for n in (3, 2)]
    padded, _ = rnn.pad_packed_sequence(rnn.pack_sequence(given), total_length=5)
    (padded * padded).sum().backward()
    assert [x.grad.tolist() for x in given] == [[2.0] * 3, [2.0] * 2]


def test_a_packed_sequence_moves_and_remembers():
    packed = rnn.pack_sequence(sequences(2), enforce_sorted=False)
    assert packed.double().data.dtype == schuss.float64
    assert packed.to(packed.data.dtype) is packed and packed.cpu() is packed
    assert packed.unsorted_indices[packed.sorted_indices].tolist() == list(range(5))
    assert not packed.is_cuda and isinstance(packed, tuple)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_sequence_is_its_steps(kind):
    whole, cell = getattr(nn, kind)(3, 4), getattr(nn, f"{kind}Cell")(3, 4)
    for weight, own in zip(cell.parameters(), whole.parameters(), strict=True):
        weight.data.copy_(own.data)
    x = schuss.randn(6, 2, 3)
    output, last = whole(x)
    state = None
    for step in range(6):
        state = cell(x[step], state)
        h = state[0] if kind == "LSTM" else state
        assert_close(h, output[step])
    ended = last[0] if kind == "LSTM" else last
    assert_close(ended[0], output[-1])


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_packed_batch_is_its_sequences(kind):
    model = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True)
    given = sequences(3)
    output, last = model(rnn.pack_sequence(given, enforce_sorted=False))
    for i, (x, y) in enumerate(zip(given, rnn.unpack_sequence(output), strict=True)):
        alone, ended = model(x)
        assert_close(y, alone)
        pairs = zip(last, ended, strict=True) if kind == "LSTM" else [(last, ended)]
        for mine, theirs in pairs:
            assert_close(mine[:, i], theirs)


def test_states_of_a_packed_batch_stay_with_their_sequences():
    model, given = nn.GRU(3, 4), sequences(3)
    first = schuss.randn(1, 5, 4)
    _, last = model(rnn.pack_sequence(given, enforce_sorted=False), first)
    for i, x in enumerate(given):
        assert_close(last[:, i], model(x, first[:, i])[1])


def test_dropout_is_between_layers_and_in_training_alone():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = nn.LSTM(3, 4, 2, dropout=0.9)
    x = schuss.randn(4, 2, 3)
    assert not bool((model(x)[0] == model(x)[0]).all())
    model.eval()
    assert_close(model(x)[0], model(x)[0])
    with pytest.warns(UserWarning, match="dropout"):
        nn.LSTM(3, 4, dropout=0.5)


def test_second_derivatives_of_a_recurrent_network():
    model = nn.GRU(2, 3).double()
    x = schuss.randn(4, 1, 2, dtype=schuss.float64, requires_grad=True)
    (first,) = schuss.autograd.grad(model(x)[0].sum(), x, create_graph=True)
    (second,) = schuss.autograd.grad((first * first).sum(), x)
    step = 1e-6
    for place in [(0, 0, 0), (2, 0, 1)]:
        sums = []
        for sign in (1, -1):
            moved = x.detach().clone()
            moved[place] += sign * step
            moved.requires_grad_()
            (g,) = schuss.autograd.grad(model(moved)[0].sum(), moved)
            sums.append(float((g * g).sum()))
        assert np.isclose((sums[0] - sums[1]) / (2 * step), float(second[place]), rtol=1e-5)


def test_weights_by_name_and_in_lists():
    model = nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    assert len(model.all_weights) == 4 and len(model.all_weights[0]) == 5
    assert model.all_weights[3][4] is model.weight_hr_l1_reverse
    assert model.flatten_parameters() is None
    assert model._flat_weights[0] is model.weight_ih_l0


def test_a_recurrent_network_learns_a_sum():
    schuss.manual_seed(0)
    model, head = nn.GRU(1, 8, batch_first=True), nn.Linear(8, 1)
    optimizer = schuss.optim.Adam([*model.parameters(), *head.parameters()], lr=0.02)
    x = schuss.rand(64, 5, 1)
    losses = []
    for _ in range(100):
        loss = nn.functional.mse_loss(head(model(x)[1][0]), x.sum(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10
