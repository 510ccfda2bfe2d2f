"""Functions with a gradient of their own, hooks on tensors and nodes, backward inside backward.

Leans on schuss alone.
"""

from __future__ import annotations

import threading

import pytest
import schuss
from conftest import refuses
from schuss.autograd import Function, grad
from schuss.autograd.function import once_differentiable
from schuss.testing import gradcheck, gradgradcheck

f64 = schuss.float64


def leaf(*values: float) -> schuss.Tensor:
    return schuss.tensor(values, dtype=f64, requires_grad=True)


class Cube(Function):
    @staticmethod
    def forward(ctx: object, x: schuss.Tensor) -> schuss.Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
        (x,) = ctx.saved_tensors
        return g * 3 * x**2


class Scaled(Function):
    """x * y * k with everything that a context offers."""

    @staticmethod
    def forward(ctx: object, x: schuss.Tensor, y: schuss.Tensor, k: float) -> schuss.Tensor:
        ctx.save_for_backward(x, y)
        ctx.k = k
        return x * y * k

    @staticmethod
    def backward(ctx: object, g: schuss.Tensor) -> tuple:
        x, y = ctx.saved_tensors
        gx = g * y * ctx.k if ctx.needs_input_grad[0] else None
        gy = g * x * ctx.k if ctx.needs_input_grad[1] else None
        return gx, gy, None


def test_a_function_of_one_tensor() -> None:
    x = leaf(2.0, -1.0)
    y = Cube.apply(x)
    assert y.requires_grad and "Cube" in y.grad_fn.name()
    y.sum().backward()
    assert x.grad.tolist() == [12.0, 3.0]
    assert gradcheck(Cube.apply, x) and gradgradcheck(Cube.apply, x)
    assert not Cube.apply(x.detach()).requires_grad
    with schuss.no_grad():
        assert not Cube.apply(x).requires_grad


def test_a_function_of_tensors_and_numbers() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    assert gradcheck(lambda x, y: Scaled.apply(x, y, 2.5), (x, y))
    assert gradgradcheck(lambda x, y: Scaled.apply(x, y, 2.5), (x, y))
    Scaled.apply(x, y.detach(), 2.0).sum().backward()
    assert x.grad.tolist() == [6.0, 8.0] and y.grad is None


def test_setup_context() -> None:
    class Square(Function):
        @staticmethod
        def forward(x: schuss.Tensor) -> schuss.Tensor:
            return x * x

        @staticmethod
        def setup_context(ctx: object, inputs: tuple, output: schuss.Tensor) -> None:
            (x,) = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
            return 2 * g * ctx.saved_tensors[0]

    assert gradcheck(Square.apply, leaf(1.0, 2.0)) and gradgradcheck(Square.apply, leaf(1.0, 2.0))


def test_several_outputs_and_absent_cotangents() -> None:
    seen = []

    class Pair(Function):
        @staticmethod
        def forward(ctx: object, x: schuss.Tensor) -> tuple:
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: object, a: schuss.Tensor, b: schuss.Tensor) -> schuss.Tensor:
            seen.append((a.tolist(), b.tolist()))
            return a * 2 + b * 3

    x = leaf(1.0)
    u, v = Pair.apply(x)
    v.backward(retain_graph=True)
    assert x.grad.tolist() == [3.0] and seen == [([0.0], [1.0])]
    (u + v).backward()
    assert x.grad.tolist() == [8.0]

    class Lean(Pair):
        @staticmethod
        def forward(ctx: object, x: schuss.Tensor) -> tuple:
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: object, a: object, b: schuss.Tensor) -> schuss.Tensor:
            assert a is None
            return b * 3

    Lean.apply(x)[1].backward()
    assert x.grad.tolist() == [11.0]


def test_mark_dirty() -> None:
    class Doubled(Function):
        @staticmethod
        def forward(ctx: object, x: schuss.Tensor) -> schuss.Tensor:
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
            return g * 2

    x = leaf(1.0, 2.0)
    y = x * 1
    z = Doubled.apply(y)
    assert z is y
    (z * z).sum().backward()
    assert x.grad.tolist() == [8.0, 16.0]
    with refuses(RuntimeError, "leaf"):
        Doubled.apply(x)


def test_mark_non_differentiable() -> None:
    class Sorted(Function):
        @staticmethod
        def forward(ctx: object, x: schuss.Tensor) -> tuple:
            places = (x * 0).detach()
            ctx.mark_non_differentiable(places)
            return x * 2, places

        @staticmethod
        def backward(ctx: object, g: schuss.Tensor, _: object) -> schuss.Tensor:
            return g * 2

    a, b = Sorted.apply(leaf(1.0))
    assert a.requires_grad and not b.requires_grad


def test_once_differentiable() -> None:
    class Once(Function):
        @staticmethod
        def forward(ctx: object, x: schuss.Tensor) -> schuss.Tensor:
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @once_differentiable
        def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
            assert not schuss.is_grad_enabled()
            return g * 2 * ctx.saved_tensors[0]

    x = leaf(3.0)
    (g,) = grad(Once.apply(x), x, create_graph=True)
    assert g.tolist() == [6.0]
    with refuses(RuntimeError):
        g.backward()


def test_an_input_is_returned_as_it_is() -> None:
    class Reversed(Function):
        @staticmethod
        def forward(ctx: object, x: schuss.Tensor) -> schuss.Tensor:
            return x.view_as(x)

        @staticmethod
        def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
            return -g

    x = leaf(1.0)
    y = Reversed.apply(x)
    assert y is not x and y.requires_grad
    (y * 2).backward()
    assert x.grad.tolist() == [-2.0]


def test_wrong_gradients_are_refused() -> None:
    def wrong(give: object) -> type:
        class Wrong(Function):
            @staticmethod
            def forward(ctx: object, x: schuss.Tensor, y: schuss.Tensor) -> schuss.Tensor:
                return x * y

            @staticmethod
            def backward(ctx: object, g: schuss.Tensor) -> object:
                return give(g)

        return Wrong

    x, y = leaf(1.0, 2.0), leaf(1.0, 2.0)
    for give in (
        lambda g: g,
        lambda g: (g, g, g),
        lambda g: (g, schuss.ones(3, dtype=f64)),
        lambda g: (g, "a"),
    ):
        with pytest.raises((RuntimeError, TypeError)):
            wrong(give).apply(x, y).sum().backward()
    wrong(lambda g: (g, None)).apply(x, y).sum().backward()
    assert y.grad is None


def test_errors_in_backward_come_through() -> None:
    class Broken(Function):
        @staticmethod
        def forward(ctx: object, x: schuss.Tensor) -> schuss.Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
            raise KeyError("broken here")

    x = leaf(1.0)
    with pytest.raises(KeyError, match="broken here"):
        Broken.apply(x).backward()
    (x * 2).backward()
    assert x.grad.tolist() == [2.0]


def test_a_function_without_backward_and_an_instance() -> None:
    class Forward(Function):
        @staticmethod
        def forward(ctx: object, x: schuss.Tensor) -> schuss.Tensor:
            return x * 1

    with pytest.raises((NotImplementedError, RuntimeError)):
        Forward.apply(leaf(1.0)).backward()


def test_saved_tensors_of_a_function_are_guarded() -> None:
    x = leaf(2.0)
    y = x * 1
    z = Cube.apply(y)
    y.add_(1)
    with refuses(RuntimeError, "modified"):
        z.backward()
    w = Cube.apply(x)
    w.backward()
    with refuses(RuntimeError):
        w.backward()


def test_backward_inside_backward() -> None:
    class Inner(Function):
        @staticmethod
        def forward(ctx: object, x: schuss.Tensor) -> schuss.Tensor:
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
            x = ctx.saved_tensors[0].detach().requires_grad_()
            with schuss.enable_grad():
                y = (x**2).sum()
            y.backward()
            return g * x.grad

    x = leaf(3.0, 1.0)
    Inner.apply(Inner.apply(x)).sum().backward()
    assert x.grad.tolist() == [108.0, 4.0]


def test_checkpointing_by_hand_nests() -> None:
    class Again(Function):
        @staticmethod
        def forward(ctx: object, depth: int, x: schuss.Tensor) -> schuss.Tensor:
            ctx.depth = depth
            ctx.save_for_backward(x)
            return Again.run(depth, x)

        @staticmethod
        def run(depth: int, x: schuss.Tensor) -> schuss.Tensor:
            return (Again.apply(depth - 1, x) if depth else x) * 1.5

        @staticmethod
        def backward(ctx: object, g: schuss.Tensor) -> tuple:
            x = ctx.saved_tensors[0].detach().requires_grad_()
            with schuss.enable_grad():
                y = Again.run(ctx.depth, x)
            return None, grad(y, x, g)[0]

    x = leaf(1.0)
    Again.apply(8, x).backward()
    assert x.grad.tolist() == [1.5**9]


def test_hooks_on_leaves_and_middles() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(("y", g.tolist())))
    handle = x.register_hook(lambda g: g * 10)
    (y * 3).sum().backward()
    assert seen == [("y", [3.0, 3.0])] and x.grad.tolist() == [60.0, 60.0]
    handle.remove()
    handle.remove()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [62.0, 62.0]
    with refuses(RuntimeError):
        schuss.ones(1).register_hook(print)


def test_hooks_change_the_gradient_in_order() -> None:
    x = leaf(1.0)
    y = x * 1
    y.register_hook(lambda g: g + 1)
    y.register_hook(lambda g: g * 10)
    y.retain_grad()
    (y * 2).backward()
    assert x.grad.tolist() == [30.0] and y.grad.tolist() == [30.0]


def test_a_hook_may_not_change_the_form() -> None:
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.sum())
    with refuses(RuntimeError):
        (x * 2).sum().backward()
    y = leaf(1.0)
    y.register_hook(lambda g: "a")
    with pytest.raises((RuntimeError, TypeError)):
        (y * 2).backward()


def test_hooks_see_the_summed_gradient_once() -> None:
    x = leaf(1.0)
    y = x * 1
    calls = []
    y.register_hook(lambda g: calls.append(g.item()))
    (y * 2 + y * 3 + y).backward()
    assert calls == [6.0]


def test_post_accumulate_hooks() -> None:
    x = leaf(1.0)
    calls = []
    handle = x.register_post_accumulate_grad_hook(lambda p: calls.append((p is x, p.grad.item())))
    (x * 2).backward()
    (x * 2).backward()
    handle.remove()
    (x * 2).backward()
    assert calls == [(True, 2.0), (True, 4.0)]


def test_hooks_on_nodes() -> None:
    x = leaf(1.0)
    y = x * 2
    calls = []
    y.grad_fn.register_hook(lambda gx, gy: calls.append((gx[0].item(), gy[0].item())))
    pre = y.grad_fn.register_prehook(lambda gy: (gy[0] * 5,))
    (y * 1).backward(retain_graph=True)
    assert calls == [(10.0, 5.0)] and x.grad.tolist() == [10.0]
    pre.remove()


def test_hooks_work_with_create_graph() -> None:
    x = leaf(2.0)
    y = x**2
    y.register_hook(lambda g: g * x)
    (g,) = grad(y, x, create_graph=True)
    assert g.tolist() == [8.0]
    (g,) = grad(g, x)
    assert g.tolist() == [8.0]


def test_an_error_in_a_hook_comes_through() -> None:
    x = leaf(1.0)

    def hook(g: schuss.Tensor) -> None:
        raise ZeroDivisionError("in the hook")

    handle = x.register_hook(hook)
    with pytest.raises(ZeroDivisionError, match="in the hook"):
        (x * 2).backward()
    handle.remove()
    (x * 2).backward()


def test_functions_and_hooks_on_another_thread() -> None:
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g * 2)
    results = []

    def work() -> None:
        results.append(grad(Cube.apply(x).sum(), x)[0].tolist())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [[6.0, 24.0]] * 4
