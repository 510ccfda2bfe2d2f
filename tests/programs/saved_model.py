"""A classifier by layers, trained until it gets no better, written to a file and trained further.
Leans on TensorFlow's names and NumPy."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

keras.utils.set_random_seed(1)
rng = np.random.RandomState(0)
x = rng.randn(240, 3).astype("float32")
y = (x @ np.array([1.0, -2.0, 0.5]) > 0).astype("float32")

model = keras.models.Sequential(
    [
        layers.Dense(16, activation="relu", input_shape=(3,)),
        layers.Dropout(0.1),
        layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
model.summary()
stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True)
history = model.fit(
    x, y, epochs=40, batch_size=16, validation_split=0.2, verbose=0, callbacks=[stop]
)
assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
assert model.evaluate(x, y, verbose=0)[1] > 0.9

model.save("model.keras")
again = keras.models.load_model("model.keras")
assert np.allclose(model.predict(x, verbose=0), again.predict(x, verbose=0))
again.fit(x, y, epochs=2, verbose=0)

data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(240).batch(32).prefetch(tf.data.AUTOTUNE)
inputs = keras.Input(shape=(3,))
wide = layers.Concatenate()([layers.Dense(4, activation=tf.nn.relu)(inputs), inputs])
net = keras.Model(inputs=inputs, outputs=layers.Dense(2)(wide))
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
accuracy = keras.metrics.SparseCategoricalAccuracy()


@tf.function
def train_step(rows, classes):
    with tf.GradientTape() as tape:
        logits = net(rows, training=True)
        loss = loss_of(tf.cast(classes, tf.int32), logits)
    slopes = tape.gradient(loss, net.trainable_variables)
    optimizer.apply_gradients(zip(slopes, net.trainable_variables))
    accuracy.update_state(classes, logits)


for epoch in range(10):
    accuracy.reset_state()
    for rows, classes in data:
        train_step(rows, classes)
assert float(accuracy.result()) > 0.95
