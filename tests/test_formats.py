"""Memory formats: where elements lie when asked, with their values and gradients left alone.

Leans on schuss and pytest; the strides are those that PyTorch 2.15 gives for the same calls.
"""

from __future__ import annotations

import pytest
import schuss
from conftest import refuses

X = schuss.arange(120.0).reshape(2, 3, 4, 5)
LAST, LAST_3D = schuss.channels_last, schuss.channels_last_3d
ROWS, KEPT = schuss.contiguous_format, schuss.preserve_format

CALLS = {
    "clone": lambda x, f: x.clone(memory_format=f),
    "function": lambda x, f: schuss.clone(x, memory_format=f),
    "contiguous": lambda x, f: x.contiguous(memory_format=f),
    "to": lambda x, f: x.to(memory_format=f),
    "to a dtype": lambda x, f: x.to(schuss.float64, memory_format=f),
    "double": lambda x, f: x.double(memory_format=f),
    "cpu": lambda x, f: x.cpu(memory_format=f),
}


@pytest.mark.parametrize("call", CALLS)
def test_channels_last(call):
    made = CALLS[call](X, LAST)
    assert made.stride() == (60, 1, 15, 3) and made.tolist() == X.tolist()
    assert made.is_contiguous(memory_format=LAST) and not made.is_contiguous()
    assert CALLS[call](made, ROWS).stride() == (60, 20, 5, 1)
    deep = X.reshape(2, 3, 2, 2, 5)
    assert CALLS[call](deep, LAST_3D).stride() == (60, 1, 30, 15, 3)


@pytest.mark.parametrize("call", CALLS)
def test_formats_that_do_not_fit(call):
    with refuses(RuntimeError, "channels_last needs 4 axes", (2, 3)):
        CALLS[call](schuss.ones(2, 3), LAST)
    with refuses(RuntimeError, "channels_last_3d needs 5 axes", (2, 3, 4, 5)):
        CALLS[call](X, LAST_3D)
    with refuses(TypeError, "memory_format must be schuss.contiguous_format", "got 3"):
        CALLS[call](X, 3)


def test_what_lies_so_already_is_itself():
    last = X.contiguous(memory_format=LAST)
    assert last.contiguous(memory_format=LAST) is last and last.to(memory_format=LAST) is last
    assert X.contiguous(memory_format=ROWS) is X and X.to(memory_format=KEPT) is X
    assert X.contiguous(memory_format=KEPT) is X
    copy = last.clone(memory_format=LAST)
    copy.zero_()
    assert last.sum() == X.sum() and copy.data_ptr() != last.data_ptr()
    with refuses(RuntimeError, "contiguous: preserve_format keeps the strides (60, 1, 15, 3)"):
        last.contiguous(memory_format=KEPT)


def test_answers():
    assert X.is_contiguous(memory_format=ROWS) and X.is_contiguous(memory_format=KEPT)
    assert not X.is_contiguous(memory_format=LAST)
    assert not schuss.ones(2, 3).is_contiguous(memory_format=LAST)
    assert isinstance(LAST, schuss.memory_format) and repr(LAST) == "schuss.channels_last"
    with refuses(TypeError, "is_contiguous: memory_format must be"):
        X.is_contiguous(memory_format=3)


def test_gradients_pass():
    w = X.clone().requires_grad_()
    (w.clone(memory_format=LAST) * X).sum().backward()
    assert schuss.equal(w.grad, X)


@pytest.mark.parametrize("name", ["zeros", "ones", "empty", "full", "rand", "randn", "randint"])
def test_makers_like_another(name):
    more = {"full": (3.0,), "randint": (9,)}.get(name, ())
    make = getattr(schuss, f"{name}_like")
    made = make(X, *more, memory_format=LAST, requires_grad=name != "randint")
    assert made.stride() == (60, 1, 15, 3)
    assert made.is_leaf and made.requires_grad == (name != "randint")
    assert make(X, *more, memory_format=KEPT).stride() == X.stride()


def test_convolutions_take_it():
    layer = schuss.nn.Conv2d(3, 2, 3)
    assert schuss.allclose(layer(X.to(memory_format=LAST)), layer(X))


@pytest.mark.parametrize("call", CALLS)
def test_formats_of_another_library(call):
    """Half-moved programs hand over another library's object; it counts by its name."""

    class memory_format:
        def __init__(self, name):
            self.name = name

        def __str__(self):
            return f"elsewhere.{self.name}"

    assert CALLS[call](X, memory_format("channels_last")).stride() == (60, 1, 15, 3)
    assert X.is_contiguous(memory_format=memory_format("preserve_format"))
    with refuses(TypeError, "memory_format must be schuss.contiguous_format"):
        CALLS[call](X, memory_format("sideways"))
    with refuses(TypeError, "memory_format must be schuss.contiguous_format", "channels_last"):
        CALLS[call](X, "channels_last")
