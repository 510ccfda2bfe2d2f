"""Pictures of descent: graphs of computations, losses, fits, hills with paths, predictions.
Names only; graphs live in graph, charts in charts, hills in hills; matplotlib is loaded late.
"""

from __future__ import annotations

from .charts import fit, loss_curve, moving_fit, parameters_over_epochs, predictions
from .graph import Graph, Node, graph
from .hills import contour, descent_1d, surface
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
