"""Gradients of one's own: custom_gradient, the registry of rules, and what stops a gradient.
Leans on autograd.Function and on the engine's overrides of records."""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING

from schuss import Tensor, _core
from schuss.autograd import Function
from schuss.tape import UnconnectedGradients
from schuss.tape.nest import flatten, pack
from schuss.tf.conversion import operand
from schuss.tf.operators import OPERATORS, record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = [
    "RegisterGradient",
    "UnconnectedGradients",
    "custom_gradient",
    "gradient_override_map",
    "stop_gradient",
]


_RULES: dict[str, Callable[..., Any]] = {}


def stop_gradient(input: Any, name: str | None = None) -> Tensor:
    """The same elements as a constant: no gradient passes through.

    >>> from schuss import GradientTape
    >>> x = schuss.tensor(3.0)
    >>> with GradientTape() as tape:
    ...     tape.watch(x)
    ...     y = x * stop_gradient(x)
    >>> float(tape.gradient(y, x))
    3.0
    """
    return operand(input).detach()


class _Custom(Function):
    """Results that stand in the graph with the rule of their own."""

    @staticmethod
    def forward(ctx: Any, results: list[Tensor], rule: Callable[..., Any], *inputs: Any) -> Any:
        ctx.rule = rule
        return tuple(result.detach() for result in results)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return (None, None, *ctx.rule(*grads))


def custom_gradient(f: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Give a function a gradient of its own: f returns (result, grad_fn), grad_fn(*upstream).

    grad_fn returns one gradient for each argument. Where f reads a Variable that is no argument,
    grad_fn takes `variables=` and returns (gradients, gradients of the variables); TypeError if it
    does not take it. A wrong number of gradients raises ValueError.

    >>> @custom_gradient
    ... def clipped(x):
    ...     return x * 1.0, lambda upstream: upstream.clamp(-1.0, 1.0)
    >>> x = schuss.tensor(2.0, requires_grad=True)
    >>> (10.0 * clipped(x)).backward()
    >>> x.grad
    tensor(1.)
    """
    if f is None:
        return custom_gradient
    node = type(f.__name__, (_Custom,), {"__doc__": f.__doc__})

    @wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _called(f, node, args, kwargs)

    return call


def _called(
    f: Callable[..., Any], node: type[Function], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    # f runs recorded, so that what grad_fn takes from it can be differentiated again.
    watcher = _core.Tape(True, True)
    watcher.start()
    try:
        made = f(*args, **kwargs)
    finally:
        watcher.stop()
    read = watcher.watched()
    watcher.release()
    if not isinstance(made, tuple) or len(made) != 2 or not callable(made[1]):
        raise TypeError(
            f"custom_gradient: {f.__name__} must return (result, grad_fn), grad_fn a function of "
            "the upstream gradients"
        )
    result, grad_fn = made
    inputs = flatten(args) + flatten(kwargs)
    variables = [v for v in read if all(v is not x for x in inputs)]
    if variables and not _takes_variables(grad_fn):
        names = ", ".join(repr(getattr(v, "name", "")) for v in variables)
        raise TypeError(
            f"custom_gradient: grad_fn must accept the keyword argument 'variables', since "
            f"{f.__name__} uses variables: {names}"
        )

    def rule(*upstream: Tensor) -> list[Tensor | None]:
        if not variables:
            return _matched(inputs, flatten(_sequence(grad_fn(*upstream))))
        given, of_variables = grad_fn(*upstream, variables=variables)
        of_variables = flatten(_sequence(of_variables))
        if len(of_variables) != len(variables):
            raise ValueError(
                f"custom_gradient: {len(variables)} variables but {len(of_variables)} gradients "
                "of variables; return one for each"
            )
        return _matched(inputs, flatten(_sequence(given))) + of_variables

    results = [operand(leaf) for leaf in flatten(result)]
    outs = node.apply(results, rule, *inputs, *variables)
    return pack(result, iter(outs))


def _sequence(grads: Any) -> Any:
    return list(grads) if hasattr(grads, "__next__") else grads


def _takes_variables(grad_fn: Callable[..., Any]) -> bool:
    from inspect import Parameter, signature

    found = signature(grad_fn).parameters
    return "variables" in found or any(p.kind is Parameter.VAR_KEYWORD for p in found.values())


def _matched(inputs: list[Any], grads: list[Any]) -> list[Tensor | None]:
    """A gradient for each argument, given for all of them or for the tensors alone."""
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    if len(grads) not in (len(inputs), len(tensors)):
        raise ValueError(
            f"custom_gradient: the function has {len(inputs)} arguments, grad_fn returned "
            f"{len(grads)} gradients; return one for each argument"
        )
    if len(grads) == len(inputs):
        pairs = zip(inputs, grads, strict=True)
    else:
        left = iter(grads)
        pairs = ((x, next(left) if isinstance(x, Tensor) else None) for x in inputs)
    return [
        None if grad is None or not isinstance(x, Tensor) else operand(grad, x.dtype)
        for x, grad in pairs
    ]


class RegisterGradient:
    """Register a rule f(op, *grads) by name; a name that is taken raises KeyError.

    `op` has `inputs`, `outputs` and `name`; f returns a gradient (or None) for each input.

    >>> @RegisterGradient("TripleSquare")
    ... def triple(op, grad):
    ...     return 6.0 * op.inputs[0] * grad
    >>> x = schuss.tensor(2.0, requires_grad=True)
    >>> with gradient_override_map({"Square": "TripleSquare"}):
    ...     y = x.square()
    >>> y.backward()
    >>> x.grad
    tensor(12.)
    """

    def __init__(self, op_type: str) -> None:
        if not isinstance(op_type, str):
            raise TypeError(f"RegisterGradient: op_type must be a string, got {op_type!r}")
        self._op_type = op_type

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        if self._op_type in _RULES or self._op_type in OPERATORS:
            raise KeyError(f"RegisterGradient: the name {self._op_type!r} is taken; choose another")
        _RULES[self._op_type] = f
        return f


@contextmanager
def gradient_override_map(op_type_map: dict[str, str]) -> Iterator[None]:
    """In the `with` block, operators get registered rules: {operator: name of the rule}.

    Operators go by TensorFlow's names ("Square", "Relu") or by those of records ("square"). An
    unknown operator, or a rule that is not registered, raises LookupError.

    >>> with gradient_override_map({"Square": "NoSuchRule"}):
    ...     pass
    Traceback (most recent call last):
    LookupError: gradient_override_map: no gradient is registered as 'NoSuchRule'; ...
    """
    texts = isinstance(op_type_map, dict) and all(
        isinstance(text, str) for item in op_type_map.items() for text in item
    )
    if not texts:
        raise TypeError("gradient_override_map: op_type_map must be a dict of strings to strings")
    new = {record_of(op_type): _rule(name) for op_type, name in op_type_map.items()}
    before = _core.set_overrides(None)
    _core.set_overrides({**(before or {}), **new})
    try:
        yield
    finally:
        _core.set_overrides(before)


def _rule(name: str) -> Callable[..., Any]:
    if name not in _RULES:
        raise LookupError(
            f"gradient_override_map: no gradient is registered as {name!r}; "
            f"use @tf.RegisterGradient({name!r})"
        )
    rule = _RULES[name]

    def apply(op: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        made = rule(op, *grads)
        found = tuple(made) if isinstance(made, (list, tuple)) else (made,)
        if len(found) != len(op.inputs):
            raise ValueError(
                f"{name}: {op.name} has {len(op.inputs)} inputs, the rule returned {len(found)} "
                "gradients; return one, or None, for each input"
            )
        return found

    return apply
