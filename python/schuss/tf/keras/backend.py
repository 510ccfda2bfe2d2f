"""keras.backend: the few names of it that programs still use.
Leans on the reductions of this package."""

from schuss.tf.mathematics import abs, exp, maximum, minimum, pow, sqrt, square
from schuss.tf.reductions import reduce_max as max
from schuss.tf.reductions import reduce_mean as mean
from schuss.tf.reductions import reduce_min as min
from schuss.tf.reductions import reduce_sum as sum


def clear_session(free_memory: bool = True) -> None:
    """Let the numbers in the names of layers begin anew.

    >>> clear_session()
    """
    from schuss.tf.keras.layers import base

    base._COUNTS.clear()


def epsilon() -> float:
    """The least number that logarithms are taken of.

    >>> epsilon()
    1e-07
    """
    return 1e-7


def floatx() -> str:
    """The dtype of weights."""
    return "float32"


__all__ = [
    "abs",
    "clear_session",
    "epsilon",
    "exp",
    "floatx",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "pow",
    "sqrt",
    "square",
    "sum",
]
