"""Gradient descent from scratch on slope and offset, written as one matrix product `x @ a`.
Leans on schuss, schuss.nn and schuss.viz; its pictures and an animation go to out/.
"""

import math
from pathlib import Path

import schuss
from schuss import nn, tensor, viz


def mean_squared_error(y, y_guess):
    distances = (y_guess - y) ** 2
    return distances.mean()


def make_data(n):
    """Make n points on y = 3 x + 2, lifted by uniform noise; the second column of x is the bias."""
    x = schuss.ones(n, 2)
    x[:, 0].uniform_(-1.0, 1)
    y = x @ tensor(3.0, 2)
    y += schuss.rand(n)
    return x, y


def descend(x, y, lr, epochs):
    """Start from the guess (-1, 1); return the parameters, the losses and every prediction."""
    a = nn.Parameter(tensor(-1.0, 1))
    losses, guesses = [], []

    def update():
        y_guess = x @ a
        loss = mean_squared_error(y, y_guess)
        loss.backward()
        with schuss.no_grad():
            a.sub_(lr * a.grad)
            a.grad.zero_()
        losses.append(loss.item())
        guesses.append(y_guess.detach())

    for _ in range(epochs):
        update()
    return a, losses, guesses


def main(out="out", seed=0, n=100, epochs=100, lr=1e-1, animate=True):
    """Fit slope and offset and return them with the losses, small rate and far too large."""
    schuss.manual_seed(seed)
    x, y = make_data(n)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    data = viz.fit(x[:, 0], y, x @ tensor(3.0, 2), title="the data and the line without noise")
    data.savefig(folder / "descent_from_scratch_data.png")

    y_guess = x @ tensor(-1.0, 1)
    cost = mean_squared_error(y, y_guess).item()
    print(f"the guess (-1, 1) costs {cost:.2f}")
    guess = viz.fit(x[:, 0], y, y_guess, residuals=True, title=f"the first guess costs {cost:.2f}")
    guess.savefig(folder / "descent_from_scratch_guess.png")

    a, losses, guesses = descend(x, y, lr, epochs)
    slope, offset = a.tolist()
    print(f"after {epochs} epochs: slope {slope:.3f}, offset {offset:.3f}, cost {losses[-1]:.4f}")
    end = viz.fit(x[:, 0], y, x @ a, residuals=True, title=f"after {epochs} epochs")
    end.savefig(folder / "descent_from_scratch_fit.png")
    viz.loss_curve(losses, xlabel="epoch").savefig(folder / "descent_from_scratch_loss.png")
    if animate:
        # After half of the epochs the line hardly moves.
        half = guesses[: epochs // 2]
        viz.moving_fit(x[:, 0], y, half, folder / "descent_from_scratch.gif")

    _, wild, _ = descend(x, y, lr=10_000, epochs=10)
    broken = next((k for k, loss in enumerate(wild) if not math.isfinite(loss)), None)
    print(f"with rate 10000 the cost grows: {', '.join(f'{loss:.3g}' for loss in wild)}")
    return {
        "cost": cost,
        "slope": slope,
        "offset": offset,
        "losses": losses,
        "wild": wild,
        "broken": broken,
    }


if __name__ == "__main__":
    main()
