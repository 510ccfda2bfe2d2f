"""Where the pixels of a picture go: cutting, padding, resizing, mirroring, turning.
Leans on interpolation and sampling of nn.functional; Pillow resizes its own pictures."""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss import Tensor
from schuss.nn import functional as F
from schuss.vision.transforms.pictures import get_dimensions, is_pil, on_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class InterpolationMode(enum.Enum):
    """How a pixel between pixels is made."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_PILLOW_NUMBERS = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
}


def mode_of(interpolation: Any) -> InterpolationMode:
    """The mode that a name, one of Pillow's numbers, or a mode means."""
    if isinstance(interpolation, int):
        for mode, number in _PILLOW_NUMBERS.items():
            if number == interpolation:
                return mode
    return InterpolationMode(interpolation)


def pair(size: Any, what: str) -> tuple[int, int]:
    """Height and width from one number or two; ValueError for other lengths or below one."""
    values = [size, size] if isinstance(size, (int, float)) else list(size)
    values = values * 2 if len(values) == 1 else values
    if len(values) != 2 or any(v < 1 for v in values):
        raise ValueError(f"{what}: size is one number or (height, width), 1 or more, got {size!r}")
    return int(values[0]), int(values[1])


def _as_float(img: Tensor) -> tuple[Tensor, Any]:
    """Four axes of floats, and the way back."""
    shape, dtype = img.shape, img.dtype
    x = img.reshape(-1, *shape[-3:]) if img.ndim > 2 else img.reshape(1, 1, *shape)
    exact = dtype in (schuss.float32, schuss.float64)

    def back(y: Tensor) -> Tensor:
        if not dtype.is_floating_point:
            limits = schuss.iinfo(dtype)
            y = y.round().clamp(limits.min, limits.max)
        return y.to(dtype).reshape(*shape[:-2], *y.shape[-2:])

    return (x if exact else x.to(schuss.float32)), back


@on_tensors
def _resized(img: Tensor, size: tuple[int, int], mode: str, antialias: bool) -> Tensor:
    x, back = _as_float(img)
    smooth = mode in ("bilinear", "bicubic")
    options = {"align_corners": False, "antialias": bool(antialias)} if smooth else {}
    return back(F.interpolate(x, size=size, mode=mode, **options))


def resize(
    img: Any,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """A picture of another size; one number is the length of the shorter side.

    With `max_size` the longer side is no longer than that. ValueError for sizes below one.

    >>> resize(schuss.zeros(3, 4, 8), 2).shape
    schuss.Size([3, 2, 4])
    """
    _, height, width = get_dimensions(img)
    if isinstance(size, int) or len(size) == 1:
        short = pair(size, "resize")[0]
        scale = short / min(height, width)
        if max_size is not None and int(scale * max(height, width)) > max_size:
            if max_size <= 0 or max_size < short:
                raise ValueError(
                    f"resize: max_size {max_size} must be larger than the shorter side {short}"
                )
            scale = max_size / max(height, width)
            target = (int(scale * height), int(scale * width))
            target = (max_size, target[1]) if height >= width else (target[0], max_size)
        elif height <= width:
            target = (short, int(short * width / height))
        else:
            target = (int(short * height / width), short)
    else:
        if max_size is not None:
            raise ValueError("resize: max_size goes with a size that is one number")
        target = pair(size, "resize")
    if target == (height, width):
        return img
    mode = mode_of(interpolation)
    if is_pil(img):
        return img.resize((target[1], target[0]), _PILLOW_NUMBERS[mode])
    if mode.value in ("box", "hamming", "lanczos"):
        raise ValueError(f"resize: {mode.value} is for Pillow's pictures; use bilinear or bicubic")
    return _resized(img, target, mode.value, antialias)


@on_tensors
def _cropped(img: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    h, w = img.shape[-2:]
    rows, columns = (max(top, 0), min(top + height, h)), (max(left, 0), min(left + width, w))
    found = img[..., rows[0] : max(rows), columns[0] : max(columns)]
    if tuple(found.shape[-2:]) == (height, width):
        return found
    made = img.new_zeros((*img.shape[:-2], height, width))
    y, x = rows[0] - top, columns[0] - left
    made[..., y : y + found.shape[-2], x : x + found.shape[-1]] = found
    return made


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The part of a picture that begins at (top, left); zeros where it passes the border.

    >>> crop(schuss.arange(9).reshape(1, 3, 3), 1, 1, 2, 2).tolist()
    [[[4, 5], [7, 8]]]
    """
    if height < 1 or width < 1:
        raise ValueError(f"crop: height and width must be 1 or more, got {height} and {width}")
    if is_pil(img):
        return img.crop((left, top, left + width, top + height))
    return _cropped(img, top, left, height, width)


def center_crop(img: Any, output_size: Any) -> Any:
    """The middle of a picture, with zeros around it where the picture is smaller.

    >>> center_crop(schuss.arange(9).reshape(1, 3, 3), 1).tolist()
    [[[4]]]
    """
    height, width = pair(output_size, "center_crop")
    _, h, w = get_dimensions(img)
    return crop(img, round((h - height) / 2), round((w - width) / 2), height, width)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A part of a picture, resized.

    >>> resized_crop(schuss.ones(1, 8, 8), 0, 0, 4, 4, (2, 2)).shape
    schuss.Size([1, 2, 2])
    """
    part = crop(img, top, left, height, width)
    return resize(part, size, interpolation, antialias=antialias)


def borders(padding: Any) -> tuple[int, int, int, int]:
    """Left, top, right and bottom from one number, two or four."""
    values = [padding] if isinstance(padding, int) else list(padding)
    if len(values) == 1:
        values *= 4
    elif len(values) == 2:
        values *= 2
    if len(values) != 4:
        raise ValueError(f"pad: padding is 1, 2 or 4 numbers, got {padding!r}")
    return values[0], values[1], values[2], values[3]


@on_tensors
def pad(img: Tensor, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Tensor:
    """A picture with a border: one width, (sides, top and bottom), or left, top, right, bottom.

    `padding_mode` is constant, edge, reflect or symmetric; `fill` one number or one a channel.

    >>> pad(schuss.ones(1, 1, 1), 1).tolist()
    [[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]
    """
    modes = {"constant": "constant", "edge": "replicate", "reflect": "reflect"}
    if padding_mode not in (*modes, "symmetric"):
        raise ValueError(
            f"pad: padding_mode is constant, edge, reflect or symmetric, got {padding_mode!r}"
        )
    left, top, right, bottom = borders(padding)
    if padding_mode == "symmetric":
        if min(left, top, right, bottom) < 0:
            raise ValueError("pad: symmetric padding cannot be negative")
        rows = np.pad(np.arange(img.shape[-2]), (top, bottom), mode="symmetric")
        columns = np.pad(np.arange(img.shape[-1]), (left, right), mode="symmetric")
        img = img.index_select(-2, schuss.from_numpy(rows))
        return img.index_select(-1, schuss.from_numpy(columns))
    widths = (left, right, top, bottom)
    if padding_mode != "constant":
        x, back = _as_float(img)
        return back(F.pad(x, widths, mode=modes[padding_mode]))
    if isinstance(fill, (int, float)):
        return F.pad(img, widths, value=fill)
    colour = schuss.tensor(list(fill), dtype=img.dtype).reshape(-1, 1, 1)
    inside = F.pad(schuss.ones_like(img[..., :1, :, :], dtype=schuss.bool), widths)
    return schuss.where(inside, F.pad(img, widths), colour)


@on_tensors
def hflip(img: Tensor) -> Tensor:
    """A picture mirrored, left for right.

    >>> hflip(schuss.tensor([[1, 2]])).tolist()
    [[2, 1]]
    """
    return img.flip(-1)


@on_tensors
def vflip(img: Tensor) -> Tensor:
    """A picture upside down.

    >>> vflip(schuss.tensor([[1], [2]])).tolist()
    [[2], [1]]
    """
    return img.flip(-2)


def five_crop(img: Any, size: Any) -> tuple[Any, ...]:
    """The four corners of a picture and its middle.

    >>> [part.item() for part in five_crop(schuss.arange(9).reshape(1, 3, 3), 1)]
    [0, 2, 6, 8, 4]
    """
    height, width = pair(size, "five_crop")
    _, h, w = get_dimensions(img)
    if height > h or width > w:
        raise ValueError(f"five_crop: {height}x{width} is larger than the picture of {h}x{w}")
    corners = [(y, x) for y in (0, h - height) for x in (0, w - width)]
    parts = [crop(img, y, x, height, width) for y, x in corners]
    return (*parts, center_crop(img, (height, width)))


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """The five parts of five_crop, and those of the mirrored picture.

    >>> len(ten_crop(schuss.zeros(1, 3, 3), 2))
    10
    """
    flipped = vflip(img) if vertical_flip else hflip(img)
    return five_crop(img, size) + five_crop(flipped, size)


def _sampled(img: Tensor, back_map: np.ndarray, size: Any, mode: Any, fill: Any) -> Tensor:
    """Pixels at the places that a 3x3 map gives for those of the result, measured from the middle
    of each."""
    h, w = img.shape[-2:]
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float64)
    points = np.stack([x - (width - 1) / 2, y - (height - 1) / 2, np.ones_like(x)], -1)
    at = points @ back_map.T
    at = at[..., :2] / at[..., 2:] * [2 / w, 2 / h]
    return at_places(img, schuss.from_numpy(at.astype(np.float32))[None], mode, fill)


def at_places(img: Tensor, grid: Tensor, mode: Any, fill: Any) -> Tensor:
    """Pixels at places, (1, H, W, 2) numbers from -1 to 1; what lies outside has a colour."""
    mode = mode_of(mode).value
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"turning a picture takes nearest or bilinear, not {mode}")
    flat, back = _as_float(img)
    grid = grid.to(flat.device, flat.dtype).expand(len(flat), -1, -1, -1)
    made = F.grid_sample(flat, grid, mode=mode, padding_mode="zeros", align_corners=False)
    if fill is not None and fill != 0:
        inside = F.grid_sample(schuss.ones_like(flat), grid, mode=mode, align_corners=False)
        colour = [fill] if isinstance(fill, (int, float)) else list(fill)
        shade = schuss.tensor(colour, dtype=flat.dtype, device=flat.device).reshape(-1, 1, 1)
        # What is partly outside counts the share inside twice, as torchvision has it.
        made = made * inside + (1 - inside) * shade
    return back(made)


def _turn(angle: float, shear: Any, scale: float) -> np.ndarray:
    """The matrix of a turn clockwise on the screen, after a shear, times a scale."""
    rot, sx, sy = (math.radians(v) for v in (angle, *shear))
    turned = np.array([[math.cos(rot), -math.sin(rot)], [math.sin(rot), math.cos(rot)]])
    across = np.array([[1.0, -math.tan(sx)], [0.0, 1.0]])
    down = np.array([[1.0, 0.0], [-math.tan(sy), 1.0]])
    return scale * turned @ down @ across


def _backwards(matrix: np.ndarray, shift: Any, middle: Any) -> np.ndarray:
    """The map from a pixel of the result to one of the picture, both measured from the middle."""
    whole = np.eye(3)
    whole[:2, :2] = matrix
    around = np.asarray(middle, dtype=np.float64)
    whole[:2, 2] = np.asarray(shift, dtype=np.float64) + around - matrix @ around
    return np.linalg.inv(whole)


def _from_middle(center: Any, size: Sequence[int]) -> tuple[float, float]:
    if center is None:
        return 0.0, 0.0
    return center[0] - size[1] / 2, center[1] - size[0] / 2


@on_tensors
def affine(
    img: Tensor,
    angle: float,
    translate: Any,
    scale: float,
    shear: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Any = None,
) -> Tensor:
    """A picture turned clockwise by degrees, shifted by pixels, scaled and sheared.

    >>> affine(schuss.tensor([[[1.0, 0.0]]]), 0, (1, 0), 1.0, 0).tolist()
    [[[0.0, 1.0]]]
    """
    if scale <= 0:
        raise ValueError(f"affine: scale must be above 0, got {scale}")
    shear = (shear, 0.0) if isinstance(shear, (int, float)) else tuple(shear)
    size = tuple(img.shape[-2:])
    matrix = _turn(angle, shear if len(shear) == 2 else (shear[0], 0.0), scale)
    middle = _from_middle(center, size)
    return _sampled(img, _backwards(matrix, translate, middle), size, interpolation, fill)


@on_tensors
def rotate(
    img: Tensor,
    angle: float,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Tensor:
    """A picture turned counterclockwise by degrees; `expand` makes room for all of it.

    >>> rotate(schuss.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 90).tolist()
    [[[2.0, 4.0], [1.0, 3.0]]]
    """
    h, w = img.shape[-2:]
    matrix = _turn(-angle, (0.0, 0.0), 1.0)
    size, middle = (h, w), _from_middle(center, (h, w))
    if expand:
        width, height = np.abs(matrix) @ [w, h]
        # What is whole but for a rounding stays as it is.
        size, middle = (math.ceil(height - 1e-6), math.ceil(width - 1e-6)), (0.0, 0.0)
    return _sampled(img, _backwards(matrix, (0, 0), middle), size, interpolation, fill)


@on_tensors
def perspective(
    img: Tensor,
    startpoints: Any,
    endpoints: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Tensor:
    """A picture seen aslant: the four points (x, y) of `startpoints` come to `endpoints`.

    Points are counted from the picture's corner, as torchvision has it: the middle of the first
    pixel is (0.5, 0.5).

    >>> corners = [[0, 0], [2, 0], [2, 2], [0, 2]]
    >>> perspective(schuss.ones(1, 2, 2), corners, corners).tolist()
    [[[1.0, 1.0], [1.0, 1.0]]]
    """
    h, w = img.shape[-2:]
    middle = np.array([w / 2, h / 2])
    rows, values = [], []
    for start, end in zip(startpoints, endpoints, strict=True):
        (u, v), (x, y) = np.asarray(start) - middle, np.asarray(end) - middle
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    if len(rows) != 8:
        raise ValueError(f"perspective: takes four points on each side, got {len(rows) // 2}")
    try:
        found = np.linalg.solve(np.array(rows, dtype=np.float64), np.array(values))
    except np.linalg.LinAlgError:
        raise ValueError("perspective: three of the four points lie on one line") from None
    return _sampled(img, np.append(found, 1.0).reshape(3, 3), (h, w), interpolation, fill)


@on_tensors
def elastic_transform(
    img: Tensor,
    displacement: Tensor,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Tensor:
    """A picture whose pixels come from places moved by (1, H, W, 2), in halves of its width and
    height.

    >>> elastic_transform(schuss.ones(1, 2, 2), schuss.zeros(1, 2, 2, 2)).tolist()
    [[[1.0, 1.0], [1.0, 1.0]]]
    """
    height, width = img.shape[-2:]
    if not isinstance(displacement, schuss.Tensor):
        kind = type(displacement).__name__
        raise TypeError(f"elastic_transform: displacement must be a Tensor, got {kind}")
    if tuple(displacement.shape) != (1, height, width, 2):
        raise ValueError(
            f"elastic_transform: displacement has shape {tuple(displacement.shape)}, a picture "
            f"{tuple(img.shape)} needs {(1, height, width, 2)}"
        )
    rows, columns = ((2 * schuss.arange(n) + 1.0) / n - 1.0 for n in (height, width))
    grid = schuss.stack([columns.expand(height, -1), rows.unsqueeze(1).expand(-1, width)], -1)
    return at_places(img, grid + displacement.to(grid), interpolation, fill)
