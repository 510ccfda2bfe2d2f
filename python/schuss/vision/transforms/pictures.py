"""What a picture may be, a tensor, an array or one of Pillow's, and the way from each to each.
Leans on tensors and NumPy; Pillow is asked for only where one of its pictures is wanted."""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PIL_ARRAYS = {"I": np.int32, "I;16": np.int16, "F": np.float32}


def is_pil(img: Any) -> bool:
    """Whether this is a picture of Pillow's; Pillow is not loaded to find out."""
    known = sys.modules.get("PIL.Image")
    return known is not None and isinstance(img, known.Image)


def pillow(what: str) -> Any:
    """Pillow's Image module; ImportError that says what needs it."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(f"{what}: needs Pillow; pip install pillow") from None
    return Image


def has_pillow() -> bool:
    """Whether Pillow can be imported."""
    try:
        from PIL import Image  # noqa: F401
    except ImportError:
        return False
    return True


def _array_of_pil(img: Any) -> np.ndarray:
    if img.mode == "1":
        return np.array(img, dtype=np.uint8) * np.uint8(255)
    return np.array(img, dtype=_PIL_ARRAYS.get(img.mode))


def _rows_first(name: str, pixels: np.ndarray) -> Tensor:
    """An array of (H, W) or (H, W, C) as a tensor of (C, H, W)."""
    if pixels.ndim not in (2, 3):
        raise ValueError(
            f"{name}: an array is (H, W) or (H, W, C), this one has shape {pixels.shape}"
        )
    moved = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return schuss.from_numpy(np.array(moved, order="C"))


def pil_to_tensor(pic: Any) -> Tensor:
    """A picture of Pillow's, or an array of (H, W, C), as a tensor of (C, H, W), not scaled.

    >>> import numpy as np
    >>> pil_to_tensor(np.zeros((4, 6, 3), np.uint8)).shape
    schuss.Size([3, 4, 6])
    """
    if is_pil(pic):
        return _rows_first("pil_to_tensor", _array_of_pil(pic))
    if isinstance(pic, np.ndarray):
        return _rows_first("pil_to_tensor", pic)
    raise TypeError(f"pil_to_tensor: takes a picture of Pillow's, got {type(pic).__name__}")


def to_tensor(pic: Any) -> Tensor:
    """A picture of Pillow's, or an array of (H, W, C), as floats of (C, H, W).

    Bytes 0..255 become 0..1; other kinds of number keep their values. TypeError for anything else.

    >>> import numpy as np
    >>> to_tensor(np.full((1, 2), 255, np.uint8))
    tensor([[[1., 1.]]])
    """
    if not (is_pil(pic) or isinstance(pic, np.ndarray)):
        raise TypeError(
            f"to_tensor: takes a picture of Pillow's or an array, got {type(pic).__name__}"
        )
    found = pil_to_tensor(pic)
    return found.to(schuss.get_default_dtype()).div(255) if found.dtype == schuss.uint8 else found


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor of (C, H, W) or (H, W), or an array of (H, W, C), as a picture of Pillow's.

    Floats are read as 0..1 where they come in a tensor. ValueError for a shape that is no picture.

    >>> to_pil_image(schuss.ones(3, 2, 5)).size
    (5, 2)
    """
    pil = pillow("to_pil_image")
    if isinstance(pic, Tensor):
        if pic.ndim not in (2, 3):
            raise ValueError(f"to_pil_image: a picture has 2 or 3 axes, not {tuple(pic.shape)}")
        pic = pic.detach()
        if pic.dtype.is_floating_point and mode != "F":
            pic = pic.mul(255).to(schuss.uint8)
        pixels = (pic if pic.ndim == 2 else pic.permute(1, 2, 0)).contiguous().numpy()
    elif isinstance(pic, np.ndarray):
        pixels = pic
    else:
        raise TypeError(f"to_pil_image: takes a tensor or an array, got {type(pic).__name__}")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 3 and not 2 <= pixels.shape[2] <= 4:
        raise ValueError(f"to_pil_image: 1 to 4 channels, not {pixels.shape[2]}")
    if pixels.ndim not in (2, 3):
        raise ValueError(f"to_pil_image: an array is (H, W) or (H, W, C), not {pixels.shape}")
    found = pil.fromarray(np.ascontiguousarray(pixels))
    return found if mode is None or found.mode == mode else found.convert(mode)


def picture_of(pixels: np.ndarray) -> Any:
    """What a data set shows for an array of bytes: Pillow's picture, or without it the array."""
    return to_pil_image(pixels) if has_pillow() else pixels


def get_dimensions(img: Any) -> list[int]:
    """Channels, height and width.

    >>> get_dimensions(schuss.zeros(3, 4, 6))
    [3, 4, 6]
    """
    if isinstance(img, Tensor):
        if img.ndim < 2:
            raise TypeError(f"a picture has 2 axes or more, this tensor is {tuple(img.shape)}")
        return [1 if img.ndim == 2 else img.shape[-3], img.shape[-2], img.shape[-1]]
    if is_pil(img):
        return [len(img.getbands()), img.height, img.width]
    if isinstance(img, np.ndarray) and img.ndim in (2, 3):
        return [img.shape[2] if img.ndim == 3 else 1, img.shape[0], img.shape[1]]
    raise TypeError(f"a picture is a tensor, an array or one of Pillow's, got {type(img).__name__}")


def on_tensors(function: Callable[..., Tensor]) -> Callable[..., Any]:
    """Let a function of a tensor take every kind of picture, and return the kind it was given."""

    @wraps(function)
    def any_kind(img: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(img, Tensor):
            get_dimensions(img)
            return function(img, *args, **kwargs)
        get_dimensions(img)
        made = function(pil_to_tensor(img), *args, **kwargs)
        if is_pil(img):
            mode = img.mode if len(img.getbands()) == made.shape[-3] else None
            return to_pil_image(made, mode)
        pixels = made.permute(1, 2, 0).contiguous().numpy()
        return pixels[:, :, 0] if img.ndim == 2 and pixels.shape[2] == 1 else pixels

    return any_kind


def whitest(img: Tensor) -> float:
    """The number that means full brightness in a dtype."""
    if img.dtype.is_floating_point:
        return 1.0
    return float(schuss.iinfo(img.dtype).max)


@on_tensors
def convert_image_dtype(image: Tensor, dtype: Any = None) -> Tensor:
    """The same picture in another dtype, scaled so that white stays white.

    >>> convert_image_dtype(schuss.tensor([[0, 255]], dtype=schuss.uint8), schuss.float32)
    tensor([[0., 1.]])
    """
    dtype = schuss.get_default_dtype() if dtype is None else dtype
    if image.dtype == dtype:
        return image
    top = whitest(schuss.empty(0, dtype=dtype))
    if image.dtype.is_floating_point:
        if dtype.is_floating_point:
            return image.to(dtype)
        # A little less than a whole step more, so that 1 becomes the largest and not the next.
        return image.mul(top + 1.0 - 1e-3).to(dtype)
    if dtype.is_floating_point:
        return image.to(dtype) / whitest(image)
    if top > whitest(image):
        return image.to(dtype) * int((top + 1) // (whitest(image) + 1))
    return schuss.div(image, int((whitest(image) + 1) // (top + 1)), rounding_mode="floor").to(
        dtype
    )
