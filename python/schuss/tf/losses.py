"""tf.losses: what a prediction costs, by sample or on average.
Leans on the mathematics and the cross entropies of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import ShapeError, Tensor
from schuss.naming import Checked
from schuss.tf import nn
from schuss.tf.conversion import convert_to_tensor, operand
from schuss.tf.mathematics import clip_by_value
from schuss.tf.reductions import reduce_mean, reduce_sum

if TYPE_CHECKING:
    from typing import Any

_TINY = 1e-7  # the least probability that a logarithm is taken of, as in Keras


def _sides(name: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both sides in the prediction's dtype; a last axis of size 1 that one lacks is dropped."""
    pred = convert_to_tensor(y_pred)
    if not pred.dtype.is_floating_point:
        pred = pred.to(schuss.float32)
    true = operand(y_true)
    true = true if true.dtype == pred.dtype else true.to(pred.dtype)
    if pred.ndim == true.ndim + 1 and pred.shape[-1] == 1:
        pred = pred.squeeze(-1)
    elif true.ndim == pred.ndim + 1 and true.shape[-1] == 1:
        true = true.squeeze(-1)
    if true.shape != pred.shape:
        raise ShapeError(
            f"{name}: y_true {tuple(true.shape)} and y_pred {tuple(pred.shape)} must fit; "
            "give both one shape"
        )
    return true, pred


def _last(x: Tensor) -> Tensor:
    return reduce_mean(x, -1) if x.ndim else x


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean of (y_true - y_pred) squared over the last axis.

    >>> mean_squared_error([[0.0, 2.0]], [[0.0, 0.0]]).tolist()
    [2.0]
    """
    true, pred = _sides("mean_squared_error", y_true, y_pred)
    return _last(schuss.square(pred - true))


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean distance over the last axis.

    >>> mean_absolute_error([[0.0, 2.0]], [[0.0, 0.0]]).tolist()
    [1.0]
    """
    true, pred = _sides("mean_absolute_error", y_true, y_pred)
    return _last(schuss.abs(pred - true))


def binary_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Tensor:
    """The mean cross entropy of probabilities, or of logits, over the last axis.

    >>> binary_crossentropy([[1.0]], [[0.0]], from_logits=True).tolist()
    [0.6931471824645996]
    """
    true, pred = _sides("binary_crossentropy", y_true, y_pred)
    if from_logits:
        return _last(nn.sigmoid_cross_entropy_with_logits(true, pred))
    pred = clip_by_value(pred, _TINY, 1.0 - _TINY)
    return _last(-(true * schuss.log(pred) + (1.0 - true) * schuss.log(1.0 - pred)))


def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Tensor:
    """The cross entropy of one-hot classes and probabilities, or logits, along the last axis.

    >>> categorical_crossentropy([[0.0, 1.0]], [[1.0, 1.0]], from_logits=True).tolist()
    [0.6931471824645996]
    """
    true, pred = _sides("categorical_crossentropy", y_true, y_pred)
    return nn.softmax_cross_entropy_with_logits(true, pred if from_logits else _logits(pred))


def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Tensor:
    """The cross entropy of integer classes and probabilities, or logits, along the last axis.

    >>> sparse_categorical_crossentropy([1], [[1.0, 1.0]], from_logits=True).tolist()
    [0.6931471824645996]
    """
    pred, true = convert_to_tensor(y_pred), operand(y_true)
    if true.ndim == pred.ndim and true.shape[-1:] == (1,):
        true = true.squeeze(-1)
    true = true.to(schuss.int64)
    return nn.sparse_softmax_cross_entropy_with_logits(true, pred if from_logits else _logits(pred))


def _logits(probabilities: Tensor) -> Tensor:
    """Logits whose softmax gives the probabilities, made to sum to 1."""
    return schuss.log(clip_by_value(probabilities, _TINY, 1.0 - _TINY))


class Loss(Checked):
    """A loss as an object: called with (y_true, y_pred), it averages over all samples.

    `reduction` is 'sum_over_batch_size' (the mean), 'sum', or 'none' (a value for each sample).

    >>> MeanSquaredError(reduction="none")([[0.0], [0.0]], [[1.0], [3.0]]).tolist()
    [1.0, 9.0]
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None):
        if reduction not in ("sum_over_batch_size", "mean", "sum", "none", None):
            raise ValueError(
                f"{type(self).__name__}: reduction {reduction!r} is unknown; use "
                "'sum_over_batch_size', 'sum' or 'none'"
            )
        self.reduction = reduction
        self.name = name or type(self).__name__

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        each = self.call(y_true, y_pred)
        if sample_weight is not None:
            weight = convert_to_tensor(sample_weight).to(each.dtype)
            if weight.ndim == each.ndim + 1 and weight.shape[-1] == 1:
                weight = weight.squeeze(-1)
            each = each * weight
        if self.reduction in ("none", None):
            return each
        return reduce_sum(each) if self.reduction == "sum" else reduce_mean(each)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """The loss of each sample; every subclass defines it.

        >>> MeanSquaredError().call([[1.0]], [[3.0]]).tolist()
        [4.0]
        """
        raise NotImplementedError(f"{type(self).__name__}: define call(y_true, y_pred)")


class MeanSquaredError(Loss):
    """The mean of (y_true - y_pred) squared.

    >>> float(MeanSquaredError()([[0.0], [0.0]], [[1.0], [3.0]]))
    5.0
    """

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return mean_squared_error(y_true, y_pred)


class MeanAbsoluteError(Loss):
    """The mean distance.

    >>> float(MeanAbsoluteError()([[0.0], [0.0]], [[1.0], [3.0]]))
    2.0
    """

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return mean_absolute_error(y_true, y_pred)


class _Entropy(Loss):
    def __init__(
        self,
        from_logits: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        label_smoothing: float = 0.0,
    ):
        super().__init__(reduction, name)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(
                f"{type(self).__name__}: label_smoothing is from 0 to 1, got {label_smoothing}"
            )
        self.from_logits, self.label_smoothing = from_logits, label_smoothing

    def _smooth(self, y_true: Any, classes: int) -> Any:
        """Labels moved towards each class alike (Szegedy et al., 2016)."""
        if not self.label_smoothing:
            return y_true
        true = operand(y_true)
        true = true if true.dtype.is_floating_point else true.to(schuss.float32)
        return true * (1.0 - self.label_smoothing) + self.label_smoothing / classes


class BinaryCrossentropy(_Entropy):
    """The mean cross entropy of yes-or-no answers.

    >>> round(float(BinaryCrossentropy()([[1.0]], [[0.5]])), 4)
    0.6931
    """

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return binary_crossentropy(self._smooth(y_true, 2), y_pred, self.from_logits)


class CategoricalCrossentropy(_Entropy):
    """The mean cross entropy of classes given as one-hot rows.

    >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.6931
    """

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        true = self._smooth(y_true, operand(y_pred).shape[-1])
        return categorical_crossentropy(true, y_pred, self.from_logits)


class SparseCategoricalCrossentropy(_Entropy):
    """The mean cross entropy of classes given as integers.

    >>> round(float(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
    0.6931
    """

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return sparse_categorical_crossentropy(y_true, y_pred, self.from_logits)


class Huber(Loss):
    """Half the square of errors up to delta, delta times their size beyond (Huber, 1964).

    >>> float(Huber()([[0.0]], [[2.0]]))
    1.5
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.delta = delta

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        true, pred = _sides("huber", y_true, y_pred)
        far = schuss.abs(pred - true)
        near = 0.5 * schuss.square(far)
        return _last(schuss.where(far <= self.delta, near, self.delta * far - 0.5 * self.delta**2))


class KLDivergence(Loss):
    """The sum of y_true log(y_true / y_pred) along the last axis.

    >>> float(KLDivergence()([[0.5, 0.5]], [[0.5, 0.5]]))
    0.0
    """

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        true, pred = _sides("kl_divergence", y_true, y_pred)
        true, pred = clip_by_value(true, _TINY, 1.0), clip_by_value(pred, _TINY, 1.0)
        return reduce_sum(true * schuss.log(true / pred), -1)


class Hinge(Loss):
    """The mean of max(0, 1 - y_true y_pred), with classes -1 and 1, or 0 and 1.

    >>> float(Hinge()([[1.0]], [[0.25]]))
    0.75
    """

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        true, pred = _sides("hinge", y_true, y_pred)
        signs = schuss.where(true == 0, -1.0, true) if bool((true >= 0).all()) else true
        return _last(schuss.clamp(1.0 - signs * pred, min=0.0))


MSE = mse = mean_squared_error
MAE = mae = mean_absolute_error
_KNOWN: dict[str, Any] = {
    "mse": mean_squared_error,
    "mean_squared_error": mean_squared_error,
    "mae": mean_absolute_error,
    "mean_absolute_error": mean_absolute_error,
    "binary_crossentropy": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    "huber": Huber(reduction="none"),
    "kl_divergence": KLDivergence(reduction="none"),
    "hinge": Hinge(reduction="none"),
}


def get(identifier: Any) -> Any:
    """The loss of a name; None, functions and objects as they are.

    >>> get("mse") is mean_squared_error
    True
    """
    if isinstance(identifier, str):
        if identifier.lower() not in _KNOWN:
            raise ValueError(
                f"losses.get: no loss {identifier!r}; there are {', '.join(sorted(_KNOWN))}"
            )
        found = _KNOWN[identifier.lower()]
        return found.call if isinstance(found, Loss) else found
    return identifier() if isinstance(identifier, type) else identifier
