"""Where a Model lives and in what precision: to, float, cpu and their kin, all in place.
Leans on the walks of Model and on the tensors' own conversions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import Tensor, naming
from schuss._core import _changed
from schuss.model.walks import BUFFERS, Walks

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

_FORM = "to(device=None, dtype=None, non_blocking=False, memory_format=None, tensor=None)"


def _has_slopes(t: Tensor) -> bool:
    """Whether a tensor holds floats or complex numbers."""
    return t.dtype.to_real().is_floating_point


class Placed(Walks):
    """The converting methods of Model; all go through `_apply`."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        if recurse:
            for child in self.children():
                child._apply(fn)
        own = [value for _, value in self._members_of("parameter")] + list(
            self._loose_parameters().values()
        )
        for p in own:
            if isinstance(p, Tensor):
                grad = p.grad if p.is_leaf else None
                if grad is not None:
                    p.grad = None
                p.data = fn(p.data)
                if grad is not None:
                    p.grad = fn(grad.detach())
        _changed()
        for name, value in self._members_of(*BUFFERS):
            if value is not None:
                self.__dict__[name] = fn(value)
        return self

    def _apply_to_floats(self, fn: Callable[[Tensor], Tensor]) -> Self:
        return self._apply(lambda t: fn(t) if t.is_floating_point() else t)

    def to(
        self,
        *args: Any,
        device: Any = None,
        dtype: Any = None,
        non_blocking: bool = False,
        memory_format: Any = None,
        tensor: Tensor | None = None,
        **unknown: Any,
    ) -> Self:
        """Move the model to a device, a floating dtype, or both of another tensor; in place.

        Integer and bool tensors keep their dtype; a complex dtype is taken too. The device "auto"
        is the one that `gpu.choose` finds quicker for training this model. In a memory format lie
        then the tensors that have as many axes as it. Raises TypeError for any other dtype.

        >>> import schuss
        >>> schuss.nn.Linear(2, 1).to(schuss.float64).weight.dtype
        schuss.float64
        """
        if unknown:
            raise naming.unknown("to", next(iter(unknown)), _FORM)
        for arg in args if tensor is None else (*args, tensor):
            if isinstance(arg, Tensor):
                device, dtype = arg.device, arg.dtype
            elif isinstance(arg, schuss.dtype):
                dtype = arg
            elif arg is not None and not isinstance(arg, bool):
                device = arg
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(f"to: a model needs a floating or complex dtype, got {dtype.name}")
        if isinstance(device, str) and device == "auto":
            device = schuss.gpu.choose(self if dtype is None else self.to(dtype=dtype))
        place = {} if device is None else {"device": device}
        both = place if dtype is None else {**place, "dtype": dtype}
        axes = {schuss.channels_last: 4, schuss.channels_last_3d: 5}.get(memory_format)

        def moved(t: Tensor) -> Tensor:
            made = t.to(**(both if _has_slopes(t) else place))
            fits = memory_format is not None and axes in (None, t.ndim)
            return made.to(memory_format=memory_format) if fits else made

        return self._apply(moved)

    def float(self) -> Self:
        """Turn the floating tensors into float32."""
        return self._apply_to_floats(lambda t: t.float())

    def double(self) -> Self:
        """Turn the floating tensors into float64."""
        return self._apply_to_floats(lambda t: t.double())

    def half(self) -> Self:
        """Turn the floating tensors into float16."""
        return self._apply_to_floats(lambda t: t.half())

    def bfloat16(self) -> Self:
        """Turn the floating tensors into bfloat16."""
        return self._apply_to_floats(lambda t: t.bfloat16())

    def type(self, dst_type: Any) -> Self:
        """Turn every tensor into the given dtype."""
        return self._apply(lambda t: t.to(dst_type))

    def cpu(self) -> Self:
        """Move the model to the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        """Move the model to a CUDA device; raises where there is none."""
        return self.to("cuda" if device is None else device)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device without the values: every tensor is then unset memory."""
        return self._apply(lambda t: schuss.empty_like(t, device=device), recurse)

    def share_memory(self) -> Self:
        """Nothing to do: threads share memory already."""
        return self
