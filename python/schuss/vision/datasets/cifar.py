"""CIFAR-10 and CIFAR-100: colour pictures of 32 by 32, from the pickled or the binary files.
Leans on the download beside it, and on pickle with a table of the few names such a file needs."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import numpy as np

from schuss.vision.datasets.base import PixelDataset
from schuss.vision.datasets.download import check_integrity, fetch_any, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar

_SIDE = 32
_ROW = 3 * _SIDE * _SIDE


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """An empty array, as NumPy's pickles begin one."""
    if kind is not np.ndarray or tuple(shape) != (0,):
        raise pickle.UnpicklingError("an array that does not begin empty")
    return np.ndarray((0,), np.uint8)


def _dtype(code: Any, *flags: Any) -> np.dtype:
    """A dtype by its code; none that could hold objects."""
    found = np.dtype(code)
    if found.hasobject or found.itemsize == 0:
        raise pickle.UnpicklingError(f"an array of {code!r}")
    return found


def _encode(text: Any, form: Any = "latin1") -> bytes:
    return str(text).encode("latin1")


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _NAMES.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no CIFAR file does")
        return found


def read_pickle(path: str) -> dict[str, Any]:
    """The dictionary of a pickled file; nothing but arrays, numbers and text can come of it.

    RuntimeError where the file is damaged, or names anything else.
    """
    with open(path, "rb") as file:
        try:
            found = _Reader(file, encoding="latin1").load()
        except Exception as error:
            raise RuntimeError(
                f"{os.path.basename(path)} is damaged or no CIFAR file: {error}"
            ) from error
    if not isinstance(found, dict):
        raise RuntimeError(f"{os.path.basename(path)} holds a {type(found).__name__}, not a dict")
    return {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in found.items()}


def read_binary(path: str, labels: int) -> tuple[np.ndarray, list[int]]:
    """Pictures and the last of the labels of each record; RuntimeError for a file cut off."""
    data = np.fromfile(path, np.uint8)
    if not data.size or data.size % (_ROW + labels):
        raise RuntimeError(
            f"{os.path.basename(path)} has {data.size} bytes, no whole number of records of "
            f"{_ROW + labels}; it is cut off"
        )
    rows = data.reshape(-1, _ROW + labels)
    return rows[:, labels:], rows[:, labels - 1].tolist()


class CIFAR10(PixelDataset):
    """Small colour pictures of ten kinds (Krizhevsky, 2009): 50,000 and 10,000.

    The files are read from `root/cifar-10-batches-py`, or from `cifar-10-batches-bin` where only
    the binary version is there; with `download=True` the archive is fetched and its sum checked.
    A pickled file can hold arrays, numbers and text alone, and nothing in it is run. RuntimeError
    where files are missing or damaged.
    """

    base_folder, binary_folder = "cifar-10-batches-py", "cifar-10-batches-bin"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename, tgz_md5 = "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"
    train_list = tuple(f"data_batch_{i}" for i in range(1, 6))
    test_list = ("test_batch",)
    _labels, _bytes_of_labels = ("labels", "fine_labels"), 1
    classes: ClassVar[list[str]] = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        pictures, self.targets = [], []
        for name in self.train_list if train else self.test_list:
            rows, labels = self._read(name)
            pictures.append(rows.reshape(-1, 3, _SIDE, _SIDE))
            self.targets += labels
        self.data = np.concatenate(pictures).transpose(0, 2, 3, 1)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class."""
        return {name: i for i, name in enumerate(self.classes)}

    def _path(self, name: str) -> str | None:
        folder = self.root or ""
        pickled = os.path.join(folder, self.base_folder, name)
        binary = os.path.join(folder, self.binary_folder, name + ".bin")
        return next((path for path in (pickled, binary) if os.path.isfile(path)), None)

    def _read(self, name: str) -> tuple[np.ndarray, list[int]]:
        kind, path = type(self).__name__, self._path(name)
        if path is None:
            raise RuntimeError(
                f"{kind}: Dataset not found: {name} is not in "
                f"{os.path.join(self.root or '', self.base_folder)}; use download=True, or unpack "
                f"{self.filename} in {self.root}"
            )
        if path.endswith(".bin"):
            rows, labels = read_binary(path, self._bytes_of_labels)
        else:
            found = read_pickle(path)
            rows = found.get("data")
            labels = next((found[key] for key in self._labels if key in found), None)
        fits = (
            isinstance(rows, np.ndarray)
            and rows.dtype == np.uint8
            and rows.ndim == 2
            and rows.shape[1] == _ROW
            and isinstance(labels, (list, tuple, np.ndarray))
            and len(labels) == len(rows)
        )
        if not fits:
            raise RuntimeError(
                f"{kind}: {name} does not hold rows of {_ROW} bytes and as many labels"
            )
        labels = [int(label) for label in labels]  # type: ignore[union-attr]
        if labels and not 0 <= min(labels) <= max(labels) < self._count():
            raise RuntimeError(
                f"{kind}: {name} has labels from {min(labels)} to {max(labels)}, and there are "
                f"{self._count()} classes"
            )
        return rows, labels  # type: ignore[return-value]

    def _count(self) -> int:
        return 10

    def download(self) -> None:
        """Fetch and unpack the archive unless the files are there."""
        if all(self._path(name) for name in (*self.train_list, *self.test_list)):
            return
        path = os.path.join(self.root or "", self.filename)
        if not check_integrity(path, self.tgz_md5):
            fetch_any(type(self).__name__, [self.url], path, self.tgz_md5)
        unpack(path, self.root or "")

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """The same form with a hundred kinds of 20 families; `targets` are the kinds."""

    base_folder, binary_folder = "cifar-100-python", "cifar-100-binary"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename, tgz_md5 = "cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"
    train_list, test_list = ("train",), ("test",)
    _labels, _bytes_of_labels = ("fine_labels",), 2

    def _count(self) -> int:
        return 100

    @property
    def classes(self) -> list[str]:  # type: ignore[override]
        """The names of the kinds, from the file `meta` of the set."""
        folder = os.path.join(self.root or "", self.base_folder)
        text = os.path.join(self.root or "", self.binary_folder, "fine_label_names.txt")
        if os.path.isfile(os.path.join(folder, "meta")):
            return list(read_pickle(os.path.join(folder, "meta"))["fine_label_names"])
        if os.path.isfile(text):
            with open(text, encoding="ascii") as file:
                return file.read().split()
        raise RuntimeError(f"{type(self).__name__}: the names of the classes are not in {folder}")
