"""Modules, optimizers and losses by TensorFlow's names.

Leans on schuss.tf, nearness and pytest. All but tests named `ours` are TensorFlow programs: with
`import tensorflow as tf` in the place of the import below, and `-k "not ours"`, TensorFlow 2.21
(with Keras 3.15) passes them too, and that is where their values come from.
"""

from __future__ import annotations

import pytest
import schuss.tf as tf
from nearness import close

# ---- modules, optimizers, losses ----------------------------------------------------------------


class Layer(tf.Module):
    def __init__(self, name=None):
        super().__init__(name=name)
        self.w = tf.Variable(1.0, name="w")
        self.b = tf.Variable([1.0], trainable=False)
        self.many = [tf.Variable(2.0)]
        self.named = {"k": tf.Variable(3.0)}
        self.below = None


def test_module():
    top = Layer()
    top.below = Layer("below")
    top.twin = top.below
    values = [float(tf.reduce_sum(v)) for v in top.variables]
    assert values == [1.0, 2.0, 3.0, 1.0] * 2
    assert len(top.trainable_variables) == 6 and len(top.non_trainable_variables) == 2
    assert top.submodules == (top.below,)
    assert (top.name, top.below.name) == ("layer", "below")
    with pytest.raises(ValueError, match="not a valid module name"):
        tf.Module(name="1 x")


def test_module_name_scope():
    class MyDense(tf.Module):
        @tf.Module.with_name_scope
        def __call__(self):
            return tf.Variable(1.0, name="v")

    assert MyDense()().name == "my_dense/v:0"


def test_function():
    @tf.function
    def square(x):
        return x * x

    @tf.function(jit_compile=False)
    def double(x):
        return x * 2.0

    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = double(square(v))
    close(tape.gradient(y, v), 12.0)


OPTIMIZERS = {
    "SGD": (lambda o: o.SGD(0.1), [0.5119999647140503, 0.12799997627735138]),
    "SGD default": (lambda o: o.SGD(), [0.9411920309066772, 1.6611679792404175]),
    "momentum": (lambda o: o.SGD(0.1, momentum=0.9), [0.062000006437301636, -1.7080000638961792]),
    "Nesterov": (
        lambda o: o.SGD(0.1, momentum=0.9, nesterov=True),
        [-0.1083519458770752, -0.6081279516220093],
    ),
    "Adam": (lambda o: o.Adam(0.1), [0.7015886306762695, 1.7006254196166992]),
    "Adam default": (lambda o: o.Adam(), [0.9970000982284546, 1.9970000982284546]),
    "AMSGrad": (lambda o: o.Adam(0.1, amsgrad=True), [0.7015886306762695, 1.7006254196166992]),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name):
    make, expected = OPTIMIZERS[name]
    optimizer = make(tf.optimizers)
    w = tf.Variable([1.0, 2.0])
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(w**2 * [1.0, 3.0])
        optimizer.apply_gradients(zip([tape.gradient(loss, w)], [w], strict=True))
    close(w, expected)
    assert int(optimizer.iterations) == 3


def test_optimizer_without_gradients():
    v, w = tf.Variable(1.0), tf.Variable(1.0)
    with pytest.raises(ValueError, match="No gradients provided for any variable"):
        tf.keras.optimizers.SGD(0.1).apply_gradients([(None, w)])
    with pytest.warns(UserWarning, match="Gradients do not exist for variables"):
        tf.keras.optimizers.SGD(0.1).apply_gradients([(None, v), (tf.constant(1.0), w)])
    close(v, 1.0)
    close(w, 0.9)


def test_learning_rate_is_set():
    w = tf.Variable(1.0)
    optimizer = tf.optimizers.SGD(0.1)
    optimizer.learning_rate = 0.5
    optimizer.apply_gradients([(tf.constant(1.0), w)])
    close(w, 0.5)
    optimizer.learning_rate.assign(0.25)
    optimizer.apply_gradients([(tf.constant(1.0), w)])
    close(w, 0.25)


TRUE, PRED = [[0.0, 1.0], [1.0, 0.0]], [[0.1, 0.9], [0.6, 0.4]]
LOSSES = {
    "MSE": (lambda k: k.MeanSquaredError()(TRUE, PRED), 0.085),
    "MSE sum": (lambda k: k.MeanSquaredError(reduction="sum")(TRUE, PRED), 0.17),
    "MSE none": (lambda k: k.MeanSquaredError(reduction="none")(TRUE, PRED), [0.01, 0.16]),
    "mse": (lambda k: k.MSE(tf.constant(TRUE), tf.constant(PRED)), [0.01, 0.16]),
    "MSE of integers": (lambda k: k.MeanSquaredError()([[1], [2]], [[1.0], [4.0]]), 2.0),
    "MSE of a column": (
        lambda k: k.MeanSquaredError()(tf.constant([1.0, 2.0]), tf.constant([[1.0], [4.0]])),
        2.0,
    ),
    "MAE": (lambda k: k.MeanAbsoluteError()(TRUE, PRED), 0.25),
    "BCE": (lambda k: k.BinaryCrossentropy()(TRUE, PRED), 0.3080930709838867),
    "BCE logits": (
        lambda k: k.BinaryCrossentropy(from_logits=True)(TRUE, PRED),
        0.6090134382247925,
    ),
    "CE": (lambda k: k.CategoricalCrossentropy()(TRUE, PRED), 0.3080930709838867),
    "CE logits": (
        lambda k: k.CategoricalCrossentropy(from_logits=True)(TRUE, PRED),
        0.48461979627609253,
    ),
    "sparse": (
        lambda k: k.SparseCategoricalCrossentropy()(tf.constant([1, 0]), tf.constant(PRED)),
        0.3080930709838867,
    ),
    "sparse logits": (
        lambda k: k.SparseCategoricalCrossentropy(from_logits=True)(
            tf.constant([1, 0]), tf.constant(PRED)
        ),
        0.48461979627609253,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    compute, expected = LOSSES[name]
    close(compute(tf.keras.losses), expected, "float32")


def test_loss_reduction_unknown():
    with pytest.raises(ValueError):
        tf.keras.losses.MeanSquaredError(reduction="half")


def test_line_fit():
    tf.random.set_seed(0)
    w, b = tf.Variable(16.0), tf.Variable(10.0)
    x = tf.random.normal(shape=(1000,))
    y = x * 3.0 + 0.5 + tf.random.normal(shape=(1000,))
    losses = []
    for _ in range(20):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(y - (w * x + b)))
        losses.append(loss.numpy())
        dw, db = tape.gradient(loss, [w, b])
        w.assign_sub(0.1 * dw)
        b.assign_sub(0.1 * db)
    assert 200 < losses[0] < 320 and 0.8 < losses[-1] < 1.3
    assert abs(w.numpy() - 3.15) < 0.2 and abs(b.numpy() - 0.61) < 0.2


def test_nest():
    assert tf.nest.flatten({"b": [1, (2,)], "a": 0}) == [0, 1, 2]
    assert tf.nest.map_structure(lambda x: x + 1, {"b": [1, (2,)], "a": 0}) == {
        "b": [2, (3,)],
        "a": 1,
    }
    assert tf.nest.pack_sequence_as([0, (0,)], [1, 2]) == [1, (2,)]
