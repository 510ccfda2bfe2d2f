"""GradientTape: what it does in schuss alone.

Leans on schuss.tf, nearness, schuss and pytest. All but the tests named `ours` are TensorFlow
programs: with `import tensorflow as tf` in the place of the import below, and `-k "not ours"`,
TensorFlow 2.21 passes them too, and that is where their values come from.
"""

from __future__ import annotations

import gc
import threading
import weakref

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
    assert "test_tape_own.py:" in lines[0] and "test_tape_own.py:" in lines[1]
    assert lines[0].index("->") == lines[1].index("->")
    assert lines[0].index("test_tape_own") == lines[1].index("test_tape_own")
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
