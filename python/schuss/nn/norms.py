"""Layers that normalise each sample by itself: its features, groups or neighbouring channels.
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


class RMSNorm(Model):
    """Brings the last axes to a mean square of 1 (Zhang and Sennrich, 2019).

    `normalized_shape` is their shape; `eps=None` is the dtype's own `finfo(dtype).eps`.

    >>> import schuss
    >>> schuss.nn.RMSNorm(2)(schuss.tensor([3.0, 3.0])).tolist()
    [1.0, 1.0]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        listed = isinstance(normalized_shape, (tuple, list))
        sizes = normalized_shape if listed else (normalized_shape,)
        self.normalized_shape = tuple(size("RMSNorm", "normalized_shape", n) for n in sizes)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        made = None
        if elementwise_affine:
            made = Parameter(schuss.empty(self.normalized_shape, device=device, dtype=dtype))
        self.register_parameter("weight", made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to ones."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Model):
    """Normalises each sample's groups of channels, (N, C, ...) (Wu and He, 2018).

    >>> import schuss
    >>> schuss.nn.GroupNorm(2, 6)(schuss.ones(4, 6, 3)).abs().max().item()
    0.0
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        num_channels = size("GroupNorm", "num_channels", num_channels)
        num_groups = size("GroupNorm", "num_groups", num_groups)
        if not num_groups or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: {num_channels} channels do not fall into {num_groups} groups"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        options = {"device": device, "dtype": dtype}
        for name, wanted in (("weight", True), ("bias", bias)):
            made = Parameter(schuss.empty(num_channels, **options)) if affine and wanted else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to ones and the bias to zeros."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Model):
    """Divides by (k + alpha * mean square of `size` neighbouring channels) ** beta.

    Krizhevsky et al., 2012.

    >>> import schuss
    >>> schuss.nn.LocalResponseNorm(1, alpha=3.0, beta=0.5)(schuss.ones(1, 1, 1))
    tensor([[[0.5000]]])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """LocalResponseNorm for images, under its oldest name.

    PyTorch's goes on counting the first channel behind its window; this one does not.

    >>> from schuss import nn
    >>> nn.CrossMapLRN2d(3)
    CrossMapLRN2d(3, alpha=0.0001, beta=0.75, k=1)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)
