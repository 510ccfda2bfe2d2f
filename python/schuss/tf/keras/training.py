"""compile, fit, evaluate and predict: the loop that models of Keras bring with them.
Leans on GradientTape, optimizers, losses, metrics, and on the callbacks of schuss.training."""

from __future__ import annotations

import os
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss.tape import GradientTape
from schuss.tf import losses as loss_functions
from schuss.tf import optimizers
from schuss.tf.conversion import convert_to_tensor
from schuss.tf.keras import metrics as metric_kinds
from schuss.tf.reductions import reduce_mean
from schuss.training.callbacks import Everyone, History

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def _parts(data: Any) -> tuple[Any, Any, Any]:
    """Inputs, targets and weights of a batch."""
    if isinstance(data, (tuple, list)):
        return tuple([*data, None, None][:3])  # type: ignore[return-value]
    return data, None, None


def _rows(value: Any) -> int:
    if isinstance(value, dict):
        return _rows(next(iter(value.values())))
    return _rows(value[0]) if isinstance(value, (list, tuple)) else len(value)


def _taken(value: Any, chosen: Any) -> Any:
    """The chosen rows of an array, or of each in a list or dict."""
    if value is None:
        return None
    if isinstance(value, dict):
        return {name: _taken(part, chosen) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_taken(part, chosen) for part in value]
    found = value[chosen]
    return found if isinstance(found, schuss.Tensor) else convert_to_tensor(_narrow(found))


def _narrow(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _arrays(value: Any) -> Any:
    """Lists of numbers as arrays; lists of arrays stay lists."""
    if isinstance(value, (list, tuple)):
        if value and all(hasattr(part, "shape") for part in value):
            return list(value)
        return np.asarray(value)
    if value is None or isinstance(value, (dict, schuss.Tensor)):
        return value
    return value if isinstance(value, np.ndarray) else np.asarray(value)


class Batches:
    """Arrays in batches, shuffled or not, or what gives batches as it is."""

    def __init__(
        self, op: str, x: Any, y: Any, weights: Any, size: int | None, shuffle: bool
    ) -> None:
        self.source = None
        if x is None:
            raise ValueError(f"{op}: needs data, got None")
        if y is None and hasattr(x, "__iter__") and not _is_data(x):
            self.source = x
            return
        self.x, self.y, self.weights = _arrays(x), _arrays(y), _arrays(weights)
        self.n, self.size, self.shuffle = _rows(self.x), size or 32, shuffle
        if not self.n:
            raise ValueError(f"{op}: the data are empty")
        if y is not None and _rows(self.y) != self.n:
            raise ValueError(f"{op}: {self.n} inputs and {_rows(self.y)} targets; give as many")

    def __len__(self) -> int:
        return len(self.source) if self.source is not None else -(-self.n // self.size)

    def __iter__(self) -> Iterator[Any]:
        if self.source is not None:
            yield from self.source
            return
        order = schuss.randperm(self.n).numpy() if self.shuffle else np.arange(self.n)
        for start in range(0, self.n, self.size):
            chosen = order[start : start + self.size]
            yield tuple(_taken(part, chosen) for part in (self.x, self.y, self.weights))


def _is_data(x: Any) -> bool:
    return isinstance(x, (np.ndarray, schuss.Tensor, list, tuple, dict)) or hasattr(x, "__array__")


class Plain:
    """Values that are kept beside a model and are no part of it."""

    def __init__(self, **values: Any) -> None:
        self.values = values


class Trained:
    """What a model can do besides compute: be compiled, fitted, evaluated, asked, saved."""

    stop_training = False
    optimizer: Any = None
    _loss: Any = None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = None,
    ) -> None:
        """Say how it is trained: an optimizer, a loss, metrics, by their names or as objects."""
        self._compiled_with = Plain(loss=loss, metrics=metrics)
        self.optimizer = optimizers.get(optimizer)
        self._loss = loss_functions.get(loss)
        self._asked = [metrics] if isinstance(metrics, str) else list(metrics or [])
        self._metrics: list[Any] | None = None
        self._mean_loss = metric_kinds.Mean("loss")
        for metric in self._asked:
            if metric not in ("accuracy", "acc"):
                metric_kinds.get(metric)

    @property
    def metrics(self) -> list[Any]:
        """The metrics, the loss first."""
        return [self._mean_loss, *(self._metrics or [])]

    @property
    def metrics_names(self) -> list[str]:
        """Their names."""
        return [metric.name for metric in self.metrics]

    def _must_be_compiled(self) -> None:
        if self.optimizer is None:
            raise RuntimeError("You must call `compile()` before training or testing a model")

    def _measure(self, y: Any, prediction: Any) -> None:
        if y is None:
            return
        if self._metrics is None:
            self._metrics = []
            for asked in self._asked:
                if asked in ("accuracy", "acc"):
                    arrays = metric_kinds._array(y), metric_kinds._array(prediction)
                    self._metrics.append(metric_kinds.accuracy_for(*arrays, asked))
                else:
                    self._metrics.append(metric_kinds.get(asked))
        for metric in self._metrics:
            metric.update_state(y, prediction)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> Any:
        """The loss of a batch and what the weights cost; a subclass may define another."""
        if self._loss is None:
            found = None
        elif isinstance(self._loss, loss_functions.Loss):
            found = self._loss(y, y_pred, sample_weight)
        else:
            each = self._loss(y, y_pred)
            if sample_weight is not None:
                each = each * convert_to_tensor(sample_weight)
            found = reduce_mean(each)
        for cost in self.losses:  # type: ignore[attr-defined]
            found = cost if found is None else found + cost
        if found is None:
            raise ValueError("compile: no loss was given, so there is nothing to make small")
        return found

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step on a batch; a subclass may do it otherwise. Returns the numbers so far."""
        x, y, weights = _parts(data)
        with GradientTape() as tape:
            prediction = self(x, training=True)  # type: ignore[operator]
            loss = self.compute_loss(x, y, prediction, weights)
        variables = self.trainable_variables  # type: ignore[attr-defined]
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self._mean_loss.update_state(loss, _rows(x))
        self._measure(y, prediction)
        return self._numbers()

    def test_step(self, data: Any) -> dict[str, Any]:
        """The numbers of a batch without training."""
        x, y, weights = _parts(data)
        prediction = self(x, training=False)  # type: ignore[operator]
        self._mean_loss.update_state(self.compute_loss(x, y, prediction, weights), _rows(x))
        self._measure(y, prediction)
        return self._numbers()

    def _numbers(self) -> dict[str, float]:
        return {metric.name: metric.value() for metric in self.metrics}

    def reset_metrics(self) -> None:
        """Let all metrics begin anew."""
        for metric in self.metrics:
            metric.reset_state()

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train for epochs; the History that comes back has the numbers of each.

        `x` and `y` are arrays or tensors, or `x` alone a tf.data.Dataset or any batches. ValueError
        for empty data and for targets that are not as many as inputs.
        """
        self._must_be_compiled()
        if not 0 <= validation_split < 1:
            raise ValueError(f"fit: validation_split is from 0 to below 1, got {validation_split}")
        if class_weight is not None and y is not None:
            classes = metric_kinds._array(y).reshape(len(y), -1)
            classes = classes.argmax(-1) if classes.shape[1] > 1 else classes[:, 0]
            sample_weight = np.array([class_weight.get(int(c), 1.0) for c in classes], np.float32)
        if validation_split and validation_data is None:
            x, y, sample_weight = (_arrays(part) for part in (x, y, sample_weight))
            cut = int(_rows(x) * (1 - validation_split))
            rest = slice(cut, None)
            validation_data = tuple(_taken(part, rest) for part in (x, y, sample_weight))
            x, y, sample_weight = (_taken(part, slice(0, cut)) for part in (x, y, sample_weight))
        data = Batches("fit", x, y, sample_weight, batch_size, shuffle)
        history = History()
        everyone = Everyone([history, *(callbacks or [])], self, {"epochs": epochs})
        self.history, self.stop_training = history, False
        logs: dict[str, float] = {}
        everyone.tell("on_train_begin", logs)
        for epoch in range(initial_epoch, epochs):
            start = perf_counter()
            everyone.tell("on_epoch_begin", epoch, logs)
            self.reset_metrics()
            done = 0
            for i, batch in enumerate(data):
                if steps_per_epoch is not None and i >= steps_per_epoch:
                    break
                everyone.tell("on_train_batch_begin", i, logs)
                logs = {name: float(value) for name, value in self.train_step(batch).items()}
                everyone.tell("on_train_batch_end", i, logs)
                done += 1
                if self.stop_training:
                    break
            if not done:
                raise ValueError("fit: the data are empty, or are used up")
            if validation_data is not None and (epoch + 1) % validation_freq == 0:
                given = (
                    validation_data if isinstance(validation_data, tuple) else (validation_data,)
                )
                found = self.evaluate(
                    *given[:2],
                    batch_size=validation_batch_size or batch_size,
                    sample_weight=given[2] if len(given) > 2 else None,
                    steps=validation_steps,
                    verbose=0,
                    return_dict=True,
                )
                logs.update({f"val_{name}": value for name, value in found.items()})
            everyone.tell("on_epoch_end", epoch, logs)
            if verbose:
                numbers = " - ".join(f"{name}: {value:.4f}" for name, value in logs.items())
                print(f"Epoch {epoch + 1}/{epochs}")
                print(f"{done}/{done} - {perf_counter() - start:.0f}s - {numbers}")
            if self.stop_training:
                break
        everyone.tell("on_train_end", logs)
        return history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and the metrics over data, without training."""
        self._must_be_compiled()
        self.reset_metrics()
        done = 0
        for i, batch in enumerate(Batches("evaluate", x, y, sample_weight, batch_size, False)):
            if steps is not None and i >= steps:
                break
            self.test_step(batch)
            done += 1
        if not done:
            raise ValueError("evaluate: the data are empty")
        found = self._numbers()
        if verbose:
            numbers = " - ".join(f"{name}: {value:.4f}" for name, value in found.items())
            print(f"{done}/{done} - {numbers}")
        values = list(found.values())
        return found if return_dict else values[0] if len(values) == 1 else values

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """What the model says of data, as an array; a list of arrays for several results."""
        made = []
        for i, batch in enumerate(Batches("predict", x, None, None, batch_size, False)):
            if steps is not None and i >= steps:
                break
            inputs = batch[0] if isinstance(batch, tuple) else batch
            found = self(inputs, training=False)  # type: ignore[operator]
            made.append(found if isinstance(found, list) else [found])
        if not made:
            raise ValueError("predict: the data are empty")
        columns = [
            np.concatenate([metric_kinds._array(part) for part in column])
            for column in zip(*made, strict=True)
        ]
        return columns[0] if len(columns) == 1 else columns

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """One step on one batch; the loss, and the metrics if there are any."""
        self._must_be_compiled()
        self.reset_metrics()
        found = self.train_step(tuple(_taken(_arrays(part), slice(None)) for part in (x, y)))
        values = [float(value) for value in found.values()]
        return values[0] if len(values) == 1 else values

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights; the file is whole or not there. ValueError before there are any."""
        variables = self.variables  # type: ignore[attr-defined]
        if not variables:
            raise ValueError(f"save_weights: {self.name} has no weights yet")  # type: ignore[attr-defined]
        if not overwrite and os.path.exists(filepath):
            raise FileExistsError(f"save_weights: {filepath} is there already")
        schuss.save({str(i): v.value().detach() for i, v in enumerate(variables)}, filepath)

    def save(self, filepath: Any, overwrite: bool = True, **options: Any) -> None:
        """Write the whole model: layers, weights, and how it is trained; `load_model` reads it."""
        from schuss.tf.keras.saving import save_model

        save_model(self, filepath, overwrite)

    def load_weights(self, filepath: Any) -> None:
        """Read weights, of a file of them or of a whole model; ValueError where they are not those
        of this model."""
        state = schuss.load(filepath)
        whole = state.get("weights")
        values = [state[str(i)] for i in range(len(state))] if whole is None else whole
        self.set_weights(values)  # type: ignore[attr-defined]
