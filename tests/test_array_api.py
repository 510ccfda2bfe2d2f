"""The Array API's namespace where it differs from the functions it is made of, and what is shipped.

Leans on schuss and NumPy, and on SciPy and scikit-learn as users of the standard. The standard's
own suite is run by `python3 x.py arrayapi PATH`; what of it fails is listed in
array_api/failures.txt, whose form is checked here.
"""

from __future__ import annotations

import inspect
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss import array_api as xp

FAILURES = Path(__file__).parent / "array_api" / "failures.txt"
SMALL = schuss.tensor([1, 2], dtype=schuss.int8)
WIDE = schuss.tensor(1000)


# ---- the namespace ------------------------------------------------------------------------------


def test_a_tensor_knows_its_namespace() -> None:
    x = schuss.ones(2)
    assert x.__array_namespace__() is xp is schuss.array_api
    assert x.__array_namespace__(api_version="2022.12") is xp
    assert xp.__array_api_version__ == "2025.12"
    for version in ("2030.12", "1999.12"):
        with refuses(ValueError, version, "2025.12"):
            x.__array_namespace__(api_version=version)


def test_every_function_has_a_sentence_and_the_standards_signature_form() -> None:
    functions = {n: f for n, f in vars(xp).items() if inspect.isfunction(f)}
    assert len(functions) > 130
    for name, function in functions.items():
        assert (function.__doc__ or "").partition("\n\n")[0].rstrip().endswith("."), name
        assert function.__module__.startswith("schuss.array_api"), name
        first = next(iter(inspect.signature(function).parameters.values()), None)
        if first is not None and first.name in {"x", "x1", "x2"}:
            assert first.kind is first.POSITIONAL_ONLY, name


def test_one_program_for_two_libraries() -> None:
    def standardised(x: Any) -> Any:
        xp = x.__array_namespace__()
        centred = x - xp.mean(x, axis=0, keepdims=True)
        return centred / xp.std(x, axis=0, correction=1.0, keepdims=True)

    a = np.random.default_rng(0).standard_normal((5, 3))
    got = standardised(schuss.from_dlpack(a))
    assert np.allclose(np.from_dlpack(got), standardised(a))


CONSUMERS = """
import os
os.environ["SCIPY_ARRAY_API"] = "1"
import numpy as np, schuss, sklearn
from scipy.special import logsumexp
from sklearn.decomposition import PCA
a = np.random.default_rng(0).standard_normal((50, 4))
x = schuss.from_numpy(a).requires_grad_()
found = logsumexp(x, axis=1)
assert isinstance(found, schuss.Tensor) and found.requires_grad
found.sum().backward()
assert np.allclose(found.detach(), logsumexp(a, axis=1))
assert np.allclose(x.grad.sum(1), 1)
x = schuss.from_numpy(a)
with sklearn.config_context(array_api_dispatch=True):
    parts = PCA(2, svd_solver="full").fit(x).components_
assert isinstance(parts, schuss.Tensor)
assert np.allclose(abs(parts), abs(PCA(2, svd_solver="full").fit(a).components_))
"""


def test_other_libraries_take_tensors() -> None:
    done = subprocess.run([sys.executable, "-c", CONSUMERS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_derivatives_go_through() -> None:
    x = schuss.tensor([1.0, 4.0], requires_grad=True)
    xp.sum(xp.multiply(xp.sqrt(x), xp.asarray(2.0)) + xp.remainder(x, 3.0)).backward()
    assert x.grad.tolist() == [2.0, 1.5]


def test_to_device() -> None:
    x = schuss.ones(2)
    assert x.to_device("cpu") is x
    with refuses(ValueError, "stream"):
        x.to_device("cpu", stream=1)


# ---- where the standard and PyTorch part --------------------------------------------------------


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "bitwise_or", "pow"])
def test_an_array_without_axes_has_its_say_in_the_dtype(name: str) -> None:
    assert getattr(xp, name)(SMALL, WIDE).dtype == schuss.int64
    assert (SMALL + WIDE).dtype == schuss.int8
    assert getattr(xp, name)(SMALL, 1).dtype == schuss.int8
    assert getattr(xp, name)(1, SMALL).dtype == schuss.int8


def test_comparisons_are_in_the_wider_dtype() -> None:
    x = schuss.tensor([-24], dtype=schuss.int8)
    assert xp.equal(x, WIDE).tolist() == [False]
    assert xp.less(x, WIDE).tolist() == [True]
    assert xp.less(2, SMALL).tolist() == [False, False]


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ((schuss.int8, schuss.uint8), "int16"),
        ((SMALL, WIDE), "int64"),
        ((SMALL, 5), "int8"),
        ((SMALL, True), "int8"),
        ((SMALL, 2.0), "float32"),
        ((schuss.float64, 1.0, 2), "float64"),
        ((schuss.bool, 3), "int64"),
        ((schuss.float32, schuss.float64), "float64"),
    ],
)
def test_result_type(given: tuple, want: str) -> None:
    assert xp.result_type(*given).name == want


def test_result_type_refuses() -> None:
    with refuses(ValueError, "at least one"):
        xp.result_type(1, 2.0)
    with refuses(TypeError, "complex"):
        xp.result_type(SMALL, 1j)
    with refuses(TypeError, "str"):
        xp.result_type(SMALL, "int8")


@pytest.mark.parametrize(
    ("a", "b"),
    [(-0.0, 1.0), (0.0, -1.0), (-0.0, -1.0), (0.0, 1.0), (4.0, -2.0), (-4.0, 2.0), (-7.0, 2.0)],
)
@pytest.mark.parametrize("count", [1, 40])
def test_quotients_and_remainders_of_nothing_have_a_sign(a: float, b: float, count: int) -> None:
    x, y = (schuss.full((count,), n, dtype=schuss.float64) for n in (a, b))
    for found, want in ((xp.floor_divide(x, y), a // b), (x // y, a // b)):
        assert found.tolist() == [want] * count
        assert xp.signbit(found).all() == (math.copysign(1, np.floor_divide(a, b)) < 0)
    found = xp.remainder(x, y)
    assert found.tolist() == [a % b] * count
    assert xp.signbit(found).all() == (math.copysign(1, a % b) < 0)


def test_sign_keeps_nan() -> None:
    assert math.isnan(xp.sign(xp.asarray(math.nan)))
    assert xp.sign(xp.asarray([-3, 0, 2])).tolist() == [-1, 0, 1]


def test_clip_keeps_the_dtype() -> None:
    x = schuss.tensor([0, 100, 200], dtype=schuss.uint8)
    assert xp.clip(x, -5, 1000).tolist() == [0, 100, 200]
    assert xp.clip(x, 300).tolist() == [255] * 3
    assert xp.clip(x, schuss.tensor(50), 150).dtype == schuss.uint8
    y = schuss.ones(3)
    assert xp.clip(y).data_ptr() != y.data_ptr()
    assert xp.clip(y, schuss.tensor([0.0, 2.0, 0.0]), 1.5).tolist() == [1.0, 1.5, 1.0]


def test_folds_over_no_axis_and_over_several() -> None:
    x = schuss.arange(24, dtype=schuss.float32).reshape(2, 3, 4)
    a = x.numpy()
    for name in ("sum", "prod", "mean", "max", "min", "var", "std", "all", "any", "count_nonzero"):
        theirs = getattr(np, name)
        for axis in (None, 0, -1, (0, 2), (1, 0), (0, 1, 2)):
            for keep in (False, True):
                got = getattr(xp, name)(x, axis=axis, keepdims=keep)
                want = theirs(a.astype(np.float64), axis=axis, keepdims=keep)
                assert got.shape == np.shape(want), (name, axis, keep)
                assert np.allclose(got.numpy(), want), (name, axis, keep)
        alone = getattr(xp, name)(x, axis=())
        assert alone.shape == x.shape and alone.data_ptr() != x.data_ptr(), name


def test_folds_refuse_axes() -> None:
    x = schuss.ones(2, 3)
    with refuses(IndexError, "sum", "axis 2"):
        xp.sum(x, axis=2)
    with refuses(ValueError, "twice"):
        xp.max(x, axis=(0, -2))
    with refuses(ValueError, "cumulative_sum", "axis"):
        xp.cumulative_sum(x)


def test_narrow_integers_are_summed_wide() -> None:
    x = schuss.full((100,), 100, dtype=schuss.int8)
    assert xp.sum(x).item() == 10_000 and xp.sum(x).dtype == schuss.int64
    assert xp.sum(x, dtype=schuss.int8).dtype == schuss.int8
    assert xp.cumulative_sum(x)[-1].item() == 10_000
    assert xp.linalg.trace(x.reshape(10, 10)).item() == 1000


def test_the_variance_of_one_element() -> None:
    assert xp.var(xp.asarray([2.0, math.inf]), axis=()).isnan().tolist() == [False, True]
    assert math.isnan(xp.var(xp.asarray(2.0), axis=(), correction=1.0))


def test_running_sums_with_their_start() -> None:
    x = schuss.tensor([[1, 2], [3, 4]])
    found = xp.cumulative_sum(x, axis=0, include_initial=True)
    assert found.tolist() == [[0, 0], [1, 2], [4, 6]]
    assert xp.cumulative_prod(x, axis=1, include_initial=True).tolist() == [[1, 1, 2], [1, 3, 12]]


def test_every_nan_is_distinct() -> None:
    x = schuss.tensor([math.nan, 1.0, math.nan, 1.0, -0.0, 0.0])
    values, indices, inverse, counts = xp.unique_all(x)
    assert values[:2].tolist() == [0.0, 1.0] and values[2:].isnan().all()
    assert indices.tolist() == [4, 1, 0, 2] and counts.tolist() == [2, 2, 1, 1]
    again = values[inverse]
    assert ((again == x) | (again.isnan() & x.isnan())).all()
    assert xp.unique_values(schuss.zeros(0)).shape == (0,)


def test_arange_and_linspace() -> None:
    assert xp.arange(3).tolist() == [0, 1, 2]
    assert xp.arange(5, 1).shape == (0,) and xp.arange(1, 5, -1).dtype == schuss.int64
    assert xp.arange(0.0, 1.0, -0.5).dtype == schuss.float32
    assert xp.linspace(0, 1, 4, endpoint=False).tolist() == [0, 0.25, 0.5, 0.75]
    assert xp.eye(3, k=5).sum() == 0 and xp.eye(3, 2, k=-2).tolist()[2] == [1, 0]


def test_asarray_shares_or_copies_as_it_is_told() -> None:
    array = np.zeros(3)
    xp.asarray(array)[0] = 1
    xp.asarray(array, copy=False)[1] = 1
    xp.asarray(array, copy=True)[2] = 1
    assert array.tolist() == [1, 1, 0]
    x = schuss.zeros(2)
    assert xp.asarray(x) is x and xp.asarray(x, copy=True).data_ptr() != x.data_ptr()
    for obj, dtype in ((array, schuss.float32), (x, schuss.float64), ([1.0], None), (2, None)):
        with refuses(ValueError, "asarray", "copy=None"):
            xp.asarray(obj, dtype=dtype, copy=False)

    class Foreign:
        __dlpack__ = staticmethod(x.__dlpack__)
        __dlpack_device__ = staticmethod(x.__dlpack_device__)

    xp.asarray(Foreign()).fill_(4)
    assert x.tolist() == [4, 4]


def test_shapes_that_do_not_fit() -> None:
    x = schuss.ones(2, 3)
    with refuses(ValueError, "broadcast_shapes", (2, 3), (4,)):
        xp.broadcast_shapes((2, 3), (4,))
    with refuses(ValueError, "squeeze", "axis 1"):
        xp.squeeze(x, 1)
    with refuses(ValueError, "concat", (2, 3), (3, 3)):
        xp.concat([x, schuss.ones(3, 3)], axis=1)
    with refuses(ValueError, "reshape", "copy=None"):
        xp.reshape(x.t(), (6,), copy=False)
    with refuses(ValueError, "expand_dims"):
        xp.expand_dims(x, (0, 0))
    with refuses(IndexError, "expand_dims"):
        xp.expand_dims(x, 4)
    with refuses(ValueError, "take", "axis"):
        xp.take(x, schuss.tensor([0]))
    with refuses(ValueError, "vecdot"):
        xp.vecdot(x, schuss.ones(2))
    with refuses(ValueError, "nonzero"):
        xp.nonzero(schuss.tensor(1))


def test_concat_promotes() -> None:
    found = xp.concat([SMALL, WIDE.reshape(1)], axis=0)
    assert found.tolist() == [1, 2, 1000] and found.dtype == schuss.int64
    assert xp.concat([schuss.ones(2, 2), schuss.zeros(1)], axis=None).tolist() == [1, 1, 1, 1, 0]


def test_solve_takes_a_vector_only_as_one() -> None:
    a = schuss.eye(2).expand(2, 2, 2) * 2
    assert xp.linalg.solve(a, schuss.ones(2)).tolist() == [[0.5, 0.5]] * 2
    # A matrix of two columns, not two vectors.
    b = schuss.tensor([[2.0, 4.0], [6.0, 8.0]])
    assert xp.linalg.solve(a, b).tolist() == [[[1.0, 2.0], [3.0, 4.0]]] * 2


def test_decompositions_of_huge_and_tiny_matrices() -> None:
    for scale in (2.0**510, 2.0**1000, 2.0**-510, 2.0**-1000):
        x = schuss.tensor([[3.0, 0.0], [4.0, 5.0]], dtype=schuss.float64) * scale
        values = (xp.linalg.svdvals(x) / scale).tolist()
        assert values == pytest.approx([math.sqrt(45), math.sqrt(5)])
        found = xp.linalg.eigh(x + x.mT)
        assert (found.eigenvalues / scale).sum().item() == pytest.approx(16)
        assert (found.eigenvectors.mT @ found.eigenvectors - schuss.eye(2)).abs().max() < 1e-12


def test_info() -> None:
    info = xp.__array_namespace_info__()
    assert info.default_device() in info.devices()
    assert set(info.dtypes(kind=("bool", "integral"))) == {
        *("bool", "uint8", "int8", "int16", "int32", "int64")
    }
    assert info.default_dtypes()["real floating"] == schuss.float32
    with refuses(ValueError, "octonion"):
        info.dtypes(kind="octonion")


def test_limits_name_their_dtype() -> None:
    assert xp.finfo(schuss.ones(1)).dtype == schuss.float32
    assert xp.iinfo(SMALL).dtype == schuss.int8 and xp.iinfo(SMALL).max == 127


# ---- the list of what fails ---------------------------------------------------------------------


def test_the_list_of_failures_has_a_reason_for_each() -> None:
    tests, reason = [], ""
    for line in FAILURES.read_text().splitlines():
        if line.startswith("# "):
            reason = line
        elif not line:
            reason = ""
        else:
            assert reason and line.startswith("array_api_tests/"), line
            tests.append(line)
    assert len(tests) == len(set(tests)) <= 60


# ---- complex numbers and transforms -------------------------------------------------------------


def test_complex_dtypes_are_told_of() -> None:
    info = xp.__array_namespace_info__()
    assert info.dtypes(kind="complex floating") == {
        "complex64": schuss.complex64,
        "complex128": schuss.complex128,
    }
    assert info.default_dtypes()["complex floating"] == schuss.complex64
    assert xp.finfo(xp.complex128).dtype == xp.float64
    assert xp.asarray(1j).dtype == xp.complex64
    assert xp.linspace(0, 2 + 4j, 3).tolist() == [0, 1 + 2j, 2 + 4j]


def test_functions_of_complex_arrays() -> None:
    z = xp.asarray([3 + 4j, 1 - 2j, 3 + 4j, -0.0j])
    assert xp.sign(z)[0].item() == pytest.approx(0.6 + 0.8j)
    assert math.copysign(1, xp.sign(z)[3].item().real) == 1
    assert xp.round(xp.asarray([1.4 + 2.5j])).tolist() == [1 + 2j]
    assert xp.unique_values(z).tolist() == [0, 1 - 2j, 3 + 4j]
    assert xp.unique_counts(z).counts.tolist() == [1, 1, 2]
    assert xp.isin(z, xp.asarray([1 - 2j])).tolist() == [False, True, False, False]
    assert xp.isin(z, xp.asarray([1 - 2j]), invert=True).tolist() == [True, False, True, True]
    assert xp.linalg.matrix_rank(xp.asarray([[1j, 1], [1, -1j]]), rtol=xp.asarray(1e-3)) == 1
    turned = xp.linalg.eigvals(xp.asarray([[0.0, -1.0], [1.0, 0.0]]))
    assert sorted(turned.tolist(), key=lambda v: v.imag) == pytest.approx([-1j, 1j])
    found = xp.linalg.eig(xp.asarray([[2.0]]))
    assert found.eigenvalues.tolist() == [2] and found.eigenvectors.dtype == xp.complex64


TRANSFORMS = ["fft", "ifft", "fftn", "ifftn", "rfft", "irfft", "rfftn", "irfftn", "hfft", "ihfft"]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_are_numpys(name: str) -> None:
    rng = np.random.default_rng(3)
    a = rng.standard_normal((4, 6))
    if name not in ("rfft", "rfftn", "ihfft"):
        a = a + 1j * rng.standard_normal((4, 6))
    options = {"axes": (0, 1), "s": (4, 5)} if name.endswith("n") else {"axis": 0, "n": 5}
    for more in ({}, {"norm": "ortho"}, options):
        if name.endswith("n") and not more:
            more = {"axes": (0, 1)}
        got = getattr(xp.fft, name)(schuss.from_numpy(a), **more)
        assert np.allclose(got.numpy(), getattr(np.fft, name)(a, **more))


def test_frequencies_and_shifts_are_numpys() -> None:
    for n in (4, 5):
        for name in ("fftfreq", "rfftfreq"):
            got = getattr(xp.fft, name)(n, d=0.5, dtype=xp.float64)
            assert np.allclose(got.numpy(), getattr(np.fft, name)(n, d=0.5))
        for name in ("fftshift", "ifftshift"):
            got = getattr(xp.fft, name)(xp.arange(n))
            assert np.array_equal(got.numpy(), getattr(np.fft, name)(np.arange(n)))
