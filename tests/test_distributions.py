"""Distributions: probabilities against SciPy's, draws against their own moments, divergences.

Leans on schuss.distributions and scipy.stats.
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
    "Normal": (D.Normal(t(0.5), t(2.0)), stats.norm(0.5, 2.0), [-1.0, 0.5, 3.0]),
    "LogNormal": (D.LogNormal(t(0.5), t(0.7)), stats.lognorm(0.7, scale=math.e**0.5), [0.1, 2.0]),
    "Laplace": (D.Laplace(t(0.5), t(2.0)), stats.laplace(0.5, 2.0), [-1.0, 0.5, 3.0]),
    "Gumbel": (D.Gumbel(t(0.5), t(2.0)), stats.gumbel_r(0.5, 2.0), [-1.0, 0.5, 3.0]),
    "Cauchy": (D.Cauchy(t(0.5), t(2.0)), stats.cauchy(0.5, 2.0), [-1.0, 0.5, 3.0]),
    "Uniform": (D.Uniform(t(-1.0), t(2.0), False), stats.uniform(-1.0, 3.0), [-2.0, 0.0, 1.5]),
    "Exponential": (D.Exponential(t(0.5)), stats.expon(scale=2.0), [0.0, 1.0, 4.0]),
    "Bernoulli": (D.Bernoulli(t(0.3)), stats.bernoulli(0.3), [0.0, 1.0]),
    "Geometric": (D.Geometric(t(0.3)), stats.geom(0.3, loc=-1), [0.0, 1.0, 5.0]),
}


@pytest.mark.parametrize("name", CASES)
def test_probabilities(name):
    ours, theirs, at = CASES[name]
    log = theirs.logpdf if hasattr(theirs.dist, "pdf") else theirs.logpmf
    assert ours.log_prob(t(*at)).numpy() == pytest.approx(log(at))
    if name not in ("Cauchy",):
        assert ours.mean.item() == pytest.approx(theirs.mean())
        assert ours.variance.item() == pytest.approx(theirs.var())
        assert ours.stddev.item() == pytest.approx(theirs.std())
    assert ours.entropy().item() == pytest.approx(float(theirs.entropy()))
    if name in ("Normal", "Laplace", "Cauchy", "Uniform", "Exponential"):
        assert ours.cdf(t(*at)).numpy() == pytest.approx(theirs.cdf(at))
    if name in ("Normal", "Uniform", "Exponential"):
        assert ours.icdf(t(0.1, 0.5, 0.9)).numpy() == pytest.approx(theirs.ppf([0.1, 0.5, 0.9]))


@pytest.mark.parametrize("name", CASES)
def test_draws(name):
    ours, theirs, _ = CASES[name]
    drawn = ours.sample((4000,)).flatten().numpy()
    assert drawn.shape == (4000,) and drawn.dtype == np.float64
    # With so many draws the quartiles are this near to the truth all but surely.
    for share in (0.25, 0.5, 0.75):
        found = np.mean(drawn <= theirs.ppf(share))
        assert found == pytest.approx(theirs.cdf(theirs.ppf(share)), abs=0.035)


@pytest.mark.parametrize("name", ["Normal", "Laplace", "Gumbel", "Uniform", "Exponential"])
def test_gradients_reach_the_parameters(name):
    a = t(1.5).requires_grad_()
    made = D.Exponential(a) if name == "Exponential" else getattr(D, name)(a, t(4.0))
    made.rsample((5,)).sum().backward()
    assert a.grad is not None and a.grad.item() != 0
    assert not made.sample().requires_grad


def test_shapes():
    normal = D.Normal(schuss.zeros(3, 1), schuss.ones(2))
    assert normal.batch_shape == (3, 2) and normal.event_shape == ()
    assert normal.sample((5,)).shape == (5, 3, 2)
    joined = D.Independent(normal, 1)
    assert joined.batch_shape == (3,) and joined.event_shape == (2,)
    assert joined.log_prob(schuss.zeros(3, 2)).shape == (3,)
    assert D.Normal(0.0, 1.0).sample().shape == ()
    classes = D.Categorical(schuss.ones(4, 3))
    assert classes.sample((2, 5)).shape == (2, 5, 4) and classes.sample().shape == (4,)
    assert D.OneHotCategorical(schuss.ones(4, 3)).sample((2,)).shape == (2, 4, 3)
    assert D.Categorical(schuss.ones(3)).sample().shape == ()


def test_categorical():
    weights = [1.0, 2.0, 5.0]
    for made in (D.Categorical(t(*weights)), D.Categorical(logits=t(*weights).log())):
        assert made.probs.tolist() == pytest.approx([0.125, 0.25, 0.625])
        assert made.log_prob(schuss.tensor([0, 2])).exp().tolist() == pytest.approx([0.125, 0.625])
        assert made.entropy().item() == pytest.approx(stats.entropy(weights))
        counts = np.bincount(made.sample((4000,)).numpy(), minlength=3) / 4000
        assert counts == pytest.approx([0.125, 0.25, 0.625], abs=0.035)
    assert made.enumerate_support().tolist() == [0, 1, 2] and made.mode.item() == 2


def test_the_gradient_of_a_policy():
    logits = t(0.1, 0.4, -0.3).requires_grad_()
    D.Categorical(logits=logits).log_prob(schuss.tensor(1)).backward()
    probs = np.exp(logits.detach().numpy()) / np.exp(logits.detach().numpy()).sum()
    assert logits.grad.numpy() == pytest.approx(np.array([0, 1, 0]) - probs)


def test_multivariate_normal():
    covariance = np.array([[2.0, 0.6], [0.6, 1.0]])
    theirs = stats.multivariate_normal([1.0, -1.0], covariance)
    x = np.array([[0.0, 0.0], [1.0, 2.0]])
    factor = np.linalg.cholesky(covariance)
    for given in (
        {"covariance_matrix": covariance},
        {"precision_matrix": np.linalg.inv(covariance)},
        {"scale_tril": factor},
    ):
        given = {name: schuss.tensor(value) for name, value in given.items()}
        ours = D.MultivariateNormal(t(1.0, -1.0), **given)
        assert ours.log_prob(schuss.tensor(x)).numpy() == pytest.approx(theirs.logpdf(x))
        assert ours.entropy().item() == pytest.approx(theirs.entropy())
        assert ours.variance.tolist() == pytest.approx([2.0, 1.0])
    drawn = ours.sample((4000,)).numpy()
    assert np.cov(drawn.T) == pytest.approx(covariance, abs=0.2)
    with refuses(ValueError, "one of"):
        D.MultivariateNormal(t(1.0), covariance_matrix=t(1.0), scale_tril=t(1.0))


PAIRS = [
    (D.Normal(t(0.5), t(2.0)), D.Normal(t(-1.0), t(1.5))),
    (D.Laplace(t(0.5), t(2.0)), D.Laplace(t(-1.0), t(1.5))),
    (D.Exponential(t(0.5)), D.Exponential(t(2.0))),
    (D.Uniform(t(0.0), t(1.0)), D.Uniform(t(-1.0), t(2.0))),
    (D.Bernoulli(t(0.3)), D.Bernoulli(t(0.6))),
    (D.Categorical(t(1.0, 2.0)), D.Categorical(t(2.0, 1.0))),
    (
        D.MultivariateNormal(
            t(0.0, 1.0), scale_tril=schuss.tensor([[1.0, 0], [0.5, 2]], dtype=f64)
        ),
        D.MultivariateNormal(t(0.0, 0.0), covariance_matrix=schuss.eye(2, dtype=f64)),
    ),
]


@pytest.mark.parametrize(("p", "q"), PAIRS, ids=[type(p).__name__ for p, _ in PAIRS])
def test_divergence_is_the_mean_over_draws(p, q):
    exact = D.kl_divergence(p, q).sum().item()
    x = p.sample((40_000,))
    rough = (p.log_prob(x) - q.log_prob(x)).mean().item()
    assert exact == pytest.approx(rough, abs=0.05 + 0.03 * exact)
    assert D.kl_divergence(p, p).sum().item() == pytest.approx(0, abs=1e-9)


def test_divergence_without_a_formula():
    with refuses(NotImplementedError, "Gumbel and Laplace", "register_kl"):
        D.kl_divergence(D.Gumbel(0.0, 1.0), D.Laplace(0.0, 1.0))
    outside = D.kl_divergence(D.Uniform(0.0, 3.0), D.Uniform(0.0, 1.0))
    assert outside.item() == math.inf


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: D.Normal(0.0, -1.0), ("Normal", "scale", "above 0", "-1")),
        (lambda: D.Normal(0.0, math.nan), ("scale",)),
        (lambda: D.Uniform(1.0, 1.0), ("high",)),
        (lambda: D.Exponential(0.0), ("rate",)),
        (lambda: D.Bernoulli(1.5), ("probs", "from 0 to 1")),
        (lambda: D.Bernoulli(), ("probs or logits",)),
        (lambda: D.Categorical(schuss.tensor([0.5, -0.5])), ("probs", "-0.5")),
        (lambda: D.Categorical(schuss.tensor([math.nan, 1.0])), ("probs",)),
        (lambda: D.Categorical(schuss.ones(3)).log_prob(schuss.tensor(3)), ("value 3", "0 to 2")),
        (lambda: D.Bernoulli(0.5).log_prob(schuss.tensor(0.5)), ("0 or 1",)),
        (lambda: D.Independent(D.Normal(0.0, 1.0), 1), ("Independent",)),
    ],
)
def test_refusals(make, words):
    with refuses(ValueError, *words):
        make()


def test_draws_without_a_gradient_say_so():
    with refuses(NotImplementedError, "Categorical", "log_prob"):
        D.Categorical(schuss.ones(2)).rsample()


def test_a_distribution_that_is_not_there():
    with refuses(AttributeError, "Zipf", "Categorical", "subclass"):
        D.Zipf  # noqa: B018
