"""LeNet-5, the network that read digits on cheques.
Leans on nn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import nn
from schuss.nn import functional as F

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


class LeNet(nn.Module):
    """Two convolutions and three linear layers for pictures of 32x32 (LeCun et al., 1998).

    Rectifiers and largest elements take the place of the paper's sigmoids and means.

    >>> import schuss
    >>> from schuss.vision import models
    >>> models.LeNet()(schuss.ones(2, 1, 32, 32)).shape
    schuss.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


def lenet(**kwargs: Any) -> LeNet:
    """LeNet-5 with the keywords of LeNet."""
    return LeNet(**kwargs)
