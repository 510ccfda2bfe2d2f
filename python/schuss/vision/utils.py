"""Many pictures as one, and pictures to files.
Leans on NumPy and zlib for PNG; Pillow writes every other format."""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor

if TYPE_CHECKING:
    from typing import Any

__all__ = ["make_grid", "save_image"]


def _stretched(x: Tensor, bounds: Any) -> Tensor:
    """A tensor moved so that its bounds become 0 and 1."""
    low, high = (x.min().item(), x.max().item()) if bounds is None else bounds
    return (x.clamp(low, high) - low) / max(high - low, 1e-5)


def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Pictures of (N, C, H, W), or a list of (C, H, W), as one picture with `nrow` a row.

    One channel becomes three. `normalize` moves the values of all, or with `scale_each` of each,
    to 0..1. TypeError where there is no tensor, ValueError for shapes that are no pictures.

    >>> make_grid(schuss.ones(5, 1, 4, 4), nrow=3, padding=1).shape
    schuss.Size([3, 11, 16])
    """
    if isinstance(tensor, (list, tuple)) and tensor and all(isinstance(t, Tensor) for t in tensor):
        tensor = schuss.stack(list(tensor))
    if not isinstance(tensor, Tensor):
        raise TypeError(f"make_grid: takes a tensor or a list of them, got {type(tensor).__name__}")
    tensor = tensor.detach()
    if not 2 <= tensor.ndim <= 4:
        raise ValueError(f"make_grid: pictures are (N, C, H, W), got {tuple(tensor.shape)}")
    tensor = tensor.reshape(*(1,) * (4 - tensor.ndim), *tensor.shape)
    if tensor.shape[1] == 1:
        tensor = tensor.expand(-1, 3, -1, -1)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError("make_grid: value_range is a tuple (low, high)")
        if scale_each:
            tensor = schuss.stack([_stretched(one, value_range) for one in tensor])
        else:
            tensor = _stretched(tensor, value_range)
    count, channels, height, width = tensor.shape
    if count == 1:
        return tensor[0].clone()
    columns = min(nrow, count)
    rows = -(-count // columns)
    down, across = height + padding, width + padding
    size = (channels, rows * down + padding, columns * across + padding)
    grid = schuss.full(size, pad_value, dtype=tensor.dtype)
    for i, one in enumerate(tensor):
        y, x = (i // columns) * down + padding, (i % columns) * across + padding
        grid[:, y : y + height, x : x + width] = one
    return grid


def png_of(pixels: Any) -> bytes:
    """An array of bytes, (H, W, 3), as a PNG file."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + pixels[y].tobytes() for y in range(height))

    def block(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = block(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = block(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + head + body + block(b"IEND", b"")


def save_image(tensor: Any, fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """Write pictures of 0..1 as one file, in the grid that make_grid makes with the keywords.

    PNG needs nothing else; other formats, by the ending of the name or `format`, need Pillow.

    >>> import io
    >>> file = io.BytesIO()
    >>> save_image(schuss.rand(4, 1, 8, 8), file, format="png")
    >>> file.getvalue()[1:4]
    b'PNG'
    """
    grid = make_grid(tensor, **kwargs)
    grid = grid.to(schuss.float32).mul(255).add(0.5).clamp(0, 255).to(schuss.uint8)
    pixels = grid.permute(1, 2, 0).contiguous().numpy()
    ending = os.path.splitext(os.fspath(fp))[1][1:] if not hasattr(fp, "write") else ""
    kind = (format or ending).lower()
    if kind == "png" and pixels.shape[2] == 3:
        data = png_of(pixels)
        if hasattr(fp, "write"):
            fp.write(data)
        else:
            with open(fp, "wb") as file:
                file.write(data)
        return
    from schuss.vision.transforms.pictures import to_pil_image

    to_pil_image(pixels).save(fp, format=format)
