"""FakeData: pictures of noise, for trying a program before its data are there.
Leans on the core's random numbers; the same index gives the same picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.vision.datasets.base import VisionDataset
from schuss.vision.transforms.pictures import picture_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class FakeData(VisionDataset):
    """`size` pictures of noise, each with a random class.

    >>> from schuss.vision import transforms
    >>> data = FakeData(10, (3, 8, 8), 4, transforms.ToTensor())
    >>> len(data), data[0][0].shape, data[0][1] < 4
    (10, schuss.Size([3, 8, 8]), True)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(None, transform=transform, target_transform=target_transform)
        self.size, self.image_size, self.num_classes = size, tuple(image_size), num_classes
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not 0 <= index < self.size:
            raise IndexError(f"FakeData: index {index} is outside the {self.size} pictures")
        draw = schuss.Generator().manual_seed(index + self.random_offset)
        here = {"generator": draw, "device": "cpu"}
        noise = schuss.randint(0, 256, self.image_size, **here).to(schuss.uint8)
        target = int(schuss.randint(0, self.num_classes, (1,), **here).item())
        pixels = noise.permute(1, 2, 0).contiguous().numpy()
        return self.prepared(
            picture_of(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels), target
        )

    def __len__(self) -> int:
        return self.size
