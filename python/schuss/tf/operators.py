"""TensorFlow's names of operators, and the records of this library that they stand for.
Leans on the core's table of records."""

from __future__ import annotations

from schuss import _core

OPERATORS = {
    "Abs": "abs",
    "Add": "add",
    "AddV2": "add",
    "Cast": "cast",
    "ConcatV2": "cat",
    "Cos": "cos",
    "Div": "div",
    "Exp": "exp",
    "ExpandDims": "unsqueeze",
    "Identity": "clone",
    "Log": "log",
    "Log1p": "log1p",
    "LogSoftmax": "log_softmax",
    "MatMul": "matmul",
    "Max": "amax",
    "Maximum": "maximum",
    "Mean": "mean",
    "Min": "amin",
    "Minimum": "minimum",
    "Mul": "mul",
    "Neg": "neg",
    "Pow": "pow",
    "RealDiv": "div",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Reshape": "view",
    "Round": "round",
    "Rsqrt": "rsqrt",
    "Select": "where",
    "SelectV2": "where",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Softmax": "softmax",
    "Sqrt": "sqrt",
    "Square": "square",
    "Sub": "sub",
    "Sum": "sum",
    "Tan": "tan",
    "Tanh": "tanh",
    "Transpose": "permute",
}


def record_of(op_type: str) -> str:
    """The record behind an operator's name; LookupError where there is none.

    >>> record_of("Square"), record_of("square")
    ('square', 'square')
    """
    record = OPERATORS.get(op_type, op_type)
    if all(known["name"] != record for known in _core.records()):
        raise LookupError(
            f"gradient_override_map: no operator {op_type!r}; use a name such as 'Square' or "
            "one of schuss._core.records()"
        )
    return record
