"""Distributions of one side, of heavy tails, of shares and of angles, in closed form.
Leans on the base beside it and on the core's mathematics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor, draws, special
from schuss.distributions import constraints
from schuss.distributions.base import Distribution, refuse, tensors
from schuss.distributions.discrete import _one_of
from schuss.distributions.gammas import _above_0

if TYPE_CHECKING:
    from typing import Any

_EULER = 0.57721566490153286


def _uniform(shape: Any, like: Tensor) -> Tensor:
    """Uniform draws from (0, 1), both ends left out, in a tensor's dtype and where it lies."""
    tiny = schuss.finfo(like.dtype).eps / 2
    return like.new_empty(shape).uniform_().clamp(tiny, 1 - tiny)


class HalfNormal(Distribution):
    """The size of a normal draw of mean 0.

    >>> HalfNormal(1.0).mean
    tensor(0.7979)
    """

    has_rsample = True
    support = constraints.nonnegative

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = tensors(scale)
        super().__init__(self.scale.shape, (), validate_args)
        _above_0(self, scale=self.scale)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        z = self.scale.new_empty(self._extended(sample_shape)).normal_()
        return self.scale * z.abs()

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        found = 0.5 * math.log(2 / math.pi) - self.scale.log() - 0.5 * (value / self.scale) ** 2
        return schuss.where(value >= 0, found, -math.inf)

    def cdf(self, value: Any) -> Tensor:
        return schuss.erf(value / self.scale / math.sqrt(2))

    def icdf(self, value: Any) -> Tensor:
        return self.scale * schuss.erfinv(value) * math.sqrt(2)

    def entropy(self) -> Tensor:
        return 0.5 * math.log(math.pi / 2) + 0.5 + self.scale.log()

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return schuss.zeros_like(self.scale)

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (1 - 2 / math.pi)


class HalfCauchy(Distribution):
    """The size of a draw of Cauchy's distribution about 0.

    >>> HalfCauchy(1.0).cdf(schuss.tensor(1.0))
    tensor(0.5000)
    """

    has_rsample = True
    support = constraints.nonnegative

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = tensors(scale)
        super().__init__(self.scale.shape, (), validate_args)
        _above_0(self, scale=self.scale)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(_uniform(self._extended(sample_shape), self.scale))

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        found = math.log(2 / math.pi) - self.scale.log() - ((value / self.scale) ** 2).log1p()
        return schuss.where(value >= 0, found, -math.inf)

    def cdf(self, value: Any) -> Tensor:
        return 2 * schuss.atan(value / self.scale) / math.pi

    def icdf(self, value: Any) -> Tensor:
        return self.scale * schuss.tan(value * (math.pi / 2))

    def entropy(self) -> Tensor:
        return math.log(2 * math.pi) + self.scale.log()

    @property
    def mean(self) -> Tensor:
        return schuss.full_like(self.scale, math.inf)

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return schuss.zeros_like(self.scale)

    @property
    def variance(self) -> Tensor:
        return schuss.full_like(self.scale, math.inf)


class Pareto(Distribution):
    """From `scale` on, with a tail that falls as a power.

    >>> Pareto(1.0, 2.0).mean
    tensor(2.)
    """

    has_rsample = True

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = tensors(scale, alpha)
        super().__init__(self.scale.shape, (), validate_args)
        _above_0(self, scale=self.scale, alpha=self.alpha)

    @constraints.dependent_property
    def support(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The numbers from `scale` on."""
        return constraints.greater_than_eq(self.scale)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = _uniform(self._extended(sample_shape), self.scale)
        return self.scale * (-u.log() / self.alpha).exp()

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        found = self.alpha.log() + self.alpha * self.scale.log() - (self.alpha + 1) * value.log()
        return schuss.where(value >= self.scale, found, -math.inf)

    def cdf(self, value: Any) -> Tensor:
        return 1 - (self.scale / value) ** self.alpha

    def icdf(self, value: Any) -> Tensor:
        return self.scale * (1 - value) ** (-1 / self.alpha)

    def entropy(self) -> Tensor:
        return (self.scale / self.alpha).log() + 1 + 1 / self.alpha

    @property
    def mean(self) -> Tensor:
        a = self.alpha
        return schuss.where(a > 1, a * self.scale / (a - 1), math.inf)

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        a = self.alpha
        return schuss.where(a > 2, self.scale**2 * a / ((a - 1) ** 2 * (a - 2)), math.inf)


class GeneralizedPareto(Distribution):
    """What lies above a threshold: Pareto's, the exponential's, or a tail that ends (Coles 2001).

    >>> GeneralizedPareto(0.0, 1.0, 0.5).mean
    tensor(2.)
    """

    has_rsample = True

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.concentration = tensors(loc, scale, concentration)
        super().__init__(self.loc.shape, (), validate_args)
        _above_0(self, scale=self.scale)

    @constraints.dependent_property
    def support(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The numbers from `loc` on, to where the tail ends."""
        end = self.loc - self.scale / self.concentration
        return constraints.interval(self.loc, schuss.where(self.concentration < 0, end, math.inf))

    def _shape(self) -> tuple[Tensor, Tensor]:
        """Where the shape is as good as 0, and a shape that may be divided by."""
        flat = self.concentration.abs() < 10 * schuss.finfo(self.loc.dtype).eps
        return flat, self.concentration.masked_fill(flat, 1.0)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(_uniform(self._extended(sample_shape), self.loc))

    def log_prob(self, value: Any) -> Tensor:
        z = (value - self.loc) / self.scale
        flat, c = self._shape()
        found = schuss.where(flat, -z, -(1 / c + 1) * (c * z).log1p()) - self.scale.log()
        inside = (z >= 0) & (flat | (1 + c * z > 0))
        return schuss.where(inside, found, -math.inf)

    def log_survival_function(self, value: Any) -> Tensor:
        """The logarithm of the probability of a draw above a value."""
        z = (value - self.loc) / self.scale
        flat, c = self._shape()
        return schuss.where(flat, -z, -(c * z).log1p() / c)

    def cdf(self, value: Any) -> Tensor:
        return -self.log_survival_function(value).expm1()

    def icdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        flat, c = self._shape()
        fall = (-value).log1p()
        return self.loc + self.scale * schuss.where(flat, -fall, (-c * fall).expm1() / c)

    def entropy(self) -> Tensor:
        return self.scale.log() + self.concentration + 1

    @property
    def mean(self) -> Tensor:
        c = self.concentration
        return schuss.where(c < 1, self.loc + self.scale / (1 - c), math.inf)

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        c = self.concentration
        return schuss.where(c < 0.5, self.scale**2 / ((1 - c) ** 2 * (1 - 2 * c)), math.inf)


class Weibull(Distribution):
    """A power of an exponential draw.

    >>> Weibull(2.0, 1.0).mean
    tensor(2.)
    """

    has_rsample = True
    support = constraints.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = tensors(scale, concentration)
        super().__init__(self.scale.shape, (), validate_args)
        _above_0(self, scale=self.scale, concentration=self.concentration)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = _uniform(self._extended(sample_shape), self.scale)
        return self.scale * (-u.log()) ** (1 / self.concentration)

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        k, z = self.concentration, value / self.scale
        return k.log() - self.scale.log() + (k - 1) * z.log() - z**k

    def cdf(self, value: Any) -> Tensor:
        return -(-((value / self.scale) ** self.concentration)).expm1()

    def icdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        return self.scale * (-(-value).log1p()) ** (1 / self.concentration)

    def entropy(self) -> Tensor:
        back = 1 / self.concentration
        return _EULER * (1 - back) + (self.scale * back).log() + 1

    @property
    def mean(self) -> Tensor:
        return self.scale * (1 + 1 / self.concentration).lgamma().exp()

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        k = self.concentration
        return schuss.where(k > 1, self.scale * ((k - 1) / k).clamp(min=0) ** (1 / k), 0.0)

    @property
    def variance(self) -> Tensor:
        back = 1 / self.concentration
        squares = (1 + 2 * back).lgamma().exp() - (2 * (1 + back).lgamma()).exp()
        return self.scale**2 * squares


class Kumaraswamy(Distribution):
    """A share between 0 and 1, near the beta distribution, in closed form (Kumaraswamy 1980).

    >>> Kumaraswamy(1.0, 1.0).mean
    tensor(0.5000)
    """

    has_rsample = True
    support = constraints.unit_interval

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = tensors(concentration1, concentration0)
        super().__init__(self.concentration1.shape, (), validate_args)
        _above_0(self, concentration1=self.concentration1, concentration0=self.concentration0)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = _uniform(self._extended(sample_shape), self.concentration1)
        return (1 - u ** (1 / self.concentration0)) ** (1 / self.concentration1)

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        a, b = self.concentration1, self.concentration0
        rest = special.xlog1py(b - 1, -(value**a))
        return a.log() + b.log() + schuss.xlogy(a - 1, value) + rest

    def cdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        return -(self.concentration0 * (-(value**self.concentration1)).log1p()).expm1()

    def icdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        return (1 - (1 - value) ** (1 / self.concentration0)) ** (1 / self.concentration1)

    def _moment(self, n: int) -> Tensor:
        a, b = self.concentration1, self.concentration0
        first = 1 + n / a
        return b * (first.lgamma() + b.lgamma() - (first + b).lgamma()).exp()

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + _EULER
        return (1 - 1 / b) + (1 - 1 / a) * harmonic - a.log() - b.log()

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def mode(self) -> Tensor:
        """The likeliest value, NaN for shapes below 1."""
        a, b = self.concentration1, self.concentration0
        found = ((a - 1) / (a * b - 1)) ** (1 / a)
        return found.masked_fill((a < 1) | (b < 1), math.nan)

    @property
    def variance(self) -> Tensor:
        return self._moment(2) - self._moment(1) ** 2


class ContinuousBernoulli(Distribution):
    """A number from 0 to 1 whose density is a coin's (Loaiza-Ganem and Cunningham 2019).

    Within `lims` of the fair coin, series stand for what would be 0 over 0.

    >>> ContinuousBernoulli(0.5).mean
    tensor(0.5000)
    """

    has_rsample = True
    support = constraints.unit_interval

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        _one_of(self, probs, logits)
        (given,) = tensors(probs if probs is not None else logits)
        super().__init__(given.shape, (), validate_args)
        self._lims = lims
        if probs is not None and self._validate:
            refuse(self, "probs", given, (given >= 0) & (given <= 1), "from 0 to 1")
        tiny = schuss.finfo(given.dtype).eps
        self.probs = (given if probs is not None else schuss.sigmoid(given)).clamp(tiny, 1 - tiny)
        self.logits = self.probs.log() - (-self.probs).log1p() if probs is not None else given

    def _outside(self) -> Tensor:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _safe(self) -> Tensor:
        """The probabilities, away from the fair coin."""
        return schuss.where(self._outside(), self.probs, self._lims[0])

    def _log_scale(self) -> Tensor:
        """The logarithm of what the density is scaled by."""
        p = self._safe()
        exact = (((-p).log1p() - p.log()).abs()).log() - (1 - 2 * p).abs().log()
        x = (self.probs - 0.5) ** 2
        return schuss.where(self._outside(), exact, math.log(2) + (4 / 3 + 104 / 45 * x) * x)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(_uniform(self._extended(sample_shape), self.probs))

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        likely = value * self.probs.log() + (1 - value) * (-self.probs).log1p()
        return likely + self._log_scale()

    def cdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        p = self._safe()
        found = (p**value * (1 - p) ** (1 - value) + p - 1) / (2 * p - 1)
        found = schuss.where(self._outside(), found, value)
        return schuss.where(value <= 0, 0.0, schuss.where(value >= 1, 1.0, found))

    def icdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        p = self._safe()
        top = (-p + value * (2 * p - 1)).log1p() - (-p).log1p()
        return schuss.where(self._outside(), top / (p.log() - (-p).log1p()), value)

    def entropy(self) -> Tensor:
        low, high = (-self.probs).log1p(), self.probs.log()
        return self.mean * (low - high) - self._log_scale() - low

    @property
    def mean(self) -> Tensor:
        p = self._safe()
        exact = p / (2 * p - 1) + 1 / ((-p).log1p() - p.log())
        x = self.probs - 0.5
        return schuss.where(self._outside(), exact, 0.5 + (1 / 3 + 16 / 45 * x**2) * x)

    @property
    def variance(self) -> Tensor:
        p = self._safe()
        exact = p * (p - 1) / (1 - 2 * p) ** 2 + 1 / ((-p).log1p() - p.log()) ** 2
        x = (self.probs - 0.5) ** 2
        return schuss.where(self._outside(), exact, 1 / 12 - (1 / 15 - 128 / 945 * x) * x)


class VonMises(Distribution):
    """An angle about `loc`, the closer the larger the concentration (Best and Fisher 1979).

    >>> VonMises(0.0, 1.0).log_prob(schuss.tensor(0.0))
    tensor(-1.0738)
    """

    support = constraints.real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = tensors(loc, concentration)
        super().__init__(self.loc.shape, (), validate_args)
        _above_0(self, concentration=self.concentration)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        kappa = self.concentration.detach().expand(self._extended(sample_shape))
        angle = draws.von_mises(kappa) + self.loc.detach()
        return (angle + math.pi) % (2 * math.pi) - math.pi

    def log_prob(self, value: Any) -> Tensor:
        k = self.concentration
        whole = math.log(2 * math.pi) + special.i0e(k).log()
        return k * (schuss.cos(value - self.loc) - 1) - whole

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 1 - special.i1e(self.concentration) / special.i0e(self.concentration)
