"""Losses by margins, by likelihoods of distributions, and over sequences.
Leans on fused losses and tensor operations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor, _core
from schuss.naming import speaks
from schuss.nn import fused

if TYPE_CHECKING:
    from typing import Any


def _gathered(name, loss, reduction, size_average=None, reduce=None):
    """A loss of every element, brought together as asked."""
    return fused._reduced(loss, fused.legacy_reduction(size_average, reduce, reduction), name)


def _known(name, reduction):
    """Refuses a reduction that there is not before anything else is looked at."""
    if reduction not in ("mean", "sum", "none"):
        fused._reduced(None, reduction, name)


def _one_shape(name, a, b):
    if a.shape != b.shape:
        raise RuntimeError(f"{name}: input {tuple(a.shape)} and target {tuple(b.shape)} differ")


# ---- margins -------------------------------------------------------------------------------------


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """log(1 + exp(-target * input)), for targets of 1 and -1.

    >>> import schuss
    >>> schuss.nn.functional.soft_margin_loss(schuss.zeros(1), schuss.ones(1))
    tensor(0.6931)
    """
    _one_shape("soft_margin_loss", input, target)
    loss = -_core.logsigmoid(input * target)
    return _gathered("soft_margin_loss", loss, reduction, size_average, reduce)


def margin_ranking_loss(
    input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"
):
    """max(0, -target * (input1 - input2) + margin), for targets of 1 and -1.

    >>> import schuss
    >>> one, two = schuss.tensor([1.0]), schuss.tensor([2.0])
    >>> schuss.nn.functional.margin_ranking_loss(one, two, one)
    tensor(1.)
    """
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            f"margin_ranking_loss: {tuple(input1.shape)}, {tuple(input2.shape)} and"
            f" {tuple(target.shape)} must have equally many axes"
        )
    loss = (-target * (input1 - input2) + margin).clamp(min=0)
    return _gathered("margin_ranking_loss", loss, reduction, size_average, reduce)


def hinge_embedding_loss(
    input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"
):
    """The input where the target is 1, max(0, margin - input) where it is -1.

    >>> import schuss
    >>> schuss.nn.functional.hinge_embedding_loss(schuss.tensor([0.25]), schuss.tensor([-1.0]))
    tensor(0.7500)
    """
    near = schuss.where(target != -1, input, 0.0)
    far = schuss.where(target != 1, (margin - input).clamp(min=0), 0.0)
    return _gathered("hinge_embedding_loss", near + far, reduction, size_average, reduce)


def cosine_embedding_loss(
    input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"
):
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1.

    >>> import schuss
    >>> x = schuss.tensor([1.0, 0.0])
    >>> schuss.nn.functional.cosine_embedding_loss(x, x, schuss.tensor(1.0))
    tensor(0.)
    """
    if target.ndim + 1 != input1.ndim or target.ndim + 1 != input2.ndim or target.ndim > 1:
        raise RuntimeError(
            f"cosine_embedding_loss: inputs {tuple(input1.shape)} and {tuple(input2.shape)} and"
            f" target {tuple(target.shape)} do not fit"
        )
    tiny = 1e-12
    lengths = ((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny)
    cos = (input1 * input2).sum(-1) / lengths.sqrt()
    near = schuss.where(target == 1, 1 - cos, 0.0)
    far = schuss.where(target == -1, (cos - margin).clamp(min=0), 0.0)
    return _gathered("cosine_embedding_loss", near + far, reduction, size_average, reduce)


@speaks
def multi_margin_loss(
    input,
    target,
    p=1,
    margin=1.0,
    weight=None,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """The sum of max(0, margin - x[target] + x[i]) ** p over the other classes, by their number.

    >>> import schuss
    >>> schuss.nn.functional.multi_margin_loss(schuss.tensor([0.0, 0.5]), schuss.tensor(0))
    tensor(0.7500)
    """
    _known("multi_margin_loss", reduction)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p is 1 or 2, not {p}")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    y = target.reshape(-1)
    if y.numel() != x.shape[0] or target.ndim > 1:
        raise RuntimeError(
            f"multi_margin_loss: input {tuple(input.shape)} and target {tuple(target.shape)} do"
            " not fit"
        )
    classes = x.shape[1]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise schuss.ShapeError(
            f"multi_margin_loss: weight must hold {classes} numbers, got {tuple(weight.shape)}"
        )
    # Picked as a likelihood is, which refuses classes that there are not.
    own = -fused.nll_loss(x, y, ignore_index=-(2**63), reduction="none").unsqueeze(1)
    each = (margin - own + x).clamp(min=0)
    each = each * each if p == 2 else each
    if weight is not None:
        each = each * weight[y].unsqueeze(1)
    others = _core.arange(classes, device=y.device) != y.unsqueeze(1)
    loss = schuss.where(others, each, 0.0).sum(1) / classes
    loss = loss.reshape(()) if input.ndim < 2 and target.ndim == 0 else loss
    return _gathered("multi_margin_loss", loss, reduction, size_average, reduce)


def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """The sum of max(0, 1 - x[label] + x[i]) over the labels and all i that are none, by classes.

    The labels of a row end at the first -1.

    >>> import schuss
    >>> scores, labels = schuss.tensor([0.0, 0.5]), schuss.tensor([0, -1])
    >>> schuss.nn.functional.multilabel_margin_loss(scores, labels)
    tensor(0.7500)
    """
    _known("multilabel_margin_loss", reduction)
    _one_shape("multilabel_margin_loss", input, target)
    if input.ndim < 3 and input.shape[-1:] == (0,):
        raise RuntimeError(f"multilabel_margin_loss: {tuple(input.shape)} has no classes")
    if input.ndim > 2:
        raise RuntimeError(f"multilabel_margin_loss: needs one or two axes, got {input.ndim}")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    y = target.reshape(1, -1) if input.ndim < 2 else target
    valid = (y < 0).long().cumsum(1) == 0
    safe = schuss.where(valid, y, 0)
    blank = _core.zeros(*x.shape, dtype=_core.int64, device=x.device)
    marks = blank.scatter_add(1, safe, valid.long()) > 0
    gaps = (1 - x.gather(1, safe).unsqueeze(2) + x.unsqueeze(1)).clamp(min=0)
    counted = valid.unsqueeze(2) & ~marks.unsqueeze(1)
    loss = schuss.where(counted, gaps, 0.0).sum((1, 2)) / max(x.shape[1], 1)
    loss = loss.reshape(()) if input.ndim < 2 else loss
    return _gathered("multilabel_margin_loss", loss, reduction, size_average, reduce)


def multilabel_soft_margin_loss(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """The mean over classes of minus the log-likelihood of truths under the sigmoid of scores.

    >>> import schuss
    >>> schuss.nn.functional.multilabel_soft_margin_loss(schuss.zeros(1, 2), schuss.ones(1, 2))
    tensor(0.6931)
    """
    loss = -(target * _core.logsigmoid(input) + (1 - target) * _core.logsigmoid(-input))
    loss = loss if weight is None else loss * weight
    loss = loss.mean(-1)
    return _gathered("multilabel_soft_margin_loss", loss, reduction, size_average, reduce)


def triplet_margin_with_distance_loss(
    anchor,
    positive,
    negative,
    *,
    distance_function=None,
    margin=1.0,
    swap=False,
    reduction="mean",
):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) under a distance of one's own."""
    if margin <= 0:
        raise ValueError(f"triplet_margin_with_distance_loss: margin {margin} must be above 0")
    distance = distance_function or schuss.nn.functional.pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = _core.minimum(far, distance(positive, negative))
    loss = (margin + near - far).clamp(min=0)
    return _gathered("triplet_margin_with_distance_loss", loss, reduction)


def triplet_margin_loss(
    anchor,
    positive,
    negative,
    margin=1.0,
    p: float = 2,
    eps=1e-6,
    swap=False,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """max(0, |anchor - positive| - |anchor - negative| + margin) (Balntas et al. 2016).

    >>> import schuss
    >>> x = schuss.zeros(1, 2)
    >>> schuss.nn.functional.triplet_margin_loss(x, x, x)
    tensor(1.)
    """
    if margin <= 0:
        raise ValueError(f"triplet_margin_loss: margin must be above 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError("triplet_margin_loss: the inputs must have equally many axes")
    reduction = fused.legacy_reduction(size_average, reduce, reduction)

    def distance(a, b):
        return schuss.nn.functional.pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=distance,
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


# ---- likelihoods ---------------------------------------------------------------------------------


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """Minus the log-likelihood of targets under normal distributions (Nix and Weigend 1994).

    Variances are held at `eps`; `full` adds the constant.

    >>> import schuss
    >>> one = schuss.ones(1)
    >>> schuss.nn.functional.gaussian_nll_loss(one, one, one)
    tensor(0.)
    """
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError(f"gaussian_nll_loss: the variance must not be negative, got {var}")
        var = schuss.full_like(input, var)
    # What is no number is no fault of the variance.
    fine = ~(_core._values(var.detach()) < 0)
    _core._demand(fine, "value", "gaussian_nll_loss", "a variance is negative")
    if var.shape != input.shape:
        if var.shape == input.shape[:-1]:
            var = var.unsqueeze(-1)
        elif var.shape[:-1] != input.shape[:-1] or var.shape[-1] != 1:
            raise ValueError(
                f"gaussian_nll_loss: variances {tuple(var.shape)} do not fit {tuple(input.shape)}"
            )
    # The bound takes no part in the derivative.
    var = var + (var.detach().clamp(min=eps) - var.detach())
    loss = 0.5 * (var.log() + (input - target).square() / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _gathered("gaussian_nll_loss", loss, reduction)


def poisson_nll_loss(
    input,
    target,
    log_input=True,
    full=False,
    size_average=None,
    eps=1e-8,
    reduce=None,
    reduction="mean",
):
    """Minus the log-likelihood of counts under Poisson distributions, of a rate or its logarithm.

    `full` adds Stirling's approximation of log(target!).

    >>> import schuss
    >>> schuss.nn.functional.poisson_nll_loss(schuss.zeros(1), schuss.ones(1))
    tensor(1.)
    """
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        large = target > 1
        safe = schuss.where(large, target, 1.0)
        rest = safe * safe.log() - safe + 0.5 * (2 * math.pi * safe).log()
        loss = loss + schuss.where(large, rest, 0.0)
    return _gathered("poisson_nll_loss", loss, reduction, size_average, reduce)


def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction="mean",
    ignore_index=None,
    label_smoothing=0.0,
    options=None,
):
    """The cross entropy of `input @ linear_weight.T + linear_bias`.

    >>> import schuss
    >>> one = schuss.ones(1, 2)
    >>> schuss.nn.functional.linear_cross_entropy(one, schuss.ones(2, 2), schuss.tensor([0]))
    tensor(0.6931)
    """
    if input.ndim not in (1, 2):
        raise RuntimeError(
            f"linear_cross_entropy: the input must have one or two axes, got {tuple(input.shape)}"
        )
    if linear_weight.ndim > 2 and input.ndim == 1:
        raise RuntimeError(
            f"linear_cross_entropy: a weight {tuple(linear_weight.shape)} of more than two axes"
            f" needs a batch (N, {input.shape[0]}), got {tuple(input.shape)}"
        )
    if ignore_index is not None and target.is_floating_point():
        raise RuntimeError("linear_cross_entropy: ignore_index needs class indices as target")
    pairs: Any = ([-1], [-1])
    scores = schuss.tensordot(input, linear_weight, pairs)
    if linear_bias is not None:
        scores = scores + linear_bias
    ignored = -100 if ignore_index is None else ignore_index
    return fused.cross_entropy(
        scores,
        target,
        weight,
        ignore_index=ignored,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


# ---- sequences -----------------------------------------------------------------------------------


def _lengths(lengths):
    """Lengths as a tensor, and as plain numbers where they are that already."""
    if isinstance(lengths, Tensor):
        return lengths.detach().to("cpu", _core.int64), None
    listed = [int(n) for n in lengths]
    return _core.tensor(listed, dtype=_core.int64, device="cpu"), listed


def _labels(targets, lengths, listed, blank):
    """Each target with blanks around every label, one row for each, filled up with blanks."""
    known = listed is not None
    if not known and not _core._is_recording():
        listed, known = lengths.tolist(), True
    if targets.ndim == 1:
        # All labels in a row: where each target begins, its lengths alone tell.
        listed = lengths.tolist() if listed is None else listed
        ends = [sum(listed[: i + 1]) for i in range(len(listed))]
        parts = [targets[end - n : end] for end, n in zip(ends, listed, strict=True)]
        longest = max(listed, default=0)
        short = [p.new_full((longest - p.numel(),), blank) for p in parts]
        rows = [_core.cat(pair) for pair in zip(parts, short, strict=True)]
        inside = schuss.stack(rows) if rows else targets.reshape(0, 0)
    else:
        # While a step is recorded no length is looked at, and blanks fill the target's whole width.
        longest = min(max(listed, default=0), targets.shape[1]) if known else targets.shape[1]
        inside = targets[:, :longest]
        beyond = _core.arange(longest, device="cpu") >= lengths.unsqueeze(1)
        inside = inside.masked_fill(beyond.to(inside.device), blank)
    wide = inside.new_full((inside.shape[0], 2 * longest + 1), blank)
    wide[:, 1::2] = inside
    return wide


def ctc_loss(
    log_probs,
    targets,
    input_lengths,
    target_lengths,
    blank=0,
    reduction="mean",
    zero_infinity=False,
):
    """Minus the log-likelihood of label sequences over all alignments (Graves et al. 2006).

    log_probs (time, batch, classes) or (time, classes); targets (batch, labels) or all labels in a
    row. The derivative is that of log-probabilities which were normalised, as PyTorch's is.

    >>> import schuss
    >>> log_p = schuss.zeros(1, 1, 2) - 0.6931472
    >>> schuss.nn.functional.ctc_loss(log_p, schuss.tensor([[1]]), [1], [1])
    tensor(0.6931)
    """
    alone = log_probs.ndim == 2
    x = log_probs.unsqueeze(1) if alone else log_probs
    if alone:
        targets = targets.reshape(1, -1)
        input_lengths, target_lengths = (
            v.reshape(1) if isinstance(v, Tensor) else [v] if isinstance(v, int) else v
            for v in (input_lengths, target_lengths)
        )
    steps, batch, classes = x.shape
    spoken, _ = _lengths(input_lengths)
    written, listed = _lengths(target_lengths)
    if not 0 <= blank < classes:
        raise RuntimeError(f"ctc_loss: blank {blank} is no class of {classes}")
    if spoken.numel() != batch or written.numel() != batch:
        raise RuntimeError(f"ctc_loss: needs {batch} input lengths and as many target lengths")
    fine = (spoken >= 0) & (spoken <= steps)
    said = f"an input length is not from 0 to {steps}"
    _core._demand(fine, "runtime", "ctc_loss", said)
    most = targets.shape[-1] if targets.ndim == 2 else targets.numel()
    fine = (written >= 0) & (written <= most)
    said = f"a target length is not from 0 to {most}, the labels that there are"
    _core._demand(fine, "runtime", "ctc_loss", said)
    labels = _labels(targets.detach(), written, listed, blank).long()
    said = f"a label is not from 0 to {classes - 1}"
    _core._demand((labels >= 0) & (labels < classes), "runtime", "ctc_loss", said)
    labels, spoken, written = (v.to(x.device) for v in (labels, spoken, written))
    states = labels.shape[1]
    each = x.gather(2, labels.unsqueeze(0).expand(steps, batch, states))
    # A label may follow the one before its blank unless they are equal.
    skips = _core.zeros(batch, states, dtype=_core.bool, device=x.device)
    if states > 2:
        skips[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    never = _core.full((batch, states), -float("inf"), dtype=x.dtype, device=x.device)
    first = _core.arange(states, device=x.device) < 2
    # Before the first step the only place is ahead of the first two states.
    total: Any = None
    for t in range(steps):
        if total is None:
            fresh = schuss.where(first, each[0], never)
        else:
            one = _core.cat([never[:, :1], total[:, :-1]], 1)
            fresh = _core.logaddexp(total, one)
            if states > 2:
                two = _core.cat([never[:, :2], total[:, :-2]], 1)
                fresh = _core.logaddexp(fresh, schuss.where(skips, two, never))
            fresh = fresh + each[t]
        live = (spoken > t).unsqueeze(1)
        total = fresh if total is None else schuss.where(live, fresh, total)
    ends = (2 * written).unsqueeze(1)
    last = total.gather(1, ends)
    before = schuss.where(ends > 0, total.gather(1, (ends - 1).clamp(min=0)), never[:, :1])
    loss = -_core.logaddexp(last, before).squeeze(1)
    empty = schuss.where(written == 0, 0.0, float("inf")).to(x.dtype)
    loss = schuss.where(spoken == 0, empty, loss)
    # Adds nothing but the slope of a normalisation, which a distribution's own derivative undoes.
    live = _core.arange(steps, device=x.device).unsqueeze(1) < spoken
    mass = (x.exp() - x.detach().exp()).sum(2)
    loss = loss + schuss.where(live, mass, 0.0).sum(0)
    if zero_infinity:
        loss = schuss.where(loss == float("inf"), 0.0, loss)
    if reduction == "mean":
        return (loss / written.clamp(min=1).to(loss.dtype)).mean()
    loss = loss.squeeze(0) if alone else loss
    return _gathered("ctc_loss", loss, reduction)


__all__ = [
    "cosine_embedding_loss",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "linear_cross_entropy",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "poisson_nll_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]
