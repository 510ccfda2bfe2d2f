"""Special functions at hard places and all along their ranges, and orthogonal polynomials.

Leans on schuss.special and scipy.special; what stands as a number was made with PyTorch 2.15.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss import special
from schuss.testing import gradcheck, gradgradcheck

theirs = pytest.importorskip("scipy.special", reason="SciPy has the functions to compare with")

INF, NAN = math.inf, math.nan
f64 = schuss.float64

NAMES = [
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
    "sinc",
    "softmax",
    "spherical_bessel_j0",
    "xlog1py",
    "xlogy",
    "zeta",
]


def test_every_name_is_there():
    assert sorted(special.__all__) == NAMES
    assert schuss.special is special


# SciPy's function, where to ask, and how many ulp of the larger of the result and `floor` both may
# be apart in float64 and in float32. In float64 much of that is SciPy's: docs/numerics.md has ours.
RANGES = {
    "airy_ai": (lambda x: theirs.airy(x)[0], -9.0, 40.0, 260, 1, 0.05),
    "bessel_j0": (theirs.j0, -60.0, 60.0, 80, 1, 0.05),
    "bessel_j1": (theirs.j1, -60.0, 60.0, 80, 1, 0.05),
    "bessel_y0": (theirs.y0, 1e-3, 60.0, 180, 1, 0.05),
    "bessel_y1": (theirs.y1, 1e-3, 60.0, 90, 1, 0.05),
    "i0": (theirs.i0, -80.0, 80.0, 20, 1, 0),
    "i0e": (theirs.i0e, -80.0, 80.0, 20, 1, 0),
    "i1": (theirs.i1, -80.0, 80.0, 20, 1, 0),
    "i1e": (theirs.i1e, -80.0, 80.0, 20, 1, 0),
    "modified_bessel_k0": (theirs.k0, 1e-3, 60.0, 20, 1, 0),
    "modified_bessel_k1": (theirs.k1, 1e-3, 60.0, 20, 1, 0),
    "scaled_modified_bessel_k0": (theirs.k0e, 1e-3, 200.0, 20, 1, 0),
    "scaled_modified_bessel_k1": (theirs.k1e, 1e-3, 200.0, 20, 1, 0),
    "erfcx": (theirs.erfcx, -9.0, 60.0, 60, 5, 0),
    "erfinv": (theirs.erfinv, -0.9999999, 0.9999999, 6, 3, 0),
    "ndtr": (theirs.ndtr, -8.0, 8.0, 110, 3, 0),
    "log_ndtr": (theirs.log_ndtr, -30.0, 8.0, 120, 5, 0),
    "ndtri": (theirs.ndtri, 1e-9, 0.999999, 10, 5, 1e-6),
    "entr": (theirs.entr, 0.0, 4.0, 3, 4, 1e-3),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RANGES)
def test_error_in_ulp(name, dtype):
    function, low, high, wide, short, floor = RANGES[name]
    x = np.linspace(low, high, 4001).astype(dtype)
    found = getattr(special, name)(schuss.tensor(x)).numpy()
    want = function(x.astype(np.float64))
    unit = np.spacing(np.maximum(np.abs(want), floor).astype(dtype)).astype(np.float64)
    assert found.dtype == dtype
    assert (np.abs(found - want) / unit).max() <= (short if dtype == "float32" else wide)


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 24), ("float64", 53)])
def test_erfinv_towards_one(dtype, bits):
    x = (1 - 0.5 ** np.arange(1.0, bits + 1)).astype(dtype)
    x = np.concatenate([x, -x, 0.5 ** np.arange(1, 100, dtype=dtype)])
    want = theirs.erfinv(x.astype(np.float64))
    found = special.erfinv(schuss.tensor(x)).numpy()
    np.testing.assert_allclose(found, want, rtol=4 * np.finfo(dtype).eps)


EDGES = {
    "erfinv": (
        [0.0, -0.0, 1.0, -1.0, 1.5, -INF, INF, NAN],
        [0.0, -0.0, INF, -INF, NAN, NAN, NAN, NAN],
    ),
    "airy_ai": ([0.0, INF, NAN], [0.3550280538878172, 0.0, NAN]),
    "bessel_j0": ([0.0, INF, -INF, NAN], [1.0, 0.0, 0.0, NAN]),
    "bessel_j1": ([0.0, INF, NAN], [0.0, 0.0, NAN]),
    "bessel_y0": ([0.0, INF, -1.0, NAN], [-INF, 0.0, NAN, NAN]),
    "bessel_y1": ([0.0, INF, -1.0, NAN], [-INF, 0.0, NAN, NAN]),
    "i0e": ([0.0, INF, -INF, NAN], [1.0, 0.0, 0.0, NAN]),
    "i1": ([0.0, INF, -INF, NAN], [0.0, INF, -INF, NAN]),
    "i1e": ([0.0, INF, -INF, NAN], [0.0, 0.0, 0.0, NAN]),
    "modified_bessel_k0": ([0.0, INF, -1.0, NAN, 1e300], [INF, 0.0, NAN, NAN, 0.0]),
    "modified_bessel_k1": ([0.0, INF, -1.0, NAN, 1e300], [INF, 0.0, NAN, NAN, 0.0]),
    # The square root of pi / (2 x), since 1 / (8 x) is nothing beside 1.
    "scaled_modified_bessel_k0": (
        [0.0, INF, -1.0, 2e17, 1e300],
        [INF, 0.0, NAN, (math.pi / 4e17) ** 0.5, (math.pi / 2e300) ** 0.5],
    ),
    "scaled_modified_bessel_k1": ([2e17], [(math.pi / 4e17) ** 0.5]),
    "spherical_bessel_j0": ([0.0, INF, -INF, NAN], [1.0, 0.0, 0.0, NAN]),
    "entr": ([0.0, 1.0, -1.0, INF, NAN], [0.0, 0.0, -INF, -INF, NAN]),
    "erfcx": (
        [0.0, INF, -INF, NAN, 1e300, -30.0],
        [1.0, 0.0, INF, NAN, 5.641895835477563e-301, INF],
    ),
    "ndtr": ([0.0, INF, -INF, NAN, -37.0], [0.5, 1.0, 0.0, NAN, 5.725571222524577e-300]),
    "log_ndtr": ([0.0, INF, -INF, NAN, -1e10], [-0.6931471805599453, 0.0, -INF, NAN, -5e19]),
    "ndtri": (
        [0.0, 1.0, 0.5, -0.1, 1.1, NAN, 1e-300],
        [-INF, INF, 0.0, NAN, NAN, NAN, -37.0471],
    ),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges(name):
    at, want = EDGES[name]
    found = getattr(special, name)(schuss.tensor(at, dtype=f64)).numpy()
    assert found == pytest.approx(np.array(want), rel=1e-5, abs=0.0, nan_ok=True)


def test_pairs_with_numbers():
    x = schuss.tensor([0.0, 2.0], dtype=f64)
    assert special.xlog1py(x, 1.0).tolist() == pytest.approx([0.0, 2 * math.log(2)])
    assert special.xlog1py(x, -1.0).tolist() == [0.0, -INF]
    assert math.isnan(special.xlog1py(x, NAN)[0].item())
    assert special.zeta(2.0, schuss.tensor([1.0, 2.0], dtype=f64)).tolist() == pytest.approx(
        [math.pi**2 / 6, math.pi**2 / 6 - 1]
    )
    assert special.zeta(schuss.tensor([3.0]), 0.5).dtype == schuss.float32
    with refuses(TypeError, "zeta", "two numbers"):
        special.zeta(2.0, 1.0)
    with refuses(schuss.GradError, "zeta", "first"):
        special.zeta(schuss.tensor([3.0], requires_grad=True), 0.5).sum().backward()


def test_aliases_and_out():
    x = schuss.tensor([0.5, 2.0])
    out = schuss.empty(2)
    assert special.bessel_j0(x, out=out) is out and out.tolist() == special.bessel_j0(x).tolist()
    assert special.expit(x).tolist() == x.sigmoid().tolist()
    assert special.softmax(schuss.tensor([1, 2]).float(), 0, dtype=f64).dtype == f64
    deep = [float(theirs.multigammaln(v, 2)) for v in (2.5, 4.0)]
    assert special.multigammaln(x + 2, 2).tolist() == pytest.approx(deep)


# SciPy's polynomials by name; the shifted ones are taken at 2 x - 1.
FAMILIES = {
    "chebyshev_polynomial_t": theirs.eval_chebyt,
    "chebyshev_polynomial_u": theirs.eval_chebyu,
    "shifted_chebyshev_polynomial_t": theirs.eval_sh_chebyt,
    "shifted_chebyshev_polynomial_u": theirs.eval_sh_chebyu,
    "hermite_polynomial_h": theirs.eval_hermite,
    "hermite_polynomial_he": theirs.eval_hermitenorm,
    "laguerre_polynomial_l": theirs.eval_laguerre,
    "legendre_polynomial_p": theirs.eval_legendre,
    "chebyshev_polynomial_v": lambda n, x: (
        theirs.eval_jacobi(n, -0.5, 0.5, x) / theirs.eval_jacobi(n, -0.5, 0.5, 1.0)
    ),
    "chebyshev_polynomial_w": lambda n, x: (
        theirs.eval_jacobi(n, 0.5, -0.5, x) / theirs.eval_jacobi(n, 0.5, -0.5, 1.0) * (2 * n + 1)
    ),
    "shifted_chebyshev_polynomial_v": lambda n, x: FAMILIES["chebyshev_polynomial_v"](n, 2 * x - 1),
    "shifted_chebyshev_polynomial_w": lambda n, x: FAMILIES["chebyshev_polynomial_w"](n, 2 * x - 1),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_polynomials(name):
    function, x = getattr(special, name), np.linspace(-1.4, 1.4, 57)
    for n in (0, 1, 2, 5, 12):
        found = function(schuss.tensor(x), n).numpy()
        assert found == pytest.approx(FAMILIES[name](n, x), rel=1e-9, abs=1e-9)
    degrees = schuss.tensor([[0.0], [3.0], [4.9], [-1.0]], dtype=f64)
    found = function(schuss.tensor(x), degrees)
    assert found.shape == (4, 57) and (found[3] == 0).all()
    assert found[2].numpy() == pytest.approx(FAMILIES[name](4, x), rel=1e-9, abs=1e-9)
    assert function(schuss.tensor([1, 0]), schuss.tensor([2, 2])).dtype == schuss.float32
    assert function(schuss.tensor([NAN]), 3).isnan().all()


@pytest.mark.parametrize("name", FAMILIES)
def test_slopes_of_polynomials(name):
    function = getattr(special, name)
    x = schuss.tensor([-0.8, 0.3, 1.0, 1.2], dtype=f64, requires_grad=True)
    for n in (0, 1, 4):
        assert gradcheck(lambda x, n=n: function(x, n), (x,))
        assert gradgradcheck(lambda x, n=n: function(x, n), (x,))
    with refuses(schuss.GradError, "degree"):
        function(x.detach(), schuss.tensor(2.0, requires_grad=True)).sum().backward()


def test_polynomials_of_large_degree():
    x = schuss.tensor([0.3, -0.9, 1.0, -1.0], dtype=f64)
    angle = 1000 * np.arccos([0.3, -0.9, 1.0, -1.0])
    assert special.chebyshev_polynomial_t(x, 1000).numpy() == pytest.approx(np.cos(angle), abs=1e-9)
    assert special.chebyshev_polynomial_u(x[2:], 1000).tolist() == [1001.0, 1001.0]
    assert special.chebyshev_polynomial_t(schuss.tensor([2.0, -2.0], dtype=f64), 999).tolist() == [
        INF,
        -INF,
    ]
    assert special.legendre_polynomial_p(x, 500).numpy() == pytest.approx(
        theirs.eval_legendre(500, x.numpy()), abs=1e-9
    )
    assert special.laguerre_polynomial_l(schuss.tensor([0.5]), 1e300).isnan().all()


def test_incomplete_gamma_grows_with_its_first_operand():
    a = schuss.tensor([0.3, 1.0, 4.0, 30.0], dtype=f64, requires_grad=True)
    x = schuss.tensor([0.5, 3.0, 2.0, 33.0], dtype=f64)
    for function, other in (
        (special.gammainc, theirs.gammainc),
        (special.gammaincc, theirs.gammaincc),
    ):
        (slope,) = schuss.autograd.grad(function(a, x).sum(), a)
        h = 1e-5
        at = a.detach().numpy()
        want = (other(at + h, x.numpy()) - other(at - h, x.numpy())) / (2 * h)
        assert slope.numpy() == pytest.approx(want, rel=1e-7)
    with refuses(schuss.GradError, "second"):
        (slope,) = schuss.autograd.grad(special.gammainc(a, x).sum(), a, create_graph=True)
        slope.sum().backward()
