"""What TensorFlow's names make of values: constants, dtypes, variables.

Leans on schuss.tf, nearness and pytest. All but tests named `ours` are TensorFlow programs: with
`import tensorflow as tf` in the place of the import below, and `-k "not ours"`, TensorFlow 2.21
(with Keras 3.15) passes them too, and that is where their values come from.
"""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import schuss.tf as tf
from nearness import close

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
