"""Users' own functions under transformations: their tangents by turning `backward` round, many
examples by their own `vmap` or one after the other. Leans on the core's levels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from schuss import _core
from schuss._core import Tensor
from schuss.creation import zeros_like
from schuss.modes import enable_grad

if TYPE_CHECKING:
    from typing import Any


def apply(cls: Any, args: tuple) -> Any:
    """What `cls.apply(*args)` gives where a transformation made some of the arguments."""
    lifts = [_core._lifted(x) if isinstance(x, Tensor) else None for x in args]
    level, is_batch = max(lift for lift in lifts if lift is not None)
    return (_batched if is_batch else _moved)(cls, level, args)


def _listed(found: Any) -> list:
    return list(found) if isinstance(found, (tuple, list)) else [found]


def _same_form(found: Any, parts: list) -> Any:
    return tuple(parts) if isinstance(found, (tuple, list)) else parts[0]


def _moved(cls: Any, level: int, args: tuple) -> Any:
    pairs = [_core._undual(level, x) if isinstance(x, Tensor) else (x, None) for x in args]
    with _core.BelowLevel(level):
        with enable_grad():
            entered = [x if t is None else _core._entered(x) for x, t in pairs]
            ends = [x for x, (_, t) in zip(entered, pairs, strict=True) if t is not None]
            along = [t for _, t in pairs if t is not None]
            found = cls.apply(*entered)
            ys = _listed(found)
            moving = [k for k, y in enumerate(ys) if isinstance(y, Tensor) and _core._tracked(y)]
            # What is in the cotangents does not matter: `backward` is linear in them.
            seeds = [_core._entered(zeros_like(ys[k]).detach()) for k in moving]
            back = _core.grad_of([ys[k] for k in moving], ends, seeds, True, True) if moving else ()
            given = [(g, t) for g, t in zip(back, along, strict=False) if g is not None]
        more = _core._hangs_on_more([ys[k] for k in moving], ends) if moving else False
        moves = [None] * len(seeds)
        if given:
            gs, ts = zip(*given, strict=True)
            if not any(_core._tracked(g) for g in gs):
                raise RuntimeError(
                    f"jvp: the backward of {cls.__name__} gives gradients that are not recorded, so"
                    " it has no forward mode; write it with tensor operations"
                )
            moves = list(_core._func_grad(list(gs), seeds, list(ts), more))
        ys = [y if more or not isinstance(y, Tensor) else _core._out_of_graph(y) for y in ys]
        tangents = {
            k: zeros_like(ys[k]) if t is None else t if more else _core._out_of_graph(t)
            for k, t in zip(moving, moves, strict=True)
        }
    made = [_core._dual(level, y, tangents[k]) if k in tangents else y for k, y in enumerate(ys)]
    return _same_form(found, made)


def _batched(cls: Any, level: int, args: tuple) -> Any:
    values = [_core._unbatched(level, x) if isinstance(x, Tensor) else None for x in args]
    count = next(v.shape[0] for v in values if v is not None)
    own = getattr(cls, "vmap", None)
    with _core.BelowLevel(level):
        if own is not None and not cls.generate_vmap_rule:
            info = SimpleNamespace(batch_size=count, randomness="error")
            axes = tuple(None if v is None else 0 for v in values)
            given = (x if v is None else v for x, v in zip(args, values, strict=True))
            found, out = own(info, axes, *given)
            ys, places = _listed(found), _listed(out)
            places = places * len(ys) if len(places) == 1 else places
            ys = [y if d is None else y.movedim(d, 0) for y, d in zip(ys, places, strict=True)]
            lifted = [d is not None for d in places]
        else:
            rows = [
                cls.apply(*(x if v is None else v[k] for x, v in zip(args, values, strict=True)))
                for k in range(count)
            ]
            found = rows[0]
            ys = [_core._stack(list(column), 0) for column in zip(*map(_listed, rows), strict=True)]
            lifted = [True] * len(ys)
    made = [_core._batched(level, y) if on else y for y, on in zip(ys, lifted, strict=True)]
    return _same_form(found, made)
