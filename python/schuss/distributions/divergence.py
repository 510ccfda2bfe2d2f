"""How far one distribution is from another: Kullback and Leibler's divergence, in closed form.
Leans on the distributions beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss.distributions.base import Distribution, Independent
from schuss.distributions.continuous import (
    Exponential,
    Laplace,
    MultivariateNormal,
    Normal,
    Uniform,
)
from schuss.distributions.discrete import Bernoulli, Categorical, OneHotCategorical

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from schuss import Tensor

_RULES: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """A decorator that makes a function the divergence of two kinds of distribution."""

    for kind in (type_p, type_q):
        if not isinstance(kind, type):
            raise TypeError(f"register_kl: needs two classes of distributions, got {kind!r}")

    def known(function: Any) -> Any:
        _RULES[type_p, type_q] = function
        return function

    return known


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The mean of log p - log q over draws of p; NotImplementedError for pairs without a formula.

    >>> from schuss.distributions import Normal
    >>> kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0))
    tensor(0.5000)
    """
    for kind_p in type(p).__mro__:
        for kind_q in type(q).__mro__:
            if (kind_p, kind_q) in _RULES:
                return _RULES[kind_p, kind_q](p, q)
    names = f"{type(p).__name__} and {type(q).__name__}"
    raise NotImplementedError(
        f"kl_divergence: no formula for {names}; give one with register_kl, or average "
        "p.log_prob(x) - q.log_prob(x) over draws of p"
    )


@register_kl(Normal, Normal)
def _normals(p: Any, q: Any) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


@register_kl(Laplace, Laplace)
def _laplaces(p: Any, q: Any) -> Tensor:
    far, ratio = (p.loc - q.loc).abs(), p.scale / q.scale
    return -ratio.log() + far / q.scale + ratio * (-far / p.scale).exp() - 1


@register_kl(Exponential, Exponential)
def _exponentials(p: Any, q: Any) -> Tensor:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(Uniform, Uniform)
def _uniforms(p: Any, q: Any) -> Tensor:
    inside = (q.low <= p.low) & (q.high >= p.high)
    return schuss.where(inside, ((q.high - q.low) / (p.high - p.low)).log(), math.inf)


@register_kl(Categorical, Categorical)
def _categoricals(p: Any, q: Any) -> Tensor:
    parts = p.probs * (p.logits - q.logits)
    parts = schuss.where(q.probs == 0, math.inf, parts)
    return schuss.where(p.probs == 0, 0.0, parts).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hots(p: Any, q: Any) -> Tensor:
    return _categoricals(p._categorical, q._categorical)


@register_kl(Bernoulli, Bernoulli)
def _bernoullis(p: Any, q: Any) -> Tensor:
    yes = schuss.xlogy(p.probs, p.probs) - schuss.xlogy(p.probs, q.probs)
    no = schuss.xlogy(1 - p.probs, 1 - p.probs) - schuss.xlogy(1 - p.probs, 1 - q.probs)
    return yes + no


@register_kl(MultivariateNormal, MultivariateNormal)
def _several_normals(p: Any, q: Any) -> Tensor:
    solve = schuss.linalg.solve_triangular
    ratio = solve(q.scale_tril, p.scale_tril, upper=False)
    far = solve(q.scale_tril, (q.loc - p.loc).unsqueeze(-1), upper=False)
    squares = (ratio**2).sum((-2, -1)) + (far**2).sum((-2, -1))
    return q._half_log_det() - p._half_log_det() + 0.5 * (squares - p.event_shape[0])


@register_kl(Independent, Independent)
def _independents(p: Any, q: Any) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("kl_divergence: the two count other axes as one draw")
    return p._summed(kl_divergence(p.base_dist, q.base_dist))
