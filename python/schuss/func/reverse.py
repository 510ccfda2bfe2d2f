"""Reverse mode as transformations: gradients, products with vectors, jacobians by rows, hessians.
Leans on the core's reverse walk, which is recorded only where something else asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import _core
from schuss.creation import ones_like, zeros_like
from schuss.func import trees
from schuss.func.forward import basis_of, jacfwd, parted
from schuss.modes import enable_grad
from schuss.tape.nest import flatten, pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Places = int | tuple[int, ...]


def _entered(op: str, at: Any) -> tuple[Any, list]:
    """The same nest of new handles to differentiate at, and their list."""
    leaves = [_core._entered(x) for x in trees.floats(op, "the arguments to differentiate at", at)]
    return pack(at, iter(leaves)), leaves


def _found(outs: list, ends: list, cotangents: list, retain: bool) -> list:
    """Gradients at the ends, zeros where nothing connects them."""
    found = _core._func_grad(outs, ends, cotangents, retain)
    return [zeros_like(x).detach() if g is None else g for g, x in zip(found, ends, strict=True)]


def value_and_grad(func: Callable, argnums: Places = 0, has_aux: bool = False):
    """A function that gives (value, gradient) of a function with one number as result.

    With has_aux=True the function returns (loss, aux), and the result is ((loss, aux), gradient).
    See `grad`; `grad_and_value` gives the two in the other order.

    >>> schuss.func.value_and_grad(lambda x: (x**2).sum())(schuss.tensor([1.0, 2.0]))
    (tensor(5.), tensor([2., 4.]))
    """

    def both(*args: Any, **kwargs: Any):
        gradient, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return value, gradient

    return both


def grad_and_value(func: Callable, argnums: Places = 0, has_aux: bool = False):
    """A function that gives (gradient, value), and with has_aux=True (gradient, (value, aux)).

    >>> schuss.func.grad_and_value(lambda x: (x**2).sum())(schuss.tensor([1.0, 2.0]))
    (tensor([2., 4.]), tensor(5.))
    """

    def both(*args: Any, **kwargs: Any):
        with enable_grad():
            at, leaves = _entered("grad", trees.chosen("grad", argnums, args))
            found = func(*trees.replaced(argnums, args, at), **kwargs)
            loss, aux = parted("grad", found, has_aux)
            if not isinstance(loss, _core.Tensor):
                raise RuntimeError(
                    f"grad: the function must return one tensor, got {type(loss).__name__};"
                    " with has_aux=True, (loss, aux)"
                )
            if loss.dim() != 0:
                raise RuntimeError(
                    f"grad: the function must return one number, got shape {tuple(loss.shape)};"
                    " use .sum() or .mean(), or jacrev for a jacobian"
                )
            found = _found([loss], leaves, [ones_like(loss)], False)
        gradient = pack(at, iter(found))
        value = (_left(loss, leaves), _left_all(aux, leaves)) if has_aux else _left(loss, leaves)
        return gradient, value

    return both


def _left(t: Any, ends: list) -> Any:
    """A result as the caller should see it: outside of the graph that only these ends asked for."""
    if not isinstance(t, _core.Tensor):
        return t
    return t if _core._hangs_on_more([t], ends) else _core._out_of_graph(t)


def _left_all(tree: Any, ends: list) -> Any:
    return trees.mapped(lambda t: _left(t, ends), tree)


def grad(func: Callable, argnums: Places = 0, has_aux: bool = False):
    """A function that gives the gradient of a function with one number as result.

    `argnums` says which positional arguments to differentiate at: an int, or a tuple for a tuple of
    gradients; each may be a nest of tensors. Transformations nest: `grad(grad(f))`,
    `vmap(grad(f))`. With has_aux=True the function returns (loss, aux), and the result is
    (gradient, aux). Raises RuntimeError where the result is not one number.

    >>> schuss.func.grad(lambda x: x**3)(schuss.tensor(2.0))
    tensor(12.)
    >>> schuss.func.grad(schuss.func.grad(lambda x: x**3))(schuss.tensor(2.0))
    tensor(12.)
    """

    def gradient(*args: Any, **kwargs: Any):
        found, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def vjp(func: Callable, *primals: Any, has_aux: bool = False):
    """The result of a function, and a function of cotangents: their product with the jacobian.

    The second may be called several times. It takes one cotangent for each result, nested as the
    result is, and returns a tuple of one gradient for each argument.

    >>> y, pull = schuss.func.vjp(lambda x: x**2, schuss.tensor([1.0, 2.0]))
    >>> pull(schuss.tensor([1.0, 1.0]))
    (tensor([2., 4.]),)
    """
    with enable_grad():
        at, leaves = _entered("vjp", primals)
        found, aux = parted("vjp", func(*at), has_aux)
        outs = trees.tensors("vjp", "what the function returns", found)

    def pull(*cotangents: Any):
        given = (
            cotangents[0] if len(cotangents) == 1 and not isinstance(found, tuple) else cotangents
        )
        if len(cotangents) == 1 and isinstance(found, tuple) and isinstance(cotangents[0], tuple):
            given = cotangents[0]
        weights = trees.alike("vjp", "the cotangent", given, found, "the result")
        for weight, out in zip(weights, outs, strict=True):
            if weight.shape != out.shape:
                raise RuntimeError(
                    f"vjp: the cotangent has shape {tuple(weight.shape)}, the result"
                    f" {tuple(out.shape)}; make them equal"
                )
        with enable_grad():
            return pack(primals, iter(_found(outs, leaves, weights, True)))

    value = _left_all(found, leaves)
    return (value, pull, _left_all(aux, leaves)) if has_aux else (value, pull)


def jacrev(
    func: Callable,
    argnums: Places = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
):
    """A function that gives the jacobian by reverse mode: all rows at once, or chunk by chunk.

    The result has the shape of the function's result, then that of the argument. Good for few
    results; for few inputs see `jacfwd`.

    >>> schuss.func.jacrev(lambda x: x**2)(schuss.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    from schuss.func.batching import vmap

    def jacobian(*args: Any, **kwargs: Any):
        at = trees.chosen("jacrev", argnums, args)
        _, pull, *aux, found = _pulled(func, argnums, args, kwargs, at, has_aux)
        outs = flatten(found)
        sizes = [out.numel() for out in outs]
        rows = vmap(lambda *v: pull(pack(found, iter(v))), chunk_size=chunk_size)(
            *basis_of(outs, sizes)
        )
        leaves, grads = flatten(at), flatten(rows)
        per_out = [
            pack(
                at,
                iter(
                    [
                        part.reshape((*out.shape, *leaf.shape))
                        for part, leaf in zip(
                            [g.split(sizes)[k] for g in grads], leaves, strict=True
                        )
                    ]
                ),
            )
            for k, out in enumerate(outs)
        ]
        whole = pack(found, iter(per_out))
        return (whole, aux[0]) if has_aux else whole

    return jacobian


def _pulled(
    func: Callable, argnums: Places, args: tuple, kwargs: dict, at: Any, has_aux: bool
) -> tuple:
    """`vjp` at the chosen arguments alone; the pull takes the cotangents as one nest."""

    def inner(chosen: Any):
        return func(*trees.replaced(argnums, args, chosen), **kwargs)

    value, pull, *aux = vjp(inner, at, has_aux=has_aux)
    return (
        value,
        lambda tree: pull(tree)[0] if not isinstance(tree, tuple) else pull(*tree)[0],
        *aux,
        value,
    )


def hessian(func: Callable, argnums: Places = 0):
    """A function that gives the second derivatives: forward mode over reverse mode.

    >>> schuss.func.hessian(lambda x: (x**3).sum())(schuss.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


__all__ = ["grad", "grad_and_value", "hessian", "jacrev", "value_and_grad", "vjp"]
