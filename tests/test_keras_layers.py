"""The layers of tf.keras against those of schuss.nn with the same weights.

Leans on schuss.tf and schuss.nn.
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


def test_attention_is_the_other_shelf_s():
    ours = layers.MultiHeadAttention(num_heads=2, key_dim=3)
    theirs = nn.MultiheadAttention(6, 2, batch_first=True)
    x, y = schuss.randn(2, 4, 6), schuss.randn(2, 5, 6)
    ours(x, y)
    with schuss.no_grad():
        joined = [ours._kernels[name].value().T for name in ("query", "key", "value")]
        theirs.in_proj_weight.copy_(schuss.cat(joined))
        theirs.out_proj.weight.copy_(ours._last.value().T)
    close(ours(x, y), theirs(x, y, y)[0], abs=1e-5)
    mask = schuss.ones(4, 4, dtype=schuss.bool).triu(1)
    close(ours(x, x, use_causal_mask=True), theirs(x, x, x, attn_mask=mask)[0], abs=1e-5)
    assert len(ours.trainable_variables) == 8


def test_convolutions_of_tf_nn():
    layer = layers.Conv2D(4, 3, 2, "same", use_bias=False)
    x = schuss.randn(1, 7, 7, 2)
    made = layer(x)
    close(tf.nn.conv2d(x, layer.kernel, 2, "SAME"), made)
    close(tf.nn.max_pool2d(x, 2, 2, "VALID"), layers.MaxPooling2D()(x))
    with refuses(ValueError, "same", "SAME"):
        tf.nn.conv2d(x, layer.kernel, 2, "same")
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    assert mean.numpy() == pytest.approx(x.numpy().mean((0, 1, 2)), abs=1e-6)
    assert variance.numpy() == pytest.approx(x.numpy().var((0, 1, 2)), abs=1e-5)
