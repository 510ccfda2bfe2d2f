"""The modules by which PyTorch's programs import a single distribution: `distributions.normal`.
Leans on the distributions, which it only points at."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.distributions.base import tensors

if TYPE_CHECKING:
    from typing import Any

_ROOMS = {
    "bernoulli": "Bernoulli",
    "beta": "Beta",
    "binomial": "Binomial",
    "categorical": "Categorical",
    "cauchy": "Cauchy",
    "chi2": "Chi2",
    "continuous_bernoulli": "ContinuousBernoulli",
    "dirichlet": "Dirichlet",
    "distribution": "Distribution",
    "exp_family": "ExponentialFamily",
    "exponential": "Exponential",
    "fishersnedecor": "FisherSnedecor",
    "gamma": "Gamma",
    "generalized_pareto": "GeneralizedPareto",
    "geometric": "Geometric",
    "gumbel": "Gumbel",
    "half_cauchy": "HalfCauchy",
    "half_normal": "HalfNormal",
    "independent": "Independent",
    "inverse_gamma": "InverseGamma",
    "kl": "kl_divergence register_kl",
    "kumaraswamy": "Kumaraswamy",
    "laplace": "Laplace",
    "lkj_cholesky": "LKJCholesky",
    "log_normal": "LogNormal",
    "logistic_normal": "LogisticNormal",
    "lowrank_multivariate_normal": "LowRankMultivariateNormal",
    "mixture_same_family": "MixtureSameFamily",
    "multinomial": "Multinomial",
    "multivariate_normal": "MultivariateNormal",
    "negative_binomial": "NegativeBinomial",
    "normal": "Normal",
    "one_hot_categorical": "OneHotCategorical OneHotCategoricalStraightThrough",
    "pareto": "Pareto",
    "poisson": "Poisson",
    "relaxed_bernoulli": "RelaxedBernoulli",
    "relaxed_categorical": "RelaxedOneHotCategorical",
    "studentT": "StudentT",
    "transformed_distribution": "TransformedDistribution",
    "uniform": "Uniform",
    "von_mises": "VonMises",
    "weibull": "Weibull",
    "wishart": "Wishart",
}


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape.

    >>> [x.tolist() for x in broadcast_all(1.0, schuss.zeros(2))]
    [[1.0, 1.0], [0.0, 0.0]]
    """
    return tensors(*values)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept from 0 and 1 by what their dtype tells apart from 1."""
    eps = schuss.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """The probabilities of logits: of one of several classes, or each of a coin.

    >>> logits_to_probs(schuss.zeros(2), is_binary=True)
    tensor([0.5000, 0.5000])
    """
    return schuss.sigmoid(logits) if is_binary else schuss.softmax(logits, -1)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """The logits of probabilities.

    >>> probs_to_logits(schuss.tensor([0.5]), is_binary=True)
    tensor([0.])
    """
    clamped = clamp_probs(probs)
    return clamped.log() - (-clamped).log1p() if is_binary else clamped.log()


class lazy_property:
    """A property that is worked out once, when it is first asked for."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped, self.__doc__ = wrapped, wrapped.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with schuss.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


_TOOLS = (broadcast_all, clamp_probs, logits_to_probs, probs_to_logits, lazy_property)


def attach(package: ModuleType) -> None:
    """Registers the modules; called once, as the package is loaded."""
    rooms = {room: names.split() for room, names in _ROOMS.items()}
    found = {room: {n: getattr(package, n) for n in names} for room, names in rooms.items()}
    found["utils"] = {tool.__name__: tool for tool in _TOOLS}
    for room, members in found.items():
        module = ModuleType(f"{package.__name__}.{room}", f"{', '.join(members)} under this name.")
        vars(module).update(members, __all__=list(members))
        sys.modules[module.__name__] = module
        setattr(package, room, module)
