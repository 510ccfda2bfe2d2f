"""DataLoader: batches of any data set, shuffled, collated, and fetched ahead by threads.
Leans on samplers, collation and workers, and on memory where the data are plain tensors."""

from __future__ import annotations

import itertools
import weakref
from types import GenericAlias
from typing import TYPE_CHECKING

from schuss.naming import Checked, warn
from schuss.utils.data.collation import default_collate, default_convert
from schuss.utils.data.dataset import Dataset, IterableDataset, fetch
from schuss.utils.data.memory import from_sampler
from schuss.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    drawn_seed,
)
from schuss.utils.data.workers import Crew, Ended, WorkerInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class DataLoader(Checked):
    """Batches of a data set: iterate it once an epoch.

    The keywords are PyTorch's. Workers are threads: they share memory, so `pin_memory` and
    `multiprocessing_context` are accepted and change nothing, and a script needs no main guard.
    Each worker sees a shallow copy of the data set. A TensorDataset, a tensor, or a Subset of one
    is gathered batch by batch without asking for single samples.

    >>> import schuss
    >>> from schuss.utils.data import DataLoader, TensorDataset
    >>> loader = DataLoader(TensorDataset(schuss.arange(5)), batch_size=2)
    >>> len(loader), [x.tolist() for (x,) in loader]
    (3, [[0, 1], [2, 3], [4]])
    """

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        self._check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self._stream = isinstance(dataset, IterableDataset)
        given = sampler is not None or batch_sampler is not None
        if not (self._stream or given or hasattr(type(dataset), "__len__")):
            kind = type(dataset).__name__
            raise TypeError(
                f"DataLoader: dataset must have __len__ and __getitem__, got {kind}; subclass "
                "Dataset, or IterableDataset for a stream"
            )
        if self._stream:
            if shuffle:
                raise ValueError("DataLoader: a stream cannot be shuffled; shuffle what it yields")
            if sampler is not None or batch_sampler is not None:
                raise ValueError("DataLoader: a stream takes no sampler or batch_sampler")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: give a sampler or shuffle=True, not both")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "DataLoader: batch_sampler excludes batch_size, shuffle, sampler, drop_last"
                )
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError("DataLoader: batch_size=None makes no batches, so drop_last is not")
        if sampler is None and not self._stream:
            if shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        self._batched = batch_size is not None or batch_sampler is not None
        if batch_size is not None and batch_sampler is None:
            order: Any = itertools.repeat(None) if self._stream else sampler
            batch_sampler = BatchSampler(order, batch_size, drop_last)
        if collate_fn is None:
            collate_fn = default_collate if self._batched else default_convert
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler: Any = sampler
        self.batch_sampler: Any = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        usual = 2 if num_workers else None
        self.prefetch_factor: Any = usual if prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._crew: Crew | None = None
        self._made = True

    @staticmethod
    def _check_workers(count: Any, timeout: float, ahead: int | None, persistent: bool) -> None:
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ValueError(f"DataLoader: num_workers must be 0 or more, got {count!r}")
        if timeout < 0:
            raise ValueError(f"DataLoader: timeout must be 0 or more seconds, got {timeout}")
        if count == 0 and ahead is not None:
            raise ValueError("DataLoader: prefetch_factor needs num_workers > 0")
        if ahead is not None and ahead < 1:
            raise ValueError(f"DataLoader: prefetch_factor must be 1 or more, got {ahead}")
        if count == 0 and persistent:
            raise ValueError("DataLoader: persistent_workers needs num_workers > 0")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and "_made" in self.__dict__:
            raise ValueError(f"DataLoader: {name} is fixed once the loader is made; make another")
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_crew": None}

    def __len__(self) -> int:
        if not self._stream:
            return len(self.batch_sampler if self._batched else self.sampler)
        n = len(self.dataset)
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        # Drawn whatever the number of workers, so that it does not change what follows.
        seed = drawn_seed(self.generator)
        plain = not self.num_workers or self.worker_init_fn is None
        if plain and self._batched and not self._stream and self.collate_fn is default_collate:
            found = from_sampler(self.dataset, self.batch_sampler, default_collate)
            if found is not None:
                return found
        source = self._source()
        if self.num_workers:
            made = self._threaded(source, seed)
        elif self._stream:
            made = source.stream(self.dataset)
        else:
            made = map(source.fetcher(self.dataset), self._jobs())
        return self._watched(made) if self._stream else made

    def _source(self) -> Source:
        stream_size = self.batch_size if self._stream else None
        return Source(self._stream, self._batched, stream_size, self.drop_last, self.collate_fn)

    def _jobs(self) -> Iterable[Any]:
        """What one fetch is asked for: a list of indices, an index, or for a stream nothing."""
        if self._stream:
            return itertools.repeat(None)
        return self.batch_sampler if self._batched else self.sampler

    def _watched(self, stream: Iterator[Any]) -> Iterator[Any]:
        """Warn once when a stream gives more batches than its `__len__` said."""
        expected = len(self) if hasattr(self.dataset, "__len__") else None
        for i, batch in enumerate(stream):
            if i == expected:
                warn(
                    f"DataLoader: the stream gave more than the {expected} batches of its length; "
                    "with several workers, share it by get_worker_info()",
                )
            yield batch

    def _threaded(self, source: Source, seed: int) -> Iterator[Any]:
        crew = self._crew
        if crew is None:
            copies = isinstance(self.dataset, Dataset)
            start = self.worker_init_fn
            crew = Crew(self.num_workers, self.dataset, seed, start, source.follow, copies)
            if self.persistent_workers:
                self._crew = crew
                weakref.finalize(self, crew.stop)
        try:
            yield from crew.run(self._jobs(), self.prefetch_factor, self.timeout, self.in_order)
        finally:
            if crew is not self._crew:
                crew.stop()


class Source:
    """How one batch is made; it holds no loader, so that threads do not keep one alive."""

    def __init__(
        self,
        is_stream: bool,
        batched: bool,
        size: int | None,
        drop_last: bool,
        collate: Callable[[Any], Any],
    ) -> None:
        self.is_stream = is_stream
        self.batched = batched
        self.size = size
        self.drop_last = drop_last
        self.collate = collate

    def fetcher(self, dataset: Any) -> Callable[[Any], Any]:
        """The function from indices, or one index, to a batch."""
        collate = self.collate
        if self.batched:
            return lambda indices: collate(fetch(dataset, indices))
        return lambda index: collate(dataset[index])

    def stream(self, dataset: Any) -> Iterator[Any]:
        """The batches of a stream."""
        samples = iter(dataset)
        if self.size is None:
            yield from map(self.collate, samples)
            return
        while batch := list(itertools.islice(samples, self.size)):
            if len(batch) == self.size or not self.drop_last:
                yield self.collate(batch)

    def follow(self, info: WorkerInfo) -> Callable[[Any], Any]:
        """What a worker calls at the start of a pass to get its way of fetching."""
        if not self.is_stream:
            return self.fetcher(info.dataset)
        batches, ended = self.stream(info.dataset), Ended(info.id)
        return lambda _: next(batches, ended)
