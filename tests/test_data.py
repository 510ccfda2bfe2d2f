"""Data sets, samplers, collation, the loader with and without workers, and batches.
Leans on schuss and NumPy; expected orders come from the samplers' own definitions."""

import gc
import itertools
import threading
import time
from collections import Counter, OrderedDict, namedtuple

import numpy as np
import pytest

import schuss
from schuss.testing import assert_close
from schuss.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    batches,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)


class Numbers(Dataset):
    """0 to n - 1, one at a time."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if not 0 <= index < self.n:
            raise IndexError(index)
        return index


class Together(Numbers):
    """The same, fetched by the batch."""

    def __getitem__(self, index):
        raise AssertionError("asked for one")

    def __getitems__(self, indices):
        return [float(i) for i in indices]


class Stream(IterableDataset):
    """0 to n - 1, shared between workers where there are some."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        start, step = (info.id, info.num_workers) if info else (0, 1)
        return iter(range(start, self.n, step))


class Asked(TensorDataset):
    """A TensorDataset that is asked sample by sample because it is a class of its own."""


def listed(loader):
    return [batch.tolist() for batch in loader]


def firsts(loader):
    return [batch[0].tolist() for batch in loader]


def pairs(n):
    return schuss.arange(n), schuss.arange(n) * 10


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("DataLoader")]


def assert_no_threads_left():
    deadline = time.monotonic() + 10
    while loader_threads():
        assert time.monotonic() < deadline, loader_threads()
        time.sleep(0.01)


# Data sets


def test_tensor_dataset():
    data = TensorDataset(*pairs(4))
    assert len(data) == 4
    assert [t.item() for t in data[3]] == [3, 30]
    assert [t.tolist() for t in data[1:3]] == [[1, 2], [10, 20]]
    with pytest.raises(IndexError):
        data[4]
    with pytest.raises(ValueError, match=r"\(4,\).*\(3,\)"):
        TensorDataset(schuss.ones(4), schuss.ones(3))
    with pytest.raises(TypeError, match="ndarray"):
        TensorDataset(np.ones(3))
    with pytest.raises(TypeError):
        TensorDataset()
    with pytest.raises(ValueError):
        TensorDataset(schuss.tensor(1.0))


def test_concat_stack_subset_chain():
    both = Numbers(3) + Numbers(2)
    assert isinstance(both, ConcatDataset) and [both[i] for i in range(5)] == [0, 1, 2, 0, 1]
    assert both[-1] == 1 and both[-5] == 0
    for index in (5, -6):
        with pytest.raises(IndexError):
            both[index]
    stacked = StackDataset(Numbers(3), Together(3))
    assert stacked.__getitems__([2, 0]) == [(2, 2.0), (0, 0.0)]
    named = StackDataset(x=Numbers(3), y=Numbers(3))
    assert named[1] == {"x": 1, "y": 1} and named.__getitems__([1]) == [{"x": 1, "y": 1}]
    assert Subset(Numbers(5), [4, 2])[1] == 2
    assert Subset(Together(5), [4, 2]).__getitems__([1, 0]) == [2.0, 4.0]
    assert list(Stream(2) + Stream(3)) == [0, 1, 0, 1, 2]
    with pytest.raises(ValueError):
        StackDataset(Numbers(2), Numbers(3))
    with pytest.raises(ValueError):
        StackDataset()
    with pytest.raises(ValueError):
        ConcatDataset([])
    with pytest.raises(TypeError):
        ConcatDataset([Stream(2)])
    with pytest.raises(TypeError):
        list(ChainDataset([Numbers(2)]))


def test_a_dataset_without_its_method_names_itself():
    class Empty(Dataset):
        pass

    class Dry(IterableDataset):
        pass

    with pytest.raises(NotImplementedError, match="Empty"):
        Empty()[0]
    with pytest.raises(NotImplementedError, match="Dry"):
        iter(Dry())
    assert issubclass(Dataset[int], Dataset) if isinstance(Dataset[int], type) else Dataset[int]


@pytest.mark.parametrize(
    ("n", "lengths", "sizes"),
    [
        (10, [7, 3], [7, 3]),
        (10, [0.7, 0.3], [7, 3]),
        (11, [0.5, 0.25, 0.25], [6, 3, 2]),
        (5, [1.0], [5]),
        (5, [5, 0], [5, 0]),
        (1, [1], [1]),
    ],
)
def test_random_split(n, lengths, sizes):
    parts = random_split(Numbers(n), lengths)
    assert [len(part) for part in parts] == sizes
    assert sorted(itertools.chain(*(list(part.indices) for part in parts))) == list(range(n))


def test_random_split_repeats_and_refuses():
    def split():
        generator = schuss.Generator()
        generator.manual_seed(3)
        return [list(p.indices) for p in random_split(Numbers(20), [15, 5], generator)]

    assert split() == split()
    schuss.manual_seed(1)
    first = random_split(Numbers(20), [0.5, 0.5])[0].indices
    schuss.manual_seed(1)
    assert list(random_split(Numbers(20), [0.5, 0.5])[0].indices) == list(first)
    for lengths in ([5, 4], [0.5, 0.6], [-1, 11], [1.5, -0.5]):
        with pytest.raises(ValueError):
            random_split(Numbers(10), lengths)
    with pytest.warns(UserWarning, match="part 1 is empty"):
        random_split(Numbers(3), [0.99, 0.01])


# Samplers


def test_sequential_and_random():
    assert list(SequentialSampler(Numbers(3))) == [0, 1, 2]
    sampler = RandomSampler(Numbers(50))
    first, second = list(sampler), list(sampler)
    assert sorted(first) == list(range(50)) and first != second and len(sampler) == 50
    assert list(RandomSampler([])) == []


def test_random_sampler_counts():
    more = list(RandomSampler(Numbers(4), num_samples=10))
    assert len(more) == 10 and Counter(more[:8]) == {i: 2 for i in range(4)}
    assert len(list(RandomSampler(Numbers(4), num_samples=3))) == 3
    drawn = list(RandomSampler(Numbers(3), replacement=True, num_samples=300))
    assert len(drawn) == 300 and set(drawn) == {0, 1, 2}
    with pytest.raises(TypeError):
        RandomSampler(Numbers(3), replacement="yes")
    with pytest.raises(ValueError):
        RandomSampler(Numbers(3), num_samples=0)


def test_orders_repeat_from_the_seed():
    def orders(generator=None):
        loader = DataLoader(Numbers(30), 7, shuffle=True, generator=generator)
        return [listed(loader), listed(loader)]

    schuss.manual_seed(5)
    first = orders()
    schuss.manual_seed(5)
    assert orders() == first and first[0] != first[1]

    def own():
        generator = schuss.Generator()
        generator.manual_seed(8)
        return generator

    assert orders(own()) == orders(own())


def test_subset_and_weighted():
    assert sorted(SubsetRandomSampler([5, 9, 2])) == [2, 5, 9]
    schuss.manual_seed(0)
    drawn = Counter(WeightedRandomSampler([1.0, 0.0, 3.0], 4000))
    assert set(drawn) == {0, 2} and 2700 < drawn[2] < 3300
    assert sorted(WeightedRandomSampler([1.0, 0.0, 3.0], 2, replacement=False)) == [0, 2]
    firsts_ = Counter(
        next(iter(WeightedRandomSampler([1.0, 3.0], 1, replacement=False))) for _ in range(2000)
    )
    assert 1350 < firsts_[1] < 1650
    for weights, count in (([-1.0, 1.0], 1), ([0.0], 1), ([1.0], 0), ([np.nan], 1), ([[1.0]], 1)):
        with pytest.raises(ValueError):
            WeightedRandomSampler(weights, count)
    with pytest.raises(ValueError):
        WeightedRandomSampler([1.0, 0.0], 2, replacement=False)


def test_batch_sampler():
    assert list(BatchSampler(range(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert len(BatchSampler(range(5), 2, drop_last=False)) == 3
    for size, drop in ((0, False), (2.0, False), (True, False), (2, 0)):
        with pytest.raises(ValueError):
            BatchSampler(range(5), size, drop)


# Collation


Point = namedtuple("Point", ["x", "y"])


def test_default_collate():
    out = default_collate([{"a": 1, "b": [0.5, "t"]}, {"a": 2, "b": [1.5, "u"]}])
    assert out["a"].tolist() == [1, 2] and out["a"].dtype == schuss.int64
    assert out["b"][0].dtype == schuss.float64 and list(out["b"][1]) == ["t", "u"]
    point = default_collate([Point(1, 2), Point(3, 4)])
    assert isinstance(point, Point) and point.y.tolist() == [2, 4]
    assert isinstance(default_collate([OrderedDict(a=1)]), OrderedDict)
    assert default_collate([True, False]).dtype == schuss.bool
    assert default_collate([np.float32(1), np.float32(2)]).dtype == schuss.float32
    assert default_collate([np.int16(1), np.int16(2)]).dtype == schuss.int16
    assert default_collate([np.ones(2), np.zeros(2)]).shape == (2, 2)
    assert default_collate([b"x", b"y"]) == [b"x", b"y"]
    assert isinstance(default_collate([(1, 2), (3, 4)]), list)


def test_default_collate_refuses():
    with pytest.raises(RuntimeError):
        default_collate([[1, 2], [3]])
    with pytest.raises(RuntimeError):
        default_collate([schuss.ones(2), schuss.ones(3)])
    with pytest.raises(TypeError, match="object"):
        default_collate([object()])
    with pytest.raises(TypeError):
        default_collate([np.array(["a"])])


def test_default_convert():
    out = default_convert([np.ones(2), "t", (1, np.float64(2.0)), Point(np.zeros(1), 3)])
    assert isinstance(out[0], schuss.Tensor) and out[1] == "t"
    assert out[2][0] == 1 and out[2][1].item() == 2.0
    assert isinstance(out[3], Point) and isinstance(out[3].x, schuss.Tensor)


# The loader


def test_updates_an_epoch():
    x, y = pairs(100)
    for size, updates in ((100, 1), (1, 100), (16, 7), (33, 4)):
        loader = DataLoader(TensorDataset(x, y), batch_size=size, shuffle=True)
        assert len(loader) == updates == len(list(loader))
        assert sorted(itertools.chain(*firsts(loader))) == list(range(100))
    assert len(list(DataLoader(TensorDataset(x), 16, drop_last=True))) == 6


DATA = {
    "tensors": lambda: TensorDataset(*pairs(23)),
    "subset": lambda: Subset(TensorDataset(*pairs(50)), list(range(40, 17, -1))),
    "subset of subset": lambda: Subset(Subset(TensorDataset(*pairs(50)), range(10, 40)), range(23)),
}


def asked(data):
    """The same data set, but one that is asked for every sample."""
    if type(data) is TensorDataset:
        return Asked(*data.tensors)
    return Subset(asked(data.dataset), data.indices)


ORDERS = {
    "in order": lambda d: {"batch_size": 5},
    "shuffled": lambda d: {"batch_size": 5, "shuffle": True},
    "dropping": lambda d: {"batch_size": 5, "shuffle": True, "drop_last": True},
    "dropping in order": lambda d: {"batch_size": 5, "drop_last": True},
    "drawn": lambda d: {"batch_size": 4, "sampler": RandomSampler(d, True, 30)},
    "subset": lambda d: {"batch_size": 4, "sampler": SubsetRandomSampler(range(10))},
    "listed": lambda d: {"batch_size": 2, "sampler": [3, 1, -1, 3]},
    "batches": lambda d: {"batch_sampler": [[0, 1], [5], [2, 2, 2]]},
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("data", DATA)
def test_gathering_gives_what_asking_gives(data, order, workers):
    plain, single = DATA[data](), asked(DATA[data]())
    found = []
    for dataset, count in ((plain, 0), (single, 0), (plain, workers), (single, workers)):
        schuss.manual_seed(2)
        loader = DataLoader(dataset, num_workers=count, **ORDERS[order](dataset))
        found.append([[t.tolist() for t in batch] for batch in (*loader, *loader)])
        assert isinstance(next(iter(loader)), list)
    assert found[0] and all(other == found[0] for other in found[1:])


def test_a_bare_tensor_is_a_dataset():
    x = schuss.arange(6).reshape(3, 2)
    assert listed(DataLoader(x, batch_size=2)) == [[[0, 1], [2, 3]], [[4, 5]]]
    assert sorted(itertools.chain(*listed(DataLoader(x, 2, shuffle=True)))) == x.tolist()


def test_batches_of_the_loader_are_copies():
    x = schuss.zeros(4)
    for shuffle in (False, True):
        for (batch,) in DataLoader(TensorDataset(x), 2, shuffle=shuffle):
            batch.add_(1.0)
    assert x.tolist() == [0.0] * 4


def test_a_dataset_in_its_own_class_is_asked():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            return tuple(2 * t for t in super().__getitem__(index))

    assert firsts(DataLoader(Doubled(schuss.arange(4)), 2)) == [[0, 2], [4, 6]]


@pytest.mark.parametrize("workers", [0, 3])
def test_map_datasets(workers):
    assert listed(DataLoader(Numbers(7), 3, num_workers=workers)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert listed(DataLoader(Together(4), 3, num_workers=workers)) == [[0.0, 1.0, 2.0], [3.0]]
    assert listed(DataLoader(["a", "b"], 2, num_workers=workers, collate_fn=np.array)) == [
        ["a", "b"]
    ]
    assert list(DataLoader(Numbers(3), None, num_workers=workers)) == [0, 1, 2]
    assert list(DataLoader(Numbers(0), 2, num_workers=workers)) == []
    lone = DataLoader(list(np.arange(3.0)), batch_size=None, num_workers=workers)
    assert [t.item() for t in lone] == [0.0, 1.0, 2.0]


def test_getitems_of_the_wrong_length_raises():
    class Short(Together):
        def __getitems__(self, indices):
            return [0]

    with pytest.raises(ValueError, match="Short"):
        list(DataLoader(Short(4), 2))


def test_custom_sampler_of_other_keys():
    class Words(Sampler):
        def __iter__(self):
            return iter(["a", "b"])

    data = {"a": 1, "b": 2}
    assert listed(DataLoader(data, 2, sampler=Words())) == [[1, 2]]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_streams(workers):
    loader = DataLoader(Stream(10), 3, num_workers=workers)
    assert sorted(itertools.chain(*listed(loader))) == list(range(10))
    dropped = listed(DataLoader(Stream(10), 3, num_workers=workers, drop_last=True))
    assert all(len(batch) == 3 for batch in dropped)
    single = DataLoader(Stream(4), None, num_workers=workers)
    assert sorted(single) == [0, 1, 2, 3]
    if workers == 3:
        assert listed(loader) == [[0, 3, 6], [1, 4, 7], [2, 5, 8], [9]]


def test_a_stream_with_a_length():
    class Told(Stream):
        def __len__(self):
            return self.n

    assert len(DataLoader(Told(10), 3)) == 4 and len(DataLoader(Told(10), None)) == 10
    assert len(DataLoader(Told(10), 3, drop_last=True)) == 3

    class Liar(Stream):
        def __len__(self):
            return 2

    with pytest.warns(UserWarning, match="more than the 1 batches"):
        list(DataLoader(Liar(10), 3))
    with pytest.raises(TypeError):
        len(DataLoader(Stream(3), 2))


def test_bad_settings_raise():
    data, stream = Numbers(4), Stream(4)
    for options in (
        {"num_workers": -1},
        {"num_workers": 1.0},
        {"timeout": -1},
        {"prefetch_factor": 2},
        {"prefetch_factor": 0, "num_workers": 1},
        {"persistent_workers": True},
        {"shuffle": True, "sampler": [0]},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_sampler": [[0]], "shuffle": True},
        {"batch_sampler": [[0]], "drop_last": True},
        {"batch_size": None, "drop_last": True},
        {"batch_size": 0},
    ):
        with pytest.raises(ValueError):
            DataLoader(data, **options)
    for options in ({"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}):
        with pytest.raises(ValueError):
            DataLoader(stream, **options)
    loader = DataLoader(data, 2)
    with pytest.raises(ValueError, match="batch_size"):
        loader.batch_size = 3
    loader.collate_fn = list
    assert list(loader) == [[0, 1], [2, 3]]


def test_accepted_keywords():
    loader = DataLoader(Numbers(2), pin_memory=True, multiprocessing_context="spawn", shuffle=False)
    assert listed(loader) == [[0], [1]] and loader.batch_size == 1 and loader.dataset.n == 2


# Workers


def test_workers_know_themselves_and_own_a_copy():
    class Marked(Numbers):
        mark = None

        def __getitem__(self, index):
            info = get_worker_info()
            assert info.dataset is self and info.num_workers == 2
            return [info.id, self.mark, info.seed]

    def start(worker):
        get_worker_info().dataset.mark = worker * 100

    data = Marked(4)
    schuss.manual_seed(0)
    loader = DataLoader(data, None, num_workers=2, worker_init_fn=start, collate_fn=list)
    rows = list(loader)
    assert [row[:2] for row in rows] == [[0, 0], [1, 100], [0, 0], [1, 100]]
    assert rows[1][2] == rows[0][2] + 1
    assert data.mark is None and get_worker_info() is None
    schuss.manual_seed(0)
    assert list(loader) == rows


def test_workers_run_at_once():
    meeting = threading.Barrier(2, timeout=10)

    class Meet(Numbers):
        def __getitem__(self, index):
            meeting.wait()
            return index

    assert listed(DataLoader(Meet(4), 1, num_workers=2)) == [[0], [1], [2], [3]]


def test_results_in_order_or_as_they_come():
    later = threading.Event()

    class Late(Numbers):
        def __getitem__(self, index):
            if index == 0:
                later.wait(10)
            if index == 3:
                later.set()
            return index

    assert list(DataLoader(Late(4), None, num_workers=2)) == [0, 1, 2, 3]
    later.clear()
    found = list(DataLoader(Late(4), None, num_workers=2, in_order=False))
    assert sorted(found) == [0, 1, 2, 3] and found[0] == 1


def test_prefetch_goes_no_further_than_it_should():
    fetched = []

    class Counted(Numbers):
        def __getitem__(self, index):
            fetched.append(index)
            return index

    it = iter(DataLoader(Counted(100), 1, num_workers=2, prefetch_factor=3))
    next(it)
    time.sleep(0.2)
    assert len(fetched) <= 7
    it.close()
    assert_no_threads_left()


def test_errors_in_workers_arrive_with_their_traceback():
    class Bad(Numbers):
        def __getitem__(self, index):
            if index == 5:
                raise LookupError("sample five")
            return index

    for options in ({"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}):
        loader = DataLoader(Bad(8), 2, **options)
        with pytest.raises(LookupError, match="sample five") as caught:
            list(loader)
        assert any("sample five" in str(line) for line in caught.traceback[-1].statement.lines)
        assert "worker 0" in caught.value.__notes__[0]
        del loader, caught
    gc.collect()
    assert_no_threads_left()


def test_errors_of_a_stream_and_of_worker_init_fn():
    class Broken(Stream):
        def __iter__(self):
            yield 0
            raise ArithmeticError("dry")

    with pytest.raises(ArithmeticError, match="dry"):
        list(DataLoader(Broken(3), 1, num_workers=1))

    def start(worker):
        raise OSError("no file")

    with pytest.raises(OSError, match="no file"):
        list(DataLoader(Numbers(3), num_workers=2, worker_init_fn=start))
    assert_no_threads_left()


def test_timeout():
    release = threading.Event()

    class Slow(Numbers):
        def __getitem__(self, index):
            release.wait(10)
            return index

    with pytest.raises(RuntimeError, match="0.05 seconds"):
        list(DataLoader(Slow(2), num_workers=1, timeout=0.05))
    release.set()
    assert_no_threads_left()


def test_leaving_early_leaves_no_thread():
    for _ in DataLoader(Numbers(1000), 2, num_workers=3):
        break
    assert_no_threads_left()
    held = iter(DataLoader(Numbers(1000), 2, num_workers=3))
    next(held)
    assert len(loader_threads()) == 3
    del held
    assert_no_threads_left()
    list(DataLoader(Numbers(10), 2, num_workers=3))
    assert_no_threads_left()
    iter(DataLoader(Numbers(10), 2, num_workers=3))
    assert_no_threads_left()


def test_an_interrupt_leaves_no_thread():
    def interrupted(samples):
        if samples[0] == 4:
            raise KeyboardInterrupt
        return samples

    with pytest.raises(KeyboardInterrupt):
        list(DataLoader(Numbers(100), 2, num_workers=2, collate_fn=interrupted))
    with pytest.raises(KeyboardInterrupt):
        for _ in DataLoader(Numbers(100), 2, num_workers=2):
            raise KeyboardInterrupt
    assert_no_threads_left()


def test_persistent_workers_stay_and_go_with_the_loader():
    loader = DataLoader(Numbers(9), 2, num_workers=2, persistent_workers=True)
    expected = [[0, 1], [2, 3], [4, 5], [6, 7], [8]]
    assert listed(loader) == expected
    kept = set(loader_threads())
    assert len(kept) == 2
    for _ in loader:
        break
    assert listed(loader) == expected and set(loader_threads()) == kept
    first, second = iter(loader), iter(loader)
    assert [a.tolist() for a, _ in zip(first, second, strict=True)] == expected
    del loader, first, second, _
    gc.collect()
    assert_no_threads_left()


def test_persistent_streams_start_again():
    loader = DataLoader(Stream(5), 2, num_workers=2, persistent_workers=True)
    assert listed(loader) == listed(loader) == [[0, 2], [1, 3], [4]]
    del loader
    gc.collect()
    assert_no_threads_left()


# batches


def test_batches():
    x, y = np.arange(10.0), schuss.arange(10)
    found = batches(x, y, 4)
    assert len(found) == 3
    assert [(a.tolist(), b.tolist()) for a, b in found] == [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([4, 5, 6, 7], [4, 5, 6, 7]),
        ([8, 9], [8, 9]),
    ]
    assert [a.tolist() for a in batches(y, 5)] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert len(list(batches(x, batch_size=4, drop_last=True))) == 2


def test_shuffled_batches_keep_rows_together_and_repeat():
    x = schuss.arange(100)
    loader = batches(x, x * 2, 7, shuffle=True)
    schuss.manual_seed(0)
    first = [a.tolist() for a, b in loader if bool((b == 2 * a).all())]
    schuss.manual_seed(0)
    assert [a.tolist() for a, _ in loader] == first and len(first) == 15
    assert [a.tolist() for a, _ in loader] != first
    assert sorted(itertools.chain(*first)) == list(range(100))


def test_batches_refuse():
    x = schuss.ones(4)
    with pytest.raises(TypeError):
        batches(x, x)
    with pytest.raises(ValueError):
        batches(x, schuss.ones(3), 2)
    with pytest.raises(ValueError):
        batches(x, 0)
    with pytest.raises(TypeError):
        batches(2)


def test_gradients_pass_through_batches():
    x = schuss.ones(4, requires_grad=True)
    for batch in batches(x, 3):
        (batch * 2).sum().backward()
    assert_close(x.grad, schuss.full((4,), 2.0))
