"""One descent for any negative log likelihood: it takes (alpha, iterations, w, nll), no more.
Leans on schuss and schuss.viz; its pictures go to out/.
"""

import math
from pathlib import Path

import schuss
from schuss import viz


def gradient_descent(alpha, iterations, w, nll):
    """Walk w downhill on nll for some iterations at rate alpha; return w, nlls and path."""
    values, path = [], []
    for _ in range(iterations):
        value = nll(w)
        value.backward()
        with schuss.no_grad():
            w -= alpha * w.grad
        w.grad.zero_()
        values.append(value.item())
        path.append(w.tolist())
    return w, values, path


def coin(heads, tails):
    """Return the nll of a coin's log-odds; its minimum is log(heads / tails)."""

    def nll(w):
        return -(heads * schuss.sigmoid(w).log() + tails * schuss.sigmoid(-w).log())

    return nll


def two_classes(n):
    """Make two clouds of n points, and the mean nll of a logistic regression that parts them."""
    points = schuss.cat([schuss.randn(n, 2) + 1.2, schuss.randn(n, 2) - 1.2])
    x = schuss.cat([points, schuss.ones(2 * n, 1)], dim=1)
    sign = schuss.cat([schuss.ones(n), -schuss.ones(n)])

    def nll(w):
        return -schuss.sigmoid(sign * (x @ w)).log().mean()

    return x, sign, nll


def main(out="out", seed=0, n=100, iterations=500):
    """Descend on a coin and on two classes; return the log-odds, its nlls and the accuracy."""
    schuss.manual_seed(seed)
    odds = schuss.tensor(0.0, requires_grad=True)
    odds, coin_values, path = gradient_descent(0.1, iterations, odds, coin(7.0, 3.0))
    print(f"7 heads, 3 tails: log-odds {odds.item():.4f}, log(7 / 3) = {math.log(7 / 3):.4f}")

    x, sign, nll = two_classes(n)
    w, values, _ = gradient_descent(0.5, iterations, schuss.zeros(3, requires_grad=True), nll)
    accuracy = ((x @ w) * sign > 0).float().mean().item()
    print(f"two classes: nll {values[0]:.4f} -> {values[-1]:.4f}, {accuracy:.1%} on their side")

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    picture = viz.loss_curve(values, title="negative log likelihood of two classes")
    picture.savefig(folder / "likelihood_two_classes.png")
    picture = viz.descent_1d(coin(7.0, 3.0), [0.0, *path], title="nll of a coin")
    picture.savefig(folder / "likelihood_coin.png")
    return {"odds": odds.item(), "coin": coin_values, "values": values, "accuracy": accuracy}


if __name__ == "__main__":
    main()
