"""The archive: a zip file with one pickle and the bytes of each storage, as PyTorch writes it.
Leans on zipfile and pickle; what a pickle may name is decided in unpickling."""

from __future__ import annotations

import collections
import io
import pickle
import pickletools
import sys
import zipfile
from typing import TYPE_CHECKING

import schuss
from schuss.serialization import unpickling
from schuss.serialization.unpickling import KINDS, OUTSIDE, Storage, elements

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

ALIGN = 64


class _Pickler(pickle.Pickler):
    """Pickles tensors as calls that rebuild them from storages, which stay outside."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, protocol=2)
        self.storages: list[schuss.Tensor] = []
        self._known: dict[tuple[Any, ...], Storage] = {}

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, Storage):
            return ("storage", KINDS[obj.dtype], str(obj.key), "cpu", obj.count)
        return None

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, schuss.Tensor):
            return NotImplemented
        plain = obj.detach()
        if type(obj) is not schuss.Tensor and isinstance(obj, schuss.nn.Parameter):
            data = (plain, obj.requires_grad, collections.OrderedDict())
            return unpickling._rebuild_parameter, data
        storage = self._storage(plain)
        size, stride = tuple(obj.shape), _row_major(obj.shape)
        rest = (obj.requires_grad, collections.OrderedDict())
        return unpickling._rebuild_tensor_v2, (storage, 0, size, stride, *rest)

    def _storage(self, x: schuss.Tensor) -> Storage:
        """The storage of a tensor, the same one for tensors that are the same elements."""
        same = (x._place(), tuple(x.shape), x.stride(), x.dtype) if x.numel() else (id(x),)
        if same not in self._known:
            self._known[same] = Storage(len(self.storages), x.dtype, x.numel())
            self.storages.append(x)
        return self._known[same]


def _row_major(shape: Any) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _renamed(data: bytes) -> bytes:
    """The pickle with the names that PyTorch has for what is ours."""
    parts, start = [], 0
    for op, arg, place in pickletools.genops(data):
        if op.name == "GLOBAL" and arg in OUTSIDE:
            module, name = OUTSIDE[arg].split(" ")
            parts += [data[start:place], f"c{module}\n{name}\n".encode()]
            start = place + 1 + len(arg.encode()) + 1
    return b"".join([*parts, data[start:]])


def write(obj: Any, file: IO[bytes]) -> None:
    """Write an archive; TypeError and PicklingError for what cannot be saved."""
    text = io.BytesIO()
    pickler = _Pickler(text)
    pickler.dump(obj)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        _put(archive, "data.pkl", _renamed(text.getvalue()))
        _put(archive, "byteorder", sys.byteorder.encode())
        for key, x in enumerate(pickler.storages):
            _put(archive, f"data/{key}", memoryview(elements(x)).cast("B"))
        _put(archive, "version", b"3\n")


def _put(archive: zipfile.ZipFile, name: str, data: Any) -> None:
    """One record, whose bytes begin at a multiple of 64, so that they can be mapped."""
    info = zipfile.ZipInfo(f"archive/{name}")
    large = len(data) > 1 << 30
    start = archive.fp.tell() + 30 + len(info.filename) + 4 + (20 if large else 0)
    padding = -start % ALIGN
    info.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
    with archive.open(info, "w", force_zip64=large) as record:
        record.write(data)


def read(file: IO[bytes], place: Callable[[schuss.Tensor, str], Any], trusted: bool) -> Any:
    """Read an archive; RuntimeError where it is damaged."""
    try:
        archive = zipfile.ZipFile(file)
        names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise RuntimeError(f"load: the archive is damaged or cut off ({error})") from error
    tops = {name.split("/")[0] for name in names}
    pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1 or len(tops) != 1:
        raise RuntimeError("load: a zip file, but no checkpoint: it has no data.pkl in its folder")
    (top,) = tops
    if f"{top}/constants.pkl" in names:
        raise RuntimeError(
            "load: this is a TorchScript program; save the model's state_dict() there instead"
        )

    def record(name: str, size: int | None = None) -> bytes:
        try:
            info = archive.getinfo(f"{top}/{name}")
            if size is not None and info.file_size != size:
                raise RuntimeError(
                    f"load: record {name} has {info.file_size} bytes, its tensor needs {size}"
                )
            return archive.read(info)
        except KeyError:
            raise RuntimeError(f"load: the archive has no record {name}; is it cut off?") from None
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
            raise RuntimeError(f"load: record {name} is damaged ({error})") from error
        except Exception as error:
            if type(error).__module__ == "zlib":
                raise RuntimeError(f"load: record {name} is damaged ({error})") from error
            raise

    order = (
        record("byteorder").decode("ascii", "replace") if f"{top}/byteorder" in names else "little"
    )
    if order not in ("little", "big"):
        raise RuntimeError(f"load: byteorder is {order!r}, neither little nor big")
    return unpickling.read(record("data.pkl"), record, order != sys.byteorder, place, trusted)
