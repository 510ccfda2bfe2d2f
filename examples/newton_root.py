"""Newton's method: follow the slope of a function to the place where the function is zero.
Leans on schuss and schuss.viz; its picture goes to out/.
"""

from itertools import pairwise
from pathlib import Path

import schuss
from schuss import viz


def find_root(f, start, steps=20, tolerance=1e-12):
    """Go to where the tangent crosses zero until f is small; return every x on the way.

    ZeroDivisionError where the tangent is level and crosses nothing.
    """
    x = schuss.tensor(start, dtype=schuss.float64, requires_grad=True)
    path = [x.item()]
    for _ in range(steps):
        y = f(x)
        if abs(y.item()) < tolerance:
            break
        (slope,) = schuss.autograd.grad(y, x)
        if slope.item() == 0:
            raise ZeroDivisionError(f"the tangent at x = {x.item()} is level")
        with schuss.no_grad():
            x -= y / slope
        path.append(x.item())
    return path


def main(out="out"):
    """Find the square root of 2 and the number that is its own cosine; return both paths."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    functions = {
        "square_root_of_2": (lambda x: x * x - 2, 4.0, (0.8, 4.3)),
        "own_cosine": (lambda x: schuss.cos(x) - x, 0.0, (-0.3, 1.4)),
    }
    paths = {}
    for name, (f, start, limits) in functions.items():
        path = paths[name] = find_root(f, start)
        print(f"{name}: {', '.join(f'{x:.10f}' for x in path)}")
        picture = viz.descent_1d(f, path, xlim=limits, title=name.replace("_", " "))
        ax = picture.axes[0]
        ax.lines[1].set_linestyle("none")  # the way leads along the tangents instead
        ax.axhline(0, color="black", lw=0.8)
        for x, after in pairwise(path):
            height = f(schuss.tensor(x, dtype=schuss.float64)).item()
            ax.plot([x, after, after], [height, 0, 0], color="grey", ls=":", lw=1.5)
        picture.savefig(folder / f"newton_root_{name}.png")
    return paths


if __name__ == "__main__":
    main()
