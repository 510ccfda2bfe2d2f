"""What a tape checks and prepares before the engine walks it: targets, sources, weights, zeros.
Leans on the core's tensors and tapes."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import schuss
from schuss import DTypeError, ShapeError, Tensor, _core
from schuss.tape.listing import dtype_name
from schuss.tape.nest import flatten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class UnconnectedGradients(Enum):
    """What a tape gives for a source that the target does not depend on.

    >>> UnconnectedGradients("zero")
    <UnconnectedGradients.ZERO: 'zero'>
    """

    NONE = "none"
    ZERO = "zero"


def wants_zeros(value: UnconnectedGradients | str) -> bool:
    """Whether unconnected sources get zeros; ValueError for anything but 'none' and 'zero'.

    >>> wants_zeros("zero"), wants_zeros(UnconnectedGradients.NONE)
    (True, False)
    """
    try:
        return UnconnectedGradients(value) is UnconnectedGradients.ZERO
    except ValueError:
        raise ValueError(
            f"gradient: Unknown value for unconnected_gradients: {value!r}; use 'none' or 'zero'"
        ) from None


def warn(text: str) -> None:
    """Log a warning under the name schuss, as TensorFlow logs its own.

    >>> warn("gradient: the source is an integer")
    """
    import logging

    logging.getLogger("schuss").warning(text)


def differentiable(name: str, role: str, leaves: list[Any]) -> list[Tensor]:
    """Check that all leaves are tensors (else TypeError), and warn of those that are not floats.

    >>> len(differentiable("gradient", "source", [schuss.ones(2)]))
    1
    """
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise TypeError(f"{name}: a {role} must be a tensor, got {type(leaf).__name__}")
        if not leaf.dtype.is_floating_point:
            warn(
                f"{name}: The dtype of the {role} tensor must be floating, got "
                f"{dtype_name(leaf.dtype)}; it has no gradient"
            )
    return leaves


def listed(nest: Any) -> Any:
    """A nest as it is; an iterator, such as model.parameters(), as the list of what it gives.

    >>> listed(iter([1, 2]))
    [1, 2]
    """
    return list(nest) if hasattr(nest, "__next__") else nest


def pull(
    tape: _core.Tape, targets: list[Tensor], sources: list[Tensor], seeds: list[Tensor | None]
) -> list[Tensor | None]:
    """The engine's gradients; integer targets are left out, integer sources get None.

    >>> tape = schuss._core.Tape(True, True)
    >>> pull(tape, [schuss.tensor(1)], [schuss.tensor(1.0)], [None])
    [None]
    """
    pairs = [(t, s) for t, s in zip(targets, seeds, strict=True) if t.dtype.is_floating_point]
    ends = [s for s in sources if s.dtype.is_floating_point]
    if not pairs or not ends:
        return [None] * len(sources)
    found = iter(tape.gradient([t for t, _ in pairs], ends, [s for _, s in pairs]))
    return [next(found) if s.dtype.is_floating_point else None for s in sources]


def weights(targets: list[Tensor], given: Any) -> list[Tensor | None]:
    """The output gradients, one for each target; ValueError where their number differs.

    >>> weights([schuss.ones(2)], 3.0)[0].tolist()
    [3.0, 3.0]
    """
    if given is None:
        return [None] * len(targets)
    seeds = flatten(given)
    if len(seeds) != len(targets):
        raise ValueError(
            f"gradient: {len(targets)} targets but {len(seeds)} output_gradients; give one "
            "tensor, array or None for each target"
        )
    return [None if s is None else _weight(s, t) for s, t in zip(seeds, targets, strict=True)]


def _weight(seed: Any, target: Tensor) -> Tensor:
    if not isinstance(seed, Tensor):
        seed = schuss.tensor(seed, dtype=target.dtype, device=target.device)
    elif seed.dtype != target.dtype:
        raise DTypeError(
            f"gradient: output gradient {dtype_name(seed.dtype)} for a target "
            f"{dtype_name(target.dtype)}; use tf.cast on it"
        )
    if seed.shape == target.shape:
        return seed
    sizes = zip(reversed(seed.shape), reversed(target.shape), strict=False)
    if seed.ndim > target.ndim or any(a not in (1, b) for a, b in sizes):
        raise ShapeError(
            f"gradient: output gradient of shape {tuple(seed.shape)} for a target of shape "
            f"{tuple(target.shape)}; give one of the target's shape"
        )
    return seed.expand(target.shape)


def columns(target: Tensor, shape: tuple[int, ...], count: int) -> Iterator[Tensor]:
    """Weights that are one in one column of a reshaped target and zero elsewhere, in turn.

    >>> [w.tolist() for w in columns(schuss.ones(2), (-1,), 2)]
    [[1.0, 0.0], [0.0, 1.0]]
    """
    for k in range(count):
        seed = schuss.zeros(target.shape, dtype=target.dtype, device=target.device)
        seed.view(shape)[..., k] = 1.0
        yield _like(seed, target)


def joined(grads: list[Tensor | None], axis: int, shape: tuple[int, ...]) -> Tensor | None:
    """Gradients of all columns as one tensor of a shape; None where one is missing.

    >>> joined([schuss.ones(2), None], 0, (2, 2)) is None
    True
    """
    if not grads or any(grad is None for grad in grads):
        return None
    return schuss.stack(grads, axis).reshape(shape)


def filled(grad: Tensor | None, source: Tensor, shape: tuple[int, ...], zeros: bool) -> Any:
    """The gradient, or zeros of the shape in its stead where they are wanted.

    >>> filled(None, schuss.ones(2), (2,), True).tolist()
    [0.0, 0.0]
    """
    if grad is None and zeros:
        return _like(schuss.zeros(shape, dtype=source.dtype, device=source.device), source)
    return grad


def _like(made: Tensor, model: Tensor) -> Tensor:
    """Hands on the mark of tensors that follow TensorFlow's dtype rules."""
    if model._strict:
        made._mark_strict()
    return made
