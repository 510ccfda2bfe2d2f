"""Indexing, read, written and differentiated, against NumPy for every kind of index.

Leans on schuss and NumPy; random indices are in test_properties.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import schuss
from conftest import LETTERS, numpy_dtype, refuses, tensor_of
from schuss.testing import assert_close, gradcheck, gradgradcheck

SHAPE = (4, 3, 5)
MASK = np.array([True, False, True, True])
SQUARE = np.arange(12).reshape(4, 3) % 3 == 1
LINE = np.array([0, 2, 2, -1])
GRID = np.array([[0, 1], [3, -2]])

INDICES: list[Any] = [
    0,
    -1,
    (1, 2),
    (1, 2, 3),
    (..., 1),
    (1, ...),
    ...,
    None,
    (None, 0, None),
    slice(1, 3),
    slice(None, None, 2),
    slice(-3, -1),
    slice(3, 1),
    slice(10, 20),
    slice(-100, 100, 3),
    (slice(None), slice(1, None), slice(0, 5, 2)),
    (0, slice(None), None, slice(1, 4)),
    (slice(1, 3), ..., 2),
    (),
    LINE,
    GRID,
    [0, 2],
    [True, False, False, True],
    (LINE, 1),
    (1, GRID % 3),
    (slice(None), [2, 0]),
    (slice(None), [2, 0], slice(1, 4)),
    (LINE, LINE % 3),
    (LINE, LINE % 3, LINE % 5),
    (LINE, slice(None), LINE % 5),
    (LINE, None, LINE % 3),
    (GRID, slice(1, 3), 2),
    ([0, 1], slice(None), [[1], [2]]),
    (..., LINE),
    (None, LINE),
    MASK,
    SQUARE,
    (MASK, 1),
    (MASK, slice(None), 2),
    (slice(None), np.array([True, False, True])),
    (MASK, [0, 1, 2]),
    (SQUARE, LINE),
    (SQUARE, 0),
    np.zeros(4, bool),
    np.zeros((0,), np.int64),
    np.zeros((2, 0), np.int64),
    np.arange(60).reshape(SHAPE) > 30,
    np.int64(2),
    (np.array(1), slice(None)),
    True,
    False,
]


def name(index: Any) -> str:
    return str(index).replace("\n", "")[:40]


def with_tensors(index: Any) -> Any:
    """The same index with tensors in place of arrays."""
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(schuss.tensor(p) if isinstance(p, np.ndarray) else p for p in parts)
    return parts if isinstance(index, tuple) else parts[0]


@pytest.mark.parametrize("index", INDICES, ids=name)
def test_reading(index: Any) -> None:
    a = np.arange(60.0).reshape(SHAPE)
    x = schuss.tensor(a)
    want = schuss.tensor(np.array(a[index]))
    assert_close(x[with_tensors(index)], want)
    assert_close(x[index], want)
    turned = schuss.tensor(a.transpose(2, 1, 0).copy()).permute(2, 1, 0)
    assert_close(turned[with_tensors(index)], want)


@pytest.mark.parametrize("index", INDICES, ids=name)
def test_writing(index: Any) -> None:
    rng = np.random.default_rng(1)
    for turned in (False, True):
        a = np.arange(60.0).reshape(SHAPE)
        x = schuss.tensor(a)
        if turned:
            x = schuss.tensor(a.transpose(1, 0, 2).copy()).permute(1, 0, 2)
        # Where an index repeats, all its places get one value: NumPy and PyTorch differ else.
        part = a[index]
        for value in (7.0, np.full(np.shape(part)[-1:], 3.0)):
            a[index] = value
            x[with_tensors(index)] = value if isinstance(value, float) else schuss.tensor(value)
            assert_close(x, schuss.tensor(a))
        flat = np.arange(60).reshape(SHAPE)[index]
        if len(np.unique(flat)) == np.size(flat):
            value = rng.random(np.shape(part))
            a[index] = value
            x[with_tensors(index)] = schuss.tensor(value)
            assert_close(x, schuss.tensor(a))


@pytest.mark.parametrize("letter", LETTERS)
def test_every_dtype_is_read_and_written(letter: str) -> None:
    a = (np.arange(12).reshape(3, 4) % 2 if letter == "?" else np.arange(12).reshape(3, 4)).astype(
        numpy_dtype(letter)
    )
    x = tensor_of(a, letter)
    i = schuss.tensor([2, 0])
    assert_close(x[i], tensor_of(a[[2, 0]], letter))
    assert_close(x[x > 0], tensor_of(a[a > 0], letter))
    x[i, 1:] = 1
    a[[2, 0], 1:] = 1
    x[:, 0] = tensor_of(a[0, :3], letter)
    a[:, 0] = a[0, :3].copy()
    assert_close(x, tensor_of(a, letter))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_dtypes_of_indices(dtype: str) -> None:
    x = schuss.arange(5.0)
    i = schuss.tensor([4, 0, 1]).to(getattr(schuss, dtype))
    if dtype in ("int32", "int64"):
        assert x[i].tolist() == [4.0, 0.0, 1.0]
    assert x[i.long()].tolist() == [4.0, 0.0, 1.0]
    assert x[schuss.tensor(3)].item() == 3.0


@pytest.mark.parametrize("index", [i for i in INDICES if i is not False], ids=name)
def test_gradient_of_reading(index: Any) -> None:
    x = schuss.rand(SHAPE, dtype=schuss.float64, requires_grad=True)
    i = with_tensors(index)
    x[i].sum().backward()
    want = np.zeros(SHAPE)
    np.add.at(want, index, 1.0)
    assert_close(x.grad, schuss.tensor(want))
    assert gradcheck(lambda x: x[i] ** 2, x, fast_mode=True)


@pytest.mark.parametrize("index", INDICES, ids=name)
def test_gradient_of_writing(index: Any) -> None:
    i = with_tensors(index)
    x = schuss.rand(SHAPE, dtype=schuss.float64, requires_grad=True)
    marked = np.zeros(SHAPE)
    marked[index] = 1
    v = schuss.rand(np.shape(marked[index])[-1:], dtype=schuss.float64, requires_grad=True)
    y = x * 2
    y[i] = v * 3
    (y * 5).sum().backward()
    assert_close(x.grad, schuss.tensor(10 * (1 - marked)))
    places = np.arange(60).reshape(SHAPE)[index]
    if places.size and len(np.unique(places)) == places.size:
        shape = np.shape(marked[index])
        if shape:
            each = np.full(shape, 15.0).sum(axis=tuple(range(len(shape) - 1)))
            assert_close(v.grad, schuss.tensor(each))
        else:
            assert v.grad.item() == 15.0


def test_second_gradient_of_reading_and_writing() -> None:
    i = schuss.tensor([0, 2, 2])

    def run(x: schuss.Tensor, v: schuss.Tensor) -> schuss.Tensor:
        y = x**3
        y[1] = v**2
        return y[i] * x[0]

    x = schuss.rand(3, 2, dtype=schuss.float64, requires_grad=True)
    v = schuss.rand(2, dtype=schuss.float64, requires_grad=True)
    assert gradcheck(run, (x, v)) and gradgradcheck(run, (x, v))


def test_assignment_takes_any_value() -> None:
    x = schuss.zeros(2, 3)
    x[0] = 1
    x[1, 0] = True
    x[1, 1] = np.float64(2.5)
    x[1, 2] = schuss.tensor(4)
    assert x.tolist() == [[1.0, 1.0, 1.0], [1.0, 2.5, 4.0]]
    x[:] = schuss.tensor([[5], [6]])
    assert x.tolist() == [[5.0] * 3, [6.0] * 3]
    x[0] += 1
    x[:, 1] *= 2
    assert x.tolist() == [[6.0, 12.0, 6.0], [6.0, 12.0, 6.0]]
    x[x > 6] = 0
    assert x.tolist() == [[6.0, 0.0, 6.0]] * 2
    k = schuss.zeros(2, dtype=schuss.int64)
    k[0] = 2.7
    k[1] = schuss.tensor(3.9)
    assert k.tolist() == [2, 3]


def test_writing_to_itself() -> None:
    x = schuss.arange(5.0)
    x[1:] = x[:-1].clone()
    assert x.tolist() == [0.0, 0.0, 1.0, 2.0, 3.0]
    x[:] = x
    y = schuss.arange(4).reshape(2, 2)
    y[[0, 1]] = y[[1, 0]]
    assert y.tolist() == [[2, 3], [0, 1]]


def test_indexing_by_mask_of_no_axes() -> None:
    x = schuss.tensor(3.0)
    assert x[x > 2].tolist() == [3.0] and x[x > 5].tolist() == []
    x[x > 2] = 1.0
    assert x.item() == 1.0


def test_gather_and_scatter() -> None:
    x = schuss.zeros(3, 4)
    i = schuss.tensor([[0, 1, 2, 0]])
    x.scatter_(0, i, schuss.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert x.gather(0, i).tolist() == [[1.0, 2.0, 3.0, 4.0]]
    x.scatter_(1, schuss.tensor([[3], [3]]), 9.0)
    assert x[:2, 3].tolist() == [9.0, 9.0]
    y = schuss.zeros(2).scatter_add(0, schuss.tensor([0, 0, 1]), schuss.ones(3))
    assert y.tolist() == [2.0, 1.0]
    z = schuss.zeros(3).index_add(0, schuss.tensor([2, 2]), schuss.tensor([1.0, 2.0]))
    assert z.tolist() == [0.0, 0.0, 3.0]
    z.index_fill_(0, schuss.tensor([0]), 5.0)
    z.index_copy_(0, schuss.tensor([1]), schuss.tensor([6.0]))
    assert z.tolist() == [5.0, 6.0, 3.0]
    z.index_put_((schuss.tensor([0, 0]),), schuss.tensor([1.0, 1.0]), accumulate=True)
    assert z.tolist() == [7.0, 6.0, 3.0]
    assert schuss.nonzero(schuss.tensor([[0, 1], [2, 0]])).tolist() == [[0, 1], [1, 0]]
    assert schuss.masked_select(z, z > 5).tolist() == [7.0, 6.0]
    assert schuss.take(z, schuss.tensor([2, -3])).tolist() == [3.0, 7.0]


def test_index_errors() -> None:
    x = schuss.zeros(4, 3)
    for index in (4, -5, (0, 3), (0, 0, 0), (..., -4)):
        with refuses(IndexError, (4, 3)):
            x[index]
        with refuses(IndexError, (4, 3)):
            x[index] = 1.0
    for index in ([0, 4], schuss.tensor([0, -5]), (slice(None), schuss.tensor([3]))):
        with refuses(IndexError):
            x[index]
    with refuses(IndexError, (4, 3)):
        x[schuss.ones(3, dtype=schuss.bool)]
    with refuses(IndexError, (2,), (3,)):
        x[schuss.tensor([0, 1]), schuss.tensor([0, 1, 2])]
    for index in (1.0, schuss.tensor([1.0]), "a", (0, 1.5)):
        with refuses((IndexError, TypeError)):
            x[index]
    with refuses(ValueError):
        x[::0]
    with refuses(RuntimeError, (2,), (3,)):
        x[0] = schuss.ones(2)
    with refuses(RuntimeError, (5,)):
        x[schuss.tensor([0, 1])] = schuss.ones(5)
    with refuses(TypeError):
        x[0] = "a"
    with refuses(IndexError):
        schuss.tensor(1.0)[0]
    with refuses(IndexError):
        schuss.index_select(x, 0, schuss.tensor([4]))
    with refuses((IndexError, RuntimeError), "gather"):
        schuss.gather(x, 0, schuss.tensor([[4]]))
    assert not x.any()


@pytest.mark.parametrize("index", [[0, 4], [0, -5], (slice(None), [0, 3]), ([0, 1], [0, 7])])
def test_a_refused_write_changes_nothing(index: Any) -> None:
    x = schuss.zeros(4, 3)
    with refuses(IndexError):
        x[index] = 1.0
    with refuses(IndexError):
        x[with_tensors(index)] = schuss.ones(2) if isinstance(index, tuple) else schuss.ones(3)
    assert not x.any() and x._version == 0


@pytest.mark.parametrize("index", [np.s_[::-1], np.s_[:, ::-2]])
def test_negative_steps_are_refused_or_right(index: Any) -> None:
    a = np.arange(12.0).reshape(3, 4)
    try:
        got = schuss.tensor(a)[index]
    except ValueError:
        return
    assert_close(got, schuss.tensor(a[index].copy()))


@pytest.mark.parametrize("dtype", [schuss.float32, schuss.bfloat16, schuss.int64, schuss.bool])
@pytest.mark.parametrize("turn", [False, True])
def test_whole_rows_are_read_and_written_as_elements_are(dtype, turn):
    # Rows of a tensor that lies straight are moved at once, those of a turned one by elements.
    numbers = np.arange(2 * 5 * 3 * 4).reshape(2, 5, 3, 4) % 7
    x = schuss.tensor(numbers, dtype=dtype)
    if turn:
        x = x.transpose(0, 3).contiguous().transpose(0, 3)
    array = x.float().numpy()
    rows, columns = np.array([[4, 0, -1], [2, 2, 3]]), np.array([1, 0, 1])
    r, c = schuss.tensor(rows), schuss.tensor(columns)
    for key, twin in (
        ((slice(None), r), (slice(None), rows)),
        ((c, r), (columns, rows)),
        ((slice(None), r[0], c), (slice(None), rows[0], columns)),
        ((c,), (columns,)),
    ):
        assert np.array_equal(x[key].float().numpy(), array[twin])
        made, wanted = x.clone(), array.copy()
        value = schuss.ones_like(x[key])
        made[key] = value
        wanted[twin] = value.float().numpy()
        assert np.array_equal(made.float().numpy(), wanted)


@pytest.mark.parametrize("dtype", [schuss.float32, schuss.bfloat16, schuss.int64])
def test_whole_rows_are_added_in_order(dtype):
    numbers = np.arange(5 * 6).reshape(5, 6) % 7
    rows = np.array([4, 0, 4, 4, -5])
    made, wanted = schuss.tensor(numbers, dtype=dtype), numbers.astype(np.float32)
    made.index_put_((schuss.tensor(rows),), schuss.ones(5, 6, dtype=dtype), accumulate=True)
    np.add.at(wanted, rows, 1)
    assert np.array_equal(made.float().numpy(), wanted)


def test_rows_of_one_tensor_into_itself():
    x = schuss.arange(12.0).view(4, 3)
    x[schuss.tensor([0, 1, 2])] = x[1:]
    assert x[:, 0].tolist() == [3.0, 6.0, 9.0, 9.0]
    with pytest.raises(IndexError, match="out of range"):
        x[schuss.tensor([0, 4])]


def test_ranges_and_other_sequences_are_indices() -> None:
    x = schuss.arange(12.0).reshape(3, 4)
    y = schuss.tensor([3, 0, 2])
    assert x[range(3), y].tolist() == [3.0, 4.0, 10.0]
    assert x[range(2)].tolist() == x[:2].tolist()
    assert x[range(0)].shape == (0, 4)
    x[range(3), y] = -1.0
    assert x[range(2, -1, -1), y.flip(0)].tolist() == [-1.0] * 3
    with pytest.raises(IndexError, match="got str"):
        x["0"]
    with pytest.raises(IndexError, match="got dict"):
        x[{0: 1}]


def test_lists_of_lists_say_what_stands_between_the_brackets():
    m = schuss.arange(16.0).view(4, 4)
    assert m[[[0, 1], [1, 2]]].tolist() == [1.0, 6.0]
    assert m[[[0, 1]]].tolist() == m[:2].tolist()
    assert m[[slice(0, 1), 1]].tolist() == [1.0] and m[[None, 0]].shape == (1, 4)
    assert m[[[[0, 1], [1, 2]]]].shape == (2, 2, 4) and m[[0, 1]].shape == (2, 4)
    rows = [[0, 1]] * 32
    assert m[rows].shape == (32, 2, 4)
    m[[[0, 1], [1, 2]]] = -1.0
    assert m[0, 1] == -1 and m[1, 2] == -1 and m.sum() == 120 - 7 - 2


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "complex64", "bfloat16"])
def test_positions_of_an_axis_are_chosen_written_and_repeated(dtype: str) -> None:
    kind = getattr(schuss, dtype)
    x = (schuss.arange(24) % 5).reshape(2, 4, 3).to(kind)
    plain = x.to(schuss.complex64).numpy()
    at, source = schuss.tensor([3, 0]), x[:, 1:3] == 0

    def same(found: schuss.Tensor, wanted: np.ndarray) -> bool:
        return found.dtype == kind and np.array_equal(found.to(schuss.complex64).numpy(), wanted)

    copied, filled = plain.copy(), plain.copy()
    copied[:, [3, 0]], filled[:, [3, 0]] = source.numpy(), 1
    assert same(x.index_select(1, at), plain[:, [3, 0]])
    assert same(x.index_copy(1, at, source.to(kind)), copied)
    assert same(x.index_fill(1, at - 4, 1), filled)
    for axis in range(3):
        for count in (1, 2, 5):
            assert same(x.repeat_interleave(count, axis), plain.repeat(count, axis))
        assert same(x.roll(-1, axis), np.roll(plain, -1, axis))
    assert same(x.roll((1, 2), (0, 1)), np.roll(plain, (1, 2), (0, 1)))
    assert same(x.roll(5), np.roll(plain, 5))


def test_positions_that_an_axis_has_not_are_refused_be_there_elements_or_not() -> None:
    for x in (schuss.zeros(2, 3), schuss.zeros(0, 3)):
        for at in (3, -1):
            index = schuss.tensor([0, at])
            with refuses(IndexError, f"index_select: index {at} is out of range for axis 1"):
                x.index_select(1, index)
            with refuses(IndexError, f"index_copy: index {at} is out of range for axis 1"):
                x.index_copy(1, index, x[:, :2])
    with refuses(IndexError, "index_fill: index -4 is out of range"):
        schuss.zeros(3).index_fill(0, schuss.tensor([-4]), 1)
    wanted = schuss.tensor([[0, -3]])
    assert schuss.arange(3)[None].take_along_dim(wanted, 1).tolist() == [[0, 0]]


def test_nothing_is_moved_into_a_tensor_of_its_own() -> None:
    x = schuss.arange(3.0)
    for same in (x.roll(0), x.roll(3), x.repeat_interleave(1), schuss.nn.functional.pad(x, (0, 0))):
        assert same.tolist() == x.tolist() and same.data_ptr() != x.data_ptr()


def test_frames_of_what_is_empty_or_cropped() -> None:
    pad = schuss.nn.functional.pad
    assert pad(schuss.zeros(0, 1), (1, 0, 0, 2), value=3.0).tolist() == [[3.0, 3.0], [3.0, 3.0]]
    x = schuss.arange(6.0).reshape(2, 3).mT.requires_grad_()
    assert pad(x, (-1, 1, 1, -1), value=9.0).tolist() == [[9.0, 9.0], [3.0, 9.0], [4.0, 9.0]]
    assert pad(x, (-1, 1)).tolist() == [[3.0, 0.0], [4.0, 0.0], [5.0, 0.0]]
    pad(x, (0, -1, 1, 0), value=2.0).sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0]] * 3


def test_counts_inside_vmap_are_of_each_example() -> None:
    numbers, weights = schuss.tensor([0, 2, 2]), schuss.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    found = schuss.func.vmap(lambda w: schuss.bincount(numbers, w))(weights)
    assert found.tolist() == [[1.0, 0.0, 5.0], [4.0, 0.0, 11.0]]


def test_an_equation_serves_other_sizes_and_refuses_those_that_differ() -> None:
    for n in (2, 1, 3):
        a, b = schuss.ones(2, n), schuss.ones(4, 3)
        if n == 2:
            with refuses(RuntimeError, "label 'j' has sizes 2 and 3"):
                schuss.einsum("ij,kj->ki", a, b)
        else:
            assert schuss.einsum("ij,kj->ki", a, b).tolist() == [[3.0, 3.0]] * 4


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("turned", [False, True])
def test_a_part_of_a_table_is_written_in_place(axis, turned):
    rng = np.random.default_rng(3)
    table = rng.standard_normal((5, 4, 3))
    given = schuss.tensor(table)
    if turned:
        given = schuss.tensor(np.ascontiguousarray(table.T)).permute(2, 1, 0)
    other, index = given[:], np.array([2, 0, 2, 1])
    shape = list(table.shape)
    shape[axis] = 4
    source = rng.standard_normal(shape)
    at = [slice(None)] * 3
    at[axis] = index
    assert given.index_add_(axis, schuss.tensor(index), schuss.tensor(source), alpha=2) is given
    np.add.at(table, tuple(at), 2 * source)
    assert_close(given, schuss.tensor(table))
    at[axis], source = index[1:], np.delete(source, 0, axis)
    given.index_copy_(axis, schuss.tensor(index[1:]).int(), schuss.tensor(source))
    table[tuple(at)] = source
    assert_close(given, schuss.tensor(table))
    assert given._version == 2 and schuss.equal(other, given)
    for wrong in (-1, table.shape[axis]):
        with pytest.raises(IndexError, match=f"index_copy_: index {wrong} is out of range"):
            given.index_copy_(axis, schuss.tensor([0, 1, wrong]), schuss.tensor(source))
    assert_close(given, schuss.tensor(table))


def test_a_tables_own_rows_may_be_written_to_it():
    table = schuss.arange(6.0).reshape(3, 2)
    table.index_copy_(0, schuss.tensor([1, 2]), table[:2])
    assert table.tolist() == [[0, 1], [0, 1], [2, 3]]
    table.index_add_(1, schuss.tensor([1]), table[:, :1])
    assert table.tolist() == [[0, 1], [0, 1], [2, 5]]
    number = schuss.tensor(2.0)
    assert number.index_add_(0, schuss.tensor([0, 0]), schuss.tensor([1.0, 2.0])).item() == 5
