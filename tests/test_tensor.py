"""The tensor as a value: creation, dtypes and promotion, conversion, NumPy, copies.

Leans on schuss and NumPy; how tensors print is in test_print.py.
"""

from __future__ import annotations

import copy
import io
import math
import operator
import pickle
import weakref

import numpy as np
import pytest
import schuss
from conftest import DTYPES, FLOATS, LETTERS, draws, numpy_dtype, rounded, tensor_of
from schuss.testing import assert_close, make_tensor

# Result dtypes of a + b, by the letters of conftest. Made with PyTorch 2.15:
#   for a in dtypes: print("".join(letter[(ones(2, a) + ones(2, b)).dtype] for b in dtypes))
# and again with ones((), b), a tensor of no axes, on the right.
PROMOTION = [
    *("?Bbhilewfd", "BBhhilewfd", "bhbhilewfd", "hhhhilewfd", "iiiiilewfd"),
    *("llllllewfd", "eeeeeeeffd", "wwwwwwfwfd", "fffffffffd", "dddddddddd"),
]
PROMOTION_OF_NO_AXES = [
    *("?Bbhilewfd", "BBBBBBewfd", "bbbbbbewfd", "hhhhhhewfd", "iiiiiiewfd"),
    *("llllllewfd", "eeeeeeeeee", "wwwwwwwwww", "ffffffffff", "dddddddddd"),
]
# The same for Python numbers: x + True, x + 1, x + 1.0, x / 1, x ** 2, 2 ** x, 2.0 ** x.
PROMOTION_OF_NUMBERS = [
    (lambda x: x + True, "?Bbhilewfd"),
    (lambda x: x + 1, "lBbhilewfd"),
    (lambda x: 1 + x, "lBbhilewfd"),
    (lambda x: x * 1.0, "ffffffewfd"),
    (lambda x: x / 1, "ffffffewfd"),
    (lambda x: 1 / x, "ffffffewfd"),
    (lambda x: x**2, "lBbhilewfd"),
    (lambda x: 2**x, "lBbhilewfd"),
    (lambda x: 2.0**x, "ffffffewfd"),
    (lambda x: x == 1, "??????????"),
    (lambda x: x < 1.5, "??????????"),
]


@pytest.mark.parametrize("a, row", list(zip(LETTERS, PROMOTION, strict=True)))
def test_promotion(a: str, row: str) -> None:
    for b, want in zip(LETTERS, row, strict=True):
        x, y = schuss.ones(2, dtype=DTYPES[a]), schuss.ones(2, dtype=DTYPES[b])
        for f in (operator.add, operator.mul, schuss.maximum):
            assert f(x, y).dtype == DTYPES[want], (f, a, b)
        assert schuss.promote_types(DTYPES[a], DTYPES[b]) == DTYPES[want]
        assert schuss.result_type(x, y) == DTYPES[want]
        assert schuss.where(x == 1, x, y).dtype == DTYPES[want]
        assert schuss.cat([x, y]).dtype == DTYPES[want]


@pytest.mark.parametrize("a, row", list(zip(LETTERS, PROMOTION_OF_NO_AXES, strict=True)))
def test_promotion_of_no_axes(a: str, row: str) -> None:
    for b, want in zip(LETTERS, row, strict=True):
        x, y = schuss.ones(2, dtype=DTYPES[a]), schuss.ones((), dtype=DTYPES[b])
        assert (x + y).dtype == (y + x).dtype == DTYPES[want], (a, b)


@pytest.mark.parametrize("case", range(len(PROMOTION_OF_NUMBERS)))
def test_promotion_of_numbers(case: int) -> None:
    f, row = PROMOTION_OF_NUMBERS[case]
    for a, want in zip(LETTERS, row, strict=True):
        assert f(schuss.ones(2, dtype=DTYPES[a])).dtype == DTYPES[want], a
        assert f(schuss.ones((), dtype=DTYPES[a])).dtype == DTYPES[want], a


@pytest.mark.parametrize("a", LETTERS)
def test_in_place_keeps_the_dtype_or_refuses(a: str) -> None:
    for b in LETTERS:
        x, y = schuss.ones(2, dtype=DTYPES[a]), schuss.ones(2, dtype=DTYPES[b])
        kept = "?Bbhilewfd".index(PROMOTION[LETTERS.index(a)][LETTERS.index(b)])
        fits = (a in FLOATS) or (kept < 6 and (a != "?" or b == "?"))
        if fits:
            x += y
            assert x.dtype == DTYPES[a] and x.float().tolist()[0] in (1.0, 2.0)
        else:
            with pytest.raises(RuntimeError):
                x += y
            assert x.tolist() == [1, 1]


@pytest.mark.parametrize("a", LETTERS)
def test_conversion_between_dtypes(a: str) -> None:
    values = {"?": [0, 1, 1], "B": [0, 3, 200]}.get(a, [0, 3, -100] if a in "bhil" else [])
    x = np.array(values or [0.0, 2.7, -2.7, 100.5]).astype(numpy_dtype(a))
    x = rounded(x, a)
    for b in LETTERS:
        got = tensor_of(x, a).to(DTYPES[b])
        assert got.dtype == DTYPES[b]
        want = x.astype(np.int64).astype(np.uint8) if b == "B" else rounded(x, b)
        assert_close(got.to(schuss.float64), want.astype(np.float64), rtol=0, atol=0)


@pytest.mark.parametrize("letter", "ew")
def test_half_precision_rounds_to_nearest_even(letter: str) -> None:
    rng = draws("halves")
    x = np.concatenate([rng.standard_normal(4000) * 10.0 ** rng.integers(-9, 6, 4000)]).astype("f")
    bits = x.view(np.uint32)
    tie = 0x8000 if letter == "w" else 0x1000
    x = np.concatenate([x, ((bits & ~np.uint32(2 * tie - 1)) | tie).view(np.float32)])
    x = np.concatenate([x, np.array([np.inf, -np.inf, 0.0, -0.0, 65519.0, 65520.0, 1e-8], "f")])
    with np.errstate(over="ignore"):
        want = rounded(x, letter).astype(np.float64)
    got = schuss.tensor(x).to(DTYPES[letter]).to(schuss.float64).numpy()
    np.testing.assert_array_equal(got, want)
    assert math.isnan(schuss.tensor(math.nan).to(DTYPES[letter]).item())


def test_nan_is_no_integer_and_too_large_numbers_stop_at_the_largest() -> None:
    """PyTorch gives the most negative integer for both, silently."""
    with pytest.raises(ValueError, match="NaN"):
        schuss.tensor([math.nan]).to(schuss.int64)
    assert schuss.tensor([3e9]).to(schuss.int32).tolist() == [2**31 - 1]
    assert schuss.tensor(300).to(schuss.uint8).item() == 44
    assert schuss.tensor([1.7, -1.7]).to(schuss.int64).tolist() == [1, -1]


@pytest.mark.parametrize(
    "make, dtype, values",
    [
        (lambda: schuss.tensor([1, 2]), "l", [1, 2]),
        (lambda: schuss.tensor([1, 2.5]), "f", [1.0, 2.5]),
        (lambda: schuss.tensor([True, 1]), "l", [1, 1]),
        (lambda: schuss.tensor([True, False]), "?", [True, False]),
        (lambda: schuss.tensor(3.0), "f", 3.0),
        (lambda: schuss.tensor([]), "f", []),
        (lambda: schuss.tensor([[], []]), "f", [[], []]),
        (lambda: schuss.tensor(np.float32(2)), "f", 2.0),
        (lambda: schuss.tensor(np.arange(3)), "l", [0, 1, 2]),
        (lambda: schuss.tensor([np.float64(1.5), 2]), "d", [1.5, 2.0]),
        (lambda: schuss.tensor((schuss.tensor(1.0), 2.0)), "f", [1.0, 2.0]),
        (lambda: schuss.tensor(range(3)), "l", [0, 1, 2]),
        (lambda: schuss.tensor([1.5], dtype=schuss.int64), "l", [1]),
        (lambda: schuss.tensor(np.arange(6).reshape(2, 3)[:, ::2]), "l", [[0, 2], [3, 5]]),
        (lambda: schuss.as_tensor([1, 2]), "l", [1, 2]),
        (lambda: schuss.as_tensor(np.ones(2)), "d", [1.0, 1.0]),
        (lambda: schuss.zeros(2, 1), "f", [[0.0], [0.0]]),
        (lambda: schuss.zeros((2, 1)), "f", [[0.0], [0.0]]),
        (lambda: schuss.zeros([]), "f", 0.0),
        (lambda: schuss.zeros(2, dtype=int), "l", [0, 0]),
        (lambda: schuss.zeros(2, dtype=float), "d", [0.0, 0.0]),
        (lambda: schuss.zeros(2, dtype=bool), "?", [False, False]),
        (lambda: schuss.ones(size=(2,)), "f", [1.0, 1.0]),
        (lambda: schuss.full((2,), 3), "l", [3, 3]),
        (lambda: schuss.full((2,), True), "?", [True, True]),
        (lambda: schuss.full((2,), 3.0), "f", [3.0, 3.0]),
        (lambda: schuss.full((), 2, dtype=schuss.float64), "d", 2.0),
        (lambda: schuss.arange(3), "l", [0, 1, 2]),
        (lambda: schuss.arange(3.0), "f", [0.0, 1.0, 2.0]),
        (lambda: schuss.arange(1, 7, 2), "l", [1, 3, 5]),
        (lambda: schuss.arange(5, 0, -2), "l", [5, 3, 1]),
        (lambda: schuss.arange(0, 1, 0.25), "f", [0.0, 0.25, 0.5, 0.75]),
        (lambda: schuss.arange(3, 3), "l", []),
        (lambda: schuss.arange(start=0, end=4, step=2), "l", [0, 2]),
        (lambda: schuss.arange(2**53, 2**53 + 2), "l", [2**53, 2**53 + 1]),
        (lambda: schuss.linspace(0, 1, 5), "f", [0.0, 0.25, 0.5, 0.75, 1.0]),
        (lambda: schuss.linspace(0, 1, 1), "f", [0.0]),
        (lambda: schuss.linspace(0, 1, steps=0), "f", []),
        (lambda: schuss.linspace(0, 10, 5, dtype=schuss.int64), "l", [0, 2, 5, 7, 10]),
        (lambda: schuss.linspace(1, -1, 3), "f", [1.0, 0.0, -1.0]),
        (lambda: schuss.eye(2), "f", [[1.0, 0.0], [0.0, 1.0]]),
        (lambda: schuss.eye(1, 2, dtype=schuss.int32), "i", [[1, 0]]),
        (lambda: schuss.zeros_like(schuss.ones(2, dtype=schuss.int8)), "b", [0, 0]),
        (lambda: schuss.ones_like(schuss.zeros(2), dtype=schuss.int8), "b", [1, 1]),
        (lambda: schuss.full_like(schuss.zeros(2), 7), "f", [7.0, 7.0]),
        (lambda: schuss.ones(2).new_zeros(1), "f", [0.0]),
        (lambda: schuss.ones(2).new_tensor([1, 2]), "f", [1.0, 2.0]),
        (lambda: schuss.ones(2, dtype=schuss.int16).new_full((1,), 4), "h", [4]),
    ],
)
def test_creation(make: object, dtype: str, values: list) -> None:
    x = make()
    assert x.dtype == DTYPES[dtype]
    assert x.tolist() == values
    assert x.is_leaf and not x.requires_grad


def test_several_numbers_make_a_vector() -> None:
    assert_close(schuss.tensor(3.0, 2), schuss.tensor([3.0, 2.0]))
    assert_close(schuss.tensor(1, 2, 3), schuss.tensor([1, 2, 3]))


def test_sizes_and_strides() -> None:
    assert schuss.Tensor([1, 2]).dtype == schuss.float32
    x = schuss.zeros(2, 3)
    assert x.shape == (2, 3) == tuple(x.size()) and x.size(1) == x.size(-1) == 3
    assert isinstance(x.shape, schuss.Size) and x.shape.numel() == 6
    assert x.ndim == x.dim() == 2 and x.numel() == x.nelement() == 6
    assert x.element_size() == 4 and x.nbytes == 24
    assert x.stride() == (3, 1) and x.stride(0) == 3 and x.storage_offset() == 0


def test_empty_and_likes_have_the_right_form() -> None:
    assert schuss.empty(2, 3).shape == (2, 3)
    x = schuss.zeros(2, 3, dtype=schuss.float64)
    for like in (schuss.empty_like, schuss.rand_like, schuss.randn_like):
        assert like(x).shape == (2, 3) and like(x).dtype == schuss.float64
    assert schuss.randint_like(x, 5).dtype == schuss.float64


@pytest.mark.parametrize("letter", LETTERS)
def test_predicates_and_names_of_dtypes(letter: str) -> None:
    dtype = DTYPES[letter]
    assert dtype.is_floating_point == (letter in FLOATS)
    assert schuss.ones(1, dtype=dtype).is_floating_point() == (letter in FLOATS)
    assert dtype.itemsize == schuss.ones(1, dtype=dtype).element_size()
    assert schuss.ones(1).to(dtype) is not None and copy.deepcopy(dtype) is dtype
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    if letter in FLOATS:
        info = schuss.finfo(dtype)
        assert 1.0 + info.eps > 1.0 and info.max > 1e4 and info.tiny > 0
    elif letter != "?":
        info = schuss.iinfo(dtype)
        assert (info.min, info.max) == (
            np.iinfo(numpy_dtype(letter)).min,
            np.iinfo(numpy_dtype(letter)).max,
        )


def test_shorthand_conversions() -> None:
    x = schuss.tensor([0.0, 1.5])
    for method, letter in [
        ("bool", "?"), ("byte", "B"), ("char", "b"), ("short", "h"), ("int", "i"),
        ("long", "l"), ("half", "e"), ("bfloat16", "w"), ("float", "f"), ("double", "d"),
    ]:  # fmt: skip
        assert getattr(x, method)().dtype == DTYPES[letter]
    assert x.float() is x and x.to(schuss.float32) is x and x.cpu() is x
    assert x.to(schuss.ones(1, dtype=schuss.int64)).dtype == schuss.int64
    assert x.to("cpu", schuss.float64).dtype == schuss.float64
    assert x.to(schuss.float32, copy=True) is not x
    assert x.type(schuss.int32).dtype == schuss.int32 and x.type_as(x.long()).dtype == schuss.int64


def test_default_dtype() -> None:
    assert schuss.get_default_dtype() == schuss.float32
    schuss.set_default_dtype(schuss.float64)
    try:
        assert schuss.tensor(1.0).dtype == schuss.zeros(1).dtype == schuss.float64
        assert (schuss.tensor([1]) / 2).dtype == schuss.float64
    finally:
        schuss.set_default_dtype(schuss.float32)


def test_conversion_to_python() -> None:
    x = schuss.tensor([[1, 2], [3, 4]])
    assert x.tolist() == [[1, 2], [3, 4]] and len(x) == 2
    assert [row.tolist() for row in x] == [[1, 2], [3, 4]]
    one = schuss.tensor([[2.5]])
    assert one.item() == float(one) == 2.5 and int(one) == 2 and bool(one)
    assert type(schuss.tensor(True).item()) is bool and type(schuss.tensor(3).item()) is int
    assert range(5)[schuss.tensor(3)] == 3 and list(range(schuss.tensor(2))) == [0, 1]
    assert not schuss.tensor(0.0) and schuss.tensor(math.nan)
    assert 2 in schuss.tensor([1, 2]) and 5 not in schuss.tensor([1, 2])
    assert f"{schuss.tensor(1.23456):.2f}" == "1.23" and f"{schuss.tensor(3):d}" == "3"
    assert math.sqrt(schuss.tensor(4.0)) == 2.0
    assert complex(schuss.tensor(2.0)) == 2 + 0j
    a, b = schuss.tensor([1.0, 2.0])
    assert (a.item(), b.item()) == (1.0, 2.0)


def test_operators_of_python() -> None:
    x = schuss.tensor([7.0, -7.0])
    for f in (operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv,
              operator.mod, operator.pow):  # fmt: skip
        want = np.array([7.0, -7.0], "f")
        np.testing.assert_allclose(f(x, 2).numpy(), f(want, 2), rtol=1e-6)
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(f(2, x).numpy(), f(np.float32(2), want), rtol=1e-6)
    k = schuss.tensor([6, 3])
    assert (k & 2).tolist() == [2, 2] and (1 | k).tolist() == [7, 3] and (k ^ 1).tolist() == [7, 2]
    assert (k << 1).tolist() == [12, 6] and (k >> 1).tolist() == [3, 1]
    assert (~k).tolist() == [-7, -4] and (~schuss.tensor(True)).item() is False
    assert (-k).tolist() == [-6, -3] and (+k).tolist() == [6, 3] and abs(-k).tolist() == [6, 3]
    assert (schuss.eye(2) @ schuss.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert (k == None) is False and (k != "a") is True  # noqa: E711
    assert (k.eq(6)).tolist() == [True, False]


@pytest.mark.parametrize("letter", [c for c in LETTERS if c != "w"])
def test_numpy_shares_memory(letter: str) -> None:
    a = np.ones((2, 3), numpy_dtype(letter))
    t = schuss.from_numpy(a)
    assert t.dtype == DTYPES[letter] and np.shares_memory(t.numpy(), a)
    a[0, 1] = 0
    assert not t[0, 1]
    t[1] = 0
    assert not a[1].any()
    assert np.asarray(t).dtype == a.dtype and np.shares_memory(np.asarray(t), a)
    back = t.t()[1:].numpy()
    assert back.shape == (2, 2) and np.shares_memory(back, a)
    strided = schuss.from_numpy(a[:, ::2])
    assert strided.stride() == (3, 2) and strided.shape == (2, 2)
    assert np.array(t, dtype="f").dtype == np.float32 and not np.shares_memory(np.array(t), a)


def test_numpy_keeps_the_memory_alive() -> None:
    a = np.arange(1000.0)
    t = schuss.from_numpy(a)
    del a
    assert t.sum().item() == 499500.0
    view = schuss.arange(1000.0).numpy()
    assert view.sum() == 499500.0
    x = schuss.zeros(3)
    array = x.numpy()
    del x
    array += 1
    assert array.tolist() == [1.0, 1.0, 1.0]


def test_numpy_of_a_tracked_tensor() -> None:
    x = schuss.ones(2, requires_grad=True)
    for f in (lambda: x.numpy(), lambda: np.asarray(x)):
        with pytest.raises(RuntimeError, match="detach"):
            f()
    assert x.detach().numpy().tolist() == [1.0, 1.0]
    assert np.shares_memory(x.detach().numpy(), x.data.numpy())


def test_numpy_functions_take_tensors() -> None:
    x = schuss.tensor([1.0, 2.0, 3.0])
    assert np.mean(np.asarray(x)) == 2.0 and np.allclose(x, [1, 2, 3])
    assert (x * np.float64(2)).dtype == schuss.float32
    assert (x + np.ones(3, "f")).tolist() == [2.0, 3.0, 4.0]
    assert memoryview(np.asarray(x)).tolist() == [1.0, 2.0, 3.0]
    assert schuss.zeros(3)[np.int64(1)].item() == 0.0 and schuss.zeros(np.int64(3)).shape == (3,)


def test_read_only_arrays_are_not_written_silently() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    t = schuss.tensor(a)
    t += 1
    assert a.tolist() == [0.0, 1.0, 2.0]


def test_tensor_copies_and_as_tensor_does_not() -> None:
    a = np.zeros(2)
    copied, shared = schuss.tensor(a), schuss.as_tensor(a)
    a[0] = 5
    assert copied[0].item() == 0 and shared[0].item() == 5
    x = schuss.zeros(2)
    assert schuss.as_tensor(x) is x
    assert schuss.as_tensor(x, dtype=schuss.float64) is not x


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
@pytest.mark.parametrize("letter", LETTERS)
def test_copies_and_pickles(letter: str, again: object) -> None:
    x = make_tensor(3, 4, dtype=DTYPES[letter])
    y = again(x)
    assert_close(x, y)
    y = again(x.t()[1:, ::2])
    assert_close(x.t()[1:, ::2], y, check_stride=again is copy.copy)
    assert again(x[:0]).shape == (0, 4) and again(x[0, 0]).shape == ()


def test_deepcopy_and_pickle_of_leaves() -> None:
    x = schuss.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    y = copy.deepcopy(x)
    assert y.requires_grad and y.is_leaf and y.grad.tolist() == [3.0, 3.0]
    y.grad.zero_()
    assert x.grad.tolist() == [3.0, 3.0]
    with schuss.no_grad():
        y += 1
    assert x.tolist() == [1.0, 1.0]
    file = io.BytesIO()
    pickle.dump(x, file)
    file.seek(0)
    z = pickle.load(file)
    assert z.requires_grad and z.tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError):
        copy.deepcopy(x * 2)


def test_objects_have_identity_attributes_and_weak_references() -> None:
    x = schuss.ones(2)
    x.note = "kept"
    assert x.note == "kept" and weakref.ref(x)() is x
    assert x in {x} and hash(x) == hash(x)
    assert x.add_(1) is x
    x.requires_grad_()
    (x * 2).sum().backward()
    assert x.grad is x.grad


def test_subclasses() -> None:
    class Weight(schuss.Tensor):
        pass

    w = schuss.Tensor._make_subclass(Weight, schuss.ones(2), True)
    assert isinstance(w, Weight) and w.requires_grad and w.is_leaf
    (w * 3).sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]


def test_clone_contiguous_and_copy() -> None:
    x = schuss.arange(6).reshape(2, 3).t()
    assert not x.is_contiguous() and x.contiguous().is_contiguous()
    assert x.contiguous().tolist() == x.tolist()
    y = x.clone()
    y.zero_()
    assert x.sum().item() == 15
    z = schuss.zeros(3, 2)
    assert z.copy_(x) is z and z.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    z.copy_(schuss.tensor([7, 8]))
    assert z.tolist() == [[7.0, 8.0]] * 3


def test_devices() -> None:
    cpu = schuss.device("cpu")
    assert cpu == schuss.zeros(1).device == schuss.zeros(1, device="cpu").device
    assert schuss.zeros(1, device=cpu).device.type == "cpu" and str(cpu) == "cpu"
    assert schuss.zeros(1).cpu().to(cpu).is_contiguous() and not schuss.zeros(1).is_cuda
    assert schuss.cuda.is_available() in (True, False)


def test_variables_of_old_programs() -> None:
    x = schuss.autograd.Variable(schuss.ones(2), requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_a_shape_after_a_tuple_is_a_shape():
    front, shape = (1,), schuss.ones(2, 3).shape
    joined = front + shape
    assert joined == (1, 2, 3) and type(joined) is schuss.Size
    with pytest.raises(TypeError):
        list(front) + shape


def test_reversed_goes_from_the_last():
    rows = list(reversed(schuss.arange(4).reshape(2, 2)))
    assert [row.tolist() for row in rows] == [[2, 3], [0, 1]]
    assert reversed(schuss.tensor(3)).item() == 3
