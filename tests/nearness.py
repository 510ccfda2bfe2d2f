"""How near numbers of TensorFlow's kind must come: a few units in their last place.
Leans on NumPy alone, so that TensorFlow can be tested by the same files."""

from __future__ import annotations

import numpy as np


def close(x, expected, dtype=None):
    """Equal within sixteen units in the last place of the tensor's dtype, and of that dtype."""
    x = np.asarray(x.numpy())
    assert dtype is None or x.dtype == np.dtype(dtype)
    width = 16 * np.finfo(x.dtype).eps if x.dtype.kind == "f" else 0
    np.testing.assert_allclose(x, expected, rtol=width, atol=width)
    assert x.shape == np.shape(expected)
