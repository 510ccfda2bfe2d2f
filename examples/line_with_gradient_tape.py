"""Fits a line the TensorFlow way: a tape records the loss, then plays back its gradients.
Leans on schuss.tf and schuss.viz; its pictures go to out/.
"""

from pathlib import Path

import schuss.tf as tf
from schuss import viz

TRUE_W, TRUE_B = 3.0, 0.5


class Line:
    def __init__(self):
        self.W = tf.Variable(16.0)
        self.b = tf.Variable(10.0)

    def __call__(self, x):
        return self.W * x + self.b


def mean_squared(y, prediction):
    return tf.reduce_mean(tf.square(y - prediction))


def train(line, x, y, lr):
    with tf.GradientTape() as tape:
        loss = mean_squared(y, line(x))
    dW, db = tape.gradient(loss, [line.W, line.b])
    line.W.assign_sub(lr * dW)
    line.b.assign_sub(lr * db)
    return loss


def main(out="out", seed=0, examples=1000, epochs=20, lr=0.1):
    """Fit the line and return its W, its b and the loss of every epoch."""
    tf.random.set_seed(seed)
    x = tf.random.normal(shape=(examples,))
    noise = tf.random.normal(shape=(examples,))
    y = x * TRUE_W + TRUE_B + noise
    line = Line()

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    before = viz.fit(x, y, line(x), title="before training")
    before.savefig(folder / "line_with_gradient_tape_before.png")

    Ws, bs, losses = [], [], []
    for epoch in range(epochs):
        Ws.append(line.W.numpy())  # a snapshot: the update below does not change it
        bs.append(line.b.numpy())
        losses.append(float(train(line, x, y, lr).numpy()))
        print(f"Epoch {epoch}: Loss: {losses[-1]}")
    W, b = float(line.W.numpy()), float(line.b.numpy())
    print(f"W = {W:.3f}, b = {b:.3f}")

    history = viz.parameters_over_epochs({"W": Ws, "b": bs}, {"W": TRUE_W, "b": TRUE_B})
    history.savefig(folder / "line_with_gradient_tape_parameters.png")
    after = viz.fit(x, y, line(x), title=f"after {epochs} epochs")
    after.savefig(folder / "line_with_gradient_tape_after.png")
    return {"W": W, "b": b, "Ws": [float(value) for value in Ws], "losses": losses}


if __name__ == "__main__":
    main()
