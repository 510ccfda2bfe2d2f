"""Fourier transforms: values, sizes, norms, derivatives, and spectra over time.

Leans on NumPy's transforms for values; gradients in GRADIENTS were made once with PyTorch 2.15
(torch.autograd.grad of the lambda shown, in complex128).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import schuss
from schuss import fft, func
from schuss.testing import gradcheck, gradgradcheck

NORMS = [None, "backward", "ortho", "forward"]
ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
MANY = ["fftn", "ifftn", "rfftn", "irfftn"]
TWO = ["fft2", "ifft2", "rfft2", "irfft2"]


def data(name: str, *shape: int, kind: str = "D", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    real = name.startswith(("rfft", "ihfft"))
    x = x if real else x + 1j * rng.standard_normal(shape)
    return x.astype(kind.lower() if real else kind)


def near(found: schuss.Tensor, want: np.ndarray, tolerance: float = 1e-12) -> None:
    assert found.shape == want.shape
    assert found.detach().numpy().dtype == want.dtype
    np.testing.assert_allclose(found.detach().numpy(), want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("n", [None, 1, 2, 5, 6, 7, 16, 31])
@pytest.mark.parametrize("dim", [-1, 0, 1])
def test_one_axis(name: str, n: int | None, dim: int) -> None:
    x = data(name, 4, 7, 6)
    for norm in NORMS:
        want = getattr(np.fft, name)(x, n, dim, norm)
        near(getattr(fft, name)(schuss.tensor(x), n, dim, norm), want)


@pytest.mark.parametrize("name", MANY + TWO)
@pytest.mark.parametrize(
    ("s", "dim"), [(None, None), (None, (0, 2)), ((5, 3), (2, 0)), ((2, 9), (0, 1)), (None, (1,))]
)
def test_several_axes(name: str, s: tuple | None, dim: tuple | None) -> None:
    if name in TWO and dim is None:
        dim = (-2, -1)
    x = data(name, 4, 3, 6)
    for norm in NORMS:
        want = getattr(np.fft, name)(x, s, dim, norm)
        near(getattr(fft, name)(schuss.tensor(x), s, dim, norm), want)


@pytest.mark.parametrize("norm", NORMS)
def test_hermitian_transforms_of_several_axes(norm: str | None) -> None:
    x = schuss.tensor(data("hfft", 3, 4))
    found = fft.hfftn(x, norm=norm)
    want = np.fft.hfft(np.fft.fft(x.numpy(), axis=0, norm=norm), axis=1, norm=norm)
    near(found, want)
    near(fft.hfft2(x, norm=norm), want)
    y = schuss.tensor(data("rfft", 3, 6))
    want = np.fft.ifft(np.fft.ihfft(y.numpy(), axis=1, norm=norm), axis=0, norm=norm)
    near(fft.ihfftn(y, norm=norm), want)
    near(fft.ihfft2(y, norm=norm), want)


@pytest.mark.parametrize("n", [2, 3, 64, 97, 240, 1009, 4096])
def test_lengths_of_every_kind(n: int) -> None:
    x = data("fft", 3, n)
    near(fft.fft(schuss.tensor(x)), np.fft.fft(x), 1e-11)
    near(fft.irfft(schuss.tensor(x), n), np.fft.irfft(x, n), 1e-11)
    short = x.astype("F")
    near(fft.fft(schuss.tensor(short)), np.fft.fft(x).astype("F"), 2e-5)
    near(fft.rfft(schuss.tensor(x.real.copy())), np.fft.rfft(x.real), 1e-11)


def test_layouts_and_dtypes() -> None:
    x = data("fft", 6, 8)
    turned = schuss.tensor(x).T
    near(fft.fft(turned), np.fft.fft(x.T))
    near(fft.fft(turned[::2, 1:7:2]), np.fft.fft(x.T[::2, 1:7:2]))
    near(fft.fft(schuss.tensor([1, 0, 0])), np.ones(3, "F"), 1e-6)
    assert fft.rfft(schuss.ones(4, dtype=schuss.float64)).dtype == schuss.complex128
    assert fft.irfft(schuss.ones(3)).dtype == schuss.float32
    out = schuss.empty(3, dtype=schuss.complex64)
    assert fft.fft(schuss.ones(3), out=out) is out
    near(out, np.array([3, 0, 0], "F"), 1e-6)


def test_frequencies() -> None:
    for n in (1, 4, 5):
        near(fft.fftfreq(n, 0.5, dtype=schuss.float64), np.fft.fftfreq(n, 0.5))
        near(fft.rfftfreq(n, 0.5, dtype=schuss.float64), np.fft.rfftfreq(n, 0.5))
    x = data("rfft", 3, 4, 5)
    for dim in (None, 1, (0, 2)):
        near(fft.fftshift(schuss.tensor(x), dim), np.fft.fftshift(x, dim))
        near(fft.ifftshift(schuss.tensor(x), dim), np.fft.ifftshift(x, dim))


REFUSED: dict[str, Callable] = {
    "is not implemented for float16": lambda: fft.fft(schuss.ones(2).half()),
    "expects a real input": lambda: fft.rfft(schuss.tensor([1j])),
    "invalid number of data points": lambda: fft.fft(schuss.ones(2), 0),
    r"invalid number of data points \(0\)": lambda: fft.irfft(schuss.ones(1)),
    "norm is": lambda: fft.fft(schuss.ones(2), norm="other"),
    "axes must be unique": lambda: fft.fftn(schuss.ones(2, 2), dim=(0, 0)),
    "2 sizes for 1 axes": lambda: fft.fftn(schuss.ones(2, 2), s=(2, 2), dim=(0,)),
    "3 sizes, the input of 2": lambda: fft.fftn(schuss.ones(2, 2), s=(2, 2, 2)),
    "at least one axis": lambda: fft.rfftn(schuss.ones(2), dim=()),
}


@pytest.mark.parametrize("words", REFUSED)
def test_refusals(words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        REFUSED[words]()


def test_an_axis_that_is_not_there() -> None:
    with pytest.raises(IndexError, match="out of range"):
        fft.fft(schuss.ones(2), dim=1)


Z, W, R = [1 + 2j, -0.5 + 0.25j, 3 - 4j], [0.5 - 1j, 2 + 0j, -1 + 1j], [1.0, 2.0, -3.0]
WEIGHTS = schuss.tensor(W, dtype=schuss.complex128)
GRADIENTS = {
    "fft": (
        lambda z: (fft.fft(z) * WEIGHTS).real.sum(),
        Z,
        [1.5 + 0j, -0.866025404 + 4.098076211j, 0.866025404 - 1.098076211j],
    ),
    "rfft": (
        lambda r: (fft.rfft(r) * WEIGHTS[:2]).imag.sum(),
        R,
        [-1.0, -2.732050808, 0.732050808],
    ),
    "irfft": (
        lambda z: (fft.irfft(z, n=5) * schuss.arange(5.0)).sum(),
        Z,
        [2 + 0j, -1 + 1.37638192j, -1 + 0.324919696j],
    ),
    "hfft": (lambda z: (fft.hfft(z) ** 2).sum(), Z, [8 + 0j, -8 + 4j, 24 + 0j]),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_pytorchs(name: str) -> None:
    f, value, want = GRADIENTS[name]
    x = schuss.tensor(np.array(value), requires_grad=True)
    f(x).backward()
    near(x.grad, np.array(want), 1e-8)


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("n", [None, 3, 4, 7])
def test_derivatives(name: str, n: int | None) -> None:
    x = schuss.tensor(data(name, 2, 5), requires_grad=True)
    f = lambda x: getattr(fft, name)(x, n, norm="ortho")  # noqa: E731
    assert gradcheck(f, x)
    assert gradgradcheck(f, x, fast_mode=True)
    way = schuss.tensor(data(name, 2, 5, seed=1))
    value, tangent = func.jvp(f, (x.detach(),), (way,))
    near(tangent, f(way).numpy())
    near(value, f(x).detach().numpy())


@pytest.mark.parametrize("name", [*MANY, "hfftn", "ihfftn"])
def test_derivatives_of_several_axes(name: str) -> None:
    x = schuss.tensor(data(name.replace("n", ""), 2, 3, 4), requires_grad=True)
    assert gradcheck(getattr(fft, name), x, fast_mode=True)


def test_many_examples() -> None:
    x = data("rfft", 5, 3, 8)
    near(func.vmap(fft.rfft)(schuss.tensor(x)), np.fft.rfft(x))
    across = func.vmap(lambda a: fft.fft(a, dim=0), in_dims=1)
    near(across(schuss.tensor(x)), np.fft.fft(x, axis=0).swapaxes(0, 1))


def test_a_compiled_step() -> None:
    @schuss.compile
    def filtered(x: schuss.Tensor, gain: schuss.Tensor) -> schuss.Tensor:
        return fft.irfft(fft.rfft(x) * gain, n=x.shape[-1])

    gain = data("rfft", 5, seed=9)
    for seed in range(4):
        x = data("rfft", 3, 8, seed=seed)
        want = np.fft.irfft(np.fft.rfft(x) * gain, n=8)
        near(filtered(schuss.tensor(x), schuss.tensor(gain)), want)


def test_results_do_not_depend_on_threads() -> None:
    x = schuss.tensor(data("fft", 64, 1000))
    many, count = fft.fft(x), schuss.get_num_threads()
    schuss.set_num_threads(1)
    try:
        assert schuss.equal(fft.fft(x), many)
    finally:
        schuss.set_num_threads(count)


# ---- spectra over time ---------------------------------------------------------------------------


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
def test_spectra(center: bool, normalized: bool) -> None:
    x = data("rfft", 2, 50)
    window = np.hanning(18)[1:-1]
    found = schuss.stft(
        schuss.tensor(x),
        16,
        4,
        window=schuss.tensor(window),
        center=center,
        normalized=normalized,
        return_complex=True,
    )
    wide = np.pad(x, ((0, 0), (8, 8)), "reflect") if center else x
    frames = np.lib.stride_tricks.sliding_window_view(wide, 16, axis=1)[:, ::4] * window
    want = np.fft.rfft(frames, norm="ortho" if normalized else None).swapaxes(1, 2)
    near(found, want)
    if center:
        back = schuss.istft(
            found, 16, 4, window=schuss.tensor(window), normalized=normalized, length=50
        )
        near(back[:, :48], x[:, :48])


def test_spectra_have_derivatives_and_refuse() -> None:
    x = schuss.tensor(data("rfft", 12), requires_grad=True)
    assert gradcheck(lambda x: schuss.stft(x, 4, 2, return_complex=True), x)
    spectrum = schuss.stft(x.detach(), 4, 2, return_complex=True).requires_grad_()
    assert gradcheck(lambda s: schuss.istft(s, 4, 2), spectrum, fast_mode=True)
    with pytest.raises(RuntimeError, match="return_complex"):
        schuss.stft(x, 4)
    with pytest.raises(RuntimeError, match="window must hold"):
        schuss.stft(x, 4, window=schuss.ones(3), return_complex=True)
    with pytest.raises(RuntimeError, match="overlap too little"):
        schuss.istft(spectrum, 4, 2, window=schuss.zeros(4, dtype=schuss.float64))
