"""Layers that learn the number of their inputs from the first one.
Leans on LazyModuleMixin, and on the layers that these become."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.nn import batches, convolutions
from schuss.nn.layers import Linear
from schuss.nn.unshaped import LazyModuleMixin, UninitializedBuffer, UninitializedParameter

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


class LazyLinear(LazyModuleMixin, Linear):
    """Linear whose `in_features` is the last size of the first input; it then is a Linear.

    >>> import schuss
    >>> layer = schuss.nn.LazyLinear(2)
    >>> layer(schuss.ones(5, 3)).shape, layer
    (schuss.Size([5, 2]), Linear(in_features=3, out_features=2, bias=True))
    """

    cls_to_become = Linear

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        options = {"device": device, "dtype": dtype}
        super().__init__(0, 0, False, **options)
        self.weight = UninitializedParameter(**options)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(**options)

    def reset_parameters(self) -> None:
        """Draw the weights anew, once they have a shape."""
        if not self.has_uninitialized_params() and self.in_features:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        if self.has_uninitialized_params():
            with schuss.no_grad():
                self.in_features = input.shape[-1]
                self.weight.materialize((self.out_features, self.in_features))
                if self.bias is not None:
                    self.bias.materialize((self.out_features,))
            self.reset_parameters()
        if self.in_features == 0:
            self.in_features = self.weight.shape[-1]


class _LazyConv(LazyModuleMixin):
    """What the lazy convolutions share; the class behind makes no weights for 0 channels."""

    in_channels: int
    groups: int

    def _begin(self: Any, out_channels: int, bias: bool, options: dict[str, Any]) -> None:
        self.out_channels = out_channels
        self.weight = UninitializedParameter(**options)
        if bias:
            self.bias = UninitializedParameter(**options)

    def reset_parameters(self: Any) -> None:
        """Draw the weights anew, once they have a shape."""
        if not self.has_uninitialized_params() and self.in_channels:
            super().reset_parameters()  # pyright: ignore[reportAttributeAccessIssue]

    def initialize_parameters(self: Any, input: Tensor, *args: Any, **kwargs: Any) -> None:
        if self.has_uninitialized_params():
            if input.ndim not in (self.axes + 1, self.axes + 2):
                raise RuntimeError(
                    f"{type(self).__name__}: needs {self.axes + 1} or {self.axes + 2} axes, got"
                    f" {tuple(input.shape)}"
                )
            self.in_channels = input.shape[-self.axes - 1]
            if self.in_channels % self.groups:
                raise ValueError(
                    f"{type(self).__name__}: {self.in_channels} channels do not fall into"
                    f" {self.groups} groups"
                )
            outer, inner = self.out_channels, self.in_channels
            outer, inner = (inner, outer) if self.transposed else (outer, inner)
            with schuss.no_grad():
                self.weight.materialize((outer, inner // self.groups, *self.kernel_size))
                if self.bias is not None:
                    self.bias.materialize((self.out_channels,))
            self.reset_parameters()
        if self.in_channels == 0:
            shape = self.weight.shape
            self.in_channels = shape[0] if self.transposed else shape[1] * self.groups


class _LazyForward(_LazyConv):
    def __init__(
        self: Any,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        options = {"device": device, "dtype": dtype}
        super().__init__(
            0,
            0,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            False,
            padding_mode,
            **options,
        )
        self._begin(out_channels, bias, options)


class LazyConv1d(_LazyForward, convolutions.Conv1d):
    """Conv1d whose `in_channels` are those of the first input."""

    cls_to_become = convolutions.Conv1d


class LazyConv2d(_LazyForward, convolutions.Conv2d):
    """Conv2d whose `in_channels` are those of the first input; it then is a Conv2d.

    >>> import schuss
    >>> layer = schuss.nn.LazyConv2d(8, 3)
    >>> layer(schuss.ones(1, 3, 6, 6)).shape, layer.in_channels
    (schuss.Size([1, 8, 4, 4]), 3)
    """

    cls_to_become = convolutions.Conv2d


class LazyConv3d(_LazyForward, convolutions.Conv3d):
    """Conv3d whose `in_channels` are those of the first input."""

    cls_to_become = convolutions.Conv3d


class _LazyTransposed(_LazyConv):
    def __init__(
        self: Any,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        options = {"device": device, "dtype": dtype}
        super().__init__(
            0,
            0,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            False,
            dilation,
            padding_mode,
            **options,
        )
        self._begin(out_channels, bias, options)


class LazyConvTranspose1d(_LazyTransposed, convolutions.ConvTranspose1d):
    """ConvTranspose1d whose `in_channels` are those of the first input."""

    cls_to_become = convolutions.ConvTranspose1d


class LazyConvTranspose2d(_LazyTransposed, convolutions.ConvTranspose2d):
    """ConvTranspose2d whose `in_channels` are those of the first input."""

    cls_to_become = convolutions.ConvTranspose2d


class LazyConvTranspose3d(_LazyTransposed, convolutions.ConvTranspose3d):
    """ConvTranspose3d whose `in_channels` are those of the first input."""

    cls_to_become = convolutions.ConvTranspose3d


class _LazyNorm(LazyModuleMixin):
    """What the lazy norms share."""

    def __init__(
        self: Any,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        options = {"device": device, "dtype": dtype}
        super().__init__(0, eps, momentum, False, False, **options)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(**options)
            if bias:
                self.bias = UninitializedParameter(**options)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(**options)
            self.running_var = UninitializedBuffer(**options)
            self.num_batches_tracked = schuss.tensor(
                0, dtype=schuss.int64, device=options["device"]
            )

    def reset_parameters(self: Any) -> None:
        """Set the first values, once there is a shape."""
        if not self.has_uninitialized_params() and self.num_features:
            super().reset_parameters()  # pyright: ignore[reportAttributeAccessIssue]

    def initialize_parameters(self: Any, input: Tensor) -> None:
        if self.has_uninitialized_params():
            alone = isinstance(self, batches._InstanceNorm) and input.ndim == self.axes[0]
            self.num_features = input.shape[0 if alone else 1]
            own = (self.weight, self.bias, self.running_mean, self.running_var)
            with schuss.no_grad():
                for value in own:
                    if value is not None:
                        value.materialize((self.num_features,))
            self.reset_parameters()
        if self.num_features == 0:
            known = self.weight if self.weight is not None else self.running_mean
            self.num_features = known.shape[0]


class LazyBatchNorm1d(_LazyNorm, batches.BatchNorm1d):
    """BatchNorm1d whose `num_features` are the channels of the first input."""

    cls_to_become = batches.BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, batches.BatchNorm2d):
    """BatchNorm2d whose `num_features` are the channels of the first input."""

    cls_to_become = batches.BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, batches.BatchNorm3d):
    """BatchNorm3d whose `num_features` are the channels of the first input."""

    cls_to_become = batches.BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, batches.InstanceNorm1d):
    """InstanceNorm1d whose `num_features` are the channels of the first input."""

    cls_to_become = batches.InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, batches.InstanceNorm2d):
    """InstanceNorm2d whose `num_features` are the channels of the first input."""

    cls_to_become = batches.InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, batches.InstanceNorm3d):
    """InstanceNorm3d whose `num_features` are the channels of the first input."""

    cls_to_become = batches.InstanceNorm3d
