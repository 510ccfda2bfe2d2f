"""`save` and `load`: checkpoints in PyTorch's file format, both ways, and safetensors.
Leans on the archive and its readers beside it; a file is whole or not there."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from schuss.serialization import archive, safetensors, stream, unpickling

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "load",
    "safe_globals",
    "save",
]


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Let `load` make objects of these classes, or call these functions, from now on.

    An entry is a class or function, or a pair of one and the name that files have for it.
    """
    for entry in safe_globals:
        found, name = entry if isinstance(entry, tuple) else (entry, None)
        if not callable(found):
            raise TypeError(f"add_safe_globals: {found!r} is no class or function")
        path = name or f"{found.__module__}.{found.__qualname__}"
        unpickling.trusted_too[" ".join(path.rsplit(".", 1))] = found


def get_safe_globals() -> list[Any]:
    """What add_safe_globals was given."""
    return list(unpickling.trusted_too.values())


def clear_safe_globals() -> None:
    """Forget what add_safe_globals was given."""
    unpickling.trusted_too.clear()


class safe_globals:
    """A block in which `load` may make objects of these classes too.

    >>> import fractions
    >>> with schuss.serialization.safe_globals([fractions.Fraction]):
    ...     schuss.serialization.get_safe_globals()
    [<class 'fractions.Fraction'>]
    """

    def __init__(self, safe_globals: list[Any]) -> None:
        self._globals = safe_globals

    def __enter__(self) -> None:
        self._before = dict(unpickling.trusted_too)
        add_safe_globals(self._globals)

    def __exit__(self, *exception: Any) -> None:
        clear_safe_globals()
        unpickling.trusted_too.update(self._before)


def save(
    obj: Any,
    f: str | os.PathLike[str] | IO[bytes],
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write an object with tensors in it to a file or to an open binary file.

    The format is that of PyTorch's `torch.save`, which reads state dicts saved here, as `load`
    reads its. A name that ends in ".safetensors" takes that format, for a dict of tensors. A file
    is written beside the old one and put in its place when it is whole: if the disk is full or the
    program is stopped, the old one is still there. Tensors that are the same elements are written
    once. `pickle_module` must be left out, ValueError; the last two keywords change nothing.

    >>> import io, schuss
    >>> file = io.BytesIO()
    >>> schuss.save({"weight": schuss.tensor([1.0, 2.0]), "epoch": 3}, file)
    >>> _ = file.seek(0)
    >>> schuss.load(file)
    {'weight': tensor([1., 2.]), 'epoch': 3}
    """
    if pickle_module is not None and getattr(pickle_module, "__name__", "") != "pickle":
        raise ValueError("save: takes no other pickle module; leave pickle_module out")
    if hasattr(f, "write"):
        archive.write(obj, f)
        return
    path = os.fspath(f)
    if os.path.isdir(path):
        raise IsADirectoryError(f"save: {path} is a folder; give a file in it")
    write = safetensors.write if path.endswith(".safetensors") else archive.write
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"save: the folder {folder} is not there; make it first")
    handle, beside = tempfile.mkstemp(prefix=".schuss-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            write(obj, file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, _mode(path))
        os.replace(beside, path)
    except BaseException as error:
        os.unlink(beside)
        if isinstance(error, OSError) and error.errno is not None:
            kept = "; the file that was there is whole" if os.path.exists(path) else ""
            said = f"save: {path} could not be written: {error.strerror}{kept}"
            raise OSError(error.errno, said) from error
        raise


def _mode(path: str) -> int:
    """The permissions of the old file, or those that a new one would get."""
    try:
        return os.stat(path).st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: str | Any | Callable[..., Any] | None = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read what `save`, or PyTorch's `torch.save`, has written to a file or an open binary file.

    Safetensors files are known by their first bytes. With `weights_only`, the default, a file can
    hold tensors, numbers, text and containers alone, and nothing in it is ever run: anything else
    is an UnpicklingError that names it. `weights_only=False` also makes objects of any class the
    file names, and runs whatever code it contains: for files of people you trust. Tensors that were
    on another device come to the processor; `map_location` is a device, a dict of names of devices,
    or a function, as in PyTorch. RuntimeError for a damaged file. `mmap` changes nothing.

    >>> import io, schuss
    >>> file, layer = io.BytesIO(), schuss.nn.Linear(2, 1)
    >>> schuss.save(layer.state_dict(), file)
    >>> _ = file.seek(0)
    >>> layer.load_state_dict(schuss.load(file))
    <All keys matched successfully>
    """
    if pickle_module is not None and getattr(pickle_module, "__name__", "") != "pickle":
        raise ValueError("load: takes no other pickle module; leave pickle_module out")
    trusted = weights_only is False
    if hasattr(f, "read"):
        return _read(f, map_location, trusted)
    if not isinstance(f, (str, bytes, os.PathLike)):
        # The number of a descriptor would be read from, and closed.
        raise TypeError(f"load: needs a path or an open binary file, got {type(f).__name__}")
    if os.path.isdir(f):
        raise IsADirectoryError(f"load: {os.fspath(f)} is a folder; give a file in it")
    with open(f, "rb") as file:
        return _read(file, map_location, trusted)


def _read(file: Any, map_location: Any, trusted: bool) -> Any:
    start = file.tell()
    head = file.read(len(stream.MAGIC))
    file.seek(start)
    place = unpickling.placing(map_location)
    # First, since the length of a header may be "PK".
    if head[8:9] == b"{":
        return safetensors.read(file, place)
    if head[:2] == b"PK":
        return archive.read(file, place, trusted)
    if head == stream.MAGIC:
        return stream.read(file, place, trusted)
    if head[:1] == b"\x80":
        raise RuntimeError(
            "load: this is a plain pickle and no checkpoint; read it by the program that wrote it, "
            "and save its tensors again"
        )
    if head[:4] == b"\x89HDF":
        raise RuntimeError("load: this is an HDF5 file; read it there and save its arrays again")
    raise RuntimeError(
        f"load: neither a checkpoint nor safetensors: it begins with {head[:8]!r}; is it cut off?"
    )
