"""Distribution: what every one has, its shapes, and the refusal of parameters and values outside
their range. Leans on tensors and on constraints."""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING

import schuss
from schuss import Size, Tensor, _core
from schuss.distributions import constraints
from schuss.naming import Checked

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def tensors(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape and dtype; numbers go where the tensors lie."""
    for v in values:
        if not isinstance(v, Tensor) and not hasattr(v, "__float__"):
            owner = type(sys._getframe(1).f_locals.get("self")).__name__
            raise ValueError(
                f"{owner}: takes numbers and Tensors, got {type(v).__name__} {v!r}; use"
                " schuss.tensor(...) first"
            )
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
    try:
        return tuple(schuss.broadcast_tensors(*made))
    except RuntimeError:
        owner = type(sys._getframe(1).f_locals.get("self")).__name__
        shapes = " and ".join(str(tuple(v.shape)) for v in made)
        raise _core.ShapeError(f"{owner}: the shapes {shapes} do not broadcast") from None


def tensor_of_numbers(owner: str, name: str, value: Any, axes: int) -> Tensor:
    """A parameter that has at least so many axes; ValueError for a number, a list or fewer axes."""
    if isinstance(value, Tensor) and value.ndim >= axes:
        return value
    got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
    count = "one axis" if axes == 1 else "two axes"
    raise ValueError(f"{owner}: {name} is a tensor of {count} or more, got {got}")


def sizes(owner: Any, name: str, value: Any) -> tuple[Any, ...]:
    """A shape that a method was given as a tuple."""
    if isinstance(value, (tuple, list)):
        return tuple(value)
    if isinstance(value, Tensor) and value.ndim == 1:
        return tuple(value.tolist())
    kind = type(owner).__name__
    advice = f"; write ({value},)" if isinstance(value, int) else ""
    raise TypeError(f"{kind}: {name} is a tuple of sizes, got {value!r}{advice}")


def refuse(owner: Any, name: str, values: Tensor, good: Tensor, range_of: str) -> None:
    """ValueError unless all is good.

    Not asked where it cannot be: of what differs between the examples of a transformation.
    """
    op = type(owner).__name__
    bad = first_bad(values, good, op, f"{name} must be {range_of}")
    if bad is not None:
        raise ValueError(f"{op}: {name} must be {range_of}, found {bad}")


def first_bad(values: Tensor, good: Tensor, op: str, said: str) -> Any:
    """A value that is not good: a number, or the numbers of its last axes; None if all are.

    A compiled step asks in every run, with ValueError and the words given.
    """
    if _core._lifted(good) is not None:
        return None
    if _core._is_recording():
        _core._demand(good, "value", op, said)
        return None
    if bool(good.all()):
        return None
    values = values.detach()
    values = values.expand(*good.shape, *values.shape[good.ndim :]) if good.ndim else values
    return (values[~good][0] if good.ndim else values).tolist()


def _asked(method: Callable[..., Tensor], edges: bool) -> Callable[..., Tensor]:
    """A method of values that first asks whether they are in the support; with `edges`, whose
    edges count as well."""

    @wraps(method)
    def asked(self: Any, value: Any) -> Tensor:
        if self._validate:
            self._validate_sample(value, edges)
        return method(self, value)

    return asked


class Distribution(Checked):
    """A probability distribution: `sample` draws, `log_prob` says how likely a value is.

    `batch_shape` counts distributions that are independent and may differ, `event_shape` is the
    shape of one draw. `rsample` draws so that gradients reach the parameters.
    """

    has_rsample = False
    has_enumerate_support = False
    support: Any = None
    _default_validate = True
    # What a distribution of a program's own says of its parameters; ours look at theirs themselves.
    arg_constraints: Any = {}  # noqa: RUF012

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Distributions of others ask by themselves, by `_validate_sample`.
        if cls.__module__.startswith("schuss.distributions."):
            for name in ("log_prob", "cdf"):
                if name in cls.__dict__:
                    setattr(cls, name, _asked(cls.__dict__[name], name == "cdf"))

    def __init__(
        self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        self._validate = self._default_validate if validate_args is None else bool(validate_args)
        self._validate_args = self._validate
        if self._validate and self.arg_constraints:
            self._check_own_parameters()

    def _check_own_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and hasattr(getattr(type(self), name, None), "wrapped"):
                continue
            value = getattr(self, name)
            refuse(self, name, value, constraint.check(value.detach()), constraint.words())

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions made from now on check their parameters and values.

        ValueError for anything but True and False.
        """
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: must be True or False, got {value!r}")
        Distribution._default_validate = bool(value)

    def _validate_sample(self, value: Any, edges: bool = False) -> None:
        """ValueError for a value outside the support, or one whose last axes make no draw."""
        name = type(self).__name__
        if not isinstance(value, Tensor):
            if not hasattr(value, "__float__"):
                raise ValueError(
                    f"{name}: the value must be a Tensor, got {value!r}; use schuss.tensor(...)"
                )
            value = schuss.as_tensor(value, device="cpu")
        event = self._event_shape
        if event and tuple(value.shape[-len(event) :]) != tuple(event):
            raise _core.ShapeError(
                f"{name}: the value has shape {tuple(value.shape)}, its last axes must be"
                f" {tuple(event)}, one draw"
            )
        try:
            support = self.support
            good = None if support is None else support.check(value.detach())
        except NotImplementedError:
            return
        if good is None:
            return
        for bound in ("lower_bound", "upper_bound") if edges else ():
            at = getattr(support, bound, None)
            good = good if at is None else good | (value.detach() == at)
        said = f"{support.words()}; give validate_args=False to compute with it all the same"
        bad = first_bad(value, good, name, f"a value is outside of the support: it must be {said}")
        if bad is not None:
            raise ValueError(
                f"{name}: the value {bad} is outside of the support: it must be {said}"
            )

    @property
    def batch_shape(self) -> Size:
        """How many distributions there are."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    def _extended(self, sample_shape: Any) -> Size:
        given = sizes(self, "sample_shape", sample_shape)
        return Size((*given, *self._batch_shape, *self._event_shape))

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        """The shape of draws, by the name that distributions of programs ask for."""
        return self._extended(sample_shape)

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """What `expand` of a program's own distribution fills: made anew, without `__init__`."""
        if _instance is not None:
            return _instance
        if type(self).__init__ is not cls.__init__:
            raise NotImplementedError(
                f"{type(self).__name__}: has an __init__ of its own and must define expand"
            )
        return object.__new__(type(self))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Distribution:
        """This distribution with its parameters repeated to a wider batch."""
        batch_shape = sizes(self, "batch_shape", batch_shape)
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

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Every value that may come, along a new first axis, where they can be counted."""
        raise NotImplementedError(
            f"{type(self).__name__}: its values are too many to list; sample() draws some"
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
    def mode(self) -> Tensor:
        """The likeliest value."""
        raise NotImplementedError(f"{type(self).__name__}: no mode")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation of a draw."""
        return self.variance.sqrt()

    def perplexity(self) -> Tensor:
        """e to the entropy."""
        return self.entropy().exp()

    def __repr__(self) -> str:
        code = type(self).__init__.__code__
        names = code.co_varnames[1 : code.co_argcount]
        held = {name: self.__dict__.get(f"_{name}", self.__dict__.get(name)) for name in names}
        if isinstance(held.get("probs"), Tensor):
            held.pop("logits", None)
        shown = [
            f"{name}: {value.item() if value.numel() == 1 else value.shape}"
            for name, value in held.items()
            if isinstance(value, Tensor)
        ]
        inside = ", ".join(shown) or f"batch {tuple(self._batch_shape)}"
        return f"{type(self).__name__}({inside})"


def must_distribution(owner: str, value: Any) -> None:
    """ValueError for what is no distribution; those of others need not be subclasses."""
    if not hasattr(value, "batch_shape"):
        got = getattr(value, "__name__", None) or repr(value)
        raise ValueError(f"{owner}: needs a Distribution such as Normal(0.0, 1.0), got {got}")


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
        must_distribution("Independent", base_distribution)
        n, batch = reinterpreted_batch_ndims, base_distribution.batch_shape
        if not isinstance(n, int) or not 0 <= n <= len(batch):
            raise ValueError(
                f"Independent: reinterpreted_batch_ndims must be 0 to {len(batch)}, the axes of a"
                f" batch of {tuple(batch)}, got {n}"
            )
        cut = len(batch) - n
        super().__init__(batch[:cut], (*batch[cut:], *base_distribution.event_shape))
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, n
        self.has_rsample = base_distribution.has_rsample

    def _validate_sample(self, value: Any, edges: bool = False) -> None:
        """The distribution inside asks; a number may stand for a whole draw."""

    @property
    def support(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The support of what is inside, its last axes counted as one draw."""
        inner, n = self.base_dist.support, self.reinterpreted_batch_ndims
        return constraints.independent(inner, n) if n and inner is not None else inner

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return self.base_dist.mode

    def __repr__(self) -> str:
        return f"Independent({self.base_dist!r}, {self.reinterpreted_batch_ndims})"

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
