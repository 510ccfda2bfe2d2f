"""Layers and losses as functions: the core's fused ones by name, then those made of operations.
Leans on fused and on the tensor operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import Tensor, _core
from schuss.naming import given as _given
from schuss.naming import must_float as _must_float
from schuss.naming import publish as _publish
from schuss.naming import warn as _warn
from schuss.nn import attention, criteria, fused, images, noise, scaling, windows
from schuss.nn.fused import _reduced, _warn_if_broadcast, _weighted, legacy_reduction
from schuss.nn.inplace import in_place
from schuss.places import _tried

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
glu = fused.glu
hardshrink = fused.hardshrink
hardsigmoid = fused.hardsigmoid
hardswish = fused.hardswish
softshrink = fused.softshrink
threshold = fused.threshold
threshold_ = fused.threshold_
pdist = schuss.pdist
embedding_bag = attention.embedding_bag
multi_head_attention_forward = attention.multi_head_attention_forward
scaled_dot_product_attention = attention.scaled_dot_product_attention
batch_norm = scaling.batch_norm
group_norm = scaling.group_norm
instance_norm = scaling.instance_norm
local_response_norm = scaling.local_response_norm
rms_norm = scaling.rms_norm
alpha_dropout = noise.alpha_dropout
dropout1d = noise.dropout1d
dropout2d = noise.dropout2d
dropout3d = noise.dropout3d
feature_alpha_dropout = noise.feature_alpha_dropout
gumbel_softmax = noise.gumbel_softmax
rrelu = noise.rrelu
affine_grid = images.affine_grid
channel_shuffle = native_channel_shuffle = images.channel_shuffle
grid_sample = images.grid_sample
interpolate = images.interpolate
pixel_shuffle = images.pixel_shuffle
pixel_unshuffle = images.pixel_unshuffle
upsample = images.upsample
upsample_bilinear = images.upsample_bilinear
upsample_nearest = images.upsample_nearest
cosine_embedding_loss = criteria.cosine_embedding_loss
ctc_loss = criteria.ctc_loss
gaussian_nll_loss = criteria.gaussian_nll_loss
hinge_embedding_loss = criteria.hinge_embedding_loss
linear_cross_entropy = criteria.linear_cross_entropy
margin_ranking_loss = criteria.margin_ranking_loss
multi_margin_loss = criteria.multi_margin_loss
multilabel_margin_loss = criteria.multilabel_margin_loss
multilabel_soft_margin_loss = criteria.multilabel_soft_margin_loss
poisson_nll_loss = criteria.poisson_nll_loss
soft_margin_loss = criteria.soft_margin_loss
triplet_margin_loss = criteria.triplet_margin_loss
triplet_margin_with_distance_loss = criteria.triplet_margin_with_distance_loss
adaptive_avg_pool1d = windows.adaptive_avg_pool1d
adaptive_avg_pool2d = windows.adaptive_avg_pool2d
adaptive_avg_pool3d = windows.adaptive_avg_pool3d
adaptive_max_pool1d = windows.adaptive_max_pool1d
adaptive_max_pool1d_with_indices = windows.adaptive_max_pool1d_with_indices
adaptive_max_pool2d = windows.adaptive_max_pool2d
adaptive_max_pool2d_with_indices = windows.adaptive_max_pool2d_with_indices
adaptive_max_pool3d = windows.adaptive_max_pool3d
adaptive_max_pool3d_with_indices = windows.adaptive_max_pool3d_with_indices
avg_pool1d = windows.avg_pool1d
avg_pool2d = windows.avg_pool2d
avg_pool3d = windows.avg_pool3d
conv_tbc = windows.conv_tbc
conv1d = windows.conv1d
conv2d = windows.conv2d
conv3d = windows.conv3d
conv_transpose1d = windows.conv_transpose1d
conv_transpose2d = windows.conv_transpose2d
conv_transpose3d = windows.conv_transpose3d
fold = windows.fold
fractional_max_pool2d = windows.fractional_max_pool2d
fractional_max_pool2d_with_indices = windows.fractional_max_pool2d_with_indices
fractional_max_pool3d = windows.fractional_max_pool3d
fractional_max_pool3d_with_indices = windows.fractional_max_pool3d_with_indices
lp_pool1d = windows.lp_pool1d
lp_pool2d = windows.lp_pool2d
lp_pool3d = windows.lp_pool3d
max_pool1d = windows.max_pool1d
max_pool1d_with_indices = windows.max_pool1d_with_indices
max_pool2d = windows.max_pool2d
max_pool2d_with_indices = windows.max_pool2d_with_indices
max_pool3d = windows.max_pool3d
max_pool3d_with_indices = windows.max_pool3d_with_indices
max_unpool1d = windows.max_unpool1d
max_unpool2d = windows.max_unpool2d
max_unpool3d = windows.max_unpool3d
unfold = windows.unfold

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
    if inplace:
        return fused.written(schuss.clamp, input, min_val, max_val)
    return input.clamp(min_val, max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Clamp to [0, 6]."""
    return hardtanh(input, 0.0, 6.0, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1)) (Barron, 2017)."""
    if alpha == 0:
        raise RuntimeError("celu: alpha must not be 0")
    return fused.written(_core._celu, input, alpha) if inplace else _core._celu(input, alpha)


selu = fused.selu


mish = fused.mish


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Leaky ReLU whose slope is a tensor of one number, or of one for each channel (axis 1)."""
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1:
        raise schuss.ShapeError(
            f"prelu: the weight must be 0-d or a vector, got shape {tuple(weight.shape)}"
            + ("; input and weight are exchanged" if input.ndim < 2 else "")
        )
    if weight.numel() not in (1, channels):
        raise schuss.ShapeError(
            f"prelu: {weight.numel()} slopes for {channels} channels of {tuple(input.shape)}"
        )
    if weight.numel() > 1:
        weight = weight.reshape(-1, *[1] * (input.ndim - 2))
    elif weight.ndim > input.ndim:
        weight = weight.reshape(())
    return _core._prelu(input, weight)


logsigmoid = fused.logsigmoid


softsign = fused.softsign


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - input.tanh()


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: schuss.dtype | None = None
) -> Tensor:
    """softmax(-x)."""
    return softmax(-input, dim, _stacklevel + 1, dtype)


celu_, elu_, hardtanh_, leaky_relu_, relu_, rrelu_, selu_ = (
    in_place(plain) for plain in (celu, elu, hardtanh, leaky_relu, relu, rrelu, selu)
)


# Losses made of operations.


def _refuse_complex(op: str, *values: Tensor) -> None:
    """These are functions of reals: of complex numbers they would give some number, and no loss."""
    _must_float(op, *(x for x in values if x.dtype.is_complex), wanted="float tensors")


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
        raise RuntimeError(f"huber_loss: delta must be positive, got {delta}")
    _refuse_complex("huber_loss", input, target)
    _warn_if_broadcast(input, target, "huber_loss")
    loss = _core._huber_each(input, target, delta, 0.5, delta)
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
    _refuse_complex("smooth_l1_loss", input, target)
    _warn_if_broadcast(input, target, "smooth_l1_loss")
    if beta == 0:
        return _reduced((input - target).abs(), reduction, "smooth_l1_loss")
    loss = _core._huber_each(input, target, beta, 0.5 / beta, 1.0)
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
    _refuse_complex("kl_div", input, target)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        # p log p is 0 at p = 0, where the logarithm alone is not finite.
        some = schuss.where(target == 0, schuss.ones_like(target), target)
        loss = target * some.log() - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.ndim else loss
    if reduction == "mean":
        _warn(
            "kl_div: reduction='mean' divides by every element; 'batchmean' is the divergence",
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
    return _given("normalize", result, out)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (|x1| |x2|) along `dim`, each norm at least `eps`.

    >>> import schuss
    >>> x = schuss.tensor([[3.0, 4.0]])
    >>> schuss.nn.functional.cosine_similarity(x, 2 * x)
    tensor([1.])
    """
    _refuse_complex("cosine_similarity", x1, x2)
    if x1.shape != x2.shape:
        x1, x2 = schuss.broadcast_tensors(x1, x2)
    _must_float("cosine_similarity", x1, x2)
    norm1, norm2 = _core._norm(x1, dim, True), _core._norm(x2, dim, True)
    far = float("inf")
    unit1, unit2 = x1 / _core._clamp(norm1, eps, far), x2 / _core._clamp(norm2, eps, far)
    return (unit1 * unit2).sum(dim)


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
    if num_classes > 0 and _core._is_recording():
        fine = (tensor >= 0) & (tensor < num_classes)
        _core._demand(fine, "runtime", "one_hot", "a class does not fit num_classes")
    elif num_classes > 0 and tensor.device.type == "cpu" and tensor.numel() > 0:

        def must_fit() -> None:
            _classes_of(_core._values(tensor), num_classes)

        # A class that does not fit is refused where it is written.
        return _tried(lambda: _ones_at(tensor, num_classes), must_fit)
    else:
        num_classes = _classes_of(_core._values(tensor), num_classes)
    return _ones_at(tensor, num_classes)


def _ones_at(tensor: Tensor, num_classes: int) -> Tensor:
    like = {"dtype": schuss.int64, "device": tensor.device}
    zeros = _core.zeros((), **like).expand((*tensor.shape, num_classes))
    places = tensor.unsqueeze(-1)
    return _core._scatter(zeros, places, _core.ones((), **like).expand(places.shape), -1)


def _classes_of(held: Tensor, num_classes: int) -> int:
    """How many classes `one_hot` makes, with -1 as many as are there."""
    low, high = (int(held.min()), int(held.max())) if held.numel() else (0, -1)
    if low < 0:
        raise RuntimeError(f"one_hot: class {low} is negative")
    if num_classes == -1:
        if high < 0:
            raise RuntimeError("one_hot: no elements to count the classes of; pass num_classes")
        num_classes = high + 1
    if num_classes < 1 or high >= num_classes:
        raise RuntimeError(f"one_hot: class {high} does not fit num_classes {num_classes}")
    return num_classes


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
    if mode == "constant":
        return _framed(input, pad, value or 0)
    result = input
    for i in range(0, len(pad), 2):
        left, right = int(pad[i]), int(pad[i + 1])
        if left or right:
            axis = input.ndim - 1 - i // 2
            result = _pad_axis(result, axis, left, right, mode)
    return result.clone() if result is input else result


def _framed(x: Tensor, pad: Sequence[int], value: float) -> Tensor:
    """A tensor inside a frame of one number, whole: the frame is filled and the inside copied."""
    shape, starts, rank = list(x.shape), [0] * x.ndim, x.ndim
    kept, changed = x, False
    for i in range(0, len(pad), 2):
        left, right = int(pad[i]), int(pad[i + 1])
        if not left and not right:
            continue
        axis, changed = rank - 1 - i // 2, True
        n = shape[axis]
        if n + left + right < 0:
            raise RuntimeError(f"pad: ({left}, {right}) crops axis {axis} of size {n} below 0")
        if left < 0 or right < 0:
            start = min(max(-left, 0), n)
            n = max(n - max(-right, 0) - start, 0)
            kept = _core._narrow(kept, axis, start, n)
        starts[axis] = max(left, 0)
        shape[axis] = n + max(left, 0) + max(right, 0)
    inner = list(kept.shape)
    if inner == shape:
        return _core._compact(kept) if changed else x.clone()
    if not value and kept.numel() > 0:
        return _core._unwindow(kept, shape, inner, *_place(shape, starts))
    frame = _core.full((), value, dtype=x.dtype, device=x.device).expand(shape)
    if kept.numel() == 0:
        # Without an inside there is the frame alone, which still hangs on the tensor.
        axis = inner.index(0)
        return _core.cat([frame, kept.reshape([*shape[:axis], 0, *shape[axis + 1 :]])], axis)
    return _core._embed(frame, kept, inner, *_place(shape, starts))


def _place(shape: list[int], starts: list[int]) -> tuple[list[int], int]:
    """How a block steps through a tensor of a shape, and where it begins."""
    steps, step, first = [0] * len(shape), 1, 0
    for axis in range(len(shape) - 1, -1, -1):
        steps[axis] = step
        first += starts[axis] * step
        step *= shape[axis]
    return steps, first


def _mirrored(x: Tensor, axis: int, left: int, right: int) -> list[Tensor]:
    n, parts = x.size(axis), [x]
    for at, width in ((1, left), (n - 1 - right, right)):
        end = _core._narrow(x, axis, at, width)
        # A single position is its own mirror image.
        parts.append(_core.flip(end, (axis,)) if width > 1 else end)
    return [parts[1], x, parts[2]]


def _continued(x: Tensor, axis: int, left: int, right: int) -> list[Tensor]:
    n, shape = x.shape[axis], list(x.shape)
    parts = []
    for at, width in ((0, left), (n - 1, right)):
        shape[axis] = width
        parts.append(_core._narrow(x, axis, at, 1).expand(shape))
    return [parts[0], x, parts[1]]


def _wrapped(x: Tensor, axis: int, left: int, right: int) -> list[Tensor]:
    ends = _core._narrow(x, axis, x.shape[axis] - left, left), _core._narrow(x, axis, 0, right)
    return [ends[0], x, ends[1]]


_PADDED: dict[str, Callable[[Tensor, int, int, int], list[Tensor]]] = {
    "reflect": _mirrored,
    "replicate": _continued,
    "circular": _wrapped,
}


def _pad_axis(x: Tensor, axis: int, left: int, right: int, mode: str) -> Tensor:
    n = x.size(axis)
    if n + left + right < 0:
        raise RuntimeError(f"pad: ({left}, {right}) crops axis {axis} of size {n} below 0")
    if mode == "circular" and (left < 0 or right < 0):
        # What is cropped takes no part in what is wrapped.
        x = x.narrow(axis, max(-left, 0), n - max(-left, 0) - max(-right, 0))
        n, left, right = x.shape[axis], max(left, 0), max(right, 0)
    limit = {"reflect": n - 1, "circular": n}.get(mode, max(left, right) if n else 0)
    if max(left, right) > limit:
        raise RuntimeError(f"pad: ({left}, {right}) too wide for {mode} of {n} elements")
    whole = _PADDED[mode](x, axis, max(left, 0), max(right, 0))
    x = _core.cat([part for part in whole if part.size(axis)], axis)
    left, right = min(left, 0), min(right, 0)
    if left or right:
        x = x.narrow(axis, -left, x.shape[axis] + left + right)
    return x


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


def __getattr__(name: str):
    from schuss.absent import missing

    raise missing(__name__, name)


_TOOLS = {"in_place", "legacy_reduction"}
_publish(globals(), __name__, [n for n in globals() if not n.startswith("_") and n not in _TOOLS])
