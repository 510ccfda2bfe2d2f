"""Gradients of one's own, and what schuss.tf has besides TensorFlow's names.

Leans on schuss.tf, nearness and pytest. All but tests named `ours` are TensorFlow programs: with
`import tensorflow as tf` in the place of the import below, and `-k "not ours"`, TensorFlow 2.21
(with Keras 3.15) passes them too, and that is where their values come from.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import schuss.tf as tf
from nearness import close

# ---- gradients of one's own ---------------------------------------------------------------------


def test_custom_gradient_twice():
    @tf.custom_gradient
    def log1pexp(x):
        e = tf.exp(x)

        def grad(upstream):
            return upstream * (1 - 1 / (1 + e))

        return tf.math.log(1 + e), grad

    x = tf.constant(1.0)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = log1pexp(x)
        first = inner.gradient(y, x)
    assert log1pexp.__name__ == "log1pexp"
    close(y, np.float32(1.3132616))
    close(first, np.float32(0.7310586))
    close(outer.gradient(first, x), np.float32(0.19661194))


def test_custom_gradient_of_several():
    @tf.custom_gradient
    def two(x, y):
        return (x * y, x + y), lambda a, b: (a * 10.0, b * 100.0)

    x, y = tf.constant(3.0), tf.Variable(2.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        first, second = two(x, y)
        both = first + 5.0 * second
    close(both, 31.0)
    at_x, at_y = tape.gradient(both, [x, y])
    close(at_x, 10.0)
    close(at_y, 500.0)
    close(tape.gradient(first, y), 0.0)


def test_custom_gradient_of_a_number():
    @tf.custom_gradient
    def scaled(x, factor):
        return x * factor, lambda upstream: (upstream * 7.0, None)

    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = scaled(x, 2.0)
    close(y, 6.0)
    close(tape.gradient(y, x), 7.0)


def test_custom_gradient_and_variables():
    w = tf.Variable(4.0)

    @tf.custom_gradient
    def times(x):
        def grad(upstream, variables=None):
            return upstream * w, [upstream * 7.0 for _ in variables]

        return x * w, grad

    @tf.custom_gradient
    def careless(x):
        return x * w, lambda upstream: upstream

    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = times(x) * 2.0
    at_x, at_w = tape.gradient(y, [x, w])
    close(at_x, 8.0)
    close(at_w, 14.0)
    with pytest.raises(TypeError, match="'variables'"):
        careless(x)


def test_custom_gradient_refuses():
    @tf.custom_gradient
    def wrong(x):
        return x * 1.0, lambda upstream: (upstream, upstream)

    @tf.custom_gradient
    def nothing(x):
        return x * 1.0

    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = wrong(x)
    with pytest.raises(ValueError, match="custom_gradient"):
        tape.gradient(y, x)
    with pytest.raises(TypeError):
        nothing(x)


def test_stop_gradient():
    x, v = tf.constant(3.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * tf.stop_gradient(x * x) + tf.stop_gradient(v)
    at_x, at_v = tape.gradient(y, [x, v])
    close(at_x, 9.0)
    assert at_v is None


def test_register_gradient_taken():
    @tf.RegisterGradient("TestTaken")
    def rule(op, grad):
        return grad

    assert rule("op", 1) == 1
    for name in ("TestTaken", "Square"):
        with pytest.raises(KeyError):
            tf.RegisterGradient(name)(rule)
    with pytest.raises(TypeError):
        tf.RegisterGradient(3)


# ---- what is schuss's own -----------------------------------------------------------------------


@tf.RegisterGradient("TestDoubleSquare")
def _double_square(op, grad):
    return 2.0 * (2.0 * op.inputs[0] * grad)


@tf.RegisterGradient("TestReverse")
def _reverse(op, grad):
    return -grad


@tf.RegisterGradient("TestSwap")
def _swap(op, grad):
    x, y = op.inputs
    assert op.name == "mul" and len(op.outputs) == 1
    return grad * x, grad * y


@tf.RegisterGradient("TestTooMany")
def _too_many(op, grad):
    return grad, grad


def test_ours_override_maps():
    x = tf.constant(3.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        with tf.gradient_override_map({"Square": "TestDoubleSquare"}):
            y = tf.square(x)
            with tf.compat.v1.get_default_graph().gradient_override_map(
                {"Identity": "TestReverse"}
            ):
                z = tf.identity(tf.square(x))
        plain = tf.square(x)
    close(y, 9.0)
    close(tape.gradient(y, x), 12.0)
    close(tape.gradient(z, x), -12.0)
    close(tape.gradient(plain, x), 6.0)


def test_ours_override_of_two_operands():
    x, y = tf.Variable(3.0), tf.Variable(5.0)
    with tf.GradientTape() as tape, tf.gradient_override_map({"Mul": "TestSwap"}):
        z = x * y
    at_x, at_y = tape.gradient(z, [x, y])
    close(at_x, 3.0)
    close(at_y, 5.0)


def test_ours_override_refuses():
    for names, error in [
        ({"Square": "NeverRegistered"}, LookupError),
        ({"NoSuchOperator": "TestReverse"}, LookupError),
        ({"Square": 3}, TypeError),
        (["Square"], TypeError),
    ]:
        with pytest.raises(error), tf.gradient_override_map(names):
            pass
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape, tf.gradient_override_map({"Square": "TestTooMany"}):
        y = tf.square(x)
    with pytest.raises(ValueError, match="1 inputs, the rule returned 2"):
        tape.gradient(y, x)


def test_ours_override_ends_with_an_exception():
    x = tf.Variable(3.0)
    with pytest.raises(KeyError), tf.gradient_override_map({"Square": "TestReverse"}):
        raise KeyError("k")
    with tf.GradientTape() as tape:
        y = tf.square(x)
    close(tape.gradient(y, x), 6.0)


def test_ours_operators_are_records():
    from schuss.tf.operators import OPERATORS, record_of

    assert all(record_of(name) == record for name, record in OPERATORS.items())


def test_ours_variable_is_a_tensor():
    v = tf.Variable([1.0, 2.0], name="v", trainable=False)
    assert isinstance(v, tf.Tensor) and not v.requires_grad
    assert f"{tf.Variable(1.5):.2f}" == "1.50"
    twin = copy.deepcopy(v)
    assert twin.name == "v:0" and not twin.trainable and twin.numpy().tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"shape \(2,\), the value \(3,\)"):
        v.assign([1.0, 2.0, 3.0])


def test_ours_plain_tensors_mix_with_variables():
    import schuss

    v = tf.Variable(2.0)
    x = schuss.linspace(-1, 1, 5)
    with schuss.GradientTape() as tape:
        y = tf.reduce_sum(tf.square(v * x))
    close(tape.gradient(y, v), 10.0)


def test_ours_custom_gradient_and_backward():
    import schuss

    @tf.custom_gradient
    def clipped(x):
        return x * 1.0, lambda upstream: tf.clip_by_value(upstream, -1.0, 1.0)

    x = schuss.tensor(2.0, requires_grad=True)
    (10.0 * clipped(x)).backward()
    assert x.grad.item() == 1.0


def test_ours_minimize():
    w = tf.Variable([3.0, -2.0], constraint=lambda x: tf.maximum(x, 0.0))
    optimizer = tf.optimizers.SGD(learning_rate=lambda step: 0.5 / (step + 1))
    assert int(optimizer.minimize(lambda: tf.reduce_sum(w * w), [w])) == 1
    close(w, [0.0, 0.0])
    with pytest.raises(ValueError, match="needs the tape"):
        optimizer.minimize(w * 1.0, [w])


def test_ours_print(capsys):
    tf.print("w", tf.Variable([1.0, 2.0]), 3, sep="|")
    assert capsys.readouterr().err == "w|[1. 2.]|3\n"


def test_ours_long_lists_and_bad_shapes():
    with pytest.raises(ValueError, match="negative"):
        tf.zeros([-1])
    with pytest.raises(ValueError, match="empty list"):
        tf.stack([])
    with pytest.raises(TypeError, match="str"):
        tf.constant("text")
    for value, dtype in [
        (300, "uint8"),
        ([-1], "uint8"),
        (2**40, "int32"),
        (np.array([300]), "int8"),
    ]:
        with pytest.raises(ValueError, match=f"out of the range of {dtype}"):
            tf.constant(value, dtype)
    with pytest.raises(TypeError, match="needs integers, got float32"):
        tf.one_hot([0.0], 2)
    with pytest.raises(IndexError, match=r"index 5 is not in \[0, 2\)"):
        tf.gather([10, 20], 5)
    with pytest.raises(IndexError, match="axis 3 is out of range for rank 1"):
        tf.reduce_sum(tf.ones(2), axis=3)


def test_lists_are_factors_of_products():
    w = tf.constant([[1.0], [2.0], [3.0]])
    close([[1.0, 2.0, 3.0]] @ w, [[14.0]], "float32")
    close(w @ [[1.0, 2.0]], [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], "float32")
    with tf.GradientTape() as tape:
        tape.watch(w)
        y = [[1.0, 2.0, 3.0]] @ w
    close(tape.gradient(y, w), [[1.0], [2.0], [3.0]], "float32")
    assert w.shape.as_list() == [3, 1]
