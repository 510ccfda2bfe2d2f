"""Transforms of matrices, transforms of several parts, and those that distributions give.
Leans on the transforms and constraints beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.distributions import constraints
from schuss.distributions.transforms import ComposeTransform, Transform, _summed, must_transforms

if TYPE_CHECKING:
    from typing import Any


class LowerCholeskyTransform(Transform):
    """Square matrices as lower triangles with a positive diagonal, by its exponential."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.lower_cholesky

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Transform):
    """Square matrices as positive definite ones, by a lower factor."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Tensor) -> Tensor:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(schuss.linalg.cholesky(y))


def _strict_lower(x: Tensor) -> Tensor:
    """A vector as the rows below the diagonal of a matrix."""
    count = x.shape[-1]
    size = round((math.sqrt(8 * count + 1) + 1) / 2)
    if size * (size - 1) // 2 != count:
        raise ValueError(f"CorrCholeskyTransform: {count} numbers fill no triangle")
    rows, columns = schuss.tril_indices(size, size, -1, device=x.device)
    flat = x.new_zeros((*x.shape[:-1], size * size))
    places = (rows * size + columns).expand(x.shape)
    return flat.scatter(-1, places, x).reshape(*x.shape[:-1], size, size)


class CorrCholeskyTransform(Transform):
    """A vector as the lower factor of a matrix of correlations: rows of length 1, by tangents
    (Lewandowski, Kurowicka and Joe 2009)."""

    domain, codomain = constraints.real_vector, constraints.corr_cholesky

    def _call(self, x: Tensor) -> Tensor:
        small = schuss.finfo(x.dtype).eps
        r = _strict_lower(x.tanh().clamp(-1 + small, 1 - small))
        # What each number leaves of its row's length for those behind it.
        left = (1 - r**2).cumprod(-1).sqrt()
        r = r + schuss.eye(r.shape[-1], dtype=r.dtype, device=r.device)
        return r * schuss.nn.functional.pad(left[..., :-1], [1, 0], value=1.0)

    def _inverse(self, y: Tensor) -> Tensor:
        left = 1 - (y * y).cumsum(-1)
        left = schuss.nn.functional.pad(left[..., :-1], [1, 0], value=1.0).clamp(min=1e-300)
        rows, columns = schuss.tril_indices(y.shape[-1], y.shape[-1], -1, device=y.device)
        return (y[..., rows, columns] / left[..., rows, columns].sqrt()).atanh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        left = 1 - (y * y).cumsum(-1)
        rows, columns = schuss.tril_indices(y.shape[-1], y.shape[-1], -2, device=y.device)
        stick = 0.5 * left[..., rows, columns].log().sum(-1)
        slope = -2 * (x + schuss.nn.functional.softplus(-2 * x) - math.log(2)).sum(-1)
        return stick + slope

    def forward_shape(self, shape: Any) -> Any:
        size = round((math.sqrt(8 * shape[-1] + 1) + 1) / 2)
        if size * (size - 1) // 2 != shape[-1]:
            raise ValueError(f"CorrCholeskyTransform: {shape[-1]} numbers fill no triangle")
        return schuss.Size((*shape[:-1], size, size))

    def inverse_shape(self, shape: Any) -> Any:
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise ValueError(f"CorrCholeskyTransform: {tuple(shape)} is no square matrix")
        return schuss.Size((*shape[:-2], shape[-1] * (shape[-1] - 1) // 2))


class _Joined(Transform):
    """Transforms, each of its own part of an axis."""

    def __init__(self, tseq: Any, dim: int, cache_size: int) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = must_transforms(type(self).__name__, tseq), dim
        self.bijective = all(t.bijective for t in self.transforms)

    def _split(self, x: Tensor) -> Any:
        raise NotImplementedError

    def _join(self, parts: Any) -> Tensor:
        raise NotImplementedError

    def _call(self, x: Tensor) -> Tensor:
        parts = self._split(x)
        if len(parts) != len(self.transforms):
            raise schuss.ShapeError(
                f"{type(self).__name__}: {len(self.transforms)} transforms for {len(parts)} parts"
                f" of {tuple(x.shape)} along axis {self.dim}"
            )
        pairs = zip(self.transforms, parts, strict=True)
        return self._join([t(v) for t, v in pairs])

    def _inverse(self, y: Tensor) -> Tensor:
        pairs = zip(self.transforms, self._split(y), strict=True)
        return self._join([t.inv(v) for t, v in pairs])

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        parts = zip(self.transforms, self._split(x), self._split(y), strict=True)
        deepest = max(t.event_dim for t in self.transforms)
        return self._join(
            [_summed(t.log_abs_det_jacobian(u, v), deepest - t.event_dim) for t, u, v in parts]
        )


class CatTransform(_Joined):
    """Transforms of parts that are joined along an axis."""

    def __init__(self, tseq: Any, dim: int = 0, lengths: Any = None, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        self.domain = constraints.cat([t.domain for t in self.transforms], dim, self.lengths)
        self.codomain = constraints.cat([t.codomain for t in self.transforms], dim, self.lengths)

    def _split(self, x: Tensor) -> Any:
        return x.split(self.lengths, self.dim)

    def _join(self, parts: Any) -> Tensor:
        return schuss.cat(parts, self.dim)


class StackTransform(_Joined):
    """Transforms of the slices of an axis."""

    def __init__(self, tseq: Any, dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)
        self.domain = constraints.stack([t.domain for t in self.transforms], dim)
        self.codomain = constraints.stack([t.codomain for t in self.transforms], dim)

    def _split(self, x: Tensor) -> Any:
        return x.unbind(self.dim)

    def _join(self, parts: Any) -> Tensor:
        return schuss.stack(parts, self.dim)


class CumulativeDistributionTransform(Transform):
    """A distribution's `cdf`, whose inverse is its `icdf`."""

    codomain = constraints.unit_interval

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution, self.domain = distribution, distribution.support

    def _call(self, x: Tensor) -> Tensor:
        return self.distribution.cdf(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.distribution.log_prob(x)


identity_transform = ComposeTransform([])
