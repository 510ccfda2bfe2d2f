"""Data sets of pictures, read from the files that their authors published.
Leans on the rooms beside it."""

from schuss.vision.datasets.base import VisionDataset
from schuss.vision.datasets.cifar import CIFAR10, CIFAR100
from schuss.vision.datasets.folders import DatasetFolder, ImageFolder
from schuss.vision.datasets.handwriting import KMNIST, MNIST, FashionMNIST
from schuss.vision.datasets.letters import EMNIST, QMNIST
from schuss.vision.datasets.made import FakeData

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "QMNIST",
    "DatasetFolder",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "VisionDataset",
]


def __getattr__(name: str):
    known = ", ".join(__all__)
    raise AttributeError(
        f"module 'schuss.vision.datasets' has no data set {name!r}; there are {known}; another "
        "one is a class with __len__ and __getitem__"
    )
