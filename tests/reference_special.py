"""The oracle table of special functions and of the further element-wise ones.

Leans on NumPy and scipy.special, as reference.py, which reads this.
"""

from __future__ import annotations

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
unary("hardsigmoid", lambda x: relu6(x + 3) / 6, FLOAT, (-4.0, 4.0))
entry("hardswish", lambda x: x * relu6(x + 3) / 6, FLOAT, (-4.0, 4.0), *SHAPES)
entry("hardshrink", lambda x, b=0.5: np.where(np.abs(x) > b, x, 0), FLOAT, (-2.0, 2.0), *SHAPES,
      case(F(17), 1.0))
entry("softshrink", lambda x, b=0.5: np.sign(x) * np.maximum(np.abs(x) - b, 0), FLOAT,
      (-2.0, 2.0), *SHAPES, case(F(17), 1.0))
entry("threshold", lambda x, t, v: np.where(x > t, x, np.asarray(v).astype(x.dtype)), NUMBER,
      (-4.0, 4.0), case(F(17), 1, 2), case(F(), 0, 3))
entry("glu", glu, FLOAT, (-4.0, 4.0), case(F(4)), case(F(3, 4)), case(F(4, 3), dim=0))
