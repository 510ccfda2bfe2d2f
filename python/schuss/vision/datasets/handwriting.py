"""MNIST and the sets in its form: pictures of 28 by 28 in idx files, compressed or not.
Leans on the download beside it; every number of a file is checked before it is believed."""

from __future__ import annotations

import gzip
import lzma
import math
import os
import zlib
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss.vision.datasets.base import PixelDataset
from schuss.vision.datasets.download import check_integrity, fetch_any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar

# The third byte of an idx file says what its numbers are; they stand with the highest byte first.
_KINDS = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MOST = 1 << 32  # bytes: more than any of these sets has


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of an idx file, compressed if its name ends in .gz or .xz.

    RuntimeError where the file is cut off, longer than it says, or no idx file.
    """
    name = os.path.basename(path)
    opened: Any = {".gz": gzip.open, ".xz": lzma.open}.get(os.path.splitext(name)[1], open)
    try:
        with opened(path, "rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _KINDS or not head[3]:
                raise RuntimeError(f"{name} is no idx file: it begins with {head!r}")
            sizes = file.read(4 * head[3])
            if len(sizes) < 4 * head[3]:
                raise RuntimeError(f"{name} is cut off in its list of sizes")
            shape = [int(n) for n in np.frombuffer(sizes, ">u4")]
            kind = np.dtype(_KINDS[head[2]])
            whole = math.prod(shape) * kind.itemsize
            if whole > _MOST:
                raise RuntimeError(f"{name} says that it holds {shape}, which cannot be")
            data = file.read(whole + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise RuntimeError(f"{name} is damaged or cut off: {error}") from error
    if len(data) != whole:
        have = f"{len(data)} bytes" if len(data) < whole else "more"
        raise RuntimeError(f"{name} is to hold {shape}, {whole} bytes, and has {have}")
    return np.frombuffer(data, kind).astype(kind.newbyteorder("=")).reshape(shape)


class MNIST(PixelDataset):
    """Handwritten digits (LeCun, Cortes and Burges): 60,000 to train on and 10,000 to test on.

    The files are read from `root/MNIST/raw`, compressed or not, as they are published; with
    `download=True` they are fetched if they are not there, and their sums are checked. RuntimeError
    where files are missing, damaged, swapped or do not fit each other.
    """

    mirrors: tuple[str, ...] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    )
    resources: tuple[tuple[str, str], ...] = (
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    )
    classes: ClassVar[list[str]] = [
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    ]

    _label_axes = 1

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
        self.data, self.targets = self._read(*self._names())

    def _names(self) -> tuple[str, str]:
        """The files of pictures and labels of this part."""
        part = "train" if self.train else "t10k"
        return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"

    @property
    def raw_folder(self) -> str:
        """Where the published files are."""
        return os.path.join(self.root or "", type(self).__name__, "raw")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class."""
        return {name: i for i, name in enumerate(self.classes)}

    def _found(self, name: str) -> str | None:
        """The path of a file, as it is or compressed."""
        paths = (os.path.join(self.raw_folder, name + ending) for ending in ("", ".gz", ".xz"))
        return next((path for path in paths if os.path.isfile(path)), None)

    def _read(self, pictures: str, labels: str) -> tuple[Any, Any]:
        kind = type(self).__name__
        missing = [name for name in (pictures, labels) if self._found(name) is None]
        if missing:
            raise RuntimeError(
                f"{kind}: Dataset not found: {' and '.join(missing)} are not in {self.raw_folder}; "
                "use download=True, or put the published files there"
            )
        data, targets = (read_idx(self._found(name) or "") for name in (pictures, labels))
        if data.dtype != np.uint8 or data.ndim != 3:
            raise RuntimeError(
                f"{kind}: {pictures} holds {data.dtype} of shape {data.shape}, not pictures; are "
                "two files swapped?"
            )
        if targets.ndim != self._label_axes or targets.dtype.kind not in "iu":
            raise RuntimeError(
                f"{kind}: {labels} holds {targets.dtype} of shape {targets.shape}, not labels; are "
                "two files swapped?"
            )
        if len(data) != len(targets):
            raise RuntimeError(
                f"{kind}: {pictures} has {len(data)} pictures and {labels} {len(targets)} labels; "
                "they are not of one set"
            )
        classes = targets if targets.ndim == 1 else targets[:, 0]
        if classes.size and classes.max() >= len(self.classes):
            raise RuntimeError(
                f"{kind}: {labels} holds the label {classes.max()}, and there are "
                f"{len(self.classes)} classes"
            )
        return schuss.from_numpy(data), schuss.from_numpy(targets.astype(np.int64))

    def download(self) -> None:
        """Fetch what is not there; RuntimeError without a network or for a wrong sum."""
        for name, md5 in self.resources:
            if self._found(name.removesuffix(".gz")) is None:
                urls = [mirror + name for mirror in self.mirrors]
                fetch_any(type(self).__name__, urls, os.path.join(self.raw_folder, name), md5)

    def _check_exists(self) -> bool:
        return all(self._found(name.removesuffix(".gz")) for name, _ in self.resources)

    def verify(self) -> dict[str, bool]:
        """For each compressed file that is there, whether it is the one that was published."""
        paths = {name: os.path.join(self.raw_folder, name) for name, _ in self.resources}
        sums = dict(self.resources)
        return {
            name: check_integrity(path, sums[name])
            for name, path in paths.items()
            if os.path.isfile(path)
        }

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"

    # Older programs call both sets' parts so.
    @property
    def train_data(self) -> Any:
        """`data` by its older name."""
        return self.data

    test_data = train_data

    @property
    def train_labels(self) -> Any:
        """`targets` by its older name."""
        return self.targets

    test_labels = train_labels


class FashionMNIST(MNIST):
    """Clothes in the form of MNIST (Xiao, Rasul and Vollgraf, 2017), in `root/FashionMNIST/raw`."""

    mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    resources = (
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    )
    classes: ClassVar[list[str]] = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]


class KMNIST(MNIST):
    """Cursive Japanese in the form of MNIST (Clanuwat et al., 2018), in `root/KMNIST/raw`."""

    mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    resources = (
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    )
    classes: ClassVar[list[str]] = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
