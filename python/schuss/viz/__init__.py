"""Pictures of descent: graphs of computations, losses, fits, hills with paths, predictions.
Names only; graphs live in graph, charts in charts; matplotlib is loaded when first drawn with.
"""

from __future__ import annotations

from .charts import (
    contour,
    descent_1d,
    fit,
    loss_curve,
    moving_fit,
    parameters_over_epochs,
    predictions,
    surface,
)
from .graph import Graph, Node, graph
from .progress import progress

__all__ = [
    "Graph",
    "Node",
    "contour",
    "descent_1d",
    "fit",
    "graph",
    "loss_curve",
    "moving_fit",
    "parameters_over_epochs",
    "predictions",
    "progress",
    "surface",
]
