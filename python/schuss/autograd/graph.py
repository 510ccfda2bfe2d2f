"""What a graph keeps, and who keeps it: hooks on saved tensors, and the class of nodes.
Leans on the core, whose nodes hand over what they would have kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import _core
from schuss._core import Node, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable


class saved_tensors_hooks:
    """While open, tensors that derivatives will read go through `pack_hook` when they are saved.

    `pack_hook(tensor)` returns anything; `unpack_hook` of that must return a tensor of the same
    shape and dtype, when the walk back needs it. The innermost pair counts. What a user's Function
    saves stays where it is. Raises RuntimeError at the walk where another form comes back.

    >>> x = schuss.tensor([1.0, 2.0], requires_grad=True)
    >>> with schuss.autograd.graph.saved_tensors_hooks(lambda t: t.numpy().copy(), schuss.tensor):
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    tensor([2., 4.])
    """

    def __init__(self, pack_hook: Callable, unpack_hook: Callable) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> saved_tensors_hooks:
        _core._push_saved_hooks(self.pack_hook, self.unpack_hook)
        return self

    def __exit__(self, *error: object) -> None:
        _core._pop_saved_hooks()


class save_on_cpu(saved_tensors_hooks):
    """Keeps saved tensors in the processor's memory, and brings them back for the walk.

    >>> x = schuss.tensor(3.0, requires_grad=True)
    >>> with schuss.autograd.graph.save_on_cpu():
    ...     y = x * x
    >>> y.backward()
    >>> x.grad
    tensor(6.)
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(tensor: Tensor) -> tuple:
            return tensor.device, tensor.cpu()

        def unpack(packed: tuple) -> Tensor:
            device, tensor = packed
            return tensor.to(device)

        super().__init__(pack, unpack)


class disable_saved_tensors_hooks:
    """While open, hooks on saved tensors raise RuntimeError with a message.

    >>> with schuss.autograd.graph.disable_saved_tensors_hooks("not here"):
    ...     schuss.autograd.graph.saved_tensors_hooks(str, str).__enter__()
    Traceback (most recent call last):
    RuntimeError: not here
    """

    def __init__(self, error_message: str) -> None:
        self.error_message = error_message

    def __enter__(self) -> None:
        _core._refuse_saved_hooks(self.error_message)

    def __exit__(self, *error: object) -> None:
        _core._pop_saved_hooks()


__all__ = ["Node", "disable_saved_tensors_hooks", "save_on_cpu", "saved_tensors_hooks"]
