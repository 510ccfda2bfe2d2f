"""Hooks of a Model: functions called around forward, around backward, and around its state.
Leans on autograd.Function for the backward ones; a Model without hooks never comes here."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from schuss import Tensor, is_grad_enabled
from schuss._core import _changed
from schuss.naming import warn

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class RemovableHandle:
    """What registering a hook returns: `remove()`, or leaving it as a context, ends the hook."""

    _next = 0

    def __init__(self, hooks: dict[int, Any]) -> None:
        self.hooks = hooks
        self.id = RemovableHandle._next
        RemovableHandle._next += 1

    def remove(self) -> None:
        """End the hook; doing it twice is harmless."""
        _changed()
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hooks:
    """All the hooks of one model, by occasion, and the call that runs them."""

    def __init__(self) -> None:
        self.forward_pre: dict[int, tuple[Callable, bool]] = {}
        self.forward: dict[int, tuple[Callable, bool, bool]] = {}
        self.backward_pre: dict[int, Callable] = {}
        self.backward: dict[int, Callable] = {}
        self.state_pre: dict[int, Callable] = {}
        self.state: dict[int, tuple[Callable, bool]] = {}
        self.load_pre: dict[int, tuple[Callable, bool]] = {}
        self.load: dict[int, Callable] = {}

    def add(self, occasion: str, hook: Any, prepend: bool = False) -> RemovableHandle:
        """Register `hook` for `occasion`, before the others if `prepend`."""
        _changed()
        hooks = getattr(self, occasion)
        handle = RemovableHandle(hooks)
        rest = dict(hooks) if prepend else {}
        if prepend:
            hooks.clear()
        hooks[handle.id] = hook
        hooks.update(rest)
        return handle

    def call(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the model's forward among its hooks."""
        args, kwargs = self._before(model, args, kwargs)
        watch = Watch(model, self) if self.backward or self.backward_pre else None
        if watch is not None:
            args = watch.enter(args)
        result = None
        done = set()
        try:
            result = model.forward(*args, **kwargs)
            for key, (hook, with_kwargs, _) in tuple(self.forward.items()):
                done.add(key)
                answer = _after(hook, with_kwargs, model, args, kwargs, result)
                result = result if answer is None else answer
        except Exception:
            for key, (hook, with_kwargs, always) in tuple(self.forward.items()):
                if always and key not in done:
                    try:
                        answer = _after(hook, with_kwargs, model, args, kwargs, result)
                        result = result if answer is None else answer
                    except Exception as error:
                        # The first error is the one to report; this one must not hide it.
                        warn(f"forward hook failed as well: {error!r}")
            raise
        return result if watch is None else watch.leave(result)

    def _before(
        self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for hook, with_kwargs in tuple(self.forward_pre.values()):
            answer = hook(model, args, kwargs) if with_kwargs else hook(model, args)
            if answer is None:
                continue
            if not with_kwargs:
                args = _tuple(answer)
            elif isinstance(answer, tuple) and len(answer) == 2:
                args, kwargs = answer
            else:
                raise RuntimeError(
                    "forward pre-hook: with_kwargs=True must return None or (args, kwargs), "
                    f"got {type(answer).__name__}"
                )
        return args, kwargs


def _after(
    hook: Callable, with_kwargs: bool, model: Any, args: Any, kwargs: Any, result: Any
) -> Any:
    return hook(model, args, kwargs, result) if with_kwargs else hook(model, args, result)


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _replaced(answer: Any, current: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    if answer is None:
        return current
    answer = _tuple(answer)
    if len(answer) != len(current):
        raise RuntimeError(f"backward hook: returned {len(answer)} {what}, needs {len(current)}")
    return answer


class Watch:
    """One forward call under backward hooks: gates on its inputs and outputs see the gradients."""

    def __init__(self, model: Any, hooks: Hooks) -> None:
        self.model = model
        self.hooks = hooks
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.input_count = self.output_count = 0
        self.grad_output: tuple[Any, ...] | None = None

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Put a gate behind every tensor argument that requires grad."""
        self.input_count = len(args)
        self.inputs, gated = self._gate(args, self.at_inputs)
        return tuple(gated)

    def leave(self, result: Any) -> Any:
        """Put a gate before every tensor of the result, a tensor or a tuple or list of them."""
        if isinstance(result, Tensor):
            self.output_count = 1
            self.outputs, gated = self._gate((result,), self.at_outputs)
            return gated[0]
        if not isinstance(result, (tuple, list)):
            return result
        self.output_count = len(result)
        self.outputs, gated = self._gate(result, self.at_outputs)
        if hasattr(result, "_fields"):
            return type(result)(*gated)
        return type(result)(gated)

    def _gate(self, values: Any, see: Callable) -> tuple[list[int], list[Any]]:
        values = list(values)
        places = []
        if is_grad_enabled():
            places = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
        if places:
            passed = _tuple(gate().apply(see, *(values[i] for i in places)))
            for i, value in zip(places, passed, strict=True):
                values[i] = value
        return places, values

    def at_outputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """Gradients arrive at the outputs: pre-hooks may replace them."""
        full = _spread(grads, self.outputs, self.output_count)
        for hook in tuple(self.hooks.backward_pre.values()):
            full = _replaced(hook(self.model, full), full, "output gradients")
        self.grad_output = full
        if not self.inputs:
            for hook in tuple(self.hooks.backward.values()):
                if hook(self.model, (None,) * self.input_count, full) is not None:
                    raise RuntimeError(
                        "backward hook: no input of the model requires grad, "
                        "so there is no input gradient to replace; return None"
                    )
        return tuple(full[i] for i in self.outputs)

    def at_inputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """Gradients arrive at the inputs: hooks see both ends and may replace these."""
        full = _spread(grads, self.inputs, self.input_count)
        seen = self.grad_output or (None,) * self.output_count
        for hook in tuple(self.hooks.backward.values()):
            full = _replaced(hook(self.model, full, seen), full, "input gradients")
        self.grad_output = None
        return tuple(full[i] for i in self.inputs)


def _spread(grads: tuple[Any, ...], places: list[int], count: int) -> tuple[Any, ...]:
    full: list[Any] = [None] * count
    for i, g in zip(places, grads, strict=True):
        full[i] = g
    return tuple(full)


@cache
def gate() -> Any:
    """The Function that changes nothing forward and shows all its gradients at once backward."""
    from schuss.autograd import Function

    class Gate(Function):
        @staticmethod
        def forward(ctx: Any, see: Callable, *tensors: Tensor) -> tuple[Tensor, ...]:
            ctx.set_materialize_grads(False)
            ctx.see = see
            return tuple(t.view_as(t) for t in tensors)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
            return None, *ctx.see(grads)

    return Gate


class Hooked:
    """The registering methods of a Model; `_model_hooks` is None until one is called."""

    _model_hooks: Hooks | None = None

    def _own_model_hooks(self) -> Hooks:
        if self._model_hooks is None:
            self._model_hooks = Hooks()
        return self._model_hooks

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(model, args)` before forward; what it returns replaces the arguments.

        With `with_kwargs` it is `hook(model, args, kwargs)`, which may return (args, kwargs).

        >>> import schuss
        >>> model = schuss.nn.Identity()
        >>> handle = model.register_forward_pre_hook(lambda model, args: (args[0] * 2,))
        >>> model(21)
        42
        """
        return self._own_model_hooks().add("forward_pre", (hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(model, args, output)` after forward; what it returns replaces the output.

        With `with_kwargs` it is `hook(model, args, kwargs, output)`; with `always_call` it runs
        even when forward raised.
        """
        return self._own_model_hooks().add("forward", (hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(model, grad_output)` when gradients reach the outputs; it may replace them."""
        return self._own_model_hooks().add("backward_pre", hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(model, grad_input, grad_output)` when the input gradients are known.

        Both are tuples; a tuple that it returns takes the place of `grad_input`.
        """
        return self._own_model_hooks().add("backward", hook, prepend)

    def register_backward_hook(self, hook: Callable) -> RemovableHandle:
        """The older name of register_full_backward_hook."""
        return self.register_full_backward_hook(hook)

    def register_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(model, prefix, keep_vars)` before state_dict gathers the model."""
        return self._own_model_hooks().add("state_pre", hook)

    def register_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(model, state, prefix, metadata)` after it; it may change `state`."""
        return self._own_model_hooks().add("state", (hook, False))

    def _register_state_dict_hook(self, hook: Callable) -> RemovableHandle:
        return self._own_model_hooks().add("state", (hook, True))

    def register_load_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(model, state, prefix, metadata, strict, missing, unexpected, errors)` first.

        It may change `state`, for instance to rename keys of an older file.
        """
        return self._own_model_hooks().add("load_pre", (hook, True))

    def _register_load_state_dict_pre_hook(
        self, hook: Callable, with_module: bool = False
    ) -> RemovableHandle:
        return self._own_model_hooks().add("load_pre", (hook, with_module))

    def register_load_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(model, keys)` after loading; `keys` has missing_keys and unexpected_keys."""
        return self._own_model_hooks().add("load", hook)
