"""Constraints: which values a parameter or a draw may have, asked by `check`.
Leans on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import Tensor

if TYPE_CHECKING:
    from typing import Any


class Constraint:
    """A set of values: `check` says of each whether it is inside; `event_dim` axes make one value.

    >>> schuss.distributions.constraints.positive.check(schuss.tensor([1.0, -1.0]))
    tensor([ True, False])
    """

    is_discrete = False
    event_dim = 0

    def check(self, value: Tensor) -> Tensor:
        """Whether each value is inside."""
        raise NotImplementedError(f"{type(self).__name__}: no check")

    def __repr__(self) -> str:
        return f"{type(self).__name__.lstrip('_')}()"


class _Dependent(Constraint):
    """A set that depends on other parameters; it cannot be checked alone."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, *, is_discrete: bool = False, event_dim: int = 0) -> _Dependent:
        return _Dependent(is_discrete=is_discrete, event_dim=event_dim)

    def check(self, value: Tensor) -> Tensor:
        raise ValueError("dependent: the constraint depends on parameters; ask the distribution's")


class _DependentProperty(property, _Dependent):
    """A property of a distribution that is a constraint, and on the class a dependent one."""

    def __init__(self, fn: Any = None, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        property.__init__(self, fn)
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, fn: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _DependentProperty(fn, is_discrete=self.is_discrete, event_dim=self.event_dim)


class _By(Constraint):
    """A set given by a test of its values."""

    def __init__(
        self, name: str, test: Any, *, is_discrete: bool = False, event_dim: int = 0
    ) -> None:
        self._name, self._test = name, test
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def check(self, value: Tensor) -> Tensor:
        return self._test(value)

    def __repr__(self) -> str:
        return self._name


class _Range(Constraint):
    """Numbers between two bounds, each of which may belong to them or be absent."""

    def __init__(
        self, name: str, low: Any, high: Any, closed: tuple[bool, bool], whole: bool = False
    ) -> None:
        self._name, self._closed, self.is_discrete = name, closed, whole
        self.lower_bound, self.upper_bound = low, high

    def check(self, value: Tensor) -> Tensor:
        good = value == value
        if self.lower_bound is not None:
            above = value >= self.lower_bound if self._closed[0] else value > self.lower_bound
            good = good & above
        if self.upper_bound is not None:
            below = value <= self.upper_bound if self._closed[1] else value < self.upper_bound
            good = good & below
        return good & (value % 1 == 0) if self.is_discrete else good

    def __repr__(self) -> str:
        return f"{self._name}(lower_bound={self.lower_bound}, upper_bound={self.upper_bound})"


class greater_than(_Range):
    """Numbers above a bound."""

    def __init__(self, lower_bound: Any) -> None:
        super().__init__("greater_than", lower_bound, None, (False, False))


class greater_than_eq(_Range):
    """Numbers at or above a bound."""

    def __init__(self, lower_bound: Any) -> None:
        super().__init__("greater_than_eq", lower_bound, None, (True, False))


class less_than(_Range):
    """Numbers below a bound."""

    def __init__(self, upper_bound: Any) -> None:
        super().__init__("less_than", None, upper_bound, (False, False))


class interval(_Range):
    """Numbers from one bound to another, both included."""

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        super().__init__("interval", lower_bound, upper_bound, (True, True))


class half_open_interval(_Range):
    """Numbers from one bound up to another, which is left out."""

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        super().__init__("half_open_interval", lower_bound, upper_bound, (True, False))


class integer_interval(_Range):
    """Whole numbers from one bound to another, both included."""

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        super().__init__("integer_interval", lower_bound, upper_bound, (True, True), True)


class multinomial(Constraint):
    """Counts that add up to at most a number."""

    is_discrete, event_dim = True, 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)


class independent(Constraint):
    """Another constraint whose last axes are counted as axes of one value."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims

    def check(self, value: Tensor) -> Tensor:
        found = self.base_constraint.check(value)
        n = self.reinterpreted_batch_ndims
        return found.flatten(found.ndim - n).all(-1) if n else found


class _Parts(Constraint):
    """Several constraints, each of its own part of an axis."""

    def __init__(self, cseq: Any, dim: int, lengths: Any, joined: bool) -> None:
        self.cseq, self.dim, self._joined = list(cseq), dim, joined
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        deepest = max(c.event_dim for c in self.cseq)
        self.event_dim = deepest if joined or dim >= 0 or -dim > deepest else deepest + 1

    def check(self, value: Tensor) -> Tensor:
        if not self._joined:
            parts = value.unbind(self.dim)
            return schuss.stack(
                [c.check(v) for c, v in zip(self.cseq, parts, strict=True)], self.dim
            )
        parts = value.split(self.lengths, self.dim)
        return schuss.cat([c.check(v) for c, v in zip(self.cseq, parts, strict=True)], self.dim)


def cat(cseq: Any, dim: int = 0, lengths: Any = None) -> Constraint:
    """Constraints of parts that are joined along an axis."""
    return _Parts(cseq, dim, lengths, True)


def stack(cseq: Any, dim: int = 0) -> Constraint:
    """Constraints of the slices of an axis."""
    return _Parts(cseq, dim, None, False)


def is_dependent(constraint: Constraint) -> bool:
    """Whether a constraint depends on parameters."""
    return isinstance(constraint, _Dependent)


def _lower(value: Tensor) -> Tensor:
    return (value.tril() == value).flatten(-2).all(-1)


def _lower_cholesky(value: Tensor) -> Tensor:
    return _lower(value) & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


def _corr_cholesky(value: Tensor) -> Tensor:
    room = schuss.finfo(value.dtype).eps * value.shape[-1] * 10
    return _lower_cholesky(value) & ((value.square().sum(-1) - 1).abs() < room).all(-1)


def _square(value: Tensor) -> Tensor:
    return schuss.full(
        tuple(value.shape[:-2]), value.shape[-2] == value.shape[-1], dtype=schuss.bool
    )


def _symmetric(value: Tensor) -> Tensor:
    if value.shape[-2] != value.shape[-1]:
        return _square(value)
    return schuss.isclose(value, value.mT, atol=1e-6).flatten(-2).all(-1)


def _positive(value: Tensor, strict: bool) -> Tensor:
    if value.shape[-2] != value.shape[-1]:
        return _square(value)
    least = schuss.linalg.eigvalsh(value).min(-1).values
    return _symmetric(value) & (least > 0 if strict else least >= -1e-6)


def _one_hot(value: Tensor) -> Tensor:
    return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


def _simplex(value: Tensor) -> Tensor:
    return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


dependent = _Dependent()
dependent_property = _DependentProperty
boolean = _By("boolean", lambda v: (v == 0) | (v == 1), is_discrete=True)
one_hot = _By("one_hot", _one_hot, is_discrete=True, event_dim=1)
nonnegative_integer = _Range("nonnegative_integer", 0, None, (True, False), True)
positive_integer = _Range("positive_integer", 1, None, (True, False), True)
real = _By("real", lambda v: v == v)
real_vector = independent(real, 1)
positive, nonnegative = greater_than(0.0), greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
simplex = _By("simplex", _simplex, event_dim=1)
lower_triangular = _By("lower_triangular", _lower, event_dim=2)
lower_cholesky = _By("lower_cholesky", _lower_cholesky, event_dim=2)
corr_cholesky = _By("corr_cholesky", _corr_cholesky, event_dim=2)
square = _By("square", _square, event_dim=2)
symmetric = _By("symmetric", _symmetric, event_dim=2)
positive_semidefinite = _By("positive_semidefinite", lambda v: _positive(v, False), event_dim=2)
positive_definite = _By("positive_definite", lambda v: _positive(v, True), event_dim=2)

__all__ = [
    "Constraint",
    "boolean",
    "cat",
    "corr_cholesky",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "positive_integer",
    "positive_semidefinite",
    "real",
    "real_vector",
    "simplex",
    "square",
    "stack",
    "symmetric",
    "unit_interval",
]
