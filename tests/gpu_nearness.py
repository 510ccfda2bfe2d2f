"""How near a GPU's numbers must come to the processor's: units in the last place, by what was done.
Leans on NumPy alone, so that programs in a process of their own may use it too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# What a number of 1 is away from the next larger one, and the smallest normal number.
FLOATS = {
    "float16": (2.0**-10, 2.0**-14),
    "bfloat16": (2.0**-7, 2.0**-126),
    "float32": (2.0**-23, 2.0**-126),
    "float64": (2.0**-52, 2.0**-1022),
}
# One number, or one for each element.
Size = float | np.ndarray
PARTS = {"complex64": "float32", "complex128": "float64"}

# Units in the last place of what is computed in float32 or float64, for n terms or steps; how they
# come about stands in `tolerance`.
UNITS = {
    "same": lambda n: 0.0,
    "draw": lambda n: 4.0,
    "map": lambda n: 8.0,
    "sum": lambda n: 2 + math.sqrt(math.log2(n)),
    "product": lambda n: 2 + math.sqrt(n) / 2,
    "layer": lambda n: 16.0,
    "steep": lambda n: n / 16,
    "training": lambda n: 16.0 * n,
}
# Whose error is one of each element itself, not of the largest that it is made of.
ALONE = ("same", "draw", "map", "steep", "training")
# Roundings of what float32 has computed to a short float: a layer has some on its way.
ROUNDINGS = {"same": 0, "draw": 1, "map": 1, "sum": 1, "product": 1}


def tolerance(dtype: str, kind: str, terms: int = 1, size: Size = 0.0) -> tuple[float, Size]:
    """What may lie between a GPU's number and the processor's: relative, and absolute.

    Both sides may be off the true value, and what is allowed is for the two together, in units: of
    the dtype's distance from 1 to the next number (2^-23 in float32), times the number itself, and
    times `size`, the largest magnitude met on the way to it.

    same      0: the bits, whose zeros may differ in sign.
    draw      4: two on each side, a logarithm and a root or a cosine.
    map       8: four on each side; single functions are measured right to 3, and formulas have a
              rounding or two beside one.
    sum       2 + sqrt(log2 n): n terms folded in parts. Each of log2 n levels rounds by half a unit
              at most, to either side, so that they add up like a walk; two are the terms' own.
    product   2 + sqrt(n) / 2: n terms one after another, a walk of n roundings of half a unit.
    layer     16: the functions, sums, products and quotients of one layer, attention or loss and of
              its slopes, two maps' worth. Each hands on what it has got.
    steep     n / 16: products of n factors, and what else hands all of its error on. Half a unit
              for each is the worst that can come; they do not all go one way, so an eighth of it.
    training  16 n: losses of n steps, a layer's worth for each.

    Float16 and bfloat16 are computed in float32 and rounded at the end. Two float32 that differ lie
    on two sides of a tie at worst, so there is one unit of theirs beside the units of float32; four
    for layers and what is behind them, which keep such numbers on the way.

    A driver may take what is below the smallest normal number for zero, and so may it each part of
    a formula: three such are added to the absolute part, and for float16, whose small numbers are
    kept, the distance between those.
    """
    if dtype not in FLOATS and dtype not in PARTS:
        return 0.0, 0.0
    units = UNITS[kind](terms)
    if not units:
        return 0.0, 0.0
    eps, least = FLOATS[PARTS.get(dtype, dtype)]
    if dtype in ("float16", "bfloat16"):
        wide, least = FLOATS["float32"][0], max(eps * least, 3 * FLOATS["float32"][1])
        relative = ROUNDINGS.get(kind, 4) * eps + units * wide
    else:
        relative, least = units * eps, 3 * least
    return relative, relative * size + least


def astray(a: np.ndarray, b: np.ndarray, rtol: float, atol: Size, signs: bool) -> np.ndarray:
    """Which elements are not within a tolerance: NaN is near NaN alone, an infinity itself alone.

    Of complex numbers the tolerance is that of the modulus: a part that is small beside the other
    is right as far as the number is. With `signs` all have the sign of what is wanted, zeros too,
    but where that is a number that a driver may take for zero.
    """
    if b.dtype.kind == "c":
        whole = np.isfinite(a) & np.isfinite(b)
        parts = [astray(p, q, rtol, atol, signs) for p, q in ((a.real, b.real), (a.imag, b.imag))]
        with np.errstate(invalid="ignore", over="ignore"):
            off = np.abs(a - b) > atol + rtol * np.abs(b)
        return np.where(whole, off, parts[0] | parts[1])
    if b.dtype.kind != "f":
        return a != b
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.isfinite(a) & np.isfinite(b) & (np.abs(a - b) <= atol + rtol * np.abs(b))
    nan = np.isnan(a) & np.isnan(b)
    wrong = ~(near | (a == b) | nan)
    if signs:
        faint = (np.abs(b) <= atol) & (b != 0)
        wrong |= (np.signbit(a) != np.signbit(b)) & ~nan & ~faint
    return wrong


def units(got: np.ndarray, want: np.ndarray, least: float = 0.0) -> np.ndarray:
    """How many of got's units in the last place lie between two arrays, of `least` at least."""
    unit = np.spacing(np.maximum(np.abs(want), least).astype(got.dtype)).astype(np.float64)
    return np.abs(got.astype(np.float64) - want.astype(np.float64)) / unit


def side(x: Any, dtype: str | None) -> tuple[np.ndarray, str]:
    """The values of a tensor, an array or plain numbers, and the name of their dtype."""
    if hasattr(x, "detach"):
        name = x.dtype.name
        x = x.detach().cpu()
        return (x.float() if name == "bfloat16" else x).numpy(), name
    x = np.asarray(x, None if isinstance(x, np.ndarray) else dtype)
    return x, x.dtype.name


def strays(
    got: object,
    want: object,
    kind: str,
    *,
    terms: int = 1,
    size: Size | None = None,
    dtype: str | None = None,
    signs: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, Size]]:
    """Which elements `alike` finds wrong, both sides, and the tolerance that they were held to."""
    (a, one), (b, other) = side(got, dtype), side(want, dtype)
    assert one == other, f"got {one}, want {other}"
    assert a.shape == b.shape, f"got shape {a.shape}, want {b.shape}"
    if size is None:
        finite = np.abs(b[np.isfinite(b)]) if b.dtype.kind in "fc" else np.zeros(0)
        size = 0.0 if kind in ALONE else float(finite.max(initial=0))
    allowed = tolerance(one, kind, terms, size)
    return astray(a, b, *allowed, signs), a, b, allowed


def alike(got: object, want: object, kind: str, *, what: str = "", **how: Any) -> None:
    """Assert that `got`, of a GPU, is what the processor has, in dtype, shape and every number.

    `kind`, `terms` and `size` are those of `tolerance`; `size` may differ by element. Where it is
    not given it is the largest of `want` for sums, products and layers, and 0 for the others: what
    is small beside its terms needs to have them told. `dtype` is that in which plain numbers were
    computed, and `signs` asks for the signs of zeros too.
    """
    wrong, a, b, (rtol, atol) = strays(got, want, kind, **how)
    if not wrong.any():
        return
    places = [tuple(int(i) for i in at) for at in np.argwhere(wrong)]
    shown = "; ".join(f"at {at} {a[at]!s}, not {b[at]!s}" for at in places[:8])
    said = f"{what}: " if what else ""
    raise AssertionError(
        f"{said}{len(places)} of {a.size} elements are not the processor's: {shown}"
        f" ({kind} of {b.dtype}, within {rtol:.3g} of it and {np.max(atol):.3g})\ngot {a}\nwant {b}"
    )
