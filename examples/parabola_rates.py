"""Walks down (x - 2)^2 + 1 at three learning rates: just right, faster, and too slow.
Leans on schuss and schuss.viz; its pictures go to out/.
"""

from pathlib import Path

import schuss
from schuss import viz


def f(x):
    return (x - 2) ** 2 + 1


def descend(rate, start, epochs):
    """Return every x of the descent, the start among them."""
    x = schuss.tensor(start, requires_grad=True)
    path = [x.item()]
    for _ in range(epochs):
        f(x).backward()
        with schuss.no_grad():
            x -= rate * x.grad
        x.grad.zero_()
        path.append(x.item())
    return path


def main(out="out", start=0.0, epochs=20, rates=(0.1, 0.3, 0.01)):
    """Descend at each rate; return the paths by rate."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for rate in rates:
        path = paths[rate] = descend(rate, start, epochs)
        near = next((k for k, x in enumerate(path) if abs(x - 2) < 0.05), None)
        when = f"within 0.05 of the minimum after {near} steps" if near else "not there yet"
        print(f"rate {rate:4}: x = {path[-1]:.4f}, f(x) = {f(path[-1]):.4f}, {when}")
        picture = viz.descent_1d(f, path, xlim=(-1, 5), title=f"{epochs} steps at rate {rate}")
        picture.savefig(folder / f"parabola_rates_{rate}.png")
    picture = viz.parameters_over_epochs({f"rate {rate}": path for rate, path in paths.items()})
    picture.savefig(folder / "parabola_rates.png")
    return paths


if __name__ == "__main__":
    main()
