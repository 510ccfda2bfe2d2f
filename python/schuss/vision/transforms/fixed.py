"""Transforms that do the same to every picture, and those that put others in a row.
Leans on the functions beside it and on nn.Module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import nn
from schuss.naming import Checked
from schuss.vision.transforms import functional as F
from schuss.vision.transforms.functional import InterpolationMode
from schuss.vision.transforms.geometry import mode_of, pair

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from schuss import Tensor


class Compose(Checked):
    """Transforms one after the other.

    >>> import numpy as np
    >>> Compose([ToTensor(), Normalize(0.5, 0.5)])(np.array([[0, 255]], np.uint8))
    tensor([[[-1.,  1.]]])
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        lines = "".join(f"\n    {transform}" for transform in self.transforms)
        return f"{type(self).__name__}({lines}\n)"


class ToTensor:
    """A picture, or an array of (H, W, C), as floats of (C, H, W); bytes become 0..1."""

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PILToTensor:
    """A picture as a tensor of (C, H, W) that keeps its values."""

    def __call__(self, pic: Any) -> Tensor:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ToPILImage:
    """A tensor of (C, H, W), or an array of (H, W, C), as a picture of Pillow's."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.mode is None else f'mode={self.mode}'})"


class Lambda:
    """A function as a transform; TypeError where it cannot be called."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Lambda: takes a function, got {type(lambd).__name__}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Transform(nn.Module):
    """A transform that is a module too, so that nn.Sequential can hold it."""

    _shown: tuple[str, ...] = ()

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._shown)


class ConvertImageDtype(Transform):
    """Another dtype, scaled so that white stays white."""

    _shown = ("dtype",)

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        return F.convert_image_dtype(image, self.dtype)


class Normalize(Transform):
    """(x - mean) / std for each channel."""

    _shown = ("mean", "std")

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = mean, std, inplace

    def forward(self, tensor: Tensor) -> Tensor:
        return F.normalize(tensor, self.mean, self.std, self.inplace)


class Resize(Transform):
    """Another size; one number is the length of the shorter side."""

    _shown = ("size", "max_size")

    def __init__(
        self,
        size: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if not isinstance(size, (int, list, tuple)):
            raise TypeError(f"Resize: size is an int or (height, width), got {size!r}")
        if not isinstance(size, int) and len(size) not in (1, 2):
            raise ValueError(f"Resize: size is an int or (height, width), got {size!r}")
        self.size, self.max_size = size, max_size
        self.interpolation, self.antialias = mode_of(interpolation), antialias

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)


class CenterCrop(Transform):
    """The middle of a picture."""

    _shown = ("size",)

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = pair(size, "CenterCrop")

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)


class Pad(Transform):
    """A border around a picture."""

    _shown = ("padding", "fill", "padding_mode")

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError(f"Pad: padding_mode {padding_mode!r} is unknown")
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)


class FiveCrop(Transform):
    """The four corners of a picture and its middle, as a tuple."""

    _shown = ("size",)

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = pair(size, "FiveCrop")

    def forward(self, img: Any) -> Any:
        return F.five_crop(img, self.size)


class TenCrop(Transform):
    """FiveCrop's parts and those of the mirrored picture."""

    _shown = ("size", "vertical_flip")

    def __init__(self, size: Any, vertical_flip: bool = False) -> None:
        super().__init__()
        self.size, self.vertical_flip = pair(size, "TenCrop"), vertical_flip

    def forward(self, img: Any) -> Any:
        return F.ten_crop(img, self.size, self.vertical_flip)


class Grayscale(Transform):
    """A picture in greys, in one channel or three."""

    _shown = ("num_output_channels",)

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)


class LinearTransformation(Transform):
    """All pixels as one row less a mean, times a square matrix: whitening, for one."""

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        super().__init__()
        rows, columns = transformation_matrix.shape
        if rows != columns or mean_vector.shape[0] != rows:
            raise ValueError(
                f"LinearTransformation: a square matrix and a mean of its size, got {rows} x "
                f"{columns} and {tuple(mean_vector.shape)}"
            )
        self.transformation_matrix, self.mean_vector = transformation_matrix, mean_vector

    def forward(self, tensor: Tensor) -> Tensor:
        size = tensor.shape[-3:]
        if size.numel() != self.mean_vector.shape[0]:
            raise schuss.ShapeError(
                f"LinearTransformation: pictures of {tuple(size)} have {size.numel()} values, the "
                f"matrix takes {self.mean_vector.shape[0]}"
            )
        flat = tensor.reshape(-1, size.numel()) - self.mean_vector
        return (flat @ self.transformation_matrix).reshape(tensor.shape)
