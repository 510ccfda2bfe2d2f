"""Transforms of pictures, under torchvision's names, for tensors, arrays and Pillow's pictures.
Leans on the rooms beside it."""

from schuss.vision.transforms import functional
from schuss.vision.transforms.drawn import (
    ColorJitter,
    GaussianBlur,
    RandomAdjustSharpness,
    RandomAffine,
    RandomApply,
    RandomAutocontrast,
    RandomChoice,
    RandomCrop,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomInvert,
    RandomOrder,
    RandomPerspective,
    RandomPosterize,
    RandomResizedCrop,
    RandomRotation,
    RandomSolarize,
    RandomVerticalFlip,
)
from schuss.vision.transforms.fixed import (
    CenterCrop,
    Compose,
    ConvertImageDtype,
    FiveCrop,
    Grayscale,
    Lambda,
    LinearTransformation,
    Normalize,
    Pad,
    PILToTensor,
    Resize,
    TenCrop,
    ToPILImage,
    ToTensor,
)
from schuss.vision.transforms.functional import InterpolationMode

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "FiveCrop",
    "GaussianBlur",
    "Grayscale",
    "InterpolationMode",
    "Lambda",
    "LinearTransformation",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomChoice",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomOrder",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "ToPILImage",
    "ToTensor",
    "functional",
]


def __getattr__(name: str):
    if name == "v2":
        from importlib import import_module

        return import_module("schuss.vision.transforms.v2")
    said = f"module 'schuss.vision.transforms' has no attribute {name!r}"
    if name in _POLICIES:
        said += (
            ": no policies that were searched for are here; RandomApply and RandomChoice put"
            " together what the other transforms do"
        )
    elif name == "ElasticTransform":
        said += ": pictures are not bent here; RandomPerspective and RandomAffine turn and warp"
    raise AttributeError(said)


_POLICIES = ("AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide")
