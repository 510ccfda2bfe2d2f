"""Pictures bent as if they were drawn on rubber, by a field that is drawn.
Leans on the functions beside it and on the core's random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.vision.transforms import functional as F
from schuss.vision.transforms.fixed import Transform
from schuss.vision.transforms.functional import InterpolationMode
from schuss.vision.transforms.geometry import mode_of

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


def _two(name: str, value: Any) -> list[float]:
    values = [value] * 2 if isinstance(value, (int, float)) else list(value)
    values = values * 2 if len(values) == 1 else values
    if len(values) != 2 or any(v < 0 for v in values):
        raise ValueError(
            f"ElasticTransform: {name} is one number, 0 or more, or two of them, got {value!r}"
        )
    return [float(v) for v in values]


class ElasticTransform(Transform):
    """A picture bent by a field that is drawn, `alpha` strong and `sigma` smooth (Simard, 2003).

    >>> ElasticTransform()(schuss.rand(3, 32, 32)).shape
    schuss.Size([3, 32, 32])
    """

    _shown = ("alpha", "sigma", "interpolation", "fill")

    def __init__(
        self,
        alpha: Any = 50.0,
        sigma: Any = 5.0,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.alpha, self.sigma = _two("alpha", alpha), _two("sigma", sigma)
        self.interpolation, self.fill = mode_of(interpolation), fill

    @staticmethod
    def get_params(alpha: list[float], sigma: list[float], size: Any) -> Tensor:
        """The field, (1, H, W, 2), for a picture of (height, width)."""
        parts = []
        for strength, width, extent in zip(alpha, sigma, size, strict=True):
            field = schuss.rand(1, 1, *size) * 2 - 1
            if width > 0:
                window = int(8 * width + 1) | 1
                field = F.gaussian_blur(field, [window, window], list(sigma))
            parts.append(field * strength / extent)
        return schuss.cat(parts, 1).permute(0, 2, 3, 1)

    def forward(self, img: Any) -> Any:
        _, height, width = F.get_dimensions(img)
        field = self.get_params(self.alpha, self.sigma, [height, width])
        return F.elastic_transform(img, field, self.interpolation, self.fill)
