"""Data sets out of folders: every folder is a class, and the files in it are its pictures.
Leans on Pillow for reading pictures; DatasetFolder takes any reader."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from schuss.vision.datasets.base import VisionDataset
from schuss.vision.transforms.pictures import pillow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def has_file_allowed_extension(filename: str, extensions: Any) -> bool:
    """Whether a name ends as one of the extensions says, in any case.

    >>> has_file_allowed_extension("A.PNG", (".png",))
    True
    """
    endings = extensions if isinstance(extensions, str) else tuple(extensions)
    return filename.lower().endswith(endings)


def pil_loader(path: str) -> Any:
    """The picture of a file in red, green and blue; RuntimeError that names a file cut off."""
    image = pillow("ImageFolder")
    try:
        with open(path, "rb") as file:
            return image.open(file).convert("RGB")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        raise RuntimeError(f"{path} is no picture, or is damaged: {error}") from error


default_loader = pil_loader


def find_classes(directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
    """The folders in a folder in the order of their names, and the number of each.

    FileNotFoundError where there are none.
    """
    if not os.path.isdir(directory):
        raise FileNotFoundError(f"ImageFolder: there is no folder {os.fspath(directory)}")
    with os.scandir(directory) as entries:
        classes = sorted(entry.name for entry in entries if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"ImageFolder: no class folder in {os.fspath(directory)}")
    return classes, {name: i for i, name in enumerate(classes)}


def make_dataset(
    directory: str | os.PathLike[str],
    class_to_idx: dict[str, int] | None = None,
    extensions: Sequence[str] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """The files of all classes, as (path, number of the class), in the order of their names.

    ValueError unless one of `extensions` and `is_valid_file` is given; FileNotFoundError for a
    class without files.
    """
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("make_dataset: give extensions or is_valid_file, and not both")
    wanted: Any = is_valid_file
    if wanted is None:
        wanted = lambda path: has_file_allowed_extension(path, extensions)  # noqa: E731
    classes = find_classes(directory)[1] if class_to_idx is None else class_to_idx
    found, empty = [], []
    for name in sorted(classes):
        before = len(found)
        for folder, _, files in sorted(os.walk(os.path.join(directory, name), followlinks=True)):
            paths = (os.path.join(folder, file) for file in sorted(files))
            found += [(path, classes[name]) for path in paths if wanted(path)]
        if len(found) == before:
            empty.append(name)
    if empty and not allow_empty:
        kinds = f"; known endings: {', '.join(extensions)}" if extensions else ""
        raise FileNotFoundError(f"ImageFolder: no file for the classes {', '.join(empty)}{kinds}")
    return found


class DatasetFolder(VisionDataset):
    """Files sorted into one folder a class, read by `loader`; `samples` lists them all."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        loader: Callable[[str], Any],
        extensions: Sequence[str] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.classes, self.class_to_idx = self.find_classes(self.root or "")
        self.samples = make_dataset(
            self.root or "", self.class_to_idx, extensions, is_valid_file, allow_empty
        )
        self.targets = [target for _, target in self.samples]
        self.loader, self.extensions = loader, extensions

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        """The classes and their numbers; a subclass may find them otherwise."""
        return find_classes(directory)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self.prepared(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Pictures sorted into one folder a class, read by Pillow in red, green and blue."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(
            root, loader, extensions, transform, target_transform, is_valid_file, allow_empty
        )
        self.imgs = self.samples
