"""VisionDataset: a folder, and what is done to a picture and to its class.
Leans on utils.data."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from schuss.utils.data import Dataset
from schuss.vision.transforms.pictures import picture_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class VisionDataset(Dataset):
    """Pictures and classes: a subclass defines `__getitem__` and `__len__`.

    `transforms` takes both at once; `transform` and `target_transform` one each.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transforms: Callable[..., Any] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError(
                f"{type(self).__name__}: give transforms, or transform and target_transform"
            )
        self.root = root if root is None else os.path.expanduser(root)
        self.transform, self.target_transform = transform, target_transform
        self._both = transforms

    @property
    def transforms(self) -> Callable[..., Any] | None:
        """What takes a picture and its class and returns both; None where nothing is done."""
        if self._both is None and (self.transform or self.target_transform):
            return self.prepared
        return self._both

    def prepared(self, img: Any, target: Any) -> tuple[Any, Any]:
        """A picture and its class after the transforms."""
        if self._both is not None:
            return self._both(img, target)
        if self.transform is not None:
            img = self.transform(img)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return img, target

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}: define __len__")

    def extra_repr(self) -> str:
        """Further lines for `repr`."""
        return ""

    def __repr__(self) -> str:
        lines = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            lines.append(f"Root location: {self.root}")
        lines += self.extra_repr().splitlines()
        for name in ("transform", "target_transform"):
            if getattr(self, name) is not None:
                lines.append(f"{name}: {getattr(self, name)}")
        return f"Dataset {type(self).__name__}\n" + "\n".join(f"    {line}" for line in lines)


class PixelDataset(VisionDataset):
    """A data set whose pictures are in memory as `data`, and their classes as `targets`."""

    data: Any
    targets: Any

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        pixels = self.data[index]
        pixels = pixels if type(pixels).__module__ == "numpy" else pixels.numpy()
        return self.prepared(picture_of(pixels), int(self.targets[index]))

    def __len__(self) -> int:
        return len(self.data)
