"""Charts of descent: losses, fits, parameters, predictions.
Leans on NumPy, and on matplotlib inside the functions; tensors come as they are, graph and all.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DATA, MODEL, PATH = "#4c78a8", "#e45756", "#d62728"
COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf")
WIDE, SQUARE = (7.0, 4.3), (6.4, 5.2)


def new_figure(size: tuple[float, float]) -> Figure:
    """Make an empty figure of `size` inches that needs no display.

    ImportError that names the extra when matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "viz: pictures need matplotlib, which is not installed; "
            'install the extra with pip install "schuss[viz]"'
        ) from error
    return Figure(figsize=size, layout="constrained" if size in (WIDE, SQUARE) else None)


def numbers(values: Any) -> np.ndarray:
    """Read tensors, Scalars, arrays, numbers or a list of them as a NumPy array.

    >>> from schuss import tensor
    >>> numbers([tensor(1.0, requires_grad=True), 2])
    array([1., 2.])
    """
    if hasattr(values, "detach"):
        return np.asarray(values.detach().cpu().numpy())
    if hasattr(values, "prevs"):
        return np.asarray(float(values.value))
    if isinstance(values, (list, tuple, range)):
        return np.array([numbers(value) for value in values], dtype=float)
    return np.asarray(values)


def axes(fig: Figure, title: str | None, xlabel: str, ylabel: str) -> Axes:
    """Add the one pair of axes of a chart, with names and a light grid."""
    ax = fig.add_subplot()
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title or "")
    ax.grid(alpha=0.3)
    return ax


def count_axis(ax: Axes) -> None:
    """Keep the ticks of an axis that counts steps at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _alone(line: Any) -> Any:
    """Where finite values stand whose neighbours are not, so that no line goes to them."""
    there = np.isfinite(np.concatenate([[np.nan], line, [np.nan]]))
    return np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:])


def loss_curve(
    losses: Any,
    *,
    title: str | None = None,
    log: bool = False,
    smooth: int = 1,
    xlabel: str = "step",
    ylabel: str = "loss",
) -> Figure:
    """Draw a loss over its steps, or several from a dict of label to losses.

    With `smooth` above 1 the mean of so many steps is drawn over the losses themselves, which are
    pale. ValueError where `smooth` is below 1.

    >>> from schuss import viz
    >>> viz.loss_curve([3.0, 1.5, 0.9]).axes[0].get_xlabel()
    'step'
    """
    fig = new_figure(WIDE)
    ax = axes(fig, title, xlabel, ylabel)
    count_axis(ax)
    if smooth < 1:
        raise ValueError(f"loss_curve: smooth is a number of steps of at least 1, got {smooth}")
    several = losses if hasattr(losses, "items") else {"": losses}
    for k, (label, values) in enumerate(several.items()):
        line, colour = numbers(values).ravel(), f"C{k}"
        if smooth == 1:
            ax.plot(line, color=colour, label=label or None, lw=1.5)
            alone = _alone(line)
            ax.plot(alone, line[alone], ".", color=colour, ms=5)
            continue
        mean = f"mean of {smooth} steps"
        ax.plot(line, color=colour, alpha=0.25, lw=0.8, label=None if label else "each step")
        ax.plot(
            *running_mean(line, smooth),
            color=colour,
            lw=2,
            label=f"{label}, {mean}" if label else mean,
        )
    if log:
        ax.set_yscale("log")
    if hasattr(losses, "items") or smooth > 1:
        ax.legend()
    return fig


def running_mean(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of `count` values around each step that has them, and these steps.

    >>> import numpy as np
    >>> steps, means = running_mean(np.array([1.0, 2.0, 6.0]), 3)
    >>> steps, means
    (array([1.]), array([3.]))
    """
    count = max(1, min(count, len(values)))
    means = np.convolve(values, np.full(count, 1 / count), "valid")
    return np.arange(len(means)) + (count - 1) / 2, means


def fit(
    x: Any, y: Any, prediction: Any, *, residuals: bool = False, title: str | None = None
) -> Figure:
    """Draw the data and the predictions for it; `residuals` joins each point to its prediction.

    ValueError when x, y and prediction differ in size.
    """
    x, y, prediction = same_size("fit", x, y, prediction)
    fig = new_figure(WIDE)
    ax = axes(fig, title, "x", "y")
    order = np.argsort(x)
    if residuals:
        ax.vlines(x, y, prediction, color=MODEL, alpha=0.5, lw=1, label="residual")
    ax.scatter(x, y, s=14, color=DATA, alpha=0.7, label="true")
    ax.plot(x[order], prediction[order], color=MODEL, lw=2, label="predicted")
    ax.legend()
    return fig


def same_size(name: str, *values: Any) -> list[np.ndarray]:
    """Flatten the values, which must have equally many numbers."""
    flat = [numbers(value).ravel() for value in values]
    sizes = [len(value) for value in flat]
    if len(set(sizes)) > 1:
        raise ValueError(f"{name}: sizes {tuple(sizes)} differ; pass equally many of each")
    return flat


def moving_fit(
    x: Any, y: Any, predictions: Sequence[Any], path: str | Path, *, fps: int = 20
) -> Path:
    """Write an animation (GIF) of a fit as it moves: one picture for each entry of `predictions`.

    ValueError when `predictions` is empty or one has another size than x.
    """
    if len(predictions) == 0:
        raise ValueError("moving_fit: predictions is empty; pass one prediction for each picture")
    fig = fit(x, y, predictions[0], title="step 0")
    from matplotlib.animation import PillowWriter

    ax = fig.axes[0]
    order = np.argsort(numbers(x).ravel())
    (line,) = ax.lines
    fig.draw_without_rendering()
    fig.set_layout_engine("none")  # laid out once: doing it again for each picture takes seconds
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = PillowWriter(fps=fps)
    with writer.saving(fig, str(path), dpi=80):
        for step, prediction in enumerate(predictions):
            _, guess = same_size("moving_fit", x, prediction)
            line.set_ydata(guess[order])
            ax.set_title(f"step {step}")
            writer.grab_frame()
    return path


def parameters_over_epochs(
    parameters: Mapping[str, Any],
    truths: Mapping[str, float] | None = None,
    *,
    title: str | None = None,
    xlabel: str = "epoch",
    ylabel: str = "value",
) -> Figure:
    """Draw each parameter over the epochs, with its truth as a dashed line of the same colour."""
    fig = new_figure(WIDE)
    ax = axes(fig, title, xlabel, ylabel)
    count_axis(ax)
    for k, (name, values) in enumerate(parameters.items()):
        ax.plot(numbers(values).ravel(), color=COLOURS[k % len(COLOURS)], lw=2, label=name)
    for k, name in enumerate(parameters):
        if truths and name in truths:
            truth, colour = float(truths[name]), COLOURS[k % len(COLOURS)]
            ax.axhline(truth, color=colour, ls="--", lw=1.3, label=f"true {name}")
    ax.legend()
    return fig


def predictions(
    images: Any, labels: Any, predicted: Any, *, columns: int = 8, title: str | None = None
) -> Figure:
    """Draw images (count, height, width) with their predictions, a wrong one in red beside its
    label. The title says how many are right, unless one is given; an empty one leaves it out.

    ValueError when the counts differ.
    """
    pictures = numbers(images)
    if pictures.ndim != 3 or not len(pictures):
        raise ValueError(
            f"predictions: images have shape {pictures.shape}; pass shape (count, height, width)"
        )
    truth, guess = same_size("predictions", labels, predicted)
    if len(truth) != len(pictures):
        raise ValueError(f"predictions: {len(pictures)} images but {len(truth)} labels")
    lines = -(-len(pictures) // columns)
    if title is None:
        title = f"{int((truth == guess).sum())} of {len(truth)} right"
    head = 0.35 if title else 0.0
    height = 1.35 * lines + head
    fig = new_figure((max(1.05 * columns, 0.085 * len(title)), height))
    grid = fig.subplots(lines, columns, squeeze=False)
    fig.subplots_adjust(left=0.02, right=0.98, bottom=0.03, top=1 - (0.27 + head) / height,
                        wspace=0.15, hspace=0.4)  # fmt: skip
    fig.suptitle(title, y=1 - 0.06 / height, va="top", fontsize=12)
    for ax in grid.flat:
        ax.set_axis_off()
    for ax, picture, true, said in zip(grid.flat, pictures, truth, guess, strict=False):
        ax.imshow(picture, cmap="gray_r")
        right = true == said
        text = f"{said:g}" if right else f"{said:g}, not {true:g}"
        ax.set_title(text, fontsize=11, color="#2f855a" if right else "#c53030", pad=3)
    return fig
