"""Which version this is, and of what it was not built with.
Leans on the core."""

from schuss._core import __version__

cuda = hip = xpu = git_version = None
debug = False

__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "xpu"]
