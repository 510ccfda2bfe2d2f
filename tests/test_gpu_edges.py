"""NaN, infinity, -0 and denormal numbers through every record on a GPU, as on the processor.

Leans on the core's table of records, adapter and gpu_nearness; nothing is listed by hand but what
has arguments of its own.
"""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import schuss
from adapter import DEVICE, needs_adapter
from conftest import draws
from gpu_nearness import alike, strays
from schuss import _core

pytestmark = [needs_adapter, pytest.mark.filterwarnings("ignore:.*has no kernel")]

EDGES = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1e30, -1e30, 88.0, -103.0]
# Of three operands and more.
FEW = [0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan]
RECORDS = {record["name"]: record for record in _core.records()}
MAPS = [name for name, record in RECORDS.items() if record["kind"] == "map"]
STEPS = [name for name in MAPS if name.endswith("_step") or name == "lamb_direction"]
# What is left of a sum may be a tenth of what it was on the way.
LEFT = 10.0
# Slopes that fade with e to the minus square of the second operand, times a cotangent.
FAINT = {"gelu_exact_slope"}


def function(name: str):
    return getattr(_core, name, None) or getattr(_core, "_" + name, None)


def operands(count: int) -> list[np.ndarray]:
    if count > 2:
        rng = draws("edges")
        rows = list(itertools.product(FEW, repeat=count))
        some = rng.choice(len(rows), size=min(len(rows), 600), replace=False)
        columns = np.array([rows[i] for i in some], dtype=np.float32).T
    else:
        columns = np.array(list(itertools.product(EDGES, repeat=count)), dtype=np.float32).T
    return [np.ascontiguousarray(column) for column in columns]


def wrong(
    got: schuss.Tensor, want: schuss.Tensor, given: list[np.ndarray] | None, kind: str = "map"
) -> list:
    """Where a result on the GPU is not the processor's: what it was made of, and both."""
    size = LEFT * np.abs(want.numpy()) if kind == "sum" else 0.0
    bad, a, b, _ = strays(got, want, kind, terms=6, size=size, signs=True)
    places = [tuple(int(i) for i in at) for at in np.argwhere(bad)][:8]
    return [
        (at if given is None else tuple(float(x[at]) for x in given), float(a[at]), float(b[at]))
        for at in places
    ]


def outputs(found) -> list[schuss.Tensor]:
    return [found] if isinstance(found, schuss.Tensor) else list(found)


@pytest.mark.parametrize("name", [name for name in MAPS if name not in STEPS])
def test_every_map_has_the_processors_edges(name):
    record = RECORDS[name]
    call, given = function(name), operands(len(record["inputs"]))
    numbers = [True if kind == "bool" else 0.5 for kind in record["kinds"]]
    bits = record["dtype"] in ("bits", "integer")
    found = []
    for device in ("cpu", DEVICE):
        own = [schuss.tensor(x).nan_to_num() if bits else schuss.tensor(x) for x in given]
        own = [(x.clamp(-100, 100).int() if bits else x).to(device) for x in own]
        try:
            found.append(outputs(call(*own, *numbers)))
        except (RuntimeError, TypeError) as error:
            found.append(str(error).replace(f" on {DEVICE}:0", ""))
    want, got = found
    if isinstance(want, str):
        assert got == want, "refused on both"
        return
    for g, w in zip(got, want, strict=True):
        bad = wrong(g, w, given)
        # What a huge number makes of one that is nearly 0, or is 0, is a matter of its last digit.
        bad = [one for one in bad if not (name in FAINT and abs(one[0][0]) >= 1e30)]
        assert not bad, f"{name}: of (at, GPU, processor) differ {bad}"


@pytest.mark.parametrize("name", STEPS)
def test_every_optimisers_step_has_the_processors_edges(name):
    record = RECORDS[name]
    given, found = operands(len(record["inputs"])), []
    for device in ("cpu", DEVICE):
        columns = [[schuss.tensor(x).to(device)] for x in given]
        _core.fused_step(name, columns, (0.5,) * len(record["params"]))
        found.append([column[0] for column in columns])
    for w, g in zip(*found, strict=True):
        assert not wrong(g, w, given), f"{name}: {wrong(g, w, given)}"


def rows() -> np.ndarray:
    """A row for each edge among ordinary numbers, and rows of pairs and of one edge alone."""
    rng = draws("rows")
    made = []
    for edge in EDGES:
        row = rng.normal(size=6).astype(np.float32)
        row[3] = edge
        made.append(row)
    for a, b in itertools.product([np.inf, -np.inf, np.nan, -0.0, 1e-40], repeat=2):
        row = rng.normal(size=6).astype(np.float32)
        row[1], row[4] = a, b
        made.append(row)
    made += [np.full(6, edge, np.float32) for edge in EDGES]
    made += [np.array([0.0, -0.0] * 3, np.float32), np.array([-0.0, 0.0] * 3, np.float32)]
    made.append(rng.normal(size=6).astype(np.float32))
    return np.stack(made)


# What records over rows are given beside the axis.
MORE = {
    "sort_along": {"descending": False, "k": 6},
    "kth_along": {"k": 3},
    "median_along": {"skip_nan": True},
    "running_extreme": {"largest": True},
    "softmax_back": None,
    "var": {"correction": 1.0},
    # Halves of operations on complex numbers, of which there are none on a GPU.
    **dict.fromkeys(("fft_whole", "fft_to_half", "fft_from_half", "logsumexp_parts")),
    **dict.fromkeys(("spread_of", "length_of")),
}
ROWS = [
    name
    for name, record in RECORDS.items()
    if record["kind"] in ("kernel", "inline")
    and "dim" in record["params"]
    and record["inputs"] == ["input"]
    and MORE.get(name, {}) is not None
]


@pytest.mark.parametrize("name", ROWS)
def test_every_record_over_rows_has_the_processors_edges(name):
    call, more, x = function(name), MORE.get(name, {}), schuss.tensor(rows())
    params = RECORDS[name]["params"]
    kinds = dict(zip(params, RECORDS[name]["kinds"], strict=True))
    for dim in (-1, 0):
        values = {"dim": [dim] if "ints" in kinds["dim"] else dim, **more}
        for extra in ("keepdim", "largest", "descending"):
            if extra in params:
                values.setdefault(extra, False)
        want, got = (outputs(call(t, **values)) for t in (x, x.to(DEVICE)))
        for g, w in zip(got, want, strict=True):
            bad = wrong(g, w, None, "sum" if name in ("cumsum", "nansum") else "map")
            assert not bad, f"{name} along {dim}: {bad}"


JOINED = ["scatter_add", "scatter_prod", "scatter_amax", "scatter_amin", "scatter"]


@pytest.mark.parametrize("name", JOINED)
def test_values_for_one_place_have_the_processors_edges(name):
    x, values = schuss.tensor(rows()), schuss.tensor(rows()[:, ::-1].copy())
    index = schuss.tensor(draws("places").integers(0, 6, x.shape))
    call = function(name)
    want, got = (call(*(t.to(d) for t in (x, index, values)), 1) for d in ("cpu", DEVICE))
    assert not wrong(got, want, None), f"{name}: {wrong(got, want, None)}"


def test_products_have_the_processors_edges():
    x = schuss.tensor(rows())
    with warnings.catch_warnings():
        want, got = x @ x.T, x.to(DEVICE) @ x.T.to(DEVICE)
    alike(got, want, "product", terms=6, size=LEFT * np.abs(want.numpy()))
