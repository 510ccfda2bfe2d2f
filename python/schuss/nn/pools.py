"""Poolings as models: the largest, the mean or the norm of windows, and largest elements put back.
Leans on nn.functional."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.model import Model
from schuss.nn import functional as F
from schuss.nn.settings import each, repeated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from schuss import Tensor

    Sizes = int | Sequence[int]


class _MaxPoolNd(Model):
    """Settings of the poolings by largest elements."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def _pooled(self, pool: Any, input: Tensor) -> Any:
        return pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """The largest element of every window of (N, C, L) or (C, L).

    With `return_indices` also its place, for MaxUnpool1d.

    >>> import schuss
    >>> schuss.nn.MaxPool1d(2)(schuss.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[3., 2.]])
    """

    def forward(self, input: Tensor) -> Any:
        return self._pooled(F.max_pool1d, input)


class MaxPool2d(_MaxPoolNd):
    """The largest element of every window of (N, C, H, W) or (C, H, W).

    >>> import schuss
    >>> schuss.nn.MaxPool2d(2)(schuss.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
    tensor([[[3.]]])
    """

    def forward(self, input: Tensor) -> Any:
        return self._pooled(F.max_pool2d, input)


class MaxPool3d(_MaxPoolNd):
    """The largest element of every window of (N, C, D, H, W) or (C, D, H, W)."""

    def forward(self, input: Tensor) -> Any:
        return self._pooled(F.max_pool3d, input)


class _MaxUnpoolNd(Model):
    """Settings of the unpoolings."""

    axes: int

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        layer = type(self).__name__
        self.kernel_size = each(layer, "kernel_size", kernel_size, self.axes)
        stride = self.kernel_size if stride is None else stride
        self.stride = each(layer, "stride", stride, self.axes)
        self.padding = each(layer, "padding", padding, self.axes)

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        unpool = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.axes - 1]
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Elements put back where MaxPool1d found them, 0 elsewhere.

    >>> import schuss
    >>> values, places = schuss.nn.MaxPool1d(2, return_indices=True)(schuss.tensor([[1.0, 3.0]]))
    >>> schuss.nn.MaxUnpool1d(2)(values, places)
    tensor([[0., 3.]])
    """

    axes = 1


class MaxUnpool2d(_MaxUnpoolNd):
    """Elements put back where MaxPool2d found them, 0 elsewhere."""

    axes = 2


class MaxUnpool3d(_MaxUnpoolNd):
    """Elements put back where MaxPool3d found them, 0 elsewhere."""

    axes = 3


class AvgPool1d(Model):
    """The mean of every window of (N, C, L) or (C, L).

    >>> import schuss
    >>> schuss.nn.AvgPool1d(2)(schuss.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[2., 1.]])
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = each("AvgPool1d", "kernel_size", kernel_size, 1)
        self.stride = each("AvgPool1d", "stride", kernel_size if stride is None else stride, 1)
        self.padding = each("AvgPool1d", "padding", padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Model):
    """The mean of every window of (N, C, H, W) or (C, H, W).

    >>> import schuss
    >>> schuss.nn.AvgPool2d(2)(schuss.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
    tensor([[[1.5000]]])
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def _pooled(self, pool: Any, input: Tensor) -> Tensor:
        return pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def forward(self, input: Tensor) -> Tensor:
        return self._pooled(F.avg_pool2d, input)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool3d(AvgPool2d):
    """The mean of every window of (N, C, D, H, W) or (C, D, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return self._pooled(F.avg_pool3d, input)


class _LPPoolNd(Model):
    """Settings of the poolings by norms."""

    def __init__(
        self,
        norm_type: float,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        ceil_mode: bool = False,
    ) -> None:
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def _pooled(self, pool: Any, input: Tensor) -> Tensor:
        return pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """The p-norm of every window of (N, C, L) or (C, L).

    >>> import schuss
    >>> schuss.nn.LPPool1d(2, 2)(schuss.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return self._pooled(F.lp_pool1d, input)


class LPPool2d(_LPPoolNd):
    """The p-norm of every window of (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return self._pooled(F.lp_pool2d, input)


class LPPool3d(_LPPoolNd):
    """The p-norm of every window of (N, C, D, H, W) or (C, D, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return self._pooled(F.lp_pool3d, input)


class _FractionalMaxPoolNd(Model):
    """Settings of the poolings at random distances."""

    axes: int
    _random_samples: Tensor | None

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        layer = type(self).__name__
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{layer}: needs one of output_size and output_ratio")
        tupled = repeated(self.axes)
        self.kernel_size = each(layer, "kernel_size", kernel_size, self.axes)
        if any(k < 1 for k in self.kernel_size):
            raise ValueError(f"{layer}: kernel sizes must be positive, got {self.kernel_size}")
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else tupled(output_size)
        self.output_ratio = None if output_ratio is None else tupled(output_ratio)
        if self.output_ratio is not None and any(not 0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"{layer}: ratios must be between 0 and 1, got {output_ratio}")

    def forward(self, input: Tensor) -> Any:
        pool = F.fractional_max_pool2d if self.axes == 2 else F.fractional_max_pool3d
        return pool(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """The largest elements of windows at random distances (Graham, 2014), over (N, C, H, W).

    >>> import schuss
    >>> schuss.nn.FractionalMaxPool2d(2, output_ratio=0.5)(schuss.ones(1, 1, 6, 6)).shape
    schuss.Size([1, 1, 3, 3])
    """

    axes = 2


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """The largest elements of windows at random distances, over (N, C, D, H, W)."""

    axes = 3


class _AdaptiveMaxPoolNd(Model):
    """Settings of the poolings by largest elements to a wanted size."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """(N, C, L) pooled by largest elements to the length asked for.

    >>> import schuss
    >>> schuss.nn.AdaptiveMaxPool1d(2)(schuss.tensor([[1.0, 2.0, 3.0, 4.0]]))
    tensor([[2., 4.]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """(N, C, H, W) pooled by largest elements to the sizes asked for; None keeps an axis."""

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """(N, C, D, H, W) pooled by largest elements to the sizes asked for; None keeps an axis."""

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class _AdaptiveAvgPoolNd(Model):
    """Settings of the poolings by means to a wanted size."""

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """(N, C, L) pooled by means to the length asked for.

    >>> import schuss
    >>> schuss.nn.AdaptiveAvgPool1d(2)(schuss.tensor([[1.0, 2.0, 3.0, 4.0]]))
    tensor([[1.5000, 3.5000]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """(N, C, H, W) pooled by means to the sizes asked for; None keeps an axis."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """(N, C, D, H, W) pooled by means to the sizes asked for; None keeps an axis."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool3d(input, self.output_size)
