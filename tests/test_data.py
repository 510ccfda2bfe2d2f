"""Data sets, samplers, collation, and batches at memory speed.
Leans on schuss and NumPy; expected orders come from the samplers' own definitions."""

import itertools
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


def listed(loader):
    return [batch.tolist() for batch in loader]


def pairs(n):
    return schuss.arange(n), schuss.arange(n) * 10


# Data sets


def test_the_modules_have_the_names_that_programs_import():
    from schuss.utils.data.dataloader import DataLoader as Loader
    from schuss.utils.data.dataset import random_split as split
    from schuss.utils.data.sampler import Sampler

    assert Loader is DataLoader
    assert split is random_split
    assert issubclass(RandomSampler, Sampler)


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
    with pytest.raises(ValueError, match="empty"):
        RandomSampler([])


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
