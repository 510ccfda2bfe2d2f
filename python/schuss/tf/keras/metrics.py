"""Numbers that are gathered over batches: means, accuracies, errors, precision and recall.
Leans on NumPy; predictions are read as arrays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss.naming import Checked
from schuss.tf import losses
from schuss.tf.conversion import strict

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


def _array(value: Any) -> np.ndarray:
    if isinstance(value, schuss.Tensor):
        return value.detach().numpy()
    return np.asarray(value)


class Metric(Checked):
    """A number over many batches: `update_state` adds to it, `result` tells it, `reset_state`
    begins anew."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()
        self.name = name or plain
        self.reset_state()

    def reset_state(self) -> None:
        """Begin anew."""
        self.total = self.count = 0.0

    def reset_states(self) -> None:
        """Begin anew, by the older name."""
        self.reset_state()

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch."""
        raise NotImplementedError(f"{type(self).__name__}: define update_state")

    def value(self) -> float:
        """The number so far; 0 before anything was added."""
        return float(self.total / self.count) if self.count else 0.0

    def result(self) -> Tensor:
        """The number so far as a tensor."""
        return strict(schuss.tensor(self.value(), dtype=schuss.float32))

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class Mean(Metric):
    """The mean of all values.

    >>> mean = Mean()
    >>> mean.update_state([1.0, 3.0])
    >>> float(mean.result())
    2.0
    """

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values = _array(values).astype(np.float64)
        weight = 1.0 if sample_weight is None else _array(sample_weight).astype(np.float64)
        weight = np.broadcast_to(weight, values.shape)
        self.total += float((values * weight).sum())
        self.count += float(weight.sum())


class Sum(Metric):
    """The sum of all values."""

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        weight = 1.0 if sample_weight is None else _array(sample_weight)
        self.total += float((_array(values) * weight).sum())

    def value(self) -> float:
        return float(self.total)


class MeanMetricWrapper(Mean):
    """The mean of a function of (y_true, y_pred)."""

    def __init__(self, fn: Any, name: str | None = None, dtype: Any = None, **options: Any) -> None:
        self._fn, self._options = fn, options
        super().__init__(name or getattr(fn, "__name__", None))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        with schuss.no_grad():
            values = self._fn(y_true, y_pred, **self._options)
        super().update_state(values, sample_weight)


def _equal_classes(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    true = y_true[..., 0] if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1 else y_true
    if true.shape != y_pred.shape[:-1]:
        raise schuss.ShapeError(
            f"accuracy: labels {y_true.shape} and predictions {y_pred.shape} do not fit"
        )
    return true == y_pred.argmax(-1)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """Where the largest prediction is that of the class.

    >>> sparse_categorical_accuracy([1], [[0.2, 0.8]]).tolist()
    [1.0]
    """
    return _equal_classes(_array(y_true), _array(y_pred)).astype(np.float32)


def categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """Where the largest prediction is that of the one-hot class."""
    return (_array(y_true).argmax(-1) == _array(y_pred).argmax(-1)).astype(np.float32)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> np.ndarray:
    """The share of the last axis that is on the right side of the threshold."""
    true, pred = _array(y_true), _array(y_pred)
    if true.ndim + 1 == pred.ndim:
        true = true[..., None]
    right = (true > 0.5) == (pred > threshold)
    return right.mean(-1) if right.ndim > 1 else right.astype(np.float32)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """The share of classes, given as integers, whose prediction is the largest.

    >>> found = SparseCategoricalAccuracy()
    >>> float(found([1, 0], [[0.2, 0.8], [0.3, 0.7]]))
    0.5
    """

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None):
        super().__init__(sparse_categorical_accuracy, name)


class CategoricalAccuracy(MeanMetricWrapper):
    """The share of one-hot classes whose prediction is the largest."""

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None):
        super().__init__(categorical_accuracy, name)


class BinaryAccuracy(MeanMetricWrapper):
    """The share of predictions on the right side of a threshold."""

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name, threshold=threshold)


class Accuracy(MeanMetricWrapper):
    """The share of predictions that are equal to the labels."""

    def __init__(self, name: str | None = "accuracy", dtype: Any = None):
        super().__init__(lambda a, b: (_array(a) == _array(b)).astype(np.float32), name)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of one-hot classes that are among the k largest predictions."""

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy"):
        super().__init__(lambda a, b: _among(_array(a).argmax(-1), _array(b), k), name)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of classes, given as integers, that are among the k largest predictions."""

    def __init__(self, k: int = 5, name: str | None = "sparse_top_k_categorical_accuracy"):
        super().__init__(lambda a, b: _among(_array(a).reshape(len(_array(b))), _array(b), k), name)


def _among(classes: np.ndarray, y_pred: np.ndarray, k: int) -> np.ndarray:
    best = np.argsort(-y_pred, axis=-1, kind="stable")[..., :k]
    return (best == classes[..., None]).any(-1).astype(np.float32)


class MeanSquaredError(MeanMetricWrapper):
    """The mean of (y_true - y_pred) squared."""

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None):
        super().__init__(losses.mean_squared_error, name)


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of (y_true - y_pred) squared."""

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None):
        super().__init__(name)
        self._fn = lambda a, b: np.square(_array(a) - _array(b).reshape(_array(a).shape))

    def value(self) -> float:
        return super().value() ** 0.5


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean distance."""

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None):
        super().__init__(losses.mean_absolute_error, name)


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean cross entropy of two classes."""

    def __init__(self, name: str | None = "binary_crossentropy", from_logits: bool = False):
        super().__init__(losses.binary_crossentropy, name, from_logits=from_logits)


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross entropy of classes given as integers."""

    def __init__(
        self, name: str | None = "sparse_categorical_crossentropy", from_logits: bool = False
    ) -> None:
        super().__init__(losses.sparse_categorical_crossentropy, name, from_logits=from_logits)


class _Counted(Metric):
    def __init__(self, thresholds: float = 0.5, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name)
        self.threshold = thresholds

    def _counts(self, y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
        true, pred = _array(y_true).ravel() > 0.5, _array(y_pred).ravel() > self.threshold
        if true.shape != pred.shape:
            raise schuss.ShapeError(f"{self.name}: {true.size} labels, {pred.size} predictions")
        return true, pred


class Precision(_Counted):
    """How many of those that were said to be are."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true, pred = self._counts(y_true, y_pred)
        self.total, self.count = self.total + (true & pred).sum(), self.count + pred.sum()


class Recall(_Counted):
    """How many of those that are were said to be."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true, pred = self._counts(y_true, y_pred)
        self.total, self.count = self.total + (true & pred).sum(), self.count + true.sum()


class AUC(Metric):
    """How often a one is above a zero: the area under the ROC curve, from all predictions."""

    def reset_state(self) -> None:
        self._true: list[np.ndarray] = []
        self._pred: list[np.ndarray] = []

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._true.append(_array(y_true).ravel() > 0.5)
        self._pred.append(_array(y_pred).ravel())

    def value(self) -> float:
        if not self._true:
            return 0.0
        true, pred = np.concatenate(self._true), np.concatenate(self._pred)
        _, place, counts = np.unique(pred, return_inverse=True, return_counts=True)
        # Equal predictions share the mean of their ranks (Mann and Whitney, 1947).
        ranks = (counts.cumsum() - (counts - 1) / 2)[place]
        ones, zeros = int(true.sum()), int((~true).sum())
        if not ones or not zeros:
            return 0.0
        return float((ranks[true].sum() - ones * (ones + 1) / 2) / (ones * zeros))


_KNOWN = {
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "rmse": RootMeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "binary_crossentropy": BinaryCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "precision": Precision,
    "recall": Recall,
    "auc": AUC,
}


def accuracy_for(y_true: np.ndarray, y_pred: np.ndarray, name: str) -> Metric:
    """The accuracy that fits labels and predictions, under a name."""
    if y_pred.shape[-1] == 1 or y_pred.ndim == 1:
        return BinaryAccuracy(name)
    if y_true.shape == y_pred.shape:
        return CategoricalAccuracy(name)
    return SparseCategoricalAccuracy(name)


def get(identifier: Any) -> Metric:
    """The metric of a name or class, or of a function; a metric as it is."""
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        kind = _KNOWN.get(identifier.lower())
        if kind is None:
            known = ", ".join(["accuracy", *_KNOWN])
            raise ValueError(f"metrics.get: no metric {identifier!r}; there are {known}")
        return kind(name=identifier)
    if isinstance(identifier, type):
        return identifier()
    return MeanMetricWrapper(identifier)
