"""Distributions of counts: Poisson, binomial, negative binomial, multinomial.
Leans on the base and the classes beside it, and on draws by rejection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.distributions import constraints
from schuss.distributions.base import Distribution, refuse, sizes, tensors
from schuss.distributions.discrete import Categorical, _one_of
from schuss.nn import functional as F

if TYPE_CHECKING:
    from typing import Any


class Poisson(Distribution):
    """How often something happens that happens `rate` times in the mean (Hörmann 1993).

    >>> Poisson(2.0).log_prob(schuss.tensor(0.0))
    tensor(-2.)
    """

    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = tensors(rate)
        super().__init__(self.rate.shape, (), validate_args)
        if self._validate:
            refuse(self, "rate", self.rate, self.rate >= 0, "at least 0")

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return schuss.poisson(self.rate.detach().expand(self._extended(sample_shape)))

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        return schuss.xlogy(value, self.rate) - self.rate - (value + 1).lgamma()

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        return self.rate


class Chances(Distribution):
    """A distribution of a count and of a probability, by `probs` or by `logits`."""

    def __init__(self, total_count: Any, probs: Any, logits: Any, validate_args: Any) -> None:
        _one_of(self, probs, logits)
        given = probs if probs is not None else logits
        (first,) = tensors(given)
        self.total_count, first = schuss.broadcast_tensors(
            *tensors(total_count if isinstance(total_count, Tensor) else float(total_count), first)
        )
        super().__init__(first.shape, (), validate_args)
        self.total_count = self.total_count.to(first.dtype)
        if self._validate:
            n = self.total_count
            refuse(self, "total_count", n, (n >= 0) & (n % 1 == 0), "a whole number from 0 on")
            if probs is not None:
                refuse(self, "probs", first, (first >= 0) & (first <= 1), "from 0 to 1")
            else:
                refuse(self, "logits", first, ~first.isnan(), "numbers")
        if probs is not None:
            tiny = schuss.finfo(first.dtype).eps
            inner = first.clamp(tiny, 1 - tiny)
            self.probs, self.logits = first, inner.log() - schuss.log1p(-inner)
        else:
            self.probs, self.logits = schuss.sigmoid(first), first

    @property
    def param_shape(self) -> Any:
        """The shape of the probabilities."""
        return self.probs.shape


class Binomial(Chances):
    """How many of `total_count` tries succeed (Hörmann 1993).

    >>> Binomial(4, 0.25).mean
    tensor(1.)
    """

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(total_count, probs, logits, validate_args)

    @constraints.dependent_property(is_discrete=True)
    def support(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The counts that may come."""
        return constraints.integer_interval(0, self.total_count)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended(sample_shape)
        n, p = self.total_count.detach().expand(shape), self.probs.detach().expand(shape)
        return schuss.binomial(n, p)

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        n = self.total_count
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        return ways + value * self.logits + n * F.logsigmoid(-self.logits)

    def entropy(self) -> Tensor:
        most = int(self.total_count.max())
        if int(self.total_count.min()) != most:
            raise NotImplementedError("Binomial: the entropy of different counts is not there")
        log = self.log_prob(self.enumerate_support(False))
        return -(log.exp() * log).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Every count, along a new first axis."""
        most = int(self.total_count.max())
        if int(self.total_count.min()) != most:
            raise NotImplementedError("Binomial: the counts differ; each has a support of its own")
        found = schuss.arange(most + 1, dtype=self.probs.dtype, device=self.probs.device)
        found = found.reshape(-1, *(1,) * len(self._batch_shape))
        return found.expand(-1, *self._batch_shape) if expand else found

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return ((self.total_count + 1) * self.probs).floor().minimum(self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)


class NegativeBinomial(Chances):
    """How many tries succeed before `total_count` have failed: Poisson's with a rate from gamma.

    >>> NegativeBinomial(2, 0.5).mean
    tensor(2.)
    """

    support = constraints.nonnegative_integer

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        (count,) = tensors(total_count)
        super().__init__(count.ceil(), probs, logits, validate_args)
        if probs is not None and self._validate:
            refuse(self, "probs", self.probs, self.probs < 1, "from 0 to 1, without that")
        count = count.to(self.probs.device, self.probs.dtype)
        self.total_count = count.expand(self.probs.shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended(sample_shape)
        with schuss.no_grad():
            rate = schuss.draws.gamma(self.total_count.expand(shape)) * self.logits.exp()
            return schuss.poisson(rate)

    def log_prob(self, value: Any) -> Tensor:
        (value,) = tensors(value)
        n = self.total_count
        chance = n * F.logsigmoid(-self.logits) + value * F.logsigmoid(self.logits)
        ways = (n + value).lgamma() - (value + 1).lgamma() - n.lgamma()
        return chance + ways.masked_fill(n + value == 0, 0.0)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.mean / schuss.sigmoid(-self.logits)


class Multinomial(Distribution):
    """How many of `total_count` draws fall into each class.

    >>> Multinomial(4, schuss.tensor([1.0, 3.0])).mean
    tensor([1., 3.])
    """

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError(
                f"Multinomial: one total_count, an integer, is for all, got {total_count!r}"
            )
        if total_count < 0:
            raise ValueError(f"Multinomial: total_count must be 0 or more, got {total_count}")
        self.total_count = total_count
        self._categorical = Categorical(probs, logits, validate_args)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The counts that may come."""
        return constraints.multinomial(self.total_count)

    @property
    def probs(self) -> Tensor:
        """The probability of each class."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities."""
        return self._categorical.logits

    def sample(self, sample_shape: Any = ()) -> Tensor:
        drawn = self._categorical.sample(
            (self.total_count, *sizes(self, "sample_shape", sample_shape))
        )
        counts = self.probs.new_zeros(self._extended(sample_shape))
        ones = schuss.ones_like(drawn, dtype=counts.dtype).movedim(0, -1)
        return counts.scatter_add(-1, drawn.movedim(0, -1), ones)

    def log_prob(self, value: Tensor) -> Tensor:
        # Of fewer draws than total_count it is the logarithm for that number of them.
        logits = self.logits.expand(value.shape)
        logits = logits.masked_fill((value == 0) & (logits == -float("inf")), 0.0)
        ways = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        return ways + (logits * value).sum(-1)

    def entropy(self) -> Tensor:
        # Of the terms of log_prob, those of a class depend on its own count, which is binomial.
        one = Binomial(self.total_count, self.probs, validate_args=False)
        counts = one.enumerate_support(False)
        chance = one.log_prob(counts).exp()
        doubled = (chance * (counts + 1).lgamma()).sum((0, -1))
        whole = self.probs.new_tensor(float(self.total_count + 1)).lgamma()
        return self.total_count * self._categorical.entropy() - whole + doubled

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)
