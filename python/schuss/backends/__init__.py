"""What programs ask and tell the libraries below PyTorch; schuss has none of them.
Leans on nothing: switches can be set and change nothing, questions are answered with no."""

from __future__ import annotations

from contextlib import contextmanager

from schuss.backends import cuda, cudnn, mps


class Library:
    """A library that PyTorch may be built with and schuss is not.

    >>> schuss.backends.mkldnn.is_available()
    False
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.enabled = False

    def is_available(self) -> bool:
        """Whether the library is there: no."""
        return False

    @contextmanager
    def flags(self, *args, **kwargs):
        """A block in which switches are set; they change nothing."""
        yield

    def __repr__(self) -> str:
        return f"schuss.backends.{self.name}"


mkl, mkldnn, openmp = Library("mkl"), Library("mkldnn"), Library("openmp")
opt_einsum, quantized, xeon = Library("opt_einsum"), Library("quantized"), Library("xeon")

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp", "opt_einsum", "quantized", "xeon"]
