"""Conversions of a tensor: dtypes, devices, pickling and copying.
Leans on the core's casts and on NumPy's arrays for bytes."""

from __future__ import annotations

import math

from schuss import _core
from schuss._core import Tensor, device, dtype
from schuss.formats import laid
from schuss.kinds import Elsewhere
from schuss.naming import speaks

_DEVICES = ("auto", "cpu", "cuda", "gpu", "mps", "xpu", "vulkan", "metal", "webgpu", "dx12", "meta")


def to(
    self,
    *args,
    dtype=None,
    device=None,
    non_blocking=False,
    copy=False,
    memory_format=None,
    other=None,
):
    """This tensor in another dtype or on another device; itself where nothing changes.

    >>> schuss.tensor([1, 2]).to(schuss.float32)
    tensor([1., 2.])
    """
    for arg in args:
        if isinstance(arg, Tensor):
            other = arg
        elif isinstance(arg, _core.dtype):
            dtype = arg
        elif isinstance(arg, (str, _core.device)):
            device = arg
        elif arg in (float, int, bool, complex) and isinstance(arg, type):
            dtype = arg
        elif isinstance(arg, bool) or arg is None:
            continue
        elif isinstance(arg, int) and dtype is None:
            device = arg
        else:
            raise TypeError(f"to: expected a dtype, a device or a Tensor, got {arg!r}")
    if other is not None:
        dtype = other.dtype if dtype is None else dtype
        device = other.device if device is None else device
    if isinstance(device, str) and device.partition(":")[0] not in _DEVICES:
        raise _core.DeviceError(
            f"to: {device!r} is no device; a dtype is given without quotes, as schuss.bfloat16"
        )
    made = self if dtype is None else self._to(dtype)
    made = made if device is None else made._on(device)
    if memory_format is not None:
        return laid("to", made, memory_format, copy and made is self)
    return made._to(made.dtype, True) if copy and made is self else made


def _caster(name: str, kind):
    def cast(self, memory_format=None):
        made = self._to(kind)
        return made if memory_format is None else laid(name, made, memory_format)

    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"This tensor as {kind}; itself where it already is."
    return cast


def type_as(self, other):
    """This tensor in another tensor's dtype."""
    return self._to(other.dtype)


_OLD = {
    "FloatTensor": "float32",
    "DoubleTensor": "float64",
    "HalfTensor": "float16",
    "BFloat16Tensor": "bfloat16",
    "LongTensor": "int64",
    "IntTensor": "int32",
    "ShortTensor": "int16",
    "CharTensor": "int8",
    "ByteTensor": "uint8",
    "BoolTensor": "bool",
    "ComplexFloatTensor": "complex64",
    "ComplexDoubleTensor": "complex128",
}


def type_(self, dtype=None, non_blocking=False):
    """The dtype's old name, or this tensor converted to a dtype given by any name."""
    if dtype is None:
        names = {v: k for k, v in _OLD.items()}
        return "schuss." + names[self.dtype.name]
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", "")
    old = _OLD.get(name.split(".")[-1])
    return self._to(getattr(_core, old) if old else dtype)


def cpu(self, memory_format=None):
    """This tensor on the processor: itself where it is there already.

    >>> schuss.ones(2).cpu().device
    device(type='cpu')
    """
    made = self._on("cpu")
    return made if memory_format is None else laid("cpu", made, memory_format)


def cuda(self, device=None, non_blocking=False, memory_format=None):
    """This tensor on a GPU, of whatever make; raises DeviceError where there is none."""
    made = self._on("gpu" if device is None else device)
    return made if memory_format is None else laid("cuda", made, memory_format)


def _reversed(self):
    """This tensor from its last element along the first axis to its first."""
    return self.flip(0) if self.ndim else self


def _named(name: str, text: str, method):
    method.__name__ = method.__qualname__ = name
    method.__doc__ = text
    return method


def _itself(name: str, why: str):
    return _named(name, f"This tensor itself: {why}.", lambda self, *args, **kwargs: self)


def _never(name: str, question: str):
    return _named(name, f"Whether {question}: never.", lambda self: False)


def is_signed(self) -> bool:
    """Whether the dtype has negative numbers."""
    return self.dtype.is_signed


def get_device(self) -> int:
    """The number of the GPU; -1 on the processor."""
    index = self.device.index
    return -1 if not self.is_cuda or index is None else index


@speaks
def new_tensor(
    self, data, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False
):
    """A tensor from data, in this one's dtype and on its device."""
    kind = self.dtype if dtype is None else dtype
    device = self.device if device is None else device
    return _core.tensor(data, dtype=kind, device=device, requires_grad=requires_grad)


def _new(name: str):
    maker = getattr(_core, name)

    def new(self, *size, dtype=None, device=None, requires_grad=False, **more):
        kind = self.dtype if dtype is None else dtype
        device = self.device if device is None else device
        made = maker(*size, dtype=kind, device=device, requires_grad=requires_grad, **more)
        return _core._each(made, self)

    new.__name__ = new.__qualname__ = f"new_{name}"
    new.__doc__ = f"`{name}` in this tensor's dtype."
    return speaks(new)


@speaks
def new_full(
    self,
    size,
    fill_value,
    *,
    dtype=None,
    device=None,
    requires_grad=False,
    layout=None,
    pin_memory=False,
):
    """One number in a shape, in this tensor's dtype and on its device."""
    kind = self.dtype if dtype is None else dtype
    device = self.device if device is None else device
    made = _core.full(size, fill_value, dtype=kind, device=device, requires_grad=requires_grad)
    return _core._each(made, self)


def _rebuild(cls, data, kind, requires_grad, state):
    """A tensor from its bytes: what unpickling calls."""
    made = _core.tensor(data, device="cpu")
    if made.dtype != kind:
        made = made.view(kind) if kind == _core.bfloat16 else made.to(kind)
    if cls is Tensor:
        made.requires_grad_(requires_grad)
    else:
        made = Tensor._make_subclass(cls, made, requires_grad)
    if state:
        made.__dict__.update(state)
    return made


def _reduce(self, protocol):
    if self.grad_fn is not None:
        # What was computed is not what made it: a pickled result would look like a leaf.
        raise RuntimeError("pickle: only leaf tensors can be pickled; use x.detach() first")
    plain = self.detach()
    bits = plain.view(_core.int16) if self.dtype == _core.bfloat16 else plain
    array = bits.cpu().numpy().copy()
    state = dict(self.__dict__) if self.__dict__ else None
    return _rebuild, (type(self), array, self.dtype, self.requires_grad, state)


def _deepcopy(self, memo):
    if id(self) in memo:
        return memo[id(self)]
    if self.grad_fn is not None:
        raise RuntimeError("deepcopy: only leaf tensors can be copied; use x.detach() first")
    made = self.detach().clone()
    if type(self) is Tensor:
        made.requires_grad_(self.requires_grad)
    else:
        made = Tensor._make_subclass(type(self), made, self.requires_grad)
    memo[id(self)] = made
    if self.grad is not None:
        made.grad = _deepcopy(self.grad, memo)
    if self.__dict__:
        from copy import deepcopy

        made.__dict__.update(deepcopy(self.__dict__, memo))
    return made


def _copy(self):
    if type(self) is Tensor:
        made = self.detach() if self.grad_fn is None else self.view(self.shape)
        if self.grad_fn is None:
            made.requires_grad_(self.requires_grad)
    else:
        made = Tensor._make_subclass(type(self), self.detach(), self.requires_grad)
    if self.__dict__:
        made.__dict__.update(self.__dict__)
    return made


def _array_wrap(self, array, context=None, return_scalar=False):
    return _core.from_numpy(array) if getattr(array, "shape", None) is not None else array


def new(self, *data):
    """A tensor of this one's dtype and device from sizes or data: PyTorch's oldest spelling.

    >>> schuss.ones(1).new([1, 2])
    tensor([1., 2.])
    """
    return Tensor(*data, dtype=self.dtype).to(self.device)


@speaks
def resize(self, *size):
    """The first elements in another shape; RuntimeError where there are too few."""
    shape = tuple(size[0]) if len(size) == 1 and hasattr(size[0], "__iter__") else size
    count = math.prod(shape)
    if count > self.numel():
        raise RuntimeError(
            f"resize: {tuple(self.shape)} has {self.numel()} elements and {shape} needs {count}; "
            "make a new tensor"
        )
    return self.reshape(-1)[:count].reshape(shape)


def resize_(self, *size):
    """This tensor's first elements in another shape, in place; RuntimeError where there are too
    few, or where a gradient is recorded."""
    if self.requires_grad:
        raise RuntimeError("resize_: cannot resize a tensor that requires a gradient")
    self.data = resize(self.detach(), *size)
    return self


def _is_cpu(self) -> bool:
    return self.device.type == "cpu"


def as_subclass(self, cls):
    """The same elements as an instance of a subclass of Tensor."""
    return self if cls is Tensor else Tensor._make_subclass(cls, self, self.requires_grad)


def _nameless(self) -> None:
    """None: tensors have no names."""


def attach() -> None:
    """Gives the class its conversions; called once, when the package is loaded."""
    kinds = {
        "float": "float32",
        "double": "float64",
        "half": "float16",
        "bfloat16": "bfloat16",
        "long": "int64",
        "int": "int32",
        "short": "int16",
        "char": "int8",
        "byte": "uint8",
        "bool": "bool",
        "cfloat": "complex64",
        "cdouble": "complex128",
    }
    for name, kind in kinds.items():
        setattr(Tensor, name, _caster(name, getattr(_core, kind)))
    for name in ("zeros", "ones", "empty"):
        setattr(Tensor, f"new_{name}", _new(name))
    own = {
        "to": to,
        "type": type_,
        "type_as": type_as,
        "cpu": cpu,
        "cuda": speaks(cuda),
        "pin_memory": _itself("pin_memory", "there is no GPU to copy to"),
        "share_memory_": _itself("share_memory_", "processes get copies"),
        "new_tensor": new_tensor,
        "new_full": new_full,
        "__reduce_ex__": _reduce,
        "__deepcopy__": _deepcopy,
        "__copy__": _copy,
        "__array_wrap__": _array_wrap,
        "__array_priority__": 1000,
        "__reversed__": _reversed,
        "as_subclass": speaks(as_subclass),
        "is_cpu": property(_is_cpu, doc="Whether the elements are in the processor's memory."),
        "is_sparse": False,
        "is_sparse_csr": False,
        "is_mkldnn": False,
        "record_stream": _itself("record_stream", "work is queued in one order"),
        "to_dense": _itself("to_dense", "it is dense already"),
        "untyped_storage": Elsewhere(
            "Tensor", "untyped_storage", "elements are reached by indexing and numpy()"
        ),
        "values": Elsewhere("Tensor", "values", "elements are all kept: tensors are dense"),
        "indices": Elsewhere("Tensor", "indices", "elements are all kept: tensors are dense"),
        "coalesce": Elsewhere("Tensor", "coalesce", "elements are all kept: tensors are dense"),
        "is_quantized": False,
        "is_meta": False,
        "is_mps": False,
        "is_xpu": False,
        "is_nested": False,
        "name": property(_nameless),
        "new": new,
        "resize": resize,
        "resize_": resize_,
        "to_sparse": Elsewhere("Tensor", "to_sparse", "elements are all kept: tensors are dense"),
        "storage": Elsewhere("Tensor", "storage", "elements are reached by indexing and numpy()"),
        "is_signed": is_signed,
        "is_shared": _never("is_shared", "other processes see the memory"),
        "is_pinned": _never("is_pinned", "the memory is pinned for a GPU"),
        "get_device": get_device,
        "layout": "schuss.strided",
    }
    for name, value in own.items():
        setattr(Tensor, name, value)


__all__ = ["attach", "device", "dtype"]
