"""tf.keras and tf.data: models that learn, metrics, optimizers, data sets, and what they refuse.

Leans on schuss.tf; rules are compared with those of schuss.optim.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss import nn, tf
from schuss.tf import keras
from schuss.tf.keras import layers

F = nn.functional


def close(a, b, **options):
    assert np.asarray(a.detach()) == pytest.approx(np.asarray(b.detach()), **options)


@pytest.fixture
def digits():
    sklearn = pytest.importorskip("sklearn.datasets", reason="the digits are scikit-learn's")
    x, y = sklearn.load_digits(return_X_y=True)
    return (x / 16).astype(np.float32), y.astype(np.int64)


# ---- models -------------------------------------------------------------------------------------


def test_a_sequential_model_learns_digits(digits, capsys):
    x, y = digits
    model = keras.models.Sequential()
    model.add(layers.Input(shape=(64,)))
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dropout(0.1))
    model.add(layers.Dense(10))
    assert model.count_params() == 64 * 64 + 64 + 640 + 10
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(x, y, epochs=6, validation_split=0.2, verbose=2)
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history.history["val_accuracy"][-1] > 0.85
    _, accuracy = model.evaluate(x, y, verbose=0)
    said = model.predict(x, batch_size=500, verbose=0)
    assert said.shape == (len(x), 10)
    assert (said.argmax(1) == y).mean() == pytest.approx(accuracy, abs=1e-6)
    assert "Epoch 6/6" in capsys.readouterr().out
    model.summary()
    assert "Total params: 4,810" in capsys.readouterr().out


def test_the_loss_of_an_epoch_is_the_mean_over_samples():
    x = np.arange(7, dtype=np.float32)[:, None]
    model = keras.Sequential([layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    assert model.evaluate(x, x, batch_size=3, verbose=0) == pytest.approx(float((x**2).mean()))


def test_pictures_in_a_convolutional_model(digits):
    x, y = digits[0][:600].reshape(-1, 8, 8, 1), digits[1][:600]
    model = keras.Sequential([
        layers.Conv2D(8, 3, activation="relu", input_shape=(8, 8, 1)), layers.MaxPooling2D(),
        layers.BatchNormalization(), layers.Flatten(), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile(keras.optimizers.Adam(1e-2), "categorical_crossentropy", ["accuracy"])
    wanted = keras.utils.to_categorical(y, 10)
    history = model.fit(x, wanted, epochs=4, batch_size=64, verbose=0)
    assert history.history["accuracy"][-1] > 0.85


def test_functional_models():
    a, b = keras.Input((4,)), keras.Input((6,))
    shared = layers.Dense(3, activation="tanh")
    left = shared(a)
    right = layers.Dense(3)(b)
    joined = layers.concatenate([left + right, left * 2.0])
    out = layers.Dense(1, name="last")(joined)
    model = keras.Model(inputs=[a, b], outputs=[out, left])
    x, z = schuss.randn(5, 4), schuss.randn(5, 6)
    y, hidden = model([x, z])
    close(hidden, shared(x))
    assert y.shape == (5, 1) and len(model.trainable_variables) == 6
    assert model.get_layer("last").units == 1 and out.shape == (None, 1)
    inner = keras.Model(a, left)
    assert inner.trainable_variables[0] is shared.kernel
    outer = keras.Model(a, inner(a) + 1.0)
    close(outer(x), shared(x) + 1.0)
    with refuses(ValueError, "2 inputs", "got 1"):
        model([x])
    with refuses(ValueError, "Input"):
        keras.Model(a, out)
    with refuses(ValueError, "no layer", "last"):
        model.get_layer("lest")


def test_a_subclass_and_the_loop_by_hand(digits):
    x, y = digits[0][:512], digits[1][:512]

    class Network(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = [layers.Dense(32, activation="relu") for _ in range(2)]
            self.last = layers.Dense(10)

        def call(self, x, training=False):
            for layer in self.hidden:
                x = layer(x)
            return self.last(x)

    model, optimizer = Network(), keras.optimizers.Adam(5e-3)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    mean, accuracy = keras.metrics.Mean(), keras.metrics.SparseCategoricalAccuracy()
    data = (
        tf.data.Dataset.from_tensor_slices((x, y)).shuffle(512).batch(64).prefetch(tf.data.AUTOTUNE)
    )

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            predictions = model(images, training=True)
            loss = loss_fn(labels, predictions)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        mean(loss)
        accuracy(labels, predictions)

    for _ in range(12):
        mean.reset_state()
        accuracy.reset_state()
        for images, labels in data:
            step(images, labels)
    assert accuracy.result() > 0.9 and mean.result() < 0.5
    assert len(model.trainable_variables) == 6 and int(optimizer.iterations) == 96
    assert [layer.name.split("_")[0] for layer in model.layers] == ["dense"] * 3


def test_own_train_step():
    class Doubled(keras.Sequential):
        def train_step(self, data):
            x, y, _ = data
            with tf.GradientTape() as tape:
                loss = 2.0 * tf.reduce_mean(tf.square(self(x, training=True) - y))
            variables = self.trainable_variables
            self.optimizer.apply_gradients(
                zip(tape.gradient(loss, variables), variables, strict=True)
            )
            return {"double": loss}

    model = Doubled([layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1))
    x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
    history = model.fit(x, 3 * x, epochs=30, verbose=0).history["double"]
    assert history[-1] < 0.05 * history[0]


def test_regularizers_and_weights():
    model = keras.Sequential([layers.Dense(1, kernel_regularizer="l2", kernel_initializer="ones")])
    model.compile("sgd", "mse")
    x = np.ones((4, 3), np.float32)
    assert model.evaluate(x, x[:, :1], verbose=0) == pytest.approx(4 + 0.03)
    y = np.array([0, 0, 1, 1])[:, None]
    model = keras.Sequential([layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    plain = model.fit(x, y, verbose=0).history["loss"][0]
    heavy = model.fit(x, y, class_weight={0: 1.0, 1: 3.0}, verbose=0).history["loss"][0]
    assert heavy == pytest.approx(3 * plain)


def test_a_layer_that_does_not_train():
    model = keras.Sequential([layers.Dense(2), layers.Dense(1)])
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    x = np.ones((4, 3), np.float32)
    model(x)
    before = model.layers[0].get_weights()
    model.fit(x, x[:, :1], epochs=3, verbose=0)
    assert all(map(np.array_equal, before, model.layers[0].get_weights()))
    assert len(model.trainable_variables) == 2 and len(model.variables) == 4


@pytest.mark.filterwarnings("ignore:save. .* not as HDF5")
def test_callbacks_and_saved_weights(tmp_path):
    x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    seen = []
    history = model.fit(
        x, 2 * x, epochs=50, verbose=0, validation_data=(x, 2 * x),
        callbacks=[
            keras.callbacks.EarlyStopping(patience=2, min_delta=1e-3, restore_best_weights=True),
            keras.callbacks.ModelCheckpoint(tmp_path / "best.weights.h5", save_best_only=True),
            keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 * 0.9**epoch),
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda e, logs: seen.append(float(model.optimizer.learning_rate))
            ),
        ],
    )  # fmt: skip
    assert len(history.epoch) < 50 and seen[1] == pytest.approx(0.45)
    other = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    other.load_weights(tmp_path / "best.weights.h5")
    assert other.predict(x, verbose=0) == pytest.approx(2 * x, abs=0.1)
    wider = keras.Sequential([keras.Input((1,)), layers.Dense(2)])
    with refuses(schuss.ShapeError, (1, 2), (1, 1)):
        wider.load_weights(tmp_path / "best.weights.h5")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m, x: m.fit(x[:0], x[:0]), ValueError, ("empty",)),
        (lambda m, x: m.fit(x, x[:3]), ValueError, ("4", "3")),
        (lambda m, x: m.fit(x, x, validation_split=1.5), ValueError, ("validation_split",)),
        (lambda m, x: m.compile("adamm"), ValueError, ("adamm", "adam")),
        (lambda m, x: m.compile(loss="msee"), ValueError, ("msee", "mse")),
        (lambda m, x: m.compile(metrics=["f2"]), ValueError, ("f2", "accuracy")),
        (lambda m, x: keras.Sequential([3]), TypeError, ("int", "layer")),
        (lambda m, x: keras.Sequential([layers.Dense(1)]).fit(x, x), RuntimeError, ("compile",)),
        (lambda m, x: m.set_weights([]), ValueError, ("2 weights", "got 0")),
    ],
)
def test_refusals(call, error, words):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    with refuses(error, *words):
        call(model, np.ones((4, 2), np.float32))


# ---- metrics, optimizers, data sets -------------------------------------------------------------


def test_metrics():
    y, p = np.array([0, 1, 1, 0, 1]), np.array([0.1, 0.4, 0.8, 0.6, 0.9])
    found = {
        "precision": keras.metrics.Precision(),
        "recall": keras.metrics.Recall(),
        "auc": keras.metrics.AUC(),
        "binary": keras.metrics.BinaryAccuracy(),
        "rmse": keras.metrics.RootMeanSquaredError(),
    }
    for metric in found.values():
        metric.update_state(y[:2], p[:2])
        metric.update_state(y[2:], p[2:])
    values = {name: float(metric.result()) for name, metric in found.items()}
    assert values["precision"] == pytest.approx(2 / 3) and values["recall"] == pytest.approx(2 / 3)
    assert values["auc"] == pytest.approx(5 / 6) and values["binary"] == pytest.approx(0.6)
    assert values["rmse"] == pytest.approx(math.sqrt(((y - p) ** 2).mean()))
    top = keras.metrics.SparseTopKCategoricalAccuracy(2)
    assert float(top([2, 0], [[0.5, 0.3, 0.2], [0.4, 0.5, 0.1]])) == 0.5
    with refuses(schuss.ShapeError, (3,), (2, 4)):
        keras.metrics.SparseCategoricalAccuracy()(np.ones(3), np.ones((2, 4)))


# By hand from the papers' formulas, as Keras writes them: two steps from w = 1 with gradients 2, 1.
TWO_STEPS = {
    "RMSprop": ({"rho": 0.9}, [0.1 * 4, 0.9 * 0.4 + 0.1 * 1]),
    "Adagrad": ({"initial_accumulator_value": 0.1}, [4.1, 5.1]),
}


@pytest.mark.parametrize("name", TWO_STEPS)
def test_rules_by_hand(name):
    options, squares = TWO_STEPS[name]
    w = tf.Variable(1.0)
    optimizer = getattr(keras.optimizers, name)(0.5, **options)
    truth = 1.0
    for grad, square in zip((2.0, 1.0), squares, strict=True):
        optimizer.apply_gradients([(tf.constant(grad), w)])
        truth -= 0.5 * grad / math.sqrt(square + 1e-7)
        assert float(w) == pytest.approx(truth, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "other", "options"),
    [
        ("Adamax", "Adamax", {"eps": 1e-7}),
        ("Nadam", "NAdam", {"eps": 1e-7, "momentum_decay": 1.0}),
        ("Adadelta", "Adadelta", {"rho": 0.95, "eps": 1e-7}),
        ("AdamW", "AdamW", {"eps": 1e-7, "weight_decay": 0.004}),
    ],
)
def test_rules_as_on_the_other_shelf(name, other, options):
    v, w = tf.Variable([1.0, -2.0]), schuss.tensor([1.0, -2.0], requires_grad=True)
    ours = getattr(keras.optimizers, name)(0.05)
    theirs = getattr(schuss.optim, other)([w], lr=0.05, **options)
    for _ in range(10):
        ours.minimize(lambda: tf.reduce_sum(v**4 + v), [v])
        theirs.zero_grad()
        (w**4 + w).sum().backward()
        theirs.step()
    assert v.numpy() == pytest.approx(w.detach().numpy(), abs=1e-4)


def test_bounds_for_gradients():
    w = tf.Variable([3.0, 4.0])
    for name, wanted in (("clipvalue", [1.0, 1.0]), ("clipnorm", [0.6, 0.8]),
                         ("global_clipnorm", [0.6, 0.8])):  # fmt: skip
        w.assign([3.0, 4.0])
        keras.optimizers.SGD(1.0, **{name: 1.0}).apply_gradients([(tf.constant([3.0, 4.0]), w)])
        assert (np.array([3.0, 4.0]) - w.numpy()).tolist() == pytest.approx(wanted)


def test_data_sets():
    data = tf.data.Dataset.range(6)
    as_list = lambda d: [x.tolist() for x in d]  # noqa: E731
    assert as_list(data.filter(lambda x: x % 2 == 0)) == [0, 2, 4]
    assert as_list(data.take(2).concatenate(data.skip(5)).repeat(2)) == [0, 1, 5, 0, 1, 5]
    assert as_list(data.batch(4)) == [[0, 1, 2, 3], [4, 5]] and len(data.batch(4)) == 2
    assert as_list(data.batch(4, drop_remainder=True).unbatch()) == [0, 1, 2, 3]
    assert data.reduce(0, lambda s, x: s + int(x)) == 15
    pairs = tf.data.Dataset.zip((data, data.map(lambda x: x * x)))
    assert [int(a) + int(b) for a, b in pairs] == [0, 2, 6, 12, 20, 30]
    named = tf.data.Dataset.from_tensor_slices({"a": [1, 2], "b": [[1.0], [2.0]]}).batch(2)
    assert next(iter(named))["b"].shape == (2, 1)
    made = tf.data.Dataset.from_generator(lambda: iter([1, 2]), output_types=tf.int32)
    assert as_list(made) == as_list(made) == [1, 2]
    assert as_list(data.repeat().take(8)) == [0, 1, 2, 3, 4, 5, 0, 1]
    calls = []
    kept = data.map(lambda x: calls.append(1) or x).cache()
    assert as_list(kept) == as_list(kept) and len(calls) == 6
    with refuses(TypeError, "length"):
        len(data.repeat())
    with refuses(ValueError, "lengths"):
        tf.data.Dataset.from_tensor_slices(([1, 2], [1]))


def test_shuffled_data():
    data = tf.data.Dataset.range(50).shuffle(50, seed=3)
    first, second = ([int(x) for x in data] for _ in range(2))
    assert sorted(first) == sorted(second) == [*range(50)] and first != second
    again = [int(x) for x in tf.data.Dataset.range(50).shuffle(50, seed=3)]
    assert again == first
    fixed = tf.data.Dataset.range(50).shuffle(9, reshuffle_each_iteration=False)
    one = [int(x) for x in fixed]
    assert one == [int(x) for x in fixed]
    assert all(x <= place + 8 for place, x in enumerate(one))


def test_archives(tmp_path):
    arrays = {name: np.zeros((3, 2, 2), np.uint8) for name in ("x_train", "x_test")}
    arrays |= {name: np.arange(3) for name in ("y_train", "y_test")}
    np.savez(tmp_path / "mnist.npz", **arrays)
    (x, _), (_, y) = keras.datasets.mnist.load_data(str(tmp_path / "mnist.npz"))
    assert x.shape == (3, 2, 2) and y.tolist() == [0, 1, 2]
    (tmp_path / "bad.npz").write_bytes((tmp_path / "mnist.npz").read_bytes()[:200])
    with refuses(RuntimeError, "bad.npz", "damaged"):
        keras.datasets.mnist.load_data(str(tmp_path / "bad.npz"))
    np.savez(tmp_path / "hostile.npz", x_train=np.array([print], dtype=object))
    with refuses(RuntimeError, "hostile.npz"):
        keras.datasets.mnist.load_data(str(tmp_path / "hostile.npz"))


# ---- what stands around -------------------------------------------------------------------------


def test_smooth_labels():
    p = np.array([[0.2, 0.8]], np.float32)
    found = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)([[0.0, 1.0]], p)
    assert float(found) == pytest.approx(-(0.05 * math.log(0.2) + 0.95 * math.log(0.8)), rel=1e-5)
    with refuses(ValueError, "label_smoothing", "2"):
        keras.losses.BinaryCrossentropy(label_smoothing=2)


def test_places_and_borders():
    assert tf.pad([[1, 2, 3]], [[0, 0], [2, 1]], "REFLECT").tolist() == [[3, 2, 1, 2, 3, 2]]
    assert tf.pad([[1, 2, 3]], [[0, 0], [2, 1]], "SYMMETRIC").tolist() == [[2, 1, 1, 2, 3, 3]]
    with refuses(schuss.ShapeError, "pad", "3", "2"):
        tf.pad([1, 2], [[3, 0]], "SYMMETRIC")
    values, places = tf.math.top_k([[1.0, 5.0, 3.0]], 2)
    assert (values.tolist(), places.tolist()) == ([[5.0, 3.0]], [[1, 2]])
    assert tf.argsort([1, 3, 2], direction="DESCENDING").tolist() == [1, 2, 0]
    with refuses(ValueError, "DOWN"):
        tf.sort([1], direction="DOWN")
    x = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(tf.gather_nd(x, [[0, 1], [0, 1]]) ** 2)
    assert tape.gradient(y, x).numpy().tolist() == [[0, 8], [0, 0]]
    assert tf.constant([1, 2])[:, tf.newaxis].shape == (2, 1)


def test_padded_lists():
    pad = keras.preprocessing.sequence.pad_sequences
    rows = [[1], [2, 3, 4]]
    assert pad(rows, maxlen=2).tolist() == [[0, 1], [3, 4]]
    assert pad(rows, maxlen=2, padding="post", truncating="post").tolist() == [[1, 0], [2, 3]]
    assert pad(rows, value=9).tolist() == [[9, 9, 1], [2, 3, 4]]
    with refuses(ValueError, "padding", "front"):
        pad(rows, padding="front")


def test_the_beginning_of_a_program():
    assert tf.__version__ == keras.__version__ == schuss.__version__
    devices = tf.config.list_physical_devices()
    assert devices[0].device_type == "CPU"
    assert len(tf.config.list_physical_devices("GPU")) == schuss.gpu.device_count()
    with tf.device("/CPU:0"):
        assert tf.cond(tf.constant(1) > 0, lambda: 1, lambda: 2) == 1
    with refuses(NotImplementedError, "GPU", "to("), tf.device("/GPU:0"):
        pass
    keras.backend.clear_session()
    assert layers.Dense(1).name == "dense" and layers.Dense(1).name == "dense_1"
    drawn = tf.random.categorical([[0.0, 0.0, -100.0]], 200)
    assert set(drawn.flatten().tolist()) == {0, 1}


def test_weights_are_listed_layer_by_layer():
    """As Keras 3 lists them: of a normalisation its moving numbers stand beside its others."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((10, 10, 1)),
            layers.Conv2D(8, 3),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    shapes = [w.shape for w in model.get_weights()]
    assert shapes == [(3, 3, 1, 8), *[(8,)] * 5, (512, 3), (3,)]
    means = [v.name for v in model.non_trainable_variables]
    assert len(means) == 2 and [v.name for v in model.weights][4:6] == means
    model.layers[1].trainable = False
    assert [w.shape for w in model.get_weights()] == shapes


def test_a_functional_model_lists_its_inputs_among_its_layers():
    a, b = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([a, b], keras.layers.Dense(2)(keras.layers.add([a, b])))
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds[:2] == ["InputLayer"] * 2 and kinds[-1] == "Dense" and len(kinds) == 4


def test_refusals_are_told_in_the_name_that_was_called():
    model = keras.Sequential([keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"^predict: needs data, got None"):
        model.predict(None)
    with pytest.raises(ValueError, match=r"^predict: the data are empty"):
        model.predict(np.ones((0, 3)))


def test_a_file_that_is_called_hdf5_is_said_to_be_none(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.warns(UserWarning, match="not as HDF5"):
        model.save(tmp_path / "m.h5")
    x = np.ones((1, 3), np.float32)
    assert (keras.models.load_model(tmp_path / "m.h5").predict(x) == model.predict(x)).all()
    (tmp_path / "real.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    with pytest.raises(RuntimeError, match="load: this is an HDF5 file"):
        keras.models.load_model(tmp_path / "real.h5")
