"""Which kernel computes attention, as programs choose it: there is one here, whatever they choose.
Leans on nothing."""

from __future__ import annotations

from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class SDPBackend(IntEnum):
    """PyTorch's kernels for scaled_dot_product_attention, by their names."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(
    backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False
) -> Iterator[None]:
    """A block in which kernels for attention are chosen; accepted, and changes nothing.

    >>> from schuss.nn.attention import SDPBackend, sdpa_kernel
    >>> with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
    ...     pass
    """
    listed = [backends] if isinstance(backends, SDPBackend) else list(backends)
    wrong = [kind for kind in listed if not isinstance(kind, SDPBackend)]
    if wrong or not listed:
        raise TypeError(f"sdpa_kernel: needs one or more of SDPBackend's kinds, got {backends!r}")
    yield


__all__ = ["SDPBackend", "sdpa_kernel"]
