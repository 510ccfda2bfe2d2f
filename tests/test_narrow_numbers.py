"""Narrow dtypes: integers that they cannot hold, right where only compared, refused where stored;
folds of what is converted first. Leans on conftest's refusals, and on NumPy."""

from __future__ import annotations

import numpy as np
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


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "bool", "uint8", "int8", "int32"])
@pytest.mark.parametrize(
    "shape", [(7, 5), (300, 3), (40, 64), (9, 513), (3, 2049), (700, 10), (5000, 40), (2, 70_001)]
)
def test_folds_of_what_is_converted_first(shape: tuple[int, int], dtype: str) -> None:
    generator = schuss.Generator().manual_seed(1)
    kind = getattr(schuss, dtype)
    whole = schuss.randint(-100, 100, shape, generator=generator)
    if kind.is_floating_point:
        x = (schuss.randn(shape, generator=generator) * 4).to(kind)
    else:
        x = (
            (whole > 0)
            if dtype == "bool"
            else (whole.abs() if dtype == "uint8" else whole).to(kind)
        )
    for y in (x, x.T, x[:, 1:], x[::2], x.flip(0)):
        # Sums of so few numbers of so few digits are exact in float64, and are rounded once.
        wide = y.double().numpy()
        for axis in (0, 1, None):
            found = y.sum() if axis is None else y.sum(axis)
            own = found.dtype
            assert own == (kind if kind.is_floating_point else schuss.int64)
            wanted = schuss.tensor(np.asarray(wide.sum(axis))).to(own)
            assert schuss.equal(found, wanted), (axis, y.stride())
            if dtype != "bool":
                most = y.amax() if axis is None else y.amax(axis)
                assert schuss.equal(most, schuss.tensor(np.asarray(wide.max(axis))).to(kind))
            mean = y.float().mean() if axis is None else y.float().mean(axis)
            count = y.numel() if axis is None else y.shape[axis]
            assert np.allclose(mean.numpy(), wide.sum(axis) / count, rtol=1e-6, atol=1e-6)
