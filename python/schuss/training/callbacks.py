"""What may be done between the epochs of a training: stop, save, change the rate, write it down.
Leans on a run, or a Keras model: whatever has weights, an optimizer and `stop_training`."""

from __future__ import annotations

import csv
import math
import os
from typing import TYPE_CHECKING

from schuss.naming import Checked

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Callback:
    """Something that is told of every epoch and batch; a subclass overrides what it wants to hear.

    `self.model` is what trains: it has `stop_training`, `get_weights`, `set_weights`, `save` and
    `optimizer.learning_rate`. `logs` holds the numbers so far, such as `loss` and `val_loss`.
    """

    model: Any = None
    params: dict[str, Any]

    def set_model(self, model: Any) -> None:
        """Called before the training."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called before the training, with the number of epochs and steps."""
        self.params = params

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None: ...

    def on_train_end(self, logs: dict[str, float] | None = None) -> None: ...

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None: ...

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None: ...

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None: ...

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None: ...

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None: ...

    def on_test_end(self, logs: dict[str, float] | None = None) -> None: ...


class LambdaCallback(Callback):
    """A callback made of functions, each under the name of what it is told."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        for name, function in functions.items():
            if not hasattr(Callback, name):
                raise TypeError(f"LambdaCallback: nothing is called {name}")
            setattr(self, name, function)


class Watch(Checked, Callback):
    """A callback that watches one number and knows its best value.

    `mode` is 'min', 'max' or 'auto', which takes what is called an accuracy, or a score, for
    better the larger it is.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{type(self).__name__}: mode is auto, min or max, got {mode!r}")
        larger = any(word in monitor for word in ("acc", "auc", "score", "precision", "recall"))
        self.monitor, self.mode = monitor, mode
        self._sign = -1.0 if mode == "max" or (mode == "auto" and larger) else 1.0
        self.min_delta = abs(min_delta)
        self.best = self._sign * math.inf

    def found(self, logs: dict[str, float] | None) -> float:
        """The number that is watched; KeyError that lists what there is."""
        logs = logs or {}
        if self.monitor not in logs:
            raise KeyError(
                f"{type(self).__name__}: there is no {self.monitor!r} to watch; there are "
                f"{', '.join(sorted(logs))}; is validation data missing?"
            )
        return float(logs[self.monitor])

    def better(self, value: float) -> bool:
        """Whether a value is better than the best so far by more than min_delta."""
        return self._sign * value < self._sign * self.best - self.min_delta


class EarlyStopping(Watch):
    """Ends the training when a number has not been better for more than `patience` epochs.

    With `restore_best_weights` the model gets those of its best epoch.

    >>> from schuss.training import EarlyStopping
    >>> EarlyStopping("val_loss", patience=3).patience
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose = patience, verbose
        self.baseline, self.start_from_epoch = baseline, start_from_epoch
        self.restore_best_weights = restore_best_weights

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.best = self._sign * math.inf if self.baseline is None else self.baseline
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self._weights: Any = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        value = self.found(logs)
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self._weights is None:
            self._weights = self.model.get_weights()
        if self.better(value):
            self.best, self.best_epoch, self.wait = value, epoch, 0
            if self.restore_best_weights:
                self._weights = self.model.get_weights()
            return
        self.wait += 1
        if self.wait >= max(self.patience, 1):
            self.stopped_epoch, self.model.stop_training = epoch, True

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"epoch {self.stopped_epoch + 1}: no better {self.monitor}; stopped")
        if self.restore_best_weights and self._weights is not None:
            self.model.set_weights(self._weights)


class ModelCheckpoint(Watch):
    """Saves after every epoch, or with `save_best_only` after those with the best number so far.

    `filepath` may hold `{epoch}` and the names of numbers, as in "{epoch:02d}-{val_loss:.2f}.pt".
    A file is whole or not there: what was saved before stays while the new one is written.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str = "epoch",
    ) -> None:
        super().__init__(monitor, mode)
        if save_freq != "epoch":
            raise ValueError(f"ModelCheckpoint: save_freq is 'epoch', got {save_freq!r}")
        self.filepath, self.verbose = os.fspath(filepath), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.save_best_only:
            value = self.found(logs)
            if not self.better(value):
                return
            self.best = value
        path = self.filepath.format(epoch=epoch + 1, **(logs or {}))
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path)
        if self.verbose:
            print(f"epoch {epoch + 1}: saved {path}")


class ReduceLROnPlateau(Watch):
    """Multiplies the rate by `factor` when a number has not been better for `patience` epochs."""

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.wait = self._rest = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        value = self.found(logs)
        if self._rest:
            self._rest, self.wait = self._rest - 1, 0
        if self.better(value):
            self.best, self.wait = value, 0
        elif not self._rest:
            self.wait += 1
            if self.wait >= self.patience:
                rate = float(self.model.optimizer.learning_rate)
                self.model.optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                self._rest, self.wait = self.cooldown, 0


class LearningRateScheduler(Checked, Callback):
    """The rate of each epoch by a function of the epoch and the rate before."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        try:
            found = self.schedule(epoch, rate)
        except TypeError:
            found = self.schedule(epoch)
        self.model.optimizer.learning_rate = float(found)


class TerminateOnNaN(Callback):
    """Ends the training when the loss is no longer a finite number."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            print(f"batch {batch}: the loss is {loss}; stopped")
            self.model.stop_training = True


class CSVLogger(Checked, Callback):
    """Writes the numbers of every epoch to a file, a line each."""

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename, self.separator, self.append = filename, separator, append

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        old = self.append and os.path.exists(self.filename) and os.path.getsize(self.filename)
        self._begun = bool(old)
        if not old:
            with open(self.filename, "w", encoding="utf-8"):
                pass

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        with open(self.filename, "a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, delimiter=self.separator)
            if not self._begun:
                rows.writerow(["epoch", *logs])
                self._begun = True
            rows.writerow([epoch, *logs.values()])


class History(Callback):
    """The numbers of every epoch: `history` has a list for each name, `epoch` their numbers."""

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items())
        return f"History({len(self.epoch)} epochs{': ' if last else ''}{last})"


class Everyone:
    """A number of callbacks that are told as one."""

    def __init__(self, callbacks: list[Callback], model: Any, params: dict[str, Any]) -> None:
        self.callbacks = callbacks
        for callback in callbacks:
            callback.set_model(model)
            callback.set_params(params)

    def tell(self, event: str, *args: Any) -> None:
        """Call the method of a name on each that has it."""
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method is not None:
                method(*args)
