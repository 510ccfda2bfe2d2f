"""Arithmetic element by element: one operand, two operands, comparisons and logic.
Leans on the mathematics of schuss and on the conversion of values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import DTypeError, Tensor
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
    if x.dtype != schuss.bool:
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


def _of_floats(name: str, compute: Callable[[Tensor], Tensor], *text: str) -> Unary:
    def apply(x: Any, name: str | None = None) -> Tensor:
        return compute(floats(apply.__name__, x))

    return _named(apply, name, *text)


def _of_numbers(name: str, compute: Callable[[Tensor], Tensor], *text: str) -> Unary:
    def apply(x: Any, name: str | None = None) -> Tensor:
        return compute(operand(x))

    return _named(apply, name, *text)


def _of_two(name: str, compute: Callable[[Tensor, Tensor], Tensor], *text: str) -> Binary:
    def apply(x: Any, y: Any, name: str | None = None) -> Tensor:
        return compute(*pair(x, y))

    return _named(apply, name, *text)


def _of_truths(name: str, compute: Callable[[Tensor, Tensor], Tensor], *text: str) -> Binary:
    def apply(x: Any, y: Any, name: str | None = None) -> Tensor:
        return compute(truths(apply.__name__, x), truths(apply.__name__, y))

    return _named(apply, name, *text)


def _named(
    apply: Callable[..., Tensor], name: str, text: str, given: str, made: str
) -> Callable[..., Tensor]:
    """A name and a docstring: the sentence, and an example of operands and result."""
    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"{text}\n\n>>> {name}({given}).tolist()\n{made}"
    return apply


# Each by its name, the operator, a sentence, and an example: operands, result.


sqrt = _of_floats("sqrt", schuss.sqrt, "The square root; NaN below 0.", "[4.0]", "[2.0]")
rsqrt = _of_floats("rsqrt", schuss.rsqrt, "One over the square root.", "[4.0]", "[0.5]")
exp = _of_floats("exp", schuss.exp, "e to the power of each element.", "[0.0]", "[1.0]")
expm1 = _of_floats("expm1", schuss.expm1, "exp(x) - 1, exact also near 0.", "[0.0]", "[0.0]")
log = _of_floats(
    "log", schuss.log, "The natural logarithm; -inf at 0, NaN below.", "[1.0]", "[0.0]"
)
log1p = _of_floats("log1p", schuss.log1p, "log(1 + x), exact also near 0.", "[0.0]", "[0.0]")
sin = _of_floats("sin", schuss.sin, "The sine of angles in radians.", "[0.0]", "[0.0]")
cos = _of_floats("cos", schuss.cos, "The cosine of angles in radians.", "[0.0]", "[1.0]")
tan = _of_floats("tan", schuss.tan, "The tangent of angles in radians.", "[0.0]", "[0.0]")
asin = _of_floats("asin", schuss.asin, "The angle whose sine is x.", "[0.0]", "[0.0]")
acos = _of_floats("acos", schuss.acos, "The angle whose cosine is x.", "[1.0]", "[0.0]")
atan = _of_floats("atan", schuss.atan, "The angle whose tangent is x.", "[0.0]", "[0.0]")
sinh = _of_floats("sinh", schuss.sinh, "The hyperbolic sine.", "[0.0]", "[0.0]")
cosh = _of_floats("cosh", schuss.cosh, "The hyperbolic cosine.", "[0.0]", "[1.0]")
tanh = _of_floats("tanh", schuss.tanh, "The hyperbolic tangent.", "[0.0]", "[0.0]")
sigmoid = _of_floats(
    "sigmoid", schuss.sigmoid, "The logistic function 1 / (1 + exp(-x)).", "[0.0]", "[0.5]"
)
erf = _of_floats("erf", schuss.erf, "The error function.", "[0.0]", "[0.0]")
reciprocal = _of_floats(
    "reciprocal", schuss.reciprocal, "One over each element.", "[4.0]", "[0.25]"
)
ceil = _of_floats(
    "ceil", schuss.ceil, "The least integer not below x, as a float.", "[1.5]", "[2.0]"
)
floor = _of_floats(
    "floor", schuss.floor, "The greatest integer not above x, as a float.", "[1.5]", "[1.0]"
)
is_nan = _of_floats("is_nan", schuss.isnan, "Whether each element is NaN.", "[1.0]", "[False]")
is_inf = _of_floats("is_inf", schuss.isinf, "Whether each element is infinite.", "[1.0]", "[False]")
is_finite = _of_floats(
    "is_finite", schuss.isfinite, "Whether each element is finite.", "[1.0]", "[True]"
)

square = _of_numbers("square", schuss.square, "Each element times itself.", "[3]", "[9]")
abs = _of_numbers("abs", schuss.abs, "The distance from 0.", "[-3]", "[3]")
negative = _of_numbers("negative", schuss.neg, "The element with its sign turned.", "[3]", "[-3]")
sign = _of_numbers(
    "sign", schuss.sign, "-1, 0 or 1 by the sign of each element.", "[-3.0]", "[-1.0]"
)
round = _of_numbers(
    "round", schuss.round, "The nearest integer, halves to the even one.", "[2.5]", "[2.0]"
)

add = _of_two("add", schuss.add, "x + y, with broadcasting.", "[1], 2", "[3]")
subtract = _of_two("subtract", schuss.sub, "x - y, with broadcasting.", "[1], 2", "[-1]")
multiply = _of_two("multiply", schuss.mul, "x * y, with broadcasting.", "[3], 2", "[6]")
divide = _of_two("divide", schuss.div, "x / y; integers give float64.", "[3], 2", "[1.5]")
floordiv = _of_two("floordiv", schuss.floor_divide, "x / y, rounded down.", "[-3], 2", "[-2]")
mod = _of_two(
    "mod",
    schuss.remainder,
    "What x / y rounded down leaves; it has the sign of y.",
    "[-3], 2",
    "[1]",
)
pow = _of_two("pow", schuss.pow, "x to the power of y.", "[3], 2", "[9]")
maximum = _of_two("maximum", schuss.maximum, "The larger of two elements.", "[1, 5], 3", "[3, 5]")
minimum = _of_two("minimum", schuss.minimum, "The smaller of two elements.", "[1, 5], 3", "[1, 3]")
equal = _of_two(
    "equal", schuss.eq, "Whether x == y, element by element.", "[1, 2], 1", "[True, False]"
)
not_equal = _of_two(
    "not_equal", schuss.ne, "Whether x != y, element by element.", "[1, 2], 1", "[False, True]"
)
less = _of_two(
    "less", schuss.lt, "Whether x < y, element by element.", "[1, 2], 2", "[True, False]"
)
less_equal = _of_two(
    "less_equal", schuss.le, "Whether x <= y, element by element.", "[1, 3], 2", "[True, False]"
)
greater = _of_two(
    "greater", schuss.gt, "Whether x > y, element by element.", "[1, 3], 2", "[False, True]"
)
greater_equal = _of_two(
    "greater_equal", schuss.ge, "Whether x >= y, element by element.", "[1, 2], 2", "[False, True]"
)

logical_and = _of_truths(
    "logical_and",
    schuss.logical_and,
    "Whether both are true.",
    "[True, True], [True, False]",
    "[True, False]",
)
logical_or = _of_truths(
    "logical_or",
    schuss.logical_or,
    "Whether one is true, or both.",
    "[True, False], [False, False]",
    "[True, False]",
)
logical_xor = _of_truths(
    "logical_xor",
    schuss.logical_xor,
    "Whether exactly one is true.",
    "[True, True], [True, False]",
    "[False, True]",
)


def logical_not(x: Any, name: str | None = None) -> Tensor:
    """Whether each element is false.

    >>> logical_not([True, False]).tolist()
    [False, True]
    """
    return schuss.logical_not(truths("logical_not", x))


def squared_difference(x: Any, y: Any, name: str | None = None) -> Tensor:
    """(x - y) squared.

    >>> squared_difference([1.0, 5.0], 2.0).tolist()
    [1.0, 9.0]
    """
    return schuss.square(subtract(x, y))


def divide_no_nan(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y, and 0 where y is 0; its gradient is 0 there too.

    >>> divide_no_nan([1.0, 1.0], [2.0, 0.0]).tolist()
    [0.5, 0.0]
    """
    x, y = pair(x, y)
    none = y == 0
    # The divisor is replaced before the division, or its gradient would be NaN where it is 0.
    quotient = x / schuss.where(none, operand(1, y.dtype), y)
    return schuss.where(none, operand(0, quotient.dtype), quotient)


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
