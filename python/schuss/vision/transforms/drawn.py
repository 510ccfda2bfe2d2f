"""Transforms that draw what they do to each picture; schuss.manual_seed repeats the draws.
Leans on the functions beside it and on the core's random numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss.vision.transforms import functional as F
from schuss.vision.transforms.fixed import Transform
from schuss.vision.transforms.functional import InterpolationMode
from schuss.vision.transforms.geometry import borders, mode_of, pair

if TYPE_CHECKING:
    from typing import Any


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * schuss.rand(1).item()


def _integer(low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(schuss.randint(low, high + 1, (1,)).item())


def _chance(p: float) -> bool:
    return schuss.rand(1).item() < p


class Maybe(Transform):
    """What is done to a picture with probability p; a subclass says what in `change`."""

    _shown = ("p",)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p is a probability, got {p}")
        self.p = p

    def forward(self, img: Any) -> Any:
        return self.change(img) if _chance(self.p) else img

    def change(self, img: Any) -> Any:
        """The changed picture."""
        raise NotImplementedError(f"{type(self).__name__}: define change(img)")


class RandomHorizontalFlip(Maybe):
    """A picture mirrored with probability p.

    >>> RandomHorizontalFlip(1.0)(schuss.tensor([[1, 2]])).tolist()
    [[2, 1]]
    """

    def change(self, img: Any) -> Any:
        return F.hflip(img)


class RandomVerticalFlip(Maybe):
    """A picture upside down with probability p."""

    def change(self, img: Any) -> Any:
        return F.vflip(img)


class RandomGrayscale(Maybe):
    """A picture in greys with probability p, with as many channels as before."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def change(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, F.get_image_num_channels(img))


class RandomInvert(Maybe):
    """Black for white with probability p."""

    def change(self, img: Any) -> Any:
        return F.invert(img)


class RandomAutocontrast(Maybe):
    """Stretched contrast with probability p."""

    def change(self, img: Any) -> Any:
        return F.autocontrast(img)


class RandomEqualize(Maybe):
    """Equalised bytes with probability p."""

    def change(self, img: Any) -> Any:
        return F.equalize(img)


class RandomSolarize(Maybe):
    """Pixels from a threshold on inverted, with probability p."""

    _shown = ("threshold", "p")

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def change(self, img: Any) -> Any:
        return F.solarize(img, self.threshold)


class RandomPosterize(Maybe):
    """Fewer bits with probability p."""

    _shown = ("bits", "p")

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def change(self, img: Any) -> Any:
        return F.posterize(img, self.bits)


class RandomAdjustSharpness(Maybe):
    """Another sharpness with probability p."""

    _shown = ("sharpness_factor", "p")

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def change(self, img: Any) -> Any:
        return F.adjust_sharpness(img, self.sharpness_factor)


class RandomPerspective(Maybe):
    """A picture seen aslant with probability p; its corners move by `distortion_scale` at most."""

    _shown = ("distortion_scale", "p")

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__(p)
        self.distortion_scale, self.interpolation = distortion_scale, mode_of(interpolation)
        self.fill = fill

    @staticmethod
    def get_params(width: int, height: int, distortion_scale: float) -> tuple[Any, Any]:
        """The corners, and where they come to."""
        far, deep = (int(distortion_scale * (side // 2)) for side in (width, height))
        right, bottom = width - 1, height - 1
        start = [[0, 0], [right, 0], [right, bottom], [0, bottom]]
        end = [[abs(x - _integer(0, far)), abs(y - _integer(0, deep))] for x, y in start]
        return start, end

    def change(self, img: Any) -> Any:
        _, height, width = F.get_dimensions(img)
        points = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, *points, self.interpolation, self.fill)


class RandomErasing(Maybe):
    """A rectangle of a tensor written over with probability p (Zhong et al., 2020).

    Its area is a share of the picture in `scale`, its shape in `ratio`; `value` is a number, one a
    channel, or 'random'.
    """

    _shown = ("p", "scale", "ratio", "value")

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__(p)
        if isinstance(value, str) and value != "random":
            raise ValueError(f"RandomErasing: value is numbers or 'random', got {value!r}")
        self.scale, self.ratio, self.value, self.inplace = scale, ratio, value, inplace

    def change(self, img: Any) -> Any:
        channels, height, width = F.get_dimensions(img)
        for _ in range(10):
            area = height * width * _uniform(*self.scale)
            shape = math.exp(_uniform(*map(math.log, self.ratio)))
            h, w = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if not (0 < h < height and 0 < w < width):
                continue
            value = self.value
            if isinstance(value, str):
                value = schuss.randn(channels, h, w)
            elif not isinstance(value, (int, float)):
                value = schuss.tensor(value).reshape(-1, 1, 1)
            top, left = _integer(0, height - h), _integer(0, width - w)
            return F.erase(img, top, left, h, w, value, self.inplace)
        return img


class RandomCrop(Transform):
    """A part of a picture from anywhere, after padding if asked.

    ValueError where the picture is smaller and `pad_if_needed` is not set.

    >>> RandomCrop(2, padding=1)(schuss.ones(1, 3, 3)).shape
    schuss.Size([1, 2, 2])
    """

    _shown = ("size", "padding")

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = pair(size, "RandomCrop")
        self.padding = padding if padding is None else borders(padding)
        self.pad_if_needed, self.fill, self.padding_mode = pad_if_needed, fill, padding_mode

    @staticmethod
    def get_params(img: Any, output_size: Any) -> tuple[int, int, int, int]:
        """Row, column, height and width of the part."""
        _, h, w = F.get_dimensions(img)
        height, width = output_size
        if h < height or w < width:
            raise ValueError(
                f"RandomCrop: {height}x{width} is larger than the picture of {h}x{w}; "
                "use pad_if_needed=True"
            )
        return _integer(0, h - height), _integer(0, w - width), height, width

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        _, h, w = F.get_dimensions(img)
        height, width = self.size
        if self.pad_if_needed and (h < height or w < width):
            needed = (max(width - w, 0), max(height - h, 0))
            img = F.pad(img, needed, self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))


class RandomResizedCrop(Transform):
    """A part of a picture, of any size and shape within bounds, resized (Szegedy et al., 2015)."""

    _shown = ("size", "scale", "ratio")

    def __init__(
        self,
        size: Any,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size, self.scale, self.ratio = pair(size, "RandomResizedCrop"), scale, ratio
        self.interpolation, self.antialias = mode_of(interpolation), antialias

    @staticmethod
    def get_params(img: Any, scale: Any, ratio: Any) -> tuple[int, int, int, int]:
        """Row, column, height and width of the part."""
        _, h, w = F.get_dimensions(img)
        for _ in range(10):
            area = h * w * _uniform(*scale)
            shape = math.exp(_uniform(*map(math.log, ratio)))
            width, height = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < width <= w and 0 < height <= h:
                return _integer(0, h - height), _integer(0, w - width), height, width
        # Nothing fitted: the largest part in the middle that does.
        width = min(w, max(1, round(h * ratio[1])))
        height = min(h, max(1, round(w / ratio[0])))
        return (h - height) // 2, (w - width) // 2, height, width

    def forward(self, img: Any) -> Any:
        part = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *part, self.size, self.interpolation, self.antialias)


def _range(name: str, value: Any, middle: float, low: float) -> tuple[float, float] | None:
    """The bounds of a factor from one number or two; None where nothing is to be done."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"ColorJitter: {name} must not be negative, got {value}")
        value = (max(middle - value, low), middle + value)
    bounds = tuple(map(float, value))
    if len(bounds) != 2 or not low <= bounds[0] <= bounds[1]:
        raise ValueError(f"ColorJitter: {name} is a number or (low, high), got {value!r}")
    return None if bounds[0] == bounds[1] == middle else (bounds[0], bounds[1])


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed by random factors, in a random order.

    >>> ColorJitter(0.5, 0.5, 0.5, 0.1)(schuss.ones(3, 2, 2)).shape
    schuss.Size([3, 2, 2])
    """

    _shown = ("brightness", "contrast", "saturation", "hue")

    def __init__(
        self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0
    ) -> None:
        super().__init__()
        self.brightness = _range("brightness", brightness, 1.0, 0.0)
        self.contrast = _range("contrast", contrast, 1.0, 0.0)
        self.saturation = _range("saturation", saturation, 1.0, 0.0)
        self.hue = _range("hue", hue, 0.0, -0.5)
        if self.hue is not None and self.hue[1] > 0.5:
            raise ValueError(f"ColorJitter: hue is at most 0.5, got {hue!r}")

    def forward(self, img: Any) -> Any:
        steps = (
            (F.adjust_brightness, self.brightness),
            (F.adjust_contrast, self.contrast),
            (F.adjust_saturation, self.saturation),
            (F.adjust_hue, self.hue),
        )
        for i in schuss.randperm(4).tolist():
            change, bounds = steps[i]
            if bounds is not None:
                img = change(img, _uniform(*bounds))
        return img


def _degrees(name: str, degrees: Any) -> tuple[float, float]:
    if isinstance(degrees, (int, float)):
        if degrees < 0:
            raise ValueError(f"{name}: one number of degrees must not be negative, got {degrees}")
        return -float(degrees), float(degrees)
    if len(degrees) != 2:
        raise ValueError(f"{name}: degrees is a number or (low, high), got {degrees!r}")
    return float(degrees[0]), float(degrees[1])


class RandomRotation(Transform):
    """A picture turned by an angle from within bounds."""

    _shown = ("degrees",)

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Any = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = _degrees("RandomRotation", degrees)
        self.interpolation, self.expand = mode_of(interpolation), expand
        self.center, self.fill = center, fill

    def forward(self, img: Any) -> Any:
        angle = _uniform(*self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, self.fill)


class RandomAffine(Transform):
    """A picture turned, shifted by shares of its sides, scaled and sheared, each within bounds."""

    _shown = ("degrees", "translate", "scale", "shear")

    def __init__(
        self,
        degrees: Any,
        translate: Any = None,
        scale: Any = None,
        shear: Any = None,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Any = None,
    ) -> None:
        super().__init__()
        self.degrees = _degrees("RandomAffine", degrees)
        if translate is not None and any(not 0 <= t <= 1 for t in translate):
            raise ValueError(f"RandomAffine: translate is shares from 0 to 1, got {translate!r}")
        if scale is not None and any(s <= 0 for s in scale):
            raise ValueError(f"RandomAffine: scales must be above 0, got {scale!r}")
        self.translate, self.scale = translate, scale
        self.shear = shear if shear is None or len_of(shear) == 4 else _degrees("shear", shear)
        self.interpolation, self.fill, self.center = mode_of(interpolation), fill, center

    def forward(self, img: Any) -> Any:
        _, h, w = F.get_dimensions(img)
        far = (0.0, 0.0) if self.translate is None else self.translate
        shift = [round(_uniform(-a * side, a * side)) for a, side in zip(far, (w, h), strict=True)]
        scale = 1.0 if self.scale is None else _uniform(*self.scale)
        shear = [0.0, 0.0]
        if self.shear is not None:
            shear[0] = _uniform(*self.shear[:2])
            shear[1] = _uniform(*self.shear[2:]) if len(self.shear) == 4 else 0.0
        angle = _uniform(*self.degrees)
        return F.affine(img, angle, shift, scale, shear, self.interpolation, self.fill, self.center)


def len_of(value: Any) -> int:
    """How many numbers there are; 1 for a number."""
    return 1 if isinstance(value, (int, float)) else len(value)


class GaussianBlur(Transform):
    """A picture out of focus by a width from within bounds."""

    _shown = ("kernel_size", "sigma")

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        sigma = (sigma, sigma) if isinstance(sigma, (int, float)) else tuple(sigma)
        if not 0 < sigma[0] <= sigma[1]:
            raise ValueError(f"GaussianBlur: sigma is (low, high) above 0, got {sigma!r}")
        self.kernel_size, self.sigma = kernel_size, sigma

    def forward(self, img: Any) -> Any:
        return F.gaussian_blur(img, self.kernel_size, _uniform(*self.sigma))


class RandomApply(Transform):
    """All of the transforms, with probability p, or none."""

    _shown = ("p",)

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        self.transforms, self.p = transforms, p

    def forward(self, img: Any) -> Any:
        if _chance(self.p):
            for transform in self.transforms:
                img = transform(img)
        return img


class RandomChoice(Transform):
    """One of the transforms, by weights `p` if given."""

    def __init__(self, transforms: Any, p: Any = None) -> None:
        super().__init__()
        if p is not None and len(p) != len(transforms):
            raise ValueError(f"RandomChoice: {len(p)} weights for {len(transforms)} transforms")
        self.transforms, self.p = transforms, p

    def forward(self, img: Any) -> Any:
        weights = schuss.ones(len(self.transforms)) if self.p is None else schuss.tensor(self.p)
        return self.transforms[int(schuss.multinomial(weights.float(), 1).item())](img)


class RandomOrder(Transform):
    """The transforms in a random order."""

    def __init__(self, transforms: Any) -> None:
        super().__init__()
        self.transforms = transforms

    def forward(self, img: Any) -> Any:
        for i in schuss.randperm(len(self.transforms)).tolist():
            img = self.transforms[i](img)
        return img
