"""tf.optimizers: rules that change Variables by their gradients, by their names or as objects.
Leans on the rooms beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.tf.optimizers import schedules
from schuss.tf.optimizers.base import SGD, Adam, Optimizer
from schuss.tf.optimizers.rules import Adadelta, Adagrad, Adamax, AdamW, Nadam, RMSprop

if TYPE_CHECKING:
    from typing import Any

_KNOWN = {
    kind.__name__.lower(): kind
    for kind in (SGD, Adam, AdamW, Adamax, Nadam, RMSprop, Adagrad, Adadelta)
}


def get(identifier: Any) -> Optimizer:
    """The optimizer of a name; one that is an optimizer already as it is.

    >>> type(get("adam")).__name__
    'Adam'
    """
    if isinstance(identifier, Optimizer):
        return identifier
    kind = _KNOWN.get(str(identifier).lower())
    if kind is None:
        raise ValueError(
            f"optimizers.get: no optimizer {identifier!r}; there are {', '.join(sorted(_KNOWN))}"
        )
    return kind()


__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "get",
    "schedules",
]
