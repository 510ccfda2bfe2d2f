"""The tape: backward and grad with all their arguments, accumulation, orders, the graph.

Leans on schuss; modes are in test_modes.py, Function and hooks in test_function.py.
"""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss.autograd import grad
from schuss.testing import assert_close, gradcheck, gradgradcheck

f64 = schuss.float64


def leaf(*values: float) -> schuss.Tensor:
    return schuss.tensor(values, dtype=f64, requires_grad=True)


def test_gradients_accumulate() -> None:
    x = leaf(1.0, 2.0)
    for i in range(1, 4):
        (x * x).sum().backward()
        assert x.grad.tolist() == [2.0 * i, 4.0 * i]
    held = x.grad
    (x * 2).sum().backward()
    assert x.grad is held and held.tolist() == [8.0, 14.0]
    x.grad.zero_()
    assert x.grad.tolist() == [0.0, 0.0]
    x.grad = None
    assert x.grad is None
    with refuses(RuntimeError, (3,), (2,)):
        x.grad = schuss.zeros(3, dtype=f64)
    with refuses(RuntimeError):
        x.grad = schuss.zeros(2)
    with refuses(TypeError):
        x.grad = 1.0
    x.grad = schuss.ones(2, dtype=f64)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_gradient_shares_memory_with_nothing() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    g = schuss.ones(2, dtype=f64)
    (x + y).backward(g)
    assert x.grad.data_ptr() != y.grad.data_ptr()
    x.grad.mul_(5)
    assert y.grad.tolist() == [1.0, 1.0] and g.tolist() == [1.0, 1.0]
    z = leaf(1.0)
    z.expand(4).sum().backward()
    assert z.grad.shape == (1,) and z.grad.tolist() == [4.0]
    w = schuss.ones(2, 3, requires_grad=True)
    w.sum().backward()
    assert w.grad.is_contiguous() and w.grad.stride() == (3, 1)


def test_leaves_and_their_flags() -> None:
    x = schuss.ones(2)
    assert x.is_leaf and not x.requires_grad and x.grad is None and x.grad_fn is None
    x.requires_grad = True
    y = x * 2
    assert y.requires_grad and not y.is_leaf and y.grad_fn is not None
    assert not (x > 0).requires_grad and not y.detach().requires_grad
    assert not x.argmax().requires_grad and not x.long().requires_grad
    with refuses(RuntimeError):
        y.requires_grad = False
    with refuses(RuntimeError):
        schuss.ones(2, dtype=schuss.int64).requires_grad_()
    x.requires_grad = False
    assert not (x * 2).requires_grad


def test_the_gradient_of_a_node_in_the_middle() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad and not x.retains_grad
    (y**2).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0] and x.grad.tolist() == [18.0, 36.0]
    z = x * 1
    with pytest.warns(UserWarning):
        assert z.grad is None
    with refuses(RuntimeError):
        schuss.ones(2).retain_grad()


def test_backward_needs_a_scalar_or_a_cotangent() -> None:
    x = leaf(1.0, 2.0)
    with refuses(RuntimeError, "backward", (2,)):
        (x * 2).backward()
    (x * 2).backward(schuss.tensor([1.0, 10.0], dtype=f64))
    assert x.grad.tolist() == [2.0, 20.0]
    with refuses(RuntimeError, (3,), (2,)):
        (x * 2).backward(schuss.ones(3, dtype=f64))
    with refuses(RuntimeError):
        schuss.ones(1).backward()
    with refuses((TypeError, RuntimeError)):
        (x * 2).backward("a")
    one = leaf(3.0)
    (one * one).backward()
    assert one.grad.tolist() == [6.0]


def test_backward_twice() -> None:
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0, 8.0]
    with refuses(RuntimeError, "retain_graph"):
        y.backward()
    with refuses(RuntimeError, "retain_graph"):
        grad(y, x)
    assert x.grad.tolist() == [4.0, 8.0]
    z = x.exp()
    z.sum().backward()
    with refuses(RuntimeError, "retain_graph"):
        (z * 2).sum().backward()
    w = (x + 1).sum()
    w.backward()
    w.backward()


def test_backward_with_inputs() -> None:
    x, y = leaf(2.0), leaf(3.0)
    z = x * y
    z.backward(inputs=[x], retain_graph=True)
    assert x.grad.tolist() == [3.0] and y.grad is None
    z.backward(inputs=y, retain_graph=True)
    assert y.grad.tolist() == [2.0] and x.grad.tolist() == [3.0]
    with refuses(RuntimeError, "inputs"):
        z.backward(inputs=[])
    middle = x * 2
    (middle * 5).backward(inputs=[middle])
    assert middle.grad.tolist() == [5.0]


def test_backward_of_several_tensors() -> None:
    x, y = leaf(1.0, 2.0), leaf(5.0)
    schuss.autograd.backward([x.sum(), y * 2])
    assert x.grad.tolist() == [1.0, 1.0] and y.grad.tolist() == [2.0]
    a, b = x * 2, x * 3
    schuss.autograd.backward([a, b], [schuss.ones(2, dtype=f64), schuss.ones(2, dtype=f64)])
    assert x.grad.tolist() == [6.0, 6.0]
    schuss.autograd.backward((x.sum(), x.prod()), grad_tensors=(None, None))
    assert x.grad.tolist() == [9.0, 8.0]
    with refuses(RuntimeError):
        schuss.autograd.backward([x.sum(), y.sum()], [None])


def test_grad_returns_and_does_not_accumulate() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0)
    z = (x * y).sum()
    gx, gy = grad(z, (x, y), retain_graph=True)
    assert gx.tolist() == [3.0, 3.0] and gy.tolist() == [3.0]
    assert x.grad is None and y.grad is None and not gx.requires_grad
    assert isinstance(grad(z, x, retain_graph=True), tuple)
    (g,) = grad([z, x.sum()], [x], retain_graph=True)
    assert g.tolist() == [4.0, 4.0]
    (g,) = grad(x * 2, x, grad_outputs=schuss.tensor([1.0, 5.0], dtype=f64))
    assert g.tolist() == [2.0, 10.0]
    g1, g2 = grad(z, (x, x))
    assert g1.tolist() == g2.tolist() == [3.0, 3.0]


def test_grad_of_a_middle_and_of_the_output_itself() -> None:
    x = leaf(2.0)
    y = x * x
    z = y * 3
    gy, gx = grad(z, (y, x), retain_graph=True)
    assert gy.tolist() == [3.0] and gx.tolist() == [12.0]
    (g,) = grad(z, z)
    assert g.tolist() == [1.0]
    (g,) = grad(x, x)
    assert g.tolist() == [1.0]


def test_grad_of_what_is_not_used() -> None:
    x, y = leaf(1.0), leaf(2.0)
    z = x * 2
    with refuses(RuntimeError, "allow_unused"):
        grad(z, (x, y), retain_graph=True)
    gx, gy = grad(z, (x, y), allow_unused=True, retain_graph=True)
    assert gx.tolist() == [2.0] and gy is None
    _, gy = grad(z, (x, y), materialize_grads=True, retain_graph=True)
    assert gy.tolist() == [0.0]
    with refuses(ValueError):
        grad(z, (x, y), allow_unused=False, materialize_grads=True)
    with refuses(RuntimeError):
        grad(z, schuss.ones(1))
    with refuses(RuntimeError):
        grad(schuss.ones(1), x)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_orders(order: int) -> None:
    x = leaf(0.3, -1.2)
    for f, derivative in [
        (lambda x: x**5, [5, 20, 60, 120, 120][order - 1] * x.detach() ** (5 - order)),
        (schuss.exp, x.detach().exp()),
        (schuss.sin, schuss.sin(x.detach() + order * np.pi / 2)),
    ]:
        y = f(x)
        for _ in range(order):
            (y,) = grad(y.sum(), x, create_graph=True)
        assert_close(y, derivative, rtol=1e-9, atol=1e-9)


def test_create_graph_in_backward() -> None:
    x = leaf(2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        (x**3).backward(create_graph=True)
    assert x.grad.requires_grad and x.grad.tolist() == [12.0]
    first = x.grad
    (g,) = grad(first, x)
    assert g.tolist() == [12.0]
    x.grad = None


def test_hessian_of_a_network_is_symmetric_and_right() -> None:
    schuss.manual_seed(3)
    x = schuss.rand(4, 3, dtype=f64)
    w = schuss.rand(3, 2, dtype=f64, requires_grad=True)
    b = schuss.rand(2, dtype=f64, requires_grad=True)

    def loss(w: schuss.Tensor, b: schuss.Tensor) -> schuss.Tensor:
        return schuss.nn.functional.softmax(schuss.tanh(x @ w + b), 1)[:, 0].log().mean()

    assert gradcheck(loss, (w, b)) and gradgradcheck(loss, (w, b))
    g = grad(loss(w, b), w, create_graph=True)[0].flatten()
    rows = [grad(g[i], w, retain_graph=True)[0].flatten() for i in range(6)]
    h = schuss.stack(rows)
    assert_close(h, h.t())


def test_gradient_penalty() -> None:
    w = leaf(1.5, -0.5)
    x = schuss.tensor([1.0, 2.0], dtype=f64)
    y = (schuss.tanh(w * x)).sum()
    (g,) = grad(y, w, create_graph=True)
    (y + (g**2).sum()).backward()

    def total(w: schuss.Tensor) -> schuss.Tensor:
        g = (1 - schuss.tanh(w * x) ** 2) * x
        return schuss.tanh(w * x).sum() + (g**2).sum()

    assert_close(w.grad, grad(total(w), w)[0])


def test_diamonds_and_reuse() -> None:
    x = leaf(2.0)
    y = x * x
    (y * y + y + x).backward()
    assert x.grad.tolist() == [4 * 8 + 4 + 1.0]
    x.grad = None
    z = x
    for _ in range(20):
        z = z + z
    z.backward()
    assert x.grad.tolist() == [2.0**20]


def test_multiple_outputs_of_one_operation() -> None:
    x = leaf(3.0, 1.0, 2.0)
    a, b, c = x.unbind()
    (a * b).backward(retain_graph=True)
    assert x.grad.tolist() == [1.0, 3.0, 0.0]
    values, places = x.max(0)
    assert not places.requires_grad
    values.backward()
    assert x.grad.tolist() == [2.0, 3.0, 0.0]
    (c * 2).backward()
    assert x.grad.tolist() == [2.0, 3.0, 2.0]


def test_broadcasting_backward_gives_the_shapes_of_the_inputs() -> None:
    shapes = [((), (3, 2)), ((1,), (3, 2)), ((2,), (3, 2)), ((3, 1), (1, 2)), ((1, 1, 1), (2,))]
    for left, right in [*shapes, *((b, a) for a, b in shapes)]:
        a = schuss.rand(left, dtype=f64, requires_grad=True)
        b = schuss.rand(right, dtype=f64, requires_grad=True)
        for f in (schuss.add, schuss.sub, schuss.mul, schuss.div, schuss.maximum, schuss.atan2):
            ga, gb = grad(f(a, b).sum(), (a, b))
            assert ga.shape == a.shape and gb.shape == b.shape
            assert gradcheck(f, (a, b), fast_mode=True)


def test_mixed_dtypes_give_gradients_of_the_inputs_dtype() -> None:
    a = schuss.rand(2, requires_grad=True)
    b = schuss.rand(2, dtype=f64, requires_grad=True)
    c = schuss.rand(2, dtype=schuss.float16, requires_grad=True)
    y = a * b * c * schuss.tensor([1, 2])
    y.sum().backward()
    assert (a.grad.dtype, b.grad.dtype, c.grad.dtype) == (a.dtype, b.dtype, c.dtype)
    assert_close(b.grad, (a * c).detach().double() * schuss.tensor([1.0, 2.0], dtype=f64),
                 rtol=1e-3, atol=1e-3)  # fmt: skip


def test_cotangents_of_every_layout() -> None:
    x = schuss.rand(3, 4, dtype=f64, requires_grad=True)
    y = x * x
    full = schuss.ones(3, 4, dtype=f64)
    for g in (
        schuss.ones((), dtype=f64).expand(3, 4),
        schuss.ones(4, 3, dtype=f64).t(),
        schuss.ones(6, 8, dtype=f64)[::2, ::2],
        schuss.ones(4, dtype=f64).expand(3, 4),
    ):
        assert_close(grad(y, x, g, retain_graph=True)[0], grad(y, x, full, retain_graph=True)[0])


def test_constants_and_cuts() -> None:
    x = leaf(2.0)
    y = x.detach() * x
    y.backward()
    assert x.grad.tolist() == [2.0]
    assert x.detach().data_ptr() == x.data_ptr() and x.data.requires_grad is False
    z = (x * 2).data * x
    (g,) = grad(z, x)
    assert g.tolist() == [4.0]
    x.data = schuss.tensor([5.0], dtype=f64)
    assert x.tolist() == [5.0] and x.requires_grad and x.is_leaf
    (g,) = grad(x * x, x)
    assert g.tolist() == [10.0]


def test_no_gradient_is_recorded_for_integers() -> None:
    x = leaf(1.0, 2.0)
    k = (x > 1.5).long()
    assert not k.requires_grad and not (k + 1).requires_grad
    assert (k * x).requires_grad


def test_the_graph_can_be_read() -> None:
    x, y = leaf(1.0), leaf(2.0)
    z = (x * y).exp()
    node = z.grad_fn
    assert "Exp" in node.name() and "Exp" in type(node).__name__
    ((product, _),) = node.next_functions
    assert "Mul" in product.name()
    (left, _), (right, index) = product.next_functions
    assert left.variable is x and right.variable is y and index == 0
    assert "AccumulateGrad" in left.name() and left.next_functions == ()
    ((other, _), (none, _)) = (x * 2.0 + schuss.ones(1, dtype=f64)).grad_fn.next_functions
    assert "Mul" in other.name() and none is None
    a, b = schuss.stack([x, y]).unbind()
    assert a.grad_fn == a.grad_fn and a.grad_fn != b.grad_fn and a.output_nr == 0


def test_gradients_of_gradients_with_holes() -> None:
    x, y = leaf(1.0), leaf(2.0)
    (g,) = grad(x * 3 + y, x, create_graph=True)
    assert not g.requires_grad or grad(g, x, allow_unused=True)[0] is None
    (g,) = grad(x * x * y, x, create_graph=True)
    assert grad(g, y)[0].tolist() == [2.0]


def test_empty_and_one_element_tensors() -> None:
    x = schuss.zeros(0, 3, requires_grad=True)
    (x.sum() * 2).backward()
    assert x.grad.shape == (0, 3)
    y = schuss.ones((), requires_grad=True)
    y.sum(0).backward()
    assert y.grad.shape == ()
    z = schuss.ones(1, 1, requires_grad=True)
    (z * 2).backward()
    assert z.grad.shape == (1, 1)


# What PyTorch 2.15 gives at the corners, each run as: f(x).sum().backward(); x.grad
CORNERS = [
    (lambda x: x.relu(), 0.0, 0.0),
    (lambda x: x.abs(), 0.0, 0.0),
    (lambda x: x.sign(), 3.0, 0.0),
    (lambda x: x.clamp(0.0, 1.0), 0.0, 0.0),
    (lambda x: x.clamp(0.0, 1.0), 1.0, 0.0),
    (lambda x: x.clamp(min=0.0), -1.0, 0.0),
    (lambda x: x.norm(), 0.0, 0.0),
    (lambda x: x.norm(p=1.5), 0.0, 0.0),
    (lambda x: x.norm(p=3), 0.0, 0.0),
    (lambda x: x.norm(p=-1), 0.0, 0.0),
    (lambda x: schuss.cat([x, schuss.ones_like(x)]).norm(p=0.5), 0.0, 0.0),
    (lambda x: x**2, 0.0, 0.0),
    (lambda x: x**0, 0.0, 0.0),
    (lambda x: x.round(), 0.5, 0.0),
    (lambda x: schuss.maximum(x, schuss.zeros_like(x)), 0.0, 0.5),
    (lambda x: schuss.where(x > 0, x, -x), 0.0, -1.0),
    (lambda x: x.prod(), 0.0, 1.0),
    (lambda x: schuss.nn.functional.leaky_relu(x, 0.1), 0.0, 0.1),
    (lambda x: schuss.nn.functional.softplus(x), 100.0, 1.0),
    (lambda x: x.sqrt(), 0.0, float("inf")),
]


@pytest.mark.parametrize("case", range(len(CORNERS)))
def test_gradients_at_corners(case: int) -> None:
    f, at, want = CORNERS[case]
    x = leaf(at)
    f(x).sum().backward()
    assert x.grad.tolist() == [want]


def test_ties_share_or_take_the_gradient() -> None:
    x = leaf(2.0, 2.0, 1.0)
    assert grad(x.amax(), x)[0].tolist() == [0.5, 0.5, 0.0]
    assert grad(x.max(), x)[0].tolist() == [0.5, 0.5, 0.0]
    assert grad(x.max(0).values, x)[0].tolist() == [1.0, 0.0, 0.0]


def test_products_with_zeros() -> None:
    x = leaf(2.0, 0.0, 3.0)
    assert grad(x.prod(), x)[0].tolist() == [0.0, 6.0, 0.0]
    y = leaf(0.0, 0.0, 3.0)
    assert grad(y.prod(), y)[0].tolist() == [0.0, 0.0, 0.0]
    for z in (x, y):
        assert gradcheck(lambda z: z.prod(0), z) and gradgradcheck(lambda z: z.prod(), z)
        assert gradcheck(lambda z: z.cumprod(0), z)


def test_repeated_use_of_one_operation_never_drifts() -> None:
    x = schuss.ones(2, 1, dtype=f64, requires_grad=True)
    for _ in range(80):
        (g,) = grad((x.expand(2, 3) * schuss.ones(2, 3, dtype=f64)).sum(), x)
        assert g.tolist() == [[3.0], [3.0]]


def test_what_a_power_keeps_does_not_hang_on_the_first_exponent() -> None:
    program = (
        "import schuss\n"
        "for first in (0, 0.0):\n"
        "    x = schuss.tensor([2.0, 3.0], requires_grad=True)\n"
        "    (x**first).sum().backward()\n"
        "    for p in (1, 3, -1, 0.5, 2, 4.0):\n"
        "        x.grad = None\n"
        "        (x**p).sum().backward()\n"
        "        want = [p * v ** (p - 1) for v in (2.0, 3.0)]\n"
        "        off = max(abs(a - b) for a, b in zip(x.grad.tolist(), want))\n"
        "        assert off < 1e-5, (p, x.grad)\n"
    )
    # In a process of its own: what a rule keeps is found when it first runs.
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_nothing_has_no_spread() -> None:
    for x in (schuss.zeros(0), schuss.zeros(3, 0), schuss.zeros(0, dtype=schuss.float64)):
        spreads = [x.var(-1), x.std(-1), x.var(), x.std()]
        assert all(s.isnan().all().item() for s in spreads)
