"""Discrete Fourier transforms by the standard's names and defaults.
Leans on schuss.fft, whose functions they are."""

from __future__ import annotations

from schuss import fft as _fft


def fft(x, /, *, n=None, axis=-1, norm="backward"):
    """The transform along an axis, of `n` numbers: zeros are added, or what is beyond left out.

    >>> schuss.array_api.fft.fft(schuss.tensor([1.0, 0.0]))
    tensor([1.+0.j, 1.+0.j])
    """
    return _fft.fft(x, n, axis, norm)


def ifft(x, /, *, n=None, axis=-1, norm="backward"):
    """The inverse of `fft`.

    >>> schuss.array_api.fft.ifft(schuss.tensor([2.0, 0.0]))
    tensor([1.+0.j, 1.+0.j])
    """
    return _fft.ifft(x, n, axis, norm)


def fftn(x, /, *, s=None, axes=None, norm="backward"):
    """The transform along several axes, all if none are named; `s` gives the sizes.

    >>> schuss.array_api.fft.fftn(schuss.ones(2, 2))[0, 0]
    tensor(4.+0.j)
    """
    return _fft.fftn(x, s, axes, norm)


def ifftn(x, /, *, s=None, axes=None, norm="backward"):
    """The inverse of `fftn`.

    >>> schuss.array_api.fft.ifftn(schuss.ones(2, 2))[0, 0]
    tensor(1.+0.j)
    """
    return _fft.ifftn(x, s, axes, norm)


def rfft(x, /, *, n=None, axis=-1, norm="backward"):
    """The first n // 2 + 1 numbers of the transform of reals: the others are their conjugates.

    >>> schuss.array_api.fft.rfft(schuss.ones(4)).shape
    schuss.Size([3])
    """
    return _fft.rfft(x, n, axis, norm)


def irfft(x, /, *, n=None, axis=-1, norm="backward"):
    """The inverse of `rfft`: `n` reals, by default twice as many as steps between those given.

    >>> schuss.array_api.fft.irfft(schuss.tensor([4.0, 0.0, 0.0]))
    tensor([1., 1., 1., 1.])
    """
    return _fft.irfft(x, n, axis, norm)


def rfftn(x, /, *, s=None, axes=None, norm="backward"):
    """`rfft` along the last of several axes, `fft` along the others.

    >>> schuss.array_api.fft.rfftn(schuss.ones(2, 4)).shape
    schuss.Size([2, 3])
    """
    return _fft.rfftn(x, s, axes, norm)


def irfftn(x, /, *, s=None, axes=None, norm="backward"):
    """The inverse of `rfftn`.

    >>> schuss.array_api.fft.irfftn(schuss.ones(2, 3)).shape
    schuss.Size([2, 4])
    """
    return _fft.irfftn(x, s, axes, norm)


def hfft(x, /, *, n=None, axis=-1, norm="backward"):
    """The transform of a signal given by its first half, the other one being its conjugates.

    >>> schuss.array_api.fft.hfft(schuss.tensor([1.0, 0.0, 0.0]))
    tensor([1., 1., 1., 1.])
    """
    return _fft.hfft(x, n, axis, norm)


def ihfft(x, /, *, n=None, axis=-1, norm="backward"):
    """The inverse of `hfft`: the first half of a signal whose transform is real.

    >>> schuss.array_api.fft.ihfft(schuss.ones(4)).shape
    schuss.Size([3])
    """
    return _fft.ihfft(x, n, axis, norm)


def fftfreq(n, /, *, d=1.0, dtype=None, device=None):
    """The frequencies that the numbers of a transform stand for, of samples `d` apart.

    >>> schuss.array_api.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return _fft.fftfreq(n, d, dtype=dtype, device=device)


def rfftfreq(n, /, *, d=1.0, dtype=None, device=None):
    """The frequencies that the numbers of `rfft` stand for, of samples `d` apart.

    >>> schuss.array_api.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """
    return _fft.rfftfreq(n, d, dtype=dtype, device=device)


def fftshift(x, /, *, axes=None):
    """The transform with its zero frequency in the middle of each axis.

    >>> schuss.array_api.fft.fftshift(schuss.tensor([0, 1, -2, -1]))
    tensor([-2, -1,  0,  1])
    """
    return _fft.fftshift(x, axes)


def ifftshift(x, /, *, axes=None):
    """The inverse of `fftshift`.

    >>> schuss.array_api.fft.ifftshift(schuss.tensor([-2, -1, 0, 1]))
    tensor([ 0,  1, -2, -1])
    """
    return _fft.ifftshift(x, axes)


__all__ = [
    "fft",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfftn",
    "rfft",
    "rfftfreq",
    "rfftn",
]
