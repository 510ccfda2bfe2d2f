"""Special functions by PyTorch's names: gamma, Bessel, errors, normal draws, polynomials.
Leans on the core's records and on mathematics."""

from __future__ import annotations

from schuss import _core
from schuss._core import (
    Tensor,
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    i0,
    log1p,
    logit,
    sinc,
    xlogy,
)
from schuss.mathematics import rounded as round
from schuss.naming import given, must_tensor, publish
from schuss.series import polygamma

psi, expit, gammaln = digamma, _core.sigmoid, _core.lgamma
gammainc, gammaincc, modified_bessel_i0 = _core.igamma, _core.igammac, i0


def _of(op: str, record, input, out):
    """A record of one tensor, under the name that was called."""
    must_tensor(op, input=input)
    return given(op, record(input), out)


def _pair(op: str, record, input, other, out):
    """A record of two operands of which one may be a number."""
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        raise TypeError(f"{op}: one of the two must be a Tensor, got two numbers")
    return given(op, record(_number(input, other), _number(other, input)), out)


def _number(x, beside):
    """A number as a tensor of no more digits than the tensor beside it."""
    if isinstance(x, Tensor):
        return x
    floats = beside.is_floating_point() and isinstance(x, float)
    return _core.tensor(x, dtype=beside.dtype if floats else None, device=beside.device)


def logsumexp(input, dim, keepdim=False, *, out=None):
    """`log(sum(exp(x)))` along axes, without overflow.

    >>> schuss.special.logsumexp(schuss.tensor([1000.0, 1000.0]), 0)
    tensor(1000.6932)
    """
    return given("logsumexp", _core.logsumexp(input, dim, keepdim), out)


def softmax(input, dim, *, dtype=None):
    """`exp(x)` over its sum along an axis.

    >>> schuss.special.softmax(schuss.tensor([0.0, 0.0]), 0)
    tensor([0.5000, 0.5000])
    """
    return (input if dtype is None else input.to(dtype)).softmax(dim)


def log_softmax(input, dim, *, dtype=None):
    """The logarithm of `softmax`.

    >>> schuss.special.log_softmax(schuss.tensor([0.0, 0.0]), 0)
    tensor([-0.6931, -0.6931])
    """
    return (input if dtype is None else input.to(dtype)).log_softmax(dim)


def multigammaln(input, p, *, out=None):
    """The logarithm of the multivariate gamma function of dimension p.

    >>> schuss.special.multigammaln(schuss.tensor([2.0]), 2)
    tensor([0.4516])
    """
    return given("multigammaln", _core.mvlgamma(input, p), out)


def xlog1py(input, other, *, out=None):
    """`input * log1p(other)`, 0 where the input is 0.

    >>> schuss.special.xlog1py(schuss.tensor([0.0, 2.0]), schuss.tensor([-1.0, 1.0]))
    tensor([0.0000, 1.3863])
    """
    return _pair("xlog1py", _core._xlog1py, input, other, out)


def zeta(input, other, *, out=None):
    """Hurwitz's zeta function, the sum of `(other + k) ** -input` over k
    from 0 (Euler and Maclaurin's formula).

    >>> schuss.special.zeta(schuss.tensor([2.0]), 1.0)
    tensor([1.6449])
    """
    return _pair("zeta", _core._hurwitz, input, other, out)


def airy_ai(input, *, out=None):
    """Airy's function Ai: Taylor's series about integers up to 10, expansions beyond (Abramowitz
    and Stegun 10.4.59 and 10.4.60).

    >>> schuss.special.airy_ai(schuss.tensor([0.0, 1.0]))
    tensor([0.3550, 0.1353])
    """
    return _of("airy_ai", _core._airy_ai, input, out)


def bessel_j0(input, *, out=None):
    """The Bessel function of the first kind of order 0 (Abramowitz and Stegun 9.1.10, 9.12,
    9.2.5).

    >>> schuss.special.bessel_j0(schuss.tensor([0.0, 1.0]))
    tensor([1.0000, 0.7652])
    """
    return _of("bessel_j0", _core._bessel_j0, input, out)


def bessel_j1(input, *, out=None):
    """The Bessel function of the first kind of order 1 (Abramowitz and Stegun 9.1.10, 9.12,
    9.2.5).

    >>> schuss.special.bessel_j1(schuss.tensor([0.0, 1.0]))
    tensor([0.0000, 0.4401])
    """
    return _of("bessel_j1", _core._bessel_j1, input, out)


def bessel_y0(input, *, out=None):
    """The Bessel function of the second kind of order 0 (Abramowitz and Stegun 9.1.13, 9.1.89,
    9.2.6).

    >>> schuss.special.bessel_y0(schuss.tensor([1.0, 2.0]))
    tensor([0.0883, 0.5104])
    """
    return _of("bessel_y0", _core._bessel_y0, input, out)


def bessel_y1(input, *, out=None):
    """The Bessel function of the second kind of order 1 (Abramowitz and Stegun 9.1.11, 9.1.89,
    9.2.6).

    >>> schuss.special.bessel_y1(schuss.tensor([1.0, 2.0]))
    tensor([-0.7812, -0.1070])
    """
    return _of("bessel_y1", _core._bessel_y1, input, out)


def entr(input, *, out=None):
    """`-x log(x)`: 0 at 0 and minus infinity below.

    >>> schuss.special.entr(schuss.tensor([0.0, 0.5]))
    tensor([0.0000, 0.3466])
    """
    return _of("entr", _core._entr, input, out)


def erfcx(input, *, out=None):
    """`exp(x^2) erfc(x)` without overflow (Shepherd and Laframboise 1981).

    >>> schuss.special.erfcx(schuss.tensor([0.0, 10.0]))
    tensor([1.0000, 0.0561])
    """
    return _of("erfcx", _core._erfcx, input, out)


def i0e(input, *, out=None):
    """`i0(x) exp(-|x|)` (Abramowitz and Stegun 9.6.10, 9.7.1).

    >>> schuss.special.i0e(schuss.tensor([0.0, 1.0]))
    tensor([1.0000, 0.4658])
    """
    return _of("i0e", _core._bessel_i0e, input, out)


def i1(input, *, out=None):
    """The modified Bessel function of the first kind of order 1 (Abramowitz and Stegun 9.6.10,
    9.7.1).

    >>> schuss.special.i1(schuss.tensor([0.0, 1.0]))
    tensor([0.0000, 0.5652])
    """
    return _of("i1", _core._bessel_i1, input, out)


def i1e(input, *, out=None):
    """`i1(x) exp(-|x|)` (Abramowitz and Stegun 9.6.10, 9.7.1).

    >>> schuss.special.i1e(schuss.tensor([0.0, 1.0]))
    tensor([0.0000, 0.2079])
    """
    return _of("i1e", _core._bessel_i1e, input, out)


def log_ndtr(input, *, out=None):
    """The logarithm of `ndtr`, exact also far on the left, by `erfcx`.

    >>> schuss.special.log_ndtr(schuss.tensor([0.0, -20.0]))
    tensor([  -0.6931, -203.9172])
    """
    return _of("log_ndtr", _core._log_ndtr, input, out)


def modified_bessel_k0(input, *, out=None):
    """The modified Bessel function of the second kind of order 0 (Abramowitz and Stegun 9.6.13;
    Temme 1975).

    >>> schuss.special.modified_bessel_k0(schuss.tensor([1.0, 2.0]))
    tensor([0.4210, 0.1139])
    """
    return _of("modified_bessel_k0", _core._bessel_k0, input, out)


def modified_bessel_k1(input, *, out=None):
    """The modified Bessel function of the second kind of order 1 (Abramowitz and Stegun 9.6.11;
    Temme 1975).

    >>> schuss.special.modified_bessel_k1(schuss.tensor([1.0, 2.0]))
    tensor([0.6019, 0.1399])
    """
    return _of("modified_bessel_k1", _core._bessel_k1, input, out)


def ndtr(input, *, out=None):
    """The probability that a normal draw is below: `erfc(-x / sqrt(2)) / 2`.

    >>> schuss.special.ndtr(schuss.tensor([0.0, 1.0]))
    tensor([0.5000, 0.8413])
    """
    return _of("ndtr", _core._ndtr, input, out)


def ndtri(input, *, out=None):
    """The inverse of `ndtr` (a guess of Winitzki's, 2008, and steps of Halley's method).

    >>> schuss.special.ndtri(schuss.tensor([0.5, 0.975]))
    tensor([0.0000, 1.9600])
    """
    return _of("ndtri", _core._ndtri, input, out)


def scaled_modified_bessel_k0(input, *, out=None):
    """`modified_bessel_k0(x) exp(x)`.

    >>> schuss.special.scaled_modified_bessel_k0(schuss.tensor([1.0, 2.0]))
    tensor([1.1445, 0.8416])
    """
    return _of("scaled_modified_bessel_k0", _core._bessel_k0e, input, out)


def scaled_modified_bessel_k1(input, *, out=None):
    """`modified_bessel_k1(x) exp(x)`.

    >>> schuss.special.scaled_modified_bessel_k1(schuss.tensor([1.0, 2.0]))
    tensor([1.6362, 1.0335])
    """
    return _of("scaled_modified_bessel_k1", _core._bessel_k1e, input, out)


def spherical_bessel_j0(input, *, out=None):
    """The spherical Bessel function of the first kind of order 0, `sin(x) / x`.

    >>> schuss.special.spherical_bessel_j0(schuss.tensor([0.0, 1.0]))
    tensor([1.0000, 0.8415])
    """
    return _of("spherical_bessel_j0", _core._spherical_bessel_j0, input, out)


modified_bessel_i1 = i1


def _polynomial(op: str, family: int, input, n, out):
    """A polynomial by the number of its family in the core."""

    def record(x, n):
        return _core._polynomial_of(x, n, family)

    return _pair(op, record, input, n, out)


def chebyshev_polynomial_t(input, n, *, out=None):
    """Chebyshev's polynomial of the first kind, of degree n, by its recurrence; 0 for negative
    degrees (Abramowitz and Stegun 22.7).

    >>> schuss.special.chebyshev_polynomial_t(schuss.tensor([0.5]), 2)
    tensor([-0.5000])
    """
    return _polynomial("chebyshev_polynomial_t", 0, input, n, out)


def chebyshev_polynomial_u(input, n, *, out=None):
    """Chebyshev's polynomial of the second kind, of degree n, by its recurrence; 0 for negative
    degrees (Abramowitz and Stegun 22.7).

    >>> schuss.special.chebyshev_polynomial_u(schuss.tensor([0.5]), 2)
    tensor([0.])
    """
    return _polynomial("chebyshev_polynomial_u", 1, input, n, out)


def chebyshev_polynomial_v(input, n, *, out=None):
    """Chebyshev's polynomial of the third kind, of degree n, by its recurrence; 0 for negative
    degrees (Abramowitz and Stegun 22.7).

    >>> schuss.special.chebyshev_polynomial_v(schuss.tensor([0.5]), 2)
    tensor([-1.])
    """
    return _polynomial("chebyshev_polynomial_v", 2, input, n, out)


def chebyshev_polynomial_w(input, n, *, out=None):
    """Chebyshev's polynomial of the fourth kind, of degree n, by its recurrence; 0 for negative
    degrees (Abramowitz and Stegun 22.7).

    >>> schuss.special.chebyshev_polynomial_w(schuss.tensor([0.5]), 2)
    tensor([1.])
    """
    return _polynomial("chebyshev_polynomial_w", 3, input, n, out)


def shifted_chebyshev_polynomial_t(input, n, *, out=None):
    """`chebyshev_polynomial_t` at `2 x - 1`, by its recurrence; 0 for negative degrees
    (Abramowitz and Stegun 22.7).

    >>> schuss.special.shifted_chebyshev_polynomial_t(schuss.tensor([0.75]), 2)
    tensor([-0.5000])
    """
    return _polynomial("shifted_chebyshev_polynomial_t", 4, input, n, out)


def shifted_chebyshev_polynomial_u(input, n, *, out=None):
    """`chebyshev_polynomial_u` at `2 x - 1`, by its recurrence; 0 for negative degrees
    (Abramowitz and Stegun 22.7).

    >>> schuss.special.shifted_chebyshev_polynomial_u(schuss.tensor([0.75]), 2)
    tensor([0.])
    """
    return _polynomial("shifted_chebyshev_polynomial_u", 5, input, n, out)


def shifted_chebyshev_polynomial_v(input, n, *, out=None):
    """`chebyshev_polynomial_v` at `2 x - 1`, by its recurrence; 0 for negative degrees
    (Abramowitz and Stegun 22.7).

    >>> schuss.special.shifted_chebyshev_polynomial_v(schuss.tensor([0.75]), 2)
    tensor([-1.])
    """
    return _polynomial("shifted_chebyshev_polynomial_v", 6, input, n, out)


def shifted_chebyshev_polynomial_w(input, n, *, out=None):
    """`chebyshev_polynomial_w` at `2 x - 1`, by its recurrence; 0 for negative degrees
    (Abramowitz and Stegun 22.7).

    >>> schuss.special.shifted_chebyshev_polynomial_w(schuss.tensor([0.75]), 2)
    tensor([1.])
    """
    return _polynomial("shifted_chebyshev_polynomial_w", 7, input, n, out)


def hermite_polynomial_h(input, n, *, out=None):
    """Hermite's polynomial of degree n, orthogonal by `exp(-x^2)`, by its recurrence; 0 for
    negative degrees (Abramowitz and Stegun 22.7).

    >>> schuss.special.hermite_polynomial_h(schuss.tensor([0.5]), 2)
    tensor([-1.])
    """
    return _polynomial("hermite_polynomial_h", 8, input, n, out)


def hermite_polynomial_he(input, n, *, out=None):
    """Hermite's polynomial of degree n, orthogonal by `exp(-x^2 / 2)`, by its recurrence; 0 for
    negative degrees (Abramowitz and Stegun 22.7).

    >>> schuss.special.hermite_polynomial_he(schuss.tensor([0.5]), 2)
    tensor([-0.7500])
    """
    return _polynomial("hermite_polynomial_he", 9, input, n, out)


def laguerre_polynomial_l(input, n, *, out=None):
    """Laguerre's polynomial of degree n, by its recurrence; 0 for negative degrees (Abramowitz
    and Stegun 22.7).

    >>> schuss.special.laguerre_polynomial_l(schuss.tensor([0.5]), 2)
    tensor([0.1250])
    """
    return _polynomial("laguerre_polynomial_l", 10, input, n, out)


def legendre_polynomial_p(input, n, *, out=None):
    """Legendre's polynomial of degree n, by its recurrence; 0 for negative degrees (Abramowitz
    and Stegun 22.7).

    >>> schuss.special.legendre_polynomial_p(schuss.tensor([0.5]), 2)
    tensor([-0.1250])
    """
    return _polynomial("legendre_polynomial_p", 11, input, n, out)


__all__ = [
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

publish(globals(), __name__, __all__)
