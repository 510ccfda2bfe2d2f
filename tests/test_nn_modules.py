"""Every layer and loss against PyTorch: repr, state, first draws, results, gradients, buffers.
Leans on module_cases and module_facts; modules.json holds what PyTorch 2.15 gave, written by
`python tests/module_facts.py torch` in an environment that has it."""

from __future__ import annotations

import json
import math

import pytest
import schuss
from module_cases import CASES
from module_facts import VALUES, facts

PEER = json.loads(VALUES.read_text())


def close(found, wanted, tolerance):
    """Digests of one shape whose sums agree, relative to the larger of the sums."""
    assert found[0] == wanted[0]
    scale = math.sqrt(wanted[1]) + abs(wanted[2]) + 1e-3
    for mine, theirs in zip(found[1:], wanted[1:], strict=True):
        assert math.isclose(mine, theirs, rel_tol=tolerance, abs_tol=tolerance * scale)


def all_close(found, wanted, tolerance):
    assert list(found) == list(wanted)
    for name, digest in found.items():
        try:
            close(digest, wanted[name], tolerance)
        except AssertionError as error:
            raise AssertionError(f"{name}: {digest}, PyTorch has {wanted[name]}") from error


@pytest.mark.parametrize("name", CASES)
def test_module(name):
    wanted, found = PEER[name], facts(schuss, name)
    assert found["repr"] == wanted["repr"]
    assert list(found["state"].items()) == list(wanted["state"].items())
    assert found["draws"] == wanted["draws"]
    agrees(found, wanted, 1e-7)


@pytest.mark.parametrize("name", CASES)
def test_module_in_float32(name):
    agrees(facts(schuss, name, schuss.float32), PEER[name], 1e-3)


def agrees(found, wanted, tolerance):
    for mine, theirs in zip(found["results"], wanted["results"], strict=True):
        close(mine, theirs, tolerance)
    all_close(found["gradients"], wanted["gradients"], tolerance)
    all_close(found["buffers"], wanted["buffers"], tolerance)
