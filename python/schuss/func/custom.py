"""Users' own functions under transformations: tangents by their own `jvp` or by `backward` turned
round, many examples by their own `vmap` or one after the other. Leans on the core's levels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from schuss import _core
from schuss._core import Tensor
from schuss.creation import zeros_like
from schuss.modes import enable_grad, no_grad

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


class _Forward(_core.FunctionCtx):
    """What `forward` leaves for `jvp`."""

    kept: tuple | None = None

    def save_for_forward(self, *tensors: Any) -> None:
        self.kept = tensors

    @property
    def saved_tensors(self) -> Any:
        return super().saved_tensors if self.kept is None else self.kept


def _by_its_own_rule(cls: Any, level: int, pairs: list) -> Any:
    """A function and its tangents by the `jvp` that its class has."""
    from schuss.autograd.function import Function

    values = [x for x, _ in pairs]
    with _core.BelowLevel(level):
        # The results are recorded as ever; what `jvp` is given was saved by a run beside it.
        found, ctx = cls.apply(*values), _Forward()
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                cls.setup_context(ctx, tuple(values), found)
            else:
                cls.forward(ctx, *values)
        given = [
            zeros_like(x) if t is None and isinstance(x, Tensor) and x.is_floating_point() else t
            for x, t in pairs
        ]
        moves = _listed(cls.jvp(ctx, *given))
    ys = _listed(found)
    if len(moves) != len(ys):
        raise RuntimeError(
            f"jvp: {cls.__name__}.jvp gave {len(moves)} tangents for {len(ys)} results"
        )
    made = [
        y if t is None or not isinstance(y, Tensor) else _core._dual(level, y, t)
        for y, t in zip(ys, moves, strict=True)
    ]
    return _same_form(found, made)


def _moved(cls: Any, level: int, args: tuple) -> Any:
    pairs = [_core._undual(level, x) if isinstance(x, Tensor) else (x, None) for x in args]
    if getattr(cls, "jvp", None) is not None:
        return _by_its_own_rule(cls, level, pairs)
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
