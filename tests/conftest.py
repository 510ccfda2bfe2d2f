"""What every test file shares: reproducible draws, the check of refusals, dtypes by letter.

Leans on schuss, pytest and hypothesis; the oracle table is in reference.py.
"""

from __future__ import annotations

import contextlib
import re
import signal
import zlib
from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest
import schuss

hypothesis.settings.register_profile(
    "schuss", deadline=None, derandomize=True, max_examples=60, database=None
)
hypothesis.settings.load_profile("schuss")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell without job control starts what it puts in the background deaf to Ctrl-C, and the
    # programs that tests start would be deaf too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

DTYPES = {
    "?": schuss.bool,
    "B": schuss.uint8,
    "b": schuss.int8,
    "h": schuss.int16,
    "i": schuss.int32,
    "l": schuss.int64,
    "e": schuss.float16,
    "w": schuss.bfloat16,
    "f": schuss.float32,
    "d": schuss.float64,
}
LETTERS = "".join(DTYPES)
FLOATS = "ewfd"


def numpy_dtype(letter: str) -> np.dtype:
    """The NumPy dtype that holds the values of a dtype: bfloat16 lives in float32."""
    return np.dtype({"w": "f", "l": "int64", "i": "int32"}.get(letter, letter))


def rounded(x: np.ndarray, letter: str) -> np.ndarray:
    """The values of x after rounding to the dtype, nearest even; bfloat16 by its bits."""
    x = np.asarray(x).astype(numpy_dtype(letter))
    if letter != "w":
        return x
    bits = x.view(np.uint32)
    even = (bits + (0x7FFF + ((bits >> 16) & 1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), x, even.view(np.float32))


def tensor_of(x: np.ndarray, letter: str) -> schuss.Tensor:
    """A contiguous tensor of the dtype that owns its memory."""
    return schuss.tensor(np.asarray(x)).to(DTYPES[letter])


def draws(name: str) -> np.random.Generator:
    """A generator of random numbers that depends on a name alone."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def check_words(message: str, words: tuple) -> None:
    """Assert that a message says every word; a shape counts in any spelling of its sizes."""
    for word in words:
        if isinstance(word, tuple):
            sizes = r",\s*".join(str(size) for size in word)
            assert re.search(rf"[(\[]{sizes},?[)\]]", message), f"{word} is not in: {message}"
        else:
            assert str(word) in message, f"{word!r} is not in: {message}"


@contextlib.contextmanager
def refuses(error: type | tuple, *words: str | tuple) -> Iterator:
    """Assert that the block raises the class, and that the message names each word and shape."""
    with pytest.raises(error) as caught:
        yield caught
    assert not type(caught.value).__name__.startswith("Panic")
    check_words(str(caught.value), words)


@pytest.fixture(autouse=True)
def same_start() -> Iterator:
    """Every test begins with the same random state and must leave recording switched on."""
    schuss.manual_seed(0)
    yield
    assert schuss.is_grad_enabled()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    return draws(request.node.name)
