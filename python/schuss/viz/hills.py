"""Functions of two numbers as maps and landscapes, with the path of a descent across them.
Leans on charts beside it, on NumPy, and on matplotlib inside the functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .charts import DATA, PATH, SQUARE, WIDE, axes, new_figure, numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure


def heights(
    name: str,
    f: Callable[[Any, Any], Any],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    count: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evaluate f at every point of a grid, with 0-d float64 tensors, nothing recorded."""
    from schuss import float64, no_grad, tensor

    if not callable(f):
        raise TypeError(f"{name}: f must be a function of two numbers, got {type(f).__name__}")
    for which, limits in (("xlim", xlim), ("ylim", ylim)):
        pair = np.asarray(limits, dtype=float)
        if pair.shape != (2,) or not np.isfinite(pair).all() or pair[0] >= pair[1]:
            raise ValueError(f"{name}: {which} must be (low, high) with low < high, got {limits!r}")
    if count < 2:
        raise ValueError(f"{name}: count must be at least 2, got {count}")
    xs, ys = np.linspace(*xlim, count), np.linspace(*ylim, count)
    with no_grad():
        across = [tensor(float(x), dtype=float64) for x in xs]
        along = [tensor(float(y), dtype=float64) for y in ys]
        first = f(across[0], along[0])
        if np.size(numbers(first)) != 1:
            raise ValueError(
                f"{name}: f must return one number for two, got shape {np.shape(numbers(first))}; "
                "is a .sum() or .mean() missing?"
            )
        z = np.array([[float(f(x, y)) for x in across] for y in along])
    if not np.isfinite(z).any():
        raise ValueError(f"{name}: f is NaN or infinite everywhere between {xlim} and {ylim}")
    return xs, ys, z


def spaced(name: str, z: np.ndarray, levels: Any, scale: str | None) -> np.ndarray:
    """Heights for level lines: as given, or a number of them, equally or ever more widely apart.

    Where `scale` is None they are logarithmic if most of the picture lies far below its highest
    point, as the valley of a loss does.
    """
    low, high = float(np.nanmin(z)), float(np.nanmax(z))
    if not isinstance(levels, (int, np.integer)):
        found = np.unique(np.asarray(levels, dtype=float))
        if found.size < 2:
            raise ValueError(f"{name}: levels must be a number of lines or two heights or more")
        return found
    if levels < 2:
        raise ValueError(f"{name}: levels must be at least 2, got {levels}")
    if scale not in (None, "linear", "log", "quantile"):
        raise ValueError(f"{name}: scale is 'linear', 'log', 'quantile' or None, not {scale!r}")
    if not high > low:
        return np.array([low - 0.5, low + 0.5])
    if scale == "quantile":
        return np.unique(np.quantile(z, np.linspace(0, 1, levels)))
    deep = float(np.median(z)) - low < 0.15 * (high - low)
    if scale == "log" or (scale is None and deep):
        above = np.sort((z - low).ravel())
        least = max(float(above[above.size // 100]), 1e-6 * (high - low))
        return low + np.concatenate([[0.0], np.geomspace(least, high - low, levels - 1)])
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(levels).tick_values(low, high)


def path_points(name: str, path: Any) -> np.ndarray:
    """Read a path as an array of shape (steps, 2)."""
    points = np.array([numbers(point) for point in path], dtype=float)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"{name}: path has shape {points.shape}; pass pairs, shape (steps, 2)")
    return points


def contour(
    f: Callable[[Any, Any], Any],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    path: Any = None,
    *,
    names: tuple[str, str] = ("x", "y"),
    title: str | None = None,
    count: int = 60,
    levels: int | Sequence[float] = 24,
    scale: str | None = None,
) -> Figure:
    """Draw the level lines of f (two 0-d tensors to a number) and the path of a descent over them.

    `levels` is a number of lines, or their heights. `scale` spaces them: "linear", "log" (from the
    lowest point on), "quantile" (as much of the picture between two as between any), or None, which
    takes "log" for a deep valley in a high landscape. ValueError for limits that are none, and for
    an f that is not finite anywhere or returns more than a number.

    >>> from schuss import viz
    >>> picture = viz.contour(lambda x, y: x * x + y * y, (-2, 2), (-1, 1), [(2, 1), (1, 0.5)])
    """
    x, y, z = heights("contour", f, xlim, ylim, count)
    z = np.where(np.isfinite(z), z, np.nan)
    marks = spaced("contour", z, levels, scale)
    fig = new_figure(SQUARE)
    ax = axes(fig, title, *names)
    ax.grid(visible=False)
    from matplotlib.colors import BoundaryNorm

    # Each band has a colour of its own, however unequal the bands are.
    even = BoundaryNorm(marks, 256, extend="neither")
    filled = ax.contourf(x, y, z, levels=marks, cmap="viridis", norm=even)
    ax.contour(x, y, z, levels=marks, colors="white", linewidths=0.4, alpha=0.5)
    bar = fig.colorbar(filled, ax=ax, label=f"f({', '.join(names)})", format="%.3g")
    bar.set_ticks(marks[:: max(1, len(marks) // 8)])
    if path is not None:
        points = path_points("contour", path)
        ax.plot(*points.T, color=PATH, lw=1.5, marker="o", ms=3, label="path")
        ax.plot(*points[0], "o", color="white", mec=PATH, ms=8, label="start")
        ax.plot(*points[-1], "*", color="white", mec=PATH, ms=13, label="end")
        ax.set(xlim=xlim, ylim=ylim)
        ax.legend()
    return fig


def surface(
    f: Callable[[Any, Any], Any],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    path: Any = None,
    *,
    names: tuple[str, str] = ("x", "y"),
    title: str | None = None,
    count: int = 50,
    view: tuple[float, float] = (32.0, -60.0),
) -> Figure:
    """Draw f (two 0-d tensors to a number) as a landscape and the path of a descent across it.

    `view` is (elevation, azimuth) in degrees.
    """
    x, y, z = heights("surface", f, xlim, ylim, count)
    fig = new_figure((7.0, 5.6))
    ax: Any = fig.add_axes((0.02, 0.04, 0.9, 0.9), projection="3d", computed_zorder=False)
    ax.plot_surface(*np.meshgrid(x, y), z, cmap="viridis", alpha=0.85, lw=0.2, edgecolor="white")
    ax.set(xlabel=names[0], ylabel=names[1], title=title or "")
    ax.set_zlabel(f"f({', '.join(names)})")
    ax.view_init(*view)
    if path is not None:
        points = path_points("surface", path)
        from schuss import float64, no_grad, tensor

        with no_grad():
            up = [float(f(*(tensor(float(v), dtype=float64) for v in point))) for point in points]
        ax.plot(*points.T, up, color=PATH, lw=1.5, marker="o", ms=3, label="path", zorder=5)
        ax.legend()
    return fig


def descent_1d(
    f: Callable[[Any], Any],
    path: Any,
    *,
    xlim: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw f (a 0-d tensor to a number) and the steps of a descent on it, first to last."""
    from schuss import float64, no_grad, tensor

    def height(x: float) -> float:
        return float(f(tensor(float(x), dtype=float64)))

    steps = numbers(path).astype(float).ravel()
    if xlim is None:
        margin = 0.25 * (float(np.ptp(steps)) or 1.0)
        xlim = (float(steps.min()) - margin, float(steps.max()) + margin)
    grid = np.linspace(*xlim, 200)
    with no_grad():
        curve, points = [height(x) for x in grid], [height(x) for x in steps]
    fig = new_figure(WIDE)
    ax = axes(fig, title, "x", "f(x)")
    ax.set_xlim(xlim)
    ax.plot(grid, curve, color=DATA, lw=2, label="f(x)")
    ax.plot(steps, points, color=PATH, lw=1, marker="o", ms=4, label="steps")
    ax.plot(steps[-1], points[-1], "*", color=PATH, ms=13, label=f"end, x = {steps[-1]:.4g}")
    ax.legend()
    return fig
