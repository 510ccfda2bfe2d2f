"""What distributions refuse, of values and of parameters, and their divergences from unlike ones.

Leans on schuss and NumPy. Which values are refused, and the divergences, are PyTorch 2.15's.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss import distributions as D

t = schuss.tensor
NAN, INF = math.nan, math.inf
EYE = schuss.eye(2)

# A distribution, values that it takes, values that it refuses, and what it says of them.
VALUES = {
    "Bernoulli": (D.Bernoulli(t(0.3)), [0, 1], [0.5, -2, NAN], "0 or 1"),
    "Beta": (D.Beta(t(2.0), t(3.0)), [0, 0.5, 1], [1.5, -2, NAN, INF], "from 0 to 1"),
    "Binomial": (D.Binomial(5, t(0.3)), [0, 1, 5], [0.5, -1, 6], "a whole number from 0 to 5"),
    "Categorical": (D.Categorical(t([0.2, 0.8])), [0, 1], [0.5, 1.5, 2, -1, NAN], "from 0 to 1"),
    "Cauchy": (D.Cauchy(t(0.0), t(1.0)), [-2, INF], [NAN], "not NaN"),
    "Chi2": (D.Chi2(t(2.0)), [0, 0.5], [-2], "at least 0"),
    "ContinuousBernoulli": (D.ContinuousBernoulli(t(0.3)), [0, 1], [1.5], "from 0 to 1"),
    "Exponential": (D.Exponential(t(1.0)), [0, 2], [-2, NAN], "at least 0"),
    "FisherSnedecor": (D.FisherSnedecor(t(3.0), t(4.0)), [0.5], [0, -1], "above 0"),
    "Gamma": (D.Gamma(t(1.0), t(2.0)), [0, 1], [-2, NAN], "at least 0"),
    "Geometric": (D.Geometric(t(0.3)), [0, 4], [0.5, -2], "a whole number at least 0"),
    "Gumbel": (D.Gumbel(t(0.0), t(1.0)), [-2, 2], [NAN], "not NaN"),
    "HalfCauchy": (D.HalfCauchy(t(1.0)), [0, 1], [-2], "at least 0"),
    "HalfNormal": (D.HalfNormal(t(1.0)), [0, 1], [-2], "at least 0"),
    "InverseGamma": (D.InverseGamma(t(3.0), t(1.0)), [0.5], [0, -2], "above 0"),
    "Kumaraswamy": (D.Kumaraswamy(t(2.0), t(3.0)), [0.5, 1], [1.5, -2], "from 0 to 1"),
    "LogNormal": (D.LogNormal(t(0.0), t(1.0)), [0.5], [0, -2], "above 0"),
    "NegativeBinomial": (D.NegativeBinomial(t(3.0), t(0.4)), [0, 7], [0.5, -1], "whole number"),
    "Normal": (D.Normal(t(0.0), t(1.0)), [-2, INF], [NAN], "not NaN"),
    "Pareto": (D.Pareto(t(1.0), t(2.0)), [1, 3], [0.3], "at least 1"),
    "Poisson": (D.Poisson(t(2.0)), [0, 3], [1.5, -1], "a whole number at least 0"),
    "RelaxedBernoulli": (D.RelaxedBernoulli(t(1.0), t(0.3)), [0.5], [-2, 1.5], "from 0 to 1"),
    "StudentT": (D.StudentT(t(4.0)), [-2], [NAN], "not NaN"),
    "Uniform": (D.Uniform(t(0.0), t(1.0)), [0, 1], [1.5, -2, NAN], "from 0 to 1"),
    "VonMises": (D.VonMises(t(0.0), t(1.0)), [-2], [NAN], "not NaN"),
    "Weibull": (D.Weibull(t(1.0), t(2.0)), [0.5], [0, -2], "above 0"),
    "Dirichlet": (D.Dirichlet(t([1.0, 2.0])), [[0.2, 0.8]], [[0.3, 0.3]], "the sum 1"),
    "Multinomial": (D.Multinomial(3, t([0.2, 0.8])), [[1, 2]], [[1.5, 1.5], [4, -1]], "counts"),
    "OneHotCategorical": (
        D.OneHotCategorical(t([0.2, 0.8])),
        [[0, 1]],
        [[0.2, 0.8], [1, 1]],
        "a single 1",
    ),
    "RelaxedOneHotCategorical": (
        D.RelaxedOneHotCategorical(t(1.0), t([0.2, 0.8])),
        [[0.2, 0.8]],
        [[0.3, 0.3]],
        "the sum 1",
    ),
    "Wishart": (
        D.Wishart(t(3.0), EYE),
        [[[1.0, 0.0], [0.0, 1.0]]],
        [[[1.0, 0.0], [0.0, -1.0]]],
        "positive definite",
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_outside_the_support_are_refused(name: str) -> None:
    made, good, bad, words = VALUES[name]
    for value in good:
        made.log_prob(t(value, dtype=schuss.float32))
    for value in bad:
        with refuses(ValueError, name, "the value", words, "validate_args=False"):
            made.log_prob(t(value, dtype=schuss.float32))


def test_a_batch_is_refused_for_one_value_which_is_named() -> None:
    with refuses(ValueError, "Exponential: the value -3.0"):
        D.Exponential(schuss.ones(2)).log_prob(t([1.0, -3.0]))
    with refuses(ValueError, "Uniform: the value 0.5"):
        D.Uniform(t([0.0, 1.0]), t([1.0, 2.0])).log_prob(t(0.5))


CDFS = [
    (D.Exponential(t(1.0)), -2.0),
    (D.Pareto(t(1.0), t(2.0)), 0.3),
    (D.Uniform(t(0.0), t(1.0)), 1.5),
    (D.Normal(t(0.0), t(1.0)), NAN),
    (D.Weibull(t(1.0), t(2.0)), -2.0),
]


@pytest.mark.parametrize(("made", "value"), CDFS)
def test_the_cdf_asks_too(made: D.Distribution, value: float) -> None:
    with refuses(ValueError, "outside of the support"):
        made.cdf(t(value))


def test_the_cdf_takes_the_edges_of_the_support() -> None:
    for made in (D.LogNormal(t(0.0), t(1.0)), D.Weibull(t(1.0), t(2.0))):
        assert made.cdf(t(0.0)).item() == 0


def test_nothing_is_asked_where_it_is_not_wanted() -> None:
    assert D.Exponential(t(1.0), validate_args=False).log_prob(t(-2.0)).item() == -INF
    D.Distribution.set_default_validate_args(False)
    try:
        assert math.isnan(D.Beta(t(2.0), t(3.0)).log_prob(t(1.5)).item())
    finally:
        D.Distribution.set_default_validate_args(True)
    with refuses(ValueError, "True or False"):
        D.Distribution.set_default_validate_args(3)  # pyright: ignore[reportArgumentType]


def test_the_last_axes_must_make_one_draw() -> None:
    with refuses(ValueError, "Dirichlet", "(3,)", "(2,)"):
        D.Dirichlet(t([1.0, 2.0])).log_prob(schuss.ones(3) / 3)


def test_transformations_and_compiled_steps_are_not_stopped() -> None:
    normal = D.Normal(0.0, 1.0)
    xs = schuss.linspace(-1, 1, 5)
    want = normal.log_prob(xs)
    assert schuss.equal(schuss.func.vmap(normal.log_prob)(xs), want)
    slope = schuss.func.grad(lambda x: D.Normal(x, 1.0).log_prob(t(0.5)))
    assert slope(t(0.0)).item() == 0.5
    step = schuss.compile(lambda x: D.Gamma(x + 1, x + 1).log_prob(x))
    for _ in range(3):
        assert schuss.equal(step(xs.abs()), D.Gamma(xs.abs() + 1, xs.abs() + 1).log_prob(xs.abs()))


PARAMETERS = [
    (lambda: D.Normal(t(NAN), t(1.0)), ("Normal", "loc", "nan")),
    (lambda: D.Categorical(t([0.0, 0.0])), ("Categorical", "sum of probs")),
    (lambda: D.Bernoulli(logits=t(NAN)), ("Bernoulli", "logits")),
    (lambda: D.NegativeBinomial(t(3.0), t(1.0)), ("NegativeBinomial", "probs", "1.0")),
    (
        lambda: D.MultivariateNormal(schuss.zeros(2), -EYE),
        ("MultivariateNormal", "covariance_matrix", "positive definite"),
    ),
    (
        lambda: D.MultivariateNormal(schuss.zeros(2), precision_matrix=-EYE),
        ("MultivariateNormal", "precision_matrix"),
    ),
    (
        lambda: D.MultivariateNormal(schuss.zeros(2), scale_tril=schuss.ones(2, 2)),
        ("MultivariateNormal", "scale_tril", "lower triangle"),
    ),
    (lambda: D.Wishart(t(3.0), -EYE), ("Wishart", "covariance_matrix")),
    (lambda: D.Normal(schuss.zeros(2), schuss.ones(3)), ("Normal", "(2,) and (3,)")),
]


@pytest.mark.parametrize(("make", "words"), PARAMETERS)
def test_parameters_outside_their_range_are_refused(make, words) -> None:
    with refuses(ValueError, *words):
        make()


# What is no parameter at all: the class PyTorch raises, or ValueError where it has only what Python
# says of the object ("has no attribute 'dim'").
OTHERS = [
    (lambda: D.Normal("a", 1), "Normal: takes numbers and Tensors, got str 'a'"),
    (lambda: D.Normal([0.0], [1.0]), "got list [0.0]; use schuss.tensor(...)"),
    (lambda: D.Normal(None, 1.0), "Normal: takes numbers and Tensors, got NoneType"),
    (lambda: D.Categorical([0.5, 0.5]), "Categorical: probs is a tensor of one axis or more"),
    (lambda: D.Categorical(logits=t(0.5)), "Categorical: logits is a tensor of one axis or more"),
    (lambda: D.Dirichlet(1.0), "Dirichlet: concentration is a tensor of one axis or more, got 1.0"),
    (lambda: D.MultivariateNormal(t(0.0), EYE), "MultivariateNormal: loc is a tensor of one axis"),
    (lambda: D.MultivariateNormal(0.0, EYE), "loc is a tensor of one axis or more, got 0.0"),
    (lambda: D.MultivariateNormal(schuss.ones(2), schuss.ones(2)), "covariance_matrix is a tensor"),
    (lambda: D.MultivariateNormal(schuss.ones(2), schuss.ones(2, 3)), "(2, 3) is not square"),
    (
        lambda: D.LowRankMultivariateNormal(t(0.0), schuss.ones(2, 1), schuss.ones(2)),
        "LowRankMultivariateNormal: loc is a tensor of one axis or more, got shape ()",
    ),
    (lambda: D.LKJCholesky(2.5), "LKJCholesky: dim must be an integer, at least 2, got 2.5"),
    (lambda: D.Multinomial(-1, schuss.ones(2)), "Multinomial: total_count must be 0 or more"),
    (lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), [3]), "needs transforms such as Exp"),
    (lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), 3), "got 3"),
    (
        lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), D.ExpTransform),
        "got the class ExpTransform",
    ),
    (lambda: D.TransformedDistribution(3, []), "TransformedDistribution: needs a Distribution"),
    (lambda: D.Independent(3, 1), "Independent: needs a Distribution such as"),
    (lambda: D.Independent(D.Normal(0.0, 1.0), 1.5), "must be 0 to 0, the axes of a batch of ()"),
    (
        lambda: D.MixtureSameFamily(
            D.Categorical(schuss.ones(4, 2)), D.Normal(schuss.ones(3, 2), 1.0)
        ),
        "MixtureSameFamily: a batch (4,) of weights and (3,) of components",
    ),
    (lambda: D.ComposeTransform([D.ExpTransform(), "a"]), "ComposeTransform: needs transforms"),
    (lambda: D.CatTransform([3]), "CatTransform: needs transforms"),
    (
        lambda: D.StackTransform([D.ExpTransform()])(schuss.ones(3)),
        "StackTransform: 1 transforms for 3 parts of (3,) along axis 0",
    ),
    (lambda: D.Normal(0.0, 1.0).log_prob("a"), "Normal: the value must be a Tensor, got 'a'"),
    (lambda: D.Normal(0.0, 1.0).log_prob([1.0, 2.0]), "use schuss.tensor(...)"),
]


@pytest.mark.parametrize(("make", "words"), OTHERS)
def test_what_is_no_parameter_is_refused_by_name(make, words) -> None:
    with refuses(ValueError, words):
        make()


@pytest.mark.parametrize("which", [D.Normal(0.0, 1.0), D.Categorical(schuss.ones(3))])
def test_a_shape_is_a_tuple(which) -> None:
    with refuses(TypeError, f"{type(which).__name__}: sample_shape is a tuple", "write (3,)"):
        which.sample(3)
    with refuses(TypeError, f"{type(which).__name__}: batch_shape is a tuple", "write (3,)"):
        which.expand(3)
    assert which.sample([3]).shape == which.sample(schuss.Size([3])).shape == (3,)


def test_values_that_cannot_be_listed() -> None:
    for which in (D.Normal(0.0, 1.0), D.Poisson(1.0)):
        with refuses(NotImplementedError, type(which).__name__, "too many to list"):
            which.enumerate_support()


def test_what_a_distribution_shows() -> None:
    """The texts are PyTorch's, but for the name of its Size."""
    assert repr(D.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
    shown = "Normal(loc: schuss.Size([2]), scale: schuss.Size([2]))"
    assert repr(D.Normal(schuss.zeros(2), 1.0)) == shown
    one = D.Independent(D.Normal(schuss.zeros(2), 1.0), 1)
    assert repr(one) == f"Independent({shown}, 1)"
    assert repr(D.Categorical(schuss.ones(3))) == "Categorical(probs: schuss.Size([3]))"
    assert repr(D.Bernoulli(0.5)) == "Bernoulli(probs: 0.5)"


# ---- divergences --------------------------------------------------------------------------------

ONES = {
    "Beta": D.Beta(t(2.0), t(3.0)),
    "Bernoulli": D.Bernoulli(t(0.3)),
    "Binomial": D.Binomial(5, t(0.3)),
    "Chi2": D.Chi2(t(2.0)),
    "ContinuousBernoulli": D.ContinuousBernoulli(t(0.3)),
    "Exponential": D.Exponential(t(1.0)),
    "Gamma": D.Gamma(t(1.0), t(2.0)),
    "Gumbel": D.Gumbel(t(0.0), t(1.0)),
    "Laplace": D.Laplace(t(0.0), t(1.0)),
    "Normal": D.Normal(t(0.0), t(1.0)),
    "Pareto": D.Pareto(t(1.0), t(2.0)),
    "Poisson": D.Poisson(t(2.0)),
    "Uniform": D.Uniform(t(0.0), t(1.0)),
}
# From the first to each other one, in the order of the names behind.
FOUND = {
    "Beta": "Chi2 1.1281 ContinuousBernoulli 0.1799 Exponential 0.6349 Gamma 0.3418 Normal 1.2538"
    " Pareto inf Uniform 0.2349",
    "Chi2": "Beta inf ContinuousBernoulli inf Exponential 0.3069 Gamma 1.6137 Gumbel 0.6402"
    " Normal 3.2258 Pareto inf Uniform inf",
    "ContinuousBernoulli": "Exponential 0.4596 Normal 1.0811 Pareto inf",
    "Exponential": "Beta inf Chi2 0.1931 ContinuousBernoulli inf Gamma 0.3069 Gumbel 0.5"
    " Normal 0.9189 Pareto inf Uniform inf",
    "Gamma": "Beta inf Chi2 0.6363 ContinuousBernoulli inf Exponential 0.1931 Gumbel 0.8598"
    " Normal 0.8621 Pareto inf Uniform inf",
    "Gumbel": "Beta inf Chi2 inf ContinuousBernoulli inf Exponential inf Gamma inf Normal 0.3308"
    " Pareto inf Uniform inf",
    "Laplace": "Beta inf Chi2 inf ContinuousBernoulli inf Exponential inf Gamma inf Normal 0.2258"
    " Pareto inf Uniform inf",
    "Normal": "Beta inf Chi2 inf ContinuousBernoulli inf Exponential inf Gamma inf Gumbel 0.2298"
    " Laplace 0.0721 Pareto inf Uniform inf",
    "Pareto": "Beta inf Chi2 0.8863 ContinuousBernoulli inf Exponential 1.1931 Gamma 2.5"
    " Normal inf Uniform inf",
    "Poisson": "Bernoulli inf Binomial inf",
    "Uniform": "Beta 0.5151 Chi2 0.9431 Exponential 0.5 Gamma 0.3069 Gumbel 1.1321 Normal 1.0856"
    " Pareto inf",
}


@pytest.mark.parametrize("first", FOUND)
def test_divergences_between_unlike_distributions(first: str) -> None:
    words = FOUND[first].split()
    for second, want in zip(words[::2], words[1::2], strict=True):
        got = D.kl_divergence(ONES[first], ONES[second]).item()
        assert got == pytest.approx(float(want), abs=6e-5), second


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (D.ContinuousBernoulli(t(0.3)), D.Uniform(t(0.0), t(1.0))),
        (D.Uniform(t(0.2), t(0.9)), D.ContinuousBernoulli(t(0.3))),
        (D.Uniform(t(0.2), t(0.9)), D.Beta(t(2.0), t(3.0))),
        (D.Uniform(t(1.5), t(2.0)), D.Pareto(t(1.0), t(2.0))),
        (D.Uniform(t(0.5), t(2.0)), D.Gamma(t(3.0), t(2.0))),
        (D.Gumbel(t(0.3), t(0.5)), D.Normal(t(0.1), t(2.0))),
        (D.Normal(t(0.3), t(0.5)), D.Gumbel(t(0.1), t(2.0))),
        (D.Weibull(t(1.0), t(2.0)), D.Weibull(t(1.5), t(1.2))),
        (D.Kumaraswamy(t(2.0), t(3.0)), D.Kumaraswamy(t(2.0), t(1.5))),
        (D.HalfCauchy(t(1.0)), D.HalfCauchy(t(2.5))),
        (D.InverseGamma(t(3.0), t(1.0)), D.InverseGamma(t(2.0), t(1.5))),
    ],
)
def test_divergences_are_the_integrals_that_they_stand_for(p, q) -> None:
    # By the quantiles' midpoints; half-Cauchy's long tail is mapped by its own quantile function.
    u = (np.arange(400_000) + 0.5) / 400_000
    if isinstance(p, (D.Gumbel, D.Normal, D.Uniform, D.Weibull, D.HalfCauchy)):
        x = p.icdf(t(u))
    else:
        x = t(u) if isinstance(p, (D.ContinuousBernoulli, D.Kumaraswamy)) else t(1 / u - 1)
    p.__dict__.update({k: v.double() for k, v in p.__dict__.items() if hasattr(v, "double")})
    q.__dict__.update({k: v.double() for k, v in q.__dict__.items() if hasattr(v, "double")})
    gap = p.log_prob(x) - q.log_prob(x)
    if isinstance(p, (D.ContinuousBernoulli, D.Kumaraswamy)):
        gap = gap * p.log_prob(x).exp()
    elif isinstance(p, D.InverseGamma):
        gap = gap * p.log_prob(x).exp() * (1 + x) ** 2
    assert D.kl_divergence(p, q).item() == pytest.approx(gap.mean().item(), abs=2e-4)


def test_divergences_that_wait_for_where_draws_lie() -> None:
    wide, narrow = D.Uniform(t(-1.0), t(2.0)), D.Uniform(t(0.2), t(0.8))
    for other in (D.Beta(t(2.0), t(3.0)), D.Gamma(t(1.0), t(2.0)), D.Exponential(t(1.0))):
        assert D.kl_divergence(wide, other).item() == INF
        assert D.kl_divergence(narrow, other).item() < 3
    assert D.kl_divergence(D.Beta(t(2.0), t(3.0)), narrow).item() == INF


def test_divergences_of_matrices_and_transformed_draws() -> None:
    # PyTorch 2.15: kl_divergence(Wishart(3, I), Wishart(4, diag(2, 0.5))).
    found = D.kl_divergence(D.Wishart(t(3.0), EYE), D.Wishart(t(4.0), schuss.diag(t([2.0, 0.5]))))
    assert found.item() == pytest.approx(1.0203629, rel=1e-5)
    normal = D.Normal(t(0.0), t(1.0))
    made = D.TransformedDistribution(normal, [D.ExpTransform()])
    want = D.kl_divergence(normal, D.Normal(t(1.0), t(2.0))).item()
    assert D.kl_divergence(made, D.LogNormal(t(1.0), t(2.0))).item() == pytest.approx(want)
    with refuses(NotImplementedError, "concentration1"):
        D.kl_divergence(D.Kumaraswamy(t(2.0), t(3.0)), D.Kumaraswamy(t(1.0), t(3.0)))


def test_classes_have_no_mean() -> None:
    made = D.Categorical(t([[0.2, 0.8], [0.6, 0.4]]))
    assert made.mean.isnan().all() and made.variance.isnan().all() and made.mean.shape == (2,)
    assert made.mode.tolist() == [1, 0]
    assert D.Uniform(t(0.0), t(1.0)).mode.isnan().item()
    with refuses(NotImplementedError, "Multinomial", "mode"):
        _ = D.Multinomial(3, t([0.2, 0.8])).mode
