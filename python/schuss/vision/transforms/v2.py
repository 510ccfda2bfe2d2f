"""The second generation's names: those of the first, and images and dtypes in two steps.
Leans on the transforms beside it; nothing here knows of boxes or masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import Tensor, nn
from schuss.vision import transforms
from schuss.vision.transforms import *  # noqa: F403
from schuss.vision.transforms import functional as F
from schuss.vision.transforms.fixed import Transform
from schuss.vision.transforms.functional import convert_image_dtype, pil_to_tensor
from schuss.vision.transforms.pictures import on_tensors

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    *transforms.__all__,
    "CutMix",
    "GaussianNoise",
    "Identity",
    "MixUp",
    "RGB",
    "RandomChannelPermutation",
    "ToDtype",
    "ToImage",
    "ToPureTensor",
    "Transform",
]

_ABSENT = {
    "ClampBoundingBoxes": "boxes",
    "ClampKeyPoints": "key points",
    "ConvertBoundingBoxFormat": "boxes",
    "RandomIoUCrop": "boxes",
    "SanitizeBoundingBoxes": "boxes",
    "SanitizeKeyPoints": "key points",
    "SetClampingMode": "boxes",
    "UniformTemporalSubsample": "videos",
}
_INSTEAD = {
    "JPEG": "vision.io writes pictures as files",
    "RandomPhotometricDistort": "ColorJitter and RandomChannelPermutation do the same",
    "RandomResize": "Lambda(lambda x: functional.resize(x, size)) with a size that is drawn",
    "RandomShortestSize": "Lambda(lambda x: functional.resize(x, size)) with a size that is drawn",
    "RandomZoomOut": "Pad and RandomAffine do the same",
    "ScaleJitter": "RandomResizedCrop and RandomAffine do the same",
}


def __getattr__(name: str) -> Any:
    from schuss.absent import missing

    said = f"module {__name__!r} has no attribute {name!r}"
    if name in _ABSENT:
        raise AttributeError(f"{said}: transforms know of pictures alone, not of {_ABSENT[name]}")
    if name in _INSTEAD:
        raise AttributeError(f"{said}: {_INSTEAD[name]}")
    raise missing(__name__, name)


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


class RGB(Transform):
    """A picture in three channels; greys are repeated."""

    def forward(self, img: Any) -> Any:
        grey = F.get_image_num_channels(img) == 1
        return F.rgb_to_grayscale(img, 3) if grey else img


class GaussianNoise(Transform):
    """Floats from 0 to 1 with normal numbers added.

    >>> GaussianNoise(sigma=0.0)(schuss.tensor([[[0.5]]]))
    tensor([[[0.5000]]])
    """

    _shown = ("mean", "sigma", "clip")

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        super().__init__()
        if sigma < 0:
            raise ValueError(f"GaussianNoise: sigma must be at least 0, got {sigma}")
        self.mean, self.sigma, self.clip = mean, sigma, clip

    def forward(self, img: Any) -> Any:
        if not isinstance(img, Tensor) or not img.dtype.is_floating_point:
            got = img.dtype.name if isinstance(img, Tensor) else type(img).__name__
            raise ValueError(f"GaussianNoise: takes a float tensor, got {got}; use ToDtype first")
        made = img + self.mean + self.sigma * schuss.randn_like(img)
        return made.clamp(0, 1) if self.clip else made


class RandomChannelPermutation(Transform):
    """The channels in an order that is drawn."""

    def forward(self, img: Any) -> Any:
        if not isinstance(img, Tensor):
            return on_tensors(self.forward)(img)
        return img[..., schuss.randperm(img.shape[-3]), :, :]


class _Mixed(Transform):
    """Batches of pictures mixed with themselves one place on, and their classes as shares."""

    _shown = ("alpha", "num_classes")

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"{type(self).__name__}: alpha must be above 0, got {alpha}")
        self.alpha, self.num_classes = float(alpha), num_classes

    def forward(self, *inputs: Any) -> Any:
        name = type(self).__name__
        images, labels = inputs if len(inputs) == 2 else inputs[0]
        if images.ndim != 4 or labels.ndim > 2 or len(images) != len(labels):
            raise ValueError(
                f"{name}: takes a batch, pictures (N, C, H, W) and classes (N), got "
                f"{tuple(images.shape)} and {tuple(labels.shape)}"
            )
        if labels.ndim == 1:
            if self.num_classes is None:
                raise ValueError(f"{name}: give num_classes where labels are class numbers")
            labels = nn.functional.one_hot(labels, self.num_classes)
        labels = labels.to(images.dtype if images.is_floating_point() else schuss.float32)
        share = schuss.distributions.Beta(self.alpha, self.alpha).sample().item()
        images, share = self._mixed(images, share)
        return images, labels * share + labels.roll(1, 0) * (1 - share)

    def _mixed(self, images: Tensor, share: float) -> tuple[Tensor, float]:
        raise NotImplementedError(f"{type(self).__name__}: define _mixed(images, share)")


class MixUp(_Mixed):
    """Weighted means of neighbours in a batch, and of their classes (Zhang et al., 2018).

    >>> x, y = MixUp(num_classes=3)(schuss.rand(4, 1, 8, 8), schuss.tensor([0, 1, 2, 0]))
    >>> x.shape, y.sum(1).round().tolist()
    (schuss.Size([4, 1, 8, 8]), [1.0, 1.0, 1.0, 1.0])
    """

    def _mixed(self, images: Tensor, share: float) -> tuple[Tensor, float]:
        made = images * share + images.roll(1, 0) * (1 - share)
        return made.to(images.dtype), share


class CutMix(_Mixed):
    """A box of each picture taken from its neighbour, classes by area (Yun et al., 2019).

    >>> x, y = CutMix(num_classes=3)(schuss.rand(4, 1, 8, 8), schuss.tensor([0, 1, 2, 0]))
    >>> x.shape, y.sum(1).round().tolist()
    (schuss.Size([4, 1, 8, 8]), [1.0, 1.0, 1.0, 1.0])
    """

    def _mixed(self, images: Tensor, share: float) -> tuple[Tensor, float]:
        height, width = images.shape[-2:]
        sides = []
        for n in (height, width):
            middle = int(schuss.randint(n, (1,)).item())
            half = int(0.5 * (1 - share) ** 0.5 * n)
            sides.append(slice(max(middle - half, 0), min(middle + half, n)))
        rows, columns = sides
        made = images.clone()
        made[..., rows, columns] = images.roll(1, 0)[..., rows, columns]
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        return made, 1 - area / (height * width)
