"""Convolutions of one, two and three axes, their transposes, and windows as columns.
Leans on nn.functional and nn.init; first weights follow PyTorch's distributions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss.model import Model, Parameter
from schuss.nn import functional as F
from schuss.nn import init
from schuss.nn.settings import each, size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from schuss import Tensor

    Sizes = int | Sequence[int]

_BORDERS = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Model):
    """What all convolutions share: settings, weights, and how they are shown."""

    axes: int
    transposed = False
    bias: Parameter | None

    def _settle(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: str | Sizes,
        dilation: Sizes,
        output_padding: Sizes,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        layer, d = type(self).__name__, self.axes
        self.in_channels = size(layer, "in_channels", in_channels)
        self.out_channels = size(layer, "out_channels", out_channels)
        if groups < 1:
            raise ValueError(f"{layer}: groups must be positive, got {groups}")
        for name, count in (("in_channels", in_channels), ("out_channels", out_channels)):
            if count % groups:
                raise ValueError(f"{layer}: {name} {count} does not fall into {groups} groups")
        self.kernel_size = each(layer, "kernel_size", kernel_size, d)
        self.stride = each(layer, "stride", stride, d)
        self.dilation = each(layer, "dilation", dilation, d)
        self.output_padding = each(layer, "output_padding", output_padding, d)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"{layer}: padding is 'same', 'valid' or numbers, not {padding!r}")
            if padding == "same" and self.stride != (1,) * d:
                raise ValueError(f"{layer}: padding='same' needs stride 1, got {self.stride}")
            self.padding: Any = padding
        else:
            self.padding = each(layer, "padding", padding, d)
        if padding_mode not in _BORDERS:
            raise ValueError(
                f"{layer}: padding_mode is one of {', '.join(_BORDERS)}, not {padding_mode!r}"
            )
        self.groups = groups
        self.padding_mode = padding_mode
        outer, inner = out_channels, in_channels // groups
        if self.transposed:
            outer, inner = in_channels, out_channels // groups
        shape = (outer, inner, *self.kernel_size)
        options = {"device": device, "dtype": dtype}
        self.weight = Parameter(schuss.empty(shape, **options))
        bias_or_none = Parameter(schuss.empty(out_channels, **options)) if bias else None
        self.register_parameter("bias", bias_or_none)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            inputs, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if inputs:
                bound = 1 / math.sqrt(inputs)
                init.uniform_(self.bias, -bound, bound)

    @property
    def _reversed_padding_repeated_twice(self) -> list[int]:
        """The widths of the border as `pad` takes them, the last axis first."""
        if self.padding == "valid":
            return [0] * (2 * self.axes)
        if self.padding == "same":
            whole = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [part for n in reversed(whole) for part in (n // 2, n - n // 2)]
        return [p for p in reversed(self.padding) for _ in range(2)]

    def extra_repr(self) -> str:
        shown = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        shown += f", stride={self.stride}"
        zeros, ones = (0,) * self.axes, (1,) * self.axes
        if self.padding != zeros:
            shown += f", padding={self.padding}"
        if self.dilation != ones:
            shown += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            shown += f", output_padding={self.output_padding}"
        if self.groups != 1:
            shown += f", groups={self.groups}"
        if self.bias is None:
            shown += ", bias=False"
        if self.padding_mode != "zeros":
            shown += f", padding_mode={self.padding_mode}"
        return shown


class _Convolution(_ConvNd):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: str | Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._settle(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution with other weights than the layer's own."""
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.axes - 1]
        return convolve(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


class Conv1d(_Convolution):
    """The cross-correlation of (N, C, L) or (C, L) with kernels.

    The weight is (out_channels, in_channels / groups, size); weights and bias begin uniform
    within 1 / sqrt(in_channels / groups * size). ValueError for settings that do not fit.

    >>> import schuss
    >>> schuss.nn.Conv1d(3, 8, 5, padding="same")(schuss.ones(2, 3, 9)).shape
    schuss.Size([2, 8, 9])
    """

    axes = 1


class Conv2d(_Convolution):
    """The cross-correlation of (N, C, H, W) or (C, H, W) with kernels.

    The weight is (out_channels, in_channels / groups, height, width); weights and bias begin
    uniform within 1 / sqrt(in_channels / groups * height * width).

    >>> import schuss
    >>> schuss.nn.Conv2d(3, 8, 3, stride=2, padding=1)(schuss.ones(2, 3, 8, 8)).shape
    schuss.Size([2, 8, 4, 4])
    """

    axes = 2


class Conv3d(_Convolution):
    """The cross-correlation of (N, C, D, H, W) or (C, D, H, W) with kernels.

    >>> import schuss
    >>> schuss.nn.Conv3d(1, 2, 3)(schuss.ones(1, 1, 4, 5, 6)).shape
    schuss.Size([1, 2, 2, 3, 4])
    """

    axes = 3


class _ConvTransposeNd(_ConvNd):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(
                f"{type(self).__name__}: padding_mode must be 'zeros', got {padding_mode!r}"
            )
        self._settle(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _output_padding(self, input: Tensor, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """What is added at the far end of each axis to come to `output_size`."""
        if output_size is None:
            return self.output_padding
        layer, d = type(self).__name__, self.axes
        wanted = tuple(output_size)
        wanted = wanted[-d:] if len(wanted) == input.ndim else wanted
        if len(wanted) != d:
            raise ValueError(
                f"{layer}: output_size must have {d} or {input.ndim} numbers, got {len(wanted)}"
            )
        found = []
        for axis, n in enumerate(wanted):
            step, reach = self.stride[axis], self.dilation[axis] * (self.kernel_size[axis] - 1)
            least = (input.shape[axis - d] - 1) * step - 2 * self.padding[axis] + reach + 1
            if not least <= n < least + step:
                raise ValueError(
                    f"{layer}: output_size {wanted}: axis {axis} may be {least} to"
                    f" {least + step - 1} for an input of shape {tuple(input.shape)}"
                )
            found.append(n - least)
        return tuple(found)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        more = self._output_padding(input, output_size)
        convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.axes - 1]
        return convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            more,
            self.groups,
            self.dilation,
        )


class ConvTranspose1d(_ConvTransposeNd):
    """The transpose of Conv1d as a map; `output_size` at the call settles what it leaves open.

    >>> import schuss
    >>> schuss.nn.ConvTranspose1d(3, 8, 4, stride=2)(schuss.ones(2, 3, 5)).shape
    schuss.Size([2, 8, 12])
    """

    axes = 1


class ConvTranspose2d(_ConvTransposeNd):
    """The transpose of Conv2d as a map (Zeiler et al., 2010).

    The weight is (in_channels, out_channels / groups, height, width).

    >>> import schuss
    >>> up = schuss.nn.ConvTranspose2d(3, 8, 3, stride=2, padding=1)
    >>> up(schuss.ones(2, 3, 4, 4), output_size=(8, 8)).shape
    schuss.Size([2, 8, 8, 8])
    """

    axes = 2


class ConvTranspose3d(_ConvTransposeNd):
    """The transpose of Conv3d as a map.

    >>> import schuss
    >>> schuss.nn.ConvTranspose3d(1, 2, 2, stride=2)(schuss.ones(1, 1, 2, 3, 4)).shape
    schuss.Size([1, 2, 4, 6, 8])
    """

    axes = 3


class Unfold(Model):
    """The windows of images (N, C, H, W) as columns (N, C * kernel, places).

    >>> import schuss
    >>> schuss.nn.Unfold(2)(schuss.ones(1, 3, 4, 4)).shape
    schuss.Size([1, 12, 9])
    """

    def __init__(
        self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class Fold(Unfold):
    """Columns (N, C * kernel, places) added up to images (N, C, H, W): Unfold's transpose.

    >>> import schuss
    >>> schuss.nn.Fold((4, 4), 2)(schuss.ones(1, 12, 9)).shape
    schuss.Size([1, 3, 4, 4])
    """

    def __init__(
        self,
        output_size: Sizes,
        kernel_size: Sizes,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        stride: Sizes = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"
