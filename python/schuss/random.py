"""The state of the generator that all draws come from, by the name of PyTorch's module.
Leans on the makers of random tensors."""

from __future__ import annotations

from contextlib import contextmanager

import schuss
from schuss import get_rng_state, initial_seed, manual_seed, seed, set_rng_state


@contextmanager
def fork_rng(devices=None, enabled: bool = True, device_type: str = "cuda"):
    """A block after which the generator is as it was before.

    >>> with schuss.random.fork_rng():
    ...     inside = schuss.rand(1).item()
    >>> inside == schuss.rand(1).item()
    True
    """
    state = get_rng_state() if enabled else None
    try:
        yield
    finally:
        if state is not None:
            schuss.set_rng_state(state)


__all__ = ["fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]
