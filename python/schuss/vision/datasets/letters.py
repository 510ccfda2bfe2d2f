"""EMNIST and QMNIST: more handwriting in MNIST's form, letters and digits, with who wrote them.
Leans on MNIST beside it; archives are unpacked as their authors publish them."""

from __future__ import annotations

import os
import shutil
import string
import zipfile
from typing import TYPE_CHECKING

from schuss.vision.datasets.download import check_integrity, fetch_any
from schuss.vision.datasets.handwriting import MNIST
from schuss.vision.transforms.pictures import picture_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar

# Letters whose capitals look alike are one class in the merged splits.
_ALIKE = set("cijklmopsuvwxyz")
_ALL = sorted(string.digits + string.ascii_letters)
_MERGED = [letter for letter in _ALL if letter not in _ALIKE]


class EMNIST(MNIST):
    """Handwritten letters and digits (Cohen et al., 2017), in `root/EMNIST/raw`.

    `split` is "byclass", "bymerge", "balanced", "letters", "digits" or "mnist". Pictures lie on
    their side, as published. With `download=True` the authors' archive is fetched, its sum checked,
    and all splits are unpacked. RuntimeError as for MNIST, ValueError for another split.
    """

    mirrors = ("https://biometrics.nist.gov/cs_links/EMNIST/",)
    resources = (("gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e"),)
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        "byclass": _ALL,
        "bymerge": _MERGED,
        "balanced": _MERGED,
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        if split not in self.splits:
            known = ", ".join(map(repr, self.splits))
            raise ValueError(f"EMNIST: split is one of {known}, got {split!r}")
        self.split = split
        self.classes = self.classes_split_dict[split]
        super().__init__(root, train, transform, target_transform, download)

    def _names(self) -> tuple[str, str]:
        part = f"emnist-{self.split}-{'train' if self.train else 'test'}"
        return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"

    def _check_exists(self) -> bool:
        return all(self._found(name) for name in self._names())

    def download(self) -> None:
        """Fetch and unpack the archive unless the split's files are there."""
        if self._check_exists():
            return
        ((name, md5),) = self.resources
        path = os.path.join(self.raw_folder, name)
        if not check_integrity(path, md5):
            fetch_any("EMNIST", [mirror + name for mirror in self.mirrors], path, md5)
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    # Only the files themselves: what a path in the archive says is not followed.
                    own = os.path.basename(member)
                    if own.startswith("emnist-") and own.endswith(".gz"):
                        with (
                            archive.open(member) as source,
                            open(os.path.join(self.raw_folder, own), "wb") as target,
                        ):
                            shutil.copyfileobj(source, target)
        except zipfile.BadZipFile as error:
            raise RuntimeError(f"EMNIST: {path} cannot be unpacked: {error}") from error


class QMNIST(MNIST):
    """MNIST again from its source, with who wrote each digit (Yadav and Bottou, 2019), in
    `root/QMNIST/raw`.

    `what` is "train", "test", "test10k", "test50k" or "nist". With `compat` a target is a class,
    else the 8 numbers that are known of a picture. `targets` holds all 8. RuntimeError as for
    MNIST, ValueError for another `what`.
    """

    mirrors = ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",)
    subsets: ClassVar[dict[str, str]] = {
        "train": "train",
        "test": "test",
        "test10k": "test",
        "test50k": "test",
        "nist": "nist",
    }
    _files: ClassVar[dict[str, tuple[tuple[str, str], ...]]] = {
        "train": (
            ("qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
            ("qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ),
        "test": (
            ("qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
            ("qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
        ),
        "nist": (
            ("xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834"),
            ("xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d"),
        ),
    }
    _label_axes = 2

    def __init__(
        self,
        root: str | os.PathLike[str],
        what: str | None = None,
        compat: bool = True,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        what = ("train" if train else "test") if what is None else what
        if what not in self.subsets:
            known = ", ".join(map(repr, self.subsets))
            raise ValueError(f"QMNIST: what is one of {known}, got {what!r}")
        self.what, self.compat = what, compat
        self.resources = self._files[self.subsets[what]]
        super().__init__(root, train, transform, target_transform, download)
        if what in ("test10k", "test50k"):
            part = slice(10_000) if what == "test10k" else slice(10_000, None)
            self.data, self.targets = self.data[part].clone(), self.targets[part].clone()

    def _names(self) -> tuple[str, str]:
        pictures, labels = (os.path.splitext(name)[0] for name, _ in self.resources)
        return pictures, labels

    def download(self) -> None:
        """Fetch what is not there; RuntimeError without a network or for a wrong sum."""
        for (name, md5), found in zip(self.resources, self._names(), strict=True):
            if self._found(found) is None:
                urls = [mirror + name for mirror in self.mirrors]
                fetch_any("QMNIST", urls, os.path.join(self.raw_folder, name), md5)

    def _check_exists(self) -> bool:
        return all(self._found(name) for name in self._names())

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        target = self.targets[index]
        pixels = self.data[index].numpy()
        return self.prepared(picture_of(pixels), int(target[0]) if self.compat else target)

    def extra_repr(self) -> str:
        return f"Split: {self.what}"
