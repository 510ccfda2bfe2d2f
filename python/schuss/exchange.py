"""What other libraries ask of a tensor: its memory by DLPack, and the Array API's namespace.
Leans on the core's capsules."""

from __future__ import annotations

from schuss import _core
from schuss._core import Tensor

_CPU = 1
# Kinds of devices whose memory the processor reads: its own, and what CUDA and ROCm keep in it.
_HOST = (_CPU, 3, 11)


def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    """A DLPack capsule over this tensor's memory, which lives as long as who takes it wants.

    `max_version` of (1, 0) or later asks for the versioned form, which can say that memory is
    read-only. A GPU's memory is copied where `dl_device` asks for the processor. Raises BufferError
    for a tensor that requires grad, and where the memory cannot be had without a copy or at all.

    >>> import numpy as np
    >>> x = schuss.zeros(2)
    >>> np.from_dlpack(x)[0] = 5
    >>> x
    tensor([5., 0.])
    """
    if self.requires_grad:
        raise BufferError(
            f"__dlpack__: the tensor of shape {tuple(self.shape)} requires grad, which other"
            " libraries do not see; use x.detach()"
        )
    if stream not in (None, -1):
        raise ValueError(
            f"__dlpack__: there are no streams here; stream must be None, not {stream}"
        )
    place = self.__dlpack_device__()
    wanted = tuple(map(int, place if dl_device is None else dl_device))
    if wanted[0] != _CPU:
        raise BufferError(
            f"__dlpack__: memory of {self.device} cannot be lent as device {wanted}; use"
            " x.cpu(), or dl_device=(1, 0)"
        )
    copied = bool(copy) or place != wanted
    if copied and copy is False:
        raise BufferError(
            f"__dlpack__: a tensor on {self.device} reaches the processor only as a copy; use"
            " copy=None"
        )
    made = self.detach()._to(self.dtype, True).cpu() if copied else self
    versioned = max_version is not None and max_version[0] >= 1
    return _core._lend(made, versioned, copied)


def __dlpack_device__(self):
    """Where the memory lies, in DLPack's words: the kind of device and its number.

    >>> tuple(map(int, schuss.ones(2).__dlpack_device__()))
    (1, 0)
    """
    # Loaded when it is first asked for: nobody else needs it.
    from schuss.utils.dlpack import DLDeviceType

    if self.device.type == "cpu":
        return DLDeviceType.kDLCPU, 0
    return DLDeviceType.kDLWebGPU, self.device.index or 0


def _capsule(maker, **wishes):
    """A capsule, also from makers of the older keywords alone; and whether `copy` was heard."""
    kept = {name: wish for name, wish in wishes.items() if wish is not None}
    for dropped in ("", "max_version", "copy", "dl_device"):
        kept.pop(dropped, None)
        try:
            return maker.__dlpack__(**kept), "copy" in kept
        except TypeError:
            if not kept:
                raise
    raise AssertionError("unreachable")


def from_dlpack(ext_tensor, *, device=None, copy=None):
    """A tensor over the memory of another library's array, or of a DLPack capsule.

    What is written to one is seen in the other. A capsule is used up. Raises BufferError where the
    memory cannot be read here, RuntimeError for a capsule that was used before, ValueError where
    `copy=False` and `device` contradict each other.

    >>> import numpy as np
    >>> array = np.zeros(2)
    >>> schuss.from_dlpack(array).fill_(3)
    tensor([3., 3.], dtype=schuss.float64)
    >>> array
    array([3., 3.])
    """
    if not hasattr(ext_tensor, "__dlpack__"):
        made, heard = _core._borrow(ext_tensor), False
    elif isinstance(ext_tensor, Tensor) and ext_tensor.is_cuda:
        # This library's own memory on a GPU has no capsule, and needs none.
        made, heard = ext_tensor.detach(), False
    else:
        kind, index = ext_tensor.__dlpack_device__()
        abroad = kind not in _HOST
        if abroad and (device is None or copy is False):
            raise BufferError(
                f"from_dlpack: the memory is on device ({int(kind)}, {index}), which is not reached"
                ' from here; pass device="cpu" to copy it to the processor'
            )
        capsule, heard = _capsule(
            ext_tensor,
            max_version=(1, 0),
            copy=copy,
            dl_device=(_CPU, 0) if abroad else None,
        )
        made = _core._borrow(capsule)
    moved = made if device is None else made.to(device=device)
    if moved is not made and copy is False:
        raise ValueError(
            f"from_dlpack: memory of {made.device} reaches {moved.device} only as a copy; use"
            " copy=None"
        )
    return moved.clone() if copy and not heard and moved is made else moved


def to_dlpack(tensor):
    """A DLPack capsule over a tensor's memory, in the form without a version.

    >>> schuss.from_dlpack(schuss.utils.dlpack.to_dlpack(schuss.ones(2)))
    tensor([1., 1.])
    """
    return tensor.__dlpack__()


def __array_namespace__(self, /, *, api_version=None):
    """The functions of the Array API standard: `schuss.array_api`.

    Raises ValueError for a version of the standard later than 2025.12.

    >>> schuss.ones(2).__array_namespace__().__name__
    'schuss.array_api'
    """
    from schuss import array_api

    newest = array_api.__array_api_version__
    if api_version is not None and not "2021.12" <= api_version <= newest:
        raise ValueError(
            f"__array_namespace__: version {api_version!r} of the Array API is not there; the"
            f" newest is {newest!r}"
        )
    return array_api


def to_device(self, device, /, *, stream=None):
    """This tensor on a device: itself where it is there already.

    >>> schuss.ones(2).to_device("cpu").device
    device(type='cpu')
    """
    if stream is not None:
        raise ValueError(f"to_device: there are no streams here; stream must be None, not {stream}")
    return self.to(device=device)


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False) -> Tensor:
    """A tensor of anything that holds numbers, over the same memory where that is possible.

    `copy` True always copies, False never does: ValueError where memory cannot be shared.

    >>> schuss.asarray([1.0, 2.0])
    tensor([1., 2.])
    """
    shared = True
    if isinstance(obj, Tensor):
        made = obj.detach() if obj.requires_grad and not requires_grad else obj
    elif hasattr(obj, "__array_interface__"):
        made = _core.as_tensor(obj)
    elif hasattr(obj, "__dlpack__"):
        made = from_dlpack(obj)
    elif isinstance(obj, (bytes, bytearray, memoryview)):
        made = frombuffer(obj, dtype=_core.uint8 if dtype is None else dtype)
    else:
        made, shared = _core.tensor(obj, dtype=dtype), False
    kind = made.dtype if dtype is None else dtype
    moved = made.to(kind)
    moved = moved if device is None else moved.to(device)
    shared = shared and moved.data_ptr() == made.data_ptr()
    if copy is False and not shared:
        raise ValueError(
            f"asarray: {type(obj).__name__} cannot be had as {kind.name} without a copy"
        )
    moved = moved.clone() if copy and shared else moved
    return moved.requires_grad_() if requires_grad else moved


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False) -> Tensor:
    """One axis of numbers over the memory of a buffer; one that cannot be written is copied.

    Raises ValueError where offset, count and the size of an element do not fit the buffer.

    >>> schuss.frombuffer(bytearray(b"abc"), dtype=schuss.uint8)
    tensor([97, 98, 99], dtype=schuss.uint8)
    """
    import numpy as np

    try:
        view = memoryview(buffer).cast("B")
    except TypeError:
        raise ValueError(
            f"frombuffer: {type(buffer).__name__} lends no memory; give bytes or an array"
        ) from None
    size, item = view.nbytes, dtype.itemsize
    if size == 0 or count == 0:
        raise ValueError(f"frombuffer: nothing to read from {size} bytes with count {count}")
    if not 0 <= offset < size:
        raise ValueError(f"frombuffer: the offset {offset} is outside of {size} bytes")
    if count < 0 and (size - offset) % item:
        raise ValueError(
            f"frombuffer: {size - offset} bytes after the offset are no multiple of {item}"
        )
    number = (size - offset) // item if count < 0 else count
    if offset + number * item > size:
        raise ValueError(
            f"frombuffer: {number} elements of {item} bytes after {offset} pass {size} bytes"
        )
    names = {"bfloat16": "int16"}
    raw = np.frombuffer(view, names.get(dtype.name, dtype.name), number, offset)
    made = _core.from_numpy(raw if raw.flags.writeable and raw.flags.aligned else raw.copy())
    made = made.view(dtype) if dtype.name in names else made
    return made.requires_grad_() if requires_grad else made


def attach() -> None:
    """Gives the class what other libraries ask for; called once, when the package is loaded."""
    for method in (__dlpack__, __dlpack_device__, __array_namespace__, to_device):
        setattr(Tensor, method.__name__, method)


__all__ = ["asarray", "from_dlpack", "frombuffer", "to_dlpack"]
