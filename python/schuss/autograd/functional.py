"""Derivatives of functions of tensors: jacobians, hessians and their products with vectors.
Leans on `autograd.grad`, which walks what the function recorded, once or twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import _core
from schuss._core import GradError, ShapeError, Tensor
from schuss.autograd import grad
from schuss.modes import enable_grad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Tensors = tuple[Tensor, ...]

STRATEGIES = ("reverse-mode", "forward-mode")


def _listed(op: str, role: str, given: Any) -> Tensors:
    """A Tensor or a tuple of them as a tuple; anything else is refused."""
    if isinstance(given, Tensor):
        return (given,)
    if not isinstance(given, tuple):
        raise TypeError(
            f"{op}: {role} must be a Tensor or a tuple of Tensors, got {type(given).__name__}"
        )
    for place, item in enumerate(given):
        if not isinstance(item, Tensor):
            raise TypeError(
                f"{op}: {role} must be a Tensor or a tuple of Tensors, but item {place} is a"
                f" {type(item).__name__}"
            )
    return given


def _entered(op: str, inputs: Any, create_graph: bool) -> Tensors:
    """New handles of the inputs to differentiate at, joined to the old ones where a graph is."""
    return tuple(
        x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_()
        for x in _listed(op, "inputs", inputs)
    )


def _called(op: str, func: Callable, xs: Tensors, strict: bool) -> tuple[Any, Tensors]:
    """What the function returns, as it is and as a tuple."""
    found = func(*xs)
    ys = _listed(op, "what the function returns", found)
    for place, y in enumerate(ys):
        if strict and not y.requires_grad:
            raise GradError(
                f"{op}: output {place} does not depend on the inputs; with strict=True it must,"
                " by operations that are recorded"
            )
    return found, ys


def _zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    return _core.zeros(tuple(shape), dtype=like.dtype, device=like.device)


def _ones(like: Tensor) -> Tensor:
    return _core.ones(tuple(like.shape), dtype=like.dtype, device=like.device)


def _weights(op: str, v: Any, against: Tensors, role: str) -> Tensors:
    """The vector to multiply by, checked against what it belongs to; 1 where it is left out."""
    if v is None:
        if len(against) != 1 or against[0].numel() != 1:
            raise RuntimeError(f"{op}: v may be left out only where {role} is one number; give v")
        return (_ones(against[0]),)
    found = _listed(op, "v", v)
    if len(found) != len(against):
        raise RuntimeError(f"{op}: v has {len(found)} tensors, {role} {len(against)}")
    for place, (w, t) in enumerate(zip(found, against, strict=True)):
        if w.shape != t.shape:
            raise ShapeError(
                f"{op}: v has shape {tuple(w.shape)} at place {place}, {role} {tuple(t.shape)};"
                " they must be equal"
            )
    return found


def _pulled(
    op: str,
    ys: Sequence[Tensor],
    xs: Tensors,
    weights: Sequence[Tensor],
    create_graph: bool,
    strict: bool,
) -> Tensors:
    """The gradients of the weighted sum of the ys at the xs, zero where nothing leads there."""
    used = [(y, w) for y, w in zip(ys, weights, strict=True) if y.requires_grad]
    found: Sequence[Tensor | None] = (None,) * len(xs)
    if used:
        roots, given = zip(*used, strict=True)
        found = grad(roots, xs, given, True, create_graph, allow_unused=True)
    whole = []
    for place, (g, x) in enumerate(zip(found, xs, strict=True)):
        if strict and (g is None or (create_graph and not g.requires_grad)):
            part = "the outputs do" if g is None else "the derivative does"
            raise GradError(f"{op}: {part} not depend on input {place}; with strict=True it must")
        whole.append(_zeros(x.shape, x) if g is None else g)
    return tuple(whole)


def _pushed(
    op: str, ys: Tensors, xs: Tensors, weights: Tensors, create_graph: bool, strict: bool
) -> Tensors:
    """The change of the ys along the weights: the pull is linear in its own weights, and its
    derivative by them is the push (Pearlmutter 1994 for hessians)."""
    marks = tuple(_zeros(y.shape, y).requires_grad_() for y in ys)
    pulled = _pulled(op, ys, xs, marks, True, strict)
    return _pulled(op, pulled, marks, weights, create_graph, strict)


def _like(given: Any, found: Sequence[Any]) -> Any:
    """A tuple where a tuple was given, else the one thing."""
    return tuple(found) if isinstance(given, tuple) else found[0]


def _left(given: Any, found: Sequence[Tensor], create_graph: bool) -> Any:
    """The results in the form that was given, with their graph only where it was asked for."""
    return _like(given, found if create_graph else [t.detach() for t in found])


def _gradient(op: str, func: Callable, xs: Tensors, strict: bool) -> tuple[Tensor, Tensors]:
    """A function's one number and its gradient, recorded."""
    found, ys = _called(op, func, xs, strict)
    if len(ys) != 1 or ys[0].numel() != 1:
        shapes = [tuple(y.shape) for y in ys]
        raise RuntimeError(f"{op}: the function must return one number, got shapes {shapes}")
    one = _ones(ys[0])
    return _like(found, ys), _pulled(op, ys, xs, (one,), True, strict)


def vjp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """What the function returns, and the vector v times its jacobian: one reverse walk.

    `inputs`, `v` and what the function returns are Tensors or tuples of them; v has the shapes of
    the outputs. Raises RuntimeError where v is left out and the output is not one number;
    ShapeError where shapes differ; with strict=True, GradError where an output does not depend
    on an input.

    >>> import schuss
    >>> from schuss.autograd.functional import vjp
    >>> vjp(lambda x: x * x, schuss.tensor([1.0, 2.0]), schuss.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    with enable_grad():
        xs = _entered("vjp", inputs, create_graph)
        found, ys = _called("vjp", func, xs, strict)
        weights = _weights("vjp", v, ys, "the output")
        pulled = _pulled("vjp", ys, xs, weights, create_graph, strict)
    return _left(found, ys, create_graph), _left(inputs, pulled, create_graph)


def jvp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """What the function returns, and its jacobian times the vector v: two reverse walks.

    v has the shapes of the inputs; the errors are those of `vjp`.

    >>> import schuss
    >>> from schuss.autograd.functional import jvp
    >>> jvp(lambda x: x.sum() * x, schuss.tensor([1.0, 2.0]), schuss.tensor([1.0, 0.0]))
    (tensor([3., 6.]), tensor([4., 2.]))
    """
    with enable_grad():
        xs = _entered("jvp", inputs, create_graph)
        weights = _weights("jvp", v, xs, "the input")
        found, ys = _called("jvp", func, xs, strict)
        pushed = _pushed("jvp", ys, xs, weights, create_graph, strict)
    return _left(found, ys, create_graph), _left(found, pushed, create_graph)


def vhp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """What the function returns, one number, and the vector v times its hessian.

    v has the shapes of the inputs; the errors are those of `vjp`.

    >>> import schuss
    >>> from schuss.autograd.functional import vhp
    >>> vhp(lambda x: (x**3).sum(), schuss.tensor([1.0, 2.0]), schuss.tensor([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    with enable_grad():
        xs = _entered("vhp", inputs, create_graph)
        weights = _weights("vhp", v, xs, "the input")
        found, slope = _gradient("vhp", func, xs, strict)
        pulled = _pulled("vhp", slope, xs, weights, create_graph, strict)
    ys = _listed("vhp", "what the function returns", found)
    return _left(found, ys, create_graph), _left(inputs, pulled, create_graph)


def hvp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """What the function returns, one number, and its hessian times the vector v.

    As `vhp`, by one walk more; the two agree where the hessian is symmetric.

    >>> import schuss
    >>> from schuss.autograd.functional import hvp
    >>> hvp(lambda x: (x**3).sum(), schuss.tensor([1.0, 2.0]), schuss.tensor([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    with enable_grad():
        xs = _entered("hvp", inputs, create_graph)
        weights = _weights("hvp", v, xs, "the input")
        found, slope = _gradient("hvp", func, xs, strict)
        pushed = _pushed("hvp", slope, xs, weights, create_graph, strict)
    ys = _listed("hvp", "what the function returns", found)
    return _left(found, ys, create_graph), _left(inputs, pushed, create_graph)


def _rows(op: str, y: Tensor, xs: Tensors, create_graph: bool, strict: bool) -> list[Tensor]:
    """The jacobian of one output at every input: a reverse walk for each element."""
    one = (_core.ones((), dtype=y.dtype, device=y.device),)
    rows = [_pulled(op, (part,), xs, one, create_graph, strict) for part in y.reshape(-1).unbind(0)]
    return [_put(y, x, [row[i] for row in rows], 0) for i, x in enumerate(xs)]


def _columns(op: str, y: Tensor, xs: Tensors, create_graph: bool, strict: bool) -> list[Tensor]:
    """The same by columns: a push for each element of the inputs."""
    mark = _zeros(y.shape, y).requires_grad_()
    pulled = _pulled(op, (y,), xs, (mark,), True, strict)
    one = (_core.ones((), dtype=y.dtype, device=y.device),)
    found = []
    for x, slope in zip(xs, pulled, strict=True):
        parts = slope.reshape(-1).unbind(0)
        columns = [_pulled(op, (p,), (mark,), one, create_graph, strict)[0] for p in parts]
        found.append(_put(y, x, [c.reshape(-1) for c in columns], 1))
    return found


def _put(y: Tensor, x: Tensor, lines: list[Tensor], axis: int) -> Tensor:
    """Rows or columns put together: the output's axes, then the input's."""
    shape = (*y.shape, *x.shape)
    if not lines:
        return _zeros(shape, x)
    return _core._stack(lines, axis).reshape(shape)


def jacobian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Every derivative of every output at every input, of shape (output's axes, input's axes).

    A Tensor for one output and one input; a tuple where a tuple came in or goes out, the outputs'
    outside. "reverse-mode" costs a walk for each element of the outputs, "forward-mode" one for
    each element of the inputs. `vectorize` is accepted and changes nothing. With
    create_graph=True the result can be differentiated again; with strict=True, GradError is
    raised where an output does not depend on an input.

    >>> import schuss
    >>> from schuss.autograd.functional import jacobian
    >>> jacobian(lambda x: x * x.sum(), schuss.tensor([1.0, 2.0]))
    tensor([[4., 1.],
            [2., 5.]])
    """
    return _jacobian("jacobian", func, inputs, create_graph, strict, strategy)


def _jacobian(
    op: str, func: Callable, inputs: Any, create_graph: bool, strict: bool, strategy: str
) -> Any:
    if strategy not in STRATEGIES:
        raise ValueError(f"{op}: the strategy is one of {STRATEGIES}, got {strategy!r}")
    lines = _rows if strategy == "reverse-mode" else _columns
    with enable_grad():
        xs = _entered(op, inputs, create_graph)
        found, ys = _called(op, func, xs, strict)
        blocks = [_left(inputs, lines(op, y, xs, create_graph, strict), create_graph) for y in ys]
    return _like(found, blocks)


def hessian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Every second derivative of a function of one number, of shape (input's axes, input's axes).

    A Tensor for one input; for a tuple of inputs, a tuple of tuples. The jacobian of the gradient,
    with the keywords of `jacobian`. Raises RuntimeError where the function returns more than one
    number.

    >>> import schuss
    >>> from schuss.autograd.functional import hessian
    >>> hessian(lambda x: x[0] * x[1] * x[1], schuss.tensor([1.0, 2.0]))
    tensor([[0., 4.],
            [4., 2.]])
    """

    def slope(*xs: Tensor) -> Any:
        return _like(inputs, _gradient("hessian", func, xs, strict)[1])

    return _jacobian("hessian", slope, inputs, create_graph, strict, outer_jacobian_strategy)


__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
