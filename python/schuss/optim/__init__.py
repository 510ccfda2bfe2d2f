"""The optimisers, under the names of PyTorch's `optim`.
Names only; the schedules are in `optim.lr_scheduler`, averages of models in `optim.swa_utils`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schuss.optim import lr_scheduler
from schuss.optim.adadelta import Adadelta
from schuss.optim.adafactor import Adafactor
from schuss.optim.adagrad import Adagrad
from schuss.optim.adam import Adam
from schuss.optim.adamax import Adamax
from schuss.optim.adamw import AdamW
from schuss.optim.asgd import ASGD
from schuss.optim.bfgs import BFGS
from schuss.optim.conjugate import NonlinearCG
from schuss.optim.lamb import LAMB
from schuss.optim.lbfgs import LBFGS
from schuss.optim.lbfgsb import LBFGSB
from schuss.optim.least_squares import GaussNewton, LevenbergMarquardt
from schuss.optim.lion import Lion
from schuss.optim.muon import Muon
from schuss.optim.nadam import NAdam
from schuss.optim.natural_gradient import NaturalGradient
from schuss.optim.newton import Newton, NewtonCG
from schuss.optim.optimizer import Optimizer
from schuss.optim.radam import RAdam
from schuss.optim.rmsprop import RMSprop
from schuss.optim.rprop import Rprop
from schuss.optim.sgd import SGD
from schuss.optim.sparse_adam import SparseAdam

if TYPE_CHECKING:
    from schuss.optim import swa_utils as swa_utils


def __getattr__(name: str) -> Any:
    # Loaded on first use: it needs the layers.
    if name == "swa_utils":
        from importlib import import_module

        return import_module("schuss.optim.swa_utils")
    from schuss.absent import missing

    raise missing("schuss.optim", name)


__all__ = [
    "ASGD",
    "BFGS",
    "LAMB",
    "LBFGS",
    "LBFGSB",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "GaussNewton",
    "LevenbergMarquardt",
    "Lion",
    "Muon",
    "NAdam",
    "NaturalGradient",
    "Newton",
    "NewtonCG",
    "NonlinearCG",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "lr_scheduler",
    "swa_utils",
]
