"""Famous networks for pictures, with the names of parameters that torchvision gives them.
Leans on nn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.vision.models.alexnet import AlexNet, alexnet
from schuss.vision.models.lenet import LeNet, lenet
from schuss.vision.models.resnet import (
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    resnext101_64x4d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from schuss.vision.models.vgg import (
    VGG,
    vgg11,
    vgg11_bn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)
from schuss.vision.models.weights import Names

if TYPE_CHECKING:
    from typing import Any

    from schuss.nn import Module

_BUILDERS = {
    name: value
    for name, value in globals().copy().items()
    if callable(value) and not isinstance(value, type) and not name.startswith("_")
}


def __getattr__(name: str):
    if name.endswith("_Weights") and name.removesuffix("_Weights").lower() in _BUILDERS:
        return Names(name)
    known = "alexnet, lenet, resnet18 to wide_resnet101_2, vgg11 to vgg19_bn"
    raise AttributeError(
        f"module 'schuss.vision.models' has no attribute {name!r}; there are {known}; another"
        " network is a subclass of nn.Module"
    )


def list_models() -> list[str]:
    """The names that get_model knows.

    >>> from schuss.vision import models
    >>> models.list_models()[:4]
    ['alexnet', 'lenet', 'resnet101', 'resnet152']
    """
    return sorted(_BUILDERS)


def get_model_builder(name: str) -> Any:
    """The function that makes the model of a name; ValueError for one that is not known."""
    found = _BUILDERS.get(name.lower())
    if found is None:
        raise ValueError(f"get_model: no model {name!r}; known: {', '.join(list_models())}")
    return found


def get_model(name: str, **config: Any) -> Module:
    """The model of a name, with the keywords of its function."""
    return get_model_builder(name)(**config)


__all__ = [
    "VGG",
    "AlexNet",
    "LeNet",
    "ResNet",
    "alexnet",
    "get_model",
    "get_model_builder",
    "lenet",
    "list_models",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "wide_resnet50_2",
    "wide_resnet101_2",
]
