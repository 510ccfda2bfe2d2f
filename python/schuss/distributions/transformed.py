"""Distributions made of others: transformed, relaxed, mixed.
Leans on the distributions, transforms and constraints beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.distributions import constraints
from schuss.distributions.base import Distribution, Independent, must_distribution, tensors
from schuss.distributions.continuous import Normal
from schuss.distributions.discrete import Bernoulli, Categorical, OneHotCategorical
from schuss.distributions.tails import _uniform
from schuss.distributions.transforms import (
    ComposeTransform,
    ExpTransform,
    SigmoidTransform,
    StickBreakingTransform,
    _summed,
    must_transforms,
)

if TYPE_CHECKING:
    from typing import Any


class TransformedDistribution(Distribution):
    """The draws of a distribution put through transforms, with the densities that follow.

    >>> from schuss.distributions import ExpTransform, Normal
    >>> TransformedDistribution(Normal(0.0, 1.0), [ExpTransform()]).log_prob(schuss.tensor(1.0))
    tensor(-0.9189)
    """

    def __init__(
        self, base_distribution: Distribution, transforms: Any, validate_args: bool | None = None
    ) -> None:
        must_distribution("TransformedDistribution", base_distribution)
        self.transforms = must_transforms("TransformedDistribution", transforms)
        whole = ComposeTransform(self.transforms)
        batch, event = base_distribution.batch_shape, base_distribution.event_shape
        shape = schuss.Size((*batch, *event))
        taken = whole.domain.event_dim
        if len(shape) < taken:
            raise ValueError(
                f"TransformedDistribution: the base has shape {tuple(shape)}, the transforms take"
                f" {taken} axes"
            )
        made = whole.forward_shape(shape)
        wide = whole.inverse_shape(made)
        if tuple(wide) != tuple(shape):
            rest = wide[: len(wide) - len(event)]
            base_distribution, batch = base_distribution.expand(rest), rest
        more = taken - len(event)
        if more > 0:
            base_distribution = Independent(base_distribution, more)
        self.base_dist = base_distribution
        axes = whole.codomain.event_dim + max(len(event) - taken, 0)
        cut = len(made) - axes
        super().__init__(made[:cut], made[cut:], validate_args)
        self.has_rsample = base_distribution.has_rsample

    @property
    def support(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the last transform gives."""
        if not self.transforms:
            return self.base_dist.support
        last = self.transforms[-1].codomain
        more = len(self._event_shape) - last.event_dim
        return constraints.independent(last, more) if more > 0 else last

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with schuss.no_grad():
            x = self.base_dist.sample(sample_shape)
            for transform in self.transforms:
                x = transform(x)
            return x

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        x = self.base_dist.rsample(sample_shape)
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Any) -> Tensor:
        (y,) = tensors(value)
        axes, total = len(self._event_shape), 0.0
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            axes += transform.domain.event_dim - transform.codomain.event_dim
            more = axes - transform.domain.event_dim
            total = total - _summed(transform.log_abs_det_jacobian(x, y), more)
            y = x
        more = axes - len(self.base_dist.event_shape)
        return total + _summed(self.base_dist.log_prob(y), more)

    def _monotone(self, value: Tensor) -> Tensor:
        """A probability, or its other side where the transforms fall."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int) and sign == 1:
            return value
        return sign * (value - 0.5) + 0.5

    def cdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        return self._monotone(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        value = self.base_dist.icdf(self._monotone(value))
        for transform in self.transforms:
            value = transform(value)
        return value


class LogisticNormal(TransformedDistribution):
    """Shares that add up to 1, made of normal draws by breaking a stick.

    >>> LogisticNormal(schuss.zeros(2), schuss.ones(2)).sample().shape
    schuss.Size([3])
    """

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args)
        if not base.batch_shape:
            raise ValueError("LogisticNormal: loc and scale need one axis or more")
        self._normal = base
        super().__init__(base, StickBreakingTransform(), validate_args)

    @property
    def loc(self) -> Tensor:
        """The means of the normal draws."""
        return self._normal.loc

    @property
    def scale(self) -> Tensor:
        """Their standard deviations."""
        return self._normal.scale


class _LogitRelaxedBernoulli(Distribution):
    """A relaxed coin before the sigmoid (Maddison, Mnih and Teh 2017; Jang, Gu and Poole 2017)."""

    has_rsample, support = True, constraints.real

    def __init__(self, temperature: Any, probs: Any, logits: Any, validate_args: Any) -> None:
        coin = Bernoulli(probs, logits, validate_args)
        self.temperature = temperature
        self.probs, self.logits = coin.probs, coin.logits
        super().__init__(coin.batch_shape, (), validate_args)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = _uniform(self._extended(sample_shape), self.logits)
        return (u.log() - (-u).log1p() + self.logits) / self.temperature

    def log_prob(self, value: Any) -> Tensor:
        gap = self.logits - value * self.temperature
        scale = schuss.as_tensor(self.temperature, dtype=gap.dtype, device=gap.device).log()
        return scale + gap - 2 * schuss.nn.functional.softplus(gap)


class RelaxedBernoulli(TransformedDistribution):
    """A coin between 0 and 1, the sharper the lower its temperature, with gradients.

    >>> RelaxedBernoulli(0.5, 0.25).rsample((3,)).shape
    schuss.Size([3])
    """

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = _LogitRelaxedBernoulli(temperature, probs, logits, validate_args)
        super().__init__(base, SigmoidTransform(), validate_args)
        self.temperature, self.probs, self.logits = temperature, base.probs, base.logits


class _ExpRelaxedCategorical(Distribution):
    """The logarithm of a relaxed class."""

    has_rsample, support = True, constraints.real_vector

    def __init__(self, temperature: Any, probs: Any, logits: Any, validate_args: Any) -> None:
        classes = Categorical(probs, logits, validate_args)
        self.temperature = temperature
        self.probs, self.logits = classes.probs, classes.logits
        shape = classes.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = _uniform(self._extended(sample_shape), self.logits)
        scores = (self.logits - (-u.log()).log()) / self.temperature
        return scores - scores.logsumexp(-1, keepdim=True)

    def log_prob(self, value: Any) -> Tensor:
        count = self.logits.shape[-1]
        like = self.logits
        heat = schuss.as_tensor(self.temperature, dtype=like.dtype, device=like.device)
        scores = self.logits - value * heat
        scores = (scores - scores.logsumexp(-1, keepdim=True)).sum(-1)
        return scores + math.lgamma(count) + (count - 1) * heat.log()


class RelaxedOneHotCategorical(TransformedDistribution):
    """A class as a row of shares, the sharper the lower the temperature, with gradients.

    >>> RelaxedOneHotCategorical(0.5, schuss.ones(3)).rsample().shape
    schuss.Size([3])
    """

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = _ExpRelaxedCategorical(temperature, probs, logits, validate_args)
        super().__init__(base, ExpTransform(), validate_args)
        self.temperature, self.probs, self.logits = temperature, base.probs, base.logits

    @property
    def support(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Shares with the sum 1."""
        return constraints.simplex


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One of several classes as a row, with the gradient of its probabilities (Bengio et al. 2013).

    >>> OneHotCategoricalStraightThrough(schuss.tensor([0.0, 1.0])).rsample()
    tensor([0., 1.])
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        drawn = self.sample(sample_shape)
        return drawn + (self.probs - self.probs.detach())


class MixtureSameFamily(Distribution):
    """One of several distributions of a kind, drawn by a Categorical; they lie along the last axis.

    >>> from schuss.distributions import Categorical, Normal
    >>> two = Normal(schuss.tensor([-1.0, 1.0]), 1.0)
    >>> MixtureSameFamily(Categorical(schuss.ones(2)), two).mean
    tensor(0.)
    """

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError("MixtureSameFamily: the mixture must be a Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("MixtureSameFamily: the components must be a Distribution")
        shape, count = component_distribution.batch_shape, mixture_distribution.param_shape[-1]
        if not shape or shape[-1] != count:
            raise ValueError(
                f"MixtureSameFamily: {count} weights for components of shape {tuple(shape)}"
            )
        if mixture_distribution.batch_shape not in ((), shape[:-1]):
            raise schuss.ShapeError(
                f"MixtureSameFamily: a batch {tuple(mixture_distribution.batch_shape)} of weights"
                f" and {tuple(shape[:-1])} of components"
            )
        self.mixture_distribution = mixture_distribution
        self.component_distribution = component_distribution
        super().__init__(shape[:-1], component_distribution.event_shape, validate_args)

    @property
    def support(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the components may give."""
        return self.component_distribution.support

    def _weights(self) -> Tensor:
        probs = self.mixture_distribution.probs
        return probs.reshape(*probs.shape, *(1,) * len(self._event_shape))

    def _axis(self) -> int:
        return -1 - len(self._event_shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with schuss.no_grad():
            chosen = self.mixture_distribution.sample(sample_shape)
            chosen = chosen.expand(*sample_shape, *self._batch_shape)
            drawn = self.component_distribution.sample(sample_shape)
            event = tuple(self._event_shape)
            at = chosen.reshape(*chosen.shape, 1, *(1,) * len(event))
            at = at.expand(*chosen.shape, 1, *event)
            return drawn.gather(drawn.ndim + self._axis(), at).squeeze(self._axis())

    def log_prob(self, value: Any) -> Tensor:
        value = tensors(value)[0].unsqueeze(self._axis())
        each = self.component_distribution.log_prob(value)
        weights = self.mixture_distribution.logits
        weights = weights - weights.logsumexp(-1, keepdim=True)
        return (each + weights).logsumexp(-1)

    def cdf(self, value: Any) -> Tensor:
        value = tensors(value)[0].unsqueeze(self._axis())
        each = self.component_distribution.cdf(value)
        return (each * self.mixture_distribution.probs).sum(-1)

    @property
    def mean(self) -> Tensor:
        return (self._weights() * self.component_distribution.mean).sum(self._axis())

    @property
    def variance(self) -> Tensor:
        part, weights = self.component_distribution, self._weights()
        apart = (part.mean - self.mean.unsqueeze(self._axis())) ** 2
        return (weights * (part.variance + apart)).sum(self._axis())
