"""Samplers: in which order a data set is gone through, index by index or batch by batch.
Leans on the core's random numbers, so an order repeats after schuss.manual_seed."""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss.naming import Checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence, Sized
    from typing import Any


def drawn_seed(generator: Any = None) -> int:
    """A seed from the generator, or from the global one."""
    return int(schuss.randint(0, 2**62, (1,), generator=generator, device="cpu").item())


def _positive(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError(f"{what} must be a positive integer, got {value!r}")
    return value


class Sampler(Checked):
    """An order of indices: subclass it and define `__iter__`, and `__len__` if it is known."""

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, data_source: Any = None) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(
            f"{type(self).__name__}: has no __iter__ method; define __iter__(self)"
        )


class SequentialSampler(Sampler):
    """0, 1, 2, ... to the end of the data."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """A new random order each time, or independent draws with `replacement`.

    >>> from schuss.utils.data import RandomSampler
    >>> sorted(RandomSampler(range(4)))
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"RandomSampler: replacement must be a bool, got {replacement!r}")
        if num_samples is not None:
            _positive(num_samples, "RandomSampler: num_samples")
        elif len(data_source) == 0:
            raise ValueError("RandomSampler: the data set is empty")
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """How many indices one pass gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def order(self) -> Any:
        """The indices of one pass as an integer tensor."""
        n, count = len(self.data_source), self.num_samples
        generator = self.generator
        if generator is None:
            generator = schuss.Generator()
            generator.manual_seed(drawn_seed())
        if n == 0:
            raise ValueError("RandomSampler: the data set is empty")
        if self.replacement:
            return schuss.randint(0, n, (count,), generator=generator, device="cpu")
        turns = -(-count // n)
        passes = [schuss.randperm(n, generator=generator, device="cpu") for _ in range(turns)]
        return passes[0][:count] if turns == 1 else schuss.cat(passes)[:count]

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in a new random order each time."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        order = schuss.randperm(len(self.indices), generator=self.generator, device="cpu")
        return (self.indices[i] for i in order.tolist())

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Indices drawn in proportion to weights, with or without replacement.

    Without replacement it is Efraimidis and Spirakis' scheme (2006): the smallest of the
    exponential draws -log(u) / w. ValueError if fewer weights are positive than are to be drawn.

    >>> from schuss.utils.data import WeightedRandomSampler
    >>> sorted(WeightedRandomSampler([0.5, 0.0, 2.0], 2, replacement=False))
    [0, 2]
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Any = None,
    ) -> None:
        _positive(num_samples, "WeightedRandomSampler: num_samples")
        if not isinstance(replacement, bool):
            raise ValueError(
                f"WeightedRandomSampler: replacement must be a bool, got {replacement!r}"
            )
        values = np.asarray(weights, dtype=np.float64)
        if values.ndim != 1:
            raise ValueError(
                f"WeightedRandomSampler: weights must be one list, got shape {values.shape}"
            )
        if not (np.isfinite(values).all() and (values >= 0).all() and (values > 0).any()):
            raise ValueError(
                "WeightedRandomSampler: weights must be finite, not negative, and not all 0"
            )
        positive = int((values > 0).sum())
        if not replacement and num_samples > positive:
            raise ValueError(
                f"WeightedRandomSampler: {num_samples} samples of {positive} positive weights "
                "without replacement"
            )
        self.weights = schuss.as_tensor(values)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        weights = self.weights.cpu().numpy()
        count = self.num_samples if self.replacement else len(weights)
        u = schuss.rand(count, dtype=schuss.float64, generator=self.generator, device="cpu").numpy()
        if self.replacement:
            sums = np.cumsum(weights)
            last = np.flatnonzero(weights)[-1]
            drawn = np.minimum(np.searchsorted(sums, u * sums[-1], side="right"), last)
        else:
            with np.errstate(divide="ignore"):
                arrival = -np.log1p(-u) / weights
            arrival[weights == 0] = np.inf
            drawn = np.argsort(arrival, kind="stable")[: self.num_samples]
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` indices of another sampler.

    >>> from schuss.utils.data import BatchSampler
    >>> list(BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(drop_last, bool):
            raise ValueError(f"BatchSampler: drop_last must be a bool, got {drop_last!r}")
        self.sampler = sampler
        self.batch_size = _positive(batch_size, "BatchSampler: batch_size")
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        sampler: Any = self.sampler
        n = len(sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
