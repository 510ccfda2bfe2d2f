"""House prices in Boston as arrays, from Keras's archive.
Leans on the archives beside it."""

import numpy as np

from schuss.tf.keras.datasets.archives import archive, arrays


def load_data(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113):
    """(x_train, y_train), (x_test, y_test), shuffled by NumPy's generator with the seed."""
    x, y = arrays(archive(path), ("x", "y"))
    order = np.random.RandomState(seed).permutation(len(x))
    cut = int(len(x) * (1 - test_split))
    train, test = order[:cut], order[cut:]
    return (x[train], y[train]), (x[test], y[test])
