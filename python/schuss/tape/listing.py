"""The printed recording of a tape: one aligned line for each operation, in order.
Leans on nothing but strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

SHOWN = 40  # operations; of a longer recording the middle is left out
OPERANDS = 4  # tensors on either side of the arrow; of more, the rest is counted


def table(records: list[tuple[str, list[Any], list[Any], str | None, int]]) -> str:
    """Write records of (name, inputs, outputs, file, line), tensors being (shape, dtype).

    >>> print(table([("neg", [((2,), "float32")], [((2,), "float32")], "a.py", 7)]))
      1  neg  (2,) float32  ->  (2,) float32  a.py:7
    """
    left = len(records) - SHOWN
    rows = []
    for k, (name, inputs, outputs, file, line) in enumerate(records, 1):
        if left > 0 and SHOWN // 2 < k <= len(records) - SHOWN // 2:
            continue
        rows.append((str(k), name, tensors(inputs), "->", tensors(outputs), place(file, line)))
    if left > 0:
        rows.insert(SHOWN // 2, ("...", f"({left} more)", "", "", "", ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(["", row[0].rjust(widths[0]), *map(str.ljust, row[1:], widths[1:])])
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def tensors(described: list[tuple[Any, Any]]) -> str:
    """Write shapes and dtypes, the tail of a long list as its count.

    >>> tensors([((2, 3), "float32"), ((), "float64")])
    '(2, 3) float32, () float64'
    """
    shown = [f"{tuple(shape)} {dtype_name(dtype)}" for shape, dtype in described[:OPERANDS]]
    if len(described) > OPERANDS:
        shown.append(f"{len(described) - OPERANDS} more")
    return ", ".join(shown)


def dtype_name(dtype: Any) -> str:
    """The dtype's own name, without its module's.

    >>> dtype_name(schuss.float32)
    'float32'
    """
    return str(dtype).rpartition(".")[2]


def place(file: str | None, line: int) -> str:
    """The file's last name and the line.

    >>> place("models/line.py", 12)
    'line.py:12'
    """
    name = (file or "").replace("\\", "/").rpartition("/")[2]
    return f"{name}:{line}" if name else ""
