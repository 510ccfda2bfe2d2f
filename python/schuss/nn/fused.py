"""The functions of networks that the core computes itself, under PyTorch's keywords.
Leans on the core's records."""

from __future__ import annotations

import operator

from schuss import _core
from schuss._core import Tensor
from schuss.naming import must_float, rename, speaks, warn

linear = _core.linear
dropout = _core.dropout


def written(plain, input, *args):
    """What a function gives, written over its input, of which derivatives read a copy."""
    tracked = _core._tracked(input) and _core.is_grad_enabled()
    return input.copy_(plain(input.clone() if tracked else input, *args))


def _form(plain):
    def function(input, inplace=False):
        return written(plain, input) if inplace else plain(input)

    function.__name__ = function.__qualname__ = plain.__name__
    function.__doc__ = plain.__doc__
    return function


def relu(input, inplace=False):
    """The element where it is positive, else 0; NaN stays NaN.

    >>> schuss.nn.functional.relu(schuss.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return input.relu_() if inplace else _core.relu(input)


sigmoid = _core.sigmoid
tanh = _core.tanh
silu = _form(_core.silu)
logsigmoid = _core.logsigmoid
mish = _form(_core.mish)
selu = _form(_core.selu)


def softsign(input):
    """`x / (1 + |x|)`.

    >>> schuss.nn.functional.softsign(schuss.tensor([1.0, -3.0]))
    tensor([ 0.5000, -0.7500])
    """
    if input.dtype == _core.bool:
        raise RuntimeError("softsign: is not defined for bool; use x.float() first")
    return _core.softsign(input)


hardsigmoid = _form(_core.hardsigmoid)
hardswish = _form(_core.hardswish)


def glu(input, dim=-1):
    """The first half along an axis times the sigmoid of the second (Dauphin et al. 2017).

    >>> schuss.nn.functional.glu(schuss.tensor([2.0, 0.0]))
    tensor([1.])
    """
    return _core.glu(input, dim)


def _bound(name, lambd):
    if lambd < 0:
        raise RuntimeError(f"{name}: lambd must not be negative, got {lambd}")


def softshrink(input, lambd=0.5, *, out=None):
    """`x - lambd` above lambd, `x + lambd` below -lambd, 0 between.

    >>> schuss.nn.functional.softshrink(schuss.tensor([0.25, -2.0]))
    tensor([ 0.0000, -1.5000])
    """
    _bound("softshrink", lambd)
    return _core.softshrink(input, lambd, out=out)


def hardshrink(input, lambd=0.5, *, out=None):
    """The element where its size passes lambd, else 0."""
    return _core.hardshrink(input, lambd, out=out)


def threshold(input, threshold, value, inplace=False):
    """The element where it passes the threshold, else the value."""
    if inplace:
        return written(_core.threshold, input, threshold, value)
    return _core.threshold(input, threshold, value)


def threshold_(input, threshold, value):
    """In-place form of `threshold`."""
    return written(_core.threshold, input, threshold, value)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """`x` where positive, else `negative_slope * x`.

    >>> schuss.nn.functional.leaky_relu(schuss.tensor([-1.0, 2.0]))
    tensor([-0.0100,  2.0000])
    """
    if inplace:
        return written(_core.leaky_relu, input, negative_slope)
    return _core.leaky_relu(input, negative_slope)


def elu(input, alpha=1.0, inplace=False):
    """`x` where positive, else `alpha * (exp(x) - 1)` (Clevert et al. 2015).

    >>> schuss.nn.functional.elu(schuss.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return written(_core.elu, input, alpha) if inplace else _core.elu(input, alpha)


def softplus(input, beta=1.0, threshold=20.0, *, out=None):
    """`log(1 + exp(beta x)) / beta`, straight where beta x passes the threshold.

    >>> schuss.nn.functional.softplus(schuss.tensor([0.0, 1.0]))
    tensor([0.6931, 1.3133])
    """
    return _core.softplus(input, beta, threshold, out=out)


def gelu(input, approximate="none", *, out=None):
    """Gaussian error linear unit, `x * Phi(x)` (Hendrycks and Gimpel 2016).

    >>> schuss.nn.functional.gelu(schuss.tensor([1.0, -1.0]))
    tensor([ 0.8413, -0.1587])
    """
    if approximate == "none":
        return _core._gelu_exact(input, out=out)
    if approximate == "tanh":
        return _core._gelu_tanh(input, out=out)
    raise RuntimeError(f"gelu: approximate is 'none' or 'tanh', not {approximate!r}")


def _usual_axis(name: str, rank: int) -> int:
    """The axis of PyTorch's oldest form, which guessed it: 0 for 0, 1 and 3 axes, else 1."""
    warn(f"{name}: the axis was guessed; pass dim=")
    return 0 if rank in (0, 1, 3) else 1


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """`exp(x) / sum(exp(x))` along an axis.

    >>> schuss.nn.functional.softmax(schuss.tensor([0.0, 0.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    dim = _usual_axis("softmax", input.ndim) if dim is None else dim
    return _core.softmax(input, dim, dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """The logarithm of the softmax along an axis, exact also far out.

    >>> schuss.nn.functional.log_softmax(schuss.tensor([0.0, 0.0]), dim=0)
    tensor([-0.6931, -0.6931])
    """
    dim = _usual_axis("log_softmax", input.ndim) if dim is None else dim
    return _core.log_softmax(input, dim, dtype)


def legacy_reduction(size_average, reduce, reduction="mean"):
    """The reduction that PyTorch's two older switches ask for, or `reduction` without them."""
    if size_average is None and reduce is None:
        return reduction
    for value in (size_average, reduce):
        if isinstance(value, Tensor):
            raise TypeError(
                "a tensor was given as a setting of a loss; make the loss first, then call it:"
                " loss = nn.MSELoss(); loss(input, target)"
            )
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def _reduced(loss, reduction, name):
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _weighted(loss, weight, reduction, name):
    """A loss for each element, weighted; its mean is divided by the weights' sum."""
    if weight is None:
        return _reduced(loss, reduction, name)
    if weight.shape != loss.shape:
        raise ValueError(
            f"{name}: weight {tuple(weight.shape)} for losses {tuple(loss.shape)}; one for each"
        )
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else _reduced(loss, reduction, name)


def _warn_if_broadcast(input, target, name):
    for role, x in (("input", input), ("target", target)):
        if not hasattr(x, "shape"):
            raise TypeError(
                f"{name}: {role} must be a Tensor, got {type(x).__name__};"
                " use schuss.tensor(...) first"
            )
    if input.shape != target.shape:
        warn(
            f"{name}: the target's shape {tuple(target.shape)} differs from the input's"
            f" {tuple(input.shape)}; they are broadcast, which is rarely what is meant",
        )


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The mean squared error.

    >>> schuss.nn.functional.mse_loss(schuss.tensor([1.0, 2.0]), schuss.tensor([0.0, 0.0]))
    tensor(2.5000)
    """
    _warn_if_broadcast(input, target, "mse_loss")
    reduction = legacy_reduction(size_average, reduce, reduction)
    if weight is None:
        return _core._mse_loss(input, target, reduction)
    return _weighted(_core._mse_loss(input, target, "none"), weight, reduction, "mse_loss")


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The mean absolute error.

    >>> schuss.nn.functional.l1_loss(schuss.tensor([1.0, 2.0]), schuss.tensor([0.0, 0.0]))
    tensor(1.5000)
    """
    _warn_if_broadcast(input, target, "l1_loss")
    reduction = legacy_reduction(size_average, reduce, reduction)
    if weight is None:
        return _core._l1_loss(input, target, reduction)
    return _weighted(_core._l1_loss(input, target, "none"), weight, reduction, "l1_loss")


def binary_cross_entropy(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """Minus the log-likelihood of truths under probabilities; logarithms are held at -100.

    >>> half = schuss.tensor([0.5])
    >>> schuss.nn.functional.binary_cross_entropy(half, schuss.tensor([1.0]))
    tensor(0.6931)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _core._binary_cross_entropy(input, target, weight, reduction)


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """The same under the sigmoid of logits, exact also far out. The logits come first, the targets
    second; targets outside 0 to 1, which some programs use, give a number as in PyTorch.

    >>> zero, one = schuss.tensor([0.0]), schuss.tensor([1.0])
    >>> schuss.nn.functional.binary_cross_entropy_with_logits(zero, one)
    tensor(0.6931)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _core._binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)


def nll_loss(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"
):
    """Minus the log-probability of each target class; `ignore_index` counts nothing.

    >>> log_p = schuss.tensor([[0.0, -1.0]])
    >>> schuss.nn.functional.nll_loss(log_p, schuss.tensor([1]))
    tensor(1.)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if input.ndim and target.ndim and input.ndim > 1 and input.shape[0] != target.shape[0]:
        raise ValueError(
            f"nll_loss: input {tuple(input.shape)} and target {tuple(target.shape)} differ in"
            " batch size"
        )
    return _core._nll_loss(input, target, weight, ignore_index, reduction)


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """Minus the log-softmax of each target class; targets may also be probabilities.

    >>> scores = schuss.tensor([[0.0, 0.0]])
    >>> schuss.nn.functional.cross_entropy(scores, schuss.tensor([1]))
    tensor(0.6931)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if not isinstance(target, Tensor):
        raise TypeError(
            f"cross_entropy: target must be a Tensor, got {type(target).__name__}; "
            "use schuss.tensor(...) first"
        )
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(
            f"cross_entropy: label_smoothing must be from 0 to 1, got {label_smoothing}"
        )
    axis = 1 if input.ndim > 1 else 0
    try:
        if (
            weight is None
            and label_smoothing == 0.0
            and reduction in ("mean", "sum")
            and input.ndim == 2
            and target.ndim == 1
            and target.dtype == _core.int64
            and input.is_floating_point()
            and input.shape[0] == target.shape[0]
            and (input.device.type == "cpu" or input.dtype != _core.float64)
        ):
            return _core._entropy_of_rows(input, target, ignore_index, reduction == "mean")[0]
        log_p = _core.log_softmax(input, axis)
        if target.shape == input.shape and target.is_floating_point():
            return _soft_targets(log_p, target, weight, reduction, label_smoothing, axis)
        hard = nll_loss(log_p, target, weight, None, ignore_index, None, reduction)
    except Exception as error:
        rename(error, "cross_entropy")
        raise
    if label_smoothing == 0.0:
        return hard
    classes = input.shape[axis]
    kept = target != ignore_index
    scores = -log_p
    if weight is not None:
        shape = [1] * input.ndim
        shape[axis] = classes
        scores = scores * weight.reshape(shape)
    smooth = scores.sum(axis) * kept
    if reduction == "mean":
        if weight is None:
            count = kept.sum()
        else:
            count = (weight[target.where(kept, target * 0)] * kept).sum()
        smooth = smooth.sum() / count
    elif reduction == "sum":
        smooth = smooth.sum()
    return (1.0 - label_smoothing) * hard + label_smoothing / classes * smooth


def _soft_targets(log_p, target, weight, reduction, smoothing, axis):
    classes = log_p.shape[axis]
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / classes
    scores = log_p * target
    if weight is not None:
        shape = [1] * log_p.ndim
        shape[axis] = classes
        scores = scores * weight.reshape(shape)
    loss = -scores.sum(axis)
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    if reduction != "mean":
        raise ValueError(f"cross_entropy: reduction is 'mean', 'sum' or 'none', not {reduction!r}")
    return loss.sum() / max(loss.numel(), 1) if axis else loss


def embedding(
    input,
    weight,
    padding_idx=None,
    max_norm=None,
    norm_type=2.0,
    scale_grad_by_freq=False,
    sparse=False,
):
    """The rows of a table that indices name; row `padding_idx` gets no gradient.

    >>> table = schuss.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> schuss.nn.functional.embedding(schuss.tensor([1]), table)
    tensor([[3., 4.]])
    """
    if input.dtype.is_floating_point or input.dtype.is_complex or input.dtype == _core.bool:
        raise RuntimeError(f"embedding: indices must be integers, got {input.dtype.name}")
    if sparse:
        raise NotImplementedError(
            "embedding: sparse gradients are not supported; leave sparse=False, which gives the"
            " same numbers"
        )
    if weight.ndim != 2:
        raise RuntimeError(
            f"embedding: the table must have two axes, rows and features, got {tuple(weight.shape)}"
        )
    rows = weight.shape[0]
    _core._beside("embedding", input, weight, ("indices", "weight"))
    index = input if input.dtype == _core.int64 else input.long()
    if padding_idx is not None:
        padding_idx = padding_row("embedding", padding_idx, rows)
    if max_norm is not None:
        _shrink(index, weight, max_norm, norm_type)
    # A place below 0 does not count from the end of a table.
    found = _core._take_at([weight, index], [0], False, False)
    if padding_idx is not None:
        # The row is there, but its gradient stops at the copy without a past.
        held = (index == padding_idx).unsqueeze(-1)
        found = _core._where(held, found.detach(), found)
    if scale_grad_by_freq:
        counts = _core.zeros(rows, dtype=_core.int64, device=index.device)
        flat = index.reshape(-1)
        counts = counts.index_add(0, flat, flat * 0 + 1)
        times = _core._take_at([counts, index], [0], False, True)
        part = found / times.to(found.dtype).unsqueeze(-1)
        # The rows' own values, and a part of their gradient for each time they are named.
        found = _core._where(
            found.isfinite(), found.detach() + (part - part.detach()), found.detach()
        )
    return found


def padding_row(op, given, rows) -> int:
    """The row that gets no gradient, counted from the start of a table."""
    try:
        row = operator.index(given)
    except TypeError:
        raise TypeError(
            f"{op}: padding_idx must be an integer, got {type(given).__name__}"
        ) from None
    if not -rows <= row < rows:
        raise IndexError(f"{op}: padding_idx {row} outside a table of {rows} rows")
    return row % rows


def _shrink(index, weight, max_norm, norm_type) -> None:
    """Scales the rows in use down to a length, in place."""
    if not isinstance(max_norm, (int, float)) or not max_norm >= 0:
        raise ValueError(f"embedding: max_norm must be a length of 0 or more, got {max_norm}")
    before = _core._set_grad_enabled(False)
    try:
        used = index.reshape(-1)
        rows = _core._take_at([weight, used], [0], False, False)
        lengths = rows.norm(norm_type, 1, keepdim=True)
        short = _core._where(lengths > max_norm, max_norm / (lengths + 1e-7), 1.0)
        # A row that is named twice is written twice, as the same numbers.
        weight.index_copy_(0, used, rows * short.to(rows.dtype))
    finally:
        _core._set_grad_enabled(before)


@speaks
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Each sample's last axes brought to mean 0 and variance 1 (Ba et al. 2016).

    >>> schuss.nn.functional.layer_norm(schuss.tensor([1.0, 3.0]), (2,))
    tensor([-1.0000,  1.0000])
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or tuple(input.shape[-len(shape) :]) != shape:
        raise RuntimeError(f"layer_norm: the last axes of {tuple(input.shape)} must be {shape}")
    must_float("layer_norm", input)
    return _core._normalised_rows(input, weight, bias, len(shape), eps)[0]


__all__ = [
    "Tensor",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softshrink",
    "tanh",
    "threshold",
    "threshold_",
]
