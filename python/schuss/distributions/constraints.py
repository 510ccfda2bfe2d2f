"""Constraints: which values a parameter or a draw may have, asked by `check`.
Leans on tensors."""

from __future__ import annotations

import math
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

    def words(self) -> str:
        """What a value must be, as errors say it."""
        return f"in {self!r}"

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
        self, name: str, test: Any, words: str, *, is_discrete: bool = False, event_dim: int = 0
    ) -> None:
        self._name, self._test, self._words = name, test, words
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def words(self) -> str:
        return self._words

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

    def words(self) -> str:
        what = "a whole number " if self.is_discrete else ""
        low, high = (_shown(bound) for bound in (self.lower_bound, self.upper_bound))
        if low is not None and high is not None:
            last = "" if self._closed[1] else ", without that"
            return f"{what}from {low} to {high}{last}"
        if low is not None:
            return f"{what}{'at least' if self._closed[0] else 'above'} {low}"
        return f"{what}{'at most' if self._closed[1] else 'below'} {high}"

    def __repr__(self) -> str:
        return f"{self._name}(lower_bound={self.lower_bound}, upper_bound={self.upper_bound})"


def _shown(bound: Any) -> Any:
    """A bound as a number, or as the list of them."""
    if isinstance(bound, Tensor):
        bound = bound.item() if bound.numel() == 1 else bound.tolist()
    if isinstance(bound, float):
        return None if math.isinf(bound) else int(bound) if bound.is_integer() else bound
    return bound


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
        good = ((value >= 0) & (value % 1 == 0)).all(-1)
        return good & (value.sum(-1) <= self.upper_bound)

    def words(self) -> str:
        return f"counts with a sum of at most {_shown(self.upper_bound)}"


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
        if n > found.ndim:
            raise ValueError(f"independent: {n} axes make one value, it has shape {value.shape}")
        return found.flatten(found.ndim - n).all(-1) if n else found

    def words(self) -> str:
        return self.base_constraint.words()


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
    square = value.shape[-2] == value.shape[-1]
    return value.new_full(tuple(value.shape[:-2]), square, dtype=schuss.bool)


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
boolean = _By("boolean", lambda v: (v == 0) | (v == 1), "0 or 1", is_discrete=True)
one_hot = _By("one_hot", _one_hot, "a single 1 among zeros", is_discrete=True, event_dim=1)
nonnegative_integer = _Range("nonnegative_integer", 0, None, (True, False), True)
positive_integer = _Range("positive_integer", 1, None, (True, False), True)
real = _By("real", lambda v: v == v, "numbers, and not NaN")
real_vector = independent(real, 1)
positive, nonnegative = greater_than(0.0), greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
simplex = _By("simplex", _simplex, "probabilities with the sum 1", event_dim=1)


def _matrix(name: str, test: Any, words: str) -> _By:
    return _By(name, test, words, event_dim=2)


_FACTOR = "a lower triangle with a positive diagonal"
lower_triangular = _matrix("lower_triangular", _lower, "a lower triangle")
lower_cholesky = _matrix("lower_cholesky", _lower_cholesky, _FACTOR)
corr_cholesky = _matrix("corr_cholesky", _corr_cholesky, f"{_FACTOR} and rows of length 1")
square = _matrix("square", _square, "a square matrix")
symmetric = _matrix("symmetric", _symmetric, "a symmetric matrix")
positive_semidefinite = _matrix(
    "positive_semidefinite", lambda v: _positive(v, False), "a positive semidefinite matrix"
)
positive_definite = _matrix(
    "positive_definite", lambda v: _positive(v, True), "a positive definite matrix"
)

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
