"""Memory for time: what derivatives of a part of a model read is computed again, not kept
(Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016). Leans on saving's hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import _core
from schuss.autograd.graph import saved_tensors_hooks
from schuss.creation import get_rng_state, set_rng_state
from schuss.modes import enable_grad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function saved other tensors than the first."""


class _Part:
    """One checkpointed call: what to run again, and what that run saved."""

    def __init__(self, function: Callable, args: tuple, kwargs: dict, keep_rng: bool) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.state = get_rng_state() if keep_rng else None
        self.given = [x for x in (*args, *kwargs.values()) if isinstance(x, _core.Tensor)]
        self.versions = [x._version for x in self.given]
        self.forms: list[tuple] = []
        self.saved: dict[int, Any] = {}

    def pack(self, tensor: Any) -> int:
        self.forms.append((tuple(tensor.shape), tensor.dtype))
        return len(self.forms) - 1

    def unpack(self, place: int) -> Any:
        if place not in self.saved:
            self._again()
        return self.saved.pop(place)

    def _again(self) -> None:
        if [x._version for x in self.given] != self.versions:
            raise CheckpointError(
                "checkpoint: an argument was written in place after the call, and the function must"
                " be run again with what it was; write to a copy (x.clone())"
            )
        found: list[Any] = []

        def pack(tensor: Any) -> int:
            found.append(tensor)
            return len(found) - 1

        before = None if self.state is None else get_rng_state()
        try:
            if self.state is not None:
                set_rng_state(self.state)
            args = tuple(_outside(x) for x in self.args)
            kwargs = {name: _outside(x) for name, x in self.kwargs.items()}
            with enable_grad(), saved_tensors_hooks(pack, found.__getitem__):
                self.function(*args, **kwargs)
        finally:
            if before is not None:
                set_rng_state(before)
        forms = [(tuple(t.shape), t.dtype) for t in found]
        if forms != self.forms:
            first = next(
                (k for k, (a, b) in enumerate(zip(self.forms, forms, strict=False)) if a != b),
                min(len(forms), len(self.forms)),
            )
            raise CheckpointError(
                f"checkpoint: run again, the function saved {len(forms)} tensors, the first time"
                f" {len(self.forms)}; they differ from number {first} on. It must do the same both"
                " times: no state that changes, no random choices outside of the generator"
            )
        self.saved = dict(enumerate(found))


def _outside(x: Any) -> Any:
    """An argument outside of the graph that it came from."""
    if not isinstance(x, _core.Tensor):
        return x
    return x.detach().requires_grad_(x.requires_grad)


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Callable | None = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Calls a function without keeping what its derivatives read: it is run again on the way back.

    Inside `vmap` and `jvp` nothing is run again: what is read is kept.
    Dropout draws the same numbers both times (preserve_rng_state). `use_reentrant` and the last
    three options are accepted; there is one way here, which works with every kind of gradient.
    Raises CheckpointError on the way back where the second run differs from the first.

    >>> layer = schuss.nn.Linear(2, 2)
    >>> x = schuss.ones(1, 2, requires_grad=True)
    >>> y = schuss.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
    >>> y.sum().backward()
    >>> x.grad.shape
    schuss.Size([1, 2])
    """
    if not callable(function):
        raise TypeError(f"checkpoint: needs a function, got {type(function).__name__}")
    given = (*args, *kwargs.values())
    if not _core.is_grad_enabled() or any(
        isinstance(x, _core.Tensor) and _core._lifted(x) is not None for x in given
    ):
        return function(*args, **kwargs)
    part = _Part(function, args, kwargs, preserve_rng_state)
    with saved_tensors_hooks(part.pack, part.unpack):
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Sequence[Callable],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **options: Any,
) -> Any:
    """Runs functions one after the other, checkpointed in so many segments (the last is kept).

    Raises ValueError for fewer than one segment, or more than there are functions.

    >>> layers = [schuss.nn.Linear(2, 2) for _ in range(4)]
    >>> schuss.utils.checkpoint.checkpoint_sequential(layers, 2, schuss.ones(1, 2)).shape
    schuss.Size([1, 2])
    """
    functions = list(functions)
    if not 1 <= segments <= len(functions):
        raise ValueError(
            f"checkpoint_sequential: {segments} segments of {len(functions)} functions; use 1 to"
            f" {len(functions)}"
        )

    def run(part: list) -> Callable:
        def through(x: Any) -> Any:
            for function in part:
                x = function(x)
            return x

        return through

    size = len(functions) // segments
    for k in range(segments - 1):
        part = functions[k * size : (k + 1) * size]
        input = checkpoint(run(part), input, use_reentrant=use_reentrant, **options)
    return run(functions[(segments - 1) * size :])(input)


__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential"]
