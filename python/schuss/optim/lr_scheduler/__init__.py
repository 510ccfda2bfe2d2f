"""Schedules: rules that change an optimiser's learning rates as training goes on.
Names only; every schedule reads and writes the key "lr" of each group."""

from __future__ import annotations

from schuss.optim.lr_scheduler.base import LRScheduler
from schuss.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from schuss.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from schuss.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from schuss.optim.lr_scheduler.factors import (
    ExponentialLR,
    LambdaLR,
    MultiplicativeLR,
    MultiStepLR,
    StepLR,
)
from schuss.optim.lr_scheduler.plateau import ReduceLROnPlateau
from schuss.optim.lr_scheduler.ramps import ConstantLR, LinearLR, PolynomialLR

# PyTorch's older name of the base.
_LRScheduler = LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
