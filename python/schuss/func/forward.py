"""Forward mode: tangents that travel with the values, and jacobians column by column.
Leans on the core's dual level, which takes every operator's tangent from its one rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import _core
from schuss.creation import zeros_like
from schuss.func import trees
from schuss.tape.nest import pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def jvp(
    func: Callable, primals: tuple, tangents: tuple, *, strict: bool = False, has_aux: bool = False
):
    """The result of a function and its derivative along tangents, in one pass and without a graph.

    `primals` and `tangents` are tuples of tensors (or of nests of them) of equal shapes and dtypes.
    Returns (result, tangent of the result), and what else the function returned with has_aux=True.
    Memory does not grow with the number of operations. Each operator's tangent comes from its one
    rule (J. Townsend, "A new trick for calculating Jacobian vector products", 2017).
    Raises RuntimeError where tangents do not fit, or with strict=True where a result does not
    move.

    >>> x = schuss.tensor([1.0, 2.0])
    >>> schuss.func.jvp(lambda x: x**3, (x,), (schuss.tensor([1.0, 0.0]),))
    (tensor([1., 8.]), tensor([3., 0.]))
    """
    if not isinstance(primals, tuple) or not primals:
        raise RuntimeError(
            f"jvp: primals must be a tuple of arguments, got {type(primals).__name__}"
        )
    if not isinstance(tangents, tuple):
        raise RuntimeError(f"jvp: tangents must be a tuple, got {type(tangents).__name__}")
    moved = trees.alike("jvp", "tangents", tangents, primals, "primals")
    values = trees.tensors("jvp", "primals", primals)
    level = _core._open_forward()
    try:
        duals = (_core._dual(level, x, _beside(t, x)) for x, t in zip(values, moved, strict=True))
        found = func(*pack(primals, duals))
        found, aux = parted("jvp", found, has_aux)
        outs = trees.tensors("jvp", "what the function returns", found)
        pairs = [_core._undual(level, y) for y in outs]
        if strict and any(t is None for _, t in pairs):
            raise RuntimeError("jvp: a result does not depend on the inputs, as strict=True asks")
        value = pack(found, iter([y for y, _ in pairs]))
        tangent = pack(found, iter([zeros_like(y) if t is None else t for y, t in pairs]))
        if has_aux:
            return value, tangent, without(level, aux)
        return value, tangent
    finally:
        _core._close_level(level)


def _beside(tangent: Any, value: Any) -> Any:
    """A tangent, one for each example where the value differs: it may be written to."""
    if _core._lifted(value) is None or _core._lifted(tangent) is not None:
        return tangent
    return _core._each(tangent, value)


def parted(op: str, found: Any, has_aux: bool) -> tuple[Any, Any]:
    """What a function returns, and what it returns besides."""
    if not has_aux:
        return found, None
    if not isinstance(found, tuple) or len(found) != 2:
        raise RuntimeError(f"{op}: with has_aux=True the function must return (result, aux)")
    return found


def without(level: int, tree: Any) -> Any:
    """A nest whose tensors have left a level; what is no tensor stays."""

    def left(leaf: Any) -> Any:
        return _core._undual(level, leaf)[0] if isinstance(leaf, _core.Tensor) else leaf

    return trees.mapped(left, tree)


def linearize(func: Callable, *primals: Any):
    """The result of a function, and its derivative there as a function of tangents.

    >>> x = schuss.tensor([1.0, 2.0])
    >>> y, along = schuss.func.linearize(lambda x: x**2, x)
    >>> along(schuss.tensor([1.0, 1.0]))
    tensor([2., 4.])
    """
    value = func(*primals)

    def along(*tangents: Any):
        return jvp(func, primals, tangents)[1]

    return value, along


def jacfwd(
    func: Callable,
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
):
    """A function that gives the jacobian by forward mode: the tangents of all inputs at once.

    The result has the shape of the function's result, then that of the argument. Good for few
    inputs; for few results see `jacrev`. Memory: the function's, times the argument's
    elements.

    >>> schuss.func.jacfwd(lambda x: x**2)(schuss.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    from schuss.func.batching import vmap

    def jacobian(*args: Any, **kwargs: Any):
        at = trees.chosen("jacfwd", argnums, args)
        leaves = trees.floats("jacfwd", "the arguments to differentiate at", at)
        sizes = [leaf.numel() for leaf in leaves]
        basis = basis_of(leaves, sizes)
        aux: list[Any] = []

        def push(*tangents: Any):
            def inner(*moved: Any):
                new = pack(at, iter(moved))
                return func(*trees.replaced(argnums, args, new), **kwargs)

            out = jvp(inner, tuple(leaves), tangents, has_aux=has_aux)
            return (out[1], out[2]) if has_aux else out[1]

        columns = vmap(push, randomness=randomness)(*basis)
        if has_aux:
            columns, besides = columns
            aux.append(trees.mapped(lambda t: t[0] if isinstance(t, _core.Tensor) else t, besides))

        def split(column: Any) -> Any:
            # Along the first axis lie the inputs' elements, one input after the other.
            parts = column.movedim(0, -1).split(sizes, dim=-1)
            return pack(
                at,
                iter(
                    [
                        part.reshape((*column.shape[1:], *leaf.shape))
                        for part, leaf in zip(parts, leaves, strict=True)
                    ]
                ),
            )

        found = trees.mapped(split, columns)
        return (found, aux[0]) if has_aux else found

    return jacobian


def basis_of(leaves: list, sizes: list[int]) -> list:
    """For each input the unit vectors of all inputs together, as far as they lie in it."""
    total, start, basis = sum(sizes), 0, []
    for leaf, size in zip(leaves, sizes, strict=True):
        rows = _core.zeros((total, size), dtype=leaf.dtype, device=leaf.device)
        if size:
            rows[start : start + size] = _core.eye(size, dtype=leaf.dtype, device=leaf.device)
        basis.append(rows.reshape((total, *leaf.shape)))
        start += size
    return basis


__all__ = ["jacfwd", "jvp", "linearize"]
