"""Draws by rejection: against the distributions' own probabilities, repeatable, with gradients.

Leans on schuss.draws and scipy.stats.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss import draws

stats = pytest.importorskip("scipy.stats", reason="SciPy has the distributions to compare with")
f64 = schuss.float64
COUNT = 20_000


def full(value: float):
    return schuss.full((COUNT,), value, dtype=f64)


CASES = {
    **{f"gamma {a}": (lambda a=a: draws.gamma(full(a)), stats.gamma(a)) for a in (0.2, 1.0, 7.5)},
    **{
        f"poisson {r}": (lambda r=r: schuss.poisson(full(r)), stats.poisson(r))
        for r in (0.3, 9.0, 12.0, 400.0)
    },
    **{
        f"binomial {n} {p}": (
            lambda n=n, p=p: schuss.binomial(full(n), full(p)),
            stats.binom(n, p),
        )
        for n, p in ((5, 0.3), (40, 0.5), (1000, 0.9), (10_000, 1e-3))
    },
    **{
        f"von Mises {k}": (lambda k=k: draws.von_mises(full(k)), stats.vonmises(k))
        for k in (1e-9, 1e-5, 0.5, 30.0)
    },
    "cauchy": (lambda: full(0).cauchy_(1.0, 2.0), stats.cauchy(1.0, 2.0)),
    "log_normal": (lambda: full(0).log_normal_(0.5, 0.7), stats.lognorm(0.7, scale=math.e**0.5)),
    "geometric": (lambda: full(0).geometric_(0.3), stats.geom(0.3)),
}


@pytest.mark.parametrize("name", CASES)
def test_draws_follow_their_distribution(name):
    make, theirs = CASES[name]
    drawn = make().numpy()
    again = make().numpy()
    assert not np.array_equal(drawn, again)
    # The largest gap between the shares found and the true ones (Kolmogorov and Smirnov): with so
    # many draws it is above 0.02 once in five million times.
    at = np.unique(drawn) if len(np.unique(drawn)) < 2000 else np.sort(drawn)[::10]
    found = np.searchsorted(np.sort(drawn), at, side="right") / COUNT
    assert np.abs(found - theirs.cdf(at)).max() < 0.02


def test_the_same_seed_gives_the_same_draws_on_any_number_of_threads():
    def all_of_them():
        schuss.manual_seed(3)
        wide = schuss.full((30_000,), 2.5, dtype=schuss.float32)
        return [f(wide).tolist() for f in (draws.gamma, schuss.poisson, draws.von_mises)]

    threads = schuss.get_num_threads()
    first = all_of_them()
    schuss.set_num_threads(1)
    try:
        assert all_of_them() == first
    finally:
        schuss.set_num_threads(threads)


def test_edges_of_the_parameters():
    zero, one = schuss.zeros(2), schuss.ones(2)
    assert schuss.poisson(zero).tolist() == [0.0, 0.0]
    assert schuss.binomial(one * 5, zero).tolist() == [0.0, 0.0]
    assert schuss.binomial(one * 5, one).tolist() == [5.0, 5.0]
    assert draws.gamma(zero).tolist() == [0.0, 0.0]
    assert draws.gamma(-one).isnan().all()
    assert schuss.poisson(schuss.full((2,), math.inf)).tolist() == [math.inf] * 2
    assert schuss.poisson(schuss.ones(0)).shape == (0,)
    with refuses(RuntimeError, "poisson", "at least 0"):
        schuss.poisson(-one)
    with refuses(NotImplementedError, "poisson", "floats"):
        schuss.poisson(schuss.tensor([1]))
    for call in (
        lambda x: x.cauchy_(0, -1),
        lambda x: x.log_normal_(0, -1),
        lambda x: x.geometric_(0.0),
    ):
        with refuses(RuntimeError, "must be"):
            call(schuss.zeros(3))
    with refuses(RuntimeError, "continuous"):
        schuss.zeros(3, dtype=schuss.int64).cauchy_()
    assert schuss.zeros(3, dtype=schuss.int64).geometric_(0.5).dtype == schuss.int64


@pytest.mark.parametrize("a", [0.05, 0.8, 3.0, 60.0])
def test_a_draw_of_the_gamma_distribution_grows_with_its_shape(a):
    shape = full(a)[:500].requires_grad_()
    drawn = draws.gamma(shape)
    (slope,) = schuss.autograd.grad(drawn.sum(), shape)
    x = drawn.detach().numpy()
    # Where the draw has to go so that its probability stays: by central differences.
    share, h = stats.gamma.cdf(x, a), 1e-4 * a
    want = (stats.gamma.ppf(share, a + h) - stats.gamma.ppf(share, a - h)) / (2 * h)
    sure = (share > 1e-3) & (share < 0.999) & (x > 1e-12)
    assert sure.sum() > 50
    assert slope.numpy()[sure] == pytest.approx(want[sure], rel=2e-4)


def test_many_examples_draw_for_themselves():
    rates = schuss.full((3, 50), 5.0)
    drawn = schuss.func.vmap(schuss.poisson, randomness="different")(rates)
    assert drawn.shape == (3, 50) and drawn[0].tolist() != drawn[1].tolist()
    same = schuss.func.vmap(schuss.poisson, randomness="same")(rates)
    assert same[0].tolist() == same[1].tolist()


def test_a_compiled_step_draws_anew():
    step = schuss.compile(lambda x: schuss.draws.gamma(x))
    found = [step(schuss.full((4,), 2.0)).tolist() for _ in range(4)]
    assert len({tuple(row) for row in found}) == 4
