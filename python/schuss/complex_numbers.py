"""Complex numbers: their parts, their conjugates, and the names that ask about them.
Leans on the core's records of complex numbers."""

from __future__ import annotations

from schuss import _core
from schuss._core import Tensor
from schuss.naming import given


def is_complex(input) -> bool:
    """Whether a tensor holds complex numbers.

    >>> schuss.is_complex(schuss.tensor([1j]))
    True
    """
    return input.dtype.is_complex


def real(input):
    """The real parts, as a view; a real tensor itself.

    >>> schuss.real(schuss.tensor([1 + 2j]))
    tensor([1.])
    """
    return _core._real(input) if input.dtype.is_complex else input


def imag(input):
    """The imaginary parts, as a view. Raises RuntimeError for a real tensor.

    >>> schuss.imag(schuss.tensor([1 + 2j]))
    tensor([2.])
    """
    if not input.dtype.is_complex:
        raise RuntimeError(
            f"imag: is not implemented for {input.dtype.name}, which has no imaginary part"
        )
    return _core._imag(input)


def view_as_real(input):
    """Complex numbers seen as reals with an axis of two more; RuntimeError for a real tensor.

    >>> schuss.view_as_real(schuss.tensor([1 + 2j]))
    tensor([[1., 2.]])
    """
    return _core._view_as_real(input)


def view_as_complex(input):
    """Reals (float32 or float64) of shape (..., 2) seen as complex numbers.

    RuntimeError where the two parts of a number do not lie side by side.

    >>> schuss.view_as_complex(schuss.tensor([[1.0, 2.0]]))
    tensor([1.+2.j])
    """
    return _core._view_as_complex(input)


def complex(real, imag, *, out=None):
    """Complex numbers of their parts, which are of one dtype, float32 or float64.

    >>> schuss.complex(schuss.tensor([1.0]), schuss.tensor([2.0]))
    tensor([1.+2.j])
    """
    return given("complex", _core._complex(real, imag), out, True)


def polar(abs, angle, *, out=None):
    """Complex numbers of their moduli and their angles in radians, of one dtype.

    >>> schuss.polar(schuss.tensor([2.0]), schuss.tensor([0.0]))
    tensor([2.+0.j])
    """
    return given("polar", _core._polar(abs, angle), out, True)


def conj(input):
    """The complex conjugates; a real tensor itself.

    >>> schuss.conj(schuss.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return _core._conj(input) if input.dtype.is_complex else input


def resolve_conj(input):
    """The tensor itself: nothing is conjugated late.

    >>> schuss.resolve_conj(schuss.tensor([1j]))
    tensor([0.+1.j])
    """
    return input


def resolve_neg(input):
    """The tensor itself: nothing is negated late.

    >>> schuss.resolve_neg(schuss.tensor([1.0]))
    tensor([1.])
    """
    return input


def is_conj(input) -> bool:
    """Whether a tensor waits to be conjugated: never."""
    return False


def is_neg(input) -> bool:
    """Whether a tensor waits to be negated: never."""
    return False


def adjoint(input):
    """The last two axes exchanged, and complex numbers conjugated.

    >>> schuss.adjoint(schuss.tensor([[1j, 2.0]]))
    tensor([[0.-1.j],
            [2.-0.j]])
    """
    if input.ndim < 2:
        raise RuntimeError(
            f"adjoint: needs at least two axes, got {tuple(input.shape)}; use .conj()"
        )
    return conj(input.transpose(-2, -1))


def _hermitian(self):
    """A matrix transposed, complex numbers conjugated."""
    if self.ndim not in (0, 2):
        raise RuntimeError(f"H: needs a matrix, got shape {tuple(self.shape)}; use .mH")
    return conj(self.transpose(0, 1) if self.ndim else self)


def _put(part):
    def write(self, value):
        part(self).copy_(value if isinstance(value, Tensor) else _core.tensor(value))

    return write


def attach() -> None:
    """Gives the class what it says of its parts; called once, when the package is loaded."""
    Tensor.real = property(real, _put(real), doc="The real parts, as a view.")
    Tensor.imag = property(imag, _put(imag), doc="The imaginary parts, as a view.")
    Tensor.mH = property(
        adjoint, doc="The last two axes exchanged, and complex numbers conjugated."
    )
    Tensor.H = property(_hermitian, doc="The matrix transposed, complex numbers conjugated.")
    for function in (
        adjoint,
        conj,
        is_complex,
        is_conj,
        is_neg,
        resolve_conj,
        resolve_neg,
    ):
        setattr(Tensor, function.__name__, function)


__all__ = [
    "adjoint",
    "complex",
    "conj",
    "imag",
    "is_complex",
    "is_conj",
    "is_neg",
    "polar",
    "real",
    "resolve_conj",
    "resolve_neg",
    "view_as_complex",
    "view_as_real",
]
