"""docs/shelf.md says where layers, optimisers and schedules run: each of its rows is tried again.
Leans on shelf_facts, which writes that page."""

from __future__ import annotations

import re

import pytest
from adapter import needs_adapter
from schuss import nn, optim
from shelf_facts import PAGE, cell, works

WORKS = works()
ROWS = re.findall(r"^\| `(.+)` \| (.+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
STALE = "docs/shelf.md is not current; run: python tests/shelf_facts.py"
NAMES = [(part, name) for part, listed in WORKS.items() for name in listed]
TOLD = {name: {"compiled": compiled, "gpu": gpu} for name, compiled, gpu in ROWS}


def test_the_page_has_a_row_for_each():
    assert [name for name, *_ in ROWS] == [name for _, name in NAMES], STALE


def kinds(module, base):
    return {
        value.__name__
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    }


def test_nothing_is_left_out():
    # What only others are made of, and what becomes another at its first call.
    parts = {"Container", "RNNBase", "RNNCellBase", "NLLLoss2d"}
    layers = kinds(nn, nn.Module)
    lazy = {name for name in layers if name.startswith("Lazy")}
    assert layers - lazy - parts == {n for n in WORKS["Layers and losses"] if "utils" not in n}
    assert kinds(optim, optim.Optimizer) == set(WORKS["Optimisers"])
    # One schedule is led by a number that the step would have to read.
    schedules = kinds(optim.lr_scheduler, optim.lr_scheduler.LRScheduler)
    assert schedules - {"ReduceLROnPlateau"} == set(WORKS["Schedules"])


@pytest.mark.parametrize(("part", "name"), NAMES)
def test_compiled(part, name):
    assert cell(WORKS[part][name], "compiled") == TOLD[name]["compiled"], STALE


@needs_adapter
@pytest.mark.parametrize(("part", "name"), NAMES)
def test_on_a_gpu(part, name):
    assert cell(WORKS[part][name], "gpu") == TOLD[name]["gpu"], STALE
