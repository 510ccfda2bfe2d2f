"""TensorFlow's names of mathematics and random numbers.

Leans on schuss.tf, nearness and pytest. All but tests named `ours` are TensorFlow programs: with
`import tensorflow as tf` in the place of the import below, and `-k "not ours"`, TensorFlow 2.21
(with Keras 3.15) passes them too, and that is where their values come from.
"""

from __future__ import annotations

import numpy as np
import pytest
import schuss.tf as tf
from nearness import close

NAN = float("nan")


# ---- mathematics --------------------------------------------------------------------------------

M = [[1.0, 2.0], [3.0, 4.0]]
CALLS = {
    "range(3)": (lambda: tf.range(3), [0, 1, 2], "int32"),
    "range(1, 5, 2)": (lambda: tf.range(1, 5, 2), [1, 3], "int32"),
    "range(0, 1, 0.25)": (lambda: tf.range(0, 1, 0.25), [0.0, 0.25, 0.5, 0.75], "float32"),
    "range(dtype)": (lambda: tf.range(3, dtype=tf.float32), [0.0, 1.0, 2.0], "float32"),
    "range(5, 0, -2)": (lambda: tf.range(5, 0, -2), [5, 3, 1], "int32"),
    "linspace": (lambda: tf.linspace(0.0, 1.0, 3), [0.0, 0.5, 1.0], "float32"),
    "linspace of ints": (lambda: tf.linspace(0, 1, 3), [0.0, 0.5, 1.0], "float64"),
    "eye": (lambda: tf.eye(2, 3), [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], "float32"),
    "eye batch": (lambda: tf.eye(1, batch_shape=[2]), [[[1.0]], [[1.0]]], "float32"),
    "fill": (lambda: tf.fill([2], 3), [3, 3], "int32"),
    "fill float": (lambda: tf.fill([2], 3.0), [3.0, 3.0], "float32"),
    "zeros": (lambda: tf.zeros([2, 1], tf.int32), [[0], [0]], "int32"),
    "ones of a number": (lambda: tf.ones(2), [1.0, 1.0], "float32"),
    "ones of a shape": (lambda: tf.ones(tf.shape(tf.zeros((1, 2)))), [[1.0, 1.0]], "float32"),
    "ones_like": (lambda: tf.ones_like(tf.constant([1, 2])), [1, 1], "int32"),
    "zeros_like": (lambda: tf.zeros_like([1, 2], dtype=tf.float64), [0.0, 0.0], "float64"),
    "cast": (lambda: tf.cast([1.7, -1.7], tf.int32), [1, -1], "int32"),
    "cast to bool": (lambda: tf.cast([1, 0], tf.bool), [True, False], "bool"),
    "reshape": (lambda: tf.reshape([1, 2, 3, 4], [2, -1]), [[1, 2], [3, 4]], "int32"),
    "reshape by shape": (lambda: tf.reshape(M, tf.constant([4])), [1.0, 2.0, 3.0, 4.0], "float32"),
    "transpose": (lambda: tf.transpose([[1, 2], [3, 4]]), [[1, 3], [2, 4]], "int32"),
    "transpose perm": (lambda: tf.transpose([[[1, 2]]], [2, 0, 1]), [[[1]], [[2]]], "int32"),
    "concat": (lambda: tf.concat([[1], [2, 3]], 0), [1, 2, 3], "int32"),
    "concat last": (lambda: tf.concat([M, M], -1), [[1, 2, 1, 2], [3, 4, 3, 4]], "float32"),
    "stack": (lambda: tf.stack([[1, 2], [3, 4]], axis=1), [[1, 3], [2, 4]], "int32"),
    "squeeze": (lambda: tf.squeeze([[1]]), 1, "int32"),
    "squeeze axis": (lambda: tf.squeeze([[[1, 2]]], axis=[0]), [[1, 2]], "int32"),
    "expand_dims": (lambda: tf.expand_dims([1, 2], -1), [[1], [2]], "int32"),
    "tile": (lambda: tf.tile([[1, 2]], [2, 2]), [[1, 2, 1, 2], [1, 2, 1, 2]], "int32"),
    "tile none": (lambda: tf.tile([1, 2], [0]), [], "int32"),
    "gather": (lambda: tf.gather([10, 20, 30], [2, 0]), [30, 10], "int32"),
    "gather axis": (lambda: tf.gather([[1, 2], [3, 4]], [1, 0], axis=1), [[2, 1], [4, 3]], "int32"),
    "gather one": (lambda: tf.gather(M, 1), [3.0, 4.0], "float32"),
    "where": (lambda: tf.where([True, False], [1, 2], [3, 4]), [1, 4], "int32"),
    "where numbers": (lambda: tf.where([True, False], 1.0, 0.0), [1.0, 0.0], "float32"),
    "where places": (lambda: tf.where([True, False, True]), [[0], [2]], "int64"),
    "one_hot": (lambda: tf.one_hot([0, 2, -1], 3), [[1, 0, 0], [0, 0, 1], [0, 0, 0]], "float32"),
    "one_hot values": (lambda: tf.one_hot([0], 2, on_value=5, off_value=-1), [[5, -1]], "int32"),
    "one_hot axis": (lambda: tf.one_hot([0, 1], 2, axis=0), [[1.0, 0.0], [0.0, 1.0]], "float32"),
    "boolean_mask": (lambda: tf.boolean_mask([1, 2, 3], [True, False, True]), [1, 3], "int32"),
    "broadcast_to": (lambda: tf.broadcast_to([1, 2], [2, 2]), [[1, 2], [1, 2]], "int32"),
    "reverse": (lambda: tf.reverse([1, 2], [0]), [2, 1], "int32"),
    "shape": (lambda: tf.shape(M), [2, 2], "int32"),
    "rank": (lambda: tf.rank(M), 2, "int32"),
    "size": (lambda: tf.size(M), 4, "int32"),
    "reduce_sum": (lambda: tf.reduce_sum([1, 2]), 3, "int32"),
    "reduce_sum axis": (lambda: tf.reduce_sum(M, axis=0), [4.0, 6.0], "float32"),
    "reduce_sum axes": (lambda: tf.reduce_sum(M, axis=[0, 1]), 10.0, "float32"),
    "reduce_sum no axes": (lambda: tf.reduce_sum(M, axis=[]), M, "float32"),
    "reduce_sum keepdims": (lambda: tf.reduce_sum(M, 1, keepdims=True), [[3.0], [7.0]], "float32"),
    "reduce_sum number": (lambda: tf.reduce_sum(3.0), 3.0, "float32"),
    "reduce_mean": (lambda: tf.reduce_mean(M, -1), [1.5, 3.5], "float32"),
    "reduce_mean of ints": (lambda: tf.reduce_mean([1, 2]), 1, "int32"),
    "reduce_mean below 0": (lambda: tf.reduce_mean([-1, -2]), -1, "int32"),
    "reduce_mean of nothing": (lambda: tf.reduce_mean([]), NAN, "float32"),
    "reduce_max": (lambda: tf.reduce_max(M, axis=1), [2.0, 4.0], "float32"),
    "reduce_min": (lambda: tf.reduce_min([2, 1]), 1, "int32"),
    "reduce_prod": (lambda: tf.reduce_prod([[1, 2], [3, 4]], [0, 1]), 24, "int32"),
    "reduce_any": (
        lambda: tf.reduce_any([[True, False], [False, False]], 1),
        [True, False],
        "bool",
    ),
    "reduce_all": (lambda: tf.reduce_all([True, False]), False, "bool"),
    "reduce_std": (lambda: tf.math.reduce_std([1.0, 5.0]), 2.0, "float32"),
    "reduce_variance": (lambda: tf.math.reduce_variance([1.0, 5.0]), 4.0, "float32"),
    "reduce_logsumexp": (lambda: tf.reduce_logsumexp([0.0, 0.0]), np.float32(np.log(2)), "float32"),
    "argmax": (lambda: tf.argmax([[1, 3], [4, 2]]), [1, 0], "int64"),
    "argmax axis": (lambda: tf.argmax([[1, 3], [4, 2]], axis=1), [1, 0], "int64"),
    "argmin": (lambda: tf.argmin([3, 1], output_type=tf.int32), 1, "int32"),
    "cumsum": (lambda: tf.cumsum([1, 2, 3]), [1, 3, 6], "int32"),
    "square": (lambda: tf.square(3), 9, "int32"),
    "sqrt": (lambda: tf.sqrt([4.0, 9.0]), [2.0, 3.0], "float32"),
    "exp": (lambda: tf.exp(1.0), np.float32(np.e), "float32"),
    "log": (lambda: tf.math.log([1.0]), [0.0], "float32"),
    "abs": (lambda: tf.abs(-2), 2, "int32"),
    "sign": (lambda: tf.sign([-2.0, 0.0]), [-1.0, 0.0], "float32"),
    "round": (lambda: tf.round([0.5, 1.5, 2.5]), [0.0, 2.0, 2.0], "float32"),
    "floor": (lambda: tf.floor(-2.5), -3.0, "float32"),
    "pow": (lambda: tf.pow(2, 3), 8, "int32"),
    "pow float": (lambda: tf.pow([2.0, 4.0], 0.5), np.sqrt(np.float32([2, 4])), "float32"),
    "add": (lambda: tf.add(1.0, 2), 3.0, "float32"),
    "subtract": (lambda: tf.subtract(3, [1, 2]), [2, 1], "int32"),
    "multiply": (lambda: tf.multiply([1.0, 2.0], 2), [2.0, 4.0], "float32"),
    "divide": (lambda: tf.divide(tf.constant(7), 2), 3.5, "float64"),
    "floordiv": (lambda: tf.math.floordiv(-5, 3), -2, "int32"),
    "mod": (lambda: tf.math.mod(-5, 3), 1, "int32"),
    "divide_no_nan": (lambda: tf.math.divide_no_nan([1.0, 3.0], [0.0, 2.0]), [0.0, 1.5], "float32"),
    "squared_difference": (lambda: tf.math.squared_difference(3.0, 1.0), 4.0, "float32"),
    "add_n": (lambda: tf.add_n([[1.0], [2.0]]), [3.0], "float32"),
    "maximum": (lambda: tf.maximum([1, 5], 3), [3, 5], "int32"),
    "minimum": (lambda: tf.minimum(1.0, [2.0, 0.0]), [1.0, 0.0], "float32"),
    "clip_by_value": (lambda: tf.clip_by_value([1, 3, 5], 2, 4), [2, 3, 4], "int32"),
    "clip_by_norm": (lambda: tf.clip_by_norm([3.0, 4.0], 1.0), [0.6, 0.8], "float32"),
    "clip_by_norm short": (lambda: tf.clip_by_norm([0.3, 0.4], 1.0), [0.3, 0.4], "float32"),
    "equal": (lambda: tf.equal([1, 2], [1, 3]), [True, False], "bool"),
    "less": (lambda: tf.less([1, 2], 2), [True, False], "bool"),
    "logical_and": (lambda: tf.logical_and([True, True], [True, False]), [True, False], "bool"),
    "logical_not": (lambda: tf.logical_not([True]), [False], "bool"),
    "matmul": (lambda: tf.matmul(M, [[1.0], [1.0]]), [[3.0], [7.0]], "float32"),
    "matmul a": (lambda: tf.matmul(M, M, transpose_a=True), [[10, 14], [14, 20]], "float32"),
    "matmul b": (lambda: tf.matmul(M, M, transpose_b=True), [[5.0, 11.0], [11.0, 25.0]], "float32"),
    "matmul batch": (lambda: tf.matmul([M, M], [M, M]), [[[7, 10], [15, 22]]] * 2, "float32"),
    "matvec": (lambda: tf.linalg.matvec(M, [1.0, 1.0]), [3.0, 7.0], "float32"),
    "tensordot": (lambda: tf.tensordot([1.0, 2.0], [3.0, 4.0], 1), 11.0, "float32"),
    "tensordot outer": (lambda: tf.tensordot([1, 2], [3, 4], 0), [[3, 4], [6, 8]], "int32"),
    "tensordot lists": (
        lambda: tf.tensordot(M, M, [[0], [1]]),
        [[7.0, 15.0], [10.0, 22.0]],
        "float32",
    ),
    "axis as a tensor": (lambda: tf.reduce_sum(M, tf.constant(0)), [4.0, 6.0], "float32"),
    "norm": (lambda: tf.norm([3.0, 4.0]), 5.0, "float32"),
    "norm 1": (lambda: tf.norm([[3.0, -4.0]], ord=1, axis=1), [7.0], "float32"),
    "norm inf": (lambda: tf.norm([3.0, -4.0], ord=np.inf), 4.0, "float32"),
    "inv": (lambda: tf.linalg.inv([[2.0]]), [[0.5]], "float32"),
    "det": (lambda: tf.linalg.det(M), -2.0, "float32"),
    "sigmoid": (lambda: tf.sigmoid(0.0), 0.5, "float32"),
    "tanh": (lambda: tf.tanh([0.0]), [0.0], "float32"),
    "relu": (lambda: tf.nn.relu([-1.0, 2.0]), [0.0, 2.0], "float32"),
    "leaky_relu": (lambda: tf.nn.leaky_relu([-1.0, 1.0]), [-0.2, 1.0], "float32"),
    "elu": (lambda: tf.nn.elu([-1.0, 1.0]), [np.expm1(np.float32(-1)), 1.0], "float32"),
    "softplus": (lambda: tf.nn.softplus([0.0, 200.0]), [np.float32(np.log(2)), 200.0], "float32"),
    "softmax": (lambda: tf.nn.softmax([[0.0, 0.0]], axis=0), [[1.0, 1.0]], "float32"),
    "log_softmax": (lambda: tf.nn.log_softmax([1e3, 0.0]), [0.0, -1e3], "float32"),
    "l2_loss": (lambda: tf.nn.l2_loss([3.0, 4.0]), 12.5, "float32"),
    "identity": (lambda: tf.identity([1.0]), [1.0], "float32"),
}


@pytest.mark.parametrize("name", CALLS)
def test_call(name):
    compute, expected, dtype = CALLS[name]
    close(compute(), expected, dtype)


REFUSED = {
    "reshape": lambda: tf.reshape([1, 2, 3], [2, 2]),
    "split": lambda: tf.split(tf.range(6), 4),
    "squeeze": lambda: tf.squeeze([[1, 2]], axis=1),
    "gather": lambda: tf.gather([10, 20], 5),
    "gather below": lambda: tf.gather([10, 20], [-1]),
    "axis": lambda: tf.reduce_sum(tf.ones(2), axis=3),
    "range": lambda: tf.range(0, 1, 0),
    "perm": lambda: tf.transpose([[1.0]], [0, 0]),
    "axes": lambda: tf.reduce_sum([[1.0]], axis=[0, 0]),
    "argmax of a number": lambda: tf.argmax(1.0),
    "exp": lambda: tf.exp(1),
    "sigmoid": lambda: tf.nn.sigmoid(1),
    "label": lambda: tf.nn.sparse_softmax_cross_entropy_with_logits([2], [[1.0, 2.0]]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_call_refused(name):
    with pytest.raises(tf.errors.InvalidArgumentError):
        REFUSED[name]()


def test_refused_types():
    for call in (
        lambda: tf.reduce_any([1]),
        lambda: tf.logical_or(1, 0),
        lambda: tf.concat([[1], [2.0]], 0),
        lambda: tf.pow(2, 3.0),
    ):
        with pytest.raises(TypeError):
            call()


def test_parts():
    assert [x.numpy().tolist() for x in tf.split(tf.range(6), 3)] == [[0, 1], [2, 3], [4, 5]]
    assert [len(x.numpy()) for x in tf.split(tf.range(6), [1, -1, 2])] == [1, 3, 2]
    assert [x.numpy().tolist() for x in tf.unstack(M, axis=1)] == [[1.0, 3.0], [2.0, 4.0]]
    grads, norm = tf.clip_by_global_norm([tf.constant([3.0]), None, tf.constant([4.0])], 1.0)
    close(norm, 5.0)
    close(grads[0], [0.6])
    assert grads[1] is None


def test_cross_entropies():
    logits = tf.constant([[1.0, 2.0], [300.0, 0.0]])
    one, two = np.float32(0.31326166), 300.0
    labels = tf.constant([[0.0, 1.0], [0.0, 1.0]])
    close(tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits), [one, two])
    close(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[1, 1], logits=logits), [one, two])
    found = tf.nn.sigmoid_cross_entropy_with_logits(labels=[1.0, 0.0], logits=[1.0, 200.0])
    close(found, [np.float32(0.3132617), 200.0])


# Functions whose slope at a corner is a matter of choice, and losses at logits of 0.
SLOPES = {
    "relu at 0": (tf.nn.relu, [0.0, 1.0], [0.0, 1.0]),
    "abs at 0": (tf.abs, [0.0, -1.0], [0.0, -1.0]),
    "max of equals": (tf.reduce_max, [2.0, 2.0, 1.0], [0.5, 0.5, 0.0]),
    "softplus at 0": (tf.nn.softplus, [0.0], [0.5]),
    "sigmoid loss at 0": (
        lambda x: tf.nn.sigmoid_cross_entropy_with_logits([1.0, 0.0], x),
        [0.0, 0.0],
        [-0.5, 0.5],
    ),
    "softmax loss at 0": (
        lambda x: tf.nn.softmax_cross_entropy_with_logits([1.0, 0.0], x),
        [0.0, 0.0],
        [-0.5, 0.5],
    ),
    "elu": (tf.nn.elu, [-200.0, 1.0], [0.0, 1.0]),
    "clip": (lambda x: tf.clip_by_value(x, 0.0, 1.0), [-1.0, 0.5, 2.0], [0.0, 1.0, 0.0]),
    "clip_by_norm at 0": (lambda x: tf.clip_by_norm(x, 1.0), [0.0, 0.0], [1.0, 1.0]),
    "where": (lambda x: tf.where(x > 1.0, x * 2.0, x * 3.0), [1.0, 2.0], [3.0, 2.0]),
    "divide_no_nan": (lambda x: tf.math.divide_no_nan(1.0, x), [0.0, 2.0], [0.0, -0.25]),
    "prod": (tf.reduce_prod, [2.0, 0.0, 3.0], [0.0, 6.0, 0.0]),
    "gather twice": (lambda x: x * tf.reduce_sum(x), [1.0, 2.0], [6.0, 6.0]),
    "tile": (lambda x: tf.tile(x, [3]), [1.0, 2.0], [3.0, 3.0]),
    "one row": (lambda x: x[1:] * 5.0, [1.0, 2.0], [0.0, 5.0]),
}


@pytest.mark.parametrize("name", SLOPES)
def test_slope(name):
    compute, values, expected = SLOPES[name]
    x = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = compute(x)
    close(tape.gradient(y, x), expected)


# ---- random numbers -----------------------------------------------------------------------------


def test_seed_repeats():
    tf.random.set_seed(1)
    a, b = tf.random.normal((4,)), tf.random.normal((4,))
    tf.random.set_seed(1)
    c = tf.random.normal((4,))
    assert a.numpy().tolist() == c.numpy().tolist() != b.numpy().tolist()


def test_seed_of_an_operation():
    tf.random.set_seed(1)
    a, b = tf.random.uniform((4,), seed=5), tf.random.uniform((4,), seed=5)
    tf.random.set_seed(1)
    c = tf.random.uniform((4,), seed=5)
    assert a.numpy().tolist() == c.numpy().tolist() != b.numpy().tolist()


def test_moments_and_bounds():
    tf.random.set_seed(3)
    x = tf.random.normal(shape=(20_000,), mean=2.0, stddev=3.0).numpy()
    assert abs(x.mean() - 2.0) < 0.1 and abs(x.std() - 3.0) < 0.1
    u = tf.random.uniform((20_000,), minval=-1.0, maxval=3.0).numpy()
    assert u.min() >= -1.0 and u.max() < 3.0 and abs(u.mean() - 1.0) < 0.05
    i = tf.random.uniform((1000,), 2, 5, dtype=tf.int32).numpy()
    assert set(i.tolist()) == {2, 3, 4} and i.dtype == np.int32
    t = tf.random.truncated_normal((5000,)).numpy()
    assert abs(t).max() <= 2.0 and t.std() > 0.8
    s = tf.random.shuffle(tf.range(50)).numpy()
    assert s.tolist() != list(range(50)) and sorted(s.tolist()) == list(range(50))
    g = tf.random.Generator.from_seed(1)
    assert tuple(g.normal([2, 3]).shape) == (2, 3) and g.uniform([2]).dtype == tf.float32


def test_random_refuses():
    with pytest.raises(ValueError, match="Must specify maxval"):
        tf.random.uniform((2,), dtype=tf.int32)
    with pytest.raises(TypeError):
        tf.random.normal((2,), dtype=tf.int32)
