"""Names asked for now and then: counts, index grids, divisors, windows, buffers, questions.

Leans on NumPy and SciPy; what stands as a number was made with PyTorch 2.15.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import schuss
from conftest import refuses

signal = pytest.importorskip("scipy.signal", reason="SciPy has the windows to compare with")
t = schuss.tensor


def test_bincount():
    x = t([4, 0, 1, 1, 4])
    assert schuss.bincount(x).tolist() == [1, 2, 0, 0, 2]
    assert x.bincount(minlength=7).tolist() == [1, 2, 0, 0, 2, 0, 0]
    weighed = schuss.bincount(x, t([0.5, 1.0, 2.0, 3.0, 0.25]))
    assert weighed.tolist() == [1.0, 5.0, 0.0, 0.0, 0.75] and weighed.dtype == schuss.float32
    assert schuss.bincount(x, x).dtype == schuss.float64
    assert schuss.bincount(schuss.zeros(0, dtype=schuss.int64), minlength=2).tolist() == [0, 0]
    for bad, kind in (
        (t([-1]), RuntimeError),
        (t([[1]]), RuntimeError),
        (t([1.0]), NotImplementedError),
    ):
        with refuses(kind, "bincount"):
            schuss.bincount(bad)
    with refuses(RuntimeError, "weights"):
        schuss.bincount(x, t([1.0]))
    with refuses(RuntimeError, "minlength"):
        schuss.bincount(x, minlength=-1)


@pytest.mark.parametrize("offset", [-2, 0, 1, 5])
def test_corners(offset):
    for rows, columns in ((3, 4), (4, 3), (0, 3)):
        low = schuss.tril_indices(rows, columns, offset).numpy()
        high = schuss.triu_indices(rows, columns, offset, dtype=schuss.int32)
        assert np.array_equal(low, np.array(np.tril_indices(rows, offset, columns)))
        assert np.array_equal(high.numpy(), np.array(np.triu_indices(rows, offset, columns)))
        assert high.dtype == schuss.int32
    with refuses(RuntimeError, "tril_indices", "at least 0"):
        schuss.tril_indices(-1, 3)


def test_vander():
    for x in ([1, 2, 3], [0.5, -2.0]):
        for n in (None, 0, 1, 4):
            for rising in (False, True):
                found = schuss.vander(t(x), n, increasing=rising).numpy()
                assert np.array_equal(found, np.vander(np.array(x), n, increasing=rising))
    assert schuss.vander(t([1], dtype=schuss.int8)).dtype == schuss.int64
    for bad in (lambda: schuss.vander(t([[1]])), lambda: schuss.vander(t([1]), -1)):
        with refuses(RuntimeError, "vander"):
            bad()


def test_divisors():
    a, b = np.array([0, 0, 12, -18, 7, 2**62]), np.array([0, 5, 18, 12, -7, 2**40])
    assert np.array_equal(schuss.gcd(t(a), t(b)).numpy(), np.gcd(a, b))
    assert np.array_equal(schuss.lcm(t(a), t(b)).numpy(), np.lcm(a, b))
    x = t([12, 9])
    assert x.gcd_(t([8, 6])) is x and x.tolist() == [4, 3]
    assert x.lcm_(t([6, 6])).tolist() == [12, 6]
    assert schuss.gcd(t([[4], [6]]), t([2, 3])).tolist() == [[2, 1], [2, 3]]
    assert schuss.gcd(t([4], dtype=schuss.uint8), t([6], dtype=schuss.int16)).dtype == schuss.int16
    for bad in (t([1.5]), t([True])):
        with refuses(NotImplementedError, "gcd", "integers"):
            schuss.gcd(bad, bad)
    with refuses(TypeError, "gcd", "Tensor"):
        schuss.gcd(t([4]), 6)


def test_unravel_index():
    at = np.array([[0, 5], [11, 23]])
    found = schuss.unravel_index(t(at), (2, 3, 4))
    assert all(
        np.array_equal(f.numpy(), w)
        for f, w in zip(found, np.unravel_index(at, (2, 3, 4)), strict=True)
    )
    assert schuss.unravel_index(t([5]), 6)[0].tolist() == [5]
    with refuses(TypeError, "unravel_index", "integers"):
        schuss.unravel_index(t([1.5]), (2, 3))


def test_histogramdd():
    points = np.random.default_rng(0).normal(size=(200, 3))
    for more in ({}, {"density": True}, {"weights": np.arange(200.0)}):
        want, edges = np.histogramdd(points, bins=[2, 3, 4], **more)
        ours = {
            "weight" if k == "weights" else k: t(v) if k == "weights" else v
            for k, v in more.items()
        }
        found = schuss.histogramdd(t(points), bins=[2, 3, 4], **ours)
        assert found.hist.numpy() == pytest.approx(want)
        assert all(
            f.numpy() == pytest.approx(e) for f, e in zip(found.bin_edges, edges, strict=True)
        )
    edges = t([0.0, 1.0, 3.0])
    found = schuss.histogramdd(t([[0.0, 3.0], [1.0, 9.0]]), bins=[edges, edges]).hist
    assert found.tolist() == [[0.0, 1.0], [0.0, 0.0]]


def test_range_has_its_end():
    assert schuss.range(0, 1, 0.5).tolist() == [0.0, 0.5, 1.0]
    assert schuss.range(3, 0, -1).tolist() == [3.0, 2.0, 1.0, 0.0]
    with refuses(RuntimeError, "range"):
        schuss.range(0, -1)
    with refuses(TypeError, "range"):
        schuss.range(5)


WINDOWS = {
    "hann": ("hann", {}),
    "hamming": ("hamming", {}),
    "blackman": ("blackman", {}),
    "bartlett": ("bartlett", {}),
    "nuttall": ("nuttall", {}),
    "cosine": ("cosine", {}),
    "kaiser": (("kaiser", 12.0), {}),
    "gaussian": (("gaussian", 3.0), {"std": 3.0}),
    "exponential": (("exponential", None, 2.0), {"tau": 2.0}),
    "general_hamming": (("general_hamming", 0.6), {"alpha": 0.6}),
    "general_cosine": (("general_cosine", [0.4, 0.5, 0.1]), {"a": [0.4, 0.5, 0.1]}),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name):
    theirs, more = WINDOWS[name]
    make = getattr(schuss.signal.windows, name)
    for sym in (True, False):
        for length in (1, 2, 7, 8):
            want = signal.windows.get_window(theirs, length, fftbins=not sym)
            found = make(length, sym=sym, dtype=schuss.float64, **more)
            assert found.numpy() == pytest.approx(want, abs=1e-7)
    assert make(0, **more).shape == (0,) and make(3, **more).dtype == schuss.float32
    assert make(3, requires_grad=True, **more).requires_grad
    with refuses(ValueError, "at least 0"):
        make(-1, **more)
    with refuses(ValueError, "int32"):
        make(3, dtype=schuss.int32, **more)


def test_older_windows_are_periodic():
    for name in ("hann", "hamming", "blackman", "bartlett"):
        old = getattr(schuss, f"{name}_window")
        new = getattr(schuss.signal.windows, name)
        assert old(9).tolist() == new(9, sym=False).tolist()
        assert old(9, False).tolist() == new(9).tolist()
    assert schuss.kaiser_window(5, False, 2.0).tolist() == pytest.approx(
        [0.4387, 0.8348, 1.0, 0.8348, 0.4387], abs=1e-4
    )
    assert schuss.hamming_window(4, alpha=0.5, beta=0.5).tolist() == schuss.hann_window(4).tolist()
    with refuses(RuntimeError, "hann_window", "at least 0"):
        schuss.hann_window(-1)
    with refuses(TypeError, "integer"):
        schuss.hann_window(5.5)


def test_windows_refuse():
    windows = schuss.signal.windows
    with refuses(ValueError, "center"):
        windows.exponential(3, center=1.0)
    with refuses(ValueError, "tau"):
        windows.exponential(3, tau=-1)
    with refuses(ValueError, "beta"):
        windows.kaiser(3, beta=-1)
    with refuses(ValueError, "coefficient"):
        windows.general_cosine(3, a=[])


def test_frombuffer():
    memory = bytearray(b"abcde")
    x = schuss.frombuffer(memory, dtype=schuss.uint8)
    x[0] = 65
    assert memory[0] == 65
    assert schuss.frombuffer(memory, dtype=schuss.int16, count=2, offset=1).tolist() == [
        25442,
        25956,
    ]
    assert schuss.frombuffer(b"ab", dtype=schuss.uint8).tolist() == [97, 98]
    ones = schuss.frombuffer(bytearray(b"\x80\x3f"), dtype=schuss.bfloat16)
    assert ones.tolist() == [1.0] and ones.dtype == schuss.bfloat16
    for more in ({"offset": 5}, {"count": 3}, {}, {"offset": -1}, {"count": 0}):
        with refuses(ValueError, "frombuffer"):
            schuss.frombuffer(memory, dtype=schuss.int16, **more)
    with refuses(ValueError, "list"):
        schuss.frombuffer([1], dtype=schuss.uint8)


def test_asarray():
    x = schuss.ones(2)
    assert schuss.asarray(x) is x
    assert schuss.asarray(x, copy=True).data_ptr() != x.data_ptr()
    array = np.zeros(2)
    schuss.asarray(array)[0] = 5
    assert array[0] == 5
    assert schuss.asarray(array, dtype=schuss.float32).dtype == schuss.float32
    assert schuss.asarray([1, 2]).dtype == schuss.int64 and schuss.asarray(5).shape == ()
    assert schuss.asarray(bytearray(b"ab")).tolist() == [97, 98]
    assert schuss.asarray([1.0], requires_grad=True).requires_grad
    for bad in ([1, 2], np.zeros(2)):
        with refuses(ValueError, "copy"):
            schuss.asarray(bad, dtype=schuss.float32, copy=False)


def test_questions():
    can = schuss.can_cast
    kinds = (schuss.bool, schuss.uint8, schuss.int64, schuss.float16, schuss.float64)
    table = [[can(a, b) for b in kinds] for a in kinds]
    assert table == [
        [True, True, True, True, True],
        [False, True, True, True, True],
        [False, True, True, True, True],
        [False, False, False, True, True],
        [False, False, False, True, True],
    ]
    assert schuss.is_nonzero(t([2])) and not t(0.0).is_nonzero()
    with refuses(RuntimeError, "is_nonzero"):
        schuss.is_nonzero(t([1, 2]))
    assert schuss.is_signed(t(1)) and not schuss.is_signed(t(True))
    x = schuss.zeros(2, 3)
    assert x.t().dim_order() == (1, 0) and x.is_set_to(x.view(2, 3)) and not x.is_set_to(x.t())
    assert schuss.get_device(x) == -1 and not schuss.is_distributed(x)
    assert schuss.cond(False, lambda x: x, lambda x: -x, (t(1.0),)).item() == -1
    assert schuss.sym_max(1, 2.0) == 2.0 and isinstance(schuss.sym_min(1, 2.0), float)
    assert (schuss.sym_int(-2.7), schuss.sym_not(0), schuss.sym_sum([1, 2])) == (-2, True, 3)
    assert schuss.sym_ite(True, 1, 2) == 1 and schuss.sym_sqrt(4) == 2.0


def test_fill_diagonal():
    x = schuss.zeros(7, 3)
    assert x.fill_diagonal_(1, wrap=True) is x
    assert x.nonzero().tolist() == [[0, 0], [1, 1], [2, 2], [4, 0], [5, 1], [6, 2]]
    assert schuss.zeros(7, 3).fill_diagonal_(1).sum().item() == 3
    cube = schuss.zeros(3, 3, 3).fill_diagonal_(2.0)
    assert cube.nonzero().tolist() == [[i, i, i] for i in range(3)] and cube.sum().item() == 6
    for bad in (schuss.zeros(3), schuss.zeros(3, 4, 5)):
        with refuses(RuntimeError, "fill_diagonal_"):
            bad.fill_diagonal_(1)
    w = schuss.ones(2, 2, requires_grad=True)
    (w * 1).fill_diagonal_(0).sum().backward()
    assert w.grad.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_functions_of_single_elements():
    assert t([1.0, 2.0]).apply_(lambda v: v * 10).tolist() == [10.0, 20.0]
    assert t([1.0, 2.0]).map_(t([3.0]), lambda a, b: a - b).tolist() == [-2.0, -1.0]


def test_aliases():
    x = t([1.0, 2.0])
    assert schuss.ger(x, x).tolist() == schuss.outer(x, x).tolist()
    assert schuss.row_stack([x, x]).shape == (2, 2)
    assert x[schuss.newaxis].shape == (1, 2)
    assert not schuss.detach(x).requires_grad
    assert schuss.default_generator.initial_seed() == schuss.initial_seed()
    assert x.nonzero_static(size=3).tolist() == [[0], [1], [-1]]
    assert schuss.set_flush_denormal(False) and not schuss.is_warn_always_enabled()
    schuss.set_deterministic_debug_mode("warn")
    assert schuss.get_deterministic_debug_mode() == 1
    schuss.set_deterministic_debug_mode(0)
    assert math.isclose(schuss.celu(t(-1.0)).item(), math.exp(-1) - 1, rel_tol=1e-6)


def test_places_below_0_are_refused_where_pytorch_refuses_them():
    x, at = schuss.arange(4.0), t([-1])
    for call in (
        lambda: x.gather(0, at),
        lambda: x.scatter(0, at, 9.0),
        lambda: x.scatter_add(0, at, x[:1]),
        lambda: x.scatter_reduce(0, at, x[:1], "amax"),
    ):
        with refuses(RuntimeError, "-1", "4"):
            call()
    assert schuss.take_along_dim(x, at, 0).tolist() == [3.0] == x.take(at).tolist()
    assert schuss.take_along_dim(x.reshape(2, 2), at).tolist() == [3.0]
    assert x.index_fill(0, at, 9.0).tolist() == [0.0, 1.0, 2.0, 9.0]


def test_low_ranks_and_triangles():
    rows, columns = (
        schuss.randn(9, 3, dtype=schuss.float64),
        schuss.randn(3, 7, dtype=schuss.float64),
    )
    for A in (rows @ columns, (rows @ columns).mT):
        U, S, V = schuss.svd_lowrank(A, 3)
        assert U.shape == (A.shape[0], 3) and V.shape == (A.shape[1], 3)
        assert (U * S @ V.mT).numpy() == pytest.approx(A.numpy())
        assert S.tolist() == pytest.approx(schuss.linalg.svdvals(A)[:3].tolist())
        centred = A - A.mean(0)
        U, S, V = schuss.pca_lowrank(A, 3)
        assert (U * S @ V.mT).numpy() == pytest.approx(centred.numpy())
    with refuses(ValueError, "q=9"):
        schuss.svd_lowrank(rows, 9)
    A, b = rows[:3].triu() + 3 * schuss.eye(3, dtype=schuss.float64), rows[3:6]
    x, same = schuss.triangular_solve(b, A)
    assert (A @ x).numpy() == pytest.approx(b.numpy()) and same.tolist() == A.tolist()
    x = b.triangular_solve(A, transpose=True).solution
    assert (A.mT @ x).numpy() == pytest.approx(b.numpy())
    x = b.triangular_solve(A.mT, upper=False)[0]
    assert (A.mT @ x).numpy() == pytest.approx(b.numpy())
    factor = A.mT @ A
    factor = factor.cholesky()
    assert (factor @ factor.mT @ b.cholesky_solve(factor)).numpy() == pytest.approx(b.numpy())


def test_views_by_strides_as_copies():
    x = schuss.arange(6.0)
    made = schuss.as_strided_copy(x, (2, 2), (3, 1))
    assert made.tolist() == [[0.0, 1.0], [3.0, 4.0]] and made.data_ptr() != x.data_ptr()
    w, v = schuss.ones(6, requires_grad=True), schuss.ones(2, requires_grad=True)
    found = w.as_strided_scatter(v * 5, (2,), (3,), 1)
    assert found.tolist() == [1.0, 5.0, 1.0, 1.0, 5.0, 1.0]
    found.sum().backward()
    assert w.grad.tolist() == [1.0, 0.0, 1.0, 1.0, 0.0, 1.0] and v.grad.tolist() == [5.0, 5.0]
    with refuses(RuntimeError, "as_strided_scatter", (2,), (3,)):
        schuss.as_strided_scatter(x, schuss.ones(3), (2,), (3,))
