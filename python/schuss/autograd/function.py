"""Users' own derivatives: a class with a forward and a backward.
Leans on the core, which keeps what is saved and runs the backward in the walk."""

from __future__ import annotations

from functools import wraps

from schuss import _core
from schuss._core import FunctionCtx, Tensor


class Function:
    """An operation with a derivative of its own: static `forward` and `backward`, then `apply`.

    `forward(ctx, *args)` computes and may keep tensors with `ctx.save_for_backward`;
    `backward(ctx, *grads)` returns one gradient, or None, for each argument. In the other form
    `forward(*args)` is followed by `setup_context(ctx, inputs, output)`.

    >>> class Square(schuss.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         x, = ctx.saved_tensors
    ...         return 2 * x * g
    >>> x = schuss.tensor(3.0, requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor(6.)
    """

    generate_vmap_rule = False

    def __call__(self, *args, **kwargs):
        name = type(self).__name__
        raise RuntimeError(f"{name}: is not called but applied; write {name}.apply(...)")

    @staticmethod
    def forward(*args, **kwargs):
        """Computes the results; to be written by the subclass."""
        raise NotImplementedError("Function: forward must be written as a static method")

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keeps what `backward` needs, where `forward` takes no ctx."""
        raise NotImplementedError("Function: setup_context is not written")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """Gradients of the arguments from those of the results; to be written by the subclass."""
        raise NotImplementedError("Function: backward must be written as a static method")

    vjp = None

    @classmethod
    def apply(cls, *args):
        """Runs `forward` and records `backward`."""
        if cls.vjp is not None and cls.backward is Function.backward:
            cls.backward = cls.vjp
        split = cls.setup_context is not Function.setup_context
        return _core.apply_function(cls, FunctionCtx(), split, *args)


class _Refuse(Function):
    """Carries a value through whose gradient may not be differentiated again."""

    @staticmethod
    def forward(ctx, value, *sources):
        return value.detach()

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError(
            "backward: trying to differentiate twice a function that was marked with"
            " @once_differentiable"
        )


def once_differentiable(backward):
    """Marks a `backward` as not differentiable itself: a second derivative raises RuntimeError."""

    @wraps(backward)
    def wrapper(ctx, *grads):
        recording = _core.is_grad_enabled()
        before = _core._set_grad_enabled(False)
        try:
            found = backward(ctx, *grads)
        finally:
            _core._set_grad_enabled(before)
        tracked = [g for g in grads if isinstance(g, Tensor) and g.requires_grad]
        if not recording or not tracked:
            return found
        alone = not isinstance(found, tuple)
        results = (found,) if alone else found
        results = tuple(_Refuse.apply(r, *tracked) if isinstance(r, Tensor) else r for r in results)
        return results[0] if alone else results

    return wrapper


__all__ = ["Function", "FunctionCtx", "once_differentiable"]
