"""Arithmetic element by element: one operand, two operands, comparisons and logic.
Leans on the core's mathematics and on the conversion of values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import _core
from schuss._core import DTypeError, Tensor
from schuss.tf.conversion import convert_to_tensor, operand
from schuss.tf.dtypes import name_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Unary = Callable[..., Tensor]
    Binary = Callable[..., Tensor]


def floats(name: str, value: Any) -> Tensor:
    """A tensor of floats; integers raise TypeError (InvalidArgumentError), as in TensorFlow.

    >>> floats("sqrt", 4.0).dtype
    schuss.float32
    """
    x = operand(value)
    if not x.dtype.is_floating_point:
        raise DTypeError(
            f"{name}: needs a float tensor, got {name_of(x.dtype)}; use tf.cast(x, tf.float32)"
        )
    return x


def truths(name: str, value: Any) -> Tensor:
    """A tensor of booleans; anything else raises TypeError.

    >>> truths("logical_not", [True]).tolist()
    [True]
    """
    x = operand(value)
    if x.dtype != _core.bool:
        raise DTypeError(f"{name}: needs a bool tensor, got {name_of(x.dtype)}; use x != 0")
    return x


def pair(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    """Two operands as tensors: a plain value takes the dtype of the tensor beside it.

    >>> [v.dtype for v in pair([1.0], 2)]
    [schuss.float32, schuss.float32]
    """
    if isinstance(y, Tensor) and not isinstance(x, Tensor):
        return operand(x, y.dtype), y
    x = operand(x)
    return x, operand(y, x.dtype)


def _of_floats(name: str, compute: Callable[[Tensor], Tensor], text: str) -> Unary:
    def apply(x: Any, name: str | None = None) -> Tensor:
        return compute(floats(apply.__name__, x))

    return _named(apply, name, text)


def _of_numbers(name: str, compute: Callable[[Tensor], Tensor], text: str) -> Unary:
    def apply(x: Any, name: str | None = None) -> Tensor:
        return compute(operand(x))

    return _named(apply, name, text)


def _of_two(name: str, compute: Callable[[Tensor, Tensor], Tensor], text: str) -> Binary:
    def apply(x: Any, y: Any, name: str | None = None) -> Tensor:
        return compute(*pair(x, y))

    return _named(apply, name, text)


def _of_truths(name: str, compute: Callable[[Tensor, Tensor], Tensor], text: str) -> Binary:
    def apply(x: Any, y: Any, name: str | None = None) -> Tensor:
        return compute(truths(apply.__name__, x), truths(apply.__name__, y))

    return _named(apply, name, text)


def _named(apply: Callable[..., Tensor], name: str, text: str) -> Callable[..., Tensor]:
    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = text
    return apply


sqrt = _of_floats("sqrt", _core.sqrt, "The square root; NaN below 0.")
rsqrt = _of_floats("rsqrt", _core.rsqrt, "One over the square root.")
exp = _of_floats("exp", _core.exp, "e to the power of each element.")
expm1 = _of_floats("expm1", _core.expm1, "exp(x) - 1, exact also near 0.")
log = _of_floats("log", _core.log, "The natural logarithm; -inf at 0, NaN below.")
log1p = _of_floats("log1p", _core.log1p, "log(1 + x), exact also near 0.")
sin = _of_floats("sin", _core.sin, "The sine of angles in radians.")
cos = _of_floats("cos", _core.cos, "The cosine of angles in radians.")
tan = _of_floats("tan", _core.tan, "The tangent of angles in radians.")
asin = _of_floats("asin", _core.asin, "The angle whose sine is x.")
acos = _of_floats("acos", _core.acos, "The angle whose cosine is x.")
atan = _of_floats("atan", _core.atan, "The angle whose tangent is x.")
sinh = _of_floats("sinh", _core.sinh, "The hyperbolic sine.")
cosh = _of_floats("cosh", _core.cosh, "The hyperbolic cosine.")
tanh = _of_floats("tanh", _core.tanh, "The hyperbolic tangent.")
sigmoid = _of_floats("sigmoid", _core.sigmoid, "The logistic function 1 / (1 + exp(-x)).")
erf = _of_floats("erf", _core.erf, "The error function.")
reciprocal = _of_floats("reciprocal", _core.reciprocal, "One over each element.")
ceil = _of_floats("ceil", _core.ceil, "The least integer not below x, as a float.")
floor = _of_floats("floor", _core.floor, "The greatest integer not above x, as a float.")
is_nan = _of_floats("is_nan", _core.isnan, "Whether each element is NaN.")
is_inf = _of_floats("is_inf", _core.isinf, "Whether each element is infinite.")
is_finite = _of_floats("is_finite", _core.isfinite, "Whether each element is finite.")

square = _of_numbers("square", _core.square, "Each element times itself.")
abs = _of_numbers("abs", _core.abs, "The distance from 0.")
negative = _of_numbers("negative", _core.neg, "The element with its sign turned.")
sign = _of_numbers("sign", _core.sign, "-1, 0 or 1 by the sign of each element.")
round = _of_numbers("round", _core.round, "The nearest integer, halves to the even one.")

add = _of_two("add", _core.add, "x + y, with broadcasting.")
subtract = _of_two("subtract", _core.sub, "x - y, with broadcasting.")
multiply = _of_two("multiply", _core.mul, "x * y, with broadcasting.")
divide = _of_two("divide", _core.div, "x / y; integers give float64.")
floordiv = _of_two("floordiv", _core.floor_divide, "x / y, rounded down.")
mod = _of_two("mod", _core.remainder, "What x / y rounded down leaves; it has the sign of y.")
pow = _of_two("pow", _core.pow, "x to the power of y.")
maximum = _of_two("maximum", _core.maximum, "The larger of two elements.")
minimum = _of_two("minimum", _core.minimum, "The smaller of two elements.")
equal = _of_two("equal", _core.eq, "Whether x == y, element by element.")
not_equal = _of_two("not_equal", _core.ne, "Whether x != y, element by element.")
less = _of_two("less", _core.lt, "Whether x < y, element by element.")
less_equal = _of_two("less_equal", _core.le, "Whether x <= y, element by element.")
greater = _of_two("greater", _core.gt, "Whether x > y, element by element.")
greater_equal = _of_two("greater_equal", _core.ge, "Whether x >= y, element by element.")

logical_and = _of_truths("logical_and", _core.logical_and, "Whether both are true.")
logical_or = _of_truths("logical_or", _core.logical_or, "Whether one is true, or both.")
logical_xor = _of_truths("logical_xor", _core.logical_xor, "Whether exactly one is true.")


def logical_not(x: Any, name: str | None = None) -> Tensor:
    """Whether each element is false.

    >>> logical_not([True, False]).tolist()
    [False, True]
    """
    return _core.logical_not(truths("logical_not", x))


def squared_difference(x: Any, y: Any, name: str | None = None) -> Tensor:
    """(x - y) squared.

    >>> squared_difference([1.0, 5.0], 2.0).tolist()
    [1.0, 9.0]
    """
    return _core.square(subtract(x, y))


def divide_no_nan(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y, and 0 where y is 0; its gradient is 0 there too.

    >>> divide_no_nan([1.0, 1.0], [2.0, 0.0]).tolist()
    [0.5, 0.0]
    """
    x, y = pair(x, y)
    none = y == 0
    # The divisor is replaced before the division, or its gradient would be NaN where it is 0.
    quotient = x / _core.where(none, operand(1, y.dtype), y)
    return _core.where(none, operand(0, quotient.dtype), quotient)


def add_n(inputs: Any, name: str | None = None) -> Tensor:
    """The sum of a list of tensors; an empty one raises ValueError.

    >>> add_n([[1.0], [2.0], [4.0]]).tolist()
    [7.0]
    """
    terms = [operand(x) for x in inputs]
    if not terms:
        raise ValueError("add_n: an empty list; give at least one tensor")
    total = convert_to_tensor(terms[0])
    for term in terms[1:]:
        total = total + term
    return total


def clip_by_value(
    t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None
) -> Tensor:
    """The elements, none below the one bound and none above the other.

    >>> clip_by_value([1.0, 5.0], 2.0, 4.0).tolist()
    [2.0, 4.0]
    """
    return maximum(minimum(t, clip_value_max), clip_value_min)
