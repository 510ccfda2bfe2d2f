"""Grad modes: no_grad, enable_grad, set_grad_enabled and inference_mode, nested and as decorators.

Leans on schuss alone; that modes belong to a thread is in test_threads.py.
"""

from __future__ import annotations

import pytest
import schuss
from conftest import refuses

f64 = schuss.float64


def leaf(*values: float) -> schuss.Tensor:
    return schuss.tensor(values, dtype=f64, requires_grad=True)


MODES = {
    "no_grad": (schuss.no_grad, False),
    "enable_grad": (schuss.enable_grad, True),
    "set false": (lambda: schuss.set_grad_enabled(False), False),
    "set true": (lambda: schuss.set_grad_enabled(True), True),
    "inference": (schuss.inference_mode, False),
}


@pytest.mark.parametrize("name", MODES)
def test_modes(name: str) -> None:
    mode, on = MODES[name]
    x = leaf(1.0)
    with mode():
        assert schuss.is_grad_enabled() == on and (x * 2).requires_grad == on
        with schuss.enable_grad() if not on else schuss.no_grad():
            if name != "inference":
                assert (x * 2).requires_grad != on
        assert schuss.is_grad_enabled() == on
    assert schuss.is_grad_enabled() and (x * 2).requires_grad
    with pytest.raises(KeyError), mode():
        raise KeyError
    assert schuss.is_grad_enabled()


@pytest.mark.parametrize("name", MODES)
def test_modes_as_decorators(name: str) -> None:
    mode, on = MODES[name]
    x = leaf(1.0)

    def double(x: schuss.Tensor) -> schuss.Tensor:
        """Twice x."""
        return x * 2

    wrapped = mode()(double)
    with schuss.set_grad_enabled(not on):
        assert wrapped(x).requires_grad == on
        assert schuss.is_grad_enabled() != on
    assert wrapped.__name__ == "double" and wrapped.__doc__ == "Twice x."


def test_no_grad_decorates_without_parentheses_and_generators() -> None:
    x = leaf(1.0)

    @schuss.no_grad
    def f() -> bool:
        return (x * 2).requires_grad

    @schuss.no_grad()
    def g() -> object:
        yield (x * 2).requires_grad
        yield schuss.is_grad_enabled()

    assert f() is False
    for value in g():
        assert value is False and schuss.is_grad_enabled()


def test_set_grad_enabled_as_a_function() -> None:
    schuss.set_grad_enabled(False)
    try:
        assert not (leaf(1.0) * 2).requires_grad
    finally:
        schuss.set_grad_enabled(True)


def test_what_is_made_under_no_grad() -> None:
    x = leaf(1.0)
    with schuss.no_grad():
        w = schuss.ones(1, requires_grad=True)
        y = x * 2
    assert w.requires_grad and y.is_leaf and y.grad_fn is None
    y.requires_grad_()
    (y * x).backward()
    assert x.grad.tolist() == [2.0] and y.grad.tolist() == [1.0]
    with schuss.no_grad():
        z = (y * 2).sum()
    with refuses(RuntimeError):
        z.backward()


def test_what_inference_mode_makes_is_marked() -> None:
    x = schuss.ones(3, requires_grad=True)
    with schuss.inference_mode():
        made, view = schuss.zeros(3), x[0]
        product = x * 2.0
        product.add_(1.0)
        assert made.is_inference() and product.is_inference() and product[0].is_inference()
        assert not x.is_inference() and not view.is_inference()
    with pytest.raises(RuntimeError, match="clone"):
        product.add_(1.0)
    with pytest.raises(RuntimeError, match="clone"):
        _ = x * product
    with pytest.raises(RuntimeError, match="clone"):
        made.requires_grad_()
    # Where the derivative does not read it, and in a copy, it is a tensor like any other.
    (x + product).sum().backward()
    (x * product.clone()).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0, 4.0]
    assert not (product + 1.0).is_inference()
