"""Indices that differ, random numbers, users' own tangents and checkpoints under transformations.

Leans on schuss.func; every result is compared with one example after the other.
"""

from __future__ import annotations

import pytest
import schuss
from conftest import refuses
from schuss.func import grad, jvp, vmap
from schuss.testing import assert_close
from schuss.utils.checkpoint import checkpoint

ROWS = schuss.arange(12.0).reshape(3, 4)
PLACES = schuss.tensor([[0, 1], [2, 3], [1, 0]])
ONES = schuss.ones(2)

AT_INDICES = {
    "index_select": (lambda x, i: x.index_select(0, i), (ROWS, PLACES)),
    "index_select of one": (lambda i: ROWS[0].index_select(0, i), (PLACES,)),
    "index_add": (lambda x, i: x.index_add(0, i, ONES), (ROWS, PLACES)),
    "index_add to one": (lambda i, v: schuss.zeros(4).index_add(0, i, v), (PLACES, ROWS[:, :2])),
    "index_copy": (lambda x, i: x.index_copy(0, i, ONES), (ROWS, PLACES)),
    "index_fill": (lambda x, i: x.index_fill(0, i, 9.0), (ROWS, PLACES)),
    "masked_scatter": (
        lambda x, m: x.masked_scatter(m, schuss.arange(4.0) + 50),
        (ROWS, ROWS % 3 > 0),
    ),
    "masked_scatter of each": (
        lambda x, m, s: x.masked_scatter(m, s),
        (ROWS, ROWS % 3 > 0, ROWS + 100),
    ),
    "select_scatter": (lambda x: schuss.select_scatter(schuss.zeros(2, 4), x, 0, 1), (ROWS,)),
    "slice_scatter": (lambda x: schuss.slice_scatter(schuss.zeros(6), x, 0, 1, 5), (ROWS,)),
    "diagonal_scatter": (lambda x: schuss.diagonal_scatter(schuss.zeros(4, 4), x), (ROWS,)),
}


@pytest.mark.parametrize("name", AT_INDICES)
def test_indices_that_differ(name):
    function, args = AT_INDICES[name]
    found = vmap(function)(*args)
    one_by_one = [function(*(x[k] for x in args)) for k in range(3)]
    assert_close(found, schuss.stack(one_by_one))


def test_indices_out_of_range_are_refused_for_every_example():
    stray = schuss.tensor([[0, 1], [2, 4], [1, 0]])
    for name in ("index_select", "index_add", "index_copy"):
        more = () if name == "index_select" else (ONES,)
        with refuses(IndexError, name, "size 4"):
            vmap(lambda x, i, name=name, more=more: getattr(x, name)(0, i, *more))(ROWS, stray)
    with refuses(RuntimeError, "masked_scatter", "4 places", "3 elements"):
        vmap(lambda x, m: x.masked_scatter(m, schuss.ones(3)))(ROWS, ROWS > 3)


def test_draws_by_weights_that_differ():
    weights = schuss.eye(3, 4) + schuss.tensor([0.0, 0.0, 0.0, 1.0])
    found = vmap(lambda w: w.multinomial(2), randomness="different")(weights)
    assert found.sort(-1).values.tolist() == [[0, 3], [1, 3], [2, 3]]
    again = vmap(lambda w: w.multinomial(20, True), randomness="different")(schuss.eye(3, 4))
    assert again.tolist() == [[0] * 20, [1] * 20, [2] * 20]
    hits = vmap(lambda p: p.bernoulli(), randomness="different")(schuss.eye(3, 4))
    assert hits.tolist() == schuss.eye(3, 4).tolist()
    for bad in (lambda w: (w - 2).multinomial(1), lambda w: (w - 2).bernoulli()):
        with refuses(RuntimeError, "must be"):
            vmap(bad, randomness="different")(weights)


def test_numbers_of_its_own_do_not_fit_into_what_all_share():
    shared = schuss.zeros(2)
    with refuses(RuntimeError, "normal_", "same for all examples"):
        vmap(lambda x: x.sum() + shared.normal_().sum(), randomness="different")(ROWS)
    assert shared.tolist() == [0.0, 0.0]
    each = vmap(lambda x: schuss.zeros_like(x).normal_(), randomness="different")(ROWS)
    assert each[0].tolist() != each[1].tolist()
    vmap(lambda x: x.sum() + shared.normal_().sum(), randomness="same")(ROWS)
    assert shared.tolist() != [0.0, 0.0]


def test_a_tangent_that_all_share_is_written_where_the_value_differs():
    def written(x):
        def f(t):
            made = t.clone()
            made[0] = made[1] * made[1]
            return made

        return jvp(f, (x,), (schuss.ones(4),))[1]

    found = vmap(written)(ROWS)
    assert_close(found, schuss.stack([written(x) for x in ROWS]))


class Square(schuss.autograd.Function):
    """Its own tangent is a hundred times too large, so that it can be told from backward's."""

    @staticmethod
    def forward(x):
        return x**2

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g

    @staticmethod
    def jvp(ctx, t):
        (x,) = ctx.saved_tensors
        return 200 * x * t


class Product(schuss.autograd.Function):
    """Written in the older form, of two operands."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_forward(x, y)
        ctx.save_for_backward(x, y)
        return x * y, x + y

    @staticmethod
    def backward(ctx, g, h):
        x, y = ctx.saved_tensors
        return g * y + h, g * x + h

    @staticmethod
    def jvp(ctx, s, t):
        x, y = ctx.saved_tensors
        return s * y + t * x, s + t


def test_a_function_with_a_tangent_of_its_own():
    x, one = schuss.tensor(3.0), schuss.tensor(1.0)
    assert jvp(Square.apply, (x,), (one,))[1].item() == 600.0
    slope = grad(lambda x: jvp(Square.apply, (x,), (one,))[1])
    assert slope(x).item() == 200.0 and grad(Square.apply)(x).item() == 6.0
    both = vmap(lambda x: jvp(Square.apply, (x,), (one,))[1])(schuss.tensor([1.0, 2.0]))
    assert both.tolist() == [200.0, 400.0]
    (product, total), (dp, dt) = jvp(Product.apply, (x, one), (one, 2 * one))
    assert (product.item(), total.item()) == (3.0, 4.0) and (dp.item(), dt.item()) == (7.0, 3.0)
    # Of an operand that stands still the tangent is zero.
    (_, _), (dp, dt) = jvp(lambda x: Product.apply(x, one), (x,), (one,))
    assert (dp.item(), dt.item()) == (1.0, 1.0)


def test_checkpoints_inside_transformations():
    def part(v):
        return (v.sin() * v).sum()

    plain, kept = grad(part), grad(lambda x: checkpoint(part, x, use_reentrant=False))
    assert_close(vmap(kept)(ROWS), vmap(plain)(ROWS))
    assert_close(
        jvp(lambda x: checkpoint(part, x), (ROWS,), (ROWS,))[1], jvp(part, (ROWS,), (ROWS,))[1]
    )


# ---- hooks --------------------------------------------------------------------------------------


def hooked(seen: list):
    def loss(x: schuss.Tensor) -> schuss.Tensor:
        y = x * x
        y.register_hook(lambda g: (seen.append(g.shape), g * 10)[1])
        return (y * 3).sum()

    return loss


def test_hooks_on_what_differs_see_one_example() -> None:
    seen: list = []
    got = vmap(grad(hooked(seen)))(ROWS)
    assert_close(got, 60 * ROWS)
    assert seen == [(4,)]
    # Two batches, one in the other.
    assert_close(vmap(vmap(grad(hooked(seen))))(ROWS[None]), 60 * ROWS[None])
    assert_close(grad(hooked(seen))(ROWS[1]), 60 * ROWS[1])


def test_hooks_on_the_argument_itself() -> None:
    def loss(x: schuss.Tensor) -> schuss.Tensor:
        x.register_hook(lambda g: schuss.ones(4) * 7)
        return (x * 3).sum()

    assert_close(vmap(grad(loss))(ROWS), schuss.full((3, 4), 7.0))


def test_a_hook_that_is_removed_is_not_called() -> None:
    def loss(x: schuss.Tensor) -> schuss.Tensor:
        y = x * x
        y.register_hook(lambda g: g * 10).remove()
        return y.sum()

    assert_close(vmap(grad(loss))(ROWS), 2 * ROWS)


def test_hooks_that_could_not_be_right_are_refused() -> None:
    weight = schuss.ones(4, requires_grad=True)

    def inside(x: schuss.Tensor) -> schuss.Tensor:
        y = weight * x
        y.register_hook(lambda g: g * 10)
        return y.sum()

    found = vmap(inside)(ROWS)
    with refuses(RuntimeError, "register_hook", "inside vmap", "grad or vjp"):
        found.sum().backward()
    with refuses(RuntimeError, "does not require grad"):
        vmap(lambda x: x.register_hook(print) or x)(ROWS)
    with refuses(RuntimeError, "register_hook", "forward mode"):
        jvp(grad(hooked([])), (ROWS[0],), (ROWS[0],))
    with refuses(RuntimeError, "backward", "func.grad"):
        vmap(lambda x: (weight * x).sum().backward())(ROWS)


# ---- tangents and writes in place ---------------------------------------------------------------


def test_a_write_reaches_the_tangents_of_views_alone() -> None:
    def f(x: schuss.Tensor):
        a, b, c, d = x + 0, x.clone(), schuss.zeros(4) + x, x * 1
        a.mul_(3)
        c[0] = a[1] * 7
        b[1:].zero_()
        return a, b, c, d, x * 1

    x, t = ROWS[1], schuss.tensor([1.0, 2.0, 3.0, 4.0])
    _, found = jvp(f, (x,), (t,))
    want = [3 * t, schuss.tensor([1.0, 0, 0, 0]), schuss.tensor([42.0, 2, 3, 4]), t, t]
    for got, wish in zip(found, want, strict=True):
        assert_close(got, wish)
    assert_close(t, schuss.tensor([1.0, 2.0, 3.0, 4.0]))


def test_a_view_and_its_base_still_move_together() -> None:
    def f(x: schuss.Tensor):
        y = x * 2
        y[:2].mul_(5)
        y.view(2, 2)[1].add_(y[:2])
        return y

    _, found = jvp(f, (ROWS[1],), (schuss.ones(4),))
    assert_close(found, schuss.tensor([10.0, 10.0, 12.0, 12.0]))


def test_a_tangent_that_is_one_row_for_all_is_written_for_one() -> None:
    with schuss.autograd.forward_ad.dual_level():
        row = schuss.ones(3)
        x = schuss.autograd.forward_ad.make_dual(schuss.ones(2, 3), row.expand(2, 3))
        x[0].mul_(5)
        tangent = schuss.autograd.forward_ad.unpack_dual(x).tangent
    assert_close(tangent, schuss.tensor([[5.0] * 3, [1.0] * 3]))
    assert_close(row, schuss.ones(3))
