"""Distribution: what every one has, its shapes, and the refusal of parameters outside their range.
Leans on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import Size, Tensor
from schuss.naming import Checked

if TYPE_CHECKING:
    from typing import Any


def tensors(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape and dtype; numbers go where the tensors lie."""
    given = [v for v in values if isinstance(v, Tensor)]
    known = [v for v in given if v.is_floating_point()]
    dtype = known[0].dtype if known else schuss.get_default_dtype()
    device = max(given, key=lambda v: v.is_cuda).device if given else None

    def made_of(v: Any) -> Tensor:
        if not isinstance(v, Tensor):
            return schuss.tensor(float(v), dtype=dtype, device=device)
        return v if v.ndim else v.to(device)

    made = [made_of(v) for v in values]
    made = [v if v.is_floating_point() else v.to(dtype) for v in made]
    return tuple(schuss.broadcast_tensors(*made))


def refuse(owner: Any, name: str, values: Tensor, good: Tensor, range_of: str) -> None:
    """ValueError unless all is good."""
    if not bool(good.all()):
        bad = values.detach()[~good].flatten()[0].item() if good.ndim else values.item()
        raise ValueError(f"{type(owner).__name__}: {name} must be {range_of}, found {bad}")


class Distribution(Checked):
    """A probability distribution: `sample` draws, `log_prob` says how likely a value is.

    `batch_shape` counts distributions that are independent and may differ, `event_shape` is the
    shape of one draw. `rsample` draws so that gradients reach the parameters.
    """

    has_rsample = False
    has_enumerate_support = False
    support: Any = None

    def __init__(
        self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        self._validate = validate_args is not False

    @property
    def batch_shape(self) -> Size:
        """How many distributions there are."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    def _extended(self, sample_shape: Any) -> Size:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def expand(self, batch_shape: Any) -> Distribution:
        """This distribution with its parameters repeated to a wider batch."""
        made = object.__new__(type(self))
        old = len(self._batch_shape)
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor) and value.shape[:old] == self._batch_shape:
                value = value.expand(*batch_shape, *value.shape[old:])
            elif isinstance(value, Distribution):
                value = value.expand((*batch_shape, *value.batch_shape[old:]))
            made.__dict__[name] = value
        made._batch_shape = Size(batch_shape)
        return made

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without gradients, of shape sample_shape + batch_shape + event_shape."""
        with schuss.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws through which gradients reach the parameters."""
        raise NotImplementedError(
            f"{type(self).__name__}: draws have no gradient; use sample() and log_prob()"
        )

    def sample_n(self, n: int) -> Tensor:
        """n draws."""
        return self.sample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability, or of its density, at a value."""
        raise NotImplementedError(f"{type(self).__name__}: no log_prob")

    def entropy(self) -> Tensor:
        """How uncertain a draw is, in nats."""
        raise NotImplementedError(f"{type(self).__name__}: no entropy")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a draw up to a value."""
        raise NotImplementedError(f"{type(self).__name__}: no cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The value up to which a draw falls with a probability."""
        raise NotImplementedError(f"{type(self).__name__}: no icdf")

    @property
    def mean(self) -> Tensor:
        """The mean of a draw."""
        raise NotImplementedError(f"{type(self).__name__}: no mean")

    @property
    def variance(self) -> Tensor:
        """The variance of a draw."""
        raise NotImplementedError(f"{type(self).__name__}: no variance")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation of a draw."""
        return self.variance.sqrt()

    def perplexity(self) -> Tensor:
        """e to the entropy."""
        return self.entropy().exp()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch {tuple(self._batch_shape)})"


class ExponentialFamily(Distribution):
    """A distribution of the exponential family; the name is kept for those who subclass it."""


class Independent(Distribution):
    """A distribution whose last batch axes are counted as axes of one draw.

    >>> normal = schuss.distributions.Normal(schuss.zeros(3), 1.0)
    >>> Independent(normal, 1).log_prob(schuss.zeros(3)).shape
    schuss.Size([])
    """

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        n, batch = reinterpreted_batch_ndims, base_distribution.batch_shape
        if not 0 <= n <= len(batch):
            raise ValueError(f"Independent: {n} axes of a batch of {tuple(batch)}")
        cut = len(batch) - n
        super().__init__(batch[:cut], (*batch[cut:], *base_distribution.event_shape))
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, n
        self.has_rsample = base_distribution.has_rsample

    def _summed(self, x: Tensor) -> Tensor:
        n = self.reinterpreted_batch_ndims
        return x.sum(tuple(range(-n, 0))) if n else x

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._summed(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        return self._summed(self.base_dist.entropy())

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance
