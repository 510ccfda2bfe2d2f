"""Jacobians, hessians and their products with vectors, against closed forms and each other.

Leans on schuss.autograd.functional, NumPy and pytest.
"""

from __future__ import annotations

import numpy as np
import pytest
import schuss
from schuss.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp

A = np.array([[1.0, 2.0, -1.0], [0.5, -3.0, 4.0]])
S = np.array([[2.0, 1.0], [1.0, 5.0]])
X = schuss.tensor([0.3, -0.7], dtype=schuss.float64)
STRATEGIES = ["reverse-mode", "forward-mode"]


def near(found, wanted):
    assert isinstance(found, schuss.Tensor) and not found.requires_grad
    assert tuple(found.shape) == np.shape(wanted)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12, atol=1e-14)


def linear(x):
    return schuss.tensor(A) @ x


def quadratic(x):
    return 0.5 * x @ schuss.tensor(S) @ x


def cubes(x):
    return (x**3).sum()


# ---- jacobians ----------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("vectorize", [False, True])
def test_jacobian_of_a_linear_map_is_its_matrix(strategy, vectorize):
    x = schuss.tensor([1.0, 2.0, 3.0], dtype=schuss.float64)
    near(jacobian(linear, x, vectorize=vectorize, strategy=strategy), A)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_jacobian_of_a_map_by_elements_is_diagonal(strategy):
    near(jacobian(schuss.exp, X, strategy=strategy), np.diag(np.exp(X.numpy())))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_jacobian_has_the_axes_of_the_output_and_then_of_the_input(strategy):
    x = schuss.arange(6, dtype=schuss.float64).reshape(2, 3)
    found = jacobian(lambda x: x.sum(0, keepdim=True), x, strategy=strategy)
    wanted = np.broadcast_to(np.eye(3)[:, None, :], (3, 2, 3))[None]
    near(found, wanted)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_jacobian_of_several_outputs_at_several_inputs(strategy):
    y = schuss.tensor(2.0, dtype=schuss.float64)
    found = jacobian(lambda x, y: (x * y, y**3), (X, y), strategy=strategy)
    assert [len(row) for row in found] == [2, 2]
    near(found[0][0], 2 * np.eye(2))
    near(found[0][1], X.numpy())
    near(found[1][0], np.zeros(2))
    near(found[1][1], 12.0)
    assert isinstance(jacobian(lambda x: x, (X,)), tuple)
    assert isinstance(jacobian(lambda x: (x,), X), tuple)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_jacobian_of_a_constant_and_of_nothing(strategy):
    near(jacobian(lambda x: schuss.ones(3, dtype=x.dtype), X, strategy=strategy), np.zeros((3, 2)))
    empty = schuss.zeros(0, dtype=schuss.float64)
    near(jacobian(lambda x: 2 * x, empty, strategy=strategy), np.zeros((0, 0)))
    near(jacobian(lambda x: x[:0], X, strategy=strategy), np.zeros((0, 2)))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_jacobian_can_be_differentiated_again(strategy):
    x = X.clone().requires_grad_()
    found = jacobian(lambda x: x**3, x, create_graph=True, strategy=strategy)
    (second,) = schuss.autograd.grad(found.sum(), x)
    near(second, 6 * X.numpy())


def test_nothing_is_left_on_the_inputs():
    x = X.clone().requires_grad_()
    with schuss.no_grad():
        near(jacobian(lambda x: x * x, x), np.diag(2 * X.numpy()))
    assert x.grad is None and x.requires_grad


# ---- hessians -----------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_hessian_of_a_quadratic_form_is_its_matrix(strategy):
    near(hessian(quadratic, X, outer_jacobian_strategy=strategy), S)


def test_hessian_of_a_linear_function_is_zero():
    near(hessian(lambda x: x.sum(), X), np.zeros((2, 2)))


def test_hessian_of_one_number_in_an_axis():
    near(hessian(lambda x: cubes(x).reshape(1, 1), X), np.diag(6 * X.numpy()))


def test_hessian_of_several_inputs_is_made_of_blocks():
    y = schuss.tensor([2.0, 3.0], dtype=schuss.float64)
    found = hessian(lambda x, y: (x * x * y).sum(), (X, y))
    near(found[0][0], np.diag(2 * y.numpy()))
    near(found[0][1], np.diag(2 * X.numpy()))
    near(found[1][0], np.diag(2 * X.numpy()))
    near(found[1][1], np.zeros((2, 2)))


def test_hessian_can_be_differentiated_again():
    x = X.clone().requires_grad_()
    (third,) = schuss.autograd.grad(hessian(lambda x: (x**4).sum(), x, create_graph=True).sum(), x)
    near(third, 24 * X.numpy())


# ---- products -----------------------------------------------------------------------------------


def test_products_are_those_of_the_whole_matrices():
    x = schuss.tensor([0.3, -0.7, 1.1], dtype=schuss.float64)

    def bent(x):
        return (schuss.tensor(A) @ x.sin()).exp()

    whole = jacobian(bent, x).numpy()
    v, w = np.array([2.0, -1.0]), np.array([1.0, 0.5, -2.0])
    value, found = vjp(bent, x, schuss.tensor(v))
    near(value, bent(x).numpy())
    near(found, v @ whole)
    value, found = jvp(bent, x, schuss.tensor(w))
    near(value, bent(x).numpy())
    near(found, whole @ w)


@pytest.mark.parametrize("product", [hvp, vhp])
def test_products_with_the_hessian(product):
    v = schuss.tensor([1.0, -2.0], dtype=schuss.float64)
    value, found = product(quadratic, X, v)
    near(value, quadratic(X).numpy())
    near(found, S @ v.numpy())
    value, (first, second) = product(lambda x, y: (x * x * y).sum(), (X, X), (v, v))
    near(value, (X.numpy() ** 3).sum())
    near(first, 4 * X.numpy() * v.numpy())
    near(second, 2 * X.numpy() * v.numpy())


def test_the_vector_may_be_left_out_at_one_number():
    x = schuss.tensor(0.5, dtype=schuss.float64)
    near(vjp(lambda x: x.sum(), X)[1], np.ones(2))
    near(jvp(lambda x: x * X, x)[1], X.numpy())
    near(hvp(lambda x: x**3, x)[1], 3.0)
    near(vhp(lambda x: x**3, x)[1], 3.0)


@pytest.mark.parametrize("product", [vjp, jvp])
def test_products_can_be_differentiated_again(product):
    x = X.clone().requires_grad_()
    value, found = product(lambda x: x**3, x, schuss.ones(2, dtype=x.dtype), create_graph=True)
    assert value.requires_grad
    (second,) = schuss.autograd.grad(found.sum(), x)
    near(second, 6 * X.numpy())


# ---- refusals -----------------------------------------------------------------------------------

ONES = schuss.ones(2, dtype=schuss.float64)


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda: jacobian(schuss.exp, [X]), TypeError, r"jacobian: inputs .* got list"),
        (lambda: jacobian(schuss.exp, (X, 1.0)), TypeError, r"item 1 is a float"),
        (lambda: jvp(lambda x: 3.0, X, ONES), TypeError, r"jvp: what the function returns .*float"),
        (lambda: vjp(schuss.exp, X), RuntimeError, r"vjp: v may be left out only where the output"),
        (lambda: jvp(schuss.exp, X), RuntimeError, r"jvp: v may be left out only where the input"),
        (lambda: jvp(schuss.exp, X, ONES[:1]), ValueError, r"jvp: v has shape \(1,\) .* \(2,\)"),
        (lambda: vjp(schuss.exp, X, (ONES, ONES)), RuntimeError, r"v has 2 tensors, the output 1"),
        (lambda: hessian(schuss.exp, X), RuntimeError, r"hessian: .* one number, got .*\(2,\)"),
        (lambda: jacobian(schuss.exp, X, strategy="sideways"), ValueError, r"'sideways'"),
        (lambda: jacobian(schuss.exp, X.long()), RuntimeError, r"float"),
        (lambda: jacobian(lambda x: ONES, X, strict=True), schuss.GradError, r"output 0 does not"),
        (
            lambda: jacobian(lambda x, y: x * x, (X, X), strict=True),
            schuss.GradError,
            r"not depend on input 1",
        ),
        (lambda: hessian(lambda x: x.sum(), X, strict=True), schuss.GradError, r"derivative does"),
        (lambda: hvp(lambda x: x.sum(), X, ONES, strict=True), schuss.GradError, r"strict=True"),
    ],
)
def test_refusals(act, kind, message):
    with pytest.raises(kind, match=message):
        act()


def test_several_cotangents_at_once():
    # The numbers are PyTorch 2.15's for the same calls.
    x = schuss.tensor([1.0, 2.0], requires_grad=True)
    w = schuss.tensor([3.0, 4.0], requires_grad=True)
    unused = schuss.ones(2, requires_grad=True)
    y, z = x * w, x * x
    more = {"retain_graph": True, "is_grads_batched": True}
    both = (schuss.eye(2), schuss.ones(2, 2))
    by_x, by_w = schuss.autograd.grad([y, z], [x, w], both, **more)
    assert by_x.tolist() == [[5.0, 4.0], [2.0, 8.0]] and by_w.tolist() == [[1.0, 0.0], [0.0, 2.0]]
    found = schuss.autograd.grad(y, [x, unused], schuss.eye(2), allow_unused=True, **more)
    assert found[0].tolist() == [[3.0, 0.0], [0.0, 4.0]] and found[1] is None
    with pytest.raises(ValueError, match="needs grad_outputs of one length"):
        schuss.autograd.grad([y, z], x, (schuss.eye(2), schuss.ones(3, 2)), **more)
