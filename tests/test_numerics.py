"""What docs/numerics.md promises: sums over many elements, errors of functions, denormals, threads.

Leans on schuss, NumPy in float64 as the truth, and SciPy for erf; fresh interpreters for threads.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import schuss
from scipy import special

COUNT = 1 << 24
# Of sums; half an ulp of float32, the rounding of the result, is 6e-8.
ALLOWED = 1e-6
LAYOUTS = {
    "flat": ((COUNT,), None, [0]),
    "backwards": ((COUNT,), np.s_[::-1], [0]),
    "square": ((4096, 4096), None, [0, 1, (0, 1)]),
    "turned": ((4096, 4096), "T", [0, 1]),
    "tall": ((COUNT // 2, 2), None, [0]),
    "tall, turned": ((2, COUNT // 2), "T", [0]),
    "every second row": ((8192, 2048), np.s_[::2], [0]),
    "a cube, turned": ((256, 256, 256), "T", [0, 1, (0, 2)]),
}


@pytest.fixture(scope="module")
def elements() -> np.ndarray:
    """Positive numbers over six powers of ten, of which small ones are lost in a plain loop."""
    draw = np.random.default_rng(7)
    return np.exp(3 * draw.standard_normal(COUNT, dtype=np.float32))


def laid(x: Any, shape: tuple, turn: Any) -> Any:
    x = x.reshape(shape)
    if turn is None:
        return x
    if isinstance(turn, str):
        return x.permute(*reversed(range(x.ndim))) if isinstance(x, schuss.Tensor) else x.T
    return x[turn]


def error(got: schuss.Tensor, truth: np.ndarray) -> float:
    return float(np.max(np.abs(got.double().numpy() - truth) / np.abs(truth)))


@pytest.mark.parametrize("form", LAYOUTS)
def test_sums_of_sixteen_million_elements(elements: np.ndarray, form: str) -> None:
    shape, turn, axes = LAYOUTS[form]
    x = laid(schuss.from_numpy(elements), shape, turn)
    wide = laid(elements.astype(np.float64), shape, turn)
    for axis in axes:
        total = wide.sum(axis)
        mean = wide.mean(axis, keepdims=True)
        assert error(x.sum(axis), total) < ALLOWED
        assert error(x.mean(axis), mean.squeeze(axis)) < ALLOWED
        assert error(x.norm(dim=axis), np.sqrt(np.square(wide).sum(axis))) < ALLOWED
        assert error(x.var(axis, correction=0), np.square(wide - mean).mean(axis)) < ALLOWED
    assert error(x.sum(), wide.sum()) < ALLOWED


@pytest.mark.parametrize("form", ["flat", "backwards", "tall", "turned"])
def test_running_sums_of_sixteen_million_elements(elements: np.ndarray, form: str) -> None:
    shape, turn, axes = LAYOUTS[form]
    x = laid(schuss.from_numpy(elements), shape, turn)
    wide = laid(elements.astype(np.float64), shape, turn)
    assert error(x.cumsum(axes[0]), wide.cumsum(axes[0])) < ALLOWED


def test_a_plain_loop_would_fail() -> None:
    # What the bound is worth: float32 added one after the other stands still at 2^24.
    x = np.ones(COUNT, dtype=np.float32)
    assert np.add.accumulate(np.append(x, x[:8]))[-1] == COUNT
    assert schuss.ones(COUNT + 8).sum().item() == COUNT + 8
    assert schuss.ones(COUNT + 8).cumsum(0)[-1].item() == COUNT + 8
    assert schuss.tensor(0.1).expand(COUNT).sum().item() == np.float32(np.float32(0.1) * 2.0**24)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sin", "cos", "erf"])
def test_functions_are_within_two_units_in_the_last_place(name: str) -> None:
    every = np.arange(0, 1 << 32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = every[np.isfinite(every) & ((every > 0) | (name != "log"))]
    truth_of = special.erf if name == "erf" else getattr(np, name)
    with np.errstate(over="ignore", under="ignore"):
        truth = truth_of(x.astype(np.float64))
    got = getattr(schuss, name)(schuss.from_numpy(x)).numpy().astype(np.float64)
    here = np.abs(truth) <= np.finfo(np.float32).max
    assert not np.isfinite(got[~here]).any()
    _, exponent = np.frexp(truth[here])
    unit = np.ldexp(1.0, np.clip(exponent, -125, 128) - 24)
    worst = np.max(np.abs(got[here] - truth[here]) / unit)
    assert 0.5 <= worst < 2


def test_gelu_and_its_slope() -> None:
    every = np.arange(0, 1 << 32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = every[np.isfinite(every)]
    wide = x.astype(np.float64)
    share = special.ndtr(wide)
    t = schuss.from_numpy(x).requires_grad_(True)
    y = schuss.nn.functional.gelu(t)
    y.sum().backward()
    apart = np.abs(y.detach().numpy() - wide * share)
    assert np.max(apart[np.abs(x) < 6]) < 3e-7
    assert np.max(apart[x < 0]) < 2e-7
    # Above 6 the function is its argument, to the last digit.
    assert (y.detach().numpy()[x > 6] == x[x > 6]).all()
    with np.errstate(over="ignore", under="ignore"):
        slope = share + wide * np.exp(-0.5 * wide * wide) / np.sqrt(2 * np.pi)
    assert np.max(np.abs(t.grad.numpy() - slope)[np.abs(x) < 1e18]) < 5e-7
    ends = schuss.nn.functional.gelu(schuss.tensor([np.inf, -np.inf, np.nan, 0.0]))
    # Minus infinity times a share of 0, as the formula has it, and PyTorch.
    assert ends[0].item() == np.inf and np.isnan(ends[1].item())
    assert np.isnan(ends[2].item()) and ends[3].item() == 0


@pytest.mark.parametrize("n", [3, 16, 24, 25, 64, 77, 130, 1000, 5000])
def test_rows_of_softmax_and_its_kin(n: int) -> None:
    draw = np.random.default_rng(n)
    x = draw.normal(size=(37, n)).astype(np.float32) * 20
    x[1, 0], x[2, n // 2], x[3, n - 1], x[4] = np.inf, -np.inf, np.nan, -np.inf
    wide = x.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        sums = special.logsumexp(wide, axis=1)
        logs = wide - sums[:, None]
    # The largest element is subtracted first, as everywhere: of infinity that leaves nothing.
    logs[1] = np.nan
    for a in (x, np.ascontiguousarray(x.T)):
        axis = -1 if a is x else 0
        t = schuss.from_numpy(a)
        got = {name: getattr(t, name)(axis).numpy() for name in ("softmax", "log_softmax")}
        total = t.logsumexp(axis).numpy()
        truth = logs if a is x else logs.T
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(got["softmax"], np.exp(truth), rtol=1e-5, atol=3e-45)
        np.testing.assert_allclose(got["log_softmax"], truth, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(total, sums, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 5, 16, 64, 100, 1000])
def test_rows_far_from_zero_are_brought_to_mean_zero(n: int) -> None:
    draw = np.random.default_rng(n)
    x = (draw.normal(size=(19, n)) + 3000).astype(np.float32)
    wide = x.astype(np.float64)
    apart = wide - wide.mean(1, keepdims=True)
    truth = apart / np.sqrt((apart * apart).mean(1, keepdims=True) + 1e-5)
    got = schuss.nn.functional.layer_norm(schuss.from_numpy(x), (n,)).numpy()
    # The mean is kept in float32: half a unit of 3000 is 1.2e-4.
    assert np.max(np.abs(got - truth)) < 6e-4


@pytest.mark.parametrize(
    ("dtype", "least"), [(schuss.float32, 2.0**-149), (schuss.float64, 5e-324)]
)
def test_denormals_are_kept(dtype: schuss.dtype, least: float) -> None:
    # Wide enough for vectors, long enough for several threads.
    x = schuss.full((100_003,), least, dtype=dtype)
    assert (x != 0).all()
    assert (x + x == 2 * least).all() and (-x == -least).all() and (x * 3.0 == 3 * least).all()
    assert (x.reshape(1, -1) @ schuss.ones(100_003, 1, dtype=dtype)).item() == 100_003 * least
    assert x.sum().item() == 100_003 * least
    assert x.sum(0, keepdim=True).cumsum(0).item() == 100_003 * least
    tiny = schuss.finfo(dtype).tiny
    assert (schuss.full((99,), tiny, dtype=dtype) / 4 == tiny / 4).all()
    assert schuss.tensor(least, dtype=dtype).sqrt().item() > 0


def test_denormals_come_out_of_functions() -> None:
    x = schuss.linspace(-103, -88, 1000)
    got = schuss.exp(x).numpy()
    truth = np.exp(x.numpy().astype(np.float64))
    assert (got > 0).all() and (got < 2.0**-126).any()
    assert np.max(np.abs(got - truth)) <= 1.1 * 2.0**-149 + 1e-6 * truth.max()


PROGRAM = """
import hashlib, schuss
schuss.manual_seed(1)
x = schuss.randn(700, 1501)
w = schuss.randn(1501, 300, requires_grad=True)
found = [x.sum(), x.sum(0), x.sum(1), x.t().sum(0), x.mean(), x.var(0), x.norm(), x.cumsum(0)]
found += [x.cumsum(1), x.exp().logsumexp(1), x.softmax(0), x.sort(1)[0], x @ w, x.std(), x.prod(1)]
(x @ w).tanh().sum().backward()
found += [w.grad, schuss.nn.functional.conv2d(x[:64, :1024].reshape(4, 16, 32, 32),
                                             w.detach()[:16, :72].reshape(8, 16, 3, 3))]
found.append(schuss.rand(1_000_003))
digest = hashlib.sha256()
for y in found:
    digest.update(y.detach().contiguous().numpy().tobytes())
print(digest.hexdigest())
"""


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    def digest(threads: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True,
            text=True,
            env={**os.environ, "SCHUSS_NUM_THREADS": threads},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    first = digest("1")
    assert len(first) == hashlib.sha256().digest_size * 2
    assert {digest(count) for count in ("2", "3", "7")} == {first}


WORDS = [
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh"),
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt"),
    *("sigmoid", "erf", "erfc", "lgamma", "digamma"),
]


@pytest.mark.parametrize("dtype", [schuss.float32, schuss.float64], ids=str)
def test_a_number_is_the_same_beside_any_other(dtype: schuss.dtype) -> None:
    """Cheaper forms serve whole stretches; which one was taken must not show in an element."""
    draw = np.random.default_rng(0)
    near = draw.normal(size=3000) * 3
    far = near.copy()
    far[::7] *= 1e9
    far[3::500], far[5::400] = np.inf, np.nan
    same = near == far
    exponents = schuss.tensor(np.where(same, 3.0, 2.5), dtype=dtype)
    for name in [
        *WORDS,
        "silu",
        "gelu",
        "of magnitudes",
        "power",
        "fmod",
        "remainder",
        "floor_divide",
    ]:
        ends = []
        for numbers, exponent in ((near, schuss.full((3000,), 3.0, dtype=dtype)), (far, exponents)):
            x = schuss.tensor(numbers, dtype=dtype)
            match name:
                case "silu" | "gelu":
                    y = getattr(schuss.nn.functional, name)(x)
                case "of magnitudes":
                    y = x.abs().log()
                case "power":
                    y = x.abs() ** exponent
                case "fmod" | "remainder" | "floor_divide":
                    y = getattr(schuss, name)(x, 0.7)
                case _:
                    y = getattr(x, name)()
            ends.append(y.numpy()[same])
        bits = [np.where(np.isnan(end), 0, end).view(f"u{end.itemsize}") for end in ends]
        np.testing.assert_array_equal(*bits, err_msg=name)
        np.testing.assert_array_equal(np.isnan(ends[0]), np.isnan(ends[1]), err_msg=name)
