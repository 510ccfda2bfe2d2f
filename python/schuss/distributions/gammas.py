"""The gamma distribution and what is made of its draws: beta, Dirichlet, Student's, Fisher's.
Leans on the base beside it and on draws by rejection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor, draws, special
from schuss.distributions import constraints
from schuss.distributions.base import Distribution, refuse, tensor_of_numbers, tensors

if TYPE_CHECKING:
    from typing import Any


def _above_0(owner: Any, **named: Tensor) -> None:
    if owner._validate:
        for name, value in named.items():
            refuse(owner, name, value, value > 0, "above 0")


def _drawn(shape_of: Tensor, shape: Any) -> Tensor:
    """Standard gamma draws, none of them 0."""
    return draws.gamma(shape_of.expand(shape)).clamp(min=schuss.finfo(shape_of.dtype).tiny)


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return a.lgamma() + b.lgamma() - (a + b).lgamma()


class Gamma(Distribution):
    """The gamma distribution of a shape (`concentration`) and a rate.

    Draws: Marsaglia and Tsang 2000; their gradients: Figurnov, Mohamed and Mnih 2018.

    >>> Gamma(2.0, 4.0).mean
    tensor(0.5000)
    """

    has_rsample = True
    support = constraints.nonnegative

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = tensors(concentration, rate)
        super().__init__(self.rate.shape, (), validate_args)
        _above_0(self, concentration=self.concentration, rate=self.rate)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended(sample_shape)
        return (_drawn(self.concentration, shape) / self.rate).clamp(
            min=schuss.finfo(self.rate.dtype).tiny
        )

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        a, r = self.concentration, self.rate
        return schuss.xlogy(a, r) + schuss.xlogy(a - 1, value) - r * value - a.lgamma()

    def cdf(self, value: Any) -> Tensor:
        return special.gammainc(self.concentration, self.rate * value)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1 - a) * a.digamma()

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate**2


class Chi2(Gamma):
    """The sum of the squares of `df` normal draws.

    >>> Chi2(3.0).variance
    tensor(6.)
    """

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (df,) = tensors(df)
        super().__init__(0.5 * df, 0.5, validate_args)

    @property
    def df(self) -> Tensor:
        """The degrees of freedom."""
        return self.concentration * 2


class InverseGamma(Distribution):
    """One over a gamma draw.

    >>> InverseGamma(3.0, 4.0).mean
    tensor(2.)
    """

    has_rsample = True
    support = constraints.positive

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = tensors(concentration, rate)
        super().__init__(self.rate.shape, (), validate_args)
        _above_0(self, concentration=self.concentration, rate=self.rate)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.rate / _drawn(self.concentration, self._extended(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        a, r = self.concentration, self.rate
        return schuss.xlogy(a, r) - a.lgamma() - (a + 1) * value.log() - r / value

    def cdf(self, value: Any) -> Tensor:
        return special.gammaincc(self.concentration, self.rate / value)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a + self.rate.log() + a.lgamma() - (1 + a) * a.digamma()

    @property
    def mean(self) -> Tensor:
        a = self.concentration
        return schuss.where(a > 1, self.rate / (a - 1), math.inf)

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Tensor:
        a = self.concentration
        return schuss.where(a > 2, self.rate**2 / ((a - 1) ** 2 * (a - 2)), math.inf)


class Dirichlet(Distribution):
    """Shares that add up to 1: gamma draws over their sum, by shapes along the last axis.

    >>> Dirichlet(schuss.tensor([1.0, 3.0])).mean
    tensor([0.2500, 0.7500])
    """

    has_rsample = True
    support = constraints.simplex

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        tensor_of_numbers("Dirichlet", "concentration", concentration, 1)
        (self.concentration,) = tensors(concentration)
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)
        _above_0(self, concentration=self.concentration)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        drawn = _drawn(self.concentration, self._extended(sample_shape))
        return drawn / drawn.sum(-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        c = self.concentration
        return schuss.xlogy(c - 1, value).sum(-1) + c.sum(-1).lgamma() - c.lgamma().sum(-1)

    def entropy(self) -> Tensor:
        c, k = self.concentration, self.concentration.shape[-1]
        whole = c.sum(-1)
        return (
            c.lgamma().sum(-1)
            - whole.lgamma()
            - (k - whole) * whole.digamma()
            - ((c - 1) * c.digamma()).sum(-1)
        )

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Tensor:
        """The likeliest value; of shapes below 1 the corner of the largest."""
        less = (self.concentration - 1).clamp(min=0)
        found = less / less.sum(-1, keepdim=True)
        flat = (self.concentration < 1).all(-1, keepdim=True)
        corner = schuss.nn.functional.one_hot(found.nan_to_num().argmax(-1), found.shape[-1])
        return schuss.where(flat, corner.to(found.dtype), found)

    @property
    def variance(self) -> Tensor:
        whole = self.concentration.sum(-1, keepdim=True)
        return self.mean * (1 - self.mean) / (whole + 1)


class Beta(Distribution):
    """A share between 0 and 1: a gamma draw over its sum with another.

    >>> Beta(1.0, 3.0).mean
    tensor(0.2500)
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
        shape = self._extended(sample_shape)
        one, other = _drawn(self.concentration1, shape), _drawn(self.concentration0, shape)
        return one / (one + other)

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        a, b = self.concentration1, self.concentration0
        return schuss.xlogy(a - 1, value) + special.xlog1py(b - 1, -value) - _log_beta(a, b)

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return (
            _log_beta(a, b)
            - (a - 1) * a.digamma()
            - (b - 1) * b.digamma()
            + (a + b - 2) * (a + b).digamma()
        )

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        both = schuss.stack([self.concentration1, self.concentration0], -1)
        return Dirichlet(both, validate_args=False).mode[..., 0]

    @property
    def variance(self) -> Tensor:
        whole = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (whole**2 * (whole + 1))


class StudentT(Distribution):
    """A normal draw over the root of a mean of `df` squares of others.

    >>> StudentT(4.0).variance
    tensor(2.)
    """

    has_rsample = True
    support = constraints.real

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = tensors(df, loc, scale)
        super().__init__(self.df.shape, (), validate_args)
        _above_0(self, df=self.df, scale=self.scale)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended(sample_shape)
        normal = self.loc.new_empty(shape).normal_()
        squares = _drawn(0.5 * self.df, shape) * 2
        return self.loc + self.scale * normal * (squares / self.df).rsqrt()

    def log_prob(self, value: Any) -> Tensor:
        z, v = (value - self.loc) / self.scale, self.df
        flat = self.scale.log() + 0.5 * v.log() + _log_beta(0.5 * v, schuss.full_like(v, 0.5))
        return -0.5 * (v + 1) * (z**2 / v).log1p() - flat

    def entropy(self) -> Tensor:
        v = self.df
        gap = (0.5 * (v + 1)).digamma() - (0.5 * v).digamma()
        flat = self.scale.log() + 0.5 * v.log() + _log_beta(0.5 * v, schuss.full_like(v, 0.5))
        return flat + 0.5 * (v + 1) * gap

    @property
    def mean(self) -> Tensor:
        return schuss.where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        v = self.df
        found = schuss.where(v > 2, self.scale**2 * v / (v - 2), math.inf)
        return schuss.where(v > 1, found, math.nan)


class FisherSnedecor(Distribution):
    """The ratio of the means of `df1` and of `df2` squares of normal draws.

    >>> FisherSnedecor(2.0, 4.0).mean
    tensor(2.)
    """

    has_rsample = True
    support = constraints.positive

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = tensors(df1, df2)
        super().__init__(self.df1.shape, (), validate_args)
        _above_0(self, df1=self.df1, df2=self.df2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended(sample_shape)
        one, other = _drawn(0.5 * self.df1, shape), _drawn(0.5 * self.df2, shape)
        return (one / self.df1) / (other / self.df2)

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        a, b, ratio = 0.5 * self.df1, 0.5 * self.df2, self.df1 / self.df2
        rise = a * ratio.log() + (a - 1) * value.log()
        return rise - (a + b) * (ratio * value).log1p() - _log_beta(a, b)

    @property
    def mean(self) -> Tensor:
        return schuss.where(self.df2 > 2, self.df2 / (self.df2 - 2), math.nan)

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        found = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return schuss.where(self.df1 > 2, found, math.nan)

    @property
    def variance(self) -> Tensor:
        a, b = self.df1, self.df2
        found = 2 * b**2 * (a + b - 2) / (a * (b - 2) ** 2 * (b - 4))
        return schuss.where(b > 4, found, math.nan)
