"""Augmentations that draw which of a list of changes are made: AutoAugment, RandAugment and others.
Leans on the functions beside it and on the core's random numbers."""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.vision.transforms import functional as F
from schuss.vision.transforms.fixed import Transform
from schuss.vision.transforms.functional import InterpolationMode
from schuss.vision.transforms.geometry import mode_of
from schuss.vision.transforms.pictures import on_tensors

if TYPE_CHECKING:
    from typing import Any

    # How strong a change is at each level, and whether it may go either way.
    Scale = tuple[list[float], bool]


def changed(img: Any, name: str, strength: float, interpolation: Any, fill: Any) -> Any:
    """A picture after one change, by its name and strength; floats hold 0 to 1.

    A shear is a slope, a shift counts pixels, a turn degrees; colours are 1 + strength of what
    they were. What is cleared or inverted is told for bytes.

    >>> changed(schuss.tensor([[[0.2, 0.9]]]), "Solarize", 127.5, "nearest", None)
    tensor([[[0.2000, 0.1000]]])
    """
    floats = isinstance(img, Tensor) and img.dtype.is_floating_point
    if name in ("ShearX", "ShearY"):
        slant = math.degrees(math.atan(strength))
        shear = (slant, 0.0) if name == "ShearX" else (0.0, slant)
        return F.affine(img, 0.0, (0, 0), 1.0, shear, interpolation, fill, center=(0, 0))
    if name in ("TranslateX", "TranslateY"):
        shift = (int(strength), 0) if name == "TranslateX" else (0, int(strength))
        return F.affine(img, 0.0, shift, 1.0, (0.0, 0.0), interpolation, fill)
    if name == "Rotate":
        return F.rotate(img, strength, interpolation, fill=fill)
    if name in _COLOURS:
        return _COLOURS[name](img, 1.0 + strength)
    if name == "Posterize":
        if not floats:
            return F.posterize(img, int(strength))
        levels = 2 ** int(strength)
        return (img * levels).floor().clamp(0, levels - 1) / levels
    if name == "Solarize":
        return F.solarize(img, strength / 255 if floats else strength)
    if name == "Equalize" and floats:
        even = F.equalize(F.convert_image_dtype(img, schuss.uint8))
        return F.convert_image_dtype(even, img.dtype)
    if name in _PLAIN:
        return _PLAIN[name](img)
    raise ValueError(f"no change of pictures is called {name!r}; there are {', '.join(_NAMES)}")


_COLOURS = {
    "Brightness": F.adjust_brightness,
    "Color": F.adjust_saturation,
    "Contrast": F.adjust_contrast,
    "Sharpness": F.adjust_sharpness,
}
_PLAIN = {
    "AutoContrast": F.autocontrast,
    "Equalize": F.equalize,
    "Invert": F.invert,
    "Identity": lambda img: img,
}
_NAMES = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Posterize", "Solarize")
_NAMES = (*_NAMES, *_COLOURS, *_PLAIN)


def _levels(low: float, high: float, count: int) -> list[float]:
    return schuss.linspace(low, high, count).tolist()


def _bits(most: int, lost: int, count: int) -> list[float]:
    """Bits that are kept, from `most` down by as many as are `lost` at the highest level."""
    return [most - b for b in (schuss.arange(count) / ((count - 1) / lost)).round().tolist()]


def _shapes(shear: float, shift: tuple[float, float], turn: float, n: int) -> dict[str, Scale]:
    return {
        "ShearX": (_levels(0, shear, n), True),
        "ShearY": (_levels(0, shear, n), True),
        "TranslateX": (_levels(0, shift[0], n), True),
        "TranslateY": (_levels(0, shift[1], n), True),
        "Rotate": (_levels(0, turn, n), True),
    }


def _colours(most: float, n: int) -> dict[str, Scale]:
    return {name: (_levels(0, most, n), True) for name in _COLOURS}


def _bytes(bits: list[float], n: int) -> dict[str, Scale]:
    none: list[float] = []
    return {
        "Posterize": (bits, False),
        "Solarize": (_levels(255, 0, n), False),
        "AutoContrast": (none, False),
        "Equalize": (none, False),
    }


def _one_of(count: int) -> int:
    return int(schuss.randint(count, (1,)).item())


class _Policy(Transform):
    """What these share: the way a pixel between pixels is made, and the colour of corners."""

    def __init__(self, interpolation: Any, fill: Any) -> None:
        super().__init__()
        self.interpolation, self.fill = mode_of(interpolation), fill

    def _drawn(self, img: Any, scales: dict[str, Scale], level: int | None) -> Any:
        """One change of those that are drawn from, at a level or at one that is drawn too."""
        name = list(scales)[_one_of(len(scales))]
        strengths, signed = scales[name]
        if strengths:
            strength = strengths[_one_of(len(strengths)) if level is None else level]
        else:
            strength = 0.0
        if signed and _one_of(2):
            strength = -strength
        return changed(img, name, strength, self.interpolation, self.fill)


class RandAugment(_Policy):
    """`num_ops` changes that are drawn, all of one strength (Cubuk et al., 2020).

    Takes bytes, and floats from 0 to 1. `magnitude` is a level from 0 to num_magnitude_bins - 1.

    >>> picture = schuss.randint(0, 256, (3, 16, 16)).to(schuss.uint8)
    >>> RandAugment()(picture).shape
    schuss.Size([3, 16, 16])
    """

    _shown = ("num_ops", "magnitude", "num_magnitude_bins", "interpolation", "fill")

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if not 0 <= magnitude < num_magnitude_bins:
            raise ValueError(
                f"RandAugment: magnitude is a level from 0 to {num_magnitude_bins - 1}, got "
                f"{magnitude}"
            )
        self.num_ops, self.magnitude = num_ops, magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def scales(self, height: int, width: int) -> dict[str, Scale]:
        """The strengths of each change at every level."""
        n, far = self.num_magnitude_bins, 150 / 331
        shapes = _shapes(0.3, (far * width, far * height), 30, n)
        same: dict[str, Scale] = {"Identity": ([], False)}
        return {**same, **shapes, **_colours(0.9, n), **_bytes(_bits(8, 4, n), n)}

    def forward(self, img: Any) -> Any:
        _, height, width = F.get_dimensions(img)
        scales = self.scales(height, width)
        for _ in range(self.num_ops):
            img = self._drawn(img, scales, self.magnitude)
        return img


class TrivialAugmentWide(_Policy):
    """One change that is drawn, of a strength that is drawn (Müller and Hutter, 2021).

    >>> TrivialAugmentWide()(schuss.rand(3, 16, 16)).shape
    schuss.Size([3, 16, 16])
    """

    _shown = ("num_magnitude_bins", "interpolation", "fill")

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = num_magnitude_bins

    def scales(self) -> dict[str, Scale]:
        """The strengths of each change at every level."""
        n = self.num_magnitude_bins
        same: dict[str, Scale] = {"Identity": ([], False)}
        shapes = _shapes(0.99, (32, 32), 135, n)
        return {**same, **shapes, **_colours(0.99, n), **_bytes(_bits(8, 6, n), n)}

    def forward(self, img: Any) -> Any:
        F.get_dimensions(img)
        return self._drawn(img, self.scales(), None)


class AugMix(_Policy):
    """A picture mixed with chains of changes of itself (Hendrycks et al., 2020).

    `severity` bounds the level, 1 to 10, of each change; the weights of the `mixture_width` chains
    are drawn from a Dirichlet distribution of `alpha`. A chain has `chain_depth` changes, or, if
    that is -1, from 1 to 3.

    >>> AugMix()(schuss.rand(3, 16, 16)).shape
    schuss.Size([3, 16, 16])
    """

    _shown = ("severity", "mixture_width", "chain_depth", "alpha", "all_ops")

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if not 1 <= severity <= 10:
            raise ValueError(f"AugMix: the severity must be between 1 and 10, got {severity}")
        self.severity, self.mixture_width, self.chain_depth = severity, mixture_width, chain_depth
        self.alpha, self.all_ops = alpha, all_ops

    def scales(self, height: int, width: int) -> dict[str, Scale]:
        """The strengths of each change at each of 10 levels, up to the severity."""
        shapes = _shapes(0.3, (width / 3, height / 3), 30, 10)
        whole = {**shapes, **_bytes(_bits(4, 4, 10), 10)}
        whole.update(_colours(0.9, 10) if self.all_ops else {})
        return {name: (levels[: self.severity], sign) for name, (levels, sign) in whole.items()}

    def forward(self, img: Any) -> Any:
        if not isinstance(img, Tensor):
            return on_tensors(self.forward)(img)
        _, height, width = F.get_dimensions(img)
        scales = self.scales(height, width)
        dirichlet = schuss.distributions.Dirichlet
        own, share = dirichlet(schuss.full((2,), float(self.alpha))).sample().tolist()
        weights = dirichlet(schuss.full((self.mixture_width,), float(self.alpha))).sample()
        mixed = own * img
        for weight in (share * weights).tolist():
            chain = img
            for _ in range(self.chain_depth if self.chain_depth > 0 else 1 + _one_of(3)):
                chain = self._drawn(chain, scales, None)
            mixed = mixed + weight * chain
        return mixed.to(img.dtype)


class AutoAugmentPolicy(enum.Enum):
    """The data on which a policy was searched for."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


# The policies as the paper's authors published them: two changes to a line, each with its
# probability in tenths and its level; "-" where a change has none.
_PUBLISHED = {
    AutoAugmentPolicy.IMAGENET: """
        Posterize 4 8 Rotate 6 9, Solarize 6 5 AutoContrast 6 -, Equalize 8 - Equalize 6 -,
        Posterize 6 7 Posterize 6 6, Equalize 4 - Solarize 2 4, Equalize 4 - Rotate 8 8,
        Solarize 6 3 Equalize 6 -, Posterize 8 5 Equalize 10 -, Rotate 2 3 Solarize 6 8,
        Equalize 6 - Posterize 4 6, Rotate 8 8 Color 4 0, Rotate 4 9 Equalize 6 -,
        Equalize 0 - Equalize 8 -, Invert 6 - Equalize 10 -, Color 6 4 Contrast 10 8,
        Rotate 8 8 Color 10 2, Color 8 8 Solarize 8 7, Sharpness 4 7 Invert 6 -,
        ShearX 6 5 Equalize 10 -, Color 4 0 Equalize 6 -, Equalize 4 - Solarize 2 4,
        Solarize 6 5 AutoContrast 6 -, Invert 6 - Equalize 10 -, Color 6 4 Contrast 10 8,
        Equalize 8 - Equalize 6 -""",
    AutoAugmentPolicy.CIFAR10: """
        Invert 1 - Contrast 2 6, Rotate 7 2 TranslateX 3 9, Sharpness 8 1 Sharpness 9 3,
        ShearY 5 8 TranslateY 7 9, AutoContrast 5 - Equalize 9 -, ShearY 2 7 Posterize 3 7,
        Color 4 3 Brightness 6 7, Sharpness 3 9 Brightness 7 9, Equalize 6 - Equalize 5 -,
        Contrast 6 7 Sharpness 6 5, Color 7 7 TranslateX 5 8, Equalize 3 - AutoContrast 4 -,
        TranslateY 4 3 Sharpness 2 6, Brightness 9 6 Color 2 8, Solarize 5 2 Invert 0 -,
        Equalize 2 - AutoContrast 6 -, Equalize 2 - Equalize 6 -, Color 9 9 Equalize 6 -,
        AutoContrast 8 - Solarize 2 8, Brightness 1 3 Color 7 0, Solarize 4 5 AutoContrast 9 -,
        TranslateY 9 9 TranslateY 7 9, AutoContrast 9 - Solarize 8 3, Equalize 8 - Invert 1 -,
        TranslateY 7 9 AutoContrast 9 -""",
    AutoAugmentPolicy.SVHN: """
        ShearX 9 4 Invert 2 -, ShearY 9 8 Invert 7 -, Equalize 6 - Solarize 6 6,
        Invert 9 - Equalize 6 -, Equalize 6 - Rotate 9 3, ShearX 9 4 AutoContrast 8 -,
        ShearY 9 8 Invert 4 -, ShearY 9 5 Solarize 2 6, Invert 9 - AutoContrast 8 -,
        Equalize 6 - Rotate 9 3, ShearX 9 4 Solarize 3 3, ShearY 8 8 Invert 7 -,
        Equalize 9 - TranslateY 6 6, Invert 9 - Equalize 6 -, Contrast 3 3 Rotate 8 4,
        Invert 8 - TranslateY 0 2, ShearY 7 6 Solarize 4 8, Invert 6 - Rotate 8 4,
        ShearY 3 7 TranslateX 9 3, ShearX 1 6 Invert 6 -, Solarize 7 2 TranslateY 6 7,
        ShearY 8 4 Invert 8 -, ShearX 7 9 TranslateY 8 3, ShearY 8 5 AutoContrast 7 -,
        ShearX 7 2 Invert 1 -""",
}


class AutoAugment(_Policy):
    """Two changes by one of 25 rules that were searched for (Cubuk et al., 2019).

    >>> AutoAugment(AutoAugmentPolicy.CIFAR10)(schuss.rand(3, 16, 16)).shape
    schuss.Size([3, 16, 16])
    """

    _shown = ("policy", "fill")

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if not isinstance(policy, AutoAugmentPolicy):
            known = ", ".join(str(p) for p in AutoAugmentPolicy)
            raise ValueError(f"AutoAugment: policy is one of {known}, got {policy!r}")
        self.policy = policy
        self.policies = [self._rule(line.split()) for line in _PUBLISHED[policy].split(",")]

    @staticmethod
    def _rule(words: list[str]) -> tuple[tuple[str, float, int | None], ...]:
        return tuple(
            (words[i], int(words[i + 1]) / 10, None if words[i + 2] == "-" else int(words[i + 2]))
            for i in (0, 3)
        )

    def scales(self, height: int, width: int) -> dict[str, Scale]:
        """The strengths of each change at each of 10 levels."""
        far = 150 / 331
        shapes = _shapes(0.3, (far * width, far * height), 30, 10)
        last: dict[str, Scale] = {"Invert": ([], False)}
        return {**shapes, **_colours(0.9, 10), **_bytes(_bits(8, 4, 10), 10), **last}

    def forward(self, img: Any) -> Any:
        _, height, width = F.get_dimensions(img)
        scales = self.scales(height, width)
        for name, chance, level in self.policies[_one_of(len(self.policies))]:
            drawn, other = schuss.rand(1).item(), _one_of(2)
            if drawn > chance:
                continue
            strengths, signed = scales[name]
            strength = 0.0 if level is None else strengths[level]
            strength = -strength if signed and other == 0 else strength
            img = changed(img, name, strength, self.interpolation, self.fill)
        return img
