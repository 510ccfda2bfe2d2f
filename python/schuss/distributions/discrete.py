"""Distributions of whole numbers: classes, coins, and counts of tries.
Leans on the base beside it and on the core's draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.distributions import constraints
from schuss.distributions.base import Distribution, refuse, tensor_of_numbers, tensors
from schuss.nn import functional as F

if TYPE_CHECKING:
    from typing import Any


def _one_of(owner: Any, probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise ValueError(f"{type(owner).__name__}: give probs or logits, and not both")


class Categorical(Distribution):
    """One of several classes, by weights along the last axis or by logits.

    ValueError for weights that are negative or not finite.

    >>> Categorical(schuss.tensor([1.0, 3.0])).log_prob(schuss.tensor(1)).exp()
    tensor(0.7500)
    """

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        _one_of(self, probs, logits)
        given = probs if probs is not None else logits
        given = tensor_of_numbers("Categorical", "probs" if logits is None else "logits", given, 1)
        super().__init__(given.shape[:-1], (), validate_args)
        if self._validate:
            good = given.isfinite() & (given >= 0) if probs is not None else ~given.isnan()
            refuse(self, "probs" if probs is not None else "logits", given, good,
                   "finite and not negative" if probs is not None else "numbers")  # fmt: skip
            if probs is not None:
                whole = given.sum(-1)
                refuse(self, "the sum of probs", whole, whole > 0, "above 0")
        self._num_events = given.shape[-1]
        if probs is not None:
            self._probs = probs / probs.sum(-1, keepdim=True)
            tiny = schuss.finfo(self._probs.dtype).eps
            self.logits = self._probs.clamp(tiny, 1 - tiny).log()
        else:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
            self._probs = None

    @property
    def probs(self) -> Tensor:
        """The probability of each class."""
        return F.softmax(self.logits, -1) if self._probs is None else self._probs

    @property
    def support(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The classes."""
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def param_shape(self) -> Any:
        """The shape of the weights."""
        return self.logits.shape

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended(sample_shape)
        count = math.prod(sample_shape)
        rows = self.probs.detach().reshape(-1, self._num_events)
        drawn = schuss.multinomial(rows, max(count, 1), replacement=True)[:, :count]
        return drawn.t().reshape(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        if not isinstance(value, Tensor):
            value = schuss.tensor(value, device=self.logits.device)
        value = value.to(schuss.int64)
        value, logits = schuss.broadcast_tensors(value.unsqueeze(-1), self.logits)
        return logits.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        lowest = schuss.finfo(self.logits.dtype).min
        return -(self.logits.clamp(min=lowest) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Every class, along a new first axis."""
        found = schuss.arange(self._num_events, device=self.logits.device)
        found = found.reshape(-1, *(1,) * len(self._batch_shape))
        return found.expand(-1, *self._batch_shape) if expand else found

    @property
    def mode(self) -> Tensor:
        """The likeliest class."""
        return self.logits.argmax(-1)

    @property
    def mean(self) -> Tensor:
        """NaN: classes are no numbers, and have no mean."""
        return schuss.full_like(self.logits[..., 0].detach(), math.nan)

    @property
    def variance(self) -> Tensor:
        """NaN: classes are no numbers, and have no variance."""
        return self.mean


class OneHotCategorical(Distribution):
    """One of several classes, as a row with a single 1.

    >>> OneHotCategorical(schuss.tensor([0.0, 1.0])).sample()
    tensor([0., 1.])
    """

    support = constraints.one_hot

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def probs(self) -> Tensor:
        """The probability of each class."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities."""
        return self._categorical.logits

    def sample(self, sample_shape: Any = ()) -> Tensor:
        drawn = self._categorical.sample(sample_shape)
        return F.one_hot(drawn, int(self._event_shape[0])).to(self.probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Tensor:
        return self._categorical.entropy()

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return F.one_hot(self.probs.argmax(-1), self.probs.shape[-1]).to(self.probs.dtype)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)


class Bernoulli(Distribution):
    """1 with a probability, else 0; by `probs` or by `logits`.

    >>> Bernoulli(0.25).entropy()
    tensor(0.5623)
    """

    support = constraints.boolean
    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        _one_of(self, probs, logits)
        (given,) = tensors(probs if probs is not None else logits)
        super().__init__(given.shape, (), validate_args)
        if probs is not None:
            if self._validate:
                refuse(self, "probs", given, (given >= 0) & (given <= 1), "from 0 to 1")
            tiny = schuss.finfo(given.dtype).eps
            inner = given.clamp(tiny, 1 - tiny)
            self.probs, self.logits = given, inner.log() - schuss.log1p(-inner)
        else:
            if self._validate:
                refuse(self, "logits", given, ~given.isnan(), "numbers")
            self.probs, self.logits = schuss.sigmoid(given), given

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return schuss.bernoulli(self.probs.detach().expand(self._extended(sample_shape)))

    def log_prob(self, value: Any) -> Tensor:
        value, logits = schuss.broadcast_tensors(tensors(value)[0], self.logits)
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return schuss.where(self.probs == 0.5, math.nan, (self.probs >= 0.5).to(self.probs.dtype))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 and 1, along a new first axis."""
        found = schuss.arange(2, dtype=self.probs.dtype, device=self.probs.device)
        found = found.reshape(-1, *(1,) * len(self._batch_shape))
        return found.expand(-1, *self._batch_shape) if expand else found

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)


class Geometric(Distribution):
    """How many tries fail before the first that does not.

    >>> Geometric(0.25).mean
    tensor(3.)
    """

    support = constraints.nonnegative_integer

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Geometric: needs one of probs and logits")
        (given,) = tensors(logits if probs is None else probs)
        self.probs = given.sigmoid() if probs is None else given
        super().__init__(self.probs.shape, (), validate_args)
        if self._validate:
            good = (self.probs > 0) & (self.probs <= 1)
            refuse(self, "probs", self.probs, good, "above 0 and at most 1")

    def sample(self, sample_shape: Any = ()) -> Tensor:
        u = self.probs.new_empty(self._extended(sample_shape)).uniform_()
        tiny = schuss.finfo(u.dtype).tiny
        return (schuss.log1p(-u) / schuss.log1p(-self.probs.detach()).clamp(max=-tiny)).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        return schuss.xlogy(value, 1 - self.probs) + self.probs.log()

    def entropy(self) -> Tensor:
        again = 1 - self.probs
        return -(schuss.xlogy(again, again) + schuss.xlogy(self.probs, self.probs)) / self.probs

    @property
    def logits(self) -> Tensor:
        """The logarithm of the odds."""
        return self.probs.log() - schuss.log1p(-self.probs)

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return schuss.zeros_like(self.probs)

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs
