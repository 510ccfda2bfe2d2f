"""The oracle table of what sorts, searches, cuts, joins, multiplies and measures.

Leans on NumPy alone, as reference.py, which reads this.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from samples import FLOAT, NUMBER, SAME, F, L, M, case, entry

# A table reads best with few lines for each record.
# fmt: off
ROWS = (case(F(17), 0), case(F(3, 5), 1), case(F(3, 5), 0), case(F(2, 3, 4), -2), case(F(1, 3), 0))


def taken(x: np.ndarray, at: np.ndarray, axis: int) -> tuple:
    return np.take_along_axis(x, at, axis), at


def ordered(x: np.ndarray, dim: int = -1, descending: bool = False) -> tuple:
    at = np.argsort(-x.astype(np.float64) if descending else x, dim, kind="stable")
    return taken(x, at, dim)


def topk(x: np.ndarray, k: int, dim: int = -1, largest: bool = True) -> tuple:
    values, at = ordered(x, dim, largest)
    part = (slice(None),) * (dim % x.ndim) + (slice(k),)
    return values[part], at[part]


def nth(pick: Callable) -> Callable:
    def oracle(x: np.ndarray, dim: int = -1, keepdim: bool = False) -> tuple:
        values, at = ordered(x, dim)
        part = (slice(None),) * (dim % x.ndim) + (slice(pick(x.shape[dim]), None),)
        values, at = (t[part].take([0], dim) for t in (values, at))
        return (values, at) if keepdim else (values.squeeze(dim), at.squeeze(dim))

    return oracle


def running(best: Any) -> Callable:
    def oracle(x: np.ndarray, dim: int) -> np.ndarray:
        return best.accumulate(x, dim)

    return oracle


def logcumsumexp(x: np.ndarray, dim: int) -> np.ndarray:
    return np.logaddexp.accumulate(x, dim)


def masked_scatter(x: np.ndarray, m: np.ndarray, v: np.ndarray) -> np.ndarray:
    out = x.copy()
    out[m] = v[: m.sum()]
    return out


def reduced(kind: str) -> Callable:
    step = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}

    def oracle(x: np.ndarray, src: np.ndarray, index: np.ndarray, dim: int) -> np.ndarray:
        out, at = x.copy(), list(np.indices(index.shape))
        at[dim] = index
        step[kind].at(out, tuple(at), src)
        return out

    return oracle


def pieces(x: np.ndarray, size: Any, dim: int = 0) -> list:
    return np.array_split(x, size if isinstance(size, int) else list(size), dim)


def blocks(*xs: np.ndarray) -> np.ndarray:
    out = np.zeros([sum(n) for n in zip(*(x.shape for x in xs), strict=True)], xs[0].dtype)
    r = c = 0
    for x in xs:
        out[r : r + x.shape[0], c : c + x.shape[1]] = x
        r, c = r + x.shape[0], c + x.shape[1]
    return out


def distances(a: np.ndarray, b: np.ndarray, p: float = 2.0) -> np.ndarray:
    return (np.abs(a[..., :, None, :] - b[..., None, :, :]) ** p).sum(-1) ** (1 / p)


entry("sort", ordered, SAME, (-9.0, 9.0), *ROWS, case(F(4, 3), 0, True), case(F(0, 3), 0))
entry("topk", topk, NUMBER, (-9.0, 9.0), case(F(17), 3), case(F(3, 5), 2, 0),
      case(F(4), 2, 0, False))
entry("kthvalue", lambda x, k, dim=-1: nth(lambda n: k - 1)(x, dim), NUMBER, (-9.0, 9.0),
      case(F(17), 3), case(F(3, 5), 2, 0))
entry("median", nth(lambda n: (n - 1) // 2), NUMBER, (-9.0, 9.0), *ROWS, case(F(3, 4), 1, True))
entry("nanmedian", nth(lambda n: (n - 1) // 2), NUMBER, (-9.0, 9.0), *ROWS)
entry("msort", lambda x: np.sort(x, 0), SAME, (-9.0, 9.0), case(F(17)), case(F(3, 4)))
entry("cummax", running(np.maximum), SAME, (-9.0, 9.0), *ROWS,
      call=lambda s, x, d: s.cummax(x, d).values)
entry("cummin", running(np.minimum), SAME, (-9.0, 9.0), *ROWS,
      call=lambda s, x, d: s.cummin(x, d).values)
entry("logcumsumexp", logcumsumexp, FLOAT, (-4.0, 4.0), *ROWS, case(F(0), 0))
entry("quantile", lambda x, q, dim=None: np.quantile(x, q, axis=dim), "--------fd", (-2.0, 2.0),
      case(F(17), 0.3), case(F(3, 5), 0.6, 1), case(F(4, 3), 0.25, 0))
entry("searchsorted", lambda x: np.searchsorted(np.arange(-3, 4), x), "llllllllll", (-4.0, 4.0),
      case(F(17)), case(F(3, 4)), case(F()), grad=False,
      call=lambda s, x: s.searchsorted(s.arange(-3, 4, device=x.device), x))
entry("isin", lambda x: np.isin(x, [0, 1, 2]), "??????????", (-4.0, 4.0), case(F(17)),
      case(F(3, 4)), grad=False, call=lambda s, x: s.isin(x, s.arange(3, device=x.device)))
entry("unique", np.unique, SAME, (-4.0, 4.0), case(F(17)), case(F(3, 4)), grad=False)
entry("masked_scatter", masked_scatter, SAME, (-2.0, 2.0), case(F(17), M(17), F(17)),
      case(F(3, 4), M(3, 4), F(12)))
entry("scatter_reduce", reduced("prod"), SAME, (0.5, 2.0), case(F(5), F(7), L(5, 7), 0),
      case(F(3, 4), F(3, 2), L(4, 3, 2), 1),
      call=lambda s, x, v, i, d: s.scatter_reduce(x, d, i, v, "prod"))
entry("scatter_amax", reduced("amax"), SAME, (-4.0, 4.0), case(F(5), F(7), L(5, 7), 0),
      call=lambda s, x, v, i, d: s.scatter_reduce(x, d, i, v, "amax"))
entry("scatter_amin", reduced("amin"), SAME, (-4.0, 4.0), case(F(5), F(7), L(5, 7), 0),
      call=lambda s, x, v, i, d: s.scatter_reduce(x, d, i, v, "amin"))
entry("sum_to_size", lambda x: x.sum(0, keepdims=True), "llllllewfd", (-2.0, 2.0), case(F(3, 4)),
      case(F(2, 3)), call=lambda s, x: x.sum_to_size(1, x.shape[1]))
entry("put", lambda x, v: np.concatenate([v, x.ravel()[2:]]).reshape(x.shape), SAME, (-2.0, 2.0),
      case(F(3, 4), F(2)), call=lambda s, x, v: s.put(x, s.arange(2, device=x.device), v))
entry("tensor_split", pieces, SAME, (-2.0, 2.0), case(F(7), 3), case(F(2, 5), (1, 3), 1))
entry("block_diag", blocks, SAME, (-2.0, 2.0), case(F(2, 3), F(1, 2)), case(F(1, 1), F(2, 0)))
entry("combinations", lambda x: np.array(list(itertools.combinations(x, 2))), SAME, (-2.0, 2.0),
      case(F(4)))
entry("rot90", np.rot90, SAME, (-2.0, 2.0), case(F(3, 4)), case(F(3, 4), 3), case(F(2, 3), 2))
entry("fliplr", np.fliplr, SAME, (-2.0, 2.0), case(F(3, 4)))
entry("flipud", np.flipud, SAME, (-2.0, 2.0), case(F(3, 4)), case(F(5)))
entry("kron", np.kron, SAME, (-2.0, 2.0), case(F(2, 2), F(1, 3)), case(F(2), F(3)))
entry("inner", np.inner, NUMBER, (-2.0, 2.0), case(F(3), F(3)), case(F(2, 3), F(4, 3)))
entry("tensordot", lambda a, b, dims: np.tensordot(a, b, dims), NUMBER, (-2.0, 2.0),
      case(F(2, 3), F(3, 2), 1), case(F(2, 3, 2), F(3, 2), 2))
entry("einsum", lambda a, b: np.einsum("bij,bjk->bik", a, b), NUMBER, (-2.0, 2.0),
      case(F(2, 2, 3), F(2, 3, 2)), call=lambda s, a, b: s.einsum("bij,bjk->bik", a, b))
entry("cross", np.cross, NUMBER, (-2.0, 2.0), case(F(3), F(3)), case(F(2, 3), F(2, 3)),
      call=lambda s, a, b: s.linalg.cross(a, b))
entry("cdist", distances, FLOAT, (-2.0, 2.0), case(F(2, 3), F(4, 3)), case(F(2, 2), F(2, 2), p=3.0))
entry("diff", lambda x, n=1, dim=-1: np.diff(x, n, dim), SAME, (-2.0, 2.0), case(F(7)),
      case(F(4, 3), 2, 0), case(F(3, 4), 1, 1))
entry("trapezoid", lambda x: np.trapezoid(x), "-fffffewfd", (-2.0, 2.0), case(F(7)), case(F(3, 4)))
entry("gradient", lambda x: [np.gradient(x, axis=0), np.gradient(x, axis=1)], "--ffffewfd",
      (-2.0, 2.0), case(F(4, 5)))
entry("cov", np.cov, "-fffffewfd", (-2.0, 2.0), case(F(3, 7)), case(F(2, 5)))
