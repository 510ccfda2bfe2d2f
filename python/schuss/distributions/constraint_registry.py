"""Which transform leads from all numbers to a constraint: one to one, or as optimisers like it.
Leans on the transforms and constraints beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.distributions import constraints, transforms, wider_transforms

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class ConstraintRegistry:
    """Factories of transforms by constraint: `registry(constraint)` makes one."""

    def __init__(self) -> None:
        self._known: dict[Any, Callable[[Any], Any]] = {}

    def register(self, constraint: Any, factory: Any = None) -> Any:
        """Makes a function the factory for a constraint or a class of them; also a decorator."""
        if factory is None:
            return lambda made: self.register(constraint, made)
        self._known[constraint] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        # Constraints that are one of a kind come before their class.
        for key in (constraint, *type(constraint).__mro__):
            if key in self._known:
                return self._known[key](constraint)
        raise NotImplementedError(f"no transform leads to {constraint}; register one")


biject_to, transform_to = ConstraintRegistry(), ConstraintRegistry()


def _both(constraint: Any, factory: Any) -> None:
    biject_to.register(constraint, factory)
    transform_to.register(constraint, factory)


def _between(constraint: Any) -> Any:
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, (int, float)) and (low, high) == (0, 1):
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform(
        [transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)]
    )


def _above(constraint: Any) -> Any:
    low = constraint.lower_bound
    if isinstance(low, (int, float)) and low == 0:
        return transforms.ExpTransform()
    return transforms.ComposeTransform(
        [transforms.ExpTransform(), transforms.AffineTransform(low, 1)]
    )


def _below(constraint: Any) -> Any:
    return transforms.ComposeTransform(
        [transforms.ExpTransform(), transforms.AffineTransform(constraint.upper_bound, -1)]
    )


def _independent(registry: ConstraintRegistry) -> Any:
    def factory(constraint: Any) -> Any:
        inner = registry(constraint.base_constraint)
        return transforms.IndependentTransform(inner, constraint.reinterpreted_batch_ndims)

    return factory


def _parts(registry: ConstraintRegistry) -> Any:
    def factory(constraint: Any) -> Any:
        made = [registry(c) for c in constraint.cseq]
        if constraint._joined:
            return wider_transforms.CatTransform(made, constraint.dim, constraint.lengths)
        return wider_transforms.StackTransform(made, constraint.dim)

    return factory


_both(constraints.real, lambda c: wider_transforms.identity_transform)
_both(constraints.greater_than, _above)
_both(constraints.greater_than_eq, _above)
_both(constraints.less_than, _below)
_both(constraints.interval, _between)
_both(constraints.half_open_interval, _between)
_both(constraints.lower_cholesky, lambda c: wider_transforms.LowerCholeskyTransform())
_both(constraints.positive_definite, lambda c: wider_transforms.PositiveDefiniteTransform())
_both(constraints.positive_semidefinite, lambda c: wider_transforms.PositiveDefiniteTransform())
_both(constraints.corr_cholesky, lambda c: wider_transforms.CorrCholeskyTransform())
biject_to.register(constraints.simplex, lambda c: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: transforms.SoftmaxTransform())
for _registry in (biject_to, transform_to):
    _registry.register(constraints.independent, _independent(_registry))
    _registry.register(constraints._Parts, _parts(_registry))
