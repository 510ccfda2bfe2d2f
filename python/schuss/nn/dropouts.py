"""Layers that drop elements or whole channels at random while a model trains.
Leans on nn.functional."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.model import Model
from schuss.nn import functional as F
from schuss.nn.settings import probability

if TYPE_CHECKING:
    from schuss import Tensor


class _DropoutNd(Model):
    """A probability, and whether to write over the input."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p = probability(type(self).__name__, "p", p)
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """In training, zeroes each element with probability `p` and scales the rest by 1 / (1 - p).

    >>> import schuss
    >>> schuss.nn.Dropout(0.5).eval()(schuss.ones(3))
    tensor([1., 1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, True, self.inplace) if self.training else input


class Dropout1d(_DropoutNd):
    """In training, zeroes whole channels of (N, C, L) or (C, L) (Tompson et al., 2014).

    >>> import schuss
    >>> schuss.nn.Dropout1d(1.0)(schuss.ones(1, 1, 3))
    tensor([[[0., 0., 0.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """In training, zeroes whole channels of images (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """In training, zeroes whole channels of volumes (N, C, D, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout that keeps mean and variance behind SELU (Klambauer et al., 2017)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_DropoutNd):
    """AlphaDropout of whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
