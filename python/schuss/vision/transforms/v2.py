"""The second generation's names: those of the first, and images and dtypes in two steps.
Leans on the transforms beside it; nothing here knows of boxes or masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import Tensor
from schuss.vision import transforms
from schuss.vision.transforms import *  # noqa: F403
from schuss.vision.transforms.fixed import Transform
from schuss.vision.transforms.functional import convert_image_dtype, pil_to_tensor

if TYPE_CHECKING:
    from typing import Any

__all__ = [*transforms.__all__, "Identity", "ToDtype", "ToImage", "ToPureTensor"]


class ToImage(Transform):
    """A picture or an array as a tensor of (C, H, W) with its own values.

    >>> import numpy as np
    >>> ToImage()(np.zeros((4, 5, 3), np.uint8)).shape
    schuss.Size([3, 4, 5])
    """

    def forward(self, img: Any) -> Tensor:
        return img if isinstance(img, Tensor) else pil_to_tensor(img)


class ToDtype(Transform):
    """Another dtype; with `scale` white stays white.

    >>> ToDtype(schuss.float32, scale=True)(schuss.tensor([[[255]]], dtype=schuss.uint8))
    tensor([[[1.]]])
    """

    _shown = ("dtype", "scale")

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        self.dtype, self.scale = dtype, scale

    def forward(self, img: Any) -> Any:
        if not isinstance(img, Tensor):
            return img
        return convert_image_dtype(img, self.dtype) if self.scale else img.to(self.dtype)


class Identity(Transform):
    """What comes in."""

    def forward(self, img: Any) -> Any:
        return img


class ToPureTensor(Identity):
    """What comes in: pictures are plain tensors here."""
