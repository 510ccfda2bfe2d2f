"""Probability distributions with PyTorch's names: draws, logarithms of probabilities, divergences.
Leans on the rooms beside it."""

from schuss.distributions.base import Distribution, Independent
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
from schuss.distributions.discrete import Bernoulli, Categorical, Geometric, OneHotCategorical
from schuss.distributions.divergence import kl_divergence, register_kl

__all__ = [
    "Bernoulli",
    "Categorical",
    "Cauchy",
    "Distribution",
    "Exponential",
    "Geometric",
    "Gumbel",
    "Independent",
    "Laplace",
    "LogNormal",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "Uniform",
    "kl_divergence",
    "register_kl",
]


def __getattr__(name: str):
    raise AttributeError(
        f"module 'schuss.distributions' has no distribution {name!r}; there are "
        f"{', '.join(n for n in __all__ if n[0].isupper())}; others subclass Distribution"
    )
