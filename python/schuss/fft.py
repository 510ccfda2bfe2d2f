"""Discrete Fourier transforms under PyTorch's names: along one axis, two, or any.
Leans on the core's records of transforms, whole and halved."""

from __future__ import annotations

import math

from schuss import _core
from schuss._core import Tensor
from schuss.naming import given, publish

_NORMS = ("backward", "ortho", "forward")


def _scale(op: str, norm, count: int, inverse: bool) -> float:
    """The number that results are multiplied by."""
    norm = "backward" if norm is None else norm
    if norm not in _NORMS:
        raise RuntimeError(f"{op}: norm is 'backward', 'ortho' or 'forward', not {norm!r}")
    if norm == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if (norm == "backward") == inverse else 1.0


def _input(op: str, x, complex_: bool):
    """Operands as floats or as complex numbers."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{op}: input must be a Tensor, got {type(x).__name__}")
    if x.dtype in (_core.float16, _core.bfloat16):
        raise RuntimeError(f"{op}: is not implemented for {x.dtype.name}; use x.float() first")
    if not complex_ and x.dtype.is_complex:
        raise RuntimeError(
            f"{op}: expects a real input tensor, got {x.dtype.name}; use x.real, or fft"
        )
    if not (x.dtype.is_floating_point or x.dtype.is_complex):
        x = x.to(_core.get_default_dtype())
    return x.to(x.dtype.to_complex()) if complex_ and not x.dtype.is_complex else x


def _single(op: str, n):
    """The one size that was asked for; unlike among several, -1 is none."""
    if isinstance(n, int) and n < 1:
        raise RuntimeError(f"{op}: invalid number of data points ({n}); needs at least 1")
    return None if n is None else [n]


def _axes(op: str, x, s, dim):
    """The axes, and the size that each shall have or None; those of `s` are the last ones."""
    rank = x.ndim
    if dim is None:
        count = rank if s is None else len(s)
        if count > rank:
            raise RuntimeError(f"{op}: s has {count} sizes, the input of {rank} axes fewer")
        axes = list(range(rank - count, rank))
    else:
        axes = [dim] if isinstance(dim, int) else list(dim)
        for d in axes:
            if not -rank <= d < max(rank, 1):
                raise IndexError(f"{op}: axis {d} is out of range for {rank} axes")
        axes = [d % rank if rank else d for d in axes]
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"{op}: the axes must be unique, got {dim}")
    sizes = [None] * len(axes) if s is None else list(s)
    if len(sizes) != len(axes):
        raise RuntimeError(f"{op}: {len(sizes)} sizes for {len(axes)} axes")
    for n in sizes:
        if n is not None and (isinstance(n, bool) or not hasattr(n, "__index__")):
            raise TypeError(f"{op}: sizes must be integers, got {type(n).__name__}")
    sizes = [None if n == -1 and s is not None else n for n in sizes]
    if rank == 0 and axes:
        raise RuntimeError(f"{op}: a 0-d tensor has no axis to transform along")
    return axes, sizes


def _sized(op: str, x, axes, sizes):
    """Cut, or filled up with zeros, to the sizes that are given."""
    for axis, n in zip(axes, sizes, strict=True):
        if (n is not None and n < 1) or (n is None and x.shape[axis] < 1):
            raise RuntimeError(
                f"{op}: invalid number of data points ({x.shape[axis] if n is None else n});"
                " needs at least 1"
            )
        have = x.shape[axis]
        if n is not None and n < have:
            x = x.narrow(axis, 0, n)
        elif n is not None and n > have:
            shape = list(x.shape)
            shape[axis] = n - have
            x = _core.cat([x, x.new_zeros(shape)], axis)
    return x


def _count(x, axes) -> int:
    return math.prod(x.shape[axis] for axis in axes)


def _whole(op, input, s, dim, norm, inverse, out):
    x = _input(op, input, True)
    axes, sizes = _axes(op, x, s, dim)
    x = _sized(op, x, axes, sizes)
    if not axes:
        return given(op, x.clone() if x is input else x, out)
    scale = _scale(op, norm, _count(x, axes), inverse)
    return given(op, _core._fft_whole(x, axes, scale, inverse), out)


def _halved(op, input, s, dim, norm, hermitian, out):
    """Reals to half of their transform; `hermitian` for the conjugate one, which is an inverse."""
    x = _input(op, input, False)
    axes, sizes = _axes(op, x, s, dim)
    if not axes:
        raise RuntimeError(f"{op}: must transform at least one axis")
    x = _sized(op, x, axes, sizes)
    scale = _scale(op, norm, _count(x, axes), hermitian)
    found = _core._fft_to_half(x, axes, scale)
    return given(op, found.conj() if hermitian else found, out)


def _from_half(op, input, s, dim, norm, hermitian, out):
    """Reals from half of their transform; `hermitian` by the conjugates, a transform forward."""
    x = _input(op, input, True)
    axes, sizes = _axes(op, x, s, dim)
    if not axes:
        raise RuntimeError(f"{op}: must transform at least one axis")
    last = axes[-1]
    n = 2 * (x.shape[last] - 1) if sizes[-1] is None else sizes[-1]
    if n < 1:
        raise RuntimeError(f"{op}: invalid number of data points ({n}); needs at least 1")
    x = _sized(op, x, axes, [*sizes[:-1], n // 2 + 1])
    scale = _scale(op, norm, _count(x, axes[:-1]) * n, not hermitian)
    x = x.conj() if hermitian else x
    return given(op, _core._fft_from_half(x, axes, n, scale), out)


def fft(input, n=None, dim=-1, norm=None, *, out=None):
    """The transform along an axis, of `n` numbers: zeros are added, or what is beyond left out.

    `norm` is where one over the count goes: "backward" (the default) to the inverse, "forward" to
    the transform, "ortho" by halves to both. RuntimeError for float16 and for no elements.

    >>> schuss.fft.fft(schuss.tensor([1.0, 0.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])
    """
    return _whole("fft", input, _single("fft", n), dim, norm, False, out)


def ifft(input, n=None, dim=-1, norm=None, *, out=None):
    """The inverse of `fft`.

    >>> schuss.fft.ifft(schuss.tensor([4.0, 0.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])
    """
    return _whole("ifft", input, _single("ifft", n), dim, norm, True, out)


def rfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The first n // 2 + 1 numbers of the transform of reals: the others are their conjugates.

    >>> schuss.fft.rfft(schuss.ones(4)).abs()
    tensor([4., 0., 0.])
    """
    return _halved("rfft", input, _single("rfft", n), dim, norm, False, out)


def irfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The inverse of `rfft`: `n` reals, by default twice as many as steps between those given.

    >>> schuss.fft.irfft(schuss.tensor([4.0, 0.0, 0.0]))
    tensor([1., 1., 1., 1.])
    """
    return _from_half("irfft", input, _single("irfft", n), dim, norm, False, out)


def hfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The transform of a signal given by its first half, the other one being its conjugates.

    >>> schuss.fft.hfft(schuss.tensor([1.0, 0.0, 0.0]))
    tensor([1., 1., 1., 1.])
    """
    return _from_half("hfft", input, _single("hfft", n), dim, norm, True, out)


def ihfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The inverse of `hfft`: the first half of a signal whose transform is real.

    >>> schuss.fft.ihfft(schuss.tensor([4.0, 4.0, 4.0, 4.0])).real
    tensor([4., 0., 0.])
    """
    return _halved("ihfft", input, _single("ihfft", n), dim, norm, True, out)


def _several(name: str, work, inverse: bool, two: bool):
    one = name[:-1]
    axes = "two axes" if two else "several axes, all if none are named"

    def transform(input, s=None, dim=(-2, -1) if two else None, norm=None, *, out=None):
        return work(name, input, s, dim, norm, inverse, out)

    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = f"""`{one}` along {axes}; `s` gives the sizes.

    >>> schuss.fft.{name}(schuss.ones(2, 2)).shape[0]
    2
    """
    return transform


fft2, fftn = _several("fft2", _whole, False, True), _several("fftn", _whole, False, False)
ifft2, ifftn = _several("ifft2", _whole, True, True), _several("ifftn", _whole, True, False)
rfft2, rfftn = _several("rfft2", _halved, False, True), _several("rfftn", _halved, False, False)
irfft2 = _several("irfft2", _from_half, False, True)
irfftn = _several("irfftn", _from_half, False, False)
hfft2 = _several("hfft2", _from_half, True, True)
hfftn = _several("hfftn", _from_half, True, False)
ihfft2 = _several("ihfft2", _halved, True, True)
ihfftn = _several("ihfftn", _halved, True, False)


def _frequencies(places, n, d, out, dtype, device, requires_grad):
    kind = _core.get_default_dtype() if dtype is None else dtype
    found = places.to(kind) * (1.0 / (n * d))
    found = found if device is None else found.to(device)
    return given("fftfreq", found.requires_grad_(requires_grad), out)


def fftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The frequencies that the numbers of a transform stand for, of samples `d` apart.

    >>> schuss.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    places = _core.arange(n)
    places = _core._where(places < (n + 1) // 2, places, places - n)
    return _frequencies(places, n, d, out, dtype, device, requires_grad)


def rfftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The frequencies that the numbers of `rfft` stand for, of samples `d` apart.

    >>> schuss.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """
    return _frequencies(_core.arange(n // 2 + 1), n, d, out, dtype, device, requires_grad)


def _rolled(input, dim, back):
    from schuss.arrangement import roll

    axes = list(range(input.ndim)) if dim is None else dim
    axes = [axes] if isinstance(axes, int) else list(axes)
    halves = [input.shape[d] // 2 if back else (input.shape[d] + 1) // 2 for d in axes]
    return roll(input, [-n for n in halves], axes) if axes else input.clone()


def fftshift(input, dim=None):
    """The transform with its zero frequency in the middle of each axis.

    >>> schuss.fft.fftshift(schuss.tensor([0, 1, -2, -1]))
    tensor([-2, -1,  0,  1])
    """
    return _rolled(input, dim, False)


def ifftshift(input, dim=None):
    """The inverse of `fftshift`.

    >>> schuss.fft.ifftshift(schuss.tensor([-2, -1, 0, 1]))
    tensor([ 0,  1, -2, -1])
    """
    return _rolled(input, dim, True)


__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

publish(globals(), __name__, __all__)
