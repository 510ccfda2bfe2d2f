"""tf.keras and tf.data: layers against schuss.nn, models that learn, and what they refuse.

Leans on schuss.tf; the numbers of layers are compared with those of the other shelf.
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


# ---- layers -------------------------------------------------------------------------------------


def test_dense():
    layer = layers.Dense(4, activation="relu", kernel_initializer="he_normal")
    x = schuss.randn(5, 3)
    found = layer(x)
    close(found, F.relu(x @ layer.kernel.value() + layer.bias.value()))
    assert [v.name for v in layer.weights] == ["kernel:0", "bias:0"]
    assert layer(np.ones((2, 3))).dtype == schuss.float32  # floats of 64 bits are read as of 32
    with refuses(schuss.ShapeError, (2, 7), (3, 4)):
        layer(schuss.ones(2, 7))
    with refuses(ValueError, "units"):
        layers.Dense(0)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("size", [7, 8])
def test_convolution(padding, strides, size):
    layer = layers.Conv2D(4, (3, 2), strides, padding)
    x = schuss.randn(2, size, size, 3)
    found = layer(x)
    wanted = -(-size // strides)
    if padding == "same":
        assert found.shape == (2, wanted, wanted, 4)
        down = max((wanted - 1) * strides + 3 - size, 0)
        across = max((wanted - 1) * strides + 2 - size, 0)
        pads = (across // 2, across - across // 2, down // 2, down - down // 2)
    else:
        pads = (0, 0, 0, 0)
    kernel = layer.kernel.value().permute(3, 2, 0, 1)
    truth = F.conv2d(F.pad(x.permute(0, 3, 1, 2), pads), kernel, stride=strides)
    close(found, truth.permute(0, 2, 3, 1), abs=1e-5)


@pytest.mark.parametrize(("padding", "strides", "size"), [
    ("same", 2, 10), ("valid", 2, 11), ("same", 1, 5), ("valid", 1, 7), ("same", 3, 15),
])  # fmt: skip
def test_transposed_convolution(padding, strides, size):
    layer = layers.Conv2DTranspose(2, 3, strides, padding)
    x = schuss.randn(1, 5, 5, 4)
    made = layer(x)
    assert made.shape == (1, size, size, 2)
    # It is the derivative of the convolution of the same padding by its input.
    forward = layers.Conv2D(4, 3, strides, padding, use_bias=False)
    y = schuss.randn(1, size, size, 2)
    forward(y)
    forward.kernel.assign(layer.kernel.value())
    with tf.GradientTape() as tape:
        tape.watch(y)
        product = tf.reduce_sum(forward(y) * x)
    close(made, tape.gradient(product, y), abs=1e-5)


def test_pooling():
    x = schuss.randn(1, 5, 5, 2)
    first = x.permute(0, 3, 1, 2)
    close(layers.MaxPooling2D(2)(x), F.max_pool2d(first, 2).permute(0, 2, 3, 1))
    same = layers.AveragePooling2D(2, padding="same")(x)
    assert same.shape == (1, 3, 3, 2)
    close(same[0, 2, 2], x[0, 4, 4])  # one pixel alone is its own mean
    close(layers.GlobalAveragePooling2D()(x), x.mean((1, 2)))
    close(layers.GlobalMaxPooling2D()(x), x.amax((1, 2)))
    close(layers.MaxPooling1D(2)(x[0]), F.max_pool1d(x[0].permute(0, 2, 1), 2).permute(0, 2, 1))
    assert layers.UpSampling2D(2)(x).shape == (1, 10, 10, 2)
    assert layers.ZeroPadding2D(((1, 2), (3, 4)))(x).shape == (1, 8, 12, 2)


def test_lstm_is_the_other_shelf_s():
    ours, theirs = layers.LSTM(4, return_sequences=True), nn.LSTM(3, 4, batch_first=True)
    x = schuss.randn(2, 6, 3)
    ours(x)
    with schuss.no_grad():
        theirs.weight_ih_l0.copy_(ours.kernel.value().T)
        theirs.weight_hh_l0.copy_(ours.recurrent_kernel.value().T)
        theirs.bias_ih_l0.copy_(ours.bias.value())
        theirs.bias_hh_l0.zero_()
    close(ours(x), theirs(x)[0], abs=1e-6)
    assert ours.bias.numpy().tolist() == [0] * 4 + [1] * 4 + [0] * 8


def test_gru_is_the_other_shelf_s():
    ours, theirs = layers.GRU(4), nn.GRU(3, 4, batch_first=True)
    x = schuss.randn(2, 6, 3)
    ours(x)
    ours.bias.assign(schuss.randn(2, 12))

    def turned(w):
        z, r, h = w.T.chunk(3)
        return schuss.cat([r, z, h])

    with schuss.no_grad():
        theirs.weight_ih_l0.copy_(turned(ours.kernel.value()))
        theirs.weight_hh_l0.copy_(turned(ours.recurrent_kernel.value()))
        theirs.bias_ih_l0.copy_(turned(ours.bias.value()[0]))
        theirs.bias_hh_l0.copy_(turned(ours.bias.value()[1]))
    close(ours(x), theirs(x)[0][:, -1], abs=1e-6)


def test_recurrent_forms():
    x = schuss.randn(2, 6, 3)
    made, h, c = layers.LSTM(4, return_state=True)(x)
    close(made, h)
    assert c.shape == (2, 4)
    both = layers.Bidirectional(layers.SimpleRNN(4, return_sequences=True))
    assert both(x).shape == (2, 6, 8) and len(both.trainable_variables) == 6
    back = layers.SimpleRNN(4, go_backwards=True)
    back(x)
    plain = layers.SimpleRNN(4)
    plain(x)
    plain.set_weights(back.get_weights())
    close(back(x), plain(x.flip(1)), abs=1e-6)
    assert layers.TimeDistributed(layers.Dense(5))(x).shape == (2, 6, 5)
    with refuses(schuss.ShapeError, "steps", (2, 3)):
        layers.LSTM(4)(schuss.ones(2, 3))


def test_normalisations():
    x = schuss.randn(8, 5) * 3 + 2
    layer = layers.BatchNormalization(momentum=0.9)
    close(layer(x, training=True), F.batch_norm(x, None, None, training=True, eps=1e-3), abs=1e-5)
    close(layer.moving_mean.value(), 0.1 * x.mean(0), abs=1e-6)
    close(layer.moving_variance.value(), 0.9 + 0.1 * x.var(0, correction=0), abs=1e-5)
    kept = layer(x)
    truth = F.batch_norm(x, layer.moving_mean.value(), layer.moving_variance.value(), eps=1e-3)
    close(kept, truth, abs=1e-5)
    assert len(layer.trainable_variables) == 2 and len(layer.non_trainable_variables) == 2
    close(layers.LayerNormalization()(x), F.layer_norm(x, (5,), eps=1e-3), abs=1e-5)
    normal = layers.Normalization()
    normal.adapt(x.numpy())
    assert normal(x).mean().item() == pytest.approx(0, abs=1e-5)
    with refuses(ValueError, "adapt"):
        layers.Normalization()(x)


def test_dropout_and_training():
    x = schuss.ones(2000)
    layer = layers.Dropout(0.25)
    assert schuss.equal(layer(x), x)
    found = layer(x, training=True)
    assert found.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert (found == 0).float().mean().item() == pytest.approx(0.25, abs=0.05)
    # A model that trains tells the layers in it.
    model = keras.Sequential([layers.Dropout(0.5)])
    assert (model(x, training=True) == 0).any() and not (model(x, training=False) == 0).any()


def test_small_layers():
    x = schuss.arange(24.0).reshape(2, 3, 4)
    assert layers.Reshape((4, 3))(x).shape == (2, 4, 3) and layers.Flatten()(x).shape == (2, 12)
    close(layers.Permute((2, 1))(x), x.transpose(1, 2))
    close(layers.Add()([x, x]), 2 * x)
    close(layers.concatenate([x, x]), schuss.cat([x, x], -1))
    close(layers.Average()([x, 3 * x]), 2 * x)
    close(
        layers.Dot(axes=1)([x[:, :, 0], x[:, :, 1]]), (x[:, :, 0] * x[:, :, 1]).sum(1, keepdim=True)
    )
    close(layers.Rescaling(1 / 255)(schuss.tensor([[255]])), schuss.ones(1, 1))
    close(layers.LeakyReLU(0.1)(-x), -0.1 * x)
    close(layers.ReLU(max_value=6)(x), x.clamp(0, 6))
    assert layers.RepeatVector(5)(schuss.ones(2, 3)).shape == (2, 5, 3)
    with refuses(AttributeError, "Attention", "Dense", "subclass"):
        layers.Attention  # noqa: B018
    with refuses(TypeError, "unts"):
        layers.Dense(3, unts=4)


@pytest.mark.parametrize("name", ["glorot_uniform", "he_normal", "orthogonal", "truncated_normal"])
def test_initializers(name):
    made = keras.initializers.get(name)((200, 100)).numpy()
    wanted = {
        "glorot_uniform": math.sqrt(2 / 300),
        "he_normal": math.sqrt(2 / 200),
        "orthogonal": math.sqrt(1 / 200),
        "truncated_normal": 0.05 * 0.8796,
    }[name]
    assert made.std() == pytest.approx(wanted, rel=0.03)
    if name == "orthogonal":
        assert made.T @ made == pytest.approx(np.eye(100), abs=1e-4)


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
    with refuses(NotImplementedError, "load_weights"):
        keras.models.load_model("x.keras")


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
