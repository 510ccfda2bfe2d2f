"""Every record on a GPU against the processor: values of every dtype, odd layouts, edges, slopes.

Leans on the oracle table, test_ops's ways of reading it, adapter and gpu_nearness. What has no
kernel is listed.
"""

from __future__ import annotations

import functools
import warnings
from pathlib import Path

import numpy as np
import pytest
import schuss
from adapter import DEVICE, needs_adapter
from conftest import LETTERS
from gpu_nearness import UNITS, alike, units
from reference import TABLE
from samples import Case
from test_ops import LAYOUTS, NAMES, arrays, cases, function, outputs, shown, tensors

pytestmark = needs_adapter

# What no shader computes, decompositions and loops in every element: the processor does.
HOSTED = set(
    """
    cholesky cholesky_inverse cholesky_solve det eigh eigvalsh frexp hypergamma i0 i0e i1 i1e
    igamma igammac inv inverse logabsdet logdet lu lu_factor lu_product lu_solve matrix_exp
    matrix_rank mode nextafter nuclear_norm pinv polygamma qr qr_product slogdet solve
    solve_triangular svd svd_product svdvals zeta
    """.split()  # noqa: SIM905
)
# Their derivatives are such functions.
STEEP = {"digamma", "lgamma"}
# The types of which every record is tried in several ways; of the others in one.
LEAD = "?Blf"
OTHERS = [
    n for n in ("add", "mul", "abs", "maximum", "where", "sum", "matmul", "cat") if n in TABLE
]


def moved(stored: list) -> list:
    return [t.to(DEVICE) if isinstance(t, schuss.Tensor) else t for t in stored]


def same(got: object, want: object, what: str, kind: str = "sum") -> None:
    """Assert that results on a GPU are the processor's, in dtype and shape too."""
    for g, w in zip(outputs(got), outputs(want), strict=True):
        assert str(g.device) == "gpu:0" or g.numel() == 0, f"{what} lies on {g.device}"
        alike(g, w, kind, terms=64, what=what)


def refused(call: functools.partial) -> bool:
    try:
        call()
    except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError):
        return True
    return False


def compared(name: str, one: Case, letter: str) -> None:
    """Compare one call on both devices."""
    f = functools.partial(function(name), **one.keywords)
    stored = tensors(one, arrays(name, one, letter), letter)
    if TABLE[name].dtypes[LETTERS.index(letter)] == "-":
        return
    want = f(*stored, *one.args)
    same(f(*moved(stored), *one.args), want, f"{name} {letter} {one}")


@pytest.mark.filterwarnings("ignore:.*has no kernel")
@pytest.mark.parametrize("name", NAMES)
def test_values_are_the_processors(name: str) -> None:
    chosen = [c for c in cases(TABLE[name], 1000) if all(0 not in d.shape for d in c.inputs)]
    with warnings.catch_warnings(record=True) as seen:
        for letter in LETTERS.replace("d", ""):
            for one in chosen[: 3 if name in OTHERS or letter in LEAD else 1]:
                compared(name, one, letter)
    said = [str(w.message) for w in seen if "has no kernel" in str(w.message)]
    assert name in HOSTED or not said, f"{name}: {said}"
    # Of float64 the processor does the mathematics.
    for one in chosen[:1]:
        compared(name, one, "d")


@pytest.mark.parametrize("name", [n for n in NAMES if n not in HOSTED])
def test_slopes_are_the_processors(name: str) -> None:
    entry = TABLE[name]
    one = next((c for c in cases(entry, 1000) if all(0 not in d.shape for d in c.inputs)), None)
    if name in STEEP or one is None or not entry.grad or entry.dtypes[LETTERS.index("f")] != "f":
        pytest.skip(f"{name} has no derivative to compare")
    f = functools.partial(function(name), **one.keywords)
    grads = []
    for place in ("cpu", DEVICE):
        values = tensors(one, arrays(name, one, "f"), "f")
        leaves = [t.to(place) for t in values]
        for leaf, draw in zip(leaves, one.inputs, strict=True):
            leaf.requires_grad_(draw.moves)
        out = outputs(f(*leaves, *one.args))[0]
        if not out.requires_grad:
            pytest.skip(f"{name} has no derivative to compare")
        (out * out).sum().backward()
        grads.append([leaf.grad for leaf in leaves if leaf.grad is not None])
    for i, (want, got) in enumerate(zip(*grads, strict=True)):
        same(got, want, f"the gradient of {name} at {i}", "layer")


@pytest.mark.parametrize("layout", ["transposed", "stepped", "offset"])
@pytest.mark.parametrize("name", [n for n in OTHERS if TABLE[n].any_layout])
def test_layouts_are_walked(name: str, layout: str) -> None:
    store, show = LAYOUTS[layout]
    f = function(name)
    for one in cases(TABLE[name], 200)[:4]:
        if any(0 in d.shape for d in one.inputs):
            continue
        values = arrays(name, one, "f")
        kept = [
            np.array(store(x), order="C") if d.moves else x
            for d, x in zip(one.inputs, values, strict=True)
        ]
        stored = [schuss.tensor(x) for x in kept]
        views = {
            i: functools.partial(show, shape=values[i].shape)
            for i, d in enumerate(one.inputs)
            if d.moves
        }
        want = f(*shown(stored, views), *one.args, **one.keywords)
        got = f(*shown(moved(stored), views), *one.args, **one.keywords)
        same(got, want, f"{name} {layout} {one}")


EDGES = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1e30, -1e30, 88.0, -103.0]
UNARY = [
    n for n in NAMES if TABLE[n].kind == "unary" and n not in HOSTED and TABLE[n].dtypes[8] in "f?"
]


@pytest.mark.parametrize("name", UNARY)
def test_edges_are_the_processors(name: str) -> None:
    x = schuss.tensor(EDGES)
    f = function(name)
    want, got = f(x), f(x.to(DEVICE))
    alike(got, want, "map", signs=True, what=f"{name} of {EDGES}")


@pytest.mark.parametrize("name", UNARY)
def test_mathematics_is_the_processors(name: str) -> None:
    lo, hi = TABLE[name].check
    x = schuss.linspace(lo, hi, 4001)
    f = function(name)
    want, got = f(x), f(x.to(DEVICE)).cpu()
    if want.dtype == schuss.float32:
        # Of 1 + erf the left tail keeps the digits that the 1 has.
        off = units(got.numpy(), want.numpy(), least=1.0 if name == "gelu" else 1e-6)
        assert np.nanmax(off) <= UNITS["map"](1), (
            f"{name}: {np.nanmax(off)} units at {x[int(np.nanargmax(off))]}"
        )


# Units in the last place against float64, and where it is asked: the processor's bounds, but for
# sines and cosines of large arguments, tails of erfc, and gammas, which are summed in float32.
RIGHT = {
    **dict.fromkeys(("exp", "exp2"), (2.0, -87.0, 88.0)),
    **dict.fromkeys(("log", "log2", "log10"), (2.0, 1e-6, 100.0)),
    "log1p": (2.0, -0.99, 50.0),
    "expm1": (2.0, -20.0, 80.0),
    **dict.fromkeys(("tanh", "erf"), (2.0, -9.0, 9.0)),
    **dict.fromkeys(("sinh", "cosh"), (2.0, -80.0, 80.0)),
    "erfc": (3.0, -4.0, 9.0),
    "sigmoid": (2.5, -80.0, 80.0),
    **dict.fromkeys(("sin", "cos"), (3.0, -1000.0, 1000.0)),
    "tan": (3.0, -100.0, 100.0),
    **dict.fromkeys(("asin", "acos", "atanh"), (2.5, -0.9999, 0.9999)),
    **dict.fromkeys(("atan", "asinh"), (2.5, -100.0, 100.0)),
    "acosh": (2.0, 1.0, 100.0),
    "sqrt": (0.51, 0.0, 100.0),
    "rsqrt": (2.0, 1e-4, 100.0),
    **dict.fromkeys(("lgamma", "digamma"), (3.0, 2.5, 50.0)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_mathematics_is_right_to_the_last_places(name: str) -> None:
    most, lo, hi = RIGHT[name]
    f = function(name)
    x = schuss.linspace(lo, hi, 40_001)
    true = f(x.double()).numpy()
    off = units(f(x.to(DEVICE)).cpu().numpy(), true)
    assert off.max() <= most, f"{off.max():.2f} units at {x[int(off.argmax())].item()}"


def test_the_list_of_what_the_processor_does_is_told() -> None:
    text = (Path(__file__).parents[1] / "docs" / "gpu.md").read_text(encoding="utf-8")
    told = text.split("Records that the processor computes for a GPU:")[1].split(".\n")[0]
    assert set(told.replace("`", "").replace(",", " ").split()) == HOSTED
