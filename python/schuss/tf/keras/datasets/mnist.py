"""MNIST as arrays, from Keras's archive mnist.npz.
Leans on the archives beside it."""

from schuss.tf.keras.datasets.archives import archive, arrays


def load_data(path: str = "mnist.npz"):
    """(x_train, y_train), (x_test, y_test): bytes of (N, 28, 28) and classes."""
    names = ("x_train", "y_train", "x_test", "y_test")
    x_train, y_train, x_test, y_test = arrays(archive(path), names)
    return (x_train, y_train), (x_test, y_test)
