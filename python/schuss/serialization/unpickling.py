"""What a checkpoint's pickle may name, and tensors made again from storages.
Leans on pickle with every name looked up in a table: nothing else of a file is ever called."""

from __future__ import annotations

import collections
import io
import pickle
from typing import TYPE_CHECKING

import numpy as np

import schuss

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Place = Callable[[schuss.Tensor, str], Any]


class Storage:
    """The bytes of a tensor while a pickle is written or read: where they are, and of what kind."""

    def __init__(self, key: Any, dtype: Any, count: int, data: schuss.Tensor | None = None) -> None:
        self.key, self.dtype, self.count, self.data = key, dtype, count, data


# One class for the storages of each dtype: PyTorch's pickles name them so.
class FloatStorage: ...


class DoubleStorage: ...


class HalfStorage: ...


class BFloat16Storage: ...


class LongStorage: ...


class IntStorage: ...


class ShortStorage: ...


class CharStorage: ...


class ByteStorage: ...


class BoolStorage: ...


class ComplexFloatStorage: ...


class ComplexDoubleStorage: ...


KINDS: dict[Any, type] = {
    schuss.float32: FloatStorage,
    schuss.float64: DoubleStorage,
    schuss.float16: HalfStorage,
    schuss.bfloat16: BFloat16Storage,
    schuss.int64: LongStorage,
    schuss.int32: IntStorage,
    schuss.int16: ShortStorage,
    schuss.int8: CharStorage,
    schuss.uint8: ByteStorage,
    schuss.bool: BoolStorage,
    schuss.complex64: ComplexFloatStorage,
    schuss.complex128: ComplexDoubleStorage,
}
_DTYPES = {kind: dtype for dtype, kind in KINDS.items()}
_DTYPE_NAMES = {str(dtype).split(".")[-1]: dtype for dtype in KINDS}
_HOME = __name__


def elements(x: schuss.Tensor) -> np.ndarray:
    """The elements in a row, as NumPy holds them; bfloat16 as integers of its bits."""
    x = x.detach().cpu().contiguous().reshape(-1)
    return (x.view(schuss.int16) if x.dtype == schuss.bfloat16 else x).numpy()


def vector(data: bytes, dtype: Any, swapped: bool = False) -> schuss.Tensor:
    """A tensor of one axis from bytes; RuntimeError where they are no whole number of elements."""
    width = (
        np.dtype(np.int16)
        if dtype == schuss.bfloat16
        else schuss.zeros(1, dtype=dtype, device="cpu").numpy().dtype
    )
    if len(data) % width.itemsize:
        raise RuntimeError(f"load: {len(data)} bytes are no whole number of {dtype} elements")
    # The array owns its bytes, so that the tensor may be written to.
    array = np.frombuffer(data, dtype=width).copy()
    array = array.byteswap() if swapped else array
    if dtype == schuss.bool:
        array = array.view(np.uint8) != 0
    x = schuss.from_numpy(array)
    return x.view(schuss.bfloat16) if dtype == schuss.bfloat16 else x


def _rebuild_tensor_v2(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any = False,
    backward_hooks: Any = None,
    metadata: Any = None,
) -> schuss.Tensor:
    """A tensor over a storage, under the name that PyTorch's files call."""
    lists = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride)
    numbers = lists and all(type(n) is int for n in (offset, *size, *stride))
    if not isinstance(storage, Storage) or not numbers or len(size) > 64:
        raise pickle.UnpicklingError(f"load: a tensor of size {size!r}, stride {stride!r} is none")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    bad = offset < 0 or any(n < 0 for n in (*size, *stride))
    if bad or (0 not in size and last >= storage.count):
        raise pickle.UnpicklingError(
            f"load: a tensor of size {size}, stride {stride} from {offset} passes its storage of "
            f"{storage.count} elements"
        )
    if storage.data is None:
        raise pickle.UnpicklingError("load: a storage without elements")
    if 0 in size:
        x = storage.data.new_empty(size)
    else:
        x = storage.data.as_strided(size, stride, offset)
        # Whatever is a whole storage is a tensor of its own, not a view.
        whole = x.numel() == storage.count and x.is_contiguous()
        x = x.detach() if whole else x
    if requires_grad is True:
        x = x.detach().requires_grad_()
    return x


def _rebuild_parameter(data: Any, requires_grad: Any, backward_hooks: Any = None) -> Any:
    """A Parameter, under the name that PyTorch's files call."""
    if not isinstance(data, schuss.Tensor):
        raise pickle.UnpicklingError(f"load: a parameter of {type(data).__name__}, not of a tensor")
    return schuss.nn.Parameter(data, requires_grad is True)


def _device(*args: Any) -> Any:
    """Where a tensor was when it was saved; here everything is on the processor."""
    return schuss.device("cpu")


# Our names in pickles, as module and name, and PyTorch's: one table for writing and for reading.
OUTSIDE = {
    f"{_HOME} _rebuild_tensor_v2": "torch._utils _rebuild_tensor_v2",
    f"{_HOME} _rebuild_parameter": "torch._utils _rebuild_parameter",
    "schuss.size Size": "torch Size",
    "schuss device": "torch device",
    **{f"{_HOME} {kind.__name__}": f"torch {kind.__name__}" for kind in KINDS.values()},
    **{
        f"schuss {str(dtype).split('.')[-1]}": f"torch {str(dtype).split('.')[-1]}"
        for dtype in KINDS
    },
}
_SAFE: dict[str, Any] = {
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils _rebuild_tensor": _rebuild_tensor_v2,
    "torch._utils _rebuild_parameter": _rebuild_parameter,
    "torch Size": schuss.Size,
    "torch device": _device,
    "collections OrderedDict": collections.OrderedDict,
    "builtins set": set,
    "__builtin__ set": set,
    "builtins frozenset": frozenset,
    "__builtin__ frozenset": frozenset,
    "builtins complex": complex,
    "__builtin__ complex": complex,
    "builtins bytearray": bytearray,
    "builtins slice": slice,
    "_codecs encode": lambda text, form="latin1": _encoded(text, form),
    **{f"torch {kind.__name__}": kind for kind in KINDS.values()},
    **{f"torch {name}": dtype for name, dtype in _DTYPE_NAMES.items()},
}


# What users said is safe, by the same names.
trusted_too: dict[str, Any] = {}


def _encoded(text: Any, form: Any) -> bytes:
    """How pickles of the old protocols write bytes."""
    if not isinstance(text, str) or form != "latin1":
        raise pickle.UnpicklingError(f"load: {text!r} in {form!r} is not how bytes are written")
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, storages: Callable[[Any], Storage], trusted: bool) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self._storages, self._trusted = storages, trusted

    def find_class(self, module: str, name: str) -> Any:
        found = _SAFE.get(f"{module} {name}") or trusted_too.get(f"{module} {name}")
        if found is not None:
            return found
        if self._trusted:
            if module.split(".")[0] == "torch":
                raise pickle.UnpicklingError(
                    f"load: the file holds a {module}.{name}, which is PyTorch's; save its "
                    "state_dict() there instead"
                )
            return super().find_class(module, name)
        raise pickle.UnpicklingError(
            f"load: the file names {module}.{name}, which is no part of a state dict; with "
            "weights_only=False it would be made, and could run anything: only for files you trust"
        )

    def persistent_load(self, pid: Any) -> Any:
        return self._storages(pid)


def named(pid: Any, fields: int) -> tuple[Any, str, str, int]:
    """The dtype, key, place and size of a storage that is named; UnpicklingError if it is none."""
    fits = isinstance(pid, tuple) and len(pid) == fields and pid[0] == "storage"
    if not fits or pid[1] not in _DTYPES or not isinstance(pid[2], str):
        raise pickle.UnpicklingError(f"load: {pid!r} names no storage")
    _, kind, key, where, count, *_ = pid
    if type(count) is not int or count < 0 or not isinstance(where, str):
        raise pickle.UnpicklingError(f"load: {pid!r} names no storage")
    return _DTYPES[kind], key, where, count


def width(dtype: Any) -> int:
    """How many bytes an element has."""
    return 2 if dtype == schuss.bfloat16 else schuss.zeros(1, dtype=dtype).element_size()


def known_as(found: Storage, dtype: Any, count: int) -> Storage:
    """A storage that was named before; UnpicklingError where it was another one."""
    if (found.dtype, found.count) != (dtype, count):
        key = found.key
        raise pickle.UnpicklingError(f"load: storage {key} is named with two sizes or dtypes")
    return found


def read(
    data: bytes, record: Callable[..., bytes], swapped: bool, place: Place, trusted: bool
) -> Any:
    """The object of a pickle, its storages taken from records; UnpicklingError for a bad one."""
    known: dict[str, Storage] = {}

    def storages(pid: Any) -> Storage:
        dtype, key, where, count = named(pid, 5)
        if key not in known:
            elements = vector(record(f"data/{key}", count * width(dtype)), dtype, swapped)
            known[key] = Storage(key, dtype, count, place(elements, where))
        return known_as(known[key], dtype, count)

    return unpickled(data, storages, trusted)


def unpickled(data: bytes, storages: Callable[[Any], Storage], trusted: bool) -> Any:
    """The object of a pickle, its storages where `storages` finds them; UnpicklingError for a bad
    one."""
    try:
        return _Unpickler(data, storages, trusted).load()
    except RuntimeError:
        raise
    except Exception as error:
        # A damaged number may ask for more memory than there is; schuss says so in words.
        short = isinstance(error, MemoryError) and str(error) != ""
        if trusted or short or str(error).startswith("load: "):
            raise
        # Opcodes in an order that makes no object raise nearly anything.
        raise pickle.UnpicklingError(
            f"load: the checkpoint's pickle is damaged ({type(error).__name__}: {error})"
        ) from error


def placing(map_location: Any) -> Place:
    """The function that puts a storage, from where it was, to where it shall be."""
    if map_location is None:
        return lambda data, where: data
    if callable(map_location):

        def called(data: schuss.Tensor, where: str) -> Any:
            found = map_location(data, where)
            return data if found is None else found

        return called
    if isinstance(map_location, dict):
        return lambda data, where: data.to(schuss.device(map_location.get(where, "cpu")))
    target = schuss.device(map_location)
    return lambda data, where: data.to(target)
