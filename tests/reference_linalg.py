"""The oracle table of linear algebra.

Leans on NumPy alone, as reference.py, which reads this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from samples import NUMBER, F, S, case, entry

# A table reads best with few lines for each record.
# fmt: off
LONG = "--------fd"


def algebra(name: str, *after: Any, **more: Any) -> Callable:
    return lambda s, *xs, **k: getattr(s.linalg, name)(*xs, *after, **more, **k)


def even(x: np.ndarray) -> np.ndarray:
    return (x + np.swapaxes(x, -1, -2)) / 2


def of_even(name: str, *names: str) -> Callable:
    """A function of the symmetric part, so that every element has a slope of its own."""
    def call(s: Any, x: Any) -> Any:
        found = getattr(s.linalg, name)((x + x.mT) / 2 if x.is_floating_point() else x)
        return getattr(found, names[0]) if names else found
    return call


def expm(x: np.ndarray) -> np.ndarray:
    out = term = np.eye(x.shape[-1])
    for k in range(1, 60):
        term = term @ x / k
        out = out + term
    return out


MANY = (case(S(3, 3)), case(S(2, 2, 2)), case(S(1, 1)))
entry("solve", np.linalg.solve, LONG, (-1.0, 1.0), case(S(3, 3), F(3, 2)), case(S(2, 2), F(2, 1)),
      call=algebra("solve"))
entry("inv", np.linalg.inv, LONG, (-1.0, 1.0), *MANY, call=algebra("inv"))
entry("logabsdet", lambda x: np.linalg.slogdet(x)[1], LONG, (-1.0, 1.0), *MANY,
      call=lambda s, x: s.linalg.slogdet(x).logabsdet)
entry("cholesky", lambda x: np.linalg.cholesky(even(x)), LONG, (-1.0, 1.0), *MANY,
      call=of_even("cholesky"))
entry("solve_triangular", lambda a, b: np.linalg.solve(np.tril(a), b), LONG, (-1.0, 1.0),
      case(S(3, 3), F(3, 2)), call=algebra("solve_triangular", upper=False))
entry("lu_product", lambda x: x, LONG, (-1.0, 1.0), *MANY, case(F(3, 2)), case(F(2, 3)),
      any_layout=False, call=lambda s, x: (lambda f: f[0] @ f[1] @ f[2])(s.linalg.lu(x)))
entry("qr", lambda x: np.linalg.qr(x), LONG, (-1.0, 1.0), *MANY, case(F(4, 2)), case(F(2, 3)),
      call=algebra("qr"), any_layout=False)
entry("svdvals", lambda x: np.linalg.svd(x, compute_uv=False), LONG, (-1.0, 1.0), case(F(3, 3)),
      case(F(4, 2)), case(F(2, 3)), call=algebra("svdvals"), any_layout=False)
entry("svd_product", lambda x: x, LONG, (-1.0, 1.0), case(F(3, 3)), case(F(4, 2)), case(F(2, 3)),
      call=lambda s, x: (lambda f: (f.U * f.S.unsqueeze(-2)) @ f.Vh)(s.linalg.svd(x, False)),
      any_layout=False)
entry("eigvalsh", lambda x: np.linalg.eigvalsh(even(x)), LONG, (-2.0, 2.0), case(F(3, 3)),
      case(F(2, 2, 2)), call=of_even("eigvalsh"))
entry("pinv", np.linalg.pinv, LONG, (-1.0, 1.0), case(S(3, 3)), case(F(3, 2)), case(F(2, 3)),
      call=algebra("pinv"))
entry("matrix_exp", expm, LONG, (-2.0, 2.0), case(F(3, 3)), case(F(1, 1)),
      call=algebra("matrix_exp"))
entry("matrix_power", np.linalg.matrix_power, NUMBER, (-1.0, 1.0), case(S(3, 3), 3),
      case(S(2, 2), 2), call=algebra("matrix_power"))
entry("nuclear_norm", lambda x: np.linalg.norm(x, "nuc"), LONG, (-1.0, 1.0), case(F(3, 2)),
      call=algebra("matrix_norm", "nuc"))
entry("multi_dot", lambda *xs: np.linalg.multi_dot(xs), NUMBER, (-1.0, 1.0),
      case(F(2, 3), F(3, 4), F(4, 2)), call=lambda s, *xs: s.linalg.multi_dot(xs))
