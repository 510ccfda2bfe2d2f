"""Pictures from files and to files, as tensors of bytes.
Leans on Pillow, which reads and writes every format."""

from __future__ import annotations

import enum
import io
import os
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss import Tensor
from schuss.vision.transforms.pictures import pil_to_tensor, pillow, to_pil_image

if TYPE_CHECKING:
    from typing import Any

__all__ = ["ImageReadMode", "decode_image", "read_file", "read_image", "write_jpeg", "write_png"]


class ImageReadMode(enum.Enum):
    """Which channels a picture is read with."""

    UNCHANGED = None
    GRAY = "L"
    GRAY_ALPHA = "LA"
    RGB = "RGB"
    RGB_ALPHA = "RGBA"


def read_file(path: str | os.PathLike[str]) -> Tensor:
    """The bytes of a file."""
    return schuss.from_numpy(np.fromfile(path, np.uint8))


def decode_image(
    input: Any,
    mode: Any = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """A picture of (C, H, W), by the path or the bytes of its file; RuntimeError for a damaged one.

    >>> import numpy as np
    >>> file = io.BytesIO()
    >>> to_pil_image(np.zeros((2, 3, 3), np.uint8)).save(file, "png")
    >>> decode_image(schuss.tensor(list(file.getvalue()), dtype=schuss.uint8)).shape
    schuss.Size([3, 2, 3])
    """
    image = pillow("decode_image")
    if isinstance(input, (str, os.PathLike)):
        with open(input, "rb") as file:
            data, name = file.read(), os.fspath(input)
    else:
        data, name = input.numpy().tobytes(), "the bytes given"
    wanted = ImageReadMode[mode.upper()] if isinstance(mode, str) else ImageReadMode(mode)
    try:
        picture = image.open(io.BytesIO(data))
        if apply_exif_orientation:
            from PIL import ImageOps

            picture = ImageOps.exif_transpose(picture)
        if wanted.value is not None:
            picture = picture.convert(wanted.value)
        elif picture.mode == "P":
            picture = picture.convert("RGB")
        return pil_to_tensor(picture)
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        raise RuntimeError(f"decode_image: {name} is no picture, or is damaged: {error}") from error


def read_image(
    path: str | os.PathLike[str],
    mode: Any = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """The picture of a file as bytes of (C, H, W)."""
    return decode_image(path, mode, apply_exif_orientation)


def write_png(input: Tensor, filename: str | os.PathLike[str], compression_level: int = 6) -> None:
    """Write a picture of bytes, (C, H, W), as PNG."""
    to_pil_image(_bytes("write_png", input)).save(
        filename, format="png", compress_level=compression_level
    )


def write_jpeg(input: Tensor, filename: str | os.PathLike[str], quality: int = 75) -> None:
    """Write a picture of bytes, (C, H, W), as JPEG."""
    to_pil_image(_bytes("write_jpeg", input)).save(filename, format="jpeg", quality=quality)


def _bytes(name: str, picture: Tensor) -> Tensor:
    if picture.dtype != schuss.uint8 or picture.ndim != 3 or picture.shape[0] not in (1, 3):
        raise ValueError(
            f"{name}: takes uint8 of (1 or 3, H, W), got {picture.dtype} of {tuple(picture.shape)}"
        )
    return picture
