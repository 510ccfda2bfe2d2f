"""Windows, the weights of a frame of samples: raised cosines, bells, symmetric or periodic.
Leans on the core's mathematics in float64."""

from __future__ import annotations

import math

import schuss
from schuss import _core
from schuss._core import Tensor


def _window(op, length, sym, shape_of, dtype, device, requires_grad) -> Tensor:
    """A window by a function of its places and its last place; a periodic one lacks its end."""
    if not isinstance(length, int) or isinstance(length, bool):
        raise TypeError(f"{op}: the length must be an integer, got {type(length).__name__}")
    if length < 0:
        raise ValueError(f"{op}: the length must be at least 0, got {length}")
    kind = _core.get_default_dtype() if dtype is None else dtype
    if kind not in (_core.float32, _core.float64):
        raise ValueError(f"{op}: windows are float32 or float64, asked was {kind.name}")
    if length == 0:
        made = _core.empty((0,), dtype=_core.float64)
    elif length == 1:
        made = _core.ones((1,), dtype=_core.float64)
    else:
        places = _core.arange(length, dtype=_core.float64)
        made = shape_of(places, float(length - 1 if sym else length))
    made = made.to(kind)
    made = made if device is None else made.to(device)
    return made.requires_grad_() if requires_grad else made


def general_cosine(
    M, *, a, sym=True, dtype=None, layout=None, device=None, requires_grad=False
) -> Tensor:
    """A sum of cosines with signs by turns: `a[0] - a[1] cos(t) + a[2] cos(2 t) - ...`.

    >>> schuss.signal.windows.general_cosine(3, a=[0.5, 0.5])
    tensor([0., 1., 0.])
    """
    if not hasattr(a, "__iter__"):
        raise TypeError("general_cosine: a must be a list of coefficients")
    if not list(a):
        raise ValueError("general_cosine: a needs at least one coefficient")

    def shape(k, last):
        turn = k * (2 * math.pi / last)
        return sum((-1) ** i * float(c) * (i * turn).cos() for i, c in enumerate(a))

    return _window("general_cosine", M, sym, shape, dtype, device, requires_grad)


def general_hamming(
    M, *, alpha=0.54, sym=True, dtype=None, layout=None, device=None, requires_grad=False
) -> Tensor:
    """A raised cosine: `alpha - (1 - alpha) cos(t)`.

    >>> schuss.signal.windows.general_hamming(3)
    tensor([0.0800, 1.0000, 0.0800])
    """
    return general_cosine(
        M, a=[alpha, 1 - alpha], sym=sym, dtype=dtype, device=device, requires_grad=requires_grad
    )


def hamming(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """Hamming's window: `0.54 - 0.46 cos(t)`.

    >>> schuss.signal.windows.hamming(3)
    tensor([0.0800, 1.0000, 0.0800])
    """
    return general_hamming(M, sym=sym, dtype=dtype, device=device, requires_grad=requires_grad)


def hann(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """Von Hann's window: `(1 - cos(t)) / 2`.

    >>> schuss.signal.windows.hann(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return general_hamming(
        M, alpha=0.5, sym=sym, dtype=dtype, device=device, requires_grad=requires_grad
    )


def blackman(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """Blackman's window: `0.42 - 0.5 cos(t) + 0.08 cos(2 t)`.

    >>> schuss.signal.windows.blackman(3).round(decimals=4).abs()
    tensor([0., 1., 0.])
    """
    return general_cosine(
        M,
        a=[0.42, 0.5, 0.08],
        sym=sym,
        dtype=dtype,
        device=device,
        requires_grad=requires_grad,
    )


def nuttall(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """Nuttall's window of four terms (Some Windows with Very Good Sidelobe Behavior, 1981).

    >>> schuss.signal.windows.nuttall(3)
    tensor([3.6280e-04, 1.0000e+00, 3.6280e-04])
    """
    return general_cosine(
        M,
        a=[0.3635819, 0.4891775, 0.1365995, 0.0106411],
        sym=sym,
        dtype=dtype,
        device=device,
        requires_grad=requires_grad,
    )


def bartlett(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """Bartlett's window, a triangle with 0 at its ends.

    >>> schuss.signal.windows.bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """

    def shape(k, last):
        return 1 - (2 * k / last - 1).abs()

    return _window("bartlett", M, sym, shape, dtype, device, requires_grad)


def cosine(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """Half a turn of the sine, by the middles of as many parts as the window has places.

    >>> schuss.signal.windows.cosine(3)
    tensor([0.5000, 1.0000, 0.5000])
    """

    def shape(k, last):
        return ((k + 0.5) * (math.pi / (last + 1))).sin()

    return _window("cosine", M, sym, shape, dtype, device, requires_grad)


def gaussian(
    M, *, std=1.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False
) -> Tensor:
    """Gauss's bell, with a standard deviation counted in places.

    >>> schuss.signal.windows.gaussian(3)
    tensor([0.6065, 1.0000, 0.6065])
    """
    if std <= 0:
        raise ValueError(f"gaussian: std must be positive, got {std}")

    def shape(k, last):
        return (-0.5 * ((k - last / 2) / std).square()).exp()

    return _window("gaussian", M, sym, shape, dtype, device, requires_grad)


def exponential(
    M,
    *,
    center=None,
    tau=1.0,
    sym=True,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
) -> Tensor:
    """`exp(-|k - center| / tau)` about the middle, or of a periodic one about any place.

    >>> schuss.signal.windows.exponential(3)
    tensor([0.3679, 1.0000, 0.3679])
    """
    if tau <= 0:
        raise ValueError(f"exponential: tau must be positive, got {tau}")
    if sym and center is not None:
        raise ValueError("exponential: a symmetric window has its center in the middle")

    def shape(k, last):
        return (-(k - (last / 2 if center is None else center)).abs() / tau).exp()

    return _window("exponential", M, sym, shape, dtype, device, requires_grad)


def kaiser(
    M, *, beta=12.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False
) -> Tensor:
    """Kaiser's window, `i0(beta sqrt(1 - t^2)) / i0(beta)` for t from -1 to 1 (Kaiser 1974).

    >>> schuss.signal.windows.kaiser(3, beta=2.0)
    tensor([0.4387, 1.0000, 0.4387])
    """
    if beta < 0:
        raise ValueError(f"kaiser: beta must be at least 0, got {beta}")

    def shape(k, last):
        t = 2 * k / last - 1
        root = (1 - t.square()).clamp(min=0).sqrt()
        # Both scaled, so that neither overflows for a large beta.
        whole = schuss.special.i0e(beta * root) / schuss.special.i0e(
            _core.tensor(float(beta), dtype=root.dtype, device=root.device)
        )
        return whole * (beta * (root - 1)).exp()

    return _window("kaiser", M, sym, shape, dtype, device, requires_grad)


def _older(op, length, periodic, make, dtype, device, requires_grad):
    """A window by its older function: periodic unless told otherwise, and RuntimeErrors."""
    try:
        return make(
            length, sym=not periodic, dtype=dtype, device=device, requires_grad=requires_grad
        )
    except ValueError as error:
        raise RuntimeError(f"{op}{str(error)[str(error).index(':') :]}") from None


def hann_window(
    window_length,
    periodic=True,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
) -> Tensor:
    """Von Hann's window, periodic unless told otherwise.

    >>> schuss.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _older("hann_window", window_length, periodic, hann, dtype, device, requires_grad)


def hamming_window(
    window_length,
    periodic=True,
    alpha=0.54,
    beta=0.46,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
) -> Tensor:
    """Hamming's window, `alpha - beta cos(t)`, periodic unless told otherwise.

    >>> schuss.hamming_window(4)
    tensor([0.0800, 0.5400, 1.0000, 0.5400])
    """

    def make(length, **more):
        return general_cosine(length, a=[alpha, beta], **more)

    return _older("hamming_window", window_length, periodic, make, dtype, device, requires_grad)


def blackman_window(
    window_length,
    periodic=True,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
) -> Tensor:
    """Blackman's window, periodic unless told otherwise.

    >>> schuss.blackman_window(4)[1:]
    tensor([0.3400, 1.0000, 0.3400])
    """
    return _older(
        "blackman_window", window_length, periodic, blackman, dtype, device, requires_grad
    )


def bartlett_window(
    window_length,
    periodic=True,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
) -> Tensor:
    """Bartlett's window, periodic unless told otherwise.

    >>> schuss.bartlett_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _older(
        "bartlett_window", window_length, periodic, bartlett, dtype, device, requires_grad
    )


def kaiser_window(
    window_length,
    periodic=True,
    beta=12.0,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
) -> Tensor:
    """Kaiser's window, periodic unless told otherwise.

    >>> schuss.kaiser_window(4, beta=2.0)
    tensor([0.4387, 0.8348, 1.0000, 0.8348])
    """

    def make(length, **more):
        return kaiser(length, beta=beta, **more)

    return _older("kaiser_window", window_length, periodic, make, dtype, device, requires_grad)


__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]
