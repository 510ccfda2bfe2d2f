"""Distributions of real numbers whose draws are formulas of uniform and normal ones.
Leans on the base beside it and on the core's random numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.distributions import constraints
from schuss.distributions.base import Distribution, refuse, tensor_of_numbers, tensors

if TYPE_CHECKING:
    from typing import Any

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
_EULER = 0.57721566490153286


class Spread(Distribution):
    """A distribution that is a place and a width: draws are loc + scale times a standard draw."""

    has_rsample = True
    support = constraints.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)
        if self._validate:
            refuse(self, "loc", self.loc, ~self.loc.isnan(), "a number")
            refuse(self, "scale", self.scale, self.scale > 0, "above 0")

    def _standard(self, shape: Any) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: no draws")

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc + self.scale * self._standard(self._extended(sample_shape))

    def _uniform(self, shape: Any) -> Tensor:
        """Uniform draws that are never 0."""
        return 1.0 - self.loc.new_empty(shape).uniform_()

    def _at(self, value: Any) -> Tensor:
        return (value - self.loc) / self.scale

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return self.loc


class Normal(Spread):
    """The normal distribution of a mean and a standard deviation.

    >>> Normal(0.0, 1.0).log_prob(schuss.tensor(0.0))
    tensor(-0.9189)
    """

    def _standard(self, shape: Any) -> Tensor:
        return self.loc.new_empty(shape).normal_()

    def log_prob(self, value: Any) -> Tensor:
        return -0.5 * self._at(value) ** 2 - self.scale.log() - _HALF_LOG_TAU

    def cdf(self, value: Any) -> Tensor:
        return 0.5 * (1 + schuss.erf(self._at(value) / math.sqrt(2)))

    def icdf(self, value: Any) -> Tensor:
        return self.loc + self.scale * schuss.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Tensor:
        return 0.5 + _HALF_LOG_TAU + self.scale.log()

    @property
    def variance(self) -> Tensor:
        return self.scale**2


class LogNormal(Distribution):
    """e to a normal draw.

    >>> LogNormal(0.0, 1.0).mean
    tensor(1.6487)
    """

    has_rsample = True
    support = constraints.positive

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.base_dist = Normal(loc, scale, validate_args)
        self.loc, self.scale = self.base_dist.loc, self.base_dist.scale
        super().__init__(self.loc.shape, (), validate_args)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        return self.base_dist.log_prob(value.log()) - value.log()

    def cdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        return self.base_dist.cdf(value.log())

    def icdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        return self.base_dist.icdf(value).exp()

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() + self.loc

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return (self.loc - self.scale**2).exp()

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def variance(self) -> Tensor:
        return schuss.expm1(self.scale**2) * (2 * self.loc + self.scale**2).exp()


class Laplace(Spread):
    """Two exponentials back to back around a mean.

    >>> Laplace(0.0, 1.0).log_prob(schuss.tensor(0.0))
    tensor(-0.6931)
    """

    def _standard(self, shape: Any) -> Tensor:
        u = self._uniform(shape) - 0.5
        return -u.sign() * schuss.log1p(-2 * u.abs().clamp(max=0.5 - 1e-8))

    def log_prob(self, value: Any) -> Tensor:
        return -self._at(value).abs() - (2 * self.scale).log()

    def cdf(self, value: Any) -> Tensor:
        z = self._at(value)
        return 0.5 - 0.5 * z.sign() * schuss.expm1(-z.abs())

    def icdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        side = value - 0.5
        return self.loc - self.scale * side.sign() * schuss.log1p(-2 * side.abs())

    def entropy(self) -> Tensor:
        return 1 + (2 * self.scale).log()

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale**2


class Gumbel(Spread):
    """The largest of many draws: -log(-log(u)) of uniform ones.

    >>> Gumbel(0.0, 1.0).mean
    tensor(0.5772)
    """

    def _standard(self, shape: Any) -> Tensor:
        return -(-self._uniform(shape).clamp(max=1 - 1e-7).log()).log()

    def cdf(self, value: Any) -> Tensor:
        return (-(-self._at(value)).exp()).exp()

    def icdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        return self.loc - self.scale * (-value.log()).log()

    def log_prob(self, value: Any) -> Tensor:
        z = self._at(value)
        return -z - (-z).exp() - self.scale.log()

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + _EULER)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * _EULER

    @property
    def variance(self) -> Tensor:
        return (math.pi * self.scale) ** 2 / 6


class Cauchy(Spread):
    """The ratio of two normal draws; it has no mean.

    >>> Cauchy(0.0, 1.0).log_prob(schuss.tensor(0.0))
    tensor(-1.1447)
    """

    def _standard(self, shape: Any) -> Tensor:
        return schuss.tan(math.pi * (self._uniform(shape) - 0.5))

    def log_prob(self, value: Any) -> Tensor:
        return -math.log(math.pi) - self.scale.log() - schuss.log1p(self._at(value) ** 2)

    def cdf(self, value: Any) -> Tensor:
        return schuss.atan(self._at(value)) / math.pi + 0.5

    def icdf(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        return self.loc + self.scale * schuss.tan(math.pi * (value - 0.5))

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + self.scale.log()

    @property
    def mean(self) -> Tensor:
        return schuss.full_like(self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        return schuss.full_like(self.loc, math.inf)


class Uniform(Distribution):
    """Every number from low to high alike.

    >>> Uniform(0.0, 2.0).log_prob(schuss.tensor(1.0))
    tensor(-0.6931)
    """

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = tensors(low, high)
        super().__init__(self.low.shape, (), validate_args)
        if self._validate:
            refuse(self, "high", self.high, self.high > self.low, "above low")

    @property
    def support(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The numbers from low to high."""
        return constraints.interval(self.low, self.high)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = self.low.new_empty(self._extended(sample_shape)).uniform_()
        return self.low + (self.high - self.low) * u

    def log_prob(self, value: Tensor) -> Tensor:
        inside = (value >= self.low) & (value < self.high)
        return schuss.where(inside, -(self.high - self.low).log(), -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        return self.low + (self.high - self.low) * value

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()

    @property
    def mode(self) -> Tensor:
        """NaN: no value is likelier than another."""
        return schuss.full_like(self.high.detach(), math.nan)

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12


class Exponential(Distribution):
    """The wait for what happens `rate` times a second.

    >>> Exponential(2.0).mean
    tensor(0.5000)
    """

    has_rsample = True
    support = constraints.nonnegative

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = tensors(rate)
        super().__init__(self.rate.shape, (), validate_args)
        if self._validate:
            refuse(self, "rate", self.rate, self.rate > 0, "above 0")

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = self.rate.new_empty(self._extended(sample_shape)).uniform_()
        return -schuss.log1p(-u) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        return schuss.where(value >= 0, self.rate.log() - self.rate * value, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        return -schuss.expm1(-self.rate * value)

    def icdf(self, value: Tensor) -> Tensor:
        return -schuss.log1p(-value) / self.rate

    def entropy(self) -> Tensor:
        return 1.0 - self.rate.log()

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return schuss.zeros_like(self.rate)

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def variance(self) -> Tensor:
        return self.rate**-2


def factor_of(owner: Any, asked: bool, covariance: Any, precision: Any, factor: Any) -> Tensor:
    """The lower factor of a covariance, by whichever of the three is given.

    Where it is `asked`, ValueError for a matrix that none of the kind can be.
    """
    names = ("covariance_matrix", "precision_matrix", "scale_tril")
    definite = constraints.positive_definite
    kinds = (definite, definite, constraints.lower_cholesky)
    for name, given, kind in zip(names, (covariance, precision, factor), kinds, strict=True):
        if given is None:
            continue
        tensor_of_numbers(type(owner).__name__, name, given, 2)
        if given.shape[-1] != given.shape[-2]:
            shape = tuple(given.shape)
            raise schuss.ShapeError(f"{type(owner).__name__}: {name} {shape} is not square")
        if asked:
            refuse(owner, name, given, kind.check(given.detach()), kind.words())
    if factor is not None:
        return factor
    whole = covariance if covariance is not None else schuss.linalg.inv(precision)
    return schuss.linalg.cholesky(whole)


class MultivariateNormal(Distribution):
    """Several normal numbers at once, by a covariance, a precision, or a lower factor.

    >>> MultivariateNormal(schuss.zeros(2), schuss.eye(2)).log_prob(schuss.zeros(2))
    tensor(-1.8379)
    """

    has_rsample = True
    support = constraints.real_vector

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            raise ValueError(
                "MultivariateNormal: give one of covariance_matrix, precision_matrix, scale_tril"
            )
        asked = self._default_validate if validate_args is None else validate_args
        factor = factor_of(self, asked, covariance_matrix, precision_matrix, scale_tril)
        n = tensor_of_numbers("MultivariateNormal", "loc", loc, 1).shape[-1]
        if tuple(factor.shape[-2:]) != (n, n):
            raise schuss.ShapeError(
                f"MultivariateNormal: a mean of {n} numbers and a matrix {tuple(factor.shape)}"
            )
        batch = schuss.broadcast_shapes(loc.shape[:-1], factor.shape[:-2])
        self.loc = loc.expand(*batch, n)
        self.scale_tril = factor.expand(*batch, n, n)
        super().__init__(batch, (n,), validate_args)

    @property
    def covariance_matrix(self) -> Tensor:
        """The covariance of the numbers."""
        return self.scale_tril @ self.scale_tril.mT

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        z = self.loc.new_empty(self._extended(sample_shape)).normal_()
        return self.loc + (self.scale_tril @ z.unsqueeze(-1)).squeeze(-1)

    def _half_log_det(self) -> Tensor:
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        z = schuss.linalg.solve_triangular(
            self.scale_tril, (value - self.loc).unsqueeze(-1), upper=False
        ).squeeze(-1)
        n = self._event_shape[0]
        return -0.5 * (z**2).sum(-1) - self._half_log_det() - n * _HALF_LOG_TAU

    def entropy(self) -> Tensor:
        return self._event_shape[0] * (0.5 + _HALF_LOG_TAU) + self._half_log_det()

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return self.loc

    @property
    def precision_matrix(self) -> Tensor:
        """The covariance's inverse."""
        return schuss.linalg.inv(self.covariance_matrix)

    @property
    def variance(self) -> Tensor:
        return (self.scale_tril**2).sum(-1)
