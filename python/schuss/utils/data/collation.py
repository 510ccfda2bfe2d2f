"""Making one batch of many samples, and tensors of what is not yet one.
Leans on the core for stacking and on NumPy for arrays."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss import Tensor

if TYPE_CHECKING:
    from typing import Any


def _is_textual(array: np.ndarray | np.generic) -> bool:
    return array.dtype.kind in "SUOV"


def default_convert(data: Any) -> Any:
    """The same structure with its arrays turned into tensors.

    >>> import numpy as np
    >>> from schuss.utils.data import default_convert
    >>> default_convert({"x": np.array([1, 2])})
    {'x': tensor([1, 2])}
    """
    if isinstance(data, (np.ndarray, np.generic)):
        return data if _is_textual(data) else schuss.as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(value) for value in data])
    return data


def default_collate(batch: Any) -> Any:
    """Samples of equal structure as one structure of tensors with a new first axis.

    Numbers and arrays become tensors, tuples lists, dicts and named tuples stay what they are,
    text stays a list. RuntimeError for unequal lengths, TypeError for what cannot be a tensor.

    >>> from schuss.utils.data import default_collate
    >>> default_collate([(1, 0.5), (2, 1.5)])
    [tensor([1, 2]), tensor([0.5000, 1.5000], dtype=schuss.float64)]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return _stacked(list(batch))
    if isinstance(first, np.ndarray):
        if _is_textual(first):
            raise TypeError(f"default_collate: cannot make a tensor of dtype {first.dtype}")
        return _stacked([schuss.as_tensor(item) for item in batch])
    if isinstance(first, np.generic) and not isinstance(first, (float, str, bytes)):
        return schuss.as_tensor(np.array(batch))
    if isinstance(first, float):
        return schuss.tensor(batch, dtype=schuss.float64)
    if isinstance(first, int):
        return schuss.tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        columns = {key: default_collate([item[key] for item in batch]) for key in first}
        return _like_mapping(first, columns)
    if isinstance(first, (tuple, Sequence)):
        lengths = {len(item) for item in batch}
        if len(lengths) > 1:
            raise RuntimeError(f"default_collate: samples of lengths {sorted(lengths)} in a batch")
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        if isinstance(first, tuple):
            return type(first)(*columns) if hasattr(first, "_fields") else columns
        return _like_sequence(first, columns)
    raise TypeError(
        f"default_collate: cannot make a batch of {type(first).__name__}; samples are tensors, "
        "arrays, numbers, dicts or lists of them, else pass collate_fn"
    )


def _stacked(samples: list[Any]) -> Tensor:
    shapes = {tuple(getattr(sample, "shape", ())) for sample in samples}
    if len(shapes) > 1:
        shown = " and ".join(map(str, sorted(shapes)[:2]))
        raise schuss.ShapeError(
            f"default_collate: samples of shapes {shown} make no batch; make them of one size, as "
            "by pad_sequence in a collate_fn, or use batch_size=1"
        )
    return schuss.stack(samples, 0)


def _like_mapping(model: Mapping, entries: dict[Any, Any]) -> Any:
    if type(model) is dict:
        return entries
    try:
        if isinstance(model, MutableMapping):
            made = copy.copy(model)
            made.update(entries)
            return made
        kind: Any = type(model)
        return kind(entries)
    except TypeError:
        return entries


def _like_sequence(model: Sequence, values: list[Any]) -> Any:
    if type(model) is list:
        return values
    try:
        kind: Any = type(model)
        return kind(values)
    except TypeError:
        return values
