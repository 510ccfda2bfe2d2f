"""DataLoader: gathered and asked batches, streams, settings, and its worker threads.
Leans on schuss and NumPy; what the fast ways give is compared with asking sample by sample."""

import gc
import itertools
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import schuss
from schuss.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    get_worker_info,
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

    with pytest.raises(RuntimeError, match=r"0\.05 seconds"):
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


@pytest.mark.skipif(sys.platform == "win32", reason="signals to a child are of another kind there")
@pytest.mark.parametrize("persistent", [False, True])
def test_ctrl_c_ends_a_program_whose_workers_are_busy(persistent):
    program = f"""if True:
        import signal, time
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from schuss.utils.data import DataLoader
        class Slow(list):
            def __getitem__(self, index):
                time.sleep(60 if index else 0)
                return index
        for batch in DataLoader(Slow(range(9)), num_workers=2, persistent_workers={persistent}):
            print("started", flush=True)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "started\n"
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
        assert "KeyboardInterrupt" in errors
    finally:
        child.kill()
        child.communicate()


def test_shares_of_several_processes():
    from schuss.utils.data import DistributedSampler

    # list(torch.utils.data.DistributedSampler(range(n), r, k, shuffle=False, drop_last=drop))
    for (n, r, drop), expected in {
        (5, 2, False): [[0, 2, 4], [1, 3, 0]],
        (5, 2, True): [[0, 2], [1, 3]],
        (1, 3, False): [[0], [0], [0]],
        (8, 4, False): [[0, 4], [1, 5], [2, 6], [3, 7]],
    }.items():
        shares = [
            DistributedSampler(range(n), r, k, shuffle=False, drop_last=drop) for k in range(r)
        ]
        assert [list(share) for share in shares] == expected
        assert [len(share) for share in shares] == [len(part) for part in expected]
    both = [DistributedSampler(range(10), 2, k, seed=3) for k in range(2)]
    first = [list(share) for share in both]
    assert sorted(first[0] + first[1]) == list(range(10)) and first == [list(s) for s in both]
    for share in both:
        share.set_epoch(1)
    assert [list(share) for share in both] != first
    with pytest.raises(ValueError, match="rank 2 is not within 0 and 1"):
        DistributedSampler(range(3), 2, 2)


class Noisy(Dataset):
    """Samples that are drawn when they are asked for, some more slowly than others."""

    def __len__(self):
        return 24

    def __getitem__(self, index):
        drawn = schuss.rand(1).item()
        time.sleep(0.002 * (index % 3 == 0))
        return drawn + schuss.randint(0, 10, (1,)).item()


@pytest.mark.parametrize("persistent", [False, True])
def test_what_workers_draw_repeats_with_the_seed(persistent):
    def epochs():
        schuss.manual_seed(8)
        loader = DataLoader(Noisy(), batch_size=2, num_workers=3, persistent_workers=persistent)
        found = [schuss.cat(list(loader)).tolist() for _ in range(2)]
        return found, schuss.rand(1).item()

    first, second = epochs(), epochs()
    assert first == second
    (one, two), _ = first
    assert one != two and len(set(one)) == 24


def test_gathered_rows_of_any_tensor():
    base = schuss.arange(24).reshape(4, 6)
    turned, cut = base.T, base.repeat(2, 1)[1:7]
    wide = schuss.arange(6, dtype=schuss.float64).expand(3, 6).T
    thin = schuss.zeros(6, 0)
    order = [5, 0, 3, 3, 1, 2]
    data = TensorDataset(turned, cut, wide, thin, schuss.arange(6) > 2)
    for shown in (data, Subset(data, order)):
        rows = order if shown is not data else list(range(6))
        for batch, picked in zip(DataLoader(shown, 4), (rows[:4], rows[4:]), strict=True):
            for got, whole in zip(batch, data.tensors, strict=True):
                assert got.dtype == whole.dtype and got.tolist() == whole[picked].tolist()
    with pytest.raises(IndexError, match=r"index 6 is out of range for an axis of size 6"):
        list(DataLoader(Subset(data, [0, 6]), 2))


def test_batches_of_what_is_watched_are_recorded():
    x = schuss.arange(6.0).reshape(6, 1).requires_grad_()
    for loader in (DataLoader(TensorDataset(x), 4), DataLoader(x, 4, shuffle=True)):
        x.grad = None
        sum((b[0] if isinstance(b, list) else b).square().sum() for b in loader).backward()
        assert x.grad.tolist() == (2 * x).tolist()
    with schuss.GradientTape() as tape:
        data = schuss.ones(3, 2)
        tape.watch(data)
        (batch,) = DataLoader(data, 3)
        total = batch.sum()
    assert tape.gradient(total, data).tolist() == [[1, 1]] * 3
    with schuss.inference_mode():
        (batch,) = DataLoader(schuss.ones(3), 3)
    assert batch.is_inference()


def test_what_is_written_meanwhile_is_seen():
    # Wide rows are gathered several batches at once.
    x, y = schuss.zeros(1000, 512), schuss.zeros(1000)
    for turn, (batch, other) in enumerate(DataLoader(TensorDataset(x, y), 64, shuffle=True)):
        assert batch.unique().tolist() == [turn] and other.unique().tolist() == [-turn]
        x.add_(1)
        y.sub_(1)
    array = np.zeros((1000, 512), dtype=np.float32)
    for turn, batch in enumerate(DataLoader(schuss.from_numpy(array), 64, shuffle=True)):
        assert batch.unique().tolist() == [turn]
        array += 1


def test_a_row_that_is_not_there_is_told_of_with_its_batch():
    found = iter(DataLoader(Subset(schuss.ones(10, 4096), [1] * 30 + [10]), 4))
    for _ in range(7):
        assert next(found).shape == (4, 4096)
    with pytest.raises(IndexError, match="index 10 is out of range for an axis of size 10"):
        next(found)


@pytest.mark.parametrize("width", [1, 512])
def test_a_pass_is_shared_by_threads(width):
    data = schuss.arange(10_000).unsqueeze(1).expand(10_000, width).clone()
    made = iter(DataLoader(TensorDataset(data), 7))
    if width > 1:
        made = iter(DataLoader(Subset(TensorDataset(data), range(10_000)), 7))
    taken, lock = [], threading.Lock()

    def take():
        for (batch,) in made:
            with lock:
                taken.extend(batch[:, -1].tolist())

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(10_000))
