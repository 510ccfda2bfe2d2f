"""Sequences of different lengths in one batch: padded to the longest, or packed without padding.
Leans on tensor operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import schuss
from schuss import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Self


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


PackedSequence_ = _Packed


class PackedSequence(_Packed):
    """Sequences step by step: all first elements, all second ones of those that have one...

    `batch_sizes` counts the sequences at each step. `sorted_indices` put a batch into the order of
    falling length in which `data` holds it, `unsorted_indices` back. Made by pack_sequence and
    pack_padded_sequence.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if batch_sizes is None:
            raise ValueError("PackedSequence: needs batch_sizes; use pack_sequence to make one")
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The same with `data.to(...)`; itself if nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        return type(self)(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def pin_memory(self) -> Self:
        """Itself: memory need not be pinned."""
        return self

    def cpu(self) -> Self:
        """The same on the processor."""
        return self.to("cpu")

    def cuda(self, *args: Any, **kwargs: Any) -> Self:
        """The same on a CUDA device; raises where there is none."""
        return self.to("cuda")

    def double(self) -> Self:
        """The same in float64."""
        return self.to(schuss.float64)

    def float(self) -> Self:
        """The same in float32."""
        return self.to(schuss.float32)

    def half(self) -> Self:
        """The same in float16."""
        return self.to(schuss.float16)

    def long(self) -> Self:
        """The same in int64."""
        return self.to(schuss.int64)

    def int(self) -> Self:
        """The same in int32."""
        return self.to(schuss.int32)

    @property
    def is_cuda(self) -> bool:
        """Whether `data` is on a CUDA device."""
        return str(self.data.device).startswith("cuda")

    def is_pinned(self) -> bool:
        """False: memory is never pinned."""
        return False


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes one; None for None.

    >>> import schuss
    >>> schuss.nn.utils.rnn.invert_permutation(schuss.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    places = schuss.arange(permutation.numel(), device=permutation.device)
    return schuss.empty_like(places).scatter(0, permutation.long(), places)


def _listed(lengths: Any) -> list[int]:
    return [int(n) for n in (lengths.tolist() if isinstance(lengths, Tensor) else lengths)]


def step_counts(packed: PackedSequence) -> list[int]:
    """How many sequences go on at each step; a batch packed here by plain lengths is not read.

    >>> import schuss
    >>> from schuss.nn.utils.rnn import pack_sequence, step_counts
    >>> step_counts(pack_sequence([schuss.tensor([1, 2]), schuss.tensor([3])]))
    [2, 1]
    """
    known = getattr(packed.batch_sizes, "_counts", None)
    return _listed(packed.batch_sizes) if known is None else list(known)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """A batch (time, batch, ...), padded to the longest sequence, packed by its lengths.

    With `enforce_sorted` lengths must fall, else RuntimeError; without it they are sorted here.
    RuntimeError for a length below 1, or above the time.

    >>> import schuss
    >>> x = schuss.tensor([[1, 2, 3], [4, 5, 0]])
    >>> packed = schuss.nn.utils.rnn.pack_padded_sequence(x, [3, 2], batch_first=True)
    >>> packed.data, packed.batch_sizes
    (tensor([1, 4, 2, 5, 3]), tensor([2, 2, 1]))
    """
    op = "pack_padded_sequence"
    sizes = _listed(lengths)
    order = None
    if not enforce_sorted:
        places = sorted(range(len(sizes)), key=lambda i: -sizes[i])
        sizes = [sizes[i] for i in places]
        order = schuss.tensor(places, dtype=schuss.int64, device=input.device)
        input = input.index_select(0 if batch_first else 1, order)
    if batch_first:
        input = input.transpose(0, 1)
    time, batch = input.shape[:2]
    if len(sizes) != batch:
        raise RuntimeError(f"{op}: {len(sizes)} lengths for a batch of {batch} sequences")
    if not sizes or min(sizes) < 1:
        raise RuntimeError(f"{op}: lengths must be at least 1, got {sizes}")
    if sizes != sorted(sizes, reverse=True):
        raise RuntimeError(
            f"{op}: lengths must fall, got {sizes}; sort the batch, or pass enforce_sorted=False"
        )
    if sizes[0] > time:
        raise RuntimeError(f"{op}: length {sizes[0]} of an input of {time} steps")
    counts = [sum(n > step for n in sizes) for step in range(sizes[0])]
    taken = [step * batch + row for step, count in enumerate(counts) for row in range(count)]
    rows = input.reshape(time * batch, *input.shape[2:])
    data = rows.index_select(0, schuss.tensor(taken, dtype=schuss.int64, device=input.device))
    told: Any = schuss.tensor(counts, dtype=schuss.int64, device="cpu")
    # So a compiled step need not look at what it has just written.
    told._counts = counts
    return PackedSequence(data, told, order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """A packed batch as a padded one (time, batch, ...), and its lengths.

    `total_length` pads further; ValueError where it is below the longest length.

    >>> import schuss
    >>> rnn = schuss.nn.utils.rnn
    >>> packed = rnn.pack_sequence([schuss.tensor([1, 2]), schuss.tensor([3])])
    >>> rnn.pad_packed_sequence(packed, batch_first=True)
    (tensor([[1, 2],
            [3, 0]]), tensor([2, 1]))
    """
    counts = step_counts(sequence)
    time, batch, data = len(counts), counts[0], sequence.data
    if total_length is not None:
        if total_length < time:
            raise ValueError(
                f"pad_packed_sequence: total_length {total_length} is below the longest, {time}"
            )
        time = total_length
    lengths = [sum(count > row for count in counts) for row in range(batch)]
    # Every place takes its row of the data, or the row of padding behind them all.
    starts = [sum(counts[:step]) for step in range(len(counts))]
    taken = [
        starts[step] + row if step < len(counts) and row < counts[step] else data.shape[0]
        for step in range(time)
        for row in range(batch)
    ]
    padding = data.new_full((1, *data.shape[1:]), padding_value)
    index = schuss.tensor(taken, dtype=schuss.int64, device=data.device)
    rows = schuss.cat([data, padding]).index_select(0, index)
    output = rows.reshape(time, batch, *data.shape[1:])
    told = schuss.tensor(lengths, dtype=schuss.int64, device="cpu")
    if sequence.unsorted_indices is not None:
        output = output.index_select(1, sequence.unsorted_indices)
        told = told[sequence.unsorted_indices.cpu()]
    return output.transpose(0, 1) if batch_first else output, told


def pad_sequence(
    sequences: Tensor | Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (length, ...) as one batch (time, batch, ...), padded to the longest.

    >>> import schuss
    >>> a, b = schuss.tensor([1, 2]), schuss.tensor([3])
    >>> schuss.nn.utils.rnn.pad_sequence([a, b], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    op = "pad_sequence"
    if not isinstance(sequences, Tensor) and not hasattr(sequences, "__iter__"):
        raise RuntimeError(f"{op}: needs a list of Tensors, got {type(sequences).__name__}")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"{op}: padding_side is 'left' or 'right', not {padding_side!r}")
    listed = list(sequences)
    if not listed:
        raise RuntimeError(f"{op}: there are no sequences")
    for x in listed:
        if not isinstance(x, Tensor):
            raise TypeError(f"{op}: needs Tensors, got {type(x).__name__}")
        if x.ndim == 0 or x.shape[1:] != listed[0].shape[1:]:
            raise schuss.ShapeError(
                f"{op}: sequences {tuple(listed[0].shape)} and {tuple(x.shape)} differ behind"
                " their lengths"
            )
    time = max(x.shape[0] for x in listed)
    rows = []
    for x in listed:
        short = time - x.shape[0]
        if short:
            blank = x.new_full((short, *x.shape[1:]), padding_value)
            x = schuss.cat([x, blank] if padding_side == "right" else [blank, x])
        rows.append(x)
    return schuss.stack(rows, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded batch, each of its own length again."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[:n] for x, n in zip(rows.unbind(0), _listed(lengths), strict=True)]


def pack_sequence(sequences: Iterable[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (length, ...) packed; with `enforce_sorted` their lengths must fall.

    >>> import schuss
    >>> packed = schuss.nn.utils.rnn.pack_sequence([schuss.tensor([1, 2]), schuss.tensor([3])])
    >>> packed.data
    tensor([1, 3, 2])
    """
    listed = list(sequences)
    lengths = [x.shape[0] for x in listed]
    return pack_padded_sequence(pad_sequence(listed), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that were packed, in the order they came in."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]
