"""AlexNet, in the form with one row of convolutions.
Leans on nn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import nn
from schuss.vision.models.weights import untrained

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


class AlexNet(nn.Module):
    """Five convolutions and three linear layers for pictures of 224x224 (Krizhevsky, 2014).

    >>> import schuss
    >>> from schuss.vision import models
    >>> sum(p.numel() for p in models.AlexNet(num_classes=10).parameters())
    57044810
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def alexnet(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> AlexNet:
    """AlexNet with the keywords of that class; NotImplementedError for trained weights."""
    return AlexNet(**untrained("alexnet", weights, kwargs))
