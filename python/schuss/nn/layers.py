"""Linear layers, and those that only reshape or compare.
Leans on nn.functional and nn.init; first weights follow PyTorch's distributions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss.model import Model, Parameter
from schuss.nn import functional as F
from schuss.nn import init
from schuss.nn.functional import linear
from schuss.nn.settings import size, whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from schuss import Tensor


class Identity(Model):
    """Returns its input; any settings are ignored.

    >>> import schuss
    >>> schuss.nn.Identity()(7)
    7
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Any) -> Any:
        return input


class Linear(Model):
    """y = x W' + b for x of shape (..., in_features); W is (out_features, in_features).

    Weights and bias begin uniform within 1 / sqrt(in_features).

    >>> import schuss
    >>> schuss.nn.Linear(3, 2)(schuss.ones(5, 3)).shape
    schuss.Size([5, 2])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.in_features = size("Linear", "in_features", in_features)
        self.out_features = size("Linear", "out_features", out_features)
        options = {"device": device, "dtype": dtype}
        self.weight = Parameter(schuss.empty((out_features, in_features), **options))
        bias_or_none = Parameter(schuss.empty(out_features, **options)) if bias else None
        self.register_parameter("bias", bias_or_none)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Model):
    """y = x1' W x2 + b, with W of shape (out_features, in1_features, in2_features).

    >>> import schuss
    >>> schuss.nn.Bilinear(2, 3, 4)(schuss.ones(5, 2), schuss.ones(5, 3)).shape
    schuss.Size([5, 4])
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.in1_features = size("Bilinear", "in1_features", in1_features)
        self.in2_features = size("Bilinear", "in2_features", in2_features)
        self.out_features = size("Bilinear", "out_features", out_features)
        if in1_features == 0:
            raise ValueError("Bilinear: in1_features must be positive, got 0")
        options = {"device": device, "dtype": dtype}
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(schuss.empty(shape, **options))
        bias_or_none = Parameter(schuss.empty(out_features, **options)) if bias else None
        self.register_parameter("bias", bias_or_none)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Flatten(Model):
    """Joins the axes from start_dim to end_dim into one; by default all but the first.

    >>> import schuss
    >>> schuss.nn.Flatten()(schuss.ones(5, 2, 3)).shape
    schuss.Size([5, 6])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = whole("Flatten", "start_dim", start_dim)
        self.end_dim = whole("Flatten", "end_dim", end_dim)

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Model):
    """Splits the axis `dim` into the axes of `unflattened_size`, one of which may be -1.

    >>> import schuss
    >>> schuss.nn.Unflatten(1, (2, 3))(schuss.ones(5, 6)).shape
    schuss.Size([5, 2, 3])
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        for part in unflattened_size:
            if isinstance(part, bool) or not isinstance(part, int):
                raise TypeError(f"Unflatten: sizes must be integers, got {part!r}")
        self.dim = whole("Unflatten", "dim", dim)
        self.unflattened_size = unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        shape = tuple(input.shape)
        if not -len(shape) <= self.dim < len(shape):
            raise IndexError(f"Unflatten: axis {self.dim} of a tensor of shape {shape}")
        axis = self.dim % len(shape)
        sizes = tuple(self.unflattened_size)
        known = math.prod(size for size in sizes if size != -1)
        fits = shape[axis] == known if -1 not in sizes else known and shape[axis] % known == 0
        if not fits:
            raise schuss.ShapeError(
                f"Unflatten: axis {axis} of {shape} does not split into {sizes}"
            )
        return input.reshape(*shape[:axis], *sizes, *shape[axis + 1 :])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class CosineSimilarity(Model):
    """The cosine of the angle between two tensors along `dim`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Model):
    """The p-norm of the difference along the last axis."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
