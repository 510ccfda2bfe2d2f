"""GradientTape: what is recorded and when, what is watched, assignment.

Leans on schuss.tf, nearness, schuss and pytest. All but the tests named `ours` are TensorFlow
programs: with `import tensorflow as tf` in the place of the import below, and `-k "not ours"`,
TensorFlow 2.21 passes them too, and that is where their values come from.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest
import schuss.tf as tf
from nearness import close


def cube(x, **options):
    """A tape that has recorded x ** 3 by products, and the result."""
    with tf.GradientTape(**options) as tape:
        tape.watch(x)
        y = x * x * x
    return tape, y


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
