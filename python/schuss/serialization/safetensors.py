"""Safetensors: a header of names, dtypes, shapes and places, then the bytes of all tensors.
Leans on json; https://github.com/huggingface/safetensors describes the format."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import schuss
from schuss.serialization.unpickling import elements, vector

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

_NAMES = {
    schuss.bool: "BOOL",
    schuss.uint8: "U8",
    schuss.int8: "I8",
    schuss.int16: "I16",
    schuss.int32: "I32",
    schuss.int64: "I64",
    schuss.float16: "F16",
    schuss.bfloat16: "BF16",
    schuss.float32: "F32",
    schuss.float64: "F64",
    schuss.complex64: "C64",
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}
_WIDTHS = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "F16": 2, "BF16": 2, "I32": 4, "F32": 4}
# The longest header that the format allows.
_LONGEST = 100_000_000


def write(tensors: Any, file: IO[bytes]) -> None:
    """Write a dict of tensors; TypeError for anything else."""
    if not isinstance(tensors, dict):
        raise TypeError(f"save: safetensors hold a dict of tensors, got {type(tensors).__name__}")
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, x in tensors.items():
        if not isinstance(name, str) or not isinstance(x, schuss.Tensor):
            raise TypeError(
                f"save: safetensors hold tensors by name, got {type(x).__name__} at {name!r}; use "
                "another file name for other objects"
            )
        if x.dtype not in _NAMES:
            raise TypeError(
                f"save: safetensors have no {x.dtype.name}, which {name!r} is; use another name"
            )
        end = start + x.numel() * x.element_size()
        shape = list(x.shape)
        header[name] = {"dtype": _NAMES[x.dtype], "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for x in tensors.values():
        data = elements(x)
        file.write(memoryview(data if sys.byteorder == "little" else data.byteswap()).cast("B"))


def read(file: IO[bytes], place: Callable[[schuss.Tensor, str], Any]) -> dict[str, Any]:
    """Read a dict of tensors; RuntimeError for a damaged file."""
    size = int.from_bytes(file.read(8), "little")
    if size > _LONGEST:
        raise RuntimeError(f"load: a safetensors header of {size} bytes is too long to be one")
    text = file.read(size)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_once)
        header.pop("__metadata__", None)
        entries = [(name, *_entry(name, entry)) for name, entry in header.items()]
    except (ValueError, AttributeError, RecursionError) as error:
        raise RuntimeError(f"load: the safetensors header is damaged ({error})") from error
    data = file.read()
    tensors, at = {}, 0
    for name, dtype, shape, start, end in sorted(entries, key=lambda entry: entry[3:]):
        if start != at or end > len(data):
            raise RuntimeError(
                f"load: tensor {name!r} lies at {start} to {end} where {at} is next and the data "
                f"end at {len(data)}; is the file cut off?"
            )
        at = end
        x = vector(data[start:end], dtype, sys.byteorder == "big").reshape(shape)
        tensors[name] = place(x, "cpu")
    if at != len(data):
        raise RuntimeError(f"load: {len(data) - at} bytes after the last tensor belong to none")
    return {name: tensors[name] for name in header}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _entry(name: str, entry: Any) -> tuple[Any, list[int], int, int]:
    """What the header says of one tensor; ValueError where it cannot be."""
    fits = isinstance(entry, dict) and {"dtype", "shape", "data_offsets"} <= set(entry)
    if not fits or entry["dtype"] not in _DTYPES:
        raise ValueError(f"tensor {name!r} has {entry!r}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    whole = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
    if not whole or not all(type(n) is int and n >= 0 for n in (*shape, *offsets)):
        raise ValueError(f"tensor {name!r} has shape {shape!r} at {offsets!r}")
    count = _WIDTHS.get(entry["dtype"], 8)
    for n in shape:
        count *= n
    if offsets[1] - offsets[0] != count:
        raise ValueError(f"tensor {name!r} of {count} bytes lies at {offsets}")
    return _DTYPES[entry["dtype"]], shape, offsets[0], offsets[1]
