"""The names around a GradientTape: variables, constants, mathematics, own gradients, optimizers.

Leans on schuss.tf and pytest. All but the tests named `ours` are TensorFlow programs: with
`import tensorflow as tf` in the place of the import below, and `-k "not ours"`, TensorFlow 2.21
(with Keras 3.15) passes them too, and that is where their values come from.
"""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import schuss.tf as tf

NAN = float("nan")


def close(x, expected, dtype=None):
    """Equal within sixteen units in the last place of the tensor's dtype, and of that dtype."""
    x = np.asarray(x.numpy())
    assert dtype is None or x.dtype == np.dtype(dtype)
    width = 16 * np.finfo(x.dtype).eps if x.dtype.kind == "f" else 0
    np.testing.assert_allclose(x, expected, rtol=width, atol=width)
    assert x.shape == np.shape(expected)


# ---- constants and dtypes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1, "int32"),
        (1.0, "float32"),
        (True, "bool"),
        (2**31, "int64"),
        ([1, 2.0], "float32"),
        ((1, 2), "int32"),
        ([], "float32"),
        (np.arange(3), "int64"),
        (np.ones(2), "float64"),
        (np.float64(1), "float64"),
        ([np.float64(1.0)], "float64"),
        (np.int32(3), "int32"),
        (np.array([True]), "bool"),
    ],
    ids=repr,
)
def test_dtype_of_a_constant(value, dtype):
    close(tf.constant(value), np.asarray(value), dtype)
    close(tf.convert_to_tensor(value), np.asarray(value), dtype)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1, tf.float64),
        (1, "float64"),
        (1, np.float64),
        (np.ones(()), tf.float64),
        (True, "float64"),
    ],
)
def test_constant_of_a_given_dtype(value, dtype):
    close(tf.constant(value, dtype), 1.0, "float64")


def test_constant_shape():
    close(tf.constant(0, shape=(2, 2)), [[0, 0], [0, 0]], "int32")
    close(tf.constant([1, 2, 3, 4], shape=(2, 2)), [[1, 2], [3, 4]], "int32")
    with pytest.raises(TypeError):
        tf.constant([1, 2, 3], shape=(2, 2))


@pytest.mark.parametrize("value", [None, [[1, 2], [3]], [True, 1], 2**63, 1e300], ids=repr)
def test_values_without_a_tensor(value):
    with pytest.raises(ValueError):
        tf.constant(value)


def test_float_does_not_become_an_integer():
    with pytest.raises(TypeError, match="Cannot convert"):
        tf.constant(1.5, tf.int32)


def test_tensor_keeps_its_dtype():
    x = tf.constant(1)
    with pytest.raises(ValueError, match="Tensor conversion requested dtype"):
        tf.convert_to_tensor(x, tf.float32)
    with pytest.raises(TypeError):
        tf.constant(x, tf.float32)
    close(tf.cast(x, tf.float32), 1.0, "float32")


def test_list_of_tensors():
    x = tf.constant(1.0, tf.float64)
    close(tf.convert_to_tensor([x, 2.0]), [1.0, 2.0], "float64")
    v = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(tf.convert_to_tensor([v, v * v]))
    close(tape.gradient(y, v), 5.0)


FLOAT, INT, WIDE = tf.constant(3.0), tf.constant(2), tf.constant(1.0, tf.float64)
MIXED = {
    "float + int": lambda: FLOAT + INT,
    "float + double": lambda: FLOAT + WIDE,
    "variable * int": lambda: tf.Variable(1.0) * INT,
    "float ** int": lambda: FLOAT**INT,
    "float < int": lambda: FLOAT < INT,
    "float == int": lambda: FLOAT == INT,
    "tf.add": lambda: tf.add(FLOAT, WIDE),
    "tf.equal": lambda: tf.equal(FLOAT, INT),
    "tf.stack": lambda: tf.stack([INT, FLOAT]),
    "matmul": lambda: tf.matmul(tf.ones((1, 1)), tf.ones((1, 1), tf.float64)),
    "sqrt of int": lambda: tf.sqrt(4),
    "sum of bool": lambda: tf.reduce_sum([True]),
}


@pytest.mark.parametrize("name", MIXED)
def test_mixed_dtypes_are_refused(name):
    with pytest.raises(tf.errors.InvalidArgumentError):
        MIXED[name]()


NUMBERS = {
    "x + 1": (lambda: FLOAT + 1, 4.0, "float32"),
    "2 * x": (lambda: 2 * FLOAT, 6.0, "float32"),
    "x * True": (lambda: FLOAT * True, 3.0, "float32"),
    "x ** 2": (lambda: FLOAT**2, 9.0, "float32"),
    "1 / x": (lambda: 1 / FLOAT, np.float32(1) / np.float32(3), "float32"),
    "double + 0.5": (lambda: WIDE + 0.5, 1.5, "float64"),
    "i + 1": (lambda: INT + 1, 3, "int32"),
    "i + True": (lambda: INT + True, 3, "int32"),
    "2 ** i": (lambda: 2**INT, 4, "int32"),
    "-i": (lambda: -INT, -2, "int32"),
    "i // 2": (lambda: INT // 2, 1, "int32"),
    "i % 2": (lambda: INT % 2, 0, "int32"),
    "i / 4": (lambda: INT / 4, 0.5, "float64"),
    "short / 2": (lambda: tf.constant(3, tf.int16) / 2, 1.5, "float32"),
    "byte / byte": (lambda: tf.constant(3, "uint8") / tf.constant(2, "uint8"), 1.5, "float32"),
    "double - list": (lambda: WIDE - [0.1], [0.9], "float64"),
    "x == list": (lambda: FLOAT == [3, 4], [True, False], "bool"),
    "i / i": (lambda: INT / INT, 1.0, "float64"),
    "long / 4": (lambda: tf.constant(2, tf.int64) / 4, 0.5, "float64"),
    "x == 3": (lambda: FLOAT == 3, True, "bool"),
    "abs": (lambda: abs(tf.constant(-2)), 2, "int32"),
    "float64 array": (lambda: tf.add(FLOAT, np.ones(2)), [4.0, 4.0], "float32"),
    "list": (lambda: tf.multiply([1, 2], FLOAT), [3.0, 6.0], "float32"),
    "x - list": (lambda: FLOAT - [1, 2], [2.0, 1.0], "float32"),
    "list - x": (lambda: [1, 2] - FLOAT, [-2.0, -1.0], "float32"),
    "x + array": (lambda: FLOAT + np.ones(2), [4.0, 4.0], "float32"),
    "array * x": (lambda: np.arange(2) * FLOAT, [0.0, 3.0], "float32"),
    "x + double": (lambda: FLOAT + np.float64(1), 4.0, "float32"),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_follow_the_tensor(name):
    compute, expected, dtype = NUMBERS[name]
    close(compute(), expected, dtype)


def test_float_and_integer_tensor():
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        INT + 1.5
    with pytest.raises(TypeError):
        tf.maximum(INT, 1.5)


@pytest.mark.parametrize("other", [np.array([1.5]), [1.5], [300.0]], ids=repr)
def test_integer_tensor_and_floats(other):
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        INT + other


def test_list_of_variables_beside_a_tensor():
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(tf.constant([1.0, 2.0]) * [v, v * v])
    close(tape.gradient(y, v), 13.0)


def test_shapes_that_do_not_fit():
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.ones((2, 3)) + tf.ones((2, 4))
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.matmul(tf.ones((2, 3)), tf.ones((2, 3)))
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.matmul(tf.ones(2), tf.ones(2))


def test_as_dtype():
    assert tf.as_dtype("float32") == tf.float32
    assert tf.as_dtype(np.dtype("int64")) == tf.int64
    assert tf.as_dtype(float) == tf.float32
    for bad in ("float31", int):
        with pytest.raises(TypeError):
            tf.as_dtype(bad)


# ---- Variable -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: tf.Variable(16.0),
            "<tf.Variable 'Variable:0' shape=() dtype=float32, numpy=16.0>",
        ),
        (
            lambda: tf.Variable([1.0, 2.0], name="w"),
            "<tf.Variable 'w:0' shape=(2,) dtype=float32, numpy=array([1., 2.], dtype=float32)>",
        ),
        (
            lambda: tf.Variable([[1], [2]]),
            "<tf.Variable 'Variable:0' shape=(2, 1) dtype=int32, numpy=\n"
            "array([[1],\n       [2]], dtype=int32)>",
        ),
        (
            lambda: tf.Variable(True, name="yes"),
            "<tf.Variable 'yes:0' shape=() dtype=bool, numpy=True>",
        ),
    ],
    ids=["number", "list", "matrix", "bool"],
)
def test_variable_repr(make, text):
    assert repr(make()) == str(make()) == f"{make()}" == text


@pytest.mark.parametrize(
    ("make", "expected", "dtype"),
    [
        (lambda: tf.Variable(3), 3, "int32"),
        (lambda: tf.Variable(lambda: tf.ones((2,))), [1.0, 1.0], "float32"),
        (lambda: tf.Variable(np.ones(2)), [1.0, 1.0], "float64"),
        (lambda: tf.Variable(np.ones(2), dtype=tf.float32), [1.0, 1.0], "float32"),
        (lambda: tf.Variable(1, dtype="float64"), 1.0, "float64"),
        (lambda: tf.Variable(tf.constant([1.0])), [1.0], "float32"),
        (lambda: tf.Variable(tf.Variable(4.0)), 4.0, "float32"),
        (lambda: tf.Variable([1.0, 2.0], shape=(2,)), [1.0, 2.0], "float32"),
    ],
)
def test_variable_from(make, expected, dtype):
    close(make(), expected, dtype)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf.Variable(),
        lambda: tf.Variable([1.0, 2.0], shape=(3,)),
        lambda: tf.Variable(tf.constant(1), dtype=tf.float32),
    ],
    ids=["nothing", "shape", "dtype"],
)
def test_variable_refuses(make):
    with pytest.raises(ValueError):
        make()


def test_variable_does_not_share_its_initial_value():
    start = np.ones(2, np.float32)
    x = tf.constant([1.0, 1.0])
    v, w = tf.Variable(start), tf.Variable(x)
    start[0] = 5.0
    w.assign([7.0, 7.0])
    close(v, [1.0, 1.0])
    close(x, [1.0, 1.0])


def test_assignments():
    v = tf.Variable([1.0, 2.0])
    v.assign([3, 4])
    v.assign_add([1.0, 1.0])
    v.assign_sub(tf.constant([0.5, 0.5]))
    close(v, [3.5, 4.5])
    v.assign(np.array([1.0, 2.0]))
    close(v.assign_add([1.0, 1.0]).assign_sub([2.0, 2.0]), [0.0, 1.0])
    assert v.assign([1.0, 1.0], read_value=False) is None


@pytest.mark.parametrize(
    "value",
    [lambda: [1.0, 2.0, 3.0], lambda: 1.0, lambda: tf.constant([1, 2]), lambda: None],
    ids=["longer", "number", "integers", "None"],
)
@pytest.mark.parametrize("how", ["assign", "assign_add", "assign_sub"])
def test_assign_refuses(how, value):
    v = tf.Variable([1.0, 2.0])
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        getattr(v, how)(value())
    close(v, [1.0, 2.0])


def test_old_values_stay():
    v = tf.Variable([1.0, 2.0])
    array, value, read = v.numpy(), v.value(), v.read_value()
    part, view, product = v[:1], np.asarray(v), v * 1.0
    v.assign_sub([5.0, 5.0])
    for old in (array, view):
        assert old.tolist() == [1.0, 2.0]
    for old in (value, read, product):
        close(old, [1.0, 2.0])
    close(part, [1.0])
    array[0] = view[0] = 9.0
    close(v, [-4.0, -3.0])


def test_variable_numpy_of_a_number():
    v = tf.Variable(1.0)
    before = v.numpy()
    v.assign(2.0)
    assert isinstance(before, np.float32) and before == 1.0
    assert f"{before}" == "1.0"


def test_variable_as_a_number_and_in_arithmetic():
    v, w = tf.Variable(3.0), tf.Variable([1.0, 2.0])
    assert (float(v), int(v), bool(v)) == (3.0, 3, True)
    close(v * 2 + 1, 7.0)
    close(2 - w, [1.0, 0.0])
    close(w / v, np.array([1, 2], np.float32) / np.float32(3))
    close(-w, [-1.0, -2.0])
    close(w[1], 2.0)
    close(tf.linalg.matvec([[1.0, 1.0]], w), [3.0])
    close(w > 1.0, [False, True])
    assert not isinstance(v * 2, tf.Variable)
    assert [float(x) for x in w] == [1.0, 2.0]


def test_variable_is_not_changed_in_place():
    v = tf.Variable([1.0, 2.0])
    with pytest.raises(RuntimeError, match="assign_add"):
        v += 1.0
    with pytest.raises(TypeError, match="item assignment"):
        v[0] = 1.0
    close(v, [1.0, 2.0])


def test_constant_is_not_changed_in_place():
    x = y = tf.constant([1.0, 2.0])
    y += 1.0
    y *= 2.0
    close(x, [1.0, 2.0])
    close(y, [4.0, 6.0])
    with pytest.raises(TypeError):
        x[0] = 1.0


def test_variable_inside_a_tape_needs_no_detach():
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = v * v
        assert v.numpy().tolist() == [1.0, 2.0]
        assert y.numpy().tolist() == np.asarray(y).tolist() == [1.0, 4.0]
        assert float(tf.reduce_sum(y)) == 5.0
    assert np.asarray(y).tolist() == [1.0, 4.0]
    close(tape.gradient(y, v), [2.0, 4.0])


def test_variable_properties():
    v = tf.Variable(1.0, trainable=False, name="rate")
    assert (v.name, v.trainable, tuple(v.shape)) == ("rate:0", False, ())
    assert v.dtype == tf.float32 and tf.Variable(1.0).trainable
    assert {v.ref(): "found"}[v.ref()] == "found" and v.ref().deref() is v
    with pytest.raises(AttributeError):
        v.trainable = True


@pytest.mark.parametrize("again", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_variable_copies(again):
    v = tf.Variable([1.0, 2.0], trainable=False)
    twin = again(v)
    twin.assign([5.0, 5.0])
    close(v, [1.0, 2.0])
    assert isinstance(twin, tf.Variable)


def test_name_scope():
    with tf.name_scope("a"), tf.name_scope("b") as scope:
        assert scope == "a/b/"
        assert tf.Variable(1.0, name="w").name == "a/b/w:0"
    assert tf.Variable(1.0, name="w").name == "w:0"


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
