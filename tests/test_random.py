"""Random numbers: Philox's known answers, repeatable streams, ranges, moments and generators.

Leans on schuss and NumPy; the known answers come from the paper of the counter-based generators.
"""

from __future__ import annotations

import copy
import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import schuss
from conftest import refuses

DRAWS = {
    "rand": lambda **k: schuss.rand(1000, **k),
    "rand float64": lambda **k: schuss.rand(1000, dtype=schuss.float64, **k),
    "randn": lambda **k: schuss.randn(1000, **k),
    "randint": lambda **k: schuss.randint(-5, 6, (1000,), **k),
    "randperm": lambda **k: schuss.randperm(1000, **k),
    "normal": lambda **k: schuss.normal(2.0, 3.0, (1000,), **k),
    "uniform_": lambda **k: schuss.empty(1000).uniform_(-1, 2, **k),
    "normal_": lambda **k: schuss.empty(1000).normal_(1.0, 2.0, **k),
    "random_": lambda **k: schuss.empty(1000).random_(0, 9, **k),
    "bernoulli": lambda **k: schuss.bernoulli(schuss.full((1000,), 0.3), **k),
    "bernoulli_": lambda **k: schuss.empty(1000).bernoulli_(0.3, **k),
    "multinomial": lambda **k: schuss.multinomial(schuss.ones(4), 1000, replacement=True, **k),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_same_start_gives_the_same_bits(name: str) -> None:
    draw = DRAWS[name]
    schuss.manual_seed(42)
    a, b = draw(), draw()
    schuss.manual_seed(42)
    assert draw().tolist() == a.tolist() and draw().tolist() == b.tolist()
    assert a.tolist() != b.tolist()
    schuss.manual_seed(43)
    assert draw().tolist() != a.tolist()


@pytest.mark.parametrize("name", DRAWS)
def test_a_generator_is_a_stream_of_its_own(name: str) -> None:
    draw = DRAWS[name]
    g = schuss.Generator().manual_seed(7)
    a = draw(generator=g)
    state = g.get_state()
    b = draw(generator=g)
    schuss.manual_seed(1)
    before = schuss.rand(3).tolist()
    schuss.manual_seed(1)
    draw(generator=g)
    assert schuss.rand(3).tolist() == before
    g.set_state(state)
    assert draw(generator=g).tolist() == b.tolist()
    g.manual_seed(7)
    assert draw(generator=g).tolist() == a.tolist()
    schuss.manual_seed(7)
    assert draw().tolist() == a.tolist()


def test_states_of_the_global_generator() -> None:
    schuss.manual_seed(3)
    schuss.rand(5)
    state = schuss.get_rng_state()
    a = schuss.randn(5)
    schuss.set_rng_state(state)
    assert schuss.randn(5).tolist() == a.tolist()
    assert schuss.initial_seed() == 3
    assert isinstance(schuss.seed(), int)
    g = schuss.Generator()
    assert g.manual_seed(5) is g and g.initial_seed() == 5
    assert isinstance(schuss.manual_seed(0), schuss.Generator)


def test_states_are_saved() -> None:
    g = schuss.Generator().manual_seed(9)
    schuss.rand(3, generator=g)
    state = pickle.loads(pickle.dumps(g.get_state()))
    a = schuss.rand(3, generator=g)
    h = schuss.Generator()
    h.set_state(copy.deepcopy(state))
    assert schuss.rand(3, generator=h).tolist() == a.tolist()


@pytest.mark.parametrize("start", [0, 1, -1, 2**31, 2**63 - 1, 2**64 - 1, -(2**63)])
def test_every_start_is_taken(start: int) -> None:
    schuss.manual_seed(start)
    a = schuss.rand(3).tolist()
    schuss.manual_seed(start)
    assert schuss.rand(3).tolist() == a


def test_starts_that_are_refused() -> None:
    for start in (2**64, -(2**63) - 1):
        with pytest.raises((RuntimeError, ValueError, OverflowError)):
            schuss.manual_seed(start)
    for start in ("a", None):
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            schuss.manual_seed(start)


def test_ranges_and_moments() -> None:
    n = 200_000
    u = schuss.rand(n, dtype=schuss.float64).numpy()
    assert u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 0.004 and abs(u.var() - 1 / 12) < 0.002
    assert schuss.rand(2**20).max().item() < 1.0 and schuss.rand(2**20).min().item() >= 0.0
    for dtype in (schuss.float16, schuss.bfloat16):
        h = schuss.rand(2**14, dtype=dtype)
        assert h.max().item() < 1.0 and h.min().item() >= 0.0
    z = schuss.randn(n).numpy()
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01 and np.isfinite(z).all()
    assert abs((z**3).mean()) < 0.03 and abs((z**4).mean() - 3) < 0.1
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 0.01
    assert abs(np.corrcoef(z[: n // 2], z[n // 2 :])[0, 1]) < 0.02
    k = schuss.randint(-2, 3, (n,)).numpy()
    counts = np.bincount(k + 2)
    assert len(counts) == 5 and counts.max() - counts.min() < 0.05 * n / 5
    b = schuss.bernoulli(schuss.full((n,), 0.3))
    assert abs(b.mean().item() - 0.3) < 0.005


def test_uniform_numbers_are_uniform() -> None:
    counts = np.histogram(schuss.rand(100_000).numpy(), bins=100, range=(0, 1))[0]
    chi = ((counts - 1000.0) ** 2 / 1000.0).sum()
    assert 50 < chi < 170


def test_normal_numbers_are_normal() -> None:
    z = np.sort(schuss.randn(100_000, dtype=schuss.float64).numpy())
    cdf = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in z])
    assert np.abs(cdf - np.linspace(0, 1, z.size)).max() < 0.006


def test_permutations() -> None:
    for n in (0, 1, 2, 17, 1000):
        p = schuss.randperm(n)
        assert p.dtype == schuss.int64 and sorted(p.tolist()) == list(range(n))
    firsts = np.bincount([schuss.randperm(4)[0].item() for _ in range(2000)], minlength=4)
    assert firsts.min() > 400
    for _ in range(50):
        assert sorted(schuss.randperm(5, dtype=schuss.int32).tolist()) == [0, 1, 2, 3, 4]


def test_forms_of_normal_and_randint() -> None:
    mean, std = schuss.tensor([0.0, 100.0]), schuss.tensor([0.001, 0.001])
    a = schuss.normal(mean, std)
    assert abs(a[0].item()) < 0.1 and abs(a[1].item() - 100) < 0.1
    assert schuss.normal(mean, 0.001).shape == (2,)
    assert schuss.normal(mean=0.0, std=std).shape == (2,)
    assert schuss.randint(3, (2, 2)).dtype == schuss.int64
    assert schuss.randint(3, (4,), dtype=schuss.float32).dtype == schuss.float32
    assert schuss.randint(2**40, 2**41, (5,)).min().item() >= 2**40
    assert schuss.rand(0).shape == (0,) and schuss.randn(2, 0).shape == (2, 0)
    x = schuss.rand(3, requires_grad=True)
    assert x.requires_grad and x.is_leaf


def test_a_view_is_filled_like_a_tensor_of_its_own() -> None:
    schuss.manual_seed(2)
    want = schuss.empty(30).uniform_(0, 1)
    schuss.manual_seed(2)
    x = schuss.zeros(30, 2)
    x[:, 1].uniform_(0, 1)
    assert x[:, 1].tolist() == want.tolist() and not x[:, 0].any()


def test_wrong_parameters_are_refused() -> None:
    with refuses(RuntimeError, "randint"):
        schuss.randint(5, 5, (2,))
    with refuses(RuntimeError, "randperm"):
        schuss.randperm(-1)
    with refuses(RuntimeError, "normal"):
        schuss.normal(0.0, -1.0, (2,))
    with refuses(RuntimeError, "uniform_"):
        schuss.zeros(2).uniform_(2, 1)
    with refuses(RuntimeError, "bernoulli"):
        schuss.bernoulli(schuss.tensor([1.5]))
    with pytest.raises(RuntimeError):
        schuss.rand(2, dtype=schuss.int64)
    with pytest.raises(RuntimeError):
        schuss.zeros(2, dtype=schuss.int64).uniform_()
    with pytest.raises(TypeError):
        schuss.rand(2, generator=3)


# Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011), the
# vectors that come with its library for philox4x32 with ten rounds: counter, key, answer.
PHILOX = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


@pytest.mark.parametrize("counter, key, answer", PHILOX)
def test_known_answers_of_philox(counter: str, key: str, answer: str) -> None:
    words = [[int(w, 16) for w in text.split()] for text in (counter, key, answer)]
    assert list(schuss._core.philox(tuple(words[0]), tuple(words[1]))) == words[2]


PROGRAM = """
import hashlib, schuss
schuss.manual_seed(11)
h = hashlib.sha256()
for x in (schuss.rand(300_001), schuss.randn(300_001), schuss.randint(9, (300_001,)),
          schuss.randperm(100_001), schuss.rand(1000, 301).sum(0), schuss.randn(2_000_000).sum(),
          schuss.rand(300, 300) @ schuss.rand(300, 300)):
    h.update(x.numpy().tobytes())
print(h.hexdigest())
"""


def test_the_bits_do_not_depend_on_the_threads() -> None:
    digests = set()
    for threads in ("1", "2", "3", "8"):
        env = {**os.environ, "SCHUSS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_the_bits_do_not_depend_on_the_threads_in_one_process() -> None:
    results = []
    before = schuss.get_num_threads()
    try:
        for threads in (1, 2, 4):
            schuss.set_num_threads(threads)
            schuss.manual_seed(4)
            x = schuss.rand(500_001)
            results.append((x.tolist()[::997], x.sum().item(), schuss.randn(99_999).sum().item()))
    finally:
        schuss.set_num_threads(before)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(("n", "told"), [(100, 241024), (60_000, 901553662631)])
def test_a_seed_names_one_permutation(n, told):
    """Sums of the keys sorted as a whole: how they are sorted shows nowhere."""
    schuss.manual_seed(5)
    order = schuss.randperm(n)
    assert (order * (schuss.arange(n) % 1009)).sum().item() == told
