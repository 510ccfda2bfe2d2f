"""What transformations of functions promise users: values, nesting, shapes, draws and refusals.

Leans on schuss.func and closed forms; every function under them is tested in test_transforms.py.
"""

from __future__ import annotations

import gc

import numpy as np
import pytest
import schuss
from schuss import func
from schuss.testing import assert_close

X = schuss.tensor([1.0, 2.0, 3.0], dtype=schuss.float64)
ONES = schuss.ones(3, dtype=schuss.float64)


def cubes(x):
    return (x**3).sum()


# ---- derivatives --------------------------------------------------------------------------------


def test_gradient_of_one_number():
    assert_close(func.grad(cubes)(X), 3 * X**2)


def test_gradients_nest():
    second = func.grad(lambda x: func.grad(cubes)(x).sum())
    third = func.grad(lambda x: second(x).sum())
    assert_close(second(X), 6 * X)
    assert_close(third(X), 6 * ONES)


def test_gradient_at_nests_and_several_arguments():
    def loss(p, x, scale):
        return scale * (p["w"] * x + p["b"]).sum()

    p = {"w": X, "b": ONES}
    found = func.grad(loss, argnums=(0, 2))(p, X, schuss.tensor(2.0, dtype=schuss.float64))
    assert_close(found[0]["w"], 2 * X)
    assert_close(found[0]["b"], 2 * ONES)
    assert found[1].item() == pytest.approx(17.0)


def test_value_and_gradient_with_what_is_besides():
    def loss(x):
        return cubes(x), {"first": x[0], "name": "cubes"}

    gradient, (value, aux) = func.grad_and_value(loss, has_aux=True)(X)
    assert value.item() == 36.0 and aux["first"].item() == 1.0 and aux["name"] == "cubes"
    assert not value.requires_grad and not aux["first"].requires_grad
    assert_close(gradient, 3 * X**2)
    assert func.value_and_grad(cubes)(X)[0].item() == 36.0


def test_gradient_is_recorded_only_for_those_who_ask():
    w = schuss.tensor(2.0, dtype=schuss.float64, requires_grad=True)
    alone = func.grad(cubes)(X)
    mixed = func.grad(lambda x: w * cubes(x))(X)
    assert not alone.requires_grad
    (back,) = schuss.autograd.grad(mixed.sum(), w)
    assert back.item() == pytest.approx(3 * 14.0)


def test_gradient_of_what_does_not_depend_is_zero():
    assert_close(func.grad(lambda x: schuss.ones(()).double())(X), 0 * X)


def test_pull_may_be_called_again():
    y, pull = func.vjp(lambda x: x**2, X)
    assert_close(y, X**2)
    assert_close(pull(ONES)[0], 2 * X)
    assert_close(pull(X)[0], 2 * X**2)


@pytest.mark.parametrize("jacobian", [func.jacrev, func.jacfwd])
def test_jacobian_has_the_axes_of_the_result_and_then_of_the_argument(jacobian):
    a = schuss.tensor(np.arange(6.0).reshape(2, 3))
    assert_close(jacobian(lambda x: a @ x)(X), a)
    found = jacobian(lambda x, y: {"p": x * y, "s": (x * y).sum()}, argnums=(0, 1))(X, ONES)
    assert_close(found["p"][1], schuss.diag(X))
    assert_close(found["s"][0], ONES)


@pytest.mark.parametrize("chunk_size", [1, 2, None])
def test_jacobian_in_chunks(chunk_size):
    assert_close(func.jacrev(lambda x: x**2, chunk_size=chunk_size)(X), schuss.diag(2 * X))


def test_hessian():
    def f(x):
        return cubes(x) + x[0] * x[1]

    wanted = schuss.diag(6 * X)
    wanted[0, 1] = wanted[1, 0] = 1.0
    assert_close(func.hessian(f)(X), wanted)
    assert_close(func.jacrev(func.jacrev(f))(X), wanted)
    assert_close(func.jacfwd(func.jacfwd(f))(X), wanted)
    assert_close(func.jacrev(func.jacfwd(f))(X), wanted)


def test_modes_over_each_other():
    along = func.jvp(func.grad(cubes), (X,), (ONES,))
    assert_close(along[0], 3 * X**2)
    assert_close(along[1], 6 * X)
    assert_close(func.grad(lambda x: func.jvp(cubes, (x,), (ONES,))[1])(X), 6 * X)
    twice = func.jvp(lambda x: func.jvp(cubes, (x,), (ONES,))[1], (X,), (ONES,))
    assert twice[0].item() == 42.0 and twice[1].item() == 36.0


def test_perturbations_of_two_levels_are_not_confused():
    # d/dx [x * d/dy (x + y)] is 1: the inner tangent must not see the outer one.
    def outer(x):
        return x * func.jvp(lambda y: x + y, (ONES,), (ONES,))[1]

    assert_close(func.jvp(outer, (X,), (ONES,))[1], ONES)


def test_tangents_of_nests():
    value, moved = func.jvp(
        lambda p: {"y": p["a"] * p["b"]}, ({"a": X, "b": X},), ({"a": ONES, "b": 0 * X},)
    )
    assert_close(value["y"], X * X)
    assert_close(moved["y"], X)


def test_a_constant_result_stands_still():
    _, moved = func.jvp(lambda x: ONES, (X,), (ONES,))
    assert_close(moved, 0 * X)
    with pytest.raises(RuntimeError, match="strict"):
        func.jvp(lambda x: ONES, (X,), (ONES,), strict=True)


def test_writes_in_place_carry_tangents():
    def f(x):
        y = schuss.zeros(3, dtype=schuss.float64)
        early = y[:2]
        y[0] = x[0] ** 2
        y[1:] = x[1:] * 3
        y *= 2
        return y, early

    (y, early), (moved, of_early) = func.jvp(f, (X,), (ONES,))
    assert_close(y, schuss.tensor([2.0, 12.0, 18.0], dtype=schuss.float64))
    assert_close(moved, schuss.tensor([4.0, 6.0, 6.0], dtype=schuss.float64))
    assert_close(early, y[:2])
    assert_close(of_early, moved[:2])
    assert_close(
        func.jacfwd(lambda x: f(x)[0])(X), schuss.diag(schuss.tensor([4.0, 6.0, 6.0]).double())
    )


def test_linearize():
    y, along = func.linearize(lambda x: x**2, X)
    assert_close(y, X**2)
    assert_close(along(ONES), 2 * X)
    assert_close(along(X), 2 * X**2)


def test_forward_mode_keeps_no_chain():
    # Peak memory of a long chain: the live tensors do not grow with its length.
    def chain(x, n):
        for _ in range(n):
            x = x * 1.000001
        return x

    def count(n):
        seen = []

        def watched(x):
            y = chain(x, n)
            gc.collect()
            seen.append(sum(isinstance(o, schuss.Tensor) for o in gc.get_objects()))
            return y

        func.jvp(watched, (schuss.tensor(1.0),), (schuss.tensor(1.0),))
        return seen[0]

    assert count(100_000) <= count(10) + 2


# ---- many examples ------------------------------------------------------------------------------


def test_axes_in_and_out():
    a = schuss.tensor(np.arange(6.0).reshape(2, 3))
    found = func.vmap(lambda x, y: (x + y, x * 2), in_dims=(1, None), out_dims=(1, 0))(a, ONES[:2])
    assert_close(found[0], a + 1)
    assert_close(found[1], a.T * 2)
    nested = func.vmap(lambda p: p["x"] + p["y"], in_dims=({"x": 0, "y": None},))({"x": a, "y": X})
    assert_close(nested, a + X)
    assert_close(func.vmap(lambda x: x, in_dims=-1, out_dims=-1)(a), a)
    assert_close(func.vmap(lambda x, k: x + k)(X, k=X), 2 * X)


def test_batches_nest():
    outer = func.vmap(func.vmap(lambda a, b: a * b, in_dims=(None, 0)), in_dims=(0, None))
    assert_close(outer(X, X), schuss.outer(X, X))


def test_chunks_give_the_same():
    a = schuss.randn(7, 3)
    assert_close(func.vmap(lambda x: x.softmax(0), chunk_size=3)(a), a.softmax(1))


def test_numbers_of_one_example_do_not_promote():
    a, d = schuss.randn(4, 3), schuss.randn(4, dtype=schuss.float64)
    assert func.vmap(lambda x, k: x * k)(a, d).dtype == schuss.float32
    assert func.vmap(lambda x, k: x * k)(a[:, 0], d).dtype == schuss.float64


def test_indices_that_differ():
    a = schuss.arange(24.0).reshape(4, 2, 3)
    i = schuss.tensor([[0, 1], [1, 2], [2, 0], [0, 0]])
    found = func.vmap(lambda x, i: x[:, i])(a, i)
    assert_close(found, schuss.stack([a[k][:, i[k]] for k in range(4)]))
    assert_close(
        func.vmap(lambda x, i: x[1, i])(a, i[:, 0]),
        schuss.stack([a[k, 1, i[k, 0]] for k in range(4)]),
    )


def test_gradients_of_single_samples():
    model = schuss.nn.Sequential(
        schuss.nn.Conv2d(1, 3, 3), schuss.nn.ReLU(), schuss.nn.Flatten(), schuss.nn.Linear(48, 2)
    )
    weights = {name: p.detach() for name, p in model.named_parameters()}
    xs, ys = schuss.randn(5, 1, 6, 6), schuss.tensor([0, 1, 1, 0, 1])

    def loss(p, x, y):
        out = func.functional_call(model, p, (x[None],))
        return schuss.nn.functional.cross_entropy(out, y[None])

    found = func.vmap(func.grad(loss), in_dims=(None, 0, 0))(weights, xs, ys)
    for k in range(5):
        for name, g in func.grad(loss)(weights, xs[k], ys[k]).items():
            assert_close(found[name][k], g, rtol=1e-4, atol=1e-6)


def test_an_ensemble_of_models():
    models = [schuss.nn.Linear(3, 2) for _ in range(4)]
    params, buffers = func.stack_module_state(models)
    base = models[0]
    found = func.vmap(lambda p, x: func.functional_call(base, p, (x,)), in_dims=(0, None))(
        params, X.float()
    )
    assert buffers == {}
    assert_close(found, schuss.stack([m(X.float()) for m in models]))


def test_random_numbers_are_asked_for():
    zeros = schuss.zeros(1000)
    with pytest.raises(RuntimeError, match="randomness"):
        func.vmap(lambda x: x + schuss.rand(()))(zeros)
    different = func.vmap(lambda x: x + schuss.rand(()), randomness="different")(zeros)
    assert len(set(different.tolist())) > 900
    assert (
        len(set(func.vmap(lambda x: x + schuss.rand(()), randomness="same")(zeros).tolist())) == 1
    )
    kept = func.vmap(lambda x: schuss.nn.functional.dropout(x, 0.5), randomness="different")(
        zeros + 1
    )
    assert 400 < int((kept == 0).sum()) < 600


def test_writes_in_place_to_what_differs():
    def f(x):
        y = schuss.zeros_like(x)
        y[0] = x[1]
        y[1:] += x[1:]
        return y.mul_(2)

    a = schuss.randn(4, 3)
    assert_close(func.vmap(f)(a), schuss.stack([f(row) for row in a]))


def test_what_differs_cannot_be_read_or_written_outside():
    held = schuss.zeros(3)
    for read in (
        lambda x: x.item(),
        lambda x: x if x > 0 else -x,
        lambda x: float(x),
        lambda x: x.numpy(),
        lambda x: x.tolist(),
        lambda x: np.asarray(x),
        lambda x: schuss.nonzero(x),
        lambda x: x[x > 0],
    ):
        with pytest.raises((RuntimeError, TypeError), match="example"):
            func.vmap(read)(schuss.ones(3))
    with pytest.raises(RuntimeError, match="same for all examples"):
        func.vmap(lambda x: held.add_(x))(schuss.ones(3))
    assert held.tolist() == [0, 0, 0]
    escaped = []
    func.vmap(lambda x: escaped.append(x) or x)(schuss.ones(3))
    assert "has ended" in repr(escaped[0])
    with pytest.raises(RuntimeError, match="example"):
        escaped[0] + 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: func.vmap(lambda x: x)(1.0), "no tensor"),
        (lambda: func.vmap(lambda x, y: x)(schuss.ones(2), schuss.ones(3)), "2 examples"),
        (lambda: func.vmap(lambda x: x, in_dims=(0, 0))(schuss.ones(2)), "2 entries"),
        (lambda: func.vmap(lambda x: x, in_dims=3)(schuss.ones(2)), "axis 3"),
        (lambda: func.vmap(lambda x: x, in_dims=None)(schuss.ones(2)), "in_dims"),
        (lambda: func.vmap(lambda x: 3)(schuss.ones(2)), "must return tensors"),
        (lambda: func.vmap(lambda x: x.requires_grad_())(schuss.ones(2)), "func.grad"),
        (lambda: func.vmap(lambda x: x, out_dims=None)(schuss.ones(2)), "out_dims"),
        (lambda: func.grad(lambda x: x)(X), "one number"),
        (lambda: func.grad(lambda x: 3.0)(X), "one tensor"),
        (lambda: func.grad(cubes)(schuss.tensor([1, 2])), "floats"),
        (lambda: func.grad(cubes, argnums=1)(X), "argnums"),
        (lambda: func.jvp(cubes, (X,), (ONES[:2],)), "tangent has shape"),
        (lambda: func.jvp(cubes, X, ONES), "tuple"),
        (lambda: func.jvp(cubes, (X,), (ONES, ONES)), "nested"),
        (lambda: func.vjp(lambda x: x, X)[1](ONES[:2]), "cotangent"),
        (lambda: func.stack_module_state([]), "at least one"),
    ],
)
def test_refusals(call, words):
    with pytest.raises((RuntimeError, ValueError, TypeError), match=words):
        call()
    # Nothing is left open.
    assert (schuss.ones(2) + 1).tolist() == [2.0, 2.0]


def test_an_error_inside_closes_all_levels():
    def fails(x):
        raise KeyError("inside")

    with pytest.raises(KeyError):
        func.vmap(func.grad(fails))(X)
    assert func.grad(cubes)(X).tolist() == [3.0, 12.0, 27.0]


# ---- users' own functions -----------------------------------------------------------------------


class Product(schuss.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * x * y

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return 2 * x * y * g, x * x * g


class Doubled(schuss.autograd.Function):
    calls = 0

    @staticmethod
    def forward(x):
        return x * 2

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        return g * 2

    @staticmethod
    def vmap(info, in_dims, x):
        Doubled.calls += 1
        assert info.batch_size == 3
        return Doubled.apply(x), in_dims[0]


def test_own_functions_are_transformed():
    y = X + 1
    assert_close(func.jvp(lambda x: Product.apply(x, y), (X,), (ONES,))[1], 2 * X * y)
    assert_close(func.jacfwd(lambda x: Product.apply(x, y))(X), schuss.diag(2 * X * y))
    assert_close(func.jacrev(lambda x: Product.apply(x, y))(X), schuss.diag(2 * X * y))
    assert_close(func.hessian(lambda x: Product.apply(x, y).sum())(X), schuss.diag(2 * y))
    assert_close(func.vmap(Product.apply)(X, y), X * X * y)
    assert_close(func.vmap(func.grad(Product.apply))(X, y), 2 * X * y)


def test_an_own_way_for_many_examples():
    before = Doubled.calls
    assert_close(func.vmap(Doubled.apply)(X), X * 2)
    assert Doubled.calls == before + 1


# ---- what once went wrong -----------------------------------------------------------------------


def filled(x):
    y = schuss.zeros_like(x)
    y[0] = x[0] * 2
    y[1:] = x[1:] ** 2
    return y


def early(x):
    y = schuss.zeros_like(x)
    view = y[0:1]
    y.copy_(x)
    view.mul_(2)
    return y


def neighbours(x):
    return (x.unfold(0, 2, 1) ** 2).sum()


def test_values_of_reverse_mode_keep_outer_tangents():
    assert_close(func.jvp(lambda x: func.vjp(lambda y: y**2, x)[0], (X,), (ONES,))[1], 2 * X)
    assert_close(func.jacfwd(lambda x: func.grad_and_value(cubes)(x)[1])(X), 3 * X**2)
    nested = func.jvp(lambda x: func.jvp(Product.apply, (X, x), (x, 0 * x))[1], (X,), (ONES,))
    assert_close(nested[1], 4 * X * X)


def test_writes_through_views_carry_tangents_of_many_examples():
    a = schuss.stack([X, X + 3])
    assert_close(
        func.hessian(lambda x: (filled(x) ** 2).sum())(X), schuss.diag(12 * X**2 - 4 * (X == 1))
    )
    assert_close(func.vmap(func.jacfwd(filled))(a)[1], schuss.diag(a[1] * 2 - 6 * (a[1] == 4)))
    moved = func.vmap(lambda x: func.jvp(early, (x,), (ONES,))[1])(a)
    assert_close(moved, schuss.tensor([[2.0, 1.0, 1.0]] * 2).double())


def test_windows_of_examples_that_do_not_follow_each_other():
    assert_close(func.hessian(neighbours)(X), schuss.diag(schuss.tensor([2.0, 4.0, 2.0]).double()))
    across = schuss.arange(6.0).reshape(3, 2)
    found = func.vmap(func.grad(neighbours), in_dims=1)(across)
    assert_close(found, schuss.tensor([[0.0, 8.0, 8.0], [2.0, 12.0, 10.0]]))


def test_levels_of_threads_are_not_confused():
    import threading

    kept, found = [], []

    def elsewhere():
        func.jvp(lambda x: kept.append(x * 1) or x, (X,), (100 * ONES,))

    def here():
        found.append(func.jvp(lambda y: y * kept[0], (X,), (ONES,)))

    for work in (elsewhere, here):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert_close(found[0][1], X)


def test_rows_of_padding_have_no_gradient_in_any_example():
    w, i = schuss.arange(10.0).reshape(5, 2), schuss.tensor([[1, 1, 2], [0, 1, 3]])
    f = func.grad(lambda w, i: schuss.nn.functional.embedding(i, w, padding_idx=1).sum())
    found = func.vmap(f, in_dims=(None, 0))(w, i)
    assert_close(found, schuss.stack([f(w, row) for row in i]))
    assert found[0, 1].tolist() == [0.0, 0.0]


def test_detaching_in_place_stops_tangents():
    def f(x):
        return ((x * 1).detach_() * x).sum()

    assert func.jvp(f, (X,), (ONES,))[1].item() == 6.0
    assert_close(func.vmap(func.grad(f))(schuss.stack([X, ONES])), schuss.stack([X, ONES]))


@pytest.mark.parametrize("name", ["sin_", "exp_", "sigmoid_", "relu_"])
def test_derivatives_of_writes_in_place_in_many_examples(name):
    def f(x):
        return getattr(x * 1, name)().sum()

    a = schuss.stack([X, -X])
    wanted = schuss.stack([func.grad(f)(row) for row in a])
    assert_close(func.vmap(func.grad(f))(a), wanted)
    assert_close(func.grad(lambda a: func.vmap(f)(a).sum())(a), wanted)


def test_data_is_not_exchanged_inside():
    def f(x):
        y = x * 1
        y.data = x * x
        return y

    with pytest.raises(RuntimeError, match="exchanged"):
        func.vmap(f)(X)


def test_no_examples_at_all():
    assert func.vmap(lambda x: x.sum() + x.argmax())(schuss.zeros(0)).shape == (0,)
