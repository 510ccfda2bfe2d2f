"""Layers for pictures and series, channels last: convolutions, pooling, padding, enlarging.
Leans on nn.functional, whose channels come first, and on the base beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.nn import functional as F
from schuss.tf.keras import activations
from schuss.tf.keras.layers.base import Layer

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


def _sizes(value: Any, n: int) -> tuple[int, ...]:
    return (value,) * n if isinstance(value, int) else tuple(value)


def _first(x: Tensor) -> Tensor:
    return x.movedim(-1, 1)


def _last(x: Tensor) -> Tensor:
    return x.movedim(1, -1)


def same_padding(sizes: Any, windows: Any, strides: Any) -> list[int]:
    """Widths, the last axis first, that make ceil(size / stride) windows fit; more at the end.

    >>> same_padding((5,), (2,), (2,))
    [0, 1]
    """
    widths: list[int] = []
    for size, window, stride in zip(sizes, windows, strides, strict=True):
        need = max((-(-size // stride) - 1) * stride + window - size, 0)
        widths = [need // 2, need - need // 2, *widths]
    return widths


class Windowed(Layer):
    """A layer whose windows move over the axes between batch and channels."""

    axes = 2

    def _padding(self, padding: str) -> str:
        if padding not in ("valid", "same", "causal"):
            raise ValueError(f"{self.name}: padding is 'valid' or 'same', got {padding!r}")
        return padding

    def _padded(self, x: Tensor, windows: Any, strides: Any, value: float = 0.0) -> Tensor:
        if self.padding == "causal":
            return F.pad(x, (windows[0] - 1, 0), value=value)
        if self.padding == "same":
            return F.pad(x, same_padding(x.shape[2:], windows, strides), value=value)
        return x

    padding = "valid"


class Conv(Windowed):
    """A convolution with `filters` results, channels last; the kernel is (window, in, out)."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: Any = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if data_format not in (None, "channels_last"):
            raise ValueError(f"{self.name}: channels come last here, not as in {data_format!r}")
        self.filters, self.groups, self.use_bias = filters, groups, use_bias
        self.kernel_size = _sizes(kernel_size, self.axes)
        self.strides = _sizes(strides, self.axes)
        self.dilation_rate = _sizes(dilation_rate, self.axes)
        self.padding, self.activation = self._padding(padding), activations.get(activation)
        self._makers, self._fine = (kernel_initializer, bias_initializer), kernel_regularizer

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != self.axes + 2:
            raise schuss.ShapeError(
                f"{self.name}: takes {self.axes + 2} axes, batch first and channels last, got "
                f"{tuple(input_shape)}"
            )
        shape = (*self.kernel_size, input_shape[-1] // self.groups, self.filters)
        self.kernel = self.add_weight("kernel", shape, None, self._makers[0], self._fine)
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.filters,), None, self._makers[1])

    def call(self, inputs: Tensor) -> Tensor:
        reach = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        x = self._padded(_first(inputs), reach, self.strides)
        kernel = self.kernel.movedim(-1, 0).movedim(-1, 1)
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.axes - 1]
        bias = self.bias if self.use_bias else None
        made = convolve(x, kernel, bias, self.strides, 0, self.dilation_rate, self.groups)
        return self.activation(_last(made))


class Conv1D(Conv):
    """A convolution of series, (N, L, C)."""

    axes = 1


class Conv2D(Conv):
    """A convolution of pictures, (N, H, W, C).

    >>> Conv2D(8, 3, padding="same")(schuss.ones(1, 6, 6, 3)).shape
    schuss.Size([1, 6, 6, 8])
    """


class Conv2DTranspose(Conv):
    """The transpose of a convolution: pictures become larger by the strides."""

    def build(self, input_shape: Any) -> None:
        shape = (*self.kernel_size, self.filters, input_shape[-1])
        self.kernel = self.add_weight("kernel", shape, None, self._makers[0], self._fine)
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.filters,), None, self._makers[1])

    def call(self, inputs: Tensor) -> Tensor:
        bias = self.bias if self.use_bias else None
        kernel = self.kernel.movedim(-1, 0).movedim(-1, 1)
        made = F.conv_transpose2d(_first(inputs), kernel, bias, self.strides)
        sizes = list(zip(inputs.shape[1:-1], self.strides, self.kernel_size, strict=True))
        if self.padding == "same":
            # What a convolution of this padding would have added is cut off again.
            wanted = [n * s for n, s, _ in sizes]
            cut = [max(k - s, 0) // 2 for _, s, k in sizes]
        else:
            wanted = [n * s + max(k - s, 0) for n, s, k in sizes]
            cut = [0, 0]
        missing = [max(w + c - m, 0) for w, c, m in zip(wanted, cut, made.shape[2:], strict=True)]
        if any(missing):
            made = F.pad(made, (0, missing[1], 0, missing[0]))
        (top, left), (height, width) = cut, wanted
        return self.activation(_last(made[:, :, top : top + height, left : left + width]))


class Pool(Windowed):
    """What is largest, or the mean, in windows."""

    largest = True

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.pool_size = _sizes(pool_size, self.axes)
        self.strides = self.pool_size if strides is None else _sizes(strides, self.axes)
        self.padding = self._padding(padding)

    def call(self, inputs: Tensor) -> Tensor:
        x = _first(inputs)
        if self.largest:
            x = self._padded(x, self.pool_size, self.strides, -float("inf"))
            pool = F.max_pool1d if self.axes == 1 else F.max_pool2d
            return _last(pool(x, self.pool_size, self.strides))
        pool = F.avg_pool1d if self.axes == 1 else F.avg_pool2d
        sums = pool(self._padded(x, self.pool_size, self.strides), self.pool_size, self.strides)
        if self.padding == "same":
            # The mean is of what lies inside the picture.
            inside = self._padded(schuss.ones_like(x[:1, :1]), self.pool_size, self.strides)
            sums = sums / pool(inside, self.pool_size, self.strides)
        return _last(sums)


class MaxPooling2D(Pool):
    """The largest in windows of pictures.

    >>> MaxPooling2D()(schuss.ones(1, 6, 6, 3)).shape
    schuss.Size([1, 3, 3, 3])
    """


class MaxPooling1D(Pool):
    """The largest in windows of series."""

    axes = 1


class AveragePooling2D(Pool):
    """The means of windows of pictures."""

    largest = False


class AveragePooling1D(AveragePooling2D):
    """The means of windows of series."""

    axes = 1


class GlobalPool(Layer):
    """One number for each channel."""

    def __init__(self, data_format: Any = None, keepdims: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.keepdims = keepdims


class GlobalAveragePooling2D(GlobalPool):
    """The mean of each channel."""

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.mean(tuple(range(1, inputs.ndim - 1)), keepdim=self.keepdims)


class GlobalMaxPooling2D(GlobalPool):
    """The largest of each channel."""

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.amax(tuple(range(1, inputs.ndim - 1)), keepdim=self.keepdims)


class GlobalAveragePooling1D(GlobalAveragePooling2D):
    """The mean of each channel of a series."""


class GlobalMaxPooling1D(GlobalMaxPooling2D):
    """The largest of each channel of a series."""


class ZeroPadding2D(Layer):
    """A border of zeros: one width, (rows, columns), or ((top, bottom), (left, right))."""

    def __init__(self, padding: Any = 1, data_format: Any = None, **options: Any) -> None:
        super().__init__(**options)
        pairs = (padding, padding) if isinstance(padding, int) else tuple(padding)
        self.padding = tuple((p, p) if isinstance(p, int) else tuple(p) for p in pairs)

    def call(self, inputs: Tensor) -> Tensor:
        (top, bottom), (left, right) = self.padding
        return F.pad(inputs, (0, 0, left, right, top, bottom))


class UpSampling2D(Layer):
    """Pictures enlarged by whole numbers."""

    def __init__(
        self,
        size: Any = 2,
        data_format: Any = None,
        interpolation: str = "nearest",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.size, self.interpolation = _sizes(size, 2), interpolation

    def call(self, inputs: Tensor) -> Tensor:
        height, width = (n * s for n, s in zip(inputs.shape[1:3], self.size, strict=True))
        made = F.interpolate(_first(inputs), (height, width), mode=self.interpolation)
        return _last(made)
