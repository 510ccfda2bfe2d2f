"""What orders, counts and cuts beyond a table's formula: ties, NaN, several results, errors.

Leans on schuss and NumPy.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import schuss

NAN = math.nan


def test_equal_elements_keep_their_order() -> None:
    x = schuss.tensor([2, 1, 2, 1, 2])
    assert x.argsort(stable=True).tolist() == [1, 3, 0, 2, 4]
    assert x.argsort(descending=True).tolist() == [0, 2, 4, 1, 3]
    assert schuss.tensor([0.0, -0.0, 0.0]).argsort().tolist() == [0, 1, 2]


def test_nan_is_the_largest() -> None:
    x = schuss.tensor([1.0, NAN, -math.inf, math.inf])
    assert x.argsort().tolist() == [2, 0, 3, 1]
    assert x.argsort(descending=True).tolist() == [1, 3, 0, 2]
    assert math.isnan(x.median())
    assert x.nanmedian().item() == 1.0
    assert math.isnan(x.cummax(0).values[2])


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 1024, 1025, 5003])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool"])
@pytest.mark.parametrize("nan", [False, True])
def test_running_extremes_of_long_rows(n: int, dtype: str, nan: bool) -> None:
    rng = np.random.default_rng(n)
    # Whole steps that get rarer away from 0: many ties, and stretches without a new extreme.
    x = np.rint(3 * rng.normal(size=(2, n))).astype(dtype)
    if nan and dtype.startswith("float"):
        x[0, n // 2 :: 100] = NAN
    for name, numpys in (("cummax", np.maximum), ("cummin", np.minimum)):
        want = numpys.accumulate(x, 1)
        # Of equal ones the last is named, and of NaN, which counts as equal to itself.
        hit = (x == want) | (np.isnan(x) if dtype.startswith("float") else False)
        place = np.maximum.accumulate(np.where(hit, np.arange(n), 0), 1)
        for t in (
            schuss.tensor(x),
            schuss.tensor(x.T.copy()).T,
            schuss.tensor(x[:, ::-1].copy()).flip(1),
        ):
            values, places = getattr(t, name)(1)
            np.testing.assert_array_equal(values.numpy(), want)
            np.testing.assert_array_equal(places.numpy(), place)


@pytest.mark.parametrize("n", [1, 2, 17, 5003])
def test_long_rows_sort_as_numpys(n: int) -> None:
    rng = np.random.default_rng(n)
    for x in (rng.normal(size=(3, n)).astype(np.float32), rng.integers(-9, 9, (3, n))):
        t = schuss.tensor(x)
        values, places = t.sort(1)
        np.testing.assert_array_equal(values.numpy(), np.sort(x, 1))
        np.testing.assert_array_equal(places.numpy(), np.argsort(x, 1, kind="stable"))
        k = (n + 1) // 2
        np.testing.assert_array_equal(t.topk(k, 1).values.numpy(), -np.sort(-x, 1)[:, :k])
        np.testing.assert_array_equal(t.kthvalue(k, 1).values.numpy(), np.sort(x, 1)[:, k - 1])


def test_the_most_frequent() -> None:
    x = schuss.tensor([[3, 1, 3, 1, 2], [5, 5, 4, 4, 4]])
    values, places = x.mode(1)
    assert values.tolist() == [1, 4]
    assert places.tolist() == [3, 4]
    x = schuss.tensor([1.0, 1.0, 2.0], requires_grad=True)
    x.mode().values.backward()
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


def test_distinct_elements() -> None:
    x = schuss.tensor([[2, 1], [1, 2], [2, 1]])
    values, inverse, counts = schuss.unique(x, return_inverse=True, return_counts=True)
    assert (values.tolist(), counts.tolist()) == ([1, 2], [3, 3])
    assert values[inverse].tolist() == x.tolist()
    rows, counts = schuss.unique(x, dim=0, return_counts=True)
    assert (rows.tolist(), counts.tolist()) == ([[1, 2], [2, 1]], [1, 2])
    runs = schuss.unique_consecutive(schuss.tensor([1, 1, 3, 1]), return_counts=True)
    assert [t.tolist() for t in runs] == [[1, 3, 1], [2, 1, 1]]


def test_histograms_count_their_edges() -> None:
    x = schuss.tensor([0.0, 0.5, 1.0, 1.0, 2.0])
    assert schuss.histc(x, bins=2, min=0, max=2).tolist() == [2.0, 3.0]
    found = schuss.histogram(x, schuss.tensor([0.0, 1.0, 2.0]))
    assert found.hist.tolist() == [2.0, 3.0]
    dense = schuss.histogram(x, 2, density=True)
    assert float((dense.hist * dense.bin_edges.diff()).sum()) == pytest.approx(1.0)


def test_cumulative_products_pass_zeros() -> None:
    for values in ([2.0, 0.0, 3.0, 4.0], [0.0, 0.0, 1.0, 5.0], [1.0, 2.0, 3.0, 0.0]):
        x = schuss.tensor(values, dtype=schuss.float64, requires_grad=True)
        assert schuss.autograd.gradcheck(lambda t: t.cumprod(0), x)
        assert schuss.autograd.gradgradcheck(lambda t: t.cumprod(0), x)


def test_parts_are_views() -> None:
    x = schuss.arange(6.0)
    for part in x.tensor_split(3):
        part.zero_()
    assert x.tolist() == [0.0] * 6


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda x: x.topk(9), RuntimeError),
        (lambda x: x.kthvalue(0), RuntimeError),
        (lambda x: x.sort(3), IndexError),
        (lambda x: schuss.quantile(x, 2.0), RuntimeError),
        (lambda x: schuss.histc(x, bins=0), RuntimeError),
        (lambda x: schuss.einsum("ij,jk", x), RuntimeError),
        (lambda x: schuss.tensordot(x, x, 3), RuntimeError),
        (lambda x: schuss.nn.functional.conv2d(x, x), RuntimeError),
        (lambda x: schuss.nn.functional.max_pool2d(x.reshape(1, 1, 1, 3), 4), RuntimeError),
        (lambda x: x.scatter_reduce(0, schuss.tensor([7]), x[:1], "amax"), RuntimeError),
        (lambda x: schuss.tensor_split(x, 0), RuntimeError),
    ],
)
def test_bad_calls_are_refused(call, error) -> None:
    with pytest.raises(error):
        call(schuss.tensor([1.0, 2.0, 3.0]))


def test_the_extremes_have_names():
    x = schuss.tensor([[4.0, 1.0], [1.0, 3.0]])
    found = x.aminmax(dim=0)
    assert found.min.tolist() == [1, 1] and found.max.tolist() == [4, 3]
    smallest, largest = schuss.aminmax(x)
    assert (smallest.item(), largest.item()) == (1, 4)
    to = (schuss.empty(()), schuss.empty(()))
    assert schuss.aminmax(x, out=to).max is to[1] and to[0].item() == 1
