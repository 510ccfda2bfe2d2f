"""tf.data: data sets that are walked lazily, step upon step.
Leans on tensors and on the nests of tuples and dicts that programs put samples in."""

from __future__ import annotations

import builtins
import itertools
from typing import TYPE_CHECKING

import schuss
from schuss.tf.conversion import convert_to_tensor, strict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

AUTOTUNE = -1


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The same nest with a function of every leaf."""
    if isinstance(value, dict):
        return {name: _mapped(function, part) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_mapped(function, part) for part in value)
    return function(value)


def _first(value: Any) -> Any:
    while isinstance(value, (dict, tuple)):
        value = next(iter(value.values())) if isinstance(value, dict) else value[0]
    return value


def _stacked(values: list[Any]) -> Any:
    head = values[0]
    if isinstance(head, dict):
        return {name: _stacked([value[name] for value in values]) for name in head}
    if isinstance(head, tuple):
        return tuple(_stacked(list(column)) for column in zip(*values, strict=True))
    return strict(schuss.stack(values))


def _called(function: Callable[..., Any], value: Any) -> Any:
    made = function(*value) if isinstance(value, tuple) else function(value)
    made = tuple(made) if isinstance(made, list) else made
    return _mapped(_tensor, made)


def _tensor(value: Any) -> Any:
    return value if isinstance(value, (schuss.Tensor, str, bytes)) else convert_to_tensor(value)


class Dataset:
    """Samples in a row: tensors, or tuples and dicts of them; every method gives another one.

    >>> data = Dataset.from_tensor_slices([1, 2, 3, 4, 5]).map(lambda x: x * 2).batch(2)
    >>> [batch.tolist() for batch in data]
    [[2, 4], [6, 8], [10]]
    """

    def __init__(self, make: Callable[[], Iterator[Any]], length: int | None) -> None:
        self._make, self._length = make, length

    def __iter__(self) -> Iterator[Any]:
        return self._make()

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("Dataset: its length is not known, or has no end")
        return self._length

    def cardinality(self) -> int:
        """How many samples there are; -2 where that is not known."""
        return -2 if self._length is None else self._length

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        """The samples of tensors along their first axis; ValueError for lengths that differ."""
        tensors = tuple(tensors) if isinstance(tensors, tuple) else tensors
        whole = _mapped(convert_to_tensor, tensors)
        lengths: set[int] = set()
        _mapped(lambda x: lengths.add(x.shape[0] if x.ndim else -1), whole)
        if len(lengths) != 1 or -1 in lengths:
            raise ValueError(f"from_tensor_slices: lengths {sorted(lengths)} must be one")
        (n,) = lengths

        def make() -> Iterator[Any]:
            return (_mapped(lambda x, i=i: strict(x[i]), whole) for i in builtins.range(n))

        return Dataset(make, n)

    @staticmethod
    def from_tensors(tensors: Any) -> Dataset:
        """One sample: the tensors as they are."""
        return Dataset(lambda: iter([_mapped(convert_to_tensor, tensors)]), 1)

    @staticmethod
    def from_generator(
        generator: Callable[..., Any],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Any = (),
        output_signature: Any = None,
    ) -> Dataset:
        """What a function yields, called anew for every walk."""
        return Dataset(lambda: (_mapped(_tensor, value) for value in generator(*args)), None)

    @staticmethod
    def range(*args: int) -> Dataset:
        """Whole numbers, as Python's range gives them."""
        numbers = builtins.range(*args)
        make = lambda: (strict(schuss.tensor(i)) for i in numbers)  # noqa: E731
        return Dataset(make, len(numbers))

    @staticmethod
    def zip(*datasets: Any) -> Dataset:
        """Samples of several data sets side by side, as long as all have some."""
        parts = datasets[0] if len(datasets) == 1 else datasets
        lengths = [part._length for part in parts if part._length is not None]
        make = lambda: builtins.zip(*parts)  # noqa: E731, B905
        return Dataset(make, min(lengths) if lengths else None)

    def map(self, map_func: Callable[..., Any], *args: Any, **options: Any) -> Dataset:
        """A function of every sample; the parts of a tuple are its arguments."""
        return Dataset(lambda: (_called(map_func, value) for value in self), self._length)

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """The samples of which a function says yes."""
        return Dataset(lambda: (v for v in self if bool(_called(predicate, v))), None)

    def batch(self, batch_size: int, drop_remainder: bool = False, **options: Any) -> Dataset:
        """Samples together, along a new first axis."""
        if batch_size < 1:
            raise ValueError(f"batch: batch_size must be 1 or more, got {batch_size}")

        def make() -> Iterator[Any]:
            samples = iter(self)
            while values := list(itertools.islice(samples, batch_size)):
                if len(values) == batch_size or not drop_remainder:
                    yield _stacked(values)

        n = self._length
        whole = None if n is None else n // batch_size if drop_remainder else -(-n // batch_size)
        return Dataset(make, whole)

    def unbatch(self) -> Dataset:
        """The samples of batches."""

        def make() -> Iterator[Any]:
            for batch in self:
                for i in builtins.range(_first(batch).shape[0]):
                    yield _mapped(lambda x, i=i: strict(x[i]), batch)

        return Dataset(make, None)

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool | None = None,
        **options: Any,
    ) -> Dataset:
        """Samples in random order: each is drawn from the next `buffer_size` of them."""
        if buffer_size < 1:
            raise ValueError(f"shuffle: buffer_size must be 1 or more, got {buffer_size}")
        draws = None if seed is None else schuss._core._stream(seed)
        fixed = reshuffle_each_iteration is False
        begun = int(schuss.randint(0, 2**62, (1,), generator=draws).item()) if fixed else None

        def make() -> Iterator[Any]:
            source = draws if begun is None else schuss._core._stream(begun)
            samples = iter(self)
            held = list(itertools.islice(samples, buffer_size))
            places: list[int] = []
            while held:
                if not places:
                    # Drawn many at once; each is brought into the range of what is held.
                    drawn = schuss.randint(0, 2**62, (1024,), generator=source)
                    places = drawn.tolist()
                i = places.pop() % len(held)
                held[i], held[-1] = held[-1], held[i]
                yield held.pop()
                held += itertools.islice(samples, 1)

        return Dataset(make, self._length)

    def repeat(self, count: int | None = None) -> Dataset:
        """The samples several times, or without end."""
        if count is None or count < 0:
            return Dataset(lambda: itertools.chain.from_iterable(itertools.repeat(self)), None)
        make = lambda: itertools.chain.from_iterable(itertools.repeat(self, count))  # noqa: E731
        return Dataset(make, None if self._length is None else self._length * count)

    def take(self, count: int) -> Dataset:
        """The first samples; all of them for -1."""
        stop = None if count < 0 else count
        known = [n for n in (self._length, stop) if n is not None]
        return Dataset(lambda: itertools.islice(self, stop), min(known) if known else None)

    def skip(self, count: int) -> Dataset:
        """All but the first samples."""
        rest = None if self._length is None else max(self._length - count, 0)
        return Dataset(lambda: itertools.islice(self, count, None), rest)

    def shard(self, num_shards: int, index: int) -> Dataset:
        """Every num_shards-th sample, from index on."""
        return Dataset(lambda: itertools.islice(self, index, None, num_shards), None)

    def concatenate(self, dataset: Dataset) -> Dataset:
        """The samples of another data set after these."""
        known = self._length is not None and dataset._length is not None
        total = self._length + dataset._length if known else None  # type: ignore[operator]
        return Dataset(lambda: itertools.chain(self, dataset), total)

    def enumerate(self, start: int = 0) -> Dataset:
        """Pairs of a number and a sample."""
        return Dataset(lambda: builtins.enumerate(self, start), self._length)

    def cache(self, filename: str = "") -> Dataset:
        """The same samples, kept from the first whole walk on."""
        kept: list[Any] = []

        def make() -> Iterator[Any]:
            if kept:
                return iter(kept[0])
            return self._keeping(kept)

        return Dataset(make, self._length)

    def _keeping(self, kept: list[Any]) -> Iterator[Any]:
        found = []
        for value in self:
            found.append(value)
            yield value
        kept[:] = [found]

    def prefetch(self, buffer_size: int, **options: Any) -> Dataset:
        """The same samples: they are made when they are asked for."""
        return self

    def with_options(self, options: Any, **others: Any) -> Dataset:
        """The same samples."""
        return self

    def reduce(self, initial_state: Any, reduce_func: Callable[[Any, Any], Any]) -> Any:
        """A function of what came before and the next sample, from a first value on."""
        state = initial_state
        for value in self:
            state = reduce_func(state, value)
        return state

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The samples as arrays."""
        return (_mapped(lambda x: x.numpy(), value) for value in self)
