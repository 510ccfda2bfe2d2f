"""Further divergences in closed form: of gammas, counts, one-sided and heavy-tailed distributions.
Leans on the distributions beside it; the package registers them when it is loaded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
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
from schuss.distributions.counts import Binomial, Poisson
from schuss.distributions.discrete import Bernoulli, Geometric
from schuss.distributions.divergence import kl_divergence, register_kl
from schuss.distributions.gammas import Beta, Dirichlet, Gamma
from schuss.distributions.matrices import LowRankMultivariateNormal
from schuss.distributions.tails import ContinuousBernoulli, HalfNormal, Pareto
from schuss.distributions.transformed import TransformedDistribution

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor

_EULER = 0.57721566490153286


@register_kl(Gamma, Gamma)
def _gammas(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    gap = (a - b) * a.digamma() + b.lgamma() - a.lgamma()
    return gap + b * (p.rate / q.rate).log() + a * (q.rate / p.rate - 1)


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Tensor:
    return _gammas(Gamma(schuss.ones_like(p.rate), p.rate, validate_args=False), q)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Any, q: Any) -> Tensor:
    return _gammas(p, Gamma(schuss.ones_like(q.rate), q.rate, validate_args=False))


@register_kl(Dirichlet, Dirichlet)
def _dirichlets(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    whole, other = a.sum(-1), b.sum(-1)
    flat = whole.lgamma() - other.lgamma() + (b.lgamma() - a.lgamma()).sum(-1)
    return flat + ((a - b) * (a.digamma() - whole.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Beta, Beta)
def _betas(p: Any, q: Any) -> Tensor:
    both = [schuss.stack([d.concentration1, d.concentration0], -1) for d in (p, q)]
    return _dirichlets(*(Dirichlet(c, validate_args=False) for c in both))


@register_kl(Poisson, Poisson)
def _poissons(p: Any, q: Any) -> Tensor:
    return schuss.xlogy(p.rate, p.rate / q.rate) - (p.rate - q.rate)


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Tensor:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Binomial, Binomial)
def _binomials(p: Any, q: Any) -> Tensor:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError("kl_divergence: no formula where p has fewer tries than q")
    no = (-p.probs).log1p() - (-q.probs).log1p()
    found = p.total_count * (p.probs * (p.logits - q.logits) + no)
    return schuss.where(p.total_count > q.total_count, math.inf, found)


@register_kl(Geometric, Geometric)
def _geometrics(p: Any, q: Any) -> Tensor:
    again = (-q.probs).log1p() / p.probs
    own = ((-p.probs).log1p() * (1 - p.probs) + schuss.xlogy(p.probs, p.probs)) / p.probs
    return own - again - q.probs.log() + (-q.probs).log1p()


@register_kl(Gumbel, Gumbel)
def _gumbels(p: Any, q: Any) -> Tensor:
    ratio, gap = p.scale / q.scale, (q.loc - p.loc) / q.scale
    return -ratio.log() - gap + (gap + (1 + ratio).lgamma()).exp() + ratio * _EULER - 1 - _EULER


@register_kl(Cauchy, Cauchy)
def _cauchies(p: Any, q: Any) -> Tensor:
    far = (p.scale + q.scale) ** 2 + (p.loc - q.loc) ** 2
    return far.log() - (4 * p.scale * q.scale).log()


@register_kl(HalfNormal, HalfNormal)
def _half_normals(p: Any, q: Any) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio - 1 - ratio.log())


@register_kl(LogNormal, LogNormal)
def _log_normals(p: Any, q: Any) -> Tensor:
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Pareto, Pareto)
def _paretos(p: Any, q: Any) -> Tensor:
    ratio, power = p.scale / q.scale, q.alpha / p.alpha
    found = q.alpha * ratio.log() - power.log() + power - 1
    return schuss.where(p.scale < q.scale, math.inf, found)


@register_kl(Exponential, Normal)
def _exponential_normal(p: Any, q: Any) -> Tensor:
    spread, mean = q.scale**2, 1 / p.rate
    flat = p.rate.log() + 0.5 * (2 * math.pi * spread).log() - 1
    return flat + (mean**2 - mean * q.loc + 0.5 * q.loc**2) / spread


@register_kl(Uniform, Normal)
def _uniform_normal(p: Any, q: Any) -> Tensor:
    width = p.high - p.low
    flat = (math.sqrt(2 * math.pi) * q.scale / width).log()
    return flat + ((width**2 / 12) + ((p.high + p.low) / 2 - q.loc) ** 2) / (2 * q.scale**2)


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Tensor:
    z = (p.loc - q.loc) / p.scale
    near = math.sqrt(2 / math.pi) * (-0.5 * z**2).exp() + z * schuss.erf(z / math.sqrt(2))
    return (
        (2 * q.scale).log()
        - 0.5
        - p.scale.log()
        - 0.5 * math.log(2 * math.pi)
        + (p.scale / q.scale) * near
    )


@register_kl(Laplace, Normal)
def _laplace_normal(p: Any, q: Any) -> Tensor:
    spread = q.scale**2
    flat = 0.5 * (2 * math.pi * spread).log() - (2 * p.scale).log() - 1
    return flat + (p.scale**2 + 0.5 * (p.loc - q.loc) ** 2) / spread


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoullis(p: Any, q: Any) -> Tensor:
    own = p._log_scale() + (-p.probs).log1p()
    other = q._log_scale() + (-q.probs).log1p()
    return p.mean * (p.logits - q.logits) + own - other


def _as_full(d: Any) -> Any:
    if isinstance(d, MultivariateNormal):
        return d
    return MultivariateNormal(d.loc, scale_tril=d.scale_tril, validate_args=False)


def _low_ranks(p: Any, q: Any) -> Tensor:
    return kl_divergence(_as_full(p), _as_full(q))


register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)(_low_ranks)
register_kl(LowRankMultivariateNormal, MultivariateNormal)(_low_ranks)
register_kl(MultivariateNormal, LowRankMultivariateNormal)(_low_ranks)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Tensor:
    same = len(p.transforms) == len(q.transforms) and all(
        type(a) is type(b) and (a == b or a.__dict__.keys() == {"_cache_size", "_cached"})
        for a, b in zip(p.transforms, q.transforms, strict=True)
    )
    if not same or p.event_shape != q.event_shape:
        raise NotImplementedError("kl_divergence: the two are not transformed alike")
    return kl_divergence(p.base_dist, q.base_dist)
