"""What the tests of GPUs are held to: the rule passes what is near, and says what is not.

Leans on gpu_nearness and schuss; no adapter is needed.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
import schuss
from gpu_nearness import FLOATS, UNITS, alike, astray, tolerance, units

X = np.array([[1.0, -2.5, 3e-3], [4e5, 0.7, -9.0]], np.float32)


@pytest.mark.parametrize("kind", UNITS)
def test_one_value_off_by_a_hundredth_is_found(kind):
    y = X.copy()
    alike(y, X, kind)
    y[1, 0] *= 1.01
    with pytest.raises(AssertionError) as caught:
        alike(y, X, kind, what="pears")
    said = str(caught.value)
    assert said.startswith("pears: 1 of 6 elements are not the processor's: at (1, 0) 404000.0,")
    assert f"not 400000.0 ({kind} of float32" in said
    assert re.search(r"(?s)got \[\[.*4\.04e\+05.*want \[\[.*4\.0e\+05", said), said


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("kind", UNITS)
def test_a_tolerance_ends_where_it_says(kind, dtype):
    x = schuss.tensor([1.5], dtype=schuss.float64).to(getattr(schuss, dtype))
    rtol, atol = tolerance(dtype, kind, 4, 1.5 if kind in ("sum", "product", "layer") else 0.0)
    eps = FLOATS[dtype][0]
    most = int((1.5 * rtol + atol) / eps)
    for away, near in ((most, True), (most + 1, False)):
        y = x + x.new_tensor([1.0]) * away * eps
        assert (y != x).item() == (away > 0)
        if near:
            alike(y, x, kind, terms=4)
        else:
            with pytest.raises(AssertionError, match="are not the processor's"):
                alike(y, x, kind, terms=4)


def test_units_are_the_stated_ones():
    eps = 2.0**-23
    assert tolerance("float32", "map")[0] == tolerance("complex64", "map")[0] == 8 * eps
    assert tolerance("float32", "map")[1] == 3 * 2.0**-126
    assert tolerance("float64", "draw")[0] == 4 * 2.0**-52
    assert tolerance("float32", "sum", 16, 2.0)[:2] == (4 * eps, pytest.approx(8 * eps))
    assert tolerance("float32", "product", 64)[0] == 6 * eps
    assert tolerance("float32", "steep", 160)[0] == 10 * eps
    assert tolerance("float32", "training", 50)[0] == pytest.approx(1e-4, rel=0.05)
    assert tolerance("bfloat16", "map")[0] == 2.0**-7 + 8 * eps
    assert tolerance("float16", "layer")[0] == 4 * 2.0**-10 + 16 * eps
    assert tolerance("int64", "sum", 9, 1e9) == tolerance("float32", "same") == (0.0, 0.0)
    assert units(X + np.spacing(np.abs(X)) * 3, X).tolist() == [[3.0] * 3] * 2


def test_what_is_no_number_is_near_itself_alone():
    edges = np.array([np.nan, np.inf, -np.inf, 0.0, 1.0, 3e38], np.float32)
    pairs = np.stack(np.meshgrid(edges, edges)).reshape(2, -1)
    for kind in ("same", "map"):
        wrong = astray(*pairs, *tolerance("float32", kind), False).reshape(6, 6)
        assert (~wrong).tolist() == np.eye(6, dtype=bool).tolist()
    # No size allows a number for an infinity, or for NaN.
    wrong = astray(*pairs, 1.0, np.inf, False).reshape(6, 6)
    assert not wrong[3:, 3:].any() and wrong[:3, 3:].all() and wrong[3:, :3].all()
    z = np.array([1 + 2j, complex(np.inf, 1), complex(np.nan, 1)], np.complex64)
    alike(z, z, "map")
    for off in (complex(-np.inf, 1), complex(np.inf, 2), complex(0, 1), complex(np.nan, 1)):
        other = z.copy()
        other[1] = off
        with pytest.raises(AssertionError, match=r"1 of 3 elements .* at \(1,\)"):
            alike(other, z, "map")


def test_signs_of_zeros_are_seen_where_they_are_asked_for():
    a, b = np.array([0.0, -1e-40], np.float32), np.array([-0.0, 0.0], np.float32)
    alike(a, b, "map")
    with pytest.raises(AssertionError, match="2 of 2"):
        alike(a, b, "map", signs=True)
    # What may be taken for zero may be taken for either.
    alike(b, np.array([-0.0, -1e-40], np.float32), "map", signs=True)


def test_another_dtype_or_shape_is_not_near():
    with pytest.raises(AssertionError, match="got float64, want float32"):
        alike(X.astype(np.float64), X, "map")
    with pytest.raises(AssertionError, match="got bfloat16, want float32"):
        alike(schuss.ones(3, dtype=schuss.bfloat16), schuss.ones(3), "map")
    with pytest.raises(AssertionError, match=r"got shape \(2,\), want \(2, 1\)"):
        alike([1.0, 2.0], [[1.0], [2.0]], "map", dtype="float32")
    with pytest.raises(AssertionError, match="1 of 2"):
        alike(schuss.tensor([1, 2]), schuss.tensor([1, 3]), "sum", terms=9, size=1e9)
