"""Plain integers that a narrow dtype cannot hold: right where only compared, refused where stored.
Leans on conftest's refusals."""

from __future__ import annotations

import pytest
import schuss
from conftest import refuses

X = schuss.tensor([0, 100, 255], dtype=schuss.uint8)
Y = schuss.tensor([-128, 0, 127], dtype=schuss.int8)


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (X < 300, [True, True, True]),
        (X > 300, [False, False, False]),
        (X == 300, [False, False, False]),
        (X >= -1, [True, True, True]),
        (Y != 200, [True, True, True]),
        (Y <= -129, [False, False, False]),
    ],
)
def test_comparisons_are_right(made: schuss.Tensor, wanted: list) -> None:
    assert made.tolist() == wanted


def test_bounds_beyond_the_range_bound_nothing() -> None:
    assert X.clamp(-1, 300).tolist() == [0, 100, 255]
    assert X.clamp(-1, 200).tolist() == [0, 100, 200]
    assert Y.clamp(-1000, 1000).tolist() == [-128, 0, 127]
    assert X.clamp(-1, 1).dtype == schuss.uint8


def test_what_would_be_stored_is_refused() -> None:
    mask = schuss.tensor([True, False, True])
    with refuses(RuntimeError, "where", "300", "uint8"):
        schuss.where(mask, X, 300)
    with refuses(RuntimeError, "masked_fill", "300", "uint8"):
        X.masked_fill(mask, 300)
    own = X.clone()
    with refuses(RuntimeError, "fill_", "300", "uint8"):
        own.fill_(300)
    with refuses(RuntimeError, "item assignment", "-1", "uint8"):
        own[0] = -1
    with refuses(RuntimeError, "item assignment", "256", "uint8"):
        own[[0, 2]] = 256
    assert own.tolist() == X.tolist()
    assert schuss.where(mask, X, 7).tolist() == [0, 7, 255]
