"""Draws on a GPU: the processor's bits for every maker and distribution, where the parameters lie.

Leans on schuss and adapter.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import schuss
from adapter import DEVICE, needs_adapter
from schuss import distributions as D
from schuss import nn

pytestmark = needs_adapter
F = nn.functional

P = [0.1, 0.5, 0.9]
DRAWS = {
    "normal": lambda t: schuss.normal(t([0.0, 5.0]), t([1.0, 2.0])),
    "normal_mean": lambda t: schuss.normal(t([0.0, 5.0]), 2.0),
    "normal_std": lambda t: schuss.normal(1.0, t([0.5, 2.0])),
    "bernoulli": lambda t: schuss.bernoulli(t(P)),
    "bernoulli_p": lambda t: schuss.bernoulli(t(P), 0.5),
    "multinomial": lambda t: schuss.multinomial(t(P), 2),
    "multinomial_again": lambda t: schuss.multinomial(t(P), 7, replacement=True),
    "poisson": lambda t: schuss.poisson(t(P)),
    "binomial": lambda t: schuss.binomial(t([5.0, 6.0]), t([0.5, 0.25])),
    "exponential_": lambda t: t(P).exponential_(),
    "log_normal_": lambda t: t(P).log_normal_(),
    "geometric_": lambda t: t(P).geometric_(0.5),
    "dropout2d": lambda t: F.dropout2d(t(P).reshape(1, 3, 1, 1), 0.5),
    "alpha_dropout": lambda t: F.alpha_dropout(t(P), 0.5, True),
    "rrelu": lambda t: F.rrelu(-t(P), training=True),
    "gumbel_softmax": lambda t: F.gumbel_softmax(t(P)),
}
FAMILIES = {
    "Normal": lambda t: D.Normal(t(P), 1.0),
    "Normal both": lambda t: D.Normal(t(P), t(P)),
    "Laplace": lambda t: D.Laplace(t(P), t(P)),
    "Gumbel": lambda t: D.Gumbel(t(P), 1.0),
    "Cauchy": lambda t: D.Cauchy(t(P), 1.0),
    "Uniform": lambda t: D.Uniform(0.0, t(P)),
    "Exponential": lambda t: D.Exponential(t(P)),
    "HalfNormal": lambda t: D.HalfNormal(t(P)),
    "LogNormal": lambda t: D.LogNormal(t(P), 0.5),
    "Gamma": lambda t: D.Gamma(t(P), 2.0),
    "Beta": lambda t: D.Beta(t(P), 2.0),
    "Dirichlet": lambda t: D.Dirichlet(t(P)),
    "StudentT": lambda t: D.StudentT(t([3.0, 4.0])),
    "Categorical": lambda t: D.Categorical(t(P)),
    "OneHotCategorical": lambda t: D.OneHotCategorical(t(P)),
    "Bernoulli": lambda t: D.Bernoulli(t(P)),
    "Geometric": lambda t: D.Geometric(t(P)),
    "Poisson": lambda t: D.Poisson(t(P)),
    "Binomial": lambda t: D.Binomial(4, t(P)),
    "Multinomial": lambda t: D.Multinomial(4, t(P)),
    "MultivariateNormal": lambda t: D.MultivariateNormal(
        t([0.0, 1.0]), t([[2.0, 0.5], [0.5, 1.0]])
    ),
    "LowRankMultivariateNormal": lambda t: D.LowRankMultivariateNormal(
        t([0.0, 1.0]), t([[1.0], [2.0]]), t([1.0, 2.0])
    ),
    "Wishart": lambda t: D.Wishart(3.0, t([[2.0, 0.5], [0.5, 1.0]])),
    "LKJCholesky": lambda t: D.LKJCholesky(3, t(1.5)),
    "RelaxedBernoulli": lambda t: D.RelaxedBernoulli(0.5, t(P)),
    "RelaxedOneHotCategorical": lambda t: D.RelaxedOneHotCategorical(0.5, t(P)),
    "Weibull": lambda t: D.Weibull(t(P), 2.0),
    "Pareto": lambda t: D.Pareto(1.0, t(P)),
}


def drawn(call, device: str) -> schuss.Tensor:
    schuss.manual_seed(11)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*has no kernel")
        return call(lambda values: schuss.tensor(values, device=device))


def same(got: schuss.Tensor, want: schuss.Tensor, exact: bool) -> None:
    assert str(got.device) == "gpu:0"
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    a, b = got.detach().cpu().numpy(), want.detach().numpy()
    assert np.array_equal(a, b) if exact else np.allclose(a, b, rtol=2e-5, atol=2e-5), (a, b)


@pytest.mark.parametrize("name", DRAWS)
def test_makers_draw_the_processors_numbers(name):
    want, got = drawn(DRAWS[name], "cpu"), drawn(DRAWS[name], DEVICE)
    same(got, want, want.dtype == schuss.int64 or name.startswith(("bern", "pois", "bino")))


@pytest.mark.parametrize("name", FAMILIES)
def test_distributions_draw_where_their_parameters_lie(name):
    def call(t):
        return FAMILIES[name](t).sample((5,))

    want, got = drawn(call, "cpu"), drawn(call, DEVICE)
    same(got, want, want.dtype == schuss.int64)


@pytest.mark.parametrize("name", ["Normal", "Beta", "MultivariateNormal"])
def test_gradients_go_through_draws(name):
    def call(t):
        leaf = t([[2.0, 0.5], [0.5, 1.0]] if name[0] == "M" else P).requires_grad_()
        family = {"Normal": lambda: D.Normal(0.0, leaf), "Beta": lambda: D.Beta(leaf, 2.0)}
        made = family.get(name, lambda: D.MultivariateNormal(t([0.0, 1.0]), leaf))()
        x = made.rsample((4,))
        (x.square().mean() + made.log_prob(x.detach()).mean()).backward()
        return leaf.grad

    same(drawn(call, DEVICE), drawn(call, "cpu"), False)


def test_a_generator_of_ones_own():
    def call(t):
        return schuss.bernoulli(t(P), generator=schuss.Generator().manual_seed(3))

    same(drawn(call, DEVICE), drawn(call, "cpu"), True)
