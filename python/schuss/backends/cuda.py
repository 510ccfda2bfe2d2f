"""Switches of CUDA's libraries, which schuss does not use: they can be set and change nothing.
Leans on nothing."""

from __future__ import annotations

from contextlib import contextmanager


class Switches:
    """Attributes that can be set and change nothing."""

    def __init__(self, **values) -> None:
        self.__dict__.update(values)


matmul = Switches(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=False,
    allow_bf16_reduced_precision_reduction=False,
    fp32_precision="ieee",
)
cufft_plan_cache = Switches(size=0, max_size=0)


def is_built() -> bool:
    """Whether CUDA was built in: no. GPUs of every make are `schuss.gpu`'s.

    >>> schuss.backends.cuda.is_built()
    False
    """
    return False


def _switch(name: str):
    def enable(enabled: bool = True) -> None:
        pass

    enable.__name__ = enable.__qualname__ = name
    enable.__doc__ = "Accepted, and changes nothing."
    return enable


enable_flash_sdp, enable_math_sdp = _switch("enable_flash_sdp"), _switch("enable_math_sdp")
enable_mem_efficient_sdp = _switch("enable_mem_efficient_sdp")
enable_cudnn_sdp = _switch("enable_cudnn_sdp")


def flash_sdp_enabled() -> bool:
    """Whether attention is computed by FlashAttention's kernels: no."""
    return False


@contextmanager
def sdp_kernel(*args, **kwargs):
    """A block in which kernels for attention are chosen; there is one here."""
    yield


__all__ = [
    "enable_cudnn_sdp",
    "enable_flash_sdp",
    "enable_math_sdp",
    "enable_mem_efficient_sdp",
    "flash_sdp_enabled",
    "is_built",
    "matmul",
    "sdp_kernel",
]
