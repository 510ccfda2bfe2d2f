"""The optimisers that know curvature: minima, searches that meet NaN, stopping, checkpoints.
Leans on schuss.optim and on SciPy's solver between bounds as an oracle."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import schuss
from schuss import optim
from schuss.optim.jacobian import jacobian
from schuss.optim.search import Trial, backtracking, strong_wolfe
from scipy import optimize


def rosenbrock(w):
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def himmelblau(w):
    return (w[0] ** 2 + w[1] - 11) ** 2 + (w[0] + w[1] ** 2 - 7) ** 2


def beale(w):
    return sum((a - w[0] + w[0] * w[1] ** k) ** 2 for k, a in enumerate((1.5, 2.25, 2.625), 1))


X = schuss.linspace(-1, 1, 20, dtype=schuss.float64)


def line(w):
    return ((w[0] * X + w[1] - (3 * X + 0.5)) ** 2).mean()


# Where to start, and the minima: https://en.wikipedia.org/wiki/Test_functions_for_optimization
PROBLEMS = {
    "rosenbrock": (rosenbrock, [-1.2, 1.0], [(1, 1)]),
    "himmelblau": (
        himmelblau,
        [0.0, 0.0],
        [(3, 2), (-2.805118, 3.131312), (-3.779310, -3.283186), (3.584428, -1.848126)],
    ),
    "beale": (beale, [1.0, 1.0], [(3, 0.5)]),
    "line": (line, [16.0, 10.0], [(3, 0.5)]),
}
RESIDUALS = {
    "rosenbrock": lambda w: schuss.stack([1 - w[0], 10 * (w[1] - w[0] ** 2)]),
    "himmelblau": lambda w: schuss.stack([w[0] ** 2 + w[1] - 11, w[0] + w[1] ** 2 - 7]),
    "beale": lambda w: schuss.stack(
        [a - w[0] + w[0] * w[1] ** k for k, a in enumerate((1.5, 2.25, 2.625), 1)]
    ),
    "line": lambda w: w[0] * X + w[1] - (3 * X + 0.5),
}
WOLFE = {"line_search_fn": "strong_wolfe", "max_eval": 1000}
SHELF = [
    ("NonlinearCG", {}),
    ("NonlinearCG", {"update": "fletcher_reeves"}),
    ("NonlinearCG", {"update": "hestenes_stiefel"}),
    ("NonlinearCG", {"update": "dai_yuan"}),
    ("BFGS", {}),
    ("BFGS", {"line_search": "backtracking"}),
    ("LBFGS", WOLFE),
    ("LBFGSB", {}),
    ("Newton", {}),
    ("Newton", {"line_search": "strong_wolfe"}),
    ("Newton", {"damping": 0.1}),
    ("NewtonCG", {}),
    ("GaussNewton", {}),
    ("LevenbergMarquardt", {}),
    ("LevenbergMarquardt", {"scaled": True}),
]
# The most evaluations any of the four may take, about a third above what was counted.
MOST = {"NonlinearCG": 100, "BFGS": 65, "NewtonCG": 125, "GaussNewton": 45}


def leaf(values, dtype=schuss.float64):
    return schuss.tensor(values, dtype=dtype, requires_grad=True)


def memory(opt):
    return opt.state_dict()["state"][0]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(("name", "options"), SHELF)
def test_minima_are_reached(name, options, problem):
    loss, start, minima = PROBLEMS[problem]
    w = leaf(start)
    opt = getattr(optim, name)([w], max_iter=200, **options)
    calls = 0

    def closure():
        nonlocal calls
        calls += 1
        if name in ("GaussNewton", "LevenbergMarquardt"):
            return RESIDUALS[problem](w)
        value = loss(w)
        if name in ("LBFGS", "BFGS"):
            value.backward()
        return value

    opt.step(closure)
    near = min(math.dist(w.tolist(), minimum) for minimum in minima)
    assert near < 1e-4
    assert calls == memory(opt)["func_evals"] <= MOST.get(name, 60)
    if name != "LBFGS":
        assert opt.converged


def test_a_quadratic_takes_newton_one_step():
    generator = schuss.Generator().manual_seed(1)
    half = schuss.randn(8, 8, dtype=schuss.float64, generator=generator)
    matrix, b = half @ half.T + schuss.eye(8, dtype=schuss.float64), half[0]
    parts = [leaf([0.5] * 3), leaf([[1.0], [2.0], [3.0], [4.0], [5.0]])]
    opt = optim.Newton(parts)

    def closure():
        x = schuss.cat([p.reshape(-1) for p in parts])
        return x @ matrix @ x / 2 - b @ x

    opt.step(closure)
    x = schuss.cat([p.detach().reshape(-1) for p in parts])
    assert memory(opt)["n_iter"] == 1
    assert x.numpy() == pytest.approx(np.linalg.solve(matrix.numpy(), b.numpy()), rel=1e-10)


@pytest.mark.parametrize("k", range(20))
def test_bounds_as_scipy_has_them(k):
    rng = np.random.default_rng(k)
    n = int(rng.integers(2, 10))
    A, b = rng.standard_normal((n + 2, n)), rng.standard_normal(n + 2)
    low = np.where(rng.random(n) < 0.3, -np.inf, -rng.random(n))
    high = np.where(rng.random(n) < 0.3, np.inf, rng.random(n))
    start, quartic = rng.standard_normal(n) * 2, 0.1 * (k % 2)
    found = optimize.minimize(
        lambda x: ((A @ x - b) ** 2).sum() / 2 + quartic * (x**4).sum(),
        np.clip(start, low, high),
        jac=lambda x: A.T @ (A @ x - b) + 4 * quartic * x**3,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000},
    )
    w, a, c = leaf(start), schuss.tensor(A), schuss.tensor(b)
    bounds = {"lower": schuss.tensor(low), "upper": schuss.tensor(high)}
    opt = optim.LBFGSB([w], max_iter=500, tol=1e-8, **bounds)
    opt.step(lambda: ((a @ w - c) ** 2).sum() / 2 + quartic * (w**4).sum())
    x = w.detach().numpy()
    assert opt.converged and (x >= low).all() and (x <= high).all()
    assert x == pytest.approx(found.x, abs=1e-5)


@pytest.mark.parametrize("name", ["NonlinearCG", "BFGS", "LBFGS", "LBFGSB", "Newton", "NewtonCG"])
@pytest.mark.parametrize("beyond", [math.nan, math.inf])
def test_a_search_survives_what_is_no_number(name, beyond):
    # Below 0 there is no logarithm; a first step of length 1 from 0.001 lands there.
    w = leaf([5.0, 1e-3])
    options = WOLFE if name == "LBFGS" else {}
    opt = getattr(optim, name)([w], max_iter=300, **options)

    def closure():
        value = (w - schuss.where(w > 0, w, math.nan).log()).sum()
        if not (w > 0).all() and beyond == math.inf:
            value = value.detach() * 0 + (w * 0).sum() + beyond
        if name == "LBFGS":
            value.backward()
        return value

    opt.step(closure)
    assert w.tolist() == pytest.approx([1.0, 1.0], abs=1e-3)


@pytest.mark.parametrize(("name", "options"), SHELF)
def test_nan_at_the_start_is_an_error_and_moves_nothing(name, options):
    w = leaf([1.0, 2.0])
    opt = getattr(optim, name)([w], **options)
    with pytest.raises(RuntimeError, match=f"{name}: the loss is (nan|inf)"):
        opt.step(
            lambda: (
                w * math.nan
                if "an" in name and name[0] in "GL" and not name.startswith("LBFGS")
                else (w * math.nan).sum()
            )
        )
    assert w.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["NonlinearCG", "BFGS", "LBFGSB", "Newton", "LBFGS"])
def test_an_error_in_the_closure_moves_nothing(name):
    w, calls = leaf([-1.2, 1.0]), 0
    opt = getattr(optim, name)([w], **(WOLFE if name == "LBFGS" else {}))

    def closure():
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        value = rosenbrock(w)
        if name == "LBFGS":
            value.backward()
        return value

    with pytest.raises(KeyboardInterrupt):
        opt.step(closure)
    assert w.tolist() == [-1.2, 1.0]


def test_patience_and_tolerance_stop():
    w = leaf([-1.2, 1.0])
    opt = optim.BFGS([w], max_iter=100, patience=2, min_delta=1.0)
    first = opt.step(lambda: rosenbrock(w))
    assert first.item() == pytest.approx(24.2) and opt.converged
    assert memory(opt)["stalled"] == 2 and memory(opt)["n_iter"] < 30
    w = leaf([-1.2, 1.0])
    opt = optim.BFGS([w], max_iter=3)
    opt.step(lambda: rosenbrock(w))
    assert not opt.converged and memory(opt)["n_iter"] == 3
    flat = leaf([1.0, 1.0])
    opt = optim.BFGS([flat])
    opt.step(lambda: rosenbrock(flat))
    assert opt.converged and memory(opt)["func_evals"] == 1


@pytest.mark.parametrize(("name", "options"), [s for s in SHELF if s[0] not in ("LBFGS",)])
def test_a_checkpoint_goes_on_where_it_was_saved(name, options):
    squares = name in ("GaussNewton", "LevenbergMarquardt")
    loss = RESIDUALS["rosenbrock"] if squares else rosenbrock
    w = leaf([-1.2, 1.0])
    opt = getattr(optim, name)([w], max_iter=2, **options)
    opt.step(lambda: loss(w))
    file = io.BytesIO()
    schuss.save(opt.state_dict(), file)
    file.seek(0)
    saved = schuss.load(file)
    v = w.detach().clone().requires_grad_()
    twin = getattr(optim, name)([v], max_iter=7, **options)
    twin.load_state_dict(saved)
    for p, o in ((w, opt), (v, twin)):
        for _ in range(3):
            o.step(lambda p=p: loss(p))
    assert v.tolist() == w.tolist()


def test_groups_have_rates_of_their_own():
    a, b = leaf([2.0]), leaf([2.0])
    opt = optim.BFGS([{"params": [a]}, {"params": [b], "lr": 0.5}], line_search=None, max_iter=1)
    opt.step(lambda: (a**2 + b**2).sum() / 2)
    assert [a.item(), b.item()] == [1.5, 1.75]


def test_maximize_climbs():
    for name in ("BFGS", "NonlinearCG", "LBFGSB", "Newton", "NewtonCG"):
        w = leaf([0.3, -0.2])
        opt = getattr(optim, name)([w], maximize=True)
        opt.step(lambda w=w: 5 - (w**2).sum())
        assert w.tolist() == pytest.approx([0.0, 0.0], abs=1e-5), name


def test_float32_and_models():
    schuss.manual_seed(0)
    model = schuss.nn.Sequential(schuss.nn.Linear(1, 8), schuss.nn.Tanh(), schuss.nn.Linear(8, 1))
    x = schuss.linspace(-2, 2, 40).unsqueeze(1)
    y = (2 * x).sin()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    for name, most in (("BFGS", 1e-3), ("LevenbergMarquardt", 1e-5), ("NewtonCG", 1e-3)):
        model.load_state_dict(state)
        opt = getattr(optim, name)(model.parameters(), max_iter=100)
        if name == "LevenbergMarquardt":
            opt.step(lambda: model(x) - y)
        else:
            opt.step(lambda: schuss.nn.functional.mse_loss(model(x), y))
        assert schuss.nn.functional.mse_loss(model(x), y).item() < most, name


@pytest.mark.parametrize("fisher", ["full", "diagonal"])
def test_the_natural_gradient_of_a_logistic_regression(fisher):
    generator = schuss.Generator().manual_seed(3)
    x = schuss.randn(60, 2, dtype=schuss.float64, generator=generator)
    y = (x[:, 0] - 0.5 * x[:, 1] + 0.7 * x[:, 0].sin() > 0).double()
    w = leaf([0.0, 0.0])
    opt = optim.NaturalGradient([w], lr=0.5, fisher=fisher, damping=0.01)

    def each():
        scores = x @ w
        return schuss.nn.functional.binary_cross_entropy_with_logits(scores, y, reduction="none")

    # The first step by hand: g is the mean of the rows, F the mean of their products.
    rows = jacobian(each(), [w]).numpy()
    fishers = rows.T @ rows / len(rows)
    if fisher == "diagonal":
        fishers = np.diag(np.diag(fishers))
    opt.step(each)
    step = -0.5 * np.linalg.solve(fishers + 0.01 * np.eye(2), rows.mean(0))
    assert w.detach().numpy() == pytest.approx(step, rel=1e-9)
    before = each().mean().item()
    for _ in range(20):
        opt.step(each)
    assert each().mean().item() < before


def test_a_jacobian_from_either_side():
    a, b = leaf([1.0, 2.0, 3.0]), leaf([[0.5]])
    tall = lambda: schuss.cat([a * b.item() + 0 * a, (a**2), a.prod().reshape(1) * b[0, 0]])  # noqa: E731
    wide = lambda: (a**2).sum().reshape(1) * b[0]  # noqa: E731
    for make in (tall, wide):
        found = jacobian(make(), [a, b])
        rows = []
        for k in range(len(found)):
            grads = schuss.autograd.grad(make()[k], [a, b], allow_unused=True)
            rows.append(
                schuss.cat(
                    [
                        schuss.zeros(p.numel(), dtype=p.dtype) if g is None else g.reshape(-1)
                        for g, p in zip(grads, (a, b), strict=True)
                    ]
                )
            )
        assert schuss.equal(found, schuss.stack(rows))


def test_line_searches_keep_their_word():
    for scale in (1e-3, 1.0, 1e3):

        def measure(t, scale=scale):
            return Trial(t, (t * scale - 2) ** 4, 4 * scale * (t * scale - 2) ** 3)

        start = measure(0.0)
        end, made = strong_wolfe(measure, start, 1.0, 1.0, c2=0.1)
        assert end.loss <= start.loss + 1e-4 * end.t * start.slope
        assert abs(end.slope) <= 0.1 * abs(start.slope) and made < 20
    end, made = backtracking(lambda t: Trial(t, math.nan, 0.0), Trial(0.0, 1.0, -1.0), 1.0, most=7)
    assert (end.t, made) == (0.0, 7)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda w: optim.BFGS([w], lr=-1), ValueError, "BFGS: lr"),
        (lambda w: optim.BFGS([w], tol=-1), ValueError, "tol"),
        (lambda w: optim.BFGS([w], max_iter=0), ValueError, "max_iter"),
        (lambda w: optim.BFGS([w], patience=0), ValueError, "patience"),
        (lambda w: optim.BFGS([w], line_search="wolfe"), ValueError, "'wolfe'"),
        (lambda w: optim.BFGS([schuss.Scalar(1)]), TypeError, "Scalar"),
        (
            lambda w: optim.BFGS([{"params": [w]}, {"params": [leaf([1.0])], "tol": 1}]),
            ValueError,
            "tol must be the same",
        ),
        (lambda w: optim.NonlinearCG([w], update="x"), ValueError, "'x'"),
        (lambda w: optim.Newton([w], damping=-1), ValueError, "damping"),
        (lambda w: optim.LBFGSB([w], lower=2, upper=1), ValueError, "passes"),
        (lambda w: optim.LBFGSB([w], lower=[1, 2]), ValueError, "2 lower bounds for 1"),
        (lambda w: optim.NaturalGradient([w], fisher="x"), ValueError, "'x'"),
        (
            lambda w: optim.Newton([w]).step(lambda: rosenbrock(w).backward()),
            TypeError,
            "return the loss",
        ),
        (
            lambda w: optim.GaussNewton([w]).step(lambda: rosenbrock(w).detach()),
            schuss.GradError,
            "residuals",
        ),
        (
            lambda w: optim.NaturalGradient([w]).step(lambda: rosenbrock(w)),
            schuss.GradError,
            r"vector.*shape \(\)",
        ),
    ],
)
def test_bad_input_is_named(call, error, match):
    with pytest.raises(error, match=match):
        call(leaf([1.0, 2.0]))


def test_a_freed_graph_is_told():
    w = leaf([1.0, 2.0])

    def closure():
        loss = rosenbrock(w)
        loss.backward()
        return loss

    with pytest.raises(schuss.GradError, match=r"without calling backward\(\)"):
        optim.Newton([w]).step(closure)

    def kept():
        loss = rosenbrock(w)
        loss.backward(create_graph=True)
        return loss

    opt = optim.Newton([w], max_iter=100)
    opt.step(kept)
    assert w.tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("name", ["BFGS", "LBFGS", "LBFGSB", "NonlinearCG", "Newton", "NewtonCG"])
def test_closures_that_return_no_loss_are_refused(name):
    x = schuss.ones(2, requires_grad=True)
    optimizer = getattr(schuss.optim, name)([x])
    for closure, kind, words in [
        (lambda: None, TypeError, "must return the loss"),
        (lambda: x * 1, schuss.ShapeError, "one number"),
        (lambda: 3.0, schuss.GradError, "depends on the parameters"),
        (lambda: schuss.tensor(1.0), schuss.GradError, "depends on the parameters"),
    ]:
        with pytest.raises(kind, match=words):
            optimizer.step(closure)
    with pytest.raises(TypeError, match="closure"):
        optimizer.step()
    assert x.tolist() == [1.0, 1.0]
