"""Memory for time: what a part of a model computes is thrown away and computed again on the way
back. Leans on autograd's Function and on the generator's state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.autograd import Function

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class _Again(Function):
    """A call whose inside is not kept; it is run again, with the same draws, for the gradients."""

    @staticmethod
    def forward(ctx: Any, run: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        ctx.run, ctx.args = run, args
        ctx.state = schuss.get_rng_state() if preserve else None
        with schuss.no_grad():
            return run(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        args = [
            a.detach().requires_grad_(a.requires_grad) if isinstance(a, schuss.Tensor) else a
            for a in ctx.args
        ]
        now = schuss.get_rng_state()
        if ctx.state is not None:
            schuss.set_rng_state(ctx.state)
        try:
            with schuss.enable_grad():
                made = ctx.run(*args)
        finally:
            if ctx.state is not None:
                schuss.set_rng_state(now)
        made = made if isinstance(made, (tuple, list)) else (made,)
        pairs = [
            (y, g)
            for y, g in zip(made, grads, strict=True)
            if isinstance(y, schuss.Tensor) and y.requires_grad and g is not None
        ]
        if pairs:
            schuss.autograd.backward([y for y, _ in pairs], [g for _, g in pairs])
        return None, None, *(a.grad if isinstance(a, schuss.Tensor) else None for a in args)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args), keeping only its arguments; its inside is computed again for `backward`.

    At least one argument must require a gradient for one to flow (Chen et al., 2016); parameters
    inside the function get theirs then too. `use_reentrant` changes nothing.

    >>> x = schuss.ones(2, requires_grad=True)
    >>> schuss.utils.checkpoint.checkpoint(lambda x: (x * x).sum(), x).backward()
    >>> x.grad.tolist()
    [2.0, 2.0]
    """
    for name in ("context_fn", "determinism_check", "debug", "early_stop"):
        kwargs.pop(name, None)
    if not schuss.is_grad_enabled():
        return function(*args, **kwargs)

    def run(*args: Any) -> Any:
        return function(*args, **kwargs)

    tensors = [a for a in args if isinstance(a, schuss.Tensor)]
    if not any(a.requires_grad for a in tensors):
        # Nothing would call backward; the call is recorded as any other.
        return run(*args)
    return _Again.apply(run, preserve_rng_state, *args)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """The layers of a Sequential in `segments` parts, each but the last under `checkpoint`."""
    layers = list(functions)
    if not 1 <= segments <= len(layers):
        raise ValueError(
            f"checkpoint_sequential: segments must be 1 to {len(layers)}, got {segments}"
        )
    length = len(layers) // segments

    def part(first: int, last: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for layer in layers[first:last]:
                x = layer(x)
            return x

        return run

    start = 0
    for _ in range(segments - 1):
        input = checkpoint(part(start, start + length), input, **kwargs)
        start += length
    return part(start, len(layers))(input)


__all__ = ["checkpoint", "checkpoint_sequential"]
