"""Complex numbers on a GPU against the processor: elements, functions, slopes, transforms.

Leans on the tables of test_complex and test_fft, on adapter and gpu_nearness. What no
shader computes is listed.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import schuss
from adapter import DEVICE, needs_adapter, told
from gpu_nearness import alike, strays
from schuss import fft
from schuss.testing import gradcheck, gradgradcheck
from test_complex import FUNCTIONS, RULES

pytestmark = needs_adapter

KINDS = [schuss.complex64, schuss.complex128]
# Of complex numbers a GPU has arithmetic; of float64 it has no arc tangent.
KERNELS = ["abs", "angle", "conj", "neg", "reciprocal", "sgn", "square"]
EDGES = [0.0, -0.0, 1.5, -3.0, np.inf, -np.inf, np.nan, 1e30, -1e-30]


def numbers(*shape: int, seed: int = 3, dtype: schuss.dtype = schuss.complex64) -> schuss.Tensor:
    rng = np.random.default_rng(seed)
    z = 3 * rng.standard_normal(shape) + 3j * rng.standard_normal(shape)
    return schuss.tensor(z).to(dtype)


def listed(value) -> list[schuss.Tensor]:
    return [value] if isinstance(value, schuss.Tensor) else list(value)


def near(got, want, kind: str, **more) -> None:
    for a, b in zip(listed(got), listed(want), strict=True):
        assert str(a.device) == "gpu:0"
        alike(a, b, kind, **more)


def heard(work) -> list[str]:
    """What is said to have no kernel while something runs."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        work()
    return [str(w.message) for w in seen if "has no kernel" in str(w.message)]


ELEMENTS = {
    "sum and difference": lambda z, w: z + w - 2 * z,
    "product": lambda z, w: z * w,
    "quotient": lambda z, w: z / w,
    "numbers": lambda z, w: (3 - 2j) * z + (w - 1j) / 2,
    "real beside complex": lambda z, w: z.real * w + w.imag,
    "truths": lambda z, w: [z == w, z != w, z.isnan(), z.isinf(), z.isfinite(), z.bool()],
    "choice": lambda z, w: schuss.where(z.real > 0, z, w),
    "parts": lambda z, w: [z.real, z.imag, schuss.view_as_real(z), z.mH, z.resolve_conj()],
    "put together": lambda z, w: schuss.complex(z.real.contiguous(), w.imag.contiguous()),
    "joined": lambda z, w: schuss.cat([z.T.contiguous(), w.T[:, ::2]], 1),
    "casts": lambda z, w: [z.to(schuss.complex128), z.to(schuss.complex64), w.real.to(z.dtype)],
    "copies": lambda z, w: [z.T.contiguous(), z.flip(0), z[1:, ::2].clone(), z.roll(1, 0)],
    "filled": lambda z, w: [z.new_full((3,), 1 - 2j), schuss.zeros_like(z), schuss.ones_like(z)],
    "read by index": lambda z, w: z[schuss.tensor([2, 0, 2], device=z.device)],
    "added by index": lambda z, w: z.index_add(
        0, schuss.tensor([1, 1, 0, 2, 1], device=z.device), w
    ),
    "masked": lambda z, w: z.masked_fill(z.real > 0, 1j),
    "sums": lambda z, w: [z.sum(), z.sum(0), z.mean(1), z.cumsum(1)],
    "lengths": lambda z, w: [z.norm(), z.var(), z.abs().amax(1)],
    "matrices": lambda z, w: [z @ w.mT, z.mT @ w, z.mH @ z, z @ w[0], schuss.outer(z[0], w[1])],
    "batches": lambda z, w: [
        schuss.stack([z, w, z]) @ w.mT,
        schuss.stack([z, w]) @ schuss.stack([w.mT, z.mT]),
        (schuss.stack([z, w]).mT @ schuss.stack([w, z]))[:, ::2],
    ],
    "nothing": lambda z, w: [z[:0] @ w.mT, z[:, :0] @ w[:, :0].mT, z[:0] + 1j],
}


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("name", ELEMENTS)
def test_elements_are_the_processors(name, kind):
    z, w = numbers(5, 7, dtype=kind), numbers(5, 7, seed=4, dtype=kind)
    w[0] = z[0]
    want, got = ELEMENTS[name](z, w), []
    said = heard(lambda: got.extend(listed(ELEMENTS[name](z.to(DEVICE), w.to(DEVICE)))))
    near(got, want, "map")
    assert not said


@pytest.mark.filterwarnings("ignore:.*has no kernel")
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_the_processors(name, kind):
    z = numbers(9, 7, dtype=kind)
    f = getattr(schuss, name)
    near(f(z.to(DEVICE)), f(z), "map")
    near(f(z.to(DEVICE).T[::2]), f(z.T[::2]), "map")


def test_what_is_arithmetic_has_kernels():
    z = numbers(9, 7).to(DEVICE)
    assert not heard(lambda: [getattr(schuss, name)(z) for name in KERNELS])


@pytest.mark.parametrize("name", ["product", "quotient", "truths", "sum and difference"])
def test_edges_are_the_processors(name):
    parts = np.array(EDGES, np.float32)
    z = schuss.tensor((parts[:, None] + 1j * np.zeros(1, np.float32)).astype(np.complex64))
    z = schuss.complex(*(t.contiguous() for t in schuss.meshgrid(z.real[:, 0], z.real[:, 0])))
    z = z.reshape(-1)
    a, b = z.repeat_interleave(len(z)), z.repeat(len(z))
    for got, want in zip(
        listed(ELEMENTS[name](a.to(DEVICE), b.to(DEVICE))),
        listed(ELEMENTS[name](a, b)),
        strict=True,
    ):
        if want.dtype == schuss.bool:
            alike(got, want, "same")
            continue
        # Where numbers of very different sizes meet, float32 leaves its range on the way.
        tame = np.isin(np.abs(parts), [0.0, 1.5, 3.0, np.inf]) | np.isnan(parts)
        tame = tame[:, None] & tame
        tame = np.repeat(tame.reshape(-1), len(z)) & np.tile(tame.reshape(-1), len(z))
        for part in (schuss.real, schuss.imag):
            wrong, x, y, _ = strays(part(got), part(want), "map", size=1.0)
            assert not wrong[tame].any(), [
                (a[k].item(), b[k].item(), x[k], y[k]) for k in np.flatnonzero(wrong & tame)[:5]
            ]


@pytest.mark.filterwarnings("ignore:.*has no kernel")
@pytest.mark.parametrize("name", RULES)
def test_slopes_agree_with_differences(name):
    z = numbers(4, seed=5, dtype=schuss.complex128)
    there = (z / 3).to(DEVICE).requires_grad_()
    with schuss.device(DEVICE):
        assert gradcheck(RULES[name], there)
        got = RULES[name](there.detach())
    near(got, RULES[name](z / 3), "map")


@pytest.mark.filterwarnings("ignore:.*has no kernel")
@pytest.mark.parametrize(
    "name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fft2", "irfft2", "fftshift"]
)
def test_transforms_are_the_processors(name):
    real = name in ("rfft", "ihfft")
    z = numbers(3, 8, dtype=schuss.complex128)
    z = z.real.contiguous() if real else z
    f = getattr(fft, name)
    near(f(z.to(DEVICE)), f(z), "same")
    assert gradcheck(f, z.to(DEVICE).requires_grad_(), fast_mode=True)
    assert gradgradcheck(f, z.to(DEVICE).requires_grad_(), fast_mode=True)


@pytest.mark.filterwarnings("ignore:.*has no kernel")
def test_real_derivatives_agree_with_differences():
    """Differences are taken where the input lies."""
    x = schuss.linspace(0.3, 0.9, 4, dtype=schuss.float64).reshape(2, 2).to(DEVICE)
    for f in (schuss.exp, schuss.special.i0, schuss.linalg.inv, schuss.det, schuss.lgamma):
        assert gradcheck(f, x.clone().requires_grad_()), f
    assert gradgradcheck(lambda t: (t @ t).tanh(), x.clone().requires_grad_())
    assert x.reshape(4).tolist() == pytest.approx([0.3, 0.5, 0.7, 0.9])
    with pytest.raises(schuss.testing.GradcheckError):
        gradcheck(lambda t: t * t.detach(), x.clone().requires_grad_())


def test_writes_and_draws():
    for device in ("cpu", DEVICE):
        schuss.manual_seed(5)
        z = schuss.randn(6, 2, dtype=schuss.complex64, device=device)
        z[1] = 3 - 1j
        z[:, 0].mul_(1j)
        z.real.add_(1)
        z[z.imag > 2] = 0
        z.copy_(z + z.conj() * 2j)
        schuss.view_as_real(z)[4:].neg_()
        if device == "cpu":
            want = z
    near(z, want, "map")
    alike(z[0, 0].item(), want[0, 0].item(), "map", dtype="complex64")
    assert repr(z[1]).startswith("tensor([")
    assert z.tolist() == z.cpu().tolist()


def test_a_step_downhill_compiled():
    def trained(device: str, wrap) -> list[float]:
        w = numbers(4, seed=8).to(device).requires_grad_()
        x, y = numbers(4, 4).to(device), numbers(4, seed=9).to(device)

        def step(x, y):
            w.grad = None
            loss = (x @ w - y).abs().square().mean()
            loss.backward()
            with schuss.no_grad():
                w.sub_(w.grad * 0.01)
            return loss

        step = wrap(step)
        return [step(x, y).item() for _ in range(6)]

    want = trained("cpu", lambda f: f)
    assert want[-1] < want[0] / 1.5
    for wrap in (lambda f: f, schuss.compile):
        alike(trained(DEVICE, wrap), want, "training", terms=6, dtype="float32")


def test_adapters_with_less():
    program = """
import warnings, schuss
from gpu_nearness import alike
warnings.simplefilter("ignore")
z = schuss.tensor([[1 + 2j, -3j, 0.5], [2, 1j, -1 - 1j]])
for kind in (schuss.complex64, schuss.complex128):
    a, b = z.to(kind), z.to(kind).to("gpu")
    f = lambda t: ((t * (1 - 2j) / (t + 3)) @ t.mH + 1j).T.contiguous()
    alike(f(b), f(a), "sum", terms=3)
    print(b.sum(1).cpu().tolist() == a.sum(1).tolist())
"""
    for profile in ("gpu", "noimm", "noint64,nof64", "gpu,noimm,nosubgroup"):
        done = told(program, SCHUSS_GPU_PROFILE=profile)
        assert done.stdout.splitlines() == ["True"] * 2, profile + done.stdout + done.stderr
