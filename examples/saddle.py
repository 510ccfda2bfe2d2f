"""A saddle point: level in every direction, yet no minimum, and descent lingers there.
Leans on schuss and schuss.viz; its pictures go to out/.
"""

from pathlib import Path

import schuss
from schuss import viz


def saddle(x, y):
    return x * x - y * y


def descend(start, rate, steps, far=1.5):
    """Return the path and the size of the gradient at each of its points, until |y| is `far`."""
    x, y = (schuss.tensor(value, requires_grad=True) for value in start)
    path, slopes = [], []
    for _ in range(steps):
        dx, dy = schuss.autograd.grad(saddle(x, y), (x, y))
        path.append((x.item(), y.item()))
        slopes.append((dx * dx + dy * dy).sqrt().item())
        if abs(y.item()) > far:
            break
        with schuss.no_grad():
            x -= rate * dx
            y -= rate * dy
    return path, slopes


def main(out="out", start=(1.4, -1e-3), rate=0.1, steps=200):
    """Descend from near the ridge and exactly on it; return both paths and the slopes."""
    path, slopes = descend(start, rate, steps)
    slowest = min(range(len(slopes)), key=slopes.__getitem__)
    print(f"from {start}: the gradient shrinks to {slopes[slowest]:.4f} at step {slowest}, "
          f"then the path escapes to y = {path[-1][1]:.3f} at step {len(path) - 1}")  # fmt: skip
    stuck, _ = descend((start[0], 0.0), rate, steps)
    print(f"from ({start[0]}, 0): after {len(stuck)} steps still at {stuck[-1]}")

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    ranges = ((-1.6, 1.6), (-1.8, 1.8))
    landscape = viz.surface(saddle, *ranges, path, title="x² - y² and the way down")
    landscape.savefig(folder / "saddle_surface.png")
    viz.contour(saddle, *ranges, path).savefig(folder / "saddle_contour.png")
    viz.loss_curve(slopes, ylabel="size of the gradient").savefig(folder / "saddle_gradient.png")
    return {"path": path, "slopes": slopes, "stuck": stuck}


if __name__ == "__main__":
    main()
