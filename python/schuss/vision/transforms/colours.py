"""What colour the pixels of a picture have: brightness, contrast, hue, blur, normalising.
Leans on tensors; nothing here moves a pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss import Tensor
from schuss.nn import functional as F
from schuss.vision.transforms.pictures import convert_image_dtype, on_tensors, whitest

if TYPE_CHECKING:
    from typing import Any


def normalize(tensor: Tensor, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """(x - mean) / std for each channel of (..., C, H, W); ValueError where a std is 0.

    >>> normalize(schuss.ones(1, 1, 2), [0.5], [0.25]).tolist()
    [[[2.0, 2.0]]]
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"normalize: takes a tensor, got {type(tensor).__name__}; put ToTensor() before it"
        )
    if not tensor.dtype.is_floating_point:
        raise TypeError(f"normalize: takes floats, got {tensor.dtype}; put ToTensor() before it")
    if tensor.ndim < 3:
        raise ValueError(f"normalize: takes (..., C, H, W), got {tuple(tensor.shape)}")
    mean, std = (schuss.as_tensor(v, dtype=tensor.dtype) for v in (mean, std))
    if (std == 0).any():
        raise ValueError("normalize: a std is 0, which would divide by zero")
    mean, std = (v.reshape(-1, 1, 1) if v.ndim == 1 else v for v in (mean, std))
    made = tensor if inplace else tensor.clone()
    return made.sub_(mean).div_(std)


def _mixed(img: Tensor, other: Tensor, share: float) -> Tensor:
    """`share` of a picture and the rest of another, within the dtype."""
    both = share * img + (1.0 - share) * other
    return both.clamp(0, whitest(img)).to(img.dtype)


def _greys(img: Tensor) -> Tensor:
    """How bright each pixel is to the eye (ITU-R BT.601); one channel is that already."""
    if img.shape[-3] == 1:
        return img
    if img.shape[-3] != 3:
        raise TypeError(f"a picture has 1 or 3 colours, this one {img.shape[-3]}")
    red, green, blue = img.unbind(-3)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(img.dtype).unsqueeze(-3)


@on_tensors
def rgb_to_grayscale(img: Tensor, num_output_channels: int = 1) -> Tensor:
    """A picture in greys, in one channel or in three equal ones.

    >>> rgb_to_grayscale(schuss.ones(3, 1, 1)).shape
    schuss.Size([1, 1, 1])
    """
    if num_output_channels not in (1, 3):
        raise ValueError(f"rgb_to_grayscale: 1 or 3 channels, not {num_output_channels}")
    grey = _greys(img)
    return grey if num_output_channels == 1 else schuss.cat([grey] * 3, -3)


def _not_negative(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name}: the factor must not be negative, got {factor}")


@on_tensors
def adjust_brightness(img: Tensor, brightness_factor: float) -> Tensor:
    """A picture times a factor; 0 is black.

    >>> adjust_brightness(schuss.full((1, 1, 1), 0.5), 0.5).item()
    0.25
    """
    _not_negative("adjust_brightness", brightness_factor)
    return _mixed(img, schuss.zeros_like(img), brightness_factor)


@on_tensors
def adjust_contrast(img: Tensor, contrast_factor: float) -> Tensor:
    """The distance to the mean grey times a factor; 0 is all grey.

    >>> adjust_contrast(schuss.tensor([[[0.0, 1.0]]]), 0.5).tolist()
    [[[0.25, 0.75]]]
    """
    _not_negative("adjust_contrast", contrast_factor)
    grey = _greys(img)
    grey = grey if grey.dtype.is_floating_point else grey.to(schuss.float32)
    return _mixed(img, grey.mean((-3, -2, -1), keepdim=True), contrast_factor)


@on_tensors
def adjust_saturation(img: Tensor, saturation_factor: float) -> Tensor:
    """The distance of the colours to grey times a factor; 0 is without colour.

    >>> adjust_saturation(schuss.ones(3, 1, 1), 0.0).shape
    schuss.Size([3, 1, 1])
    """
    _not_negative("adjust_saturation", saturation_factor)
    return img if img.shape[-3] == 1 else _mixed(img, _greys(img), saturation_factor)


@on_tensors
def adjust_hue(img: Tensor, hue_factor: float) -> Tensor:
    """The colours turned round the circle by a share of it, from -0.5 to 0.5.

    >>> red = schuss.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)
    >>> adjust_hue(red, 1 / 3).flatten().round().tolist()
    [0.0, 1.0, 0.0]
    """
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"adjust_hue: the factor is from -0.5 to 0.5, got {hue_factor}")
    if img.shape[-3] == 1:
        return img
    top = whitest(img)
    x = img if img.dtype.is_floating_point else img.to(schuss.float32) / top
    high, low = x.amax(-3), x.amin(-3)
    width = high - low
    safe = schuss.where(width > 0, width, 1.0)
    red, green, blue = ((high - c) / safe for c in x.unbind(-3))
    turn = schuss.where(x.select(-3, 1) == high, 2.0 + red - blue, 4.0 + green - red)
    turn = schuss.where(x.select(-3, 0) == high, blue - green, turn)
    turn = schuss.where(width > 0, (turn / 6.0 + hue_factor) % 1.0, 0.0)
    # Each colour is a trapezium over the circle (Smith, 1978).
    parts = []
    for place in (5.0, 3.0, 1.0):
        k = (place + turn * 6.0) % 6.0
        parts.append(high - width * schuss.minimum(k, 4.0 - k).clamp(0, 1))
    made = schuss.stack(parts, -3)
    return made if img.dtype.is_floating_point else convert_image_dtype(made, img.dtype)


@on_tensors
def adjust_gamma(img: Tensor, gamma: float, gain: float = 1) -> Tensor:
    """gain x^gamma, with x from 0 to 1.

    >>> adjust_gamma(schuss.full((1, 1, 1), 0.5), 2.0).item()
    0.25
    """
    _not_negative("adjust_gamma", gamma)
    top = whitest(img)
    x = img if img.dtype.is_floating_point else img.to(schuss.float32) / top
    made = (gain * x**gamma).clamp(0, 1)
    return made if img.dtype.is_floating_point else (made * (top + 1 - 1e-3)).to(img.dtype)


@on_tensors
def adjust_sharpness(img: Tensor, sharpness_factor: float) -> Tensor:
    """0 is a blurred picture, 1 the picture, 2 twice as sharp.

    >>> adjust_sharpness(schuss.ones(1, 3, 3), 2.0).mean().item()
    1.0
    """
    _not_negative("adjust_sharpness", sharpness_factor)
    if min(img.shape[-2:]) <= 2:
        return img
    channels = img.shape[-3]
    x = img.reshape(-1, *img.shape[-3:])
    x = x if x.dtype.is_floating_point else x.to(schuss.float32)
    kernel = schuss.ones(channels, 1, 3, 3, dtype=x.dtype)
    kernel[:, :, 1, 1] = 5.0
    soft = x.clone()
    soft[..., 1:-1, 1:-1] = F.conv2d(x, kernel / 13.0, groups=channels)
    if not img.dtype.is_floating_point:
        soft = soft.round()
    return _mixed(img, soft.reshape(img.shape), sharpness_factor)


@on_tensors
def gaussian_blur(img: Tensor, kernel_size: Any, sigma: Any = None) -> Tensor:
    """A picture seen out of focus; the size of the window is odd, one number or (x, y).

    >>> round(gaussian_blur(schuss.ones(1, 5, 5), 3).mean().item(), 4)
    1.0
    """
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    if any(k <= 0 or k % 2 == 0 for k in sizes):
        raise ValueError(f"gaussian_blur: kernel_size must be odd and positive, got {kernel_size}")
    widths = [0.3 * ((k - 1) * 0.5 - 1) + 0.8 for k in sizes] if sigma is None else sigma
    widths = [widths] * 2 if isinstance(widths, (int, float)) else list(widths)
    widths = widths * 2 if len(widths) == 1 else widths
    if any(s <= 0 for s in widths):
        raise ValueError(f"gaussian_blur: sigma must be above 0, got {sigma}")
    x = img.reshape(-1, *img.shape[-3:]) if img.ndim > 2 else img.reshape(1, 1, *img.shape)
    x = x if x.dtype.is_floating_point else x.to(schuss.float32)
    windows = []
    for k, s in zip(sizes, widths, strict=True):
        at = schuss.linspace(-(k - 1) * 0.5, (k - 1) * 0.5, k, dtype=x.dtype)
        heights = schuss.exp(-0.5 * (at / s) ** 2)
        windows.append(heights / heights.sum())
    kernel = schuss.outer(windows[1], windows[0]).expand(x.shape[1], 1, -1, -1)
    right, bottom = sizes[0] // 2, sizes[1] // 2
    x = F.pad(x, (right, right, bottom, bottom), mode="reflect")
    made = F.conv2d(x, kernel, groups=x.shape[1]).reshape(img.shape)
    return made if img.dtype.is_floating_point else made.round().to(img.dtype)


@on_tensors
def invert(img: Tensor) -> Tensor:
    """Black for white.

    >>> invert(schuss.zeros(1, 1, 1)).item()
    1.0
    """
    top = whitest(img)
    return (top if img.dtype.is_floating_point else int(top)) - img


@on_tensors
def solarize(img: Tensor, threshold: float) -> Tensor:
    """Every pixel from a threshold on inverted.

    >>> solarize(schuss.tensor([[[0.25, 0.75]]]), 0.5).tolist()
    [[[0.25, 0.25]]]
    """
    return schuss.where(img >= threshold, invert(img), img)


@on_tensors
def posterize(img: Tensor, bits: int) -> Tensor:
    """Bytes with their lowest bits cleared, so that `bits` of 8 are left.

    >>> posterize(schuss.tensor([[[255]]], dtype=schuss.uint8), 1).item()
    128
    """
    if img.dtype != schuss.uint8:
        raise TypeError(f"posterize: takes uint8, got {img.dtype}")
    return img & -int(2 ** (8 - bits)) % 256


@on_tensors
def autocontrast(img: Tensor) -> Tensor:
    """Each channel stretched so that its darkest pixel is black and its lightest white.

    >>> autocontrast(schuss.tensor([[[0.25, 0.5]]])).tolist()
    [[[0.0, 1.0]]]
    """
    top = whitest(img)
    x = img if img.dtype.is_floating_point else img.to(schuss.float32)
    low, high = x.amin((-2, -1), keepdim=True), x.amax((-2, -1), keepdim=True)
    flat = high == low
    scale = top / schuss.where(flat, 1.0, high - low)
    made = schuss.where(flat, x, (x - low) * scale).clamp(0, top)
    return made.to(img.dtype)


@on_tensors
def equalize(img: Tensor) -> Tensor:
    """Bytes spread so that about as many pixels have each value, channel by channel.

    >>> plane = schuss.arange(1024).reshape(1, 32, 32).remainder(128).to(schuss.uint8)
    >>> plane.max().item(), equalize(plane).max().item()
    (127, 255)
    """
    if img.dtype != schuss.uint8:
        raise TypeError(f"equalize: takes uint8, got {img.dtype}")
    planes = []
    for plane in img.reshape(-1, *img.shape[-2:]):
        counts = np.bincount(plane.numpy().ravel(), minlength=256)
        step = int(counts[counts > 0][:-1].sum()) // 255
        if step:
            below = np.concatenate([[0], counts.cumsum()[:-1]])
            table = ((below + step // 2) // step).clip(0, 255).astype(np.uint8)
            plane = schuss.from_numpy(table[plane.numpy()])
        planes.append(plane)
    return schuss.stack(planes).reshape(img.shape)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Tensor:
    """A picture with the part that begins at row i and column j written over.

    >>> erase(schuss.ones(1, 1, 3), 0, 0, 1, 2, 0.0).tolist()
    [[[0.0, 0.0, 1.0]]]
    """
    if not isinstance(img, Tensor):
        raise TypeError(f"erase: takes a tensor, got {type(img).__name__}")
    made = img if inplace else img.clone()
    made[..., i : i + h, j : j + w] = v
    return made
