"""Layers that normalise channels over a batch or over a sample, with running averages.
Leans on nn.functional and nn.init."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.model import Model, Parameter
from schuss.model.state import DEFERRED
from schuss.naming import warn
from schuss.nn import functional as F
from schuss.nn import init
from schuss.nn.settings import size

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


class _NormBase(Model):
    """Weights and running values for each channel, for inputs of the numbers of axes in `axes`."""

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
        count = schuss.tensor(0, dtype=schuss.int64, device=device) if track else None
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

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in self.axes:
            wanted = " or ".join(map(str, self.axes))
            raise ValueError(
                f"{type(self).__name__}: needs {wanted} axes, got shape {tuple(input.shape)}"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # States written before batches were counted lack the count.
        name, version = f"{prefix}num_batches_tracked", local_metadata.get("version")
        if (version is None or version < 2) and self.num_batches_tracked is not None:
            state_dict.setdefault(name, self.num_batches_tracked.clone())
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )


DEFERRED.add(_NormBase._load_from_state_dict)


class _BatchNorm(_NormBase):
    """Batch normalisation (Ioffe and Szegedy, 2015)."""

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        if input.shape[1] != self.num_features:
            raise schuss.ShapeError(
                f"{type(self).__name__}: {tuple(input.shape)} has {input.shape[1]} channels, "
                f"the layer {self.num_features}"
            )
        momentum = 0.0 if self.momentum is None else self.momentum
        counted = self.training and self.track_running_stats
        if counted and self.momentum is None:
            momentum = 1.0 / (self.num_batches_tracked.double() + 1)
        tracked = not self.training or self.track_running_stats
        made = F.batch_norm(
            input,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
        )
        if counted:
            # Last, so that a batch that is refused is not counted.
            self.num_batches_tracked.add_(1)
        return made


class BatchNorm1d(_BatchNorm):
    """Normalises each channel of (N, C) or (N, C, L) over the batch (Ioffe and Szegedy, 2015).

    In training it keeps running averages (`momentum=None` for plain means), used after `eval()`.

    >>> import schuss
    >>> schuss.nn.BatchNorm1d(1)(schuss.tensor([[1.0], [3.0]])).sum().item()
    0.0
    """

    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalises each channel of images (N, C, H, W) over the batch and the image.

    >>> import schuss
    >>> schuss.nn.BatchNorm2d(3)(schuss.ones(2, 3, 4, 4)).abs().max().item()
    0.0
    """

    axes = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalises each channel of volumes (N, C, D, H, W) over the batch and the volume."""

    axes = (5,)


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation that would join the batches of several processes; here there is one."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(
                f"SyncBatchNorm: needs at least 2 axes, got shape {tuple(input.shape)}"
            )

    @classmethod
    def convert_sync_batchnorm(cls, module: Model, process_group: Any = None) -> Model:
        """The model with every BatchNorm in it replaced by a SyncBatchNorm of the same state.

        >>> from schuss import nn
        >>> type(nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm2d(3))).__name__
        'SyncBatchNorm'
        """
        made = module
        if isinstance(module, _BatchNorm) and not isinstance(module, SyncBatchNorm):
            made = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
            )
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                setattr(made, name, getattr(module, name))
            made.training = module.training
        for name, child in module.named_children():
            made.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return made


class _InstanceNorm(_NormBase):
    """Instance normalisation (Ulyanov et al., 2016)."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        alone = input.ndim == self.axes[0]
        channels = input.shape[0 if alone else 1]
        if channels != self.num_features:
            said = (
                f"{type(self).__name__}: {tuple(input.shape)} has {channels} channels, "
                f"the layer {self.num_features}"
            )
            if self.affine:
                raise schuss.ShapeError(said)
            warn(f"{said}; without weights that changes nothing")
        found = F.instance_norm(
            input.unsqueeze(0) if alone else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return found.squeeze(0) if alone else found


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each sample of (N, C, L) or (C, L) (Ulyanov et al., 2016).

    >>> import schuss
    >>> schuss.nn.InstanceNorm1d(1)(schuss.tensor([[[1.0, 1.0]]]))
    tensor([[[0., 0.]]])
    """

    axes = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each image of (N, C, H, W) or (C, H, W)."""

    axes = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalises each channel of each volume of (N, C, D, H, W) or (C, D, H, W)."""

    axes = (4, 5)
