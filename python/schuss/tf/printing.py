"""tf.print: the values of tensors among other things, on the error stream.
Leans on NumPy's printing."""

from __future__ import annotations

import builtins
import sys
from typing import TYPE_CHECKING

import numpy as np

from schuss import Tensor

if TYPE_CHECKING:
    from typing import Any


def print(*inputs: Any, output_stream: Any = None, end: str = "\n", sep: str = " ") -> None:
    """Write values to a stream (sys.stderr, as TensorFlow does), tensors as their numbers.

    >>> print("loss", schuss.tensor([1.0, 2.0]), output_stream=sys.stdout)
    loss [1. 2.]
    """
    shown = [np.asarray(x.detach()) if isinstance(x, Tensor) else x for x in inputs]
    builtins.print(*shown, sep=sep, end=end, file=output_stream or sys.stderr)
