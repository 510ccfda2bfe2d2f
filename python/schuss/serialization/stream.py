"""The format of checkpoints from before 2020: pickles one after the other, then all elements.
Leans on pickletools to find where each ends; what they may name is decided in unpickling."""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import TYPE_CHECKING

import schuss
from schuss.serialization import unpickling
from schuss.serialization.unpickling import Storage, known_as, named, vector, width

if TYPE_CHECKING:
    from typing import IO, Any

# The first pickle of such a file: one number.
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_VERSION = 1001


def _parts(data: bytes, count: int) -> tuple[list[bytes], int]:
    """The first pickles of a file, and where the last ends. Nothing is made of them yet."""
    file, parts, start = io.BytesIO(data), [], 0
    try:
        for _ in range(count):
            for _ in pickletools.genops(file):
                pass
            parts.append(data[start : file.tell()])
            start = file.tell()
    except Exception as error:
        raise RuntimeError(f"load: the checkpoint is damaged or cut off ({error})") from error
    return parts, start


def _plain(data: bytes) -> Any:
    """The object of a pickle in which there are no tensors."""
    return unpickling.unpickled(data, _none, False)


def _none(pid: Any) -> Storage:
    raise pickle.UnpicklingError(f"load: {pid!r} is named where no storage can be")


def read(file: IO[bytes], place: unpickling.Place, trusted: bool) -> Any:
    """Read such a file; RuntimeError where it is damaged."""
    data = file.read()
    (_, version, system, main, listed), at = _parts(data, 5)
    facts, keys = _plain(system), _plain(listed)
    if _plain(version) != _VERSION or not isinstance(facts, dict) or not isinstance(keys, list):
        raise RuntimeError("load: the checkpoint is of a version that is not known")
    known: dict[str, Storage] = {}

    def storages(pid: Any) -> Storage:
        if isinstance(pid, tuple) and pid[:1] == ("module",):
            raise pickle.UnpicklingError(
                "load: the file holds a whole model; save its state_dict() there instead"
            )
        dtype, key, where, count = named(pid, 6)
        if key not in known:
            if key not in keys or count * width(dtype) > len(data):
                raise RuntimeError(f"load: the file has no {count} elements {key}; is it cut off?")
            # The elements stand behind everything else, and are written into place then.
            empty = schuss.zeros(count, dtype=dtype, device="cpu")
            known[key] = Storage(key, dtype, count, place(empty, where))
        found = known_as(known[key], dtype, count)
        return found if pid[5] is None else _window(found, pid[5])

    made = unpickling.unpickled(main, storages, trusted)
    swapped = not facts.get("little_endian", True)
    with schuss.no_grad():
        for key in keys:
            found = known.get(key) if isinstance(key, str) else None
            if found is None:
                raise RuntimeError(f"load: the file lists elements {key!r} that no tensor has")
            end = at + 8 + found.count * width(found.dtype)
            size = int.from_bytes(data[at : at + 8], "big" if swapped else "little")
            if size != found.count or end > len(data):
                raise RuntimeError(
                    f"load: {found.count} elements {key} are to stand at {at} to {end}, and there "
                    f"are {size} of them, and {len(data)} bytes in all; is the file cut off?"
                )
            found.data.copy_(vector(data[at + 8 : end], found.dtype, swapped))
            at = end
    return made


def _window(whole: Storage, view: Any) -> Storage:
    """A part of a storage that the file names by itself."""
    fits = isinstance(view, tuple) and len(view) == 3
    numbers = fits and type(view[1]) is int and type(view[2]) is int
    if not numbers or not 0 <= view[1] <= view[1] + view[2] <= whole.count:
        raise pickle.UnpicklingError(f"load: {view!r} is no part of {whole.count} elements")
    part = whole.data[view[1] : view[1] + view[2]]
    return Storage(view[0], whole.dtype, view[2], part)
