"""Data sets by Keras's names: each module has load_data(), which gives arrays.
Leans on the archives that Keras keeps in ~/.keras/datasets, fetched where they are not there."""

from schuss.tf.keras.datasets import boston_housing, cifar10, fashion_mnist, imdb, mnist

__all__ = ["boston_housing", "cifar10", "fashion_mnist", "imdb", "mnist"]
