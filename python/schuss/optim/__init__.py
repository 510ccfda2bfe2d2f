"""The optimisers, under the names of PyTorch's `optim`.
Names only; the schedules are in `optim.lr_scheduler`."""

from __future__ import annotations

from schuss.optim import lr_scheduler
from schuss.optim.adam import Adam, AdamW
from schuss.optim.optimizer import Optimizer
from schuss.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
