"""The oracle table of special functions and of the further element-wise ones.

Leans on NumPy and scipy.special, as reference.py, which reads this.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from samples import FLOAT, FLOATED, MASK, NUMBER, SAME, F, P, binary, case, entry, unary
from scipy import special

# A table reads best with few lines for each record.
# fmt: off
SHAPES = (case(F()), case(F(17)), case(F(2, 3, 4)), case(F(0)), case(F(5003)))
PAIRS = (case(F(17), F(17)), case(F(3, 1), F(1, 4)), case(F(), F(3)), case(F(0), F(1)))


def relu6(x: np.ndarray) -> np.ndarray:
    return np.clip(x, 0, 6)


def logit(x: np.ndarray, eps: float | None = None) -> np.ndarray:
    return special.logit(x if eps is None else np.clip(x, eps, 1 - eps))


def mvlgamma(x: np.ndarray, p: int) -> np.ndarray:
    return p * (p - 1) / 4 * np.log(np.pi) + sum(special.gammaln(x - i / 2) for i in range(p))


def glu(x: np.ndarray, dim: int = -1) -> np.ndarray:
    a, b = np.split(x, 2, dim)
    return a * special.expit(b)


unary("deg2rad", np.deg2rad, FLOATED, (-360.0, 360.0))
unary("rad2deg", np.rad2deg, FLOATED, (-6.0, 6.0))
unary("positive", np.copy, NUMBER)
unary("conj_physical", np.copy, SAME)
unary("angle", lambda x: np.where(np.isnan(x), x, np.where(x < 0, np.pi, 0)), FLOATED)
entry("sinc", np.sinc, FLOATED, (-4.0, 4.0), *SHAPES)
entry("lgamma", special.gammaln, FLOATED, (0.5, 6.0), *SHAPES)
entry("digamma", special.digamma, FLOATED, (0.5, 6.0), *SHAPES)
entry("erfinv", special.erfinv, FLOATED, (-0.9, 0.9), *SHAPES)
entry("i0", special.i0, FLOATED, (-3.0, 3.0), *SHAPES)
entry("logit", logit, FLOATED, (0.1, 0.9), case(P(17)), case(P(3, 4), eps=0.2), case(P()))
entry("mvlgamma", mvlgamma, FLOATED, (3.0, 6.0), case(F(17), 1), case(F(3, 4), 3))
entry("polygamma", lambda x: special.polygamma(2, x), FLOATED, (0.5, 4.0), *SHAPES,
      call=lambda s, x: s.polygamma(2, x))
unary("isposinf", np.isposinf, MASK, grad=False)
unary("isneginf", np.isneginf, MASK, grad=False)
unary("isreal", np.isreal, MASK, grad=False)
binary("fmax", np.fmax, SAME)
binary("fmin", np.fmin, SAME)
entry("heaviside", np.heaviside, SAME, (-2.0, 2.0), *PAIRS, grad=False)
entry("ldexp", lambda a, b: a * np.exp2(b), FLOATED, (-3.0, 3.0), *PAIRS)
binary("logaddexp", np.logaddexp, FLOAT)
entry("logaddexp2", np.logaddexp2, FLOAT, (-4.0, 4.0), *PAIRS)
entry("xlogy", special.xlogy, FLOATED, (0.3, 4.0), *PAIRS)
entry("igamma", special.gammainc, FLOAT, (0.5, 4.0), *PAIRS, grad=False)
entry("igammac", special.gammaincc, FLOAT, (0.5, 4.0), *PAIRS, grad=False)
entry("nextafter", np.nextafter, FLOAT, (-4.0, 4.0), *PAIRS, grad=False)
entry("frexp", lambda x: np.frexp(x)[0], FLOAT, (0.6, 0.9), *SHAPES,
      call=lambda s, x: s.frexp(x).mantissa)


def of_special(name: str, oracle: Callable, check: tuple, record: str = "", **more: Any) -> None:
    """A function of schuss.special beside SciPy's, by its record's name."""
    call = functools.partial(lambda name, s, x: getattr(s.special, name)(x), name)
    entry(record or name, oracle, FLOATED, check, *SHAPES, call=call, **more)


of_special("bessel_j0", special.j0, (-30.0, 30.0))
of_special("bessel_j1", special.j1, (-30.0, 30.0))
of_special("bessel_y0", special.y0, (0.5, 30.0))
of_special("bessel_y1", special.y1, (0.5, 30.0))
of_special("i0e", special.i0e, (-40.0, 40.0), "bessel_i0e")
of_special("i1", special.i1, (-4.0, 4.0), "bessel_i1")
of_special("i1e", special.i1e, (-40.0, 40.0), "bessel_i1e")
of_special("modified_bessel_k0", special.k0, (0.5, 8.0), "bessel_k0")
of_special("modified_bessel_k1", special.k1, (0.5, 8.0), "bessel_k1")
of_special("scaled_modified_bessel_k0", special.k0e, (0.5, 30.0), "bessel_k0e")
of_special("scaled_modified_bessel_k1", special.k1e, (0.5, 30.0), "bessel_k1e")
of_special("spherical_bessel_j0", lambda x: special.spherical_jn(0, x), (-9.0, 9.0))
of_special("airy_ai", lambda x: special.airy(x)[0], (-9.0, 4.0))
of_special("entr", special.entr, (0.2, 4.0))
of_special("erfcx", special.erfcx, (-2.0, 9.0))
of_special("ndtr", special.ndtr, (-4.0, 4.0))
of_special("log_ndtr", special.log_ndtr, (-9.0, 4.0))
of_special("ndtri", special.ndtri, (0.1, 0.9))
entry("xlog1py", special.xlog1py, FLOATED, (0.3, 4.0), *PAIRS,
      call=lambda s, x, y: s.special.xlog1py(x, y))
entry("gcd", np.gcd, "-Bbhil----", (-60.0, 60.0), *PAIRS, grad=False)
unary("hardsigmoid", lambda x: relu6(x + 3) / 6, FLOAT, (-4.0, 4.0))
entry("hardswish", lambda x: x * relu6(x + 3) / 6, FLOAT, (-4.0, 4.0), *SHAPES)
entry("hardshrink", lambda x, b=0.5: np.where(np.abs(x) > b, x, 0), FLOAT, (-2.0, 2.0), *SHAPES,
      case(F(17), 1.0))
entry("softshrink", lambda x, b=0.5: np.sign(x) * np.maximum(np.abs(x) - b, 0), FLOAT,
      (-2.0, 2.0), *SHAPES, case(F(17), 1.0))
entry("threshold", lambda x, t, v: np.where(x > t, x, np.asarray(v).astype(x.dtype)), NUMBER,
      (-4.0, 4.0), case(F(17), 1, 2), case(F(), 0, 3))
entry("glu", glu, FLOAT, (-4.0, 4.0), case(F(4)), case(F(3, 4)), case(F(4, 3), dim=0))
