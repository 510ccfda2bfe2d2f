"""Runs of elements along an axis: what `segment_reduce` makes of them.

Leans on schuss and pytest; the numbers are those of PyTorch 2.15 for the same calls.
"""

from __future__ import annotations

import pytest
import schuss
from conftest import refuses

ROWS = [[1.0, 5.0], [2.0, 4.0], [3.0, 3.0], [4.0, 2.0], [3.0, 3.0]]
LENGTHS = schuss.tensor([2, 0, 3])
INF, NAN = float("inf"), float("nan")
THIRD = 1 / 3

# How, the number to begin with, what comes out, and the gradient of its sum.
CASES = [
    ("sum", None, [[3, 9], [0, 0], [10, 8]], [[1, 1]] * 5),
    ("sum", 2.0, [[5, 11], [2, 2], [12, 10]], [[1, 1]] * 5),
    ("mean", None, [[1.5, 4.5], [NAN, NAN], [10 / 3, 8 / 3]], [[0.5] * 2] * 2 + [[THIRD] * 2] * 3),
    ("mean", 2.0, [[2.5, 5.5], [2, 2], [4, 10 / 3]], [[0.5] * 2] * 2 + [[THIRD] * 2] * 3),
    ("max", None, [[2, 5], [-INF, -INF], [4, 3]], [[0, 1], [1, 0], [0, 0.5], [1, 0], [0, 0.5]]),
    ("max", 2.0, [[2, 5], [2, 2], [4, 3]], [[0, 1], [1, 0], [0, 0.5], [1, 0], [0, 0.5]]),
    ("min", None, [[1, 4], [INF, INF], [3, 2]], [[1, 0], [0, 1], [0.5, 0], [0, 1], [0.5, 0]]),
    ("min", 2.0, [[1, 2], [2, 2], [2, 2]], [[1, 0], [0, 0], [0, 0], [0, 1], [0, 0]]),
    ("prod", None, [[2, 20], [1, 1], [36, 18]], [[2, 4], [1, 5], [12, 6], [9, 9], [12, 6]]),
    ("prod", 2.0, [[4, 40], [2, 2], [72, 36]], [[4, 8], [2, 10], [24, 12], [18, 18], [24, 12]]),
]


@pytest.mark.parametrize(("reduce", "initial", "wanted", "slopes"), CASES)
def test_each_way(reduce, initial, wanted, slopes):
    x = schuss.tensor(ROWS, requires_grad=True)
    made = schuss.segment_reduce(x, reduce, lengths=LENGTHS, initial=initial)
    assert schuss.allclose(made, schuss.tensor(wanted, dtype=schuss.float32), equal_nan=True)
    schuss.where(made.isfinite(), made, 0.0).sum().backward()
    assert schuss.allclose(x.grad, schuss.tensor(slopes, dtype=schuss.float32))


def test_where_runs_begin():
    x = schuss.tensor(ROWS)
    sums = schuss.segment_reduce(x, "sum", offsets=schuss.tensor([0, 2, 2, 4]))
    assert sums.tolist() == [[3, 9], [0, 0], [7, 5]]
    rest = schuss.segment_reduce(x, "sum", lengths=schuss.tensor([1, 1]), unsafe=True)
    assert rest.tolist() == [[1, 5], [2, 4]]
    same = schuss.segment_reduce(x, "sum", lengths=schuss.tensor([2, 3]), axis=-2)
    assert same.tolist() == [[3, 9], [10, 8]]


def test_another_axis_has_lengths_for_each_row():
    x = schuss.tensor(ROWS)
    means = schuss.segment_reduce(x, "mean", lengths=schuss.tensor([[2, 0]] * 5), axis=1)
    assert means[:, 0].tolist() == [3.0] * 5 and means[:, 1].isnan().all()


def test_what_does_not_fit():
    x = schuss.tensor(ROWS)
    with refuses(RuntimeError, "segment_reduce: the lengths do not add up to 5, the size of axis"):
        schuss.segment_reduce(x, "sum", lengths=schuss.tensor([1, 1]))
    with refuses(RuntimeError, "segment_reduce: a length is below 0"):
        schuss.segment_reduce(x, "sum", lengths=schuss.tensor([-1, 6]))
    with refuses(RuntimeError, "segment_reduce: needs lengths or offsets"):
        schuss.segment_reduce(x, "sum")
    with refuses(RuntimeError, "segment_reduce: reduce is", "'foo'"):
        schuss.segment_reduce(x, "foo", lengths=LENGTHS)
    with refuses(schuss.DTypeError, "segment_reduce: needs a float tensor, got int64"):
        schuss.segment_reduce(schuss.arange(5), "sum", lengths=LENGTHS)
    with refuses(schuss.DTypeError, "segment_reduce: lengths must be int32 or int64, got float32"):
        schuss.segment_reduce(x, "sum", lengths=LENGTHS.float())
    with refuses(schuss.ShapeError, "segment_reduce: lengths (3,) and an axis 1 of (5, 2)"):
        schuss.segment_reduce(x, "sum", lengths=LENGTHS, axis=1)
