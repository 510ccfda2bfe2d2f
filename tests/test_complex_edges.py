"""Complex numbers where it is easy to go wrong: infinite parts, dropout, losses, optimisers, LDL.

Leans on NumPy, and on PyTorch 2.15 and LAPACK for the values that say so.
"""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import schuss
from schuss import linalg

# ---- where parts are infinite or NaN ------------------------------------------------------------

INF, NAN = float("inf"), float("nan")
# The function, the number, and what ISO C's annex G gives for it.
EDGES = [
    ("sinh", complex(INF, INF), complex(INF, NAN)),
    ("sinh", complex(INF, 2.0), complex(-INF, INF)),
    ("sinh", complex(-INF, 0.0), complex(-INF, 0.0)),
    ("sinh", complex(0.0, NAN), complex(0.0, NAN)),
    ("sinh", complex(NAN, 0.0), complex(NAN, 0.0)),
    ("cosh", complex(INF, NAN), complex(INF, NAN)),
    ("cosh", complex(-INF, 2.0), complex(-INF, -INF)),
    ("cosh", complex(INF, 0.0), complex(INF, 0.0)),
    ("tanh", complex(0.0, INF), complex(0.0, NAN)),
    ("tanh", complex(3.0, INF), complex(NAN, NAN)),
    ("tanh", complex(30.0, NAN), complex(NAN, NAN)),
    ("tanh", complex(-INF, 1.0), complex(-1.0, 0.0)),
    ("asinh", complex(3.0, INF), complex(INF, math.pi / 2)),
    ("asinh", complex(-INF, INF), complex(-INF, math.pi / 4)),
    ("asinh", complex(NAN, 0.0), complex(NAN, 0.0)),
    ("acos", complex(INF, INF), complex(math.pi / 4, -INF)),
    ("acos", complex(-INF, -INF), complex(3 * math.pi / 4, INF)),
    ("acos", complex(-INF, 1.0), complex(math.pi, -INF)),
    ("acos", complex(0.0, NAN), complex(math.pi / 2, NAN)),
    ("acosh", complex(-INF, INF), complex(INF, 3 * math.pi / 4)),
    ("acosh", complex(0.0, NAN), complex(NAN, math.pi / 2)),
    ("acosh", complex(NAN, INF), complex(INF, NAN)),
    ("atanh", complex(1.0, INF), complex(0.0, math.pi / 2)),
    ("atanh", complex(0.0, NAN), complex(0.0, NAN)),
    ("expm1", complex(-INF, INF), complex(-1.0, 0.0)),
    ("expm1", complex(INF, NAN), complex(INF, NAN)),
    ("expm1", complex(1.0, INF), complex(NAN, NAN)),
    ("log", complex(-1.9, NAN), complex(NAN, NAN)),
    ("log", complex(-INF, INF), complex(INF, 3 * math.pi / 4)),
    ("log1p", complex(NAN, -0.5), complex(NAN, NAN)),
    ("sin", complex(0.0, INF), complex(0.0, INF)),
    ("cos", complex(0.0, INF), complex(INF, 0.0)),
    ("tan", complex(1.0, INF), complex(0.0, 1.0)),
    ("atan", complex(INF, 1.0), complex(math.pi / 2, 0.0)),
    ("asin", complex(INF, 0.0), complex(math.pi / 2, INF)),
]


@pytest.mark.parametrize(("name", "z", "want"), EDGES)
@pytest.mark.parametrize("kind", [schuss.complex64, schuss.complex128])
def test_edges(name: str, z: complex, want: complex, kind: schuss.dtype) -> None:
    got = getattr(schuss, name)(schuss.tensor(z, dtype=kind)).item()
    for have, wish in ((got.real, want.real), (got.imag, want.imag)):
        assert have == pytest.approx(wish, rel=1e-6) or (math.isnan(have) and math.isnan(wish))


# ---- what is random, what is refused, and what is stepped ----------------------------------------


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout2d", "alpha_dropout"])
def test_dropout_keeps_numbers_whole(name: str) -> None:
    schuss.manual_seed(0)
    z = schuss.full((4, 64), 1 + 2j)
    found = getattr(schuss.nn.functional, name)(z, 0.5)
    assert found.dtype == z.dtype
    if name == "alpha_dropout":
        return
    scale = found / z
    assert set(scale.real.unique().tolist()) == {0.0, 2.0}
    assert scale.imag.abs().max() < 1e-6


LOSSES = {
    "mse_loss": lambda z: schuss.nn.functional.mse_loss(z, z),
    "huber_loss": lambda z: schuss.nn.functional.huber_loss(z, z),
    "smooth_l1_loss": lambda z: schuss.nn.functional.smooth_l1_loss(z, z),
    "kl_div": lambda z: schuss.nn.functional.kl_div(z, z, reduction="sum"),
    "cosine_similarity": lambda z: schuss.nn.functional.cosine_similarity(z, z),
    "cdist": lambda z: schuss.cdist(z, z),
    "pdist": lambda z: schuss.pdist(z),
    "histc": schuss.histc,
    "avg_pool1d": lambda z: schuss.nn.functional.avg_pool1d(z, 2),
    "layer_norm": lambda z: schuss.nn.functional.layer_norm(z, (3,)),
    "trunc_normal_": schuss.nn.init.trunc_normal_,
}


@pytest.mark.parametrize("name", LOSSES)
def test_functions_of_reals_refuse_complex_numbers_with_advice_that_keeps_both_parts(name) -> None:
    with pytest.raises(RuntimeError) as caught:
        LOSSES[name](schuss.ones(2, 3) * 1j)
    text = str(caught.value)
    assert text.startswith(f"{name}: needs") and "got complex64; take x.real" in text
    assert ".float()" not in text


def test_ranges_and_softmax_refuse_complex_numbers() -> None:
    with pytest.raises(RuntimeError, match="arange: bounds must be real numbers, got"):
        schuss.arange(1j)
    with pytest.raises(RuntimeError, match="softmax: dtype must be one of floats, got complex64"):
        schuss.ones(3).softmax(0, dtype=schuss.complex64)


def test_the_first_loss_of_imaginary_parts_is_told() -> None:
    program = """
import warnings, schuss
z = schuss.tensor([1j])
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    z.bool(), z.abs().float(), z.cdouble()
    assert not told
    z.float()
    z.to(schuss.float64)
assert len(told) == 1 and "imaginary" in str(told[0].message), told
assert told[0].filename == "<string>", told[0].filename
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def steps(kind: str) -> list[complex]:
    z = schuss.tensor([1 + 2j, -3 + 0.5j], requires_grad=True)
    opt = getattr(schuss.optim, kind)([z], lr=0.05)

    def closure() -> schuss.Tensor:
        opt.zero_grad()
        loss = ((z - (0.3 - 1j)).abs() ** 2).sum()
        loss.backward()
        return loss

    for _ in range(3):
        opt.step(closure)
    return z.tolist()


# PyTorch 2.15, the same program.
STEPPED = {
    "Rprop": [0.8180 + 1.8180j, -2.8180 + 0.3180j],
    "LBFGS": [0.3337 - 0.8554j, 0.1409 - 0.9277j],
    "Adam": [0.8505 + 1.8501j, -2.8501 + 0.3502j],
}


@pytest.mark.parametrize("kind", STEPPED)
def test_optimisers_step_both_parts(kind: str) -> None:
    assert steps(kind) == pytest.approx(STEPPED[kind], abs=2e-4)


# ---- symmetric and Hermitian matrices -----------------------------------------------------------


@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("kind", [schuss.complex64, schuss.complex128])
def test_ldl(hermitian: bool, kind: schuss.dtype) -> None:
    rng = np.random.default_rng(1)
    a = rng.standard_normal((3, 5, 5)) + 1j * rng.standard_normal((3, 5, 5))
    a = a + (a.conj() if hermitian else a).swapaxes(-1, -2)
    # With small diagonals blocks of two are taken.
    a[1] *= 1 - 0.99 * np.eye(5)
    right = rng.standard_normal((3, 5, 2)) + 1j * rng.standard_normal((3, 5, 2))
    x = schuss.tensor(a, dtype=kind)
    LD, pivots = linalg.ldl_factor(x, hermitian=hermitian)
    assert (pivots[1] < 0).any()
    found = linalg.ldl_solve(LD, pivots, schuss.tensor(right, dtype=kind), hermitian=hermitian)
    rough = kind == schuss.complex64
    assert np.allclose(
        found.numpy(), np.linalg.solve(a, right), rtol=0, atol=2e-3 if rough else 1e-11
    )
    if hermitian:
        assert LD.diagonal(dim1=-2, dim2=-1).imag.abs().max() == 0


def test_ldl_is_lapacks() -> None:
    a = schuss.tensor([[0.5, 3 - 1j, 2], [3 + 1j, 0.25, 1j], [2, -1j, 4]], dtype=schuss.complex128)
    # scipy.linalg.lapack.zhetrf(a, lower=1) of SciPy 1.17.
    LD, pivots = linalg.ldl_factor(a, hermitian=True)
    assert pivots.tolist() == [-2, -2, 3]
    want = [
        [0.5, 0, 0],
        [3 + 1j, 0.25, 0],
        [0.05063291 - 0.30379747j, 0.60759494 - 0.15189873j, 3.74683544],
    ]
    assert np.allclose(LD.numpy(), want, atol=1e-8)


def test_qr_of_tiny_and_huge_columns() -> None:
    a = np.diag([3e14, 1.0, 1e-200, 1e200]) * (1 + 1j)
    a[3, 2] = 1e-190
    Q, R = linalg.qr(schuss.tensor(a))
    assert np.isfinite(Q.numpy()).all() and np.isfinite(R.numpy()).all()
    assert (abs((Q @ R).numpy() - a) <= 1e-12 * abs(a).max(0)).all()


@pytest.mark.parametrize("re", [-3.8e16, -1.0, 0.0, 1.0, 800.0, 1e300, np.nan])
@pytest.mark.parametrize("im", [np.inf, -np.inf, np.nan])
def test_exp_of_what_has_no_angle(re: float, im: float) -> None:
    # C, annex G.6.3.1: wherever the real part is no infinity.
    found = schuss.tensor(complex(re, im), dtype=schuss.complex128).exp()
    assert found.real.isnan() and found.imag.isnan()
