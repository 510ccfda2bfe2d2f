"""keras.preprocessing: lists of numbers brought to one length.
Leans on NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any


class sequence:
    """keras.preprocessing.sequence."""

    @staticmethod
    def pad_sequences(
        sequences: Any,
        maxlen: int | None = None,
        dtype: Any = "int32",
        padding: str = "pre",
        truncating: str = "pre",
        value: Any = 0.0,
    ) -> np.ndarray:
        """Lists as rows of an array, filled or cut at the front, or at the end with 'post'.

        >>> sequence.pad_sequences([[1], [2, 3]]).tolist()
        [[0, 1], [2, 3]]
        """
        for name, side in (("padding", padding), ("truncating", truncating)):
            if side not in ("pre", "post"):
                raise ValueError(f"pad_sequences: {name} is 'pre' or 'post', got {side!r}")
        rows = [np.asarray(row) for row in sequences]
        length = max(map(len, rows), default=0) if maxlen is None else maxlen
        shape = rows[0].shape[1:] if rows else ()
        made = np.full((len(rows), length, *shape), value, dtype)
        for i, row in enumerate(rows):
            row = row[len(row) - length :] if truncating == "pre" and len(row) > length else row
            row = row[:length]
            if len(row):
                place = slice(length - len(row), None) if padding == "pre" else slice(len(row))
                made[i, place] = row
        return made


pad_sequences = sequence.pad_sequences
