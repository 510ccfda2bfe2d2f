"""Variables and a tape: a line, then a network of Keras's, trained by hand and by fit.
Leans on TensorFlow's names alone."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.models import Sequential

tf.random.set_seed(0)
TRUE_W, TRUE_B = 3.0, 2.0
x = tf.random.normal(shape=[200])
y = x * TRUE_W + TRUE_B + tf.random.normal(shape=[200])


class MyModel(tf.Module):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.w = tf.Variable(5.0)
        self.b = tf.Variable(0.0)

    def __call__(self, x):
        return self.w * x + self.b


def loss(target_y, predicted_y):
    return tf.reduce_mean(tf.square(target_y - predicted_y))


model = MyModel()
for epoch in range(60):
    with tf.GradientTape() as t:
        current_loss = loss(y, model(x))
    dw, db = t.gradient(current_loss, [model.w, model.b])
    model.w.assign_sub(0.1 * dw)
    model.b.assign_sub(0.1 * db)
assert abs(model.w.numpy() - 3) < 0.3 and abs(model.b.numpy() - 2) < 0.3

rng = np.random.default_rng(0)
features = rng.normal(size=(400, 2)).astype("float32")
labels = (features[:, 0] * features[:, 1] > 0).astype("int64")
train_dataset = tf.data.Dataset.from_tensor_slices((features[:300], labels[:300]))
train_dataset = train_dataset.shuffle(buffer_size=1024).batch(32)
inputs = keras.Input(shape=(2,), name="points")
h = layers.Dense(16, activation="relu")(inputs)
h = layers.Dense(16, activation="relu")(h)
outputs = layers.Dense(2, name="predictions")(h)
net = keras.Model(inputs=inputs, outputs=outputs)
optimizer = keras.optimizers.Adam(learning_rate=1e-2)
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
train_acc_metric = keras.metrics.SparseCategoricalAccuracy()
for epoch in range(12):
    for step, (x_batch, y_batch) in enumerate(train_dataset):
        with tf.GradientTape() as tape:
            logits = net(x_batch, training=True)
            loss_value = loss_fn(y_batch, logits)
        grads = tape.gradient(loss_value, net.trainable_weights)
        optimizer.apply_gradients(zip(grads, net.trainable_weights))
        train_acc_metric.update_state(y_batch, logits)
    train_acc = train_acc_metric.result()
    train_acc_metric.reset_state()
assert float(train_acc) > 0.85

quick = Sequential([
    tf.keras.layers.Input(shape=(2,)),
    tf.keras.layers.Dense(32, activation="tanh"),
    tf.keras.layers.Dropout(0.05),
    tf.keras.layers.Dense(1, activation="sigmoid"),
])
quick.compile(optimizer=keras.optimizers.Adam(0.02), loss="binary_crossentropy", metrics=["accuracy"])
stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=10)
history = quick.fit(
    features[:300], labels[:300], epochs=40, validation_split=0.2, callbacks=[stop], verbose=0
)
quick.evaluate(features[300:], labels[300:], verbose=2)
assert max(history.history["val_accuracy"]) > 0.85
assert quick.predict(features[:5], verbose=0).shape == (5, 1)
