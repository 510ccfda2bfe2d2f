"""In which order a tensor's axes lie in memory: the formats by name, and tensors laid out so.
Leans on the core's copies and views, which keep the order of axes unless told otherwise."""

from __future__ import annotations

from schuss import _core
from schuss._core import Tensor


class memory_format(str):
    """In which order the axes of a tensor lie in memory, the last named fastest.

    >>> import schuss
    >>> schuss.ones(1, 2, 3, 4).contiguous(memory_format=schuss.channels_last).stride()
    (24, 1, 8, 2)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"schuss.{self}"


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")

_ORDERS = {channels_last: (0, 2, 3, 1), channels_last_3d: (0, 2, 3, 4, 1)}
_BACK = {channels_last: (0, 3, 1, 2), channels_last_3d: (0, 4, 1, 2, 3)}
_clone, _contiguous, _is_contiguous = Tensor.clone, Tensor.contiguous, Tensor.is_contiguous


def _named(op: str, format: object) -> memory_format:
    """A format of ours, or the one of ours that another library's is called by."""
    if isinstance(format, memory_format):
        return format
    if type(format).__name__ == "memory_format":
        for own in (contiguous_format, preserve_format, channels_last, channels_last_3d):
            if str(format).rpartition(".")[2] == own:
                return own
    raise TypeError(
        f"{op}: memory_format must be schuss.contiguous_format, preserve_format, channels_last "
        f"or channels_last_3d, got {format!r}"
    )


def laid(op: str, x: Tensor, format: object, copy: bool = False) -> Tensor:
    """A tensor in a memory format: itself where it lies so, unless a copy is asked for."""
    format = _named(op, format)
    if format in _ORDERS and x.ndim != len(_ORDERS[format]):
        needed = len(_ORDERS[format])
        raise RuntimeError(f"{op}: {format!r} needs {needed} axes, got shape {tuple(x.shape)}")
    make = _core._compact if copy else _contiguous
    if format in _ORDERS:
        if not copy and is_laid(x, format):
            return x
        return make(x.permute(_ORDERS[format])).permute(_BACK[format])
    if format == preserve_format:
        return _clone(x) if copy else x
    return make(x)


def is_laid(x: Tensor, format: memory_format) -> bool:
    """Whether the elements lie in a format without gaps."""
    if format in _ORDERS:
        fits = x.ndim == len(_ORDERS[format])
        return fits and _is_contiguous(x.permute(_ORDERS[format]))
    return _is_contiguous(x)


def clone(input: Tensor, *, memory_format: memory_format | None = None) -> Tensor:
    """A copy of a tensor, recorded: gradients pass through it. Its axes lie in the same order in
    memory, without gaps, or in that of the memory format.

    >>> import schuss
    >>> schuss.tensor([1.0, 2.0]).clone()
    tensor([1., 2.])
    """
    if memory_format is None:
        return _clone(input)
    return laid("clone", input, memory_format, True)


def contiguous(input: Tensor, memory_format: memory_format | None = None) -> Tensor:
    """A tensor whose elements lie row by row, or in a memory format: itself where they do.

    >>> import schuss
    >>> schuss.zeros(2, 3).T.contiguous().stride()
    (2, 1)
    """
    if memory_format is None:
        return _contiguous(input)
    memory_format = _named("contiguous", memory_format)
    if memory_format == preserve_format and not _is_contiguous(input):
        raise RuntimeError(
            f"contiguous: preserve_format keeps the strides {input.stride()}, which are not "
            "contiguous; use schuss.contiguous_format"
        )
    return laid("contiguous", input, memory_format)


def is_contiguous(input: Tensor, memory_format: memory_format | None = None) -> bool:
    """Whether the elements lie row by row, or in a memory format, without gaps.

    >>> import schuss
    >>> schuss.zeros(2, 3).is_contiguous(), schuss.zeros(2, 3).T.is_contiguous()
    (True, False)
    """
    if memory_format is None:
        return _is_contiguous(input)
    return is_laid(input, _named("is_contiguous", memory_format))


def attach() -> None:
    """Gives Tensor the methods; called once, as the package is loaded."""
    for method in (clone, contiguous, is_contiguous):
        setattr(Tensor, method.__name__, method)


__all__ = ["channels_last", "channels_last_3d", "contiguous_format", "memory_format"]
__all__ += ["preserve_format"]
