"""Transforms as functions, under the names that torchvision gives them.
Leans on the rooms beside it."""

from schuss.vision.transforms.colours import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    equalize,
    erase,
    gaussian_blur,
    invert,
    normalize,
    posterize,
    rgb_to_grayscale,
    solarize,
)
from schuss.vision.transforms.geometry import (
    InterpolationMode,
    affine,
    center_crop,
    crop,
    elastic_transform,
    five_crop,
    hflip,
    pad,
    perspective,
    resize,
    resized_crop,
    rotate,
    ten_crop,
    vflip,
)
from schuss.vision.transforms.pictures import (
    convert_image_dtype,
    get_dimensions,
    pil_to_tensor,
    to_pil_image,
    to_tensor,
)

to_grayscale = rgb_to_grayscale


def get_image_size(img):
    """Width and height.

    >>> get_image_size(schuss.zeros(3, 4, 6))
    [6, 4]
    """
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img):
    """How many channels a picture has.

    >>> get_image_num_channels(schuss.zeros(3, 4, 6))
    3
    """
    return get_dimensions(img)[0]


__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "elastic_transform",
    "equalize",
    "erase",
    "five_crop",
    "gaussian_blur",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "hflip",
    "invert",
    "normalize",
    "pad",
    "perspective",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "ten_crop",
    "to_grayscale",
    "to_pil_image",
    "to_tensor",
    "vflip",
]


def __getattr__(name):
    from schuss.absent import missing

    raise missing(__name__, name)
