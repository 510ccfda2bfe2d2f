"""More distributions: against SciPy's probabilities, moments and draws, and their divergences.

Leans on schuss.distributions and scipy.stats; what stands as a number was made with PyTorch 2.15.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss import distributions as D

stats = pytest.importorskip("scipy.stats", reason="SciPy has the distributions to compare with")
f64 = schuss.float64


def t(*values):
    return schuss.tensor(values, dtype=f64)


# What is asked, SciPy's counterpart, and the values that both are asked about.
CASES = {
    "Gamma": (D.Gamma(t(2.5), t(0.5)), stats.gamma(2.5, scale=2.0), [0.1, 2.0, 9.0]),
    "Gamma below 1": (D.Gamma(t(0.3), t(2.0)), stats.gamma(0.3, scale=0.5), [0.01, 0.5]),
    "Chi2": (D.Chi2(t(3.0)), stats.chi2(3.0), [0.1, 2.0, 9.0]),
    "InverseGamma": (
        D.InverseGamma(t(4.5), t(2.0)),
        stats.invgamma(4.5, scale=2.0),
        [0.1, 0.5, 2.0],
    ),
    "Beta": (D.Beta(t(2.5), t(0.7)), stats.beta(2.5, 0.7), [0.1, 0.5, 0.9]),
    "StudentT": (D.StudentT(t(5.0), t(0.5), t(2.0)), stats.t(5.0, 0.5, 2.0), [-3.0, 0.5, 4.0]),
    "FisherSnedecor": (D.FisherSnedecor(t(3.0), t(9.0)), stats.f(3.0, 9.0), [0.1, 1.0, 4.0]),
    "HalfNormal": (D.HalfNormal(t(2.0)), stats.halfnorm(scale=2.0), [0.1, 1.0, 4.0]),
    "HalfCauchy": (D.HalfCauchy(t(2.0)), stats.halfcauchy(scale=2.0), [0.1, 1.0, 40.0]),
    "Pareto": (D.Pareto(t(2.0), t(3.5), False), stats.pareto(3.5, scale=2.0), [1.0, 2.5, 9.0]),
    "GeneralizedPareto": (
        D.GeneralizedPareto(t(0.5), t(2.0), t(0.2), False),
        stats.genpareto(0.2, 0.5, 2.0),
        [0.0, 1.0, 9.0],
    ),
    "GeneralizedPareto that ends": (
        D.GeneralizedPareto(t(0.5), t(2.0), t(-0.5)),
        stats.genpareto(-0.5, 0.5, 2.0),
        [0.6, 1.0, 4.0],
    ),
    "GeneralizedPareto, exponential": (
        D.GeneralizedPareto(t(0.5), t(2.0), t(0.0)),
        stats.expon(0.5, 2.0),
        [0.6, 1.0, 4.0],
    ),
    "Weibull": (D.Weibull(t(2.0), t(1.5)), stats.weibull_min(1.5, scale=2.0), [0.1, 1.0, 4.0]),
    "VonMises": (D.VonMises(t(0.5), t(3.0)), stats.vonmises(3.0, 0.5), [-3.0, 0.5, 2.0]),
    "Poisson": (D.Poisson(t(3.5)), stats.poisson(3.5), [0.0, 1.0, 7.0]),
    "Binomial": (D.Binomial(9, t(0.3)), stats.binom(9, 0.3), [0.0, 3.0, 9.0]),
    "NegativeBinomial": (
        D.NegativeBinomial(5, t(0.3)),
        stats.nbinom(5, 0.7),
        [0.0, 3.0, 9.0],
    ),
}
WITHOUT = {
    "entropy": {"FisherSnedecor", "VonMises", "Poisson", "NegativeBinomial"},
    "mean": {"HalfCauchy", "VonMises"},
    "cdf": {"Beta", "StudentT", "FisherSnedecor", "VonMises", "Poisson", "Binomial",
            "NegativeBinomial"},
}  # fmt: skip
INVERSES = ("HalfNormal", "HalfCauchy", "Pareto", "GeneralizedPareto", "Weibull")


@pytest.mark.parametrize("name", CASES)
def test_probabilities(name):
    ours, theirs, at = CASES[name]
    kind = type(ours).__name__
    log = theirs.logpdf if hasattr(theirs.dist, "pdf") else theirs.logpmf
    assert ours.log_prob(t(*at)).numpy() == pytest.approx(log(at))
    if kind not in WITHOUT["mean"]:
        assert ours.mean.item() == pytest.approx(theirs.mean())
        assert ours.variance.item() == pytest.approx(theirs.var())
    if kind not in WITHOUT["entropy"]:
        assert ours.entropy().item() == pytest.approx(float(theirs.entropy()))
    if kind not in WITHOUT["cdf"]:
        inside = [v for v in at if theirs.pdf(v) > 0]
        assert ours.cdf(t(*inside)).numpy() == pytest.approx(theirs.cdf(inside))
    if kind in INVERSES:
        assert ours.icdf(t(0.1, 0.5, 0.9)).numpy() == pytest.approx(theirs.ppf([0.1, 0.5, 0.9]))
    assert ours.support.check(ours.sample((50,))).all()


@pytest.mark.parametrize("name", CASES)
def test_draws(name):
    ours, theirs, _ = CASES[name]
    drawn = ours.sample((20_000,)).flatten().numpy()
    assert drawn.shape == (20_000,) and drawn.dtype == np.float64
    at = np.unique(drawn) if len(np.unique(drawn)) < 2000 else np.sort(drawn)[::20]
    found = np.searchsorted(np.sort(drawn), at, side="right") / len(drawn)
    assert np.abs(found - theirs.cdf(at)).max() < 0.02


def test_kumaraswamy_and_the_continuous_coin_by_their_areas():
    x = np.linspace(1e-4, 1 - 1e-4, 20_001)
    for made in (D.Kumaraswamy(t(2.0), t(3.0)), D.ContinuousBernoulli(t(0.3)),
                 D.ContinuousBernoulli(t(0.5)), D.ContinuousBernoulli(logits=t(2.0))):  # fmt: skip
        density = made.log_prob(t(*x)).exp().numpy()
        area = np.trapezoid(density, x)
        assert area == pytest.approx(1, abs=1e-3)
        mean = np.trapezoid(density * x, x)
        assert made.mean.item() == pytest.approx(mean, abs=1e-3)
        assert made.variance.item() == pytest.approx(
            np.trapezoid(density * (x - mean) ** 2, x), abs=1e-3
        )
        assert made.entropy().item() == pytest.approx(
            -np.trapezoid(density * np.log(density), x), abs=3e-3
        )
        assert made.cdf(t(0.4)).item() == pytest.approx(
            np.trapezoid(density[x <= 0.4], x[x <= 0.4]), abs=1e-3
        )
        assert made.cdf(made.icdf(t(0.2, 0.7))).tolist() == pytest.approx([0.2, 0.7])
        drawn = made.rsample((20_000,)).numpy()
        assert drawn.mean() == pytest.approx(mean, abs=0.01)


def test_dirichlet_and_multinomial():
    c = np.array([2.0, 0.5, 3.0])
    ours, theirs = D.Dirichlet(t(*c)), stats.dirichlet(c)
    x = np.array([0.2, 0.3, 0.5])
    assert ours.log_prob(t(*x)).item() == pytest.approx(theirs.logpdf(x))
    assert ours.mean.numpy() == pytest.approx(theirs.mean())
    assert ours.variance.numpy() == pytest.approx(theirs.var())
    assert ours.entropy().item() == pytest.approx(theirs.entropy())
    drawn = ours.sample((20_000,)).numpy()
    assert drawn.sum(-1) == pytest.approx(1) and drawn.mean(0) == pytest.approx(
        c / c.sum(), abs=0.01
    )
    p = np.array([0.2, 0.3, 0.5])
    ours, theirs = D.Multinomial(7, t(*p)), stats.multinomial(7, p)
    assert ours.log_prob(t(1.0, 2.0, 4.0)).item() == pytest.approx(theirs.logpmf([1, 2, 4]))
    assert ours.entropy().item() == pytest.approx(theirs.entropy())
    assert np.diag(theirs.cov()) == pytest.approx(ours.variance.numpy())
    drawn = ours.sample((5000,))
    assert drawn.shape == (5000, 3) and (drawn.sum(-1) == 7).all()
    assert drawn.numpy().mean(0) == pytest.approx(7 * p, abs=0.1)
    # Fewer draws than total_count are those of their own number, as PyTorch has it.
    assert ours.log_prob(t(1.0, 2.0, 3.0)).item() == pytest.approx(-2.0024805005437063)
    with refuses(ValueError, "7"):
        ours.log_prob(t(1.0, 2.0, 5.0))


def test_matrices():
    covariance = np.array([[2.0, 0.6], [0.6, 1.0]])
    ours, theirs = D.Wishart(t(3.5)[0], schuss.tensor(covariance)), stats.wishart(3.5, covariance)
    x = np.array([[5.0, 1.0], [1.0, 3.0]])
    assert ours.log_prob(schuss.tensor(x)).item() == pytest.approx(theirs.logpdf(x))
    assert ours.entropy().item() == pytest.approx(theirs.entropy())
    assert ours.mean.numpy() == pytest.approx(theirs.mean())
    assert ours.variance.numpy() == pytest.approx(theirs.var())
    assert ours.sample((4000,)).numpy().mean(0) == pytest.approx(theirs.mean(), abs=0.4)
    factor, diagonal = t(1.0, 0.5).reshape(2, 1), t(1.0, 2.0)
    low = D.LowRankMultivariateNormal(t(1.0, -1.0), factor, diagonal)
    full = D.MultivariateNormal(t(1.0, -1.0), low.covariance_matrix)
    for at in (t(0.0, 0.0), t(3.0, 1.0)):
        assert low.log_prob(at).item() == pytest.approx(full.log_prob(at).item())
    assert low.entropy().item() == pytest.approx(full.entropy().item())
    assert np.cov(low.sample((4000,)).numpy().T) == pytest.approx(
        low.covariance_matrix.numpy(), abs=0.3
    )
    assert D.kl_divergence(low, full).item() == pytest.approx(0, abs=1e-9)
    lkj = D.LKJCholesky(3, t(1.5)[0])
    drawn = lkj.sample((20_000,))
    assert D.constraints.corr_cholesky.check(drawn).all()
    whole = drawn @ drawn.mT
    # Each correlation is a beta draw of shape concentration + (dim - 2) / 2 on both sides.
    share = np.sort((whole[:, 0, 2].numpy() + 1) / 2)
    found = np.arange(1, 20_001) / 20_000
    assert np.abs(found - stats.beta(2.0, 2.0).cdf(share)).max() < 0.02
    assert lkj.log_prob(schuss.eye(3, dtype=f64)).item() == pytest.approx(-1.0269468501930166)


def test_mixtures():
    weights = D.Categorical(t(0.3, 0.7))
    made = D.MixtureSameFamily(weights, D.Normal(t(-1.0, 2.0), t(1.0, 0.5)))
    x = np.linspace(-6, 6, 4001)
    density = made.log_prob(t(*x)).exp().numpy()
    assert density == pytest.approx(
        0.3 * stats.norm.pdf(x, -1, 1) + 0.7 * stats.norm.pdf(x, 2, 0.5)
    )
    assert made.mean.item() == pytest.approx(np.trapezoid(density * x, x), abs=1e-5)
    mean = made.mean.item()
    assert made.variance.item() == pytest.approx(
        np.trapezoid(density * (x - mean) ** 2, x), abs=1e-4
    )
    drawn = made.sample((20_000,))
    share = made.cdf(drawn).numpy()
    assert stats.kstest(share, "uniform").statistic < 0.02
    vectors = D.Independent(D.Normal(schuss.zeros(4, 2, 3), schuss.ones(4, 2, 3)), 1)
    made = D.MixtureSameFamily(D.Categorical(schuss.ones(4, 2)), vectors)
    assert made.sample((5,)).shape == (5, 4, 3) and made.log_prob(made.sample((5,))).shape == (5, 4)
    with refuses(ValueError, "3 weights"):
        D.MixtureSameFamily(D.Categorical(schuss.ones(3)), D.Normal(t(0.0, 1.0), 1.0))


def test_relaxed_draws_have_gradients():
    logits = t(0.3, -0.5).requires_grad_()
    made = D.RelaxedBernoulli(0.5, logits=logits)
    drawn = made.rsample((100,))
    assert ((drawn > 0) & (drawn < 1)).all()
    drawn.sum().backward()
    assert (logits.grad > 0).all()
    x = np.linspace(1e-6, 1 - 1e-6, 200_001)
    for one in (0, 1):
        density = made.log_prob(t(*x).unsqueeze(1))[:, one].exp().detach().numpy()
        assert np.trapezoid(density, x) == pytest.approx(1, abs=3e-3)
    classes = D.RelaxedOneHotCategorical(0.7, t(0.2, 0.3, 0.5))
    assert classes.rsample((9,)).sum(-1).numpy() == pytest.approx(1)
    # A density: its mean over a uniform triangle is its area, 1, over the triangle's, 1/2.
    corners = D.Dirichlet(schuss.ones(3, dtype=f64)).sample((200_000,))
    assert classes.log_prob(corners).exp().mean().item() / 2 == pytest.approx(1, abs=0.05)
    straight = D.OneHotCategoricalStraightThrough(logits=logits)
    logits.grad = None
    (straight.rsample() * t(1.0, 2.0)).sum().backward()
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("make", "mean_slope"),
    [
        (lambda a: D.Gamma(a, t(2.0)[0]), 0.5),
        (lambda a: D.Chi2(a), 1.0),
        (lambda a: D.Beta(a, t(3.0)[0]), 3.0 / 4.5**2),
        (lambda a: D.StudentT(t(5.0)[0], a, t(1.0)[0]), 1.0),
        (lambda a: D.Weibull(a, t(2.0)[0]), math.gamma(1.5)),
        (lambda a: D.HalfNormal(a), math.sqrt(2 / math.pi)),
    ],
    ids=["Gamma", "Chi2", "Beta", "StudentT", "Weibull", "HalfNormal"],
)
def test_gradients_of_draws_have_the_mean_of_the_mean(make, mean_slope):
    a = t(1.5)[0].requires_grad_()
    make(a).rsample((40_000,)).mean().backward()
    assert a.grad.item() == pytest.approx(mean_slope, abs=0.03)


PAIRS = [
    (D.Gamma(t(2.0), t(1.0)), D.Gamma(t(1.5), t(2.0))),
    (D.Exponential(t(0.7)), D.Gamma(t(1.5), t(2.0))),
    (D.Gamma(t(2.0), t(1.0)), D.Exponential(t(0.7))),
    (D.Beta(t(2.0), t(1.0)), D.Beta(t(1.5), t(2.0))),
    (D.Dirichlet(t(2.0, 1.0)), D.Dirichlet(t(1.5, 2.0))),
    (D.Poisson(t(2.0)), D.Poisson(t(3.0))),
    (D.Bernoulli(t(0.3)), D.Poisson(t(0.5))),
    (D.Binomial(5, t(0.3)), D.Binomial(5, t(0.5))),
    (D.Geometric(t(0.3)), D.Geometric(t(0.5))),
    (D.Gumbel(t(0.3), t(1.0)), D.Gumbel(t(0.5), t(2.0))),
    (D.Cauchy(t(0.3), t(1.0)), D.Cauchy(t(0.5), t(2.0))),
    (D.HalfNormal(t(1.0)), D.HalfNormal(t(2.0))),
    (D.LogNormal(t(0.3), t(1.0)), D.LogNormal(t(0.5), t(2.0))),
    (D.Pareto(t(2.0), t(3.0)), D.Pareto(t(1.0), t(2.0))),
    (D.Exponential(t(0.7)), D.Normal(t(1.0), t(2.0))),
    (D.Uniform(t(0.0), t(2.0)), D.Normal(t(1.0), t(2.0))),
    (D.Normal(t(0.5), t(1.0)), D.Laplace(t(0.0), t(2.0))),
    (D.Laplace(t(0.5), t(1.0)), D.Normal(t(0.0), t(2.0))),
    (D.ContinuousBernoulli(t(0.3)), D.ContinuousBernoulli(t(0.6))),
]


@pytest.mark.parametrize(
    ("p", "q"), PAIRS, ids=[f"{type(p).__name__} {type(q).__name__}" for p, q in PAIRS]
)
def test_divergence_is_the_mean_over_draws(p, q):
    exact = D.kl_divergence(p, q).sum().item()
    x = p.sample((40_000,))
    rough = (p.log_prob(x) - q.log_prob(x)).mean().item()
    assert exact == pytest.approx(rough, abs=0.02 + 0.03 * exact)


@pytest.mark.parametrize(
    "made",
    [
        D.Gamma(t(1.0, 2.0), t(1.0)),
        D.Dirichlet(schuss.ones(2, 3)),
        D.Binomial(3, t(0.1, 0.2)),
        D.Independent(D.Normal(schuss.zeros(2, 3), 1.0), 1),
        D.MixtureSameFamily(D.Categorical(schuss.ones(2, 3)), D.Normal(schuss.zeros(2, 3), 1.0)),
        D.TransformedDistribution(D.Normal(t(0.0, 1.0), 1.0), [D.ExpTransform()]),
    ],
    ids=lambda made: type(made).__name__,
)
def test_expand(made):
    wide = made.expand((4, 2))
    assert wide.batch_shape == (4, 2) and wide.event_shape == made.event_shape
    assert wide.sample((3,)).shape == (3, 4, 2, *made.event_shape)
    value = made.sample()
    assert wide.log_prob(value).shape == (4, 2)
    assert wide.log_prob(value)[0].tolist() == pytest.approx(made.log_prob(value).tolist())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: D.Gamma(-1.0, 1.0), ("Gamma", "concentration", "above 0", "-1")),
        (lambda: D.Poisson(-1.0), ("Poisson", "rate")),
        (lambda: D.Binomial(2.5, probs=0.5), ("total_count", "whole")),
        (lambda: D.Binomial(2, probs=1.5), ("probs",)),
        (lambda: D.Binomial(2), ("probs or logits",)),
        (lambda: D.Dirichlet(schuss.tensor(1.0)), ("one axis",)),
        (lambda: D.Wishart(1.0, schuss.eye(3)), ("df", "above 2")),
        (lambda: D.Wishart(4.0), ("one of",)),
        (lambda: D.LKJCholesky(1), ("at least 2",)),
        (lambda: D.LogisticNormal(0.0, 1.0), ("one axis",)),
        (
            lambda: D.LowRankMultivariateNormal(schuss.zeros(2), schuss.ones(3, 1), schuss.ones(2)),
            ("2", "3"),
        ),
    ],
)
def test_refusals(make, words):
    with refuses(ValueError, *words):
        make()


def test_half_precision_and_single_keep_their_dtype():
    for made in (D.Gamma(2.0, 1.0), D.Beta(2.0, 1.0), D.Poisson(3.0), D.VonMises(0.0, 1.0)):
        assert made.sample((3,)).dtype == schuss.float32
        assert made.log_prob(made.sample((3,))).dtype == schuss.float32
