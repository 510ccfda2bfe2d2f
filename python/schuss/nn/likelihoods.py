"""Losses as models that are likelihoods: of counts, spreads, sequences, and many classes.
Leans on nn.functional, and on linear layers for the two that hold weights."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import schuss
from schuss.model import Model
from schuss.nn import functional as F
from schuss.nn.containers import ModuleList, Sequential
from schuss.nn.layers import Linear
from schuss.nn.losses import _Loss, _WeightedLoss

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from schuss import Tensor


class PoissonNLLLoss(_Loss):
    """exp(x) - y * x, or x - y * log(x + eps) without `log_input`; `full` adds Stirling's terms.

    >>> import schuss
    >>> schuss.nn.PoissonNLLLoss()(schuss.zeros(1), schuss.ones(1))
    tensor(1.)
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(
            log_input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(_Loss):
    """(log(var) + (x - y)^2 / var) / 2, var at least `eps`; `full` adds the constant.

    >>> import schuss
    >>> schuss.nn.GaussianNLLLoss()(schuss.zeros(1), schuss.ones(1), schuss.ones(1))
    tensor(0.5000)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return F.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class CTCLoss(_Loss):
    """Minus the log-likelihood of label sequences over all alignments (Graves et al., 2006).

    `log_probs` is (time, batch, classes); `zero_infinity` gives 0 where none fits.
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(
        self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any
    ) -> Tensor:
        return F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )


class LinearCrossEntropyOptions:
    """How PyTorch would cut a large LinearCrossEntropyLoss into parts; the numbers are the same."""

    def __init__(
        self,
        allow_retain_graph: bool = False,
        batch_chunk_size: int | None = None,
        chunking_method: str | None = "auto",
        acc_policy: str = "auto",
        acc_dtype: schuss.dtype | None = None,
    ) -> None:
        self.allow_retain_graph = allow_retain_graph
        self.batch_chunk_size = batch_chunk_size
        self.chunking_method = chunking_method
        self.acc_policy = acc_policy
        self.acc_dtype = acc_dtype

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"LinearCrossEntropyOptions({told})"


class LinearCrossEntropyLoss(_WeightedLoss):
    """CrossEntropyLoss of a linear layer's scores; `out_features` are further axes of the target.

    >>> import schuss
    >>> loss = schuss.nn.LinearCrossEntropyLoss(3, 4)
    >>> loss(schuss.ones(2, 3), schuss.tensor([0, 1])).shape
    schuss.Size([])
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.in_features = in_features
        self.num_classes = num_classes
        self.out_features = tuple(out_features)
        wide = num_classes * math.prod(self.out_features)
        self.linear = Linear(in_features, wide, bias=bias, device=device, dtype=dtype)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.options = options

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        shape = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape(*shape, self.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, "
            f"reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )


class ASMoutput(NamedTuple):
    """What AdaptiveLogSoftmaxWithLoss returns: log-probabilities of the targets, and the loss."""

    output: Tensor
    loss: Tensor


_ASMoutput = ASMoutput


class AdaptiveLogSoftmaxWithLoss(Model):
    """Cross entropy over many classes, the rarer in smaller projections (Grave et al., 2016).

    Classes are in order of falling frequency; `cutoffs` are where the clusters begin. Returns a
    named tuple of `output`, each target's log-probability, and `loss`, minus their mean.

    >>> import schuss
    >>> loss = schuss.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10])
    >>> loss(schuss.ones(3, 16), schuss.tensor([0, 7, 19])).output.shape
    schuss.Size([3])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("AdaptiveLogSoftmaxWithLoss: cutoffs must not be empty")
        rising = all(a < b for a, b in pairwise(cutoffs))
        whole = all(int(c) == c for c in cutoffs)
        if not rising or not whole or cutoffs[0] <= 0 or cutoffs[-1] > n_classes - 1:
            raise ValueError(
                "AdaptiveLogSoftmaxWithLoss: cutoffs must be rising integers from 1 to"
                f" {n_classes - 1}, got {cutoffs}"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        options = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **options)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            inner = int(in_features // div_value ** (i + 1))
            outer = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, inner, bias=False, **options),
                    Linear(inner, outer, bias=False, **options),
                )
            )

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> ASMoutput:
        name = "AdaptiveLogSoftmaxWithLoss"
        alone = target_.ndim == 0
        if target_.ndim > 1 or input_.ndim != target_.ndim + 1:
            raise RuntimeError(
                f"{name}: input {tuple(input_.shape)} and target {tuple(target_.shape)} must be"
                " (N, features) and (N), or (features) and ()"
            )
        if not alone and input_.shape[0] != target_.shape[0]:
            raise RuntimeError(
                f"{name}: input {tuple(input_.shape)} and target {tuple(target_.shape)} differ in"
                " batch size"
            )
        input = input_.unsqueeze(0) if alone else input_
        target = target_.unsqueeze(0) if alone else target_
        if target.numel():
            low, high = int(target.min()), int(target.max())
            if low < 0 or high >= self.n_classes:
                raise RuntimeError(
                    f"{name}: targets must be from 0 to {self.n_classes - 1}, got {low} to {high}"
                )
        head = F.log_softmax(self.head(input), 1)
        place = target.clone()
        within = head.new_zeros(target.shape)
        for i, tail in enumerate(self.tail):
            members = (target >= self.cutoffs[i]) & (target < self.cutoffs[i + 1])
            rows = members.nonzero().squeeze(1)
            if rows.numel():
                place = place.masked_fill(members, self.shortlist_size + i)
                own = F.log_softmax(tail(input[rows]), 1)
                class_in = (target[rows] - self.cutoffs[i]).unsqueeze(1)
                within = within.index_add(0, rows, own.gather(1, class_in).squeeze(1))
        output = head.gather(1, place.unsqueeze(1)).squeeze(1) + within
        return ASMoutput(output.squeeze(0) if alone else output, (-output).mean())

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes, (N, n_classes)."""
        head = F.log_softmax(self.head(input), 1)
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            cluster = head[:, self.shortlist_size + i].unsqueeze(1)
            parts.append(F.log_softmax(tail(input), 1) + cluster)
        return schuss.cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The likeliest class of each row; clusters are looked into only where one may win."""
        scores = self.head(input)
        found = scores.argmax(1)
        inside = found < self.shortlist_size
        if bool(inside.all()):
            return found
        rows = (~inside).nonzero().squeeze(1)
        best = self.log_prob(input[rows]).argmax(1)
        return found.index_copy(0, rows, best)
