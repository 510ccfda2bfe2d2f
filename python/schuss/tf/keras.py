"""tf.keras: the losses and optimizers under Keras's name.
Leans on both."""

from __future__ import annotations

from schuss.tf import losses, optimizers

__all__ = [
    "losses",
    "optimizers",
]
