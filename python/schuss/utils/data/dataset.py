"""Data sets, by index (`__getitem__`, `__len__`) or as streams (`__iter__`); joining and splitting.
Leans on tensors only for TensorDataset and for the order of random_split."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate
from types import GenericAlias
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.naming import Checked, warn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any


class Dataset:
    """Samples by index: subclass it and define `__getitem__` and, nearly always, `__len__`.

    `__getitems__(indices)`, where defined, fetches a whole batch at once as a list of samples.

    >>> from schuss.utils.data import Dataset
    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, i):
    ...         return i * i
    >>> (Squares() + Squares())[7]
    9
    """

    __class_getitem__ = classmethod(GenericAlias)

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__}: has no __getitem__ method; define __getitem__(self, index)"
        )

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Samples as a stream: subclass it and define `__iter__`.

    With several workers each one iterates its own copy: use get_worker_info() to share the work.
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(
            f"{type(self).__name__}: has no __iter__ method; define __iter__(self)"
        )

    def __add__(self, other: Any) -> ChainDataset:
        return ChainDataset([self, other])


class TensorDataset(Checked, Dataset):
    """Tensors of one length; sample i is the tuple of their rows i.

    TypeError for anything but tensors, ShapeError for different lengths.

    >>> import schuss
    >>> from schuss.utils.data import TensorDataset
    >>> TensorDataset(schuss.tensor([1, 2]), schuss.tensor([3, 4]))[1]
    (tensor(2), tensor(4))
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise TypeError("TensorDataset: needs at least one tensor")
        for t in tensors:
            if not isinstance(t, Tensor):
                raise TypeError(
                    f"TensorDataset: needs tensors, got {type(t).__name__}; "
                    "use schuss.as_tensor(...)"
                )
            if t.ndim == 0:
                raise schuss.ShapeError("TensorDataset: a tensor of no axes has no rows")
        if len({t.shape[0] for t in tensors}) > 1:
            shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
            raise schuss.ShapeError(f"TensorDataset: first sizes differ in {shapes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class StackDataset(Dataset):
    """Data sets side by side: sample i is the tuple, or dict, of their samples i.

    >>> from schuss.utils.data import StackDataset
    >>> StackDataset([1, 2], ["a", "b"])[1], StackDataset(x=[1, 2], y=[3, 4])[0]
    ((2, 'b'), {'x': 1, 'y': 3})
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError("StackDataset: needs data sets, all by position or all by name")
        self.datasets = args or kwargs
        lengths = [len(d) for d in args or kwargs.values()]
        if len(set(lengths)) > 1:
            raise ValueError(f"StackDataset: lengths differ: {lengths}")
        self._length = lengths[0]

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: d[index] for name, d in self.datasets.items()}
        return tuple(d[index] for d in self.datasets)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The samples of a batch, asking each data set once where it can be."""
        if isinstance(self.datasets, dict):
            columns = [fetch(d, indices) for d in self.datasets.values()]
            return [
                dict(zip(self.datasets, row, strict=True)) for row in zip(*columns, strict=True)
            ]
        return list(zip(*(fetch(d, indices) for d in self.datasets), strict=True))

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Checked, Dataset):
    """Data sets one after the other.

    >>> from schuss.utils.data import ConcatDataset
    >>> both = ConcatDataset([[1, 2], [3]])
    >>> len(both), both[2], both[-1]
    (3, 3, 3)
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: needs at least one data set")
        for d in self.datasets:
            if isinstance(d, IterableDataset):
                raise TypeError("ConcatDataset: a stream has no index; use ChainDataset")
        self.cumulative_sizes = list(accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"ConcatDataset: index {index} in a data set of {n}")
        index %= n
        which = bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset):
    """Streams one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for d in self.datasets:
            if not isinstance(d, IterableDataset):
                raise TypeError(f"ChainDataset: needs IterableDatasets, got {type(d).__name__}")
            yield from d

    def __len__(self) -> int:
        return sum(len(d) for d in self.datasets)


class Subset(Checked, Dataset):
    """The samples of a data set at the given indices.

    >>> from schuss.utils.data import Subset
    >>> list(Subset(["a", "b", "c"], [2, 0]))
    ['c', 'a']
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The samples of a batch, by the data set's own `__getitems__` where it has one."""
        return fetch(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def fetch(dataset: Any, indices: Sequence[int]) -> Any:
    """The samples at these indices, by `__getitems__` where the data set has it."""
    together = getattr(dataset, "__getitems__", None)
    if together is None:
        return [dataset[i] for i in indices]
    found = together(indices)
    if len(found) != len(indices):
        raise ValueError(
            f"{type(dataset).__name__}.__getitems__: {len(found)} samples "
            f"for {len(indices)} indices"
        )
    return found


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Split a data set at random into Subsets of the given sizes, or fractions that add up to 1.

    Samples that fractions leave over go one each to the parts from the first on. ValueError if
    the sizes do not add up to the length.

    >>> from schuss.utils.data import random_split
    >>> [len(part) for part in random_split(range(10), [0.8, 0.2])]
    [8, 2]
    """
    total = len(dataset)
    lengths = list(lengths)
    fractions = any(isinstance(n, float) and not n.is_integer() for n in lengths)
    if fractions or sum(lengths) == 1:
        for i, fraction in enumerate(lengths):
            if not 0 <= fraction <= 1:
                raise ValueError(f"random_split: fraction {i} is {fraction}, not within 0 and 1")
        if not math.isclose(sum(lengths), 1):
            raise ValueError(f"random_split: fractions add up to {sum(lengths)}, not to 1")
        sizes = [math.floor(total * fraction) for fraction in lengths]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
        for i, size in enumerate(sizes):
            if size == 0:
                warn(f"random_split: part {i} is empty")
    else:
        sizes = [int(n) for n in lengths]
    if sum(sizes) != total or any(n < 0 for n in sizes):
        raise ValueError(f"random_split: sizes {sizes} do not add up to the {total} samples")
    order = schuss.randperm(total, generator=generator, device="cpu").tolist()
    ends = list(accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
