"""The names by which TensorFlow programs catch errors, given to the classes that schuss raises.
Leans on the core's error classes."""

from __future__ import annotations

from schuss import DTypeError, ShapeError

OpError = RuntimeError
# TensorFlow has one class for shapes and dtypes that do not fit; here it is what both derive from.
InvalidArgumentError = next(c for c in ShapeError.__mro__ if issubclass(DTypeError, c))
FailedPreconditionError = RuntimeError
InternalError = RuntimeError
OutOfRangeError = IndexError
ResourceExhaustedError = MemoryError
UnimplementedError = NotImplementedError


class ConversionError(DTypeError, ValueError):
    """A value that does not become a tensor of the dtype asked for."""


class BoundsError(ShapeError, IndexError):
    """An index or an axis outside what it points into."""
