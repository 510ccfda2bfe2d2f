"""Layers that normalise: over the features of a sample, or over a batch with running averages.
Leans on nn.functional and nn.init."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.model import Model, Parameter
from schuss.nn import functional as F
from schuss.nn import init
from schuss.nn.settings import size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from schuss import Tensor


class LayerNorm(Model):
    """Normalises the last axes, of shape `normalized_shape`, sample by sample (Ba et al., 2016).

    >>> import schuss
    >>> schuss.nn.LayerNorm(2)(schuss.tensor([[1.0, 3.0]])).tolist()[0][1] > 0.9
    True
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        listed = isinstance(normalized_shape, (tuple, list))
        sizes = normalized_shape if listed else (normalized_shape,)
        self.normalized_shape = tuple(size("LayerNorm", "normalized_shape", n) for n in sizes)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        options = {"device": device, "dtype": dtype}
        for name, wanted in (("weight", True), ("bias", bias)):
            made = None
            if elementwise_affine and wanted:
                made = Parameter(schuss.empty(self.normalized_shape, **options))
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to ones and the bias to zeros."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class _BatchNorm(Model):
    """Batch normalisation for inputs of the numbers of axes in `axes`."""

    axes: tuple[int, ...]
    _version = 2

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        self.num_features = size(type(self).__name__, "num_features", num_features)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        options = {"device": device, "dtype": dtype}
        for name, wanted in (("weight", True), ("bias", bias)):
            made = Parameter(schuss.empty(num_features, **options)) if affine and wanted else None
            self.register_parameter(name, made)
        track = track_running_stats
        self.register_buffer(
            "running_mean", schuss.zeros(num_features, **options) if track else None
        )
        self.register_buffer("running_var", schuss.ones(num_features, **options) if track else None)
        count = schuss.tensor(0, dtype=schuss.int64) if track else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the running mean and variance."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Set the weight to ones, the bias to zeros, and forget the running values."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.axes:
            wanted = " or ".join(map(str, self.axes))
            raise ValueError(
                f"{type(self).__name__}: needs {wanted} axes, got shape {tuple(input.shape)}"
            )
        if input.shape[1] != self.num_features:
            raise schuss.ShapeError(
                f"{type(self).__name__}: {tuple(input.shape)} has {input.shape[1]} channels, "
                f"the layer {self.num_features}"
            )
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked)
        tracked = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Normalises each channel of (N, C) or (N, C, L) over the batch (Ioffe and Szegedy, 2015).

    In training it keeps running averages (`momentum=None` for plain means), used after `eval()`.

    >>> import schuss
    >>> schuss.nn.BatchNorm1d(1)(schuss.tensor([[1.0], [3.0]])).sum().item()
    0.0
    """

    axes = (2, 3)
