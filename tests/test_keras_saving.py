"""Whole models of Keras's kind as files: read back they say the same, and train to the same bits.
Leans on schuss.tf.keras alone."""

from __future__ import annotations

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss.tf import keras
from schuss.tf.keras import layers

X = np.linspace(-1, 1, 60, dtype=np.float32).reshape(20, 3)
Y = (X.sum(axis=1) > 0).astype(np.int64)
WORDS = np.arange(24).reshape(4, 6) % 7
PICTURES = np.linspace(0, 1, 2 * 8 * 8 * 3, dtype=np.float32).reshape(2, 8, 8, 3)


class Scaled(layers.Layer):
    """A layer of the program's own."""

    def __init__(self, factor, units=2, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.units = factor, units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="ones")

    def call(self, inputs):
        return self.factor * (inputs @ self.w)

    def get_config(self):
        config = super().get_config()
        config.update({"factor": self.factor, "units": self.units})
        return config


class Net(keras.Model):
    """A model of the program's own."""

    def __init__(self, units):
        super().__init__()
        self.first = layers.Dense(units, activation="tanh")
        self.rows = [layers.Dense(units, activation="relu") for _ in range(2)]
        self.last = layers.Dense(2)

    def call(self, inputs, training=False):
        x = self.first(inputs)
        for layer in self.rows:
            x = layer(x)
        return self.last(x)


def row():
    return keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01)),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(2, activation=keras.activations.softmax),
        ]
    )


def branches():
    x = keras.Input((3,))
    shared = layers.Dense(4, "tanh", kernel_initializer=keras.initializers.HeNormal())
    a = shared(x)
    b = shared(x * 2.0)
    joined = layers.Concatenate()([a, b, layers.Add()([a, b])])
    return keras.Model(inputs=x, outputs=[layers.Dense(2)(joined), a])


def reader():
    return keras.Sequential(
        [
            layers.Embedding(7, 4),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.GRU(5),
            layers.Dense(1),
        ]
    )


def eye():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


@pytest.mark.parametrize(
    ("make", "data"),
    [
        (row, X),
        (branches, X),
        (reader, WORDS),
        (eye, PICTURES),
        (lambda: Net(4), X),
        (lambda: keras.Sequential([Scaled(3.0, units=4), Scaled(factor=0.5)]), X),
        (lambda: keras.Sequential([row(), layers.Dense(3)]), X),
    ],
    ids=["row", "branches", "words", "pictures", "own model", "own layers", "model in a model"],
)
def test_a_model_comes_back(make, data, tmp_path):
    model = make()
    wanted = model.predict(data, verbose=0)
    model.save(tmp_path / "model.keras")
    own = {"Net": Net, "Scaled": Scaled}
    again = keras.models.load_model(tmp_path / "model.keras", custom_objects=own)
    found = again.predict(data, verbose=0)
    for a, b in zip(*(x if isinstance(x, list) else [x] for x in (wanted, found)), strict=True):
        assert a.tobytes() == b.tobytes()
    lines = ([], [])
    for each, out in zip((model, again), lines, strict=True):
        each.summary(print_fn=out.append)
    # What a model of the program's makes for itself is numbered anew.
    assert lines[0] == lines[1] or isinstance(model, Net)
    assert again.count_params() == model.count_params()
    other = make()
    other.predict(data, verbose=0)
    other.load_weights(tmp_path / "model.keras")
    assert np.array_equal(other.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop", "adagrad"])
def test_training_goes_on_to_the_same_bits(optimizer, tmp_path):
    model = row()
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    model.optimizer.learning_rate = 0.02
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for each in (model, again):
        keras.utils.set_random_seed(4)
        each.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    bare = keras.models.load_model(tmp_path / "model.keras", compile=False)
    with refuses(RuntimeError, "compile"):
        bare.fit(X, Y)


def test_schedules_and_losses_come_back(tmp_path):
    model = row()
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss)
    model.fit(X, Y, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.momentum == 0.9 and again._loss.from_logits
    step = int(model.optimizer.iterations)
    assert step == int(again.optimizer.iterations)
    assert float(again.optimizer.learning_rate(step)) == rate(step)


@keras.saving.register_keras_serializable(package="tests")
class Twice(layers.Layer):
    """Known by its name."""

    def call(self, inputs):
        return 2 * inputs


def test_classes_of_the_program(tmp_path):
    file = tmp_path / "model.keras"
    model = keras.Sequential([Twice(), layers.Dense(1)])
    wanted = model.predict(X, verbose=0)
    model.save(file)
    assert np.array_equal(keras.models.load_model(file).predict(X, verbose=0), wanted)
    with refuses(FileExistsError, "there already"):
        model.save(file, overwrite=False)
    own = keras.Sequential([keras.Input((3,)), Scaled(2.0)])
    assert Scaled.from_config(own.layers[0].get_config()).factor == 2.0
    own.save(file)
    with refuses(ValueError, "Scaled is not known", "custom_objects"):
        keras.models.load_model(file)


def test_what_no_file_can_hold(tmp_path):
    file = tmp_path / "model.keras"
    model = keras.Sequential([keras.Input((3,)), layers.Lambda(lambda x: x + 1)])
    with refuses(TypeError, "lambda", "save_weights"):
        model.save(file)
    assert not file.exists()
    schuss.save({"format": "other"}, file)
    with refuses(ValueError, "holds no model", "load_weights"):
        keras.models.load_model(file)
    wild = {"is": "object", "class": "system", "module": "os", "of": {"is": "dict", "of": []}}
    told = {"class": "Popen", "module": "subprocess", "name": None, "trainable": True}
    for layer in ({**told, "args": [], "kwargs": []}, {**told, "module": "schuss.tf.keras.saving"}):
        state = {"format": "schuss.keras 1", "model": 0, "layers": [layer], "weights": []}
        schuss.save({**state, "seen": wild, "training": None}, file)
        with refuses(ValueError, "no class here"):
            keras.models.load_model(file)


def test_a_summary_has_columns():
    lines = []
    branches().summary(print_fn=lines.append)
    assert lines[2].split() == ["Layer", "(type)", "Output", "Shape", "Param", "#"]
    assert any("(None, 4)" in line and line.endswith("16") for line in lines)
    lines.clear()
    keras.Sequential([layers.Dense(2)]).summary(print_fn=lines.append)
    assert any(line.startswith("dense") and "?" in line for line in lines)
