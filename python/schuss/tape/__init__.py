"""GradientTape: records what a `with` block computes, and differentiates it afterwards.
Leans on the engine's recording intervals and on the rooms beside it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from schuss import ShapeError, Tensor, _core
from schuss.tape.listing import dtype_name, table
from schuss.tape.nest import flatten, pack
from schuss.tape.walk import (
    UnconnectedGradients,
    columns,
    differentiable,
    filled,
    joined,
    listed,
    pull,
    wants_zeros,
    warn,
    weights,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

__all__ = ["GradientTape", "UnconnectedGradients"]


class GradientTape:
    """Records operations inside its `with` block; `gradient` then differentiates them.

    Trainable `tf.Variable`s are watched when they are read, unless `watch_accessed_variables` is
    False; everything else is recorded after `watch`. A tape gives one set of gradients unless it is
    `persistent`. Entering a tape that is recording raises ValueError.

    >>> x = schuss.tensor(3.0)
    >>> with schuss.GradientTape() as tape:
    ...     tape.watch(x)
    ...     y = x * x
    >>> float(tape.gradient(y, x))
    6.0
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = bool(persistent)
        self._watch_accessed = bool(watch_accessed_variables)
        self._tape: _core.Tape | None = None
        self._recording = False
        self._spent = False
        self._variables: tuple[Tensor, ...] = ()

    def __enter__(self) -> Self:
        if self._recording:
            raise ValueError(
                "GradientTape: Tape is still recording; leave its `with` block before entering it"
            )
        if self._tape is None:
            # A jacobian walks one recording many times: this file says when it is let go.
            self._tape = _core.Tape(True, self._watch_accessed)
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._recording:
            self._stop()

    def _start(self) -> None:
        assert self._tape is not None
        self._tape.start()
        self._recording = True

    def _stop(self) -> None:
        if self._tape is None or not self._recording:
            raise ValueError("GradientTape: Tape is not recording; use it inside its `with` block")
        self._tape.stop()
        self._recording = False

    def watch(self, tensor: Any) -> None:
        """Record operations on a tensor, or on every tensor of a nest, from now on.

        Integer tensors are passed over with a warning; anything but a tensor raises ValueError.

        >>> x, y = schuss.tensor(2.0), schuss.tensor(5.0)
        >>> with schuss.GradientTape() as tape:
        ...     tape.watch([x, y])
        ...     z = x * y
        >>> [float(g) for g in tape.gradient(z, [x, y])]
        [5.0, 2.0]
        """
        if self._tape is None:
            raise RuntimeError("watch: the tape is not recording; call it inside the `with` block")
        for leaf in flatten(tensor):
            if not isinstance(leaf, Tensor):
                raise ValueError(
                    f"watch: Passed in object {leaf!r} of type {type(leaf).__name__!r}, not a "
                    "tensor or a Variable; make it one with tf.constant or schuss.tensor"
                )
            if leaf.dtype.is_floating_point:
                self._tape.watch(leaf)
            else:
                warn(
                    "watch: The dtype of the watched tensor must be floating, got "
                    f"{dtype_name(leaf.dtype)}; its gradient will be None"
                )

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Leave out of the recording what happens inside this `with` block.

        Raises RuntimeError where the tape has nothing to record to, ValueError outside its block.

        >>> x = schuss.tensor(3.0)
        >>> with schuss.GradientTape() as tape:
        ...     tape.watch(x)
        ...     with tape.stop_recording():
        ...         y = x * x
        >>> tape.gradient(y, x) is None
        True
        """
        if self._tape is None:
            raise RuntimeError(
                "stop_recording: Trying to stop recording a tape which is not recording"
            )
        self._stop()
        try:
            yield
        finally:
            self._start()

    def reset(self) -> None:
        """Forget everything recorded and watched so far, and go on recording.

        >>> x = schuss.tensor(3.0)
        >>> with schuss.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        ...     tape.reset()
        >>> tape.gradient(y, x) is None
        True
        """
        if self._tape is None or not self._recording:
            raise ValueError("reset: Tape is not recording; call it inside the `with` block")
        self._tape.reset()
        self._variables = ()

    def watched_variables(self) -> tuple[Tensor, ...]:
        """The Variables that were read or watched, in the order in which they were made.

        Parameters that were watched come after them; plain tensors are values and are not listed.

        >>> from schuss import tf
        >>> v = tf.Variable(2.0, name="v")
        >>> with schuss.GradientTape() as tape:
        ...     y = v * v
        >>> [w.name for w in tape.watched_variables()]
        ['v:0']
        """
        if self._tape is not None:
            named = [t for t in self._tape.watched() if type(t) is not Tensor]
            named.sort(key=lambda t: getattr(t, "_serial", float("inf")))
            self._variables = tuple(named)
        return self._variables

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
    ) -> Any:
        """The gradients of the sum of the targets' elements, in the same nest as the sources.

        `output_gradients` weighs the targets, one each, of their shapes (None: ones). A source that
        no target depends on gives None, or zeros where `unconnected_gradients` is "zero". A second
        call on a tape that is not persistent raises RuntimeError.

        >>> a, b = schuss.tensor(2.0), schuss.tensor(3.0)
        >>> with schuss.GradientTape() as tape:
        ...     tape.watch((a, b))
        ...     y = a * b + a
        >>> {k: float(g) for k, g in tape.gradient(y, {"a": a, "b": b}).items()}
        {'a': 4.0, 'b': 2.0}
        """
        tape = self._opened("gradient")
        unconnected = wants_zeros(unconnected_gradients)
        if target is None:
            raise TypeError("gradient: the target is None; give a tensor or a nest of tensors")
        sources = listed(sources)
        targets = differentiable("gradient", "target", flatten(target))
        ends = differentiable("gradient", "source", flatten(sources))
        seeds = weights(targets, output_gradients)
        self._leave("gradient")
        found = pull(tape, targets, ends, seeds)
        self._let_go()
        found = [filled(g, t, t.shape, unconnected) for g, t in zip(found, ends, strict=True)]
        return pack(sources, iter(found))

    def jacobian(
        self,
        target: Tensor,
        sources: Any,
        unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """The derivative of every element of one target, of shape target.shape + source.shape.

        >>> x = schuss.tensor([1.0, 2.0])
        >>> with schuss.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        >>> tape.jacobian(y, x).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
        """
        tape = self._opened("jacobian")
        self._check_loop("jacobian", experimental_use_pfor)
        unconnected = wants_zeros(unconnected_gradients)
        sources = listed(sources)
        (target,) = differentiable("jacobian", "target", [target])
        ends = differentiable("jacobian", "source", flatten(sources))
        self._leave("jacobian")
        seeds = columns(target, (-1,), target.numel())
        rows = [pull(tape, [target], ends, [seed]) for seed in seeds]
        self._let_go()
        found = []
        for k, source in enumerate(ends):
            shape = (*target.shape, *source.shape)
            whole = joined([row[k] for row in rows], 0, shape)
            found.append(filled(whole, source, shape, unconnected or not rows))
        return pack(sources, iter(found))

    def batch_jacobian(
        self,
        target: Tensor,
        source: Tensor,
        unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Tensor:
        """The jacobian of each sample by itself: (b, t...) and (b, s...) give (b, t..., s...).

        Row i of the target may depend on row i of the source alone; this is not checked. Sizes of
        the first axis that differ raise ValueError. An unconnected source gives zeros.

        >>> x = schuss.tensor([[1.0], [2.0]])
        >>> with schuss.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        >>> tape.batch_jacobian(y, x).tolist()
        [[[2.0]], [[4.0]]]
        """
        tape = self._opened("batch_jacobian")
        self._check_loop("batch_jacobian", experimental_use_pfor)
        wants_zeros(unconnected_gradients)
        (target,) = differentiable("batch_jacobian", "target", [target])
        (source,) = differentiable("batch_jacobian", "source", [source])
        sides = f"{tuple(target.shape)} by {tuple(source.shape)}"
        if target.ndim < 2 or source.ndim < 2:
            raise ShapeError(
                f"batch_jacobian: {sides}: target and source must have rank at least 2"
            )
        rows = target.shape[0]
        if rows != source.shape[0]:
            raise ShapeError(
                f"batch_jacobian: {sides}: the first dimension of target and source must match"
            )
        self._leave("batch_jacobian")
        width = target[:1].numel() if rows else 0
        seeds = columns(target, (rows, -1), width)
        grads = [pull(tape, [target], [source], [seed])[0] for seed in seeds]
        self._let_go()
        shape = (*target.shape, *source.shape[1:])
        return filled(joined(grads, 1, shape), source, shape, True)

    def _opened(self, name: str) -> _core.Tape:
        if self._tape is not None:
            return self._tape
        if self._spent:
            raise RuntimeError(
                f"{name}: A non-persistent GradientTape can only be used to compute one set of "
                "gradients (or jacobians); make it with persistent=True"
            )
        raise RuntimeError(f"{name}: nothing was recorded; compute inside `with tape:` first")

    def _check_loop(self, name: str, at_once: bool) -> None:
        if not at_once and not self._persistent:
            raise RuntimeError(
                f"{name}: GradientTape must be created with persistent=True where "
                "experimental_use_pfor is False"
            )

    def _leave(self, name: str) -> None:
        if not self._recording:
            return
        if not self._persistent:
            self._stop()
            return
        warn(
            f"{name}: called on a persistent tape inside its context, so the gradient's own "
            "operations are recorded as well; call it after the `with` block unless they are "
            "to be differentiated"
        )

    def _let_go(self) -> None:
        if self._persistent or self._tape is None:
            return
        self.watched_variables()
        self._tape.release()
        self._tape = None
        self._spent = True

    def __repr__(self) -> str:
        return f"<{self._state()}>"

    def __str__(self) -> str:
        records = self._tape.records() if self._tape is not None else []
        head = self._state()
        return f"{head}\n{table(records)}" if records else head

    def _state(self) -> str:
        if self._tape is None:
            return f"GradientTape: {'spent' if self._spent else 'nothing recorded'}"
        count, watched = len(self._tape.records()), len(self._tape.watched())
        noun = "operation" if count == 1 else "operations"
        state = ", recording" if self._recording else ""
        return f"GradientTape: {count} {noun}, watching {watched}{state}"
