"""VGG: deep stacks of convolutions of 3x3, in four depths, with batch norms or without.
Leans on nn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import nn
from schuss.vision.models.weights import untrained

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor

# How many convolutions stand before each pooling, by the number of layers with weights.
_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)


def make_layers(depths: tuple[int, ...], batch_norm: bool = False) -> nn.Sequential:
    """The convolutions, rectifiers and poolings, in order."""
    layers: list[nn.Module] = []
    channels = 3
    for depth, width in zip(depths, _WIDTHS, strict=True):
        for _ in range(depth):
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            channels = width
        layers.append(nn.MaxPool2d(2, stride=2))
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """Convolutions, then three linear layers, for 224x224 (Simonyan and Zisserman, 2014)."""

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            for part in self.modules():
                if isinstance(part, nn.Conv2d):
                    nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
                elif isinstance(part, nn.Linear):
                    nn.init.normal_(part.weight, 0, 0.01)
                elif isinstance(part, nn.BatchNorm2d):
                    nn.init.ones_(part.weight)
                else:
                    continue
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def _builder(depth: int, batch_norm: bool) -> Any:
    name = f"vgg{depth}_bn" if batch_norm else f"vgg{depth}"

    def build(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
        kwargs = untrained(name, weights, kwargs)
        return VGG(make_layers(_DEPTHS[depth], batch_norm), **kwargs)

    build.__name__ = build.__qualname__ = name
    norms = " and batch norms" if batch_norm else ""
    build.__doc__ = f"VGG of {depth} layers{norms}, with the keywords of that class."
    return build


vgg11, vgg13, vgg16, vgg19 = (_builder(depth, False) for depth in _DEPTHS)
vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn = (_builder(depth, True) for depth in _DEPTHS)
