"""A graph of single numbers, a model over it, and gradient descent as one reusable class.
Leans on schuss.Scalar, schuss.Model, schuss.descent and schuss.viz; its pictures go to out/.
"""

import random
from pathlib import Path

from schuss import Model, Scalar, viz
from schuss.descent import GradientDescent, mean_squared_error


class Linear(Model):
    """y = a x + b, starting from a = b = 1."""

    def __init__(self):
        self.a = Scalar(1)
        self.b = Scalar(1)

    def forward(self, x):
        return self.a * x + self.b

    def parameters(self):
        return {"a": self.a, "b": self.b}


def fit_by_hand(xs, ys, lr, epochs):
    """Fit a line with nothing but a function, the loss and gradient_update."""
    a, b = Scalar(1), Scalar(1)
    for _ in range(epochs):
        loss = mean_squared_error([a * x + b for x in xs], ys)
        loss.backward()
        for parameter in (a, b):
            parameter.gradient_update(lr)
    return a, b


def main(out="out", seed=27, n=100, epochs=100, n_steps=1000):
    """Fit 0.8 x - 1.2 by hand and with GradientDescent; return what was found."""
    product = Scalar(3) * Scalar(4)
    print(f"3 * 4 = {product}, from {product.prevs}")

    rng = random.Random(seed)
    xs = [rng.random() for _ in range(n)]
    ys = [0.8 * x - 1.2 + rng.normalvariate(0, 0.1) for x in xs]

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    predictions = [Scalar(value) for value in (0.9, 0.2, 0.5)]
    truths = [Scalar(value) for value in (-1.0, 0.3, 0.7)]
    loss = mean_squared_error(predictions, truths)
    loss.backward()
    names = {f"f(x{k})": p for k, p in enumerate(predictions, 1)}
    names |= {f"y{k}": y for k, y in enumerate(truths, 1)}
    graph = viz.graph(loss, params=names)
    graph.save(folder / "scalar_graph_mse.svg")
    graph.save(folder / "scalar_graph_mse.png")

    a, b = fit_by_hand(xs, ys, lr=0.5, epochs=epochs)
    print(f"rate 0.5, {epochs} epochs: a = {a}, b = {b}")
    line = viz.fit(xs, ys, [a * x + b for x in xs], title=f"rate 0.5, {epochs} epochs")
    line.savefig(folder / "scalar_graph_fit.png")

    model = Linear()
    answer = model(42)
    print(f"before training, model(42) = {answer}")
    losses = GradientDescent(model, mean_squared_error).run(xs, ys, lr=0.01, n_steps=n_steps)
    slow = {name: parameter.value for name, parameter in model.copy_parameters().items()}
    print(f"rate 0.01, {n_steps} steps: a = {slow['a']:.3f}, b = {slow['b']:.3f}: not there yet")
    line = viz.fit(xs, ys, [model(x) for x in xs], title=f"rate 0.01, {n_steps} steps")
    line.savefig(folder / "scalar_graph_slow_fit.png")

    model.load_parameters({"a": Scalar(-1), "b": Scalar(-1)})
    print(f"loaded: a = {model.a}, b = {model.b}")
    return {
        "answer": answer,
        "product": product,
        "fast": {"a": a.value, "b": b.value},
        "slow": slow,
        "losses": losses,
        "loaded": (model.a.value, model.b.value),
        "graph": graph,
    }


if __name__ == "__main__":
    main()
