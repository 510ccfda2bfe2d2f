"""VisionDataset: a folder, and what is done to a picture and to its class.
Leans on utils.data."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss.naming import Checked
from schuss.utils.data import Dataset
from schuss.vision.transforms.fixed import Compose, Normalize, ToTensor
from schuss.vision.transforms.pictures import picture_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class VisionDataset(Checked, Dataset):
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
        pixels = pixels if isinstance(pixels, np.ndarray) else pixels.numpy()
        return self.prepared(picture_of(pixels), int(self.targets[index]))

    def __len__(self) -> int:
        return len(self.data)

    def whole_batches(self) -> Callable[[Any], list[Any]] | None:
        """The function from indices to a batch, where the transforms do the same to all pictures.

        That is ToTensor, and Normalize after it; None where pictures must be made one by one.
        """
        transform = self.transform
        chain = list(transform.transforms) if type(transform) is Compose else [transform]
        plain = type(self).__getitem__ is PixelDataset.__getitem__ and self._both is None
        rest: list[Any] = chain[1:]
        known = [type(t) for t in chain] == [ToTensor] + [Normalize] * len(rest)
        if not plain or not known or self.target_transform is not None:
            return None
        pixels = self.data if isinstance(self.data, schuss.Tensor) else schuss.from_numpy(self.data)
        if pixels.dtype != schuss.uint8 or pixels.ndim not in (3, 4):
            return None
        pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        targets = schuss.as_tensor(np.asarray(self.targets), dtype=schuss.int64)

        def gather(chosen: Any) -> list[Any]:
            x = pixels[chosen].contiguous().to(schuss.get_default_dtype()).div(255)
            for normalize in rest:
                x = normalize(x)
            return [x, targets[chosen]]

        return gather
