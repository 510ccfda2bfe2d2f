"""Layers and losses as functions: the core's fused ones by name, then those made of operations.
Leans on fused and on the tensor operations."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor, no_grad
from schuss.nn import fused
from schuss.nn.fused import _reduced, _warn_if_broadcast, _weighted, legacy_reduction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

relu = fused.relu
sigmoid = fused.sigmoid
tanh = fused.tanh
silu = fused.silu
softmax = fused.softmax
log_softmax = fused.log_softmax
gelu = fused.gelu
leaky_relu = fused.leaky_relu
elu = fused.elu
softplus = fused.softplus
linear = fused.linear
dropout = fused.dropout
embedding = fused.embedding
layer_norm = fused.layer_norm
mse_loss = fused.mse_loss
l1_loss = fused.l1_loss
binary_cross_entropy = fused.binary_cross_entropy
binary_cross_entropy_with_logits = fused.binary_cross_entropy_with_logits
nll_loss = fused.nll_loss
cross_entropy = fused.cross_entropy

# Activations made of operations.


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Clamp to [min_val, max_val].

    >>> import schuss
    >>> schuss.nn.functional.hardtanh(schuss.tensor([-3.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} is above max_val {max_val}")
    if input.dtype == schuss.bool:
        raise RuntimeError("hardtanh: is not defined for bool; use x.float() first")
    return _perhaps_inplace(input, input.clamp(min_val, max_val), inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Clamp to [0, 6]."""
    return hardtanh(input, 0.0, 6.0, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1)) (Barron, 2017)."""
    if alpha == 0:
        raise RuntimeError("celu: alpha must not be 0")
    low = alpha * ((input / alpha).clamp(max=0.0).exp() - 1)
    return _perhaps_inplace(input, schuss.where(input > 0, input, low), inplace)


selu = fused.selu


mish = fused.mish


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Leaky ReLU whose slope is a tensor of one number, or of one for each channel (axis 1)."""
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.numel() not in (1, channels):
        raise schuss.ShapeError(
            f"prelu: {weight.numel()} slopes for {channels} channels of {tuple(input.shape)}"
        )
    if weight.numel() > 1:
        weight = weight.reshape(-1, *[1] * (input.ndim - 2))
    return schuss.where(input > 0, input, weight * input)


logsigmoid = fused.logsigmoid


softsign = fused.softsign


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - input.tanh()


def softmin(input: Tensor, dim: int | None = None) -> Tensor:
    """softmax(-x)."""
    return softmax(-input, dim=dim)


def _perhaps_inplace(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    return input.copy_(result) if inplace else result


# Losses made of operations.


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Half the squared error up to `delta`, linear beyond (Huber, 1964).

    >>> import schuss
    >>> schuss.nn.functional.huber_loss(schuss.tensor([3.0]), schuss.tensor([0.0]))
    tensor(2.5000)
    """
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    _warn_if_broadcast(input, target, "huber_loss")
    gap = (input - target).abs()
    loss = schuss.where(gap <= delta, 0.5 * gap * gap, delta * (gap - 0.5 * delta))
    return _weighted(loss, weight, reduction, "huber_loss")


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """The Huber loss divided by its threshold `beta`; with beta 0 the L1 loss (Girshick, 2015).

    >>> import schuss
    >>> schuss.nn.functional.smooth_l1_loss(schuss.tensor([3.0]), schuss.tensor([0.0]), beta=2.0)
    tensor(2.)
    """
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    reduction = legacy_reduction(size_average, reduce, reduction)
    _warn_if_broadcast(input, target, "smooth_l1_loss")
    gap = (input - target).abs()
    if beta == 0:
        return _reduced(gap, reduction, "smooth_l1_loss")
    loss = schuss.where(gap < beta, 0.5 / beta * gap * gap, gap - 0.5 * beta)
    return _reduced(loss, reduction, "smooth_l1_loss")


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence of `target` from `input`, which holds log-probabilities.

    `reduction="batchmean"` is the mathematical one; "mean" divides by all elements and warns.

    >>> import schuss
    >>> p = schuss.tensor([[0.5, 0.5]])
    >>> schuss.nn.functional.kl_div(p.log(), p, reduction="batchmean")
    tensor(0.)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        # p log p is 0 at p = 0, where the logarithm alone is not finite.
        some = schuss.where(target == 0, schuss.ones_like(target), target)
        loss = target * some.log() - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.ndim else loss
    if reduction == "mean":
        warnings.warn(
            "kl_div: reduction='mean' divides by every element; 'batchmean' is the divergence",
            stacklevel=2,
        )
    return _reduced(loss, reduction, "kl_div")


# Distances, shapes and normalisation.


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Divide by the p-norm along `dim`, or by `eps` where that is smaller.

    >>> import schuss
    >>> schuss.nn.functional.normalize(schuss.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    result = input / input.norm(p, dim=dim, keepdim=True).clamp(min=eps)
    return result if out is None else out.copy_(result)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (|x1| |x2|) along `dim`, each norm at least `eps`.

    >>> import schuss
    >>> x = schuss.tensor([[3.0, 4.0]])
    >>> schuss.nn.functional.cosine_similarity(x, 2 * x)
    tensor([1.])
    """
    norm1 = x1.norm(2.0, dim=dim, keepdim=True).clamp(min=eps)
    norm2 = x2.norm(2.0, dim=dim, keepdim=True).clamp(min=eps)
    return ((x1 / norm1) * (x2 / norm2)).sum(dim)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis.

    >>> import schuss
    >>> schuss.nn.functional.pairwise_distance(schuss.zeros(1, 2), schuss.ones(1, 2), 1.0, 0.0)
    tensor([2.])
    """
    return (x1 - x2 + eps).norm(p, dim=-1, keepdim=keepdim)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Class numbers as rows of zeros with a single one, in int64; -1 counts the classes itself.

    RuntimeError for a class below 0 or not below `num_classes`.

    >>> import schuss
    >>> schuss.nn.functional.one_hot(schuss.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if tensor.is_floating_point() or tensor.dtype == schuss.bool:
        raise schuss.DTypeError(f"one_hot: needs integer classes, got {tensor.dtype.name}")
    low, high = (int(tensor.min()), int(tensor.max())) if tensor.numel() else (0, -1)
    if low < 0:
        raise RuntimeError(f"one_hot: class {low} is negative")
    if num_classes == -1:
        if high < 0:
            raise RuntimeError("one_hot: no elements to count the classes of; pass num_classes")
        num_classes = high + 1
    if num_classes < 1 or high >= num_classes:
        raise RuntimeError(f"one_hot: class {high} does not fit num_classes {num_classes}")
    return (tensor.unsqueeze(-1) == schuss.arange(num_classes, device=tensor.device)).to(
        schuss.int64
    )


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Widen the last axes by (left, right) pairs, the last axis first; negative widths crop.

    Modes: "constant" (with `value`, else 0), "reflect", "replicate", "circular".

    >>> import schuss
    >>> schuss.nn.functional.pad(schuss.tensor([1, 2]), (1, 2))
    tensor([0, 1, 2, 0, 0])
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise RuntimeError(
            f"pad: {len(pad)} widths for {input.ndim} axes; give pairs, at most one for each axis"
        )
    if mode != "constant" and mode not in _PADDED:
        raise NotImplementedError(f"pad: unknown mode {mode!r}; use constant or {list(_PADDED)}")
    if mode != "constant" and value:
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
    result = input
    for i in range(0, len(pad), 2):
        left, right = int(pad[i]), int(pad[i + 1])
        if left or right:
            axis = input.ndim - 1 - i // 2
            result = _pad_axis(result, axis, left, right, mode, value or 0)
    return result.clone() if result is input else result


_PADDED: dict[str, Callable[[int, int], int]] = {
    "reflect": lambda i, n: abs(i) if i < n else 2 * (n - 1) - i,
    "replicate": lambda i, n: min(max(i, 0), n - 1),
    "circular": lambda i, n: i % n,
}


def _pad_axis(x: Tensor, axis: int, left: int, right: int, mode: str, value: float) -> Tensor:
    n = x.shape[axis]
    if n + left + right < 0:
        raise RuntimeError(f"pad: ({left}, {right}) crops axis {axis} of size {n} below 0")
    if mode != "constant":
        limit = {"reflect": n - 1, "circular": n}.get(mode, max(left, right) if n else 0)
        if max(left, right) > limit:
            raise RuntimeError(f"pad: ({left}, {right}) too wide for {mode} of {n} elements")
        place = _PADDED[mode]
        index = schuss.tensor([place(i, n) for i in range(-left, n + right)], dtype=schuss.int64)
        return x[(slice(None),) * axis + (index,)]
    if left < 0 or right < 0:
        kept = slice(max(-left, 0), n - max(-right, 0))
        x = x[(slice(None),) * axis + (kept,)]

    def block(width: int) -> list[Tensor]:
        shape = [*x.shape[:axis], width, *x.shape[axis + 1 :]]
        return [schuss.full(shape, value, dtype=x.dtype, device=x.device)] if width > 0 else []

    return schuss.cat([*block(left), x, *block(right)], dim=axis)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_k = x1' W_k x2 + b_k, for x1 (..., n), x2 (..., m) and W (k, n, m).

    >>> import schuss
    >>> schuss.nn.functional.bilinear(schuss.ones(1, 2), schuss.ones(1, 3), schuss.ones(4, 2, 3))
    tensor([[6., 6., 6., 6.]])
    """
    if input1.shape[:-1] != input2.shape[:-1]:
        raise schuss.ShapeError(
            f"bilinear: {tuple(input1.shape)} and {tuple(input2.shape)} differ before the last axis"
        )
    if (input1.shape[-1], input2.shape[-1]) != tuple(weight.shape[1:]):
        raise schuss.ShapeError(
            f"bilinear: {tuple(input1.shape)}, {tuple(input2.shape)} @ {tuple(weight.shape)}: "
            "their last axes must be the last two of the weight"
        )
    k, n, m = weight.shape
    left = input1 @ weight.permute(1, 0, 2).reshape(n, k * m)
    left = left.reshape(*input1.shape[:-1], k, m)
    result = (left * input2.unsqueeze(-2)).sum(-1)
    return result if bias is None else result + bias


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every channel (axis 1) over all other axes (Ioffe and Szegedy, 2015).

    In training it uses the batch and updates the running values; otherwise it uses those.
    ValueError for a training batch of one value a channel.
    """
    axes = [axis for axis in range(input.ndim) if axis != 1]
    shape = [1, -1] + [1] * (input.ndim - 2)
    if training:
        count = input.numel() // input.shape[1] if input.shape[1] else 0
        if count < 2:
            raise ValueError(
                f"batch_norm: needs more than 1 value a channel to train, got {tuple(input.shape)}"
            )
        mean = input.mean(axes)
        gap = input - mean.reshape(shape)
        var = (gap * gap).mean(axes)
        with no_grad():
            if running_mean is not None:
                running_mean.mul_(1 - momentum).add_(mean.detach(), alpha=momentum)
            if running_var is not None:
                share = momentum * count / (count - 1)
                running_var.mul_(1 - momentum).add_(var.detach(), alpha=share)
    elif running_mean is None or running_var is None:
        raise ValueError("batch_norm: needs running_mean and running_var, or training=True")
    else:
        gap, var = input - running_mean.reshape(shape), running_var
    result = gap * (var + eps).rsqrt().reshape(shape)
    if weight is not None:
        result = result * weight.reshape(shape)
    return result if bias is None else result + bias.reshape(shape)
