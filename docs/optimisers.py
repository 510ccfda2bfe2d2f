"""Prints the table of docs/optimisers.md: how many evaluations the second-order optimisers take.

Leans on schuss, and on SciPy for the numbers beside them. `python3 docs/optimisers.py` writes the
table into the page; with `--check` it only says whether the page is current.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import schuss
from schuss import optim

PAGE = Path(__file__).resolve().parent / "optimisers.md"
BEGIN, END = "<!-- the table, by docs/optimisers.py -->", "<!-- the end of the table -->"
x = schuss.linspace(-1, 1, 20, dtype=schuss.float64)


class Problem(NamedTuple):
    """A sum of squares: where to start, and the residuals."""

    start: list[float]
    residuals: Callable[[Any], Any]

    def loss(self, w: Any) -> Any:
        return (self.residuals(w) ** 2).sum()


PROBLEMS = {
    "Rosenbrock": Problem([-1.2, 1.0], lambda w: schuss.stack([10 * (w[1] - w[0] ** 2), 1 - w[0]])),
    "Himmelblau": Problem(
        [0.0, 0.0], lambda w: schuss.stack([w[0] ** 2 + w[1] - 11, w[0] + w[1] ** 2 - 7])
    ),
    "Beale": Problem(
        [1.0, 1.0],
        lambda w: schuss.stack(
            [a - w[0] + w[0] * w[1] ** k for k, a in enumerate((1.5, 2.25, 2.625), 1)]
        ),
    ),
    "line": Problem([16.0, 10.0], lambda w: w[0] * x + w[1] - (3 * x + 0.5)),
}
TOL = 1e-6
LBFGS = {"line_search_fn": "strong_wolfe", "max_eval": 1000, "tolerance_grad": TOL}

# Name of ours, its options, whether it asks for residuals, and SciPy's of the same kind.
ROWS: list[tuple[str, dict[str, Any], bool, str]] = [
    ("NonlinearCG", {}, False, "CG"),
    ("BFGS", {}, False, "BFGS"),
    ("LBFGS", LBFGS, False, ""),
    ("LBFGSB", {}, False, "L-BFGS-B"),
    ("Newton", {}, False, "trust-exact"),
    ("NewtonCG", {}, False, "Newton-CG"),
    ("GaussNewton", {}, True, "trf"),
    ("LevenbergMarquardt", {}, True, "lm"),
]


def ours(problem: Problem, name: str, options: dict[str, Any], squares: bool) -> tuple[int, float]:
    """How often the closure was called, and the loss where it ended."""
    w = schuss.tensor(problem.start, dtype=schuss.float64, requires_grad=True)
    opt = getattr(optim, name)([w], max_iter=200, **options)
    calls = 0

    def closure() -> Any:
        nonlocal calls
        calls += 1
        return problem.residuals(w) if squares else problem.loss(w)

    opt.step(closure)
    return calls, problem.loss(w).item()


def scipys(problem: Problem, name: str) -> tuple[int, float]:
    """The same of SciPy's, which is given gradients, and Hessians where it asks for them."""
    from scipy import optimize

    def jacobian(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda w: schuss.autograd.functional.jacobian(f, schuss.tensor(w)).numpy()

    if name in ("lm", "trf"):
        found = optimize.least_squares(
            lambda w: problem.residuals(schuss.tensor(w)).numpy(),
            problem.start,
            jac=jacobian(problem.residuals),
            method=name,
            gtol=TOL,
        )
        return found.nfev, 2 * found.cost
    options: dict[str, Any] = {"maxiter": 200}
    if name != "Newton-CG":
        options["gtol"] = TOL
    more: dict[str, Any] = {}
    if name in ("trust-exact", "Newton-CG"):
        hessian = schuss.autograd.functional.hessian
        more["hess"] = lambda w: hessian(problem.loss, schuss.tensor(w)).numpy()
    found = optimize.minimize(
        lambda w: problem.loss(schuss.tensor(w)).item(),
        problem.start,
        jac=jacobian(problem.loss),
        method=name,
        options=options,
        **more,
    )
    return found.nfev, found.fun


def cell(calls: int, loss: float) -> str:
    """A number of evaluations; in brackets where the minimum was not reached."""
    return str(calls) if loss < 1e-8 else f"({calls})"


def table() -> str:
    """The whole table as Markdown."""
    lines = [f"| optimiser | {' | '.join(PROBLEMS)} | SciPy | {' | '.join(PROBLEMS)} |"]
    lines.append("|---" * (2 + 2 * len(PROBLEMS)) + "|")
    for name, options, squares, theirs in ROWS:
        mine = [cell(*ours(p, name, options, squares)) for p in PROBLEMS.values()]
        others = [cell(*scipys(p, theirs)) if theirs else "" for p in PROBLEMS.values()]
        lines.append(f"| `{name}` | {' | '.join(mine)} | {theirs} | {' | '.join(others)} |")
    return "\n".join(lines)


def main(words: list[str]) -> int:
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    new = f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}"
    if new == page:
        print("docs/optimisers.md is current")
    elif "--check" in words:
        print("docs/optimisers.md is not current; run: python3 docs/optimisers.py")
        return 1
    else:
        PAGE.write_text(new, encoding="utf-8", newline="\n")
        print("wrote docs/optimisers.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
