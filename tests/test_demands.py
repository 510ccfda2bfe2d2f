"""What operations ask of elements in a compiled step: in every run, with the error of eager calls.
Leans on schuss alone."""

from __future__ import annotations

import pytest
import schuss
from schuss import nn
from schuss.nn import functional as F
from schuss.nn.utils import rnn

INT = schuss.int64


def ready(step, *args):
    """The compiled step after it has run as a program."""
    compiled = schuss.compile(step)
    for _ in range(4):
        compiled(*args)
    assert compiled.programs()[0]["seconds"]
    return compiled


ROWS = schuss.arange(6.0).reshape(3, 2)
LONG = schuss.randn(5, 2, 4).log_softmax(2)
LABELS = schuss.tensor([[1, 2], [3, 3]])
INDEX = schuss.tensor([0, 2])
ZEROS = schuss.zeros(3, dtype=INT)


@pytest.mark.parametrize(
    ("step", "good", "bad", "error", "said"),
    [
        (lambda i: ROWS.index_select(0, i), INDEX, [0, 3], IndexError, "index_select: .* axis 0"),
        (lambda i: ROWS.index_select(0, i), INDEX, [0, -1], IndexError, "index_select: .* axis 0"),
        (
            lambda i: ZEROS.index_add(0, i, schuss.ones(2, dtype=INT)),
            INDEX, [0, 3], IndexError, "index_add: .* 0 to 2",
        ),
        (lambda i: ROWS.index_fill(0, i, 7.0), INDEX, [0, -4], IndexError, "index_fill: "),
        (lambda i: ROWS[:, 0].gather(0, i), INDEX, [0, 3], RuntimeError, "index 3 is out of range"),
        (lambda i: ROWS[:, 0].gather(0, i), INDEX, [0, -1], RuntimeError, "expected 0 to 2"),
        (
            lambda i: ROWS[:, 0].scatter(0, i, schuss.ones(2)),
            INDEX, [3, 0], RuntimeError, "index 3 is out of range",
        ),
        (
            lambda i: ROWS[:, 0].scatter_add(0, i, schuss.ones(2)),
            INDEX, [3, 0], RuntimeError, "index 3 is out of range",
        ),
        (
            lambda i: ROWS[:, 0].scatter_reduce(0, i, schuss.ones(2), "amax"),
            INDEX, [3, 0], RuntimeError, "index 3 is out of range",
        ),
        (lambda i: ROWS[:, 0].take_along_dim(i), INDEX, [3, 0], RuntimeError, "index 3 is out"),
        (
            lambda i: F.max_unpool1d(ROWS[None, None, :2, 0], i[None, None], 2),
            INDEX, [4, 0], RuntimeError, "index 4 is out of range",
        ),
        (lambda i: ROWS[i], INDEX, [0, 3], IndexError, "index 3 is out of range"),
        (lambda i: ROWS.take(i), INDEX, [0, 6], IndexError, "index 6 is out of range"),
        (
            lambda v: F.gaussian_nll_loss(ROWS[:2, 0], ROWS[:2, 1], v.float()),
            INDEX, [1, -1], ValueError, "gaussian_nll_loss: a variance is negative",
        ),
        (
            lambda n: F.ctc_loss(LONG, LABELS, n, [1, 2]),
            schuss.tensor([5, 4]), [6, 4], RuntimeError, "ctc_loss: an input length .* 0 to 5",
        ),
        (
            lambda n: F.ctc_loss(LONG, LABELS, [5, 5], n),
            schuss.tensor([2, 1]), [3, 1], RuntimeError, "ctc_loss: a target length .* 0 to 2",
        ),
        (
            lambda t: F.ctc_loss(LONG, t.unsqueeze(0).expand(2, 2), [5, 5], [2, 2]),
            schuss.tensor([2, 1]), [4, 1], RuntimeError, "ctc_loss: a label is not from 0 to 3",
        ),
        (
            lambda o: F.embedding_bag(schuss.tensor([0, 2, 1]), ROWS, o),
            schuss.tensor([0, 1]), [1, 2], RuntimeError, "embedding_bag: the first offset",
        ),
    ],
)  # fmt: skip
def test_a_run_asks_what_an_eager_call_asks(step, good, bad, error, said):
    compiled = ready(step, good)
    assert schuss.equal(compiled(good), step(good))
    wrong = schuss.tensor(bad)
    for call in (step, compiled):
        with pytest.raises(error, match=said):
            call(wrong)
    assert schuss.equal(compiled(good), step(good))


def test_lengths_of_targets_may_change_between_runs():
    compiled = ready(lambda n: F.ctc_loss(LONG, LABELS, [5, 5], n), schuss.tensor([2, 1]))
    for lengths in ([1, 1], [2, 2], [1, 2]):
        given = schuss.tensor(lengths)
        assert compiled(given).item() == F.ctc_loss(LONG, LABELS, [5, 5], lengths).item()
    assert len(compiled.programs()) == 1


def test_ctc_loss_is_the_same_however_targets_are_told():
    rows = F.ctc_loss(LONG, LABELS, [5, 4], [2, 1], reduction="none")
    wide = F.ctc_loss(LONG, F.pad(LABELS, (0, 5)), [5, 4], schuss.tensor([2, 1]), reduction="none")
    flat = F.ctc_loss(LONG, schuss.tensor([1, 2, 3]), (5, 4), (2, 1), reduction="none")
    assert rows.tolist() == wide.tolist() == flat.tolist()


def test_a_batch_packed_inside_a_step_is_not_read():
    layer = nn.GRU(2, 3, num_layers=2)
    x = schuss.randn(5, 3, 2)

    def step(x):
        packed = rnn.pack_padded_sequence(x, [2, 5, 3], enforce_sorted=False)
        return rnn.pad_packed_sequence(layer(packed)[0])[0]

    assert schuss.equal(ready(step, x)(x), step(x))
    lengths = schuss.tensor([2, 5, 3])
    compiled = schuss.compile(lambda x: rnn.pack_padded_sequence(x, lengths, False, False).data)
    compiled(x)
    with pytest.raises(schuss.CompileError, match="lists a tensor"):
        compiled(x)


def test_padding_is_in_no_bag():
    """By hand: of the bags (0, 1), (1), (2, 1) row 1 pads, and the second bag is empty."""
    table = schuss.tensor([[1.0], [5.0], [-2.0]], requires_grad=True)
    index, offsets = schuss.tensor([0, 1, 1, 2, 1]), schuss.tensor([0, 2, 3])
    for mode, told in (("sum", [1, 0, -2]), ("mean", [1, 0, -2]), ("max", [1, 0, -2])):
        table.grad = None
        bags = F.embedding_bag(index, table, offsets, mode=mode, padding_idx=1)
        assert bags.flatten().tolist() == told
        bags.sum().backward()
        assert table.grad.flatten().tolist() == [1, 0, 1]


def test_rows_are_scaled_down_once_however_often_they_are_named():
    table = nn.Embedding.from_pretrained(schuss.tensor([[3.0, 4.0], [0.3, 0.4]]), max_norm=1.0)
    found = table(schuss.tensor([[0, 0], [1, 0]]))
    assert found[0, 0].tolist() == pytest.approx([0.6, 0.8])
    assert found[1, 0].tolist() == pytest.approx([0.3, 0.4])
    assert table.weight[0].norm().item() == pytest.approx(1.0)


def test_random_windows_are_drawn_anew_in_every_run():
    """Windows end at the border whatever is drawn; each largest element is one of its window's."""
    x = schuss.arange(2.0 * 81).reshape(1, 2, 9, 9)
    step = ready(lambda x: F.fractional_max_pool2d(x, 2, output_size=4, return_indices=True), x)
    drawn = [step(x) for _ in range(8)]
    assert len({tuple(values.flatten().tolist()) for values, _ in drawn}) > 1
    for values, places in drawn:
        assert (values[0, :, -1, -1] == x[0, :, -1, -1]).all()
        assert schuss.equal(x.flatten(2).gather(2, places.flatten(2)), values.flatten(2))
