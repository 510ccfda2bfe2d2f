"""Fits a line the PyTorch way: every tensor remembers its origin, `backward()` walks back.
Leans on schuss and schuss.viz; its pictures, the hills of the error among them, go to out/.
"""

from pathlib import Path

import schuss
from schuss import viz
from schuss.autograd import Variable

TRUE_W, TRUE_B = 3.0, 0.5


class Line:
    def __init__(self):
        self.W = Variable(schuss.as_tensor(16.0), requires_grad=True)
        self.b = Variable(schuss.as_tensor(10.0), requires_grad=True)

    def __call__(self, x):
        return self.W * x + self.b


def mean_squared(y, prediction):
    return schuss.square(prediction - y).mean()


def train(line, x, y, lr):
    loss = mean_squared(y, line(x))
    loss.backward()
    with schuss.no_grad():
        line.W -= line.W.grad.data * lr
        line.b -= line.b.grad.data * lr
    # Gradients add up from one backward to the next unless they are cleared.
    line.W.grad.data.zero_()
    line.b.grad.data.zero_()


def main(out="out", seed=0, examples=1000, epochs=20, lr=0.1):
    """Fit the line and return its W, its b and the loss of every epoch."""
    schuss.manual_seed(seed)
    x = schuss.normal(0.0, 1.0, size=(examples,))
    noise = schuss.normal(0.0, 1.0, size=(examples,))
    y = x * TRUE_W + TRUE_B + noise
    line = Line()

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    before = viz.fit(x, y, line(x).detach().numpy(), title="before training")
    before.savefig(folder / "line_with_backward_before.png")

    Ws, bs, losses = [], [], []
    for epoch in range(epochs):
        with schuss.no_grad():
            Ws.append(line.W.numpy().item())
            bs.append(line.b.numpy().item())
            losses.append(mean_squared(y, line(x)).item())
        train(line, x, y, lr)
        print(f"Epoch {epoch}: Loss: {losses[-1]}")
    W, b = line.W.item(), line.b.item()
    print(f"W = {W:.3f}, b = {b:.3f}")

    history = viz.parameters_over_epochs({"W": Ws, "b": bs}, {"W": TRUE_W, "b": TRUE_B})
    history.savefig(folder / "line_with_backward_parameters.png")
    after = viz.fit(x, y, line(x), title=f"after {epochs} epochs")
    after.savefig(folder / "line_with_backward_after.png")

    def error(W, b):
        return mean_squared(y, W * x + b)

    path, ranges = [*zip(Ws, bs, strict=True), (W, b)], ((-5, 18), (-6, 12))
    hills = viz.contour(error, *ranges, path, names=("W", "b"), title="the error and the way down")
    hills.savefig(folder / "line_with_backward_hills.png")
    landscape = viz.surface(error, *ranges, path, names=("W", "b"), view=(40, -125))
    landscape.savefig(folder / "line_with_backward_valley.png")
    return {"W": W, "b": b, "Ws": Ws, "losses": losses}


if __name__ == "__main__":
    main()
