"""Probability distributions with PyTorch's names: draws, logarithms of probabilities, divergences.
Leans on the rooms beside it."""

import sys

from schuss.distributions import constraint_registry as constraint_registry
from schuss.distributions import constraints as constraints
from schuss.distributions import rooms as rooms
from schuss.distributions import transforms as transforms
from schuss.distributions.base import Distribution, ExponentialFamily, Independent
from schuss.distributions.constraint_registry import biject_to, transform_to
from schuss.distributions.continuous import (
    Cauchy,
    Exponential,
    Gumbel,
    Laplace,
    LogNormal,
    MultivariateNormal,
    Normal,
    Uniform,
)
from schuss.distributions.counts import Binomial, Multinomial, NegativeBinomial, Poisson
from schuss.distributions.discrete import Bernoulli, Categorical, Geometric, OneHotCategorical
from schuss.distributions.divergence import kl_divergence, register_kl

from schuss.distributions import cross as cross  # isort: skip
from schuss.distributions import divergences as divergences  # isort: skip
from schuss.distributions.gammas import (
    Beta,
    Chi2,
    Dirichlet,
    FisherSnedecor,
    Gamma,
    InverseGamma,
    StudentT,
)
from schuss.distributions.matrices import LKJCholesky, LowRankMultivariateNormal, Wishart
from schuss.distributions.tails import (
    ContinuousBernoulli,
    GeneralizedPareto,
    HalfCauchy,
    HalfNormal,
    Kumaraswamy,
    Pareto,
    VonMises,
    Weibull,
)
from schuss.distributions.transformed import (
    LogisticNormal,
    MixtureSameFamily,
    OneHotCategoricalStraightThrough,
    RelaxedBernoulli,
    RelaxedOneHotCategorical,
    TransformedDistribution,
)
from schuss.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    IndependentTransform,
    PowerTransform,
    ReshapeTransform,
    SigmoidTransform,
    SoftmaxTransform,
    SoftplusTransform,
    StickBreakingTransform,
    TanhTransform,
    Transform,
)
from schuss.distributions.wider_transforms import (
    CatTransform,
    CorrCholeskyTransform,
    CumulativeDistributionTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    StackTransform,
    identity_transform,
)

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Binomial",
    "CatTransform",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ComposeTransform",
    "ContinuousBernoulli",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "Dirichlet",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "ExponentialFamily",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "IndependentTransform",
    "InverseGamma",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "LowerCholeskyTransform",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "StudentT",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    "biject_to",
    "identity_transform",
    "kl_divergence",
    "register_kl",
    "transform_to",
]

rooms.attach(sys.modules[__name__])


def __getattr__(name: str):
    raise AttributeError(
        f"module 'schuss.distributions' has no distribution {name!r}; there are "
        f"{', '.join(n for n in __all__ if n[0].isupper() and 'Transform' not in n)};"
        " others subclass Distribution"
    )
