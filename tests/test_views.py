"""Views: what shares memory with what, shapes and strides, and gradients through chains of views.

Leans on schuss and NumPy; reading and writing by index is in test_indexing.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss.testing import assert_close, gradcheck, gradgradcheck

f64 = schuss.float64


def base() -> schuss.Tensor:
    return schuss.arange(24.0, dtype=schuss.float64).reshape(2, 3, 4).clone()


# Each view of a (2, 3, 4) tensor, and the same in NumPy.
VIEWS: dict[str, tuple[Callable, Callable]] = {
    "view": (lambda x: x.view(6, 4), lambda a: a.reshape(6, 4)),
    "view minus one": (lambda x: x.view(2, -1), lambda a: a.reshape(2, -1)),
    "reshape": (lambda x: x.reshape(4, 6), lambda a: a.reshape(4, 6)),
    "view_as": (lambda x: x.view_as(schuss.zeros(12, 2)), lambda a: a.reshape(12, 2)),
    "permute": (lambda x: x.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    "transpose": (lambda x: x.transpose(0, -1), lambda a: a.swapaxes(0, 2)),
    "mT": (lambda x: x.mT, lambda a: a.swapaxes(1, 2)),
    "movedim": (lambda x: x.movedim(0, -1), lambda a: np.moveaxis(a, 0, -1)),
    "select": (lambda x: x.select(1, 2), lambda a: a[:, 2]),
    "narrow": (lambda x: x.narrow(2, 1, 2), lambda a: a[:, :, 1:3]),
    "slice": (lambda x: x[:, 1:, ::2], lambda a: a[:, 1:, ::2]),
    "integer": (lambda x: x[-1, 0], lambda a: a[-1, 0]),
    "none": (lambda x: x[:, None, ..., 0], lambda a: a[:, None, ..., 0]),
    "unsqueeze": (lambda x: x.unsqueeze(1), lambda a: a[:, None]),
    "squeeze": (lambda x: x[:1].squeeze(0), lambda a: a[0]),
    "flatten": (lambda x: x.flatten(1), lambda a: a.reshape(2, 12)),
    "unflatten": (lambda x: x.unflatten(2, (2, 2)), lambda a: a.reshape(2, 3, 2, 2)),
    "diagonal": (lambda x: x.diagonal(0, 1, 2), lambda a: np.diagonal(a, 0, 1, 2)),
    "unbind": (lambda x: x.unbind(1)[2], lambda a: a[:, 2]),
    "split": (lambda x: x.split(2, dim=1)[1], lambda a: a[:, 2:]),
    "split sizes": (lambda x: x.split([1, 3], dim=2)[1], lambda a: a[..., 1:]),
    "chunk": (lambda x: x.chunk(2, -1)[1], lambda a: a[..., 2:]),
    "as_strided": (
        lambda x: x.as_strided((2, 3), (12, 1), 4),
        lambda a: a.reshape(-1)[[[4, 5, 6], [16, 17, 18]]],
    ),
    "detach": (lambda x: x.detach(), lambda a: a),
    "iteration": (lambda x: list(x)[1], lambda a: a[1]),
    "ravel": (lambda x: x.ravel(), lambda a: a.ravel()),
}


# Functions with many outputs: PyTorch refuses to write into these views of a tracked tensor.
MANY = {"unbind", "split", "split sizes", "chunk", "iteration"}


@pytest.mark.parametrize("name", VIEWS)
def test_view_shows_and_shares(name: str) -> None:
    view, same = VIEWS[name]
    x, a = base(), np.arange(24.0).reshape(2, 3, 4)
    y = view(x)
    assert_close(y, schuss.tensor(np.array(same(a))))
    y.mul_(-1)
    touched = set(np.array(same(a)).ravel())
    want = np.where(np.isin(a, list(touched)), -a, a)
    assert_close(x, schuss.tensor(want))
    x.fill_(3)
    assert (y == 3).all()


@pytest.mark.parametrize("name", [name for name in VIEWS if name != "detach"])
def test_gradient_through_a_view(name: str) -> None:
    view, _ = VIEWS[name]
    x = base().requires_grad_()
    y = view(x)
    assert y.requires_grad and y.grad_fn is not None and not y.is_leaf and y._base is x
    assert gradcheck(lambda x: view(x) * view(x * 0.1), x, fast_mode=True)


@pytest.mark.parametrize("name", [name for name in VIEWS if name != "detach"])
def test_gradient_of_a_view_written_in_place(name: str) -> None:
    view, _ = VIEWS[name]

    def run(x: schuss.Tensor) -> schuss.Tensor:
        y = x * 1.5
        v = view(y)
        v.mul_(v.detach() + 2)
        v += 1
        return y * y

    def plain(x: schuss.Tensor) -> schuss.Tensor:
        mask = schuss.zeros(2, 3, 4, dtype=schuss.float64)
        view(mask).fill_(1)
        y = x * 1.5
        return (y * (1 + mask * (y.detach() + 1)) + mask) ** 2

    x = base().requires_grad_()
    g = schuss.rand(2, 3, 4, dtype=schuss.float64)
    if name in MANY:
        with contextlib.suppress(RuntimeError):
            assert_close(schuss.autograd.grad(run(x), x, g), schuss.autograd.grad(plain(x), x, g))
        return
    assert_close(run(x), plain(x))
    got = schuss.autograd.grad(run(x), x, g)[0]
    want = schuss.autograd.grad(plain(x), x, g)[0]
    assert_close(got, want)


def test_chains_of_views() -> None:
    x = base()
    y = x.permute(2, 1, 0)[1:3].flatten(1)[:, ::2]
    assert_close(y, schuss.tensor(np.arange(24.0).reshape(2, 3, 4).transpose(2, 1, 0)[1:3]
                                  .reshape(2, -1)[:, ::2].copy()))  # fmt: skip
    z = x[1].t()[:, 1].unsqueeze(0)
    z.zero_()
    assert x[1, 1].tolist() == [0.0] * 4 and x.sum().item() == 276 - (16 + 17 + 18 + 19)


def test_expand_repeats_without_memory() -> None:
    x = schuss.arange(3.0).unsqueeze(1)
    y = x.expand(3, 4)
    assert y.stride() == (1, 0) and y.shape == (3, 4)
    x[0] = 9
    assert y[0].tolist() == [9.0] * 4
    assert y.expand(2, -1, -1).shape == (2, 3, 4) and x.expand_as(y).stride() == (1, 0)
    assert schuss.broadcast_to(x, (2, 3, 4)).shape == (2, 3, 4)
    a, b = schuss.broadcast_tensors(schuss.ones(3, 1), schuss.ones(4))
    assert a.shape == b.shape == (3, 4)


def test_strides_are_those_of_pytorch() -> None:
    x = schuss.zeros(2, 3, 4)
    assert x.stride() == (12, 4, 1) and x.permute(2, 0, 1).stride() == (1, 12, 4)
    assert x[1:, ::2].stride() == (12, 8, 1) and x[1:].storage_offset() == 12
    assert x[:, 1, 2].storage_offset() == 6 and x.transpose(0, 1).is_contiguous() is False
    assert x[:, :, :1].squeeze().stride() == (12, 4)
    assert schuss.zeros(0, 3).stride() == (3, 1) and schuss.zeros(2, 1, 3).is_contiguous()


def test_results_keep_the_order_of_axes_of_their_operands() -> None:
    """The strides are what PyTorch 2.15 gives for the same lines."""
    a, b = schuss.randn(3, 4), schuss.randn(3, 4)
    x, wide = schuss.randn(2, 3, 4, 5).permute(0, 2, 3, 1), schuss.randn(70, 90)
    for got, want, strides in (
        (a.T + b.T, a.numpy().T + b.numpy().T, (1, 4)),
        (a.T * 2.0, a.numpy().T * 2, (1, 4)),
        (a.T > b.T, a.numpy().T > b.numpy().T, (1, 4)),
        (a.T.logical_and(b.T), np.ones((4, 3), bool), (1, 4)),
        (a.T + b.reshape(4, 3), a.numpy().T + b.numpy().reshape(4, 3), (1, 4)),
        (b.reshape(4, 3) - a.T, b.numpy().reshape(4, 3) - a.numpy().T, (3, 1)),
        (a.T + b[0, :3], a.numpy().T + b.numpy()[0, :3], (1, 4)),
        (a[:, ::2].T.neg(), -a.numpy()[:, ::2].T, (1, 2)),
        (a[::2].neg(), -a.numpy()[::2], (4, 1)),
        (a.T.expand(2, 4, 3) + 1.0, np.broadcast_to(a.numpy().T, (2, 4, 3)) + 1, (12, 1, 4)),
        (x + b[0, :3], x.numpy() + b.numpy()[0, :3], (60, 5, 1, 20)),
        (x * x, x.numpy() ** 2, (60, 5, 1, 20)),
        (schuss.ones(4, 5, 3) + x, 1 + x.numpy(), (60, 15, 3, 1)),
        (wide.T + wide.T, 2 * wide.numpy().T, (1, 90)),
        (schuss.ones(90, 70) - wide.T, 1 - wide.numpy().T, (70, 1)),
    ):
        assert got.stride() == strides
        np.testing.assert_array_equal(got.numpy(), want)


def test_gradients_of_leaves_are_row_major_whatever_lay_between() -> None:
    for n in (4, 90):
        x = schuss.randn(3, n, requires_grad=True)
        y = (x.T * x.T).T.neg()
        assert y.is_contiguous()
        (x.T * x.T).neg().sum().backward()
        assert x.grad is not None and x.grad.stride() == (n, 1)
        np.testing.assert_array_equal(x.grad.numpy(), -2 * x.detach().numpy())


def test_compiled_steps_keep_the_order_of_axes() -> None:
    @schuss.compile
    def step(a: schuss.Tensor, b: schuss.Tensor) -> schuss.Tensor:
        return (a.T + b.T).exp() * 2.0 - a.T

    a, b = schuss.randn(33, 40), schuss.randn(33, 40)
    want = ((a.T + b.T).exp() * 2.0 - a.T).numpy()
    for _ in range(3):
        got = step(a, b)
        assert got.stride() == (1, 40)
        np.testing.assert_array_equal(got.numpy(), want)


def test_reshape_copies_only_where_it_must() -> None:
    x = schuss.arange(6).reshape(2, 3)
    assert x.reshape(3, 2).data_ptr() == x.data_ptr()
    y = x.t().reshape(6)
    assert y.tolist() == [0, 3, 1, 4, 2, 5] and y.data_ptr() != x.data_ptr()
    with refuses(RuntimeError, "view", (3, 2)):
        x.t().view(6)
    assert x[:, :2].reshape(2, 2).data_ptr() == x.data_ptr()


def test_flip_copies() -> None:
    x = schuss.arange(3)
    y = x.flip(0)
    y.zero_()
    assert x.tolist() == [0, 1, 2] and schuss.flip(x, (0,)).tolist() == [2, 1, 0]


def test_view_as_another_dtype_reads_the_bits() -> None:
    x = schuss.tensor([1.0, -2.0])
    assert x.view(schuss.int32).tolist() == [0x3F800000, -(2**30)]
    x.view(schuss.int32)[0] = 0x40000000
    assert x[0].item() == 2.0


def test_views_outlive_their_base() -> None:
    y = schuss.arange(1000.0)[10:13]
    for _ in range(50):
        schuss.full((1000,), 7.0)
    assert y.tolist() == [10.0, 11.0, 12.0]


def test_base_of_a_view() -> None:
    x = schuss.zeros(4)
    assert x._base is None and x[:2]._base is x and x[:2][0]._base is x
    assert x[:2]._is_view() and not x._is_view()


def test_view_errors() -> None:
    x = schuss.zeros(2, 3)
    with refuses(RuntimeError, "view", (2, 3), (4, 2)):
        x.view(4, 2)
    with refuses(RuntimeError, "reshape", (2, 3), (4, 2)):
        x.reshape(4, 2)
    with refuses(RuntimeError, "reshape"):
        x.reshape(-1, -1)
    with refuses(RuntimeError, "reshape"):
        x.reshape(4, -1)
    with refuses(RuntimeError, "permute"):
        x.permute(0, 0)
    with refuses(RuntimeError, "permute"):
        x.permute(0)
    with refuses(IndexError, "transpose"):
        x.transpose(0, 2)
    with refuses(IndexError, "unsqueeze"):
        x.unsqueeze(4)
    with refuses(RuntimeError, "expand", (2, 3), (2, 4)):
        x.expand(2, 4)
    with refuses(RuntimeError, "expand", (2, 3)):
        x.expand(3)
    with refuses(IndexError, "select"):
        x.select(0, 2)
    with refuses((IndexError, RuntimeError), "narrow"):
        x.narrow(1, 2, 2)
    with refuses(RuntimeError, "split"):
        x.split([1, 1], dim=1)
    with refuses(RuntimeError, "chunk"):
        x.chunk(0)
    with refuses(RuntimeError, "t", (1, 2, 3)):
        schuss.zeros(1, 2, 3).t()
    with refuses(RuntimeError, "as_strided"):
        x.as_strided((7,), (1,))
    with refuses(RuntimeError, "as_strided"):
        x.as_strided((2,), (-1,), 3)
    with refuses(RuntimeError, "diagonal"):
        x.diagonal(0, 1, 1)


# Views of (4, 6) numbers of which as_strided is taken, and torch.autograd.grad of the windows' sum
# weighed by 1, 2...: (place, slope) of the slopes that are not 0, for sizes, strides, first place.
SCATTERED = {
    "start": (lambda x: x.flatten()[3:], {
        ((2, 2), (1, 2)): {3: 1, 4: 3, 5: 2, 6: 4},
        ((2, 3), (1, 2), 5): {5: 1, 6: 4, 7: 2, 8: 5, 9: 3, 10: 6},
    }),
    "turned": (lambda x: x.t(), {
        ((2, 2), (1, 2)): {0: 1, 1: 3, 2: 2, 3: 4},
        ((3, 2), (2, 2), 4): {4: 1, 6: 5, 8: 9, 10: 6},
    }),
    "turned further on": (lambda x: x[1:].t(), {
        ((2, 3), (1, 2), 5): {6: 4, 7: 2, 8: 5, 9: 3, 10: 6},
    }),
    "stepped": (lambda x: x[:, 1:5:2], {
        ((2, 2), (1, 2)): {1: 1, 3: 2},
        ((2, 3), (1, 2), 5): {7: 2, 9: 3},
        ((3, 2), (2, 2), 4): {},
    }),
    "expanded": (lambda x: x[:1].expand(4, 6), {
        ((2, 2), (1, 2)): {0: 1, 1: 3, 2: 2, 3: 4},
        ((3, 2), (2, 2), 4): {4: 1},
    }),
    "turned result": (lambda x: (x * 1).t(), {
        ((2, 3), (1, 2), 5): {5: 1, 6: 4, 7: 2, 8: 5, 9: 3, 10: 6},
    }),
}  # fmt: skip


@pytest.mark.parametrize("way", SCATTERED)
def test_slopes_of_windows_on_memory_are_those_of_the_elements_shown(way: str) -> None:
    view, cases = SCATTERED[way]
    for where, slopes in cases.items():
        x = schuss.arange(24.0, dtype=f64).reshape(4, 6).requires_grad_()
        y = view(x).as_strided(*where)
        weights = schuss.arange(1.0, 1.0 + y.numel(), dtype=f64).reshape(y.shape)
        (found,) = schuss.autograd.grad((y * weights).sum(), x)
        want = [float(slopes.get(place, 0)) for place in range(24)]
        assert found.flatten().tolist() == want
        # The same by tangents: a slope is what the sum moves by where one element moves.
        for place in (*slopes, 0):
            along = schuss.zeros(24, dtype=f64)
            along[place] = 1.0

            def total(x, where=where, weights=weights):
                return (view(x).as_strided(*where) * weights).sum()

            _, moved = schuss.func.jvp(total, (x.detach(),), (along.reshape(4, 6),))
            assert moved.item() == want[place]


def test_windows_on_turned_memory_have_both_derivatives() -> None:
    def run(x: schuss.Tensor) -> schuss.Tensor:
        return (x * x).t().as_strided((3, 2), (2, 1), 1) ** 2

    x = base().reshape(4, 6)[:2, :4].contiguous().requires_grad_()
    assert gradcheck(run, x) and gradgradcheck(run, x)
