"""Spectra of signals over time: transforms of windows that follow one another, and the way back.
Leans on fft, and on unfolding and folding."""

from __future__ import annotations

from schuss import _core, fft
from schuss._core import Tensor


def _window(op, window, n_fft, win_length, like):
    """The window at the full length, in the middle of zeros."""
    length = n_fft if win_length is None else win_length
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{op}: win_length must be from 1 to n_fft ({n_fft}), got {length}")
    if window is None:
        window = _core.ones(length, dtype=like.dtype.to_real(), device=like.device)
    if window.ndim != 1 or window.shape[0] != length:
        raise RuntimeError(
            f"{op}: the window must hold {length} numbers, got shape {tuple(window.shape)}"
        )
    left = (n_fft - length) // 2
    if length == n_fft:
        return window
    sides = window.new_zeros(left), window.new_zeros(n_fft - length - left)
    return _core.cat([sides[0], window, sides[1]])


def _steps(op, n_fft, hop_length):
    hop = n_fft // 4 if hop_length is None else hop_length
    if n_fft <= 0 or hop <= 0:
        raise RuntimeError(f"{op}: n_fft and hop_length must be above 0, got {n_fft} and {hop}")
    return hop


def stft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    pad_mode="reflect",
    normalized=False,
    onesided=None,
    return_complex=None,
    align_to_window=None,
):
    """The transforms of a signal's windows, `hop_length` apart: (frequencies, windows).

    Gabor 1946. A signal is (samples,) or (signals, samples); `center` pads it so that windows stand
    around their samples. Real signals need `return_complex`; without it parts are along a last
    axis. RuntimeError for a window of another length than `win_length`.

    >>> schuss.stft(schuss.ones(8), 4, center=False, return_complex=True).shape
    schuss.Size([3, 5])
    """
    if not isinstance(input, Tensor) or input.ndim not in (1, 2):
        raise RuntimeError("stft: needs a signal (samples,) or signals (count, samples)")
    hop = _steps("stft", n_fft, hop_length)
    taper = _window("stft", window, n_fft, win_length, input)
    whole = input.dtype.is_complex or taper.dtype.is_complex
    if return_complex is None:
        if not whole:
            raise RuntimeError("stft: real signals need return_complex=True (or False for parts)")
        return_complex = True
    onesided = not whole if onesided is None else onesided
    if onesided and whole:
        raise RuntimeError("stft: onesided is for real signals and windows alone")
    x = input.unsqueeze(0) if input.ndim == 1 else input
    if center:
        from schuss.nn.functional import pad

        x = pad(x.unsqueeze(1), (n_fft // 2, n_fft // 2), pad_mode).squeeze(1)
    if x.shape[-1] < n_fft:
        raise RuntimeError(f"stft: n_fft must be at most {x.shape[-1]}, got {n_fft}")
    frames = x.unfold(-1, n_fft, hop) * taper
    norm = "ortho" if normalized else "backward"
    found = (fft.rfft if onesided else fft.fft)(frames, norm=norm).transpose(-1, -2)
    found = found.squeeze(0) if input.ndim == 1 else found
    return found if return_complex else _core._view_as_real(found.contiguous())


def istft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    normalized=False,
    onesided=None,
    length=None,
    return_complex=False,
):
    """The signal whose transforms of windows are given, with the least squared error.

    Griffin and Lim 1984. RuntimeError where the windows leave samples out.

    >>> spectrum = schuss.stft(schuss.ones(8), 4, return_complex=True)
    >>> schuss.istft(spectrum, 4)
    tensor([1., 1., 1., 1., 1., 1., 1., 1.])
    """
    if not isinstance(input, Tensor) or not input.dtype.is_complex or input.ndim not in (2, 3):
        raise RuntimeError("istft: needs complex numbers of shape (..., frequencies, windows)")
    hop = _steps("istft", n_fft, hop_length)
    taper = _window("istft", window, n_fft, win_length, input)
    x = (input.unsqueeze(0) if input.ndim == 2 else input).transpose(-1, -2)
    onesided = x.shape[-1] != n_fft if onesided is None else onesided
    count = n_fft // 2 + 1 if onesided else n_fft
    if x.shape[-1] != count or not x.numel():
        raise RuntimeError(f"istft: n_fft {n_fft} has {count} frequencies, got {x.shape[-1]}")
    if return_complex and onesided:
        raise RuntimeError("istft: a complex signal has no onesided spectrum")
    norm = "ortho" if normalized else "backward"
    if return_complex:
        frames = fft.ifft(x, norm=norm)
    else:
        frames = fft.irfft(x[..., : n_fft // 2 + 1], n=n_fft, norm=norm)
    total = n_fft + hop * (x.shape[1] - 1)
    signal = _overlaid(frames * taper, total, hop)
    weight = _overlaid((taper * taper).expand(1, x.shape[1], n_fft), total, hop)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - (n_fft // 2 if center else 0)
    signal, weight = signal[:, start:end], weight[:, start:end]
    if not weight.numel() or float(_core._values(weight.detach().abs().min())) <= 1e-11:
        raise RuntimeError("istft: the windows overlap too little: some samples are in none")
    signal = signal / weight
    if length is not None and signal.shape[1] < length:
        rest = signal.new_zeros(signal.shape[0], length - signal.shape[1])
        signal = _core.cat([signal, rest], 1)
    return signal.squeeze(0) if input.ndim == 2 else signal


def _overlaid(frames, total, hop):
    """Windows added where they overlap: (signals, windows, samples) to (signals, total)."""
    from schuss.nn.functional import fold

    n = frames.shape[-1]
    rows = frames.transpose(1, 2)
    return fold(rows, (1, total), (1, n), stride=(1, hop)).reshape(frames.shape[0], total)


__all__ = ["istft", "stft"]
