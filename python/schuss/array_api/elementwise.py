"""Functions of each element, and of pairs of elements after promotion by dtype alone.
Leans on the records of the same names; what differs from them stands at its place."""

from __future__ import annotations

import schuss
from schuss import _core
from schuss._core import Tensor
from schuss.array_api.dtypes import isdtype, result_type


def _one(name: str, of, text: str):
    """A function of one array."""

    def function(x, /):
        return of(x)

    return _told(name, function, text)


def _pair(x1, x2):
    """Two operands in the dtype that both give: a number, and a 0-d array, has no lesser say."""
    kind = result_type(x1, x2)
    device = (x1 if isinstance(x1, Tensor) else x2).device
    return tuple(
        x.to(dtype=kind) if isinstance(x, Tensor) else _core.full((), x, dtype=kind, device=device)
        for x in (x1, x2)
    )


def _two(name: str, of, text: str):
    """A function of two arrays, of which one may be a Python number."""

    def function(x1, x2, /):
        return of(*_pair(x1, x2))

    return _told(name, function, text)


def _told(name: str, function, text: str):
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__doc__ = text
    return function


abs = _one("abs", _core.abs, "The absolute value.")
acos = _one("acos", _core.acos, "The angle in [0, pi] that has this cosine.")
acosh = _one("acosh", _core.acosh, "The inverse of the hyperbolic cosine.")
asin = _one("asin", _core.asin, "The angle in [-pi/2, pi/2] that has this sine.")
asinh = _one("asinh", _core.asinh, "The inverse of the hyperbolic sine.")
atan = _one("atan", _core.atan, "The angle in [-pi/2, pi/2] that has this tangent.")
atanh = _one("atanh", _core.atanh, "The inverse of the hyperbolic tangent.")
bitwise_invert = _one(
    "bitwise_invert", _core.bitwise_not, "Every bit turned round; of truths, the opposite."
)
cos = _one("cos", _core.cos, "The cosine of an angle in radians.")
cosh = _one("cosh", _core.cosh, "The hyperbolic cosine.")
exp = _one("exp", _core.exp, "The exponential function.")
expm1 = _one("expm1", _core.expm1, "The exponential function less 1, exact near 0.")
isfinite = _one("isfinite", _core.isfinite, "Whether a number is neither infinite nor NaN.")
isinf = _one("isinf", _core.isinf, "Whether a number is infinite.")
isnan = _one("isnan", _core.isnan, "Whether a number is NaN.")
log = _one("log", _core.log, "The natural logarithm.")
log1p = _one("log1p", _core.log1p, "The natural logarithm of 1 + x, exact near 0.")
log2 = _one("log2", _core.log2, "The logarithm to base 2.")
log10 = _one("log10", _core.log10, "The logarithm to base 10.")
logical_not = _one("logical_not", _core.logical_not, "The opposite truth.")
negative = _one("negative", _core.neg, "The number with the other sign.")
positive = _one("positive", Tensor.__pos__, "The number itself.")
reciprocal = _one("reciprocal", _core.reciprocal, "1 / x.")
signbit = _one(
    "signbit", _core.signbit, "Whether the sign is negative; -0.0 and a negative NaN count."
)
sin = _one("sin", _core.sin, "The sine of an angle in radians.")
sinh = _one("sinh", _core.sinh, "The hyperbolic sine.")
square = _one("square", _core.square, "x * x.")
sqrt = _one("sqrt", _core.sqrt, "The square root.")
tan = _one("tan", _core.tan, "The tangent of an angle in radians.")
tanh = _one("tanh", _core.tanh, "The hyperbolic tangent.")

add = _two("add", _core.add, "x1 + x2.")
atan2 = _two("atan2", _core.atan2, "The angle of the point (x2, x1), in its own quadrant.")
bitwise_and = _two("bitwise_and", _core.bitwise_and, "The bits that both have.")
bitwise_left_shift = _two(
    "bitwise_left_shift", _core.bitwise_left_shift, "The bits of x1, x2 places higher."
)
bitwise_or = _two("bitwise_or", _core.bitwise_or, "The bits that either has.")
bitwise_right_shift = _two(
    "bitwise_right_shift", _core.bitwise_right_shift, "The bits of x1, x2 places lower."
)
bitwise_xor = _two("bitwise_xor", _core.bitwise_xor, "The bits that one of them has.")
copysign = _two("copysign", _core.copysign, "The size of x1 with the sign of x2.")
divide = _two("divide", _core.div, "x1 / x2.")
equal = _two("equal", _core.eq, "Whether x1 is x2.")
floor_divide = _two(
    "floor_divide", _core.floor_divide, "The largest integer that is not above x1 / x2."
)
greater = _two("greater", _core.gt, "Whether x1 is above x2.")
greater_equal = _two("greater_equal", _core.ge, "Whether x1 is not below x2.")
hypot = _two("hypot", _core.hypot, "The length of the hypotenuse: sqrt(x1^2 + x2^2).")
less = _two("less", _core.lt, "Whether x1 is below x2.")
less_equal = _two("less_equal", _core.le, "Whether x1 is not above x2.")
logaddexp = _two("logaddexp", _core.logaddexp, "log(exp(x1) + exp(x2)), without overflow between.")
logical_and = _two("logical_and", _core.logical_and, "Whether both are true.")
logical_or = _two("logical_or", _core.logical_or, "Whether either is true.")
logical_xor = _two("logical_xor", _core.logical_xor, "Whether one of them is true.")
maximum = _two("maximum", _core.maximum, "The larger one; NaN where either is.")
minimum = _two("minimum", _core.minimum, "The smaller one; NaN where either is.")
multiply = _two("multiply", _core.mul, "x1 * x2.")
nextafter = _two("nextafter", _core.nextafter, "The number next to x1 on the way to x2.")
not_equal = _two("not_equal", _core.ne, "Whether x1 is not x2.")
pow = _two("pow", _core.pow, "x1 to the power of x2.")
remainder = _two(
    "remainder",
    # The core's zero has PyTorch's sign, that of x1.
    lambda a, b: (
        _core.copysign(_core.remainder(a, b), b) if a.is_floating_point() else _core.remainder(a, b)
    ),
    "What floor_divide leaves; it has the sign of x2, a zero too.",
)
subtract = _two("subtract", _core.sub, "x1 - x2.")


def _rounding(name: str, of, text: str):
    def rounded(x):
        if x.is_complex():
            return schuss.complex(of(schuss.real(x)), of(schuss.imag(x)))
        return of(x) if x.is_floating_point() else x.clone()

    return _one(name, rounded, text)


ceil = _rounding("ceil", _core.ceil, "The least integer that is not below.")
floor = _rounding("floor", _core.floor, "The largest integer that is not above.")
trunc = _rounding("trunc", _core.trunc, "The integer part: rounded towards 0.")
round = _rounding("round", _core.round, "The nearest integer; halves go to the even one.")


def sign(x, /):
    """-1, 0 or 1, as a number is below, at or above 0; NaN stays NaN. Of a complex number the one
    of modulus 1 in its direction, or 0.

    >>> schuss.array_api.sign(schuss.tensor([-2.0, 0.0, float("nan")]))
    tensor([-1.,  0., nan])
    """
    if x.is_complex():
        # A zero of either sign has the sign 0.
        return _core.sgn(x) + 0
    found = _core.sign(x)
    return schuss.where(_core.isnan(x), x, found) if x.is_floating_point() else found


def clip(x, /, min=None, max=None):
    """Numbers no smaller than `min` and no larger than `max`, in the dtype of x.

    >>> schuss.array_api.clip(schuss.tensor([1, 5, 9]), 2, 8)
    tensor([2, 5, 8])
    """
    found = x
    for bound, choose in ((min, _core.maximum), (max, _core.minimum)):
        if bound is not None:
            found = choose(*_pair(found, _within(bound, x.dtype)))
    return found.to(dtype=x.dtype, copy=found is x)


def _within(bound, kind):
    """A bound that an integer dtype holds and that chooses as the given one does."""
    if isinstance(bound, Tensor) or not isdtype(kind, "integral"):
        return bound
    limits = schuss.iinfo(kind)
    return limits.min if bound < limits.min else limits.max if bound > limits.max else bound


def conj(x, /):
    """The complex conjugate: of a real number, the number.

    >>> schuss.array_api.conj(schuss.tensor([1.0]))
    tensor([1.])
    """
    return schuss.conj(x)


def real(x, /):
    """The real part: of a real number, the number.

    >>> schuss.array_api.real(schuss.tensor([1.0]))
    tensor([1.])
    """
    return schuss.real(x)


def imag(x, /):
    """The imaginary part: of a real number, 0.

    >>> schuss.array_api.imag(schuss.tensor([1.0]))
    tensor([0.])
    """
    return schuss.imag(x) if x.is_complex() else schuss.zeros_like(x)


__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clip",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "divide",
    "equal",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "imag",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "nextafter",
    "not_equal",
    "positive",
    "pow",
    "real",
    "reciprocal",
    "remainder",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "trunc",
]
