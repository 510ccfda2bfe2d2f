"""Event files, which TensorBoard reads: records with their sums, and the few messages in them.
Leans on NumPy; the messages are protocol buffers, written here field by field."""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def _table() -> list[int]:
    """The table of CRC-32C, whose polynomial is Castagnoli's."""
    found = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return found


_TABLE = _table()


def masked_crc(data: bytes) -> int:
    """The sum of a record: CRC-32C, turned and shifted as the format asks.

    >>> hex(masked_crc(b"123456789"))
    '0xc78ab0e5'
    """
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def whole(field: int, value: int) -> bytes:
    """An integer field."""
    return _varint(field << 3) + _varint(value)


def double(field: int, value: float) -> bytes:
    """A field of 64 bits."""
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def single(field: int, value: float) -> bytes:
    """A field of 32 bits."""
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def block(field: int, data: bytes | str) -> bytes:
    """A field of bytes, text or another message."""
    data = data.encode() if isinstance(data, str) else data
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def doubles(field: int, values: Iterable[float]) -> bytes:
    """A packed list of numbers of 64 bits."""
    return block(field, b"".join(struct.pack("<d", value) for value in values))


class EventFile:
    """A file of events in a folder, begun with the version that TensorBoard looks for."""

    def __init__(self, folder: str, suffix: str = "") -> None:
        os.makedirs(folder, exist_ok=True)
        stamp = f"{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self.path = os.path.join(folder, f"events.out.tfevents.{stamp}{suffix}")
        self._file = open(self.path, "ab")  # noqa: SIM115 - it stays open
        self.put(block(3, "brain.Event:2"))

    def put(self, what: bytes, step: int = 0, when: float | None = None) -> None:
        """Append an event."""
        event = double(1, time.time() if when is None else when) + whole(2, step) + what
        head = struct.pack("<Q", len(event))
        self._file.write(head + struct.pack("<I", masked_crc(head)))
        self._file.write(event + struct.pack("<I", masked_crc(event)))

    def flush(self) -> None:
        """Put on the disk what was appended."""
        self._file.flush()

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def __del__(self) -> None:
        # Programs that end without closing their writer lose nothing.
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()
