"""Every record against NumPy forward and against measured slopes backward, from the two tables.

Leans on the record table of the core, the oracle table of reference.py and schuss.testing.
"""

from __future__ import annotations

import functools
import math
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import schuss
from conftest import DTYPES, FLOATS, LETTERS, draws, numpy_dtype, rounded, tensor_of
from reference import BEHIND, TABLE
from samples import Case, Entry, F, case
from schuss.testing import assert_close, gradcheck, gradgradcheck, tolerance

# What central differences in float64 are good for at these sizes, far below the defaults.
SLOPES = {"rtol": 1e-6, "atol": 1e-7}
RECORDS = {record["name"]: record for record in schuss._core.records()}
NAMES = sorted(TABLE)
# Those that also give the places of what they give.
PLACED = ("max", "min", "sort", "topk", "kthvalue", "median", "nanmedian")
SHAPES = [(), (1,), (17,), (3, 5), (2, 3, 4), (0,), (2, 0, 3), (5003,)]
PAIRS = [
    ((17,), (17,)),
    ((), ()),
    ((3, 1), (1, 4)),
    ((2, 3, 4), (4,)),
    ((), (3,)),
    ((2, 1, 3), (4, 1)),
    ((0,), (1,)),
    ((2, 0), (1, 1)),
    ((5003,), (5003,)),
    ((5003,), ()),
]


def test_every_record_has_an_oracle() -> None:
    public = [n for n, r in RECORDS.items() if r.get("method", True) or r.get("function", True)]
    missing = sorted(set(public) - set(TABLE))
    assert not missing, f"records without a line in tests/reference.py: {missing}"
    untold = sorted(set(RECORDS) - set(TABLE) - set(BEHIND))
    assert not untold, (
        f"hidden records of which tests/reference.py does not say what tests them: {untold}"
    )
    here = {path.name for path in Path(__file__).parent.iterdir()}
    for name, test in BEHIND.items():
        assert name not in RECORDS or test in TABLE or test in here, f"{name}: no {test}"


@pytest.mark.parametrize("name", NAMES)
def test_every_oracle_has_a_function(name: str) -> None:
    assert callable(function(name))


def function(name: str) -> Callable:
    """The public function of a record: of nn.functional, of schuss, or a method of Tensor."""
    if TABLE[name].call:
        return functools.partial(TABLE[name].call, schuss)
    for home in (schuss.nn.functional, schuss, schuss.Tensor):
        if hasattr(home, name):
            return getattr(home, name)
    raise LookupError(f"{name} is neither in schuss, nor in nn.functional, nor a method of Tensor")


def cases(entry: Entry, largest: int = 10_000) -> list[Case]:
    """The calls to make: the shapes of its kind, and those that the entry lists."""
    made = {
        "unary": [case(F(*shape)) for shape in SHAPES],
        "binary": [case(F(*a), F(*b)) for a, b in PAIRS],
        "cases": [],
    }[entry.kind]
    listed = [*made, *entry.cases]
    return [c for c in listed if max(math.prod(draw.shape) for draw in c.inputs) <= largest]


def arrays(name: str, one: Case, letter: str) -> list[np.ndarray]:
    rng = draws(name)
    lo, hi = TABLE[name].check
    low, high = RECORDS.get(name, {}).get("check") or (lo, hi)
    if max(lo, low) < min(hi, high):
        lo, hi = max(lo, low), min(hi, high)
    return [
        rounded(x, letter) if draw.what in "FNPSK" else x
        for draw in one.inputs
        for x in [draw.values(rng, numpy_dtype(letter), lo, hi)]
    ]


def tensors(one: Case, values: list[np.ndarray], letter: str) -> list[schuss.Tensor]:
    return [
        tensor_of(x, letter) if draw.what in "FNPSK" else schuss.tensor(x)
        for draw, x in zip(one.inputs, values, strict=True)
    ]


def outputs(out: object) -> list:
    return [out] if isinstance(out, schuss.Tensor) else list(out)


def agrees(name: str, one: Case, got: object, values: list[np.ndarray], letter: str) -> None:
    """Assert that what came out has the oracle's values, its shape and the table's dtype."""
    entry = TABLE[name]
    answer = entry.dtypes[LETTERS.index(letter)]
    if answer in FLOATS:
        values = [
            x.astype(np.float64) if draw.what in "FNPSK" else x
            for draw, x in zip(one.inputs, values, strict=True)
        ]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        want = entry.oracle(*values, *one.args, **one.keywords)
    wants = list(want) if isinstance(want, (tuple, list)) else [want]
    gots = outputs(got)
    assert len(gots) == len(wants), f"{name}{one}: {len(gots)} outputs, not {len(wants)}"
    for i, (g, w) in enumerate(zip(gots, wants, strict=True)):
        kind = "l" if i and name in PLACED else answer
        with np.errstate(over="ignore"):
            e = tensor_of(rounded(np.asarray(w), kind), kind)
        # A record made of others may round twice in half precision.
        rtol, atol = tolerance(e.dtype)
        rtol *= 2 if kind in "ew" else 1
        assert_close(g, e, rtol=rtol, atol=atol, equal_nan=True, msg=f"{name} {letter} {one}")


@pytest.mark.parametrize("name", NAMES)
def test_dtypes(name: str) -> None:
    entry, f = TABLE[name], function(name)
    for letter, answer in zip(LETTERS, entry.dtypes, strict=True):
        for one in cases(entry):
            values = arrays(name, one, letter)
            inputs = tensors(one, values, letter)
            if answer == "-":
                with pytest.raises(RuntimeError):
                    f(*inputs, *one.args, **one.keywords)
                break
            agrees(name, one, f(*inputs, *one.args, **one.keywords), values, letter)
            for x, value in zip(inputs, tensors(one, values, letter), strict=True):
                assert_close(x, value, equal_nan=True, msg=f"{name} changed its input")


def expanded(x: np.ndarray) -> np.ndarray:
    return x[:1] if x.ndim else x


def interleaved(x: np.ndarray) -> np.ndarray:
    """Every second element along the last axis is x's, the others are a strange number."""
    if not x.ndim:
        return np.stack([np.full_like(x, 77), x])
    return np.stack([x, np.full_like(x, 77)], -1).reshape(*x.shape[:-1], 2 * x.shape[-1])


def padded(x: np.ndarray) -> np.ndarray:
    flat = np.full(x.size + 5, 77, x.dtype)
    flat[3 : 3 + x.size] = x.ravel()
    return flat


# Each layout: how to store the values, and the view that shows them again, of the given shape.
LAYOUTS: dict[str, tuple[Callable, Callable]] = {
    "contiguous": (lambda x: x, lambda t, shape: t),
    "transposed": (lambda x: x.T, lambda t, shape: t.permute(tuple(range(len(shape)))[::-1])),
    "stepped": (interleaved, lambda t, shape: t[..., ::2] if shape else t[1]),
    "offset": (padded, lambda t, shape: t[3 : 3 + math.prod(shape)].view(shape)),
    "flipped": (np.flip, lambda t, shape: t.flip(tuple(range(len(shape))))),
    "expanded": (expanded, lambda t, shape: t.expand(shape)),
}


def laid(entry: Entry, one: Case, letter: str, name: str, layout: str) -> Iterator[tuple]:
    """The moving inputs stored in a layout, all of them at once and then the first alone."""
    store, show = LAYOUTS[layout]
    values = arrays(name, one, letter)
    moving = [i for i, draw in enumerate(one.inputs) if draw.moves and draw.what != "S"]
    for chosen in [moving, moving[:1]] if len(moving) > 1 else [moving]:
        seen = list(values)
        stored = tensors(one, values, letter)
        views: dict[int, Callable] = {}
        for i in chosen:
            shape = values[i].shape
            kept = np.array(store(values[i]), order="C")
            if layout == "expanded":
                seen[i] = np.broadcast_to(kept, shape)
            stored[i] = tensor_of(kept, letter)
            views[i] = functools.partial(show, shape=shape)
        yield stored, views, seen


def shown(stored: list, views: dict) -> list:
    return [views[i](t) if i in views else t for i, t in enumerate(stored)]


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "contiguous"])
@pytest.mark.parametrize("name", [name for name in NAMES if TABLE[name].any_layout])
def test_layouts(name: str, layout: str) -> None:
    entry, f = TABLE[name], function(name)
    known = [c for c in "?Bbhilfd" if entry.dtypes[LETTERS.index(c)] != "-"]
    other = known[zlib.crc32((name + layout).encode()) % len(known)]
    for letter in {"f" if "f" in known else "l", other}:
        for one in cases(entry):
            for stored, views, values in laid(entry, one, letter, name, layout):
                inputs = shown(stored, views)
                agrees(name, one, f(*inputs, *one.args, **one.keywords), values, letter)


def differentiated(name: str) -> list[tuple[Callable, list]]:
    """Functions of float64 leaves, one for each call and layout, for the gradient checks."""
    entry, f = TABLE[name], function(name)
    made = []
    layouts = (
        ["contiguous", "transposed", "stepped", "expanded"] if entry.any_layout else ["contiguous"]
    )
    for one in cases(entry, largest=24):
        if not any(draw.moves for draw in one.inputs):
            continue
        for layout in layouts:
            if name == "std" and layout == "expanded":
                continue  # equal numbers have no slope of their deviation
            for stored, views, _ in laid(entry, one, "d", name, layout):
                leaves = [
                    t.requires_grad_() if draw.moves else t
                    for t, draw in zip(stored, one.inputs, strict=True)
                ]

                def run(*xs: schuss.Tensor, views: dict = views, one: Case = one) -> object:
                    return f(*shown(list(xs), views), *one.args, **one.keywords)

                made.append((run, leaves))
    return made


@pytest.mark.parametrize("name", [name for name in NAMES if TABLE[name].grad])
def test_gradients(name: str) -> None:
    for run, leaves in differentiated(name):
        small = sum(t.numel() for t in leaves if t.requires_grad) <= 12
        assert gradcheck(run, leaves, fast_mode=not small, check_grad_dtypes=True, **SLOPES)


@pytest.mark.parametrize("name", [name for name in NAMES if TABLE[name].grad])
def test_second_gradients(name: str) -> None:
    for i, (run, leaves) in enumerate(differentiated(name)):
        odd = i % 2 == 1
        assert gradgradcheck(run, leaves, fast_mode=True, gen_non_contig_grad_outputs=odd, **SLOPES)


@pytest.mark.parametrize("name", [name for name in NAMES if not TABLE[name].grad])
def test_no_gradient(name: str) -> None:
    entry, f = TABLE[name], function(name)
    letter = next((c for c in "d?l" if entry.dtypes[LETTERS.index(c)] != "-"), "l")
    one = cases(entry)[0]
    inputs = tensors(one, arrays(name, one, letter), letter)
    if letter == "d":
        inputs = [x.requires_grad_() if x.is_floating_point() else x for x in inputs]
    for out in outputs(f(*inputs, *one.args, **one.keywords)):
        assert not out.is_floating_point() or not out.requires_grad or out.grad_fn is not None
        assert out.is_floating_point() or not out.requires_grad


def test_cotangents_of_stride_zero() -> None:
    x = schuss.rand(3, 4, dtype=schuss.float64, requires_grad=True)
    for name in NAMES:
        if TABLE[name].kind == "unary" and TABLE[name].grad:
            y = function(name)(x)
            g = schuss.ones((), dtype=schuss.float64)
            a = schuss.autograd.grad(y, x, g.expand(3, 4), retain_graph=True)[0]
            b = schuss.autograd.grad(y, x, schuss.ones(3, 4, dtype=schuss.float64))[0]
            assert_close(a, b, equal_nan=True, msg=name)


SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3e38, 1e-37]


@pytest.mark.parametrize("letter", "fd")
@pytest.mark.parametrize("name", [n for n in NAMES if TABLE[n].kind in ("unary", "binary")])
def test_special_values(name: str, letter: str) -> None:
    entry = TABLE[name]
    if entry.dtypes[LETTERS.index(letter)] == "-":
        return
    # gelu of an infinity is inf, 0 or nan in PyTorch, by build and dtype: nothing is promised.
    x = np.array(SPECIAL[3:-2] if name == "gelu" else SPECIAL, numpy_dtype(letter))
    values = [x] if entry.kind == "unary" else [v.ravel() for v in np.meshgrid(x, x)]
    one = case(*(F(v.size) for v in values))
    got = function(name)(*(schuss.tensor(v) for v in values))
    agrees(name, one, got, values, letter)


@pytest.mark.parametrize("name", ["neg", "abs", "floor", "ceil", "round", "trunc", "sin", "mul"])
def test_signs_of_zero(name: str) -> None:
    x = np.array([0.0, -0.0, -0.3, 0.3])
    values = [x, np.array([-1.0, 1.0, 0.0, -0.0])] if name == "mul" else [x]
    got = function(name)(*(schuss.tensor(v) for v in values)).numpy()
    np.testing.assert_array_equal(np.signbit(got), np.signbit(TABLE[name].oracle(*values)))


@pytest.mark.parametrize("letter", "bhil")
def test_integer_division_keeps_the_signs(letter: str) -> None:
    a = np.arange(-7, 8).repeat(4).astype(numpy_dtype(letter))
    b = np.tile(np.array([-3, -2, 2, 3], numpy_dtype(letter)), 15)
    x, y = schuss.tensor(a), schuss.tensor(b)
    for got, want in [
        (x // y, a // b),
        (x % y, a % b),
        (schuss.fmod(x, y), np.fmod(a, b)),
        (schuss.div(x, y, rounding_mode="floor"), a // b),
        (schuss.div(x, y, rounding_mode="trunc"), np.trunc(a / b).astype(a.dtype)),
    ]:
        assert_close(got, schuss.tensor(want))


def test_integers_wrap_around() -> None:
    x = schuss.tensor([127, -128], dtype=schuss.int8)
    assert (x + 1).tolist() == [-128, -127]
    assert (-x).tolist() == [-127, -128]
    big = schuss.tensor([2**63 - 1])
    assert (big + 1).tolist() == [-(2**63)]
    assert (big * 2).tolist() == [-2]


@pytest.mark.parametrize("shape, dim", [((2**21,), 0), ((2**15, 64), 0), ((64, 2**15), 1)])
def test_long_sums_are_accurate(shape: tuple, dim: int) -> None:
    got = schuss.full(shape, 0.1).sum(dim).to(schuss.float64)
    want = float(np.float32(0.1)) * shape[dim]
    assert float(((got - want).abs() / want).max()) <= 1e-6


def test_sums_of_half_precision_do_not_stall() -> None:
    for dtype in (schuss.float16, schuss.bfloat16):
        assert float(schuss.ones(2**14, dtype=dtype).sum()) == 2**14
        assert float(schuss.ones(2**14, dtype=dtype).mean()) == 1.0


@pytest.mark.parametrize("letter", FLOATS)
def test_every_dtype_rounds_once(letter: str) -> None:
    rng = draws("rounding" + letter)
    a, b = (rounded(rng.uniform(0.5, 2.0, 997), letter) for _ in range(2))
    for f in (np.add, np.multiply, np.divide):
        wide = f(a.astype(np.float64), b.astype(np.float64))
        got = getattr(schuss, f.__name__)(tensor_of(a, letter), tensor_of(b, letter))
        assert got.dtype == DTYPES[letter]
        np.testing.assert_array_equal(got.to(schuss.float64).numpy(), rounded(wide, letter))


def test_round_to_decimals() -> None:
    x = np.array([1.2345, -1.2355, 2.5, 125.0])
    for decimals in (0, 1, 2, 3):
        assert_close(schuss.tensor(x).round(decimals=decimals), np.round(x, decimals))
    assert schuss.tensor([125.0, 135.0]).round(decimals=-1).tolist() == [120.0, 140.0]


def test_subnormal_numbers_survive() -> None:
    assert (schuss.tensor(2.0**-1022, dtype=schuss.float64) * 0.25).item() == 2.0**-1024
    assert (schuss.full((17,), 2.0**-126) * 0.25).tolist() == [2.0**-128] * 17
