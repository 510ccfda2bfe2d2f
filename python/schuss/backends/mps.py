"""What programs ask about Apple's graphics library; its GPUs are reached as "gpu" here.
Leans on nothing."""


def is_available() -> bool:
    """Whether the device "mps" is there: no, an Apple GPU is called "gpu" as all others.

    >>> schuss.backends.mps.is_available()
    False
    """
    return False


def is_built() -> bool:
    """Whether the device "mps" was built in: no."""
    return False


__all__ = ["is_available", "is_built"]
