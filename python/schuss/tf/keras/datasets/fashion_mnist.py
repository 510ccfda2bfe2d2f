"""Fashion-MNIST as arrays, from the four files that Keras keeps.
Leans on the idx reader of vision's data sets."""

import numpy as np

from schuss.tf.keras.datasets.archives import HOME
from schuss.tf.keras.utils import get_file
from schuss.vision.datasets.handwriting import read_idx


def load_data():
    """(x_train, y_train), (x_test, y_test): bytes of (N, 28, 28) and classes."""

    def read(name: str) -> np.ndarray:
        folder = "datasets/fashion-mnist"
        return read_idx(get_file(f"{name}-ubyte.gz", f"{HOME}{name}-ubyte.gz", cache_subdir=folder))

    train, test = (
        (read(f"{part}-images-idx3"), read(f"{part}-labels-idx1")) for part in ("train", "t10k")
    )
    return train, test
