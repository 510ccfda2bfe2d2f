"""GradientTape: the gradients it gives, tapes in tapes, jacobians.

Leans on schuss.tf, nearness, schuss and pytest. All but the tests named `ours` are TensorFlow
programs: with `import tensorflow as tf` in the place of the import below, and `-k "not ours"`,
TensorFlow 2.21 passes them too, and that is where their values come from.
"""

from __future__ import annotations

import collections

import numpy as np
import pytest
import schuss.tf as tf
from nearness import close

Point = collections.namedtuple("Point", "a b")
ZERO = "zero", tf.UnconnectedGradients.ZERO


def cube(x, **options):
    """A tape that has recorded x ** 3 by products, and the result."""
    with tf.GradientTape(**options) as tape:
        tape.watch(x)
        y = x * x * x
    return tape, y


# ---- gradient -----------------------------------------------------------------------------------


def test_variable_is_watched_when_read():
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = v * v
    close(tape.gradient(y, v), 6.0)


def test_constant_needs_watch():
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        y = x * x
    assert tape.gradient(y, x) is None


def test_equal_tensor_is_another_source():
    tape, y = cube(tf.constant([1.0, 2.0]))
    assert tape.gradient(y, tf.constant([1.0, 2.0])) is None


def test_gradient_of_vector_is_that_of_its_sum():
    x = tf.constant([1.0, 2.0])
    tape, y = cube(x)
    close(tape.gradient(y, x), [3.0, 12.0])


def test_nests_of_sources_and_targets():
    x, v = tf.constant(3.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x * v
    sources = {"z": Point(x, v), "b": [x, (v,)]}
    grads = tape.gradient({"p": y, "q": [y, (y,)]}, sources)
    assert list(grads) == ["z", "b"] and isinstance(grads["z"], Point)
    assert isinstance(grads["b"], list) and isinstance(grads["b"][1], tuple)
    for found, expected in [
        (grads["z"].a, 36.0),
        (grads["z"].b, 27.0),
        (grads["b"][0], 36.0),
        (grads["b"][1][0], 27.0),
    ]:
        close(found, expected)


def test_no_sources_and_no_targets():
    x = tf.constant(3.0)
    tape, y = cube(x, persistent=True)
    assert tape.gradient(y, []) == []
    assert tape.gradient([], x) is None


def test_same_source_twice():
    x = tf.constant(2.0)
    tape, y = cube(x)
    first, second = tape.gradient(y, [x, x])
    close(first, 12.0)
    close(second, 12.0)


def test_target_is_its_own_source():
    x = tf.constant(3.0)
    tape, _ = cube(x)
    close(tape.gradient(x, x), 1.0)


def test_intermediate_source():
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    at_y, at_x = tape.gradient(z, [y, x])
    close(at_y, 18.0)
    close(at_x, 108.0)


def test_matrix_product():
    w, b = tf.Variable([[1.0], [2.0]]), tf.Variable(0.5)
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(tf.matmul(x, w) + b))
    at_w, at_b = tape.gradient(loss, (w, b))
    close(loss, 81.25)
    close(at_w, [[40.0], [57.0]])
    close(at_b, 17.0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1.0, 10.0], [3.0, 120.0]),
        (2.0, [6.0, 24.0]),
        (None, [3.0, 12.0]),
    ],
)
def test_output_gradients(given, expected):
    x = tf.constant([1.0, 2.0])
    tape, y = cube(x)
    seed = None if given is None else tf.constant(given)
    close(tape.gradient(y, x, output_gradients=seed), expected)


def test_output_gradients_of_several_targets():
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, z = x * x, x * 3.0
    seeds = [tf.constant([1.0, 2.0]), tf.constant([1.0, 1.0])]
    close(tape.gradient([y, z], x, output_gradients=seeds), [5.0, 11.0])


@pytest.mark.parametrize(
    ("seed", "error"),
    [
        (lambda: tf.constant([1.0, 2.0, 3.0]), tf.errors.InvalidArgumentError),
        (lambda: tf.constant([1, 2]), tf.errors.InvalidArgumentError),
        (lambda: tf.constant([1.0, 2.0], tf.float64), tf.errors.InvalidArgumentError),
    ],
    ids=["shape", "integers", "float64"],
)
def test_output_gradients_that_do_not_fit(seed, error):
    x = tf.constant([1.0, 2.0])
    tape, y = cube(x)
    with pytest.raises(error):
        tape.gradient(y, x, output_gradients=seed())


def test_unconnected_gradients():
    x = tf.constant(3.0)
    others = [tf.Variable(2.0), tf.constant([1.0, 2.0])]
    tape, y = cube(x, persistent=True)
    assert tape.gradient(y, others) == [None, None]
    assert tape.gradient(y, others, unconnected_gradients="none") == [None, None]
    for choice in ZERO:
        first, second = tape.gradient(y, others, unconnected_gradients=choice)
        close(first, 0.0)
        close(second, [0.0, 0.0])


@pytest.mark.parametrize("choice", ["zeros", None, True])
def test_unconnected_gradients_unknown(choice):
    x = tf.constant(3.0)
    tape, y = cube(x)
    with pytest.raises(ValueError, match="Unknown value for unconnected_gradients"):
        tape.gradient(y, x, unconnected_gradients=choice)


def test_variable_replaced_by_a_tensor_is_another_source():
    v = kept = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        v = v + 1.0
        y = v * v
    at_new, at_old = tape.gradient(y, [v, kept])
    close(at_new, 6.0)
    close(at_old, 6.0)


def test_computing_outside_cuts_the_gradient():
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = tf.constant(np.square(v.numpy())) * 2.0
    assert tape.gradient(y, v) is None


def test_gradient_does_not_pass_an_integer():
    v = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = tf.cast(tf.cast(v * 3.0, tf.int32), tf.float32) * 2.0
    assert tape.gradient(y, v) is None


# ---- tapes in tapes -----------------------------------------------------------------------------


def test_second_derivative():
    x = tf.Variable(3.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = x * x * x
        first = inner.gradient(y, x)
    close(first, 27.0)
    close(outer.gradient(first, x), 18.0)


def test_fourth_derivative():
    x = tf.Variable(2.0)
    with tf.GradientTape() as t4:
        with tf.GradientTape() as t3:
            with tf.GradientTape() as t2:
                with tf.GradientTape() as t1:
                    y = tf.sin(x)
                d1 = t1.gradient(y, x)
            d2 = t2.gradient(d1, x)
        d3 = t3.gradient(d2, x)
    for found, expected in [(d1, np.cos(2)), (d2, -np.sin(2)), (d3, -np.cos(2))]:
        close(found, np.float32(expected))
    close(t4.gradient(d3, x), np.float32(np.sin(2)))


def test_gradient_of_a_gradient_norm():
    x, w = tf.constant([[1.0, 2.0]]), tf.Variable([[1.0], [-1.0]])
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.matmul(x, w) ** 2
        at_x = inner.gradient(y, x)
        penalty = tf.reduce_sum(tf.square(at_x))
    close(penalty, 8.0)
    close(outer.gradient(penalty, w), [[-8.0], [-40.0]])


def test_inner_gradient_inside_both_blocks():
    x = tf.Variable(2.0)
    with tf.GradientTape() as outer, tf.GradientTape() as inner:
        y = x * x * x
        first = inner.gradient(y, x)
        z = first * x
    close(outer.gradient(z, x), 36.0)


def test_outer_tape_may_be_asked_alone():
    x = tf.Variable(2.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape():
            y = x * x
        z = y * 3.0
    close(outer.gradient(z, x), 12.0)


# ---- jacobian -----------------------------------------------------------------------------------


def test_jacobian():
    a, b = tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(a)
        y = tf.reduce_sum(a * b, axis=1)
    found = tape.jacobian(y, {"b": b, "a": [a]})
    close(found["b"], [[1.0, 2.0], [3.0, 4.0]])
    close(found["a"][0], [[[1.0, 2.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 2.0]]])


def test_jacobian_of_a_scalar():
    x = tf.constant(3.0)
    tape, y = cube(x)
    close(tape.jacobian(y, x), 27.0)


@pytest.mark.parametrize(("choice", "expected"), [("none", None), ("zero", np.zeros((2, 2)))])
def test_jacobian_unconnected(choice, expected):
    x = tf.constant([1.0, 2.0])
    tape, y = cube(x)
    found, lost = tape.jacobian(y, [x, tf.constant([1.0, 2.0])], unconnected_gradients=choice)
    close(found, [[3.0, 0.0], [0.0, 12.0]])
    if expected is None:
        assert lost is None
    else:
        close(lost, expected)


def test_jacobian_one_by_one_needs_persistent():
    x = tf.constant([1.0, 2.0])
    tape, y = cube(x)
    with pytest.raises(RuntimeError, match="must be created with persistent=True"):
        tape.jacobian(y, x, experimental_use_pfor=False)
    tape, y = cube(x, persistent=True)
    close(tape.jacobian(y, x, experimental_use_pfor=False), [[3.0, 0.0], [0.0, 12.0]])


def test_hessian():
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(x * x * x) + x[0] * x[1]
        first = inner.gradient(y, x)
    close(first, [5.0, 13.0])
    close(outer.jacobian(first, x), [[6.0, 1.0], [1.0, 12.0]])


def test_gradient_of_a_jacobian():
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = x * x * x
        first = inner.jacobian(y, x)
    close(first, [[3.0, 0.0], [0.0, 12.0]])
    close(outer.gradient(first, x), [6.0, 12.0])


def test_batch_jacobian():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    w = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, z = x * x, tf.matmul(x, w)
    close(tape.batch_jacobian(y, x), [[[2.0, 0.0], [0.0, 4.0]], [[6.0, 0.0], [0.0, 8.0]]])
    close(tape.batch_jacobian(z, x), [[[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]] * 2)
    close(tape.batch_jacobian(tf.constant([[1.0], [2.0]]), x), np.zeros((2, 1, 2)))


def test_batch_jacobian_refuses():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    row = tf.constant([1.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, row])
        long, flat = tf.concat([x, x], 0), row * row
    with pytest.raises(ValueError, match="rank at least 2"):
        tape.batch_jacobian(flat, row)
    with pytest.raises(ValueError, match="first dimension of target"):
        tape.batch_jacobian(long, x)
