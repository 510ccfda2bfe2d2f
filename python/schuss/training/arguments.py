"""What `fit` is given: what is in the place of another is refused; data as batches; callbacks.
Leans on optim, utils.data and the callbacks beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.training.callbacks import Callback

if TYPE_CHECKING:
    from typing import Any


def check(model: Any, data: Any, loss: Any, optimizer: Any) -> None:
    """TypeError, with what to write, for what is in another's place or is only a name."""
    if isinstance(model, type) or not (callable(model) and hasattr(model, "train")):
        where = "; model and data are exchanged" if isinstance(data, schuss.Model) else ""
        raise TypeError(f"fit: the model must be a Model (nn.Module), got {_shown(model)}{where}")
    if isinstance(loss, schuss.optim.Optimizer):
        raise TypeError(
            "fit: loss and optimizer are exchanged; write fit(model, data, loss, optimizer)"
        )
    if isinstance(loss, type) or not callable(loss):
        raise TypeError(
            "fit: loss is a function of (prediction, target), such as nn.MSELoss(), got "
            f"{_shown(loss)}"
        )
    if not isinstance(optimizer, schuss.optim.Optimizer):
        shown = (
            f"the class {optimizer.__name__}" if isinstance(optimizer, type) else repr(optimizer)
        )
        raise TypeError(
            "fit: optimizer is one of schuss.optim, such as optim.Adam(model.parameters()), got "
            f"{shown}"
        )


def check_parts(model: Any, loss: Any, optimizer: Any) -> None:
    """ValueError for an optimiser that holds nothing of what is trained here."""
    parts = [part for part in (model, loss) if isinstance(part, schuss.Model)]
    trained = {id(p) for part in parts for p in part._unique_parameters()}
    held = [p for group in optimizer.param_groups for p in group["params"]]
    if trained and held and trained.isdisjoint(map(id, held)):
        name = type(optimizer).__name__
        raise ValueError(
            f"fit: the optimizer's {len(held)} parameters are none of the {len(trained)} of this "
            f"{type(model).__name__}; make it anew: optim.{name}(model.parameters(), ...)"
        )


def listed(callbacks: Any) -> list[Any]:
    """The callbacks, one or several; TypeError for what is none."""
    if isinstance(callbacks, Callback):
        return [callbacks]
    if not hasattr(callbacks, "__iter__"):
        callbacks = [callbacks]
    found = list(callbacks)
    for callback in found:
        if isinstance(callback, type) or not hasattr(callback, "set_model"):
            made = f"; write {callback.__name__}(...)" if isinstance(callback, type) else ""
            advice = made or "; give LambdaCallback(on_epoch_end=...) for a function"
            raise TypeError(
                "fit: callbacks are objects of training.Callback, such as EarlyStopping('loss'), "
                f"got {_shown(callback)}{advice if made or callable(callback) else ''}"
            )
    return found


def _shown(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return repr(value) if isinstance(value, (str, int, float)) else type(value).__name__


def batches_of(name: str, data: Any, batch_size: int, shuffle: bool) -> Any:
    """What gives batches: a loader as it is, tensors and data sets in batches of a size."""
    from schuss.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

    if isinstance(data, (tuple, list)) and len(data) == 2 and all(map(_is_plain, data)):
        raise TypeError(
            f"fit: {name} data are two plain lists; write them as tensors: "
            "(schuss.tensor(inputs), schuss.tensor(targets))"
        )
    if isinstance(data, (tuple, list)) and len(data) == 2 and all(map(_is_array, data)):
        data = TensorDataset(*(schuss.as_tensor(part) for part in data))
    if isinstance(data, Dataset):
        stream = isinstance(data, IterableDataset)
        if not stream and not len(data):  # type: ignore[arg-type]
            raise ValueError(f"fit: the {name} data are empty")
        data = DataLoader(data, batch_size=batch_size, shuffle=shuffle and not stream)
    if not hasattr(data, "__iter__"):
        raise TypeError(
            f"fit: {name} data are a DataLoader, a Dataset, (inputs, targets) or batches, got "
            f"{type(data).__name__}"
        )
    return data


def _is_array(value: Any) -> bool:
    return isinstance(value, schuss.Tensor) or hasattr(value, "__array__")


def _is_plain(value: Any) -> bool:
    """Whether it is a list of numbers, or lists of them."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
        if isinstance(value, (int, float)):
            return True
    return False


def parts_of(batch: Any, device: Any) -> tuple[Any, Any]:
    """Inputs and target of a batch; TypeError for one that is not a pair."""
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise TypeError("fit: a batch is (inputs, target); write the loop by hand for others")
    if isinstance(batch[0], (int, float)):
        raise TypeError(
            "fit: a batch is (inputs, target) of tensors, got a list of numbers; write "
            "data=(schuss.tensor(inputs), schuss.tensor(targets))"
        )
    if device is not None:
        batch = [part.to(device) if isinstance(part, schuss.Tensor) else part for part in batch]
    *inputs, target = batch
    return inputs, target
