"""One function for many examples: `vmap` runs it once, with an axis of examples out of its sight.
Leans on the core's batch level, where every operator knows how it runs for all examples."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from schuss import _core
from schuss.func import trees
from schuss.tape.nest import flatten, pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def vmap(
    func: Callable,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
):
    """A function that runs `func` for many examples at once.

    `func` is written for one example. `in_dims` says along which axis of each argument the examples
    lie: an int for all, a tuple with an entry for each argument (an int, None for an argument that
    all examples share, or a nest of them like the argument's own), and `out_dims` where they shall
    lie in the results. `randomness` is "error", "different" (each example draws its own numbers) or
    "same"; `chunk_size` limits how many examples run at once. Keyword arguments are taken apart
    along axis 0. Operators that know no way for many examples run for one after the other.

    Inside, `item`, `bool` and whatever else asks for elements raises RuntimeError, since they
    differ from example to example; use `where`. In-place writes to tensors from outside
    raise it too. Raises ValueError where sizes differ or `in_dims` does not fit.

    >>> rows = schuss.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> schuss.func.vmap(schuss.dot)(rows, rows)
    tensor([ 5., 25.])
    >>> schuss.func.vmap(schuss.func.grad(lambda x: x**3))(schuss.tensor([1.0, 2.0]))
    tensor([ 3., 12.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            f"vmap: randomness is 'error', 'different' or 'same', got {randomness!r}"
        )
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"vmap: chunk_size must be at least 1, got {chunk_size}")

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any):
        leaves, axes, count = _taken_apart(in_dims, args, kwargs)
        rebuilt = functools.partial(pack, (args, kwargs))
        if chunk_size is None or chunk_size >= count:
            return _run(func, rebuilt, leaves, axes, count, out_dims, randomness)
        pieces = []
        for start in range(0, count, chunk_size):
            size = min(chunk_size, count - start)
            part = [
                x if axis is None else x.narrow(axis, start, size)
                for x, axis in zip(leaves, axes, strict=True)
            ]
            pieces.append(_run(func, rebuilt, part, axes, size, out_dims, randomness))
        return _joined(pieces, out_dims)

    return mapped


def _taken_apart(in_dims: Any, args: tuple, kwargs: dict) -> tuple[list, list, int]:
    """The leaves of all arguments, the axis of examples of each (None for shared), and how many."""
    if not isinstance(in_dims, (int, tuple, list)):
        raise ValueError(f"vmap: in_dims must be an int or a tuple, got {type(in_dims).__name__}")
    if not args and not kwargs:
        raise ValueError("vmap: the function was called without arguments: there is nothing to map")
    if not isinstance(in_dims, int) and len(in_dims) != len(args):
        raise ValueError(
            f"vmap: in_dims has {len(in_dims)} entries, the call {len(args)} arguments"
        )
    dims = (in_dims,) * len(args) if isinstance(in_dims, int) else in_dims
    axes = [axis for arg, dim in zip(args, dims, strict=True) for axis in _spread(dim, arg)]
    named = flatten(kwargs)
    axes += [0] * len(named)
    leaves = [*flatten(args), *named]
    count = None
    for place, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)):
        if axis is None:
            continue
        if not isinstance(leaf, _core.Tensor):
            raise ValueError(
                f"vmap: argument {place} is no tensor ({type(leaf).__name__}), so no axis of it"
                " holds examples; give it in_dims None"
            )
        rank = leaf.dim()
        if not -rank <= axis < rank:
            raise ValueError(
                f"vmap: in_dims has axis {axis} for a tensor of shape {tuple(leaf.shape)}"
            )
        axes[place] = axis % rank
        size = leaf.shape[axis]
        if count is not None and size != count:
            raise ValueError(
                f"vmap: {count} examples in one argument, {size} in another of shape"
                f" {tuple(leaf.shape)} along axis {axis}; they must be equal"
            )
        count = size
    if count is None:
        raise ValueError("vmap: no argument holds examples: in_dims is None for all of them")
    return leaves, axes, count


def _spread(dim: Any, arg: Any) -> list:
    """An entry of `in_dims` for each leaf of its argument."""
    if dim is None or isinstance(dim, int):
        return [dim] * len(flatten(arg))
    if isinstance(dim, dict) and isinstance(arg, dict) and set(dim) == set(arg):
        return [axis for key in _ordered(arg) for axis in _spread(dim[key], arg[key])]
    if isinstance(dim, (tuple, list)) and isinstance(arg, (tuple, list)) and len(dim) == len(arg):
        return [axis for d, a in zip(dim, arg, strict=True) for axis in _spread(d, a)]
    raise ValueError(f"vmap: in_dims {dim!r} does not fit an argument nested as {trees.shape(arg)}")


def _ordered(tree: dict) -> list:
    """The keys of a dict in the order in which its leaves are listed."""
    try:
        return sorted(tree)
    except TypeError:
        return list(tree)


def _run(
    func: Callable,
    rebuilt: Callable,
    leaves: list,
    axes: list,
    count: int,
    out_dims: Any,
    randomness: str,
) -> Any:
    level = _core._open_batch(count, randomness)
    try:
        inside = [
            x if axis is None else _core._batched(level, x.movedim(axis, 0))
            for x, axis in zip(leaves, axes, strict=True)
        ]
        args, kwargs = rebuilt(iter(inside))
        found = func(*args, **kwargs)
        outs = flatten(found)
        places = _spread_out(out_dims, found)
        return pack(
            found, iter([_out(level, y, d, count) for y, d in zip(outs, places, strict=True)])
        )
    finally:
        _core._close_level(level)


def _spread_out(out_dims: Any, found: Any) -> list:
    if isinstance(out_dims, (tuple, list)) and isinstance(found, _core.Tensor):
        if len(out_dims) == 1:
            return [out_dims[0]]
        raise ValueError(
            f"vmap: out_dims has {len(out_dims)} entries, the function returned 1 tensor"
        )
    try:
        return _spread(out_dims, found)
    except ValueError:
        raise ValueError(
            f"vmap: out_dims {out_dims!r} does not fit a result nested as {trees.shape(found)}"
        ) from None


def _out(level: int, y: Any, axis: int | None, count: int) -> Any:
    if not isinstance(y, _core.Tensor):
        raise ValueError(
            f"vmap: the function must return tensors or nests of them, got {type(y).__name__}"
        )
    value = _core._unbatched(level, y)
    if axis is None:
        if value is not None:
            raise ValueError("vmap: out_dims is None for a result that differs between examples")
        return y
    if value is None:
        value = y.expand((count, *y.shape))
    if not -value.dim() <= axis < value.dim():
        raise IndexError(f"vmap: out_dims {axis} for a result of {value.dim() - 1} axes")
    return value.movedim(0, axis)


def _joined(pieces: list, out_dims: Any) -> Any:
    """Results of several chunks joined along the axes of the examples."""
    first = pieces[0]
    places = _spread_out(out_dims, first)
    columns = zip(*(flatten(piece) for piece in pieces), strict=True)
    return pack(
        first,
        iter(
            [
                parts[0] if axis is None else _core.cat(parts, axis)
                for parts, axis in zip(columns, places, strict=True)
            ]
        ),
    )


__all__ = ["vmap"]
