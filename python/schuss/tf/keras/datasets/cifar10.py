"""CIFAR-10 as arrays, from the archive that its author published.
Leans on vision's data set."""

import os

import numpy as np

from schuss.vision.datasets import CIFAR10


def load_data():
    """(x_train, y_train), (x_test, y_test): bytes of (N, 32, 32, 3), classes of (N, 1)."""
    root = os.path.join(os.path.expanduser("~"), ".keras", "datasets")
    train, test = (CIFAR10(root, train=part, download=True) for part in (True, False))
    return tuple(
        (np.ascontiguousarray(s.data), np.array(s.targets)[:, None]) for s in (train, test)
    )
