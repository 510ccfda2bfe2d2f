"""Batches of tensors that are in memory already, gathered by the core without asking for samples.
Leans on the core's batches; DataLoader comes here when nothing of the user's stands between."""

from __future__ import annotations

from operator import index as as_index
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss import Tensor, _core
from schuss.utils.data.dataset import Subset, TensorDataset
from schuss.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


def unwrapped(dataset: Any) -> tuple[Any, np.ndarray | None] | None:
    """The data set under Subsets, and the rows of it that they show (None: all); None for rows
    that are no plain numbers."""
    rows: np.ndarray | None = None
    while type(dataset) is Subset:
        indices = np.asarray(dataset.indices)
        if indices.ndim != 1 or (indices.dtype.kind not in "iu" and indices.size):
            return None
        indices = indices.astype(np.int64)
        rows = indices if rows is None else indices[rows]
        dataset = dataset.dataset
    return dataset, rows


def columns_of(dataset: Any) -> tuple[list[Tensor], Tensor | None, bool] | None:
    """The tensors behind a data set, the rows of them that it shows (None: all), and whether a
    sample is one tensor; None for a data set that has to be asked sample by sample."""
    found = unwrapped(dataset)
    if found is None:
        return None
    dataset, rows = found
    if type(dataset) is TensorDataset:
        tensors, single = list(dataset.tensors), False
    elif type(dataset) is Tensor and dataset.ndim:
        tensors, single = [dataset], True
    else:
        return None
    return tensors, None if rows is None else schuss.from_numpy(rows), single


def gatherer(dataset: Any) -> Callable[[Tensor], list[Tensor]] | None:
    """The function from indices to a batch of a data set that can give whole batches."""
    found = unwrapped(dataset)
    if found is None or not hasattr(found[0], "whole_batches"):
        return None
    gather = found[0].whole_batches()
    if gather is None or found[1] is None:
        return gather
    rows = schuss.from_numpy(found[1])
    return lambda chosen: gather(rows[chosen])


def gathered(
    tensors: list[Tensor], order: Tensor | None, size: int, drop_last: bool, form: str
) -> Iterator[Any]:
    """Batches in the order of an integer tensor (None: as they stand), as a "list", a "tuple", or
    the first tensor "bare". They are copies: writing into one does not write into the data."""
    return _core._Batches(tensors, order, size, drop_last, form)


def _numbers(batch: Any) -> Tensor:
    return schuss.tensor([as_index(i) for i in batch], dtype=schuss.int64)


def from_sampler(
    dataset: Any, sampler: Any, finish: Callable[[Any], Any], form: str = "list"
) -> Iterator[Any] | None:
    """The batches of a batch sampler, or None where the data set is not plain tensors.

    `finish` makes the batch out of samples for the batches that hold other things than integers.
    """
    found = columns_of(dataset)
    if found is None:
        gather = gatherer(dataset)
        return None if gather is None else _asked(sampler, dataset, gather, finish)
    tensors, rows, single = found
    form = "bare" if single else form
    if type(sampler) is BatchSampler:
        inner, size, drop = sampler.sampler, sampler.batch_size, sampler.drop_last
        if type(inner) is SequentialSampler and inner.data_source is dataset:
            return gathered(tensors, rows, size, drop, form)
        if type(inner) is RandomSampler and inner.data_source is dataset:
            return _random(inner, tensors, rows, size, drop, form)
    return _listed(sampler, dataset, tensors, rows, single, finish)


def _random(
    sampler: RandomSampler, tensors: list[Tensor], rows: Any, size: int, drop: bool, form: str
) -> Iterator[Any]:
    # The order is drawn when the first batch is asked for, as PyTorch's samplers do.
    order = sampler.order()
    yield from gathered(tensors, order if rows is None else rows[order], size, drop, form)


def _asked(
    sampler: Any, dataset: Any, gather: Callable[[Tensor], Any], finish: Callable[[Any], Any]
) -> Iterator[Any]:
    for batch in sampler:
        try:
            chosen = _numbers(batch)
        except TypeError:
            yield finish([dataset[i] for i in batch])
            continue
        yield gather(chosen)


def _listed(
    sampler: Any, dataset: Any, tensors: Any, rows: Any, single: bool, finish: Callable[[Any], Any]
) -> Iterator[Any]:
    for batch in sampler:
        try:
            chosen = _numbers(batch)
        except TypeError:
            yield finish([dataset[i] for i in batch])
            continue
        if rows is not None:
            chosen = rows[chosen]
        columns = [t[chosen] for t in tensors]
        yield columns[0] if single else columns


class Batches:
    """What `batches` returns: iterate it once an epoch; `len` is the number of batches."""

    def __init__(
        self, tensors: list[Tensor], size: int, shuffle: bool, drop_last: bool, generator: Any
    ) -> None:
        self.dataset = TensorDataset(*tensors)
        source = self.dataset
        order = RandomSampler(source, generator=generator) if shuffle else SequentialSampler(source)
        self.sampler = BatchSampler(order, size, drop_last)

    def __iter__(self) -> Iterator[Any]:
        form = "bare" if len(self.dataset.tensors) == 1 else "tuple"
        found: Any = from_sampler(self.dataset, self.sampler, list, form)
        return found

    def __len__(self) -> int:
        return len(self.sampler)


def batches(
    *data: Any,
    batch_size: int | None = None,
    shuffle: bool = False,
    drop_last: bool = False,
    generator: Any = None,
) -> Batches:
    """Batches of tensors or arrays of one length; the batch size may stand last.

    One epoch is one iteration: tuples of as many tensors as were given, or the bare tensor if it
    was one; shuffled anew each time with `shuffle=True`.

    >>> import schuss
    >>> from schuss.utils.data import batches
    >>> X, y = schuss.arange(5), schuss.zeros(5)
    >>> [x.tolist() for x, _ in batches(X, y, 2)]
    [[0, 1], [2, 3], [4]]
    """
    if batch_size is None and data and isinstance(data[-1], int):
        data, batch_size = data[:-1], data[-1]
    if batch_size is None:
        raise TypeError("batches: needs a batch size, batches(X, y, 64) or batch_size=64")
    tensors = [d if isinstance(d, Tensor) else schuss.as_tensor(d) for d in data]
    return Batches(tensors, batch_size, shuffle, drop_last, generator)
