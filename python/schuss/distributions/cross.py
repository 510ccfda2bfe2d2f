"""Divergences between unlike distributions, by the means that the second one's density asks for.
Leans on the distributions beside it; the package registers them when it is loaded."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import schuss
from schuss.distributions.continuous import (
    Exponential,
    Gumbel,
    Laplace,
    LogNormal,
    Normal,
    Uniform,
)
from schuss.distributions.counts import Binomial, Poisson
from schuss.distributions.discrete import Bernoulli
from schuss.distributions.divergence import kl_divergence, register_kl
from schuss.distributions.gammas import Beta, Gamma, InverseGamma
from schuss.distributions.matrices import Wishart
from schuss.distributions.tails import (
    ContinuousBernoulli,
    HalfCauchy,
    Kumaraswamy,
    Pareto,
    Weibull,
)
from schuss.distributions.transformed import TransformedDistribution
from schuss.distributions.transforms import ExpTransform

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor

_EULER = 0.57721566490153286


def _mean_log(p: Any) -> Tensor:
    """The mean of log x over draws of p."""
    if isinstance(p, Beta):
        a, b = p.concentration1, p.concentration0
        return a.digamma() - (a + b).digamma()
    if isinstance(p, Gamma):
        return p.concentration.digamma() - p.rate.log()
    if isinstance(p, Exponential):
        return -_EULER - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + 1 / p.alpha
    return _mean_log_between(p.low, p.high)


def _mean_log_between(low: Tensor, high: Tensor) -> Tensor:
    return (schuss.xlogy(high, high) - schuss.xlogy(low, low)) / (high - low) - 1


def _mean_fall(p: Any, t: Tensor) -> Tensor:
    """The mean of exp(-t x) over draws of p."""
    if isinstance(p, Exponential):
        return p.rate / (p.rate + t)
    if isinstance(p, Gamma):
        return (p.rate / (p.rate + t)) ** p.concentration
    if isinstance(p, Normal):
        return (0.5 * (t * p.scale) ** 2 - t * p.loc).exp()
    return ((-t * p.low).exp() - (-t * p.high).exp()) / (t * (p.high - p.low))


def _of_normal(p: Any, q: Any) -> Tensor:
    far = p.variance + (p.mean - q.loc) ** 2
    return -0.5 * math.log(2 * math.pi) - q.scale.log() - far / (2 * q.scale**2)


def _of_exponential(p: Any, q: Any) -> Tensor:
    return q.rate.log() - q.rate * p.mean


def _of_gamma(p: Any, q: Any) -> Tensor:
    a, b = q.concentration, q.rate
    return a * b.log() - a.lgamma() + (a - 1) * _mean_log(p) - b * p.mean


def _of_beta(p: Any, q: Any) -> Tensor:
    a, b = q.concentration1, q.concentration0
    scale = (a + b).lgamma() - a.lgamma() - b.lgamma()
    return scale + (a - 1) * _mean_log(p) + (b - 1) * _mean_log_between(1 - p.high, 1 - p.low)


def _of_bernoulli(p: Any, q: Any) -> Tensor:
    return p.mean * q.logits + (-q.probs).log1p() + q._log_scale()


def _of_uniform(p: Any, q: Any) -> Tensor:
    return -(q.high - q.low).log()


def _of_gumbel(p: Any, q: Any) -> Tensor:
    rate = 1 / q.scale
    falls = (q.loc * rate).exp() * _mean_fall(p, rate)
    return (q.loc - p.mean) * rate - falls - q.scale.log()


def _of_pareto(p: Any, q: Any) -> Tensor:
    return q.alpha.log() + q.alpha * q.scale.log() - (q.alpha + 1) * _mean_log(p)


# The mean of the second one's log-density over draws of the first one.
_MEANS = {
    Normal: (_of_normal, (Beta, ContinuousBernoulli, Gamma, Gumbel, Pareto)),
    Exponential: (_of_exponential, (Beta, ContinuousBernoulli, Pareto, Uniform)),
    Gamma: (_of_gamma, (Beta, Pareto, Uniform)),
    Beta: (_of_beta, (Uniform,)),
    ContinuousBernoulli: (_of_bernoulli, (Beta, Uniform)),
    Uniform: (_of_uniform, (Beta, ContinuousBernoulli)),
    Gumbel: (_of_gumbel, (Exponential, Gamma, Normal, Uniform)),
    Pareto: (_of_pareto, (Uniform,)),
}
# Draws of the first that the second never makes, whatever the parameters.
_LINE = (Normal, Laplace, Gumbel)
_HALVES = (Exponential, Gamma)
_UNIT = (Beta, ContinuousBernoulli)
_NEVER = (
    *product(_LINE, (*_HALVES, *_UNIT, Pareto, Uniform)),
    *product(_HALVES, (*_UNIT, Pareto, Uniform)),
    *product((Pareto,), (*_UNIT, Uniform)),
    *product(_UNIT, (Pareto,)),
    *product((Poisson,), (Bernoulli, Binomial)),
)


def _bounds(d: Any) -> tuple[Any, Any]:
    """Where the draws of a distribution lie."""
    support = d.support
    bounds = [getattr(support, name, None) for name in ("lower_bound", "upper_bound")]
    return (-math.inf if bounds[0] is None else bounds[0], bounds[1])


def _crossed(mean: Any) -> Any:
    def divergence(p: Any, q: Any) -> Tensor:
        found = -p.entropy() - mean(p, q)
        (low, high), (least, most) = _bounds(p), _bounds(q)
        found = schuss.where(schuss.as_tensor(low >= least, device=found.device), found, math.inf)
        if most is None:
            return found
        return schuss.where(schuss.as_tensor(high <= most, device=found.device), found, math.inf)

    return divergence


def _infinite(p: Any, q: Any) -> Tensor:
    return schuss.full(schuss.broadcast_shapes(p.batch_shape, q.batch_shape), math.inf)


for _second, (_mean, _firsts) in _MEANS.items():
    for _first in _firsts:
        register_kl(_first, _second)(_crossed(_mean))
for _first, _second in _NEVER:
    register_kl(_first, _second)(_infinite)


@register_kl(HalfCauchy, HalfCauchy)
def _half_cauchies(p: Any, q: Any) -> Tensor:
    return 2 * (p.scale + q.scale).log() - (4 * p.scale * q.scale).log()


@register_kl(InverseGamma, InverseGamma)
def _inverse_gammas(p: Any, q: Any) -> Tensor:
    both = (Gamma(d.concentration, d.rate, validate_args=False) for d in (p, q))
    return kl_divergence(*both)


@register_kl(Kumaraswamy, Kumaraswamy)
def _kumaraswamies(p: Any, q: Any) -> Tensor:
    # Of equal first concentrations, -log(1 - x^a) is an exponential draw in both.
    if not bool((p.concentration1 == q.concentration1).all()):
        raise NotImplementedError("kl_divergence: no formula where concentration1 differs")
    both = (Exponential(d.concentration0, validate_args=False) for d in (p, q))
    return kl_divergence(*both)


@register_kl(Weibull, Weibull)
def _weibulls(p: Any, q: Any) -> Tensor:
    # C. Bauckhage (2013), Computing the Kullback-Leibler divergence between two Weibull
    # distributions.
    a, b = p.concentration, q.concentration
    own, other = a.log() - a * p.scale.log(), b.log() - b * q.scale.log()
    ratio = b / a
    grown = (b * (p.scale / q.scale).log() + (ratio + 1).lgamma()).exp()
    return own - other + (a - b) * (p.scale.log() - _EULER / a) + grown - 1


@register_kl(Wishart, Wishart)
def _wisharts(p: Any, q: Any) -> Tensor:
    n = p.event_shape[-1]
    ratio = schuss.linalg.solve_triangular(q.scale_tril, p.scale_tril, upper=False)
    size = 2 * ratio.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    gammas = schuss.mvlgamma(q.df / 2, n) - schuss.mvlgamma(p.df / 2, n)
    slopes = sum(((p.df - i) / 2).digamma() for i in range(n))
    spread = p.df / 2 * ((ratio**2).sum((-2, -1)) - n)
    return -q.df / 2 * size + spread + gammas + (p.df - q.df) / 2 * slopes


def _logarithm(d: Any) -> Any:
    """The distribution of a log-normal's logarithm, however it was made."""
    if isinstance(d, LogNormal):
        return d.base_dist
    if len(d.transforms) != 1 or not isinstance(d.transforms[0], ExpTransform):
        raise NotImplementedError("kl_divergence: the two are not transformed alike")
    return d.base_dist


def _log_normals(p: Any, q: Any) -> Tensor:
    return kl_divergence(_logarithm(p), _logarithm(q))


register_kl(LogNormal, TransformedDistribution)(_log_normals)
register_kl(TransformedDistribution, LogNormal)(_log_normals)
