"""GradientTape: what it records, the gradients it gives, and what it refuses.

Leans on schuss.tf, schuss and pytest. All but the tests named `ours` are TensorFlow programs: with
`import tensorflow as tf` in the place of the import below, and `-k "not ours"`, TensorFlow 2.21
passes them too, and that is where their values come from.
"""

from __future__ import annotations

import collections
import gc
import logging
import threading
import weakref

import numpy as np
import pytest
import schuss.tf as tf

Point = collections.namedtuple("Point", "a b")
ZERO = "zero", tf.UnconnectedGradients.ZERO


def close(x, expected):
    """Equal within sixteen units in the last place of the tensor's dtype."""
    x = np.asarray(x.numpy())
    width = 16 * np.finfo(x.dtype).eps if x.dtype.kind == "f" else 0
    np.testing.assert_allclose(x, expected, rtol=width, atol=width)
    assert x.shape == np.shape(expected)


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


# ---- what is recorded, and when -----------------------------------------------------------------


def test_second_gradient_needs_persistent():
    x = tf.constant(3.0)
    tape, y = cube(x)
    tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="A non-persistent GradientTape can only be used to"):
        tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="A non-persistent GradientTape can only be used to"):
        tape.jacobian(y, x)


def test_persistent():
    x = tf.constant(3.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    for _ in range(2):
        close(tape.gradient(z, x), 108.0)
        close(tape.gradient(y, x), 6.0)
    del tape


def test_gradient_before_anything_is_recorded():
    x = tf.constant(3.0)
    with pytest.raises(RuntimeError):
        tf.GradientTape().gradient(x, x)


def test_gradient_inside_ends_the_recording_of_a_tape_that_is_not_persistent():
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        d = tape.gradient(y, x)
        z = d * x
    close(d, 6.0)
    with pytest.raises(RuntimeError, match="A non-persistent GradientTape can only be used to"):
        tape.gradient(z, x)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda tape: tape.stop_recording().__enter__(), RuntimeError),
        (lambda tape: tape.reset(), ValueError),
    ],
    ids=["stop_recording", "reset"],
)
def test_after_gradient_inside(call, error):
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        tape.gradient(x * x, x)
        with pytest.raises(error):
            call(tape)


def test_persistent_gradient_inside_is_recorded_with_a_warning(caplog):
    x = tf.constant(3.0)
    logger = logging.getLogger(tf.GradientTape.__module__.partition(".")[0])
    logger.addHandler(caplog.handler)
    try:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = x * x * x
            d = tape.gradient(y, x)
    finally:
        logger.removeHandler(caplog.handler)
    assert "on a persistent tape inside its context" in caplog.text
    close(d, 27.0)
    close(tape.gradient(d, x), 18.0)


def test_entering_an_open_tape():
    tape = tf.GradientTape()
    with tape, pytest.raises(ValueError, match="Tape is still recording"), tape:
        pass


def test_entering_again_goes_on_recording():
    x = tf.constant(3.0)
    tape = tf.GradientTape()
    with tape:
        tape.watch(x)
        y = x * x
    with tape:
        z = y * x
    close(tape.gradient(z, x), 27.0)


def test_entering_after_a_gradient_begins_anew():
    x = tf.constant(3.0)
    tape = tf.GradientTape()
    for _ in range(2):
        with tape:
            tape.watch(x)
            y = x * x
        close(tape.gradient(y, x), 6.0)


def test_between_two_intervals_nothing_is_recorded():
    x = tf.constant(3.0)
    tape = tf.GradientTape()
    with tape:
        tape.watch(x)
        y = x * x
    lost = y * 2.0
    with tape:
        z = lost * 2.0 + y
    close(tape.gradient(z, x), 6.0)


def test_exception_inside_closes_the_tape():
    x = tf.constant(3.0)
    tape = tf.GradientTape(persistent=True)
    with pytest.raises(KeyError), tape:
        tape.watch(x)
        y = x * x
        raise KeyError("k")
    z = y * 2.0
    close(tape.gradient(y, x), 6.0)
    assert tape.gradient(z, x) is None


def test_stop_recording():
    x = tf.constant(3.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        with tape.stop_recording():
            z = y * y
        w = y * 2.0
    assert tape.gradient(z, x) is None
    close(tape.gradient(w, x), 12.0)


def test_stop_recording_resumes_after_an_exception():
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        with pytest.raises(KeyError), tape.stop_recording():
            raise KeyError("k")
        y = x * x
    close(tape.gradient(y, x), 6.0)


def test_stop_recording_outside():
    with pytest.raises(RuntimeError, match="Trying to stop recording a tape which is not record"):
        tf.GradientTape().stop_recording().__enter__()
    with tf.GradientTape() as tape:
        pass
    with pytest.raises(ValueError, match="Tape is not recording"):
        tape.stop_recording().__enter__()


def test_reset():
    x, v = tf.constant(3.0), tf.Variable(1.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * v
        tape.reset()
        assert tape.watched_variables() == ()
        z = x * y
    assert tape.gradient(z, x) is None


def test_reset_outside():
    with pytest.raises(ValueError, match="Tape is not recording"):
        tf.GradientTape().reset()
    with tf.GradientTape() as tape:
        pass
    with pytest.raises(ValueError, match="Tape is not recording"):
        tape.reset()


# ---- watching -----------------------------------------------------------------------------------


def test_watch_nest():
    x, v = tf.constant(3.0), tf.Variable(2.0, trainable=False)
    with tf.GradientTape() as tape:
        tape.watch({"a": [x, (v,)]})
        y = x * v
    close(tape.gradient(y, x), 2.0)


@pytest.mark.parametrize("thing", [1.0, None, np.ones(2)], ids=["float", "None", "array"])
def test_watch_refuses(thing):
    with tf.GradientTape() as tape, pytest.raises(ValueError, match="Passed in object"):
        tape.watch(thing)


def test_integers_have_no_gradient(caplog):
    i = tf.constant(2)
    logger = logging.getLogger(tf.GradientTape.__module__.partition(".")[0])
    logger.addHandler(caplog.handler)
    try:
        with tf.GradientTape() as tape:
            tape.watch(i)
            y = i * i
        assert tape.gradient(y, i) is None
    finally:
        logger.removeHandler(caplog.handler)
    assert "The dtype of the watched tensor must be floating" in caplog.text


def test_watch_late():
    x = tf.constant(3.0)
    with tf.GradientTape(persistent=True) as tape:
        y = x * x
        tape.watch(x)
        z = x * 5.0
    assert tape.gradient(y, x) is None
    close(tape.gradient(z, x), 5.0)


def test_watch_a_result_of_another_tape():
    v = tf.Variable(3.0)
    with tf.GradientTape() as first:
        y = v * v
    with tf.GradientTape() as second:
        second.watch(y)
        z = y * y
    close(second.gradient(z, y), 18.0)
    close(first.gradient(y, v), 6.0)


def test_watch_accessed_variables():
    v = tf.Variable(2.0)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        y = v * v
    assert tape.watched_variables() == ()
    assert tape.gradient(y, v) is None
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(v)
        y = v * v
    assert len(tape.watched_variables()) == 1 and tape.watched_variables()[0] is v
    close(tape.gradient(y, v), 4.0)


def test_variable_that_is_not_trainable():
    v = tf.Variable(2.0, trainable=False)
    with tf.GradientTape() as tape:
        y = v * v
    assert tape.watched_variables() == ()
    assert tape.gradient(y, v) is None


def test_watched_variables_in_order_of_making():
    a, b = tf.Variable(1.0, name="a"), tf.Variable(2.0, name="b")
    x = tf.constant(1.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = b * a * b * x
    assert [v.name for v in tape.watched_variables()] == ["a:0", "b:0"]
    tape.gradient(y, a)
    assert [v.name for v in tape.watched_variables()] == ["a:0", "b:0"]


def test_tapes_watch_for_themselves():
    x, v = tf.constant(3.0), tf.Variable(2.0)
    with tf.GradientTape() as one, tf.GradientTape(watch_accessed_variables=False) as other:
        one.watch(x)
        y = x * x * v
    close(one.gradient(y, [x, v])[1], 9.0)
    assert other.gradient(y, [x, v]) == [None, None]


# ---- assignment ---------------------------------------------------------------------------------


def test_assign_keeps_the_recorded_values():
    v = tf.Variable(2.0)
    with tf.GradientTape(persistent=True) as tape:
        y = v * v
        v.assign(5.0)
        z = v * v
        w = y + z
    close(tape.gradient(y, v), 4.0)
    close(tape.gradient(z, v), 10.0)
    close(tape.gradient(w, v), 14.0)


def test_assign_is_not_recorded():
    v = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = v * v
        v.assign_add(y)
        z = v * v
    close(tape.gradient(z, v), 12.0)


def test_assign_after_the_block():
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = v * v * v
        part = v[:1]
    v.assign([7.0, 7.0])
    close(part, [1.0])
    close(tape.gradient(y, v), [3.0, 12.0])


def test_assign_before_the_gradient_of_an_inner_tape():
    v = tf.Variable(2.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = v * v * v
        v.assign(5.0)
        first = inner.gradient(y, v)
    close(first, 12.0)
    close(outer.gradient(first, v), 12.0)


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


# ---- what is schuss's own -----------------------------------------------------------------------


def test_ours_refusals_of_targets_and_sources():
    x = tf.constant(3.0)
    for target, sources in [(None, x), (4.0, x), ([x, None], x), (x, 3.0), (x, [x, None])]:
        tape, _ = cube(x)
        with pytest.raises(TypeError, match="gradient: "):
            tape.gradient(target, sources)
        close(tape.gradient(x, x), 1.0)


def test_ours_number_of_output_gradients():
    x = tf.constant([1.0, 2.0])
    tape, y = cube(x)
    with pytest.raises(ValueError, match="1 targets but 2 output_gradients"):
        tape.gradient(y, x, output_gradients=[1.0, 2.0])
    close(tape.gradient(y, x, output_gradients=np.array([1.0, 2.0])), [3.0, 24.0])


def test_ours_watch_needs_a_tape():
    with pytest.raises(RuntimeError, match="watch: "):
        tf.GradientTape().watch(tf.constant(1.0))


def test_ours_empty_jacobian():
    x = tf.constant(np.ones((0, 2), np.float32))
    tape, y = cube(x, persistent=True)
    assert tuple(tape.jacobian(y, x).shape) == (0, 2, 0, 2)
    assert tuple(tape.batch_jacobian(y, x).shape) == (0, 2, 2)


def test_ours_print():
    x, w = tf.constant([[1.0, 2.0]]), tf.Variable([[3.0], [4.0]])
    with tf.GradientTape() as tape:
        y = tf.matmul(x, w)
        tf.reduce_sum(y)
        assert str(tape).startswith("GradientTape: 2 operations, watching 1, recording\n")
    head, *lines = str(tape).splitlines()
    assert head == "GradientTape: 2 operations, watching 1"
    assert repr(tape) == f"<{head}>"
    assert [line.split()[:2] for line in lines] == [["1", "matmul"], ["2", "sum"]]
    assert "(1, 2) float32, (2, 1) float32" in lines[0]
    assert "test_tape.py:" in lines[0] and "test_tape.py:" in lines[1]
    assert lines[0].index("->") == lines[1].index("->")
    assert lines[0].index("test_tape") == lines[1].index("test_tape")
    tape.gradient(y, w)
    assert str(tape) == "GradientTape: spent"
    assert str(tf.GradientTape()) == "GradientTape: nothing recorded"


def test_ours_print_leaves_out_the_middle():
    v = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = v * 1.0
        for _ in range(99):
            y = y * 1.0
    lines = str(tape).splitlines()
    assert len(lines) == 42 and "(60 more)" in lines[21]
    assert lines[20].split()[0] == "20" and lines[22].split()[0] == "81"


def test_ours_plain_tensors_and_parameters():
    import schuss

    x = schuss.tensor([1.0, 2.0])
    layer = schuss.nn.Parameter(schuss.tensor([3.0, 4.0]))
    with tf.GradientTape() as tape:
        tape.watch([x, layer])
        y = (x * layer).sum()
    at_x, at_layer = tape.gradient(y, [x, layer])
    close(at_x, [3.0, 4.0])
    close(at_layer, [1.0, 2.0])
    assert layer.grad is None
    assert len(tape.watched_variables()) == 1 and tape.watched_variables()[0] is layer


def test_ours_iterator_of_sources():
    import schuss

    values = [schuss.tensor(2.0), schuss.tensor(3.0)]
    with schuss.GradientTape() as tape:
        tape.watch(values)
        y = values[0] * values[1]
    first, second = tape.gradient(y, iter(values))
    assert (float(first), float(second)) == (3.0, 2.0)


def test_ours_both_tapes_in_one_program():
    import schuss

    w = schuss.tensor(3.0, requires_grad=True)
    v = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        loss = w * w * v
    loss.backward()
    close(tape.gradient(loss, v), 9.0)
    assert w.grad.item() == 12.0
    assert not v.requires_grad


def test_ours_result_does_not_keep_what_was_recorded():
    import schuss

    data = np.ones(1000, np.float32)
    alive = weakref.ref(data)
    x = schuss.from_numpy(data)
    with schuss.GradientTape() as tape:
        tape.watch(x)
        y = (x * x).sum()
    tape.gradient(y, x)
    del data, x, tape
    gc.collect()
    assert alive() is None
    assert float(y) == 1000.0


def test_ours_second_backward_while_a_tape_holds_the_graph():
    import schuss

    w, v = schuss.tensor(3.0, requires_grad=True), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        loss = w * w * v
    loss.backward()
    with pytest.raises(schuss.GradError, match="second time"):
        loss.backward()
    close(tape.gradient(loss, v), 9.0)
    with pytest.raises(schuss.GradError, match="second time"):
        loss.backward()
    assert w.grad.item() == 12.0


def test_ours_backward_after_the_tape_let_go():
    import schuss

    w, x = schuss.tensor(3.0, requires_grad=True), schuss.tensor(2.0)
    with schuss.GradientTape() as tape:
        tape.watch(x)
        y = x * x * x
        loss = w * y
    close(tape.gradient(loss, x), 36.0)
    loss.backward()
    assert w.grad.item() == 8.0 and x.grad is None


@pytest.mark.parametrize("how", ["deleted", "reset", "spent"])
def test_ours_what_tapes_let_go_is_freed(how):
    import schuss

    data = np.ones(1000, np.float32)
    alive = weakref.ref(data)
    x = schuss.from_numpy(data)
    with schuss.GradientTape(persistent=how == "deleted") as tape:
        tape.watch(x)
        middle = x * x
        total = middle.sum()
        if how == "reset":
            tape.reset()
    if how == "spent":
        tape.gradient(total, x)
    if how == "deleted":
        del tape
    del data, x
    assert alive() is None
    assert float(total) == 1000.0 and middle.sum().item() == 1000.0


def test_ours_watched_tensor_written_in_place_is_freed():
    import schuss

    data = np.ones(1000, np.float32)
    alive = weakref.ref(data)
    x = schuss.from_numpy(data)
    with schuss.GradientTape() as tape:
        tape.watch(x)
        x.mul_(3.0)
        y = x.sum()
    tape.gradient(y, x)
    del data, x, tape, y
    assert alive() is None


def test_ours_recorded_operands_require_no_grad():
    seen = []

    @tf.custom_gradient
    def times_two(x):
        def grad(upstream):
            seen.append(upstream)
            return upstream * 2.0

        return x * 2.0, grad

    v = tf.Variable(2.0)
    with tf.GradientTape(persistent=True) as tape:
        first = tape.gradient(times_two(tf.exp(v * v)) ** 2, v)
    assert not first.requires_grad and not any(g.requires_grad for g in seen)
    # Of 4 exp(2 v v): 16 (1 + 4 v v) exp(2 v v).
    close(tape.gradient(first, v), np.float32(272 * np.exp(8)))


def test_ours_variable_read_before_the_outer_tape():
    v = tf.Variable(3.0)
    with tf.GradientTape() as inner:
        y = v * v
    with tf.GradientTape() as outer:
        first = inner.gradient(y, v)
    close(first, 6.0)
    assert outer.gradient(first, v) is None


def test_ours_watch_a_result_in_both_tapes():
    v = tf.Variable(3.0)
    with tf.GradientTape():
        y = v * v
    with tf.GradientTape() as outer:
        outer.watch(y)
        with tf.GradientTape() as inner:
            inner.watch(y)
            z = y * y * y
        first = inner.gradient(z, y)
    close(first, 243.0)
    close(outer.gradient(first, y), 54.0)


def test_ours_saved_tensors_are_the_watched_ones():
    import schuss

    found = []

    class Twice(schuss.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            found.extend(ctx.saved_tensors)
            return g * 2

    x = schuss.tensor(1.0)
    with schuss.GradientTape() as tape:
        tape.watch(x)
        y = Twice.apply(x)
    close(tape.gradient(y, x), 2.0)
    assert found[0] is x


def test_ours_new_data_between_forward_and_double_backward():
    import schuss

    x = schuss.tensor(2.0, requires_grad=True)
    y = x * x * x
    x.data = schuss.tensor(5.0)
    (first,) = schuss.autograd.grad(y, x, create_graph=True)
    first.backward()
    assert first.item() == 12.0 and x.grad.item() == 12.0


def test_ours_tape_inside_a_backward_graph():
    import schuss

    x = schuss.tensor(2.0, requires_grad=True)
    with schuss.GradientTape() as tape:
        tape.watch(x)
        y = x * x * x
        first = tape.gradient(y, x)
    assert first.item() == 12.0


def test_ours_tape_belongs_to_its_thread():
    v = tf.Variable(2.0)
    found = []

    def work():
        with tf.GradientTape() as own:
            y = v * v
        found.append(float(own.gradient(y, v)))

    with tf.GradientTape() as tape:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        y = v * 3.0
    assert found == [4.0]
    close(tape.gradient(y, v), 3.0)


def test_ours_long_recording():
    v = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = v + 0.0
        for _ in range(20_000):
            y = y + 1e-3
    close(tape.gradient(y, v), 1.0)
