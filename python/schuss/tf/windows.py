"""tf.nn's convolutions and pooling on pictures whose channels come last, and moments.
Leans on nn.functional and on the padding of keras's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.nn import functional as F
from schuss.tf.conversion import operand, strict

if TYPE_CHECKING:
    from typing import Any


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    sizes = list(value)
    sizes = sizes[1:3] if len(sizes) == 4 else sizes * 2 if len(sizes) == 1 else sizes
    return sizes[0], sizes[1]


def _padded(name: str, x: Tensor, windows: Any, strides: Any, padding: Any, value: float) -> Tensor:
    from schuss.tf.keras.layers.pictures import same_padding

    if not isinstance(padding, str):
        (top, bottom), (left, right) = list(padding)[1:3]
        return F.pad(x, (left, right, top, bottom), value=value)
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"{name}: padding is 'SAME' or 'VALID', got {padding!r}")
    if padding == "VALID":
        return x
    return F.pad(x, same_padding(x.shape[2:], windows, strides), value=value)


def conv2d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Any = 1,
    name: str | None = None,
) -> Tensor:
    """A convolution of (N, H, W, C) with filters of (height, width, in, out).

    >>> conv2d(schuss.ones(1, 4, 4, 2), schuss.ones(3, 3, 2, 5), 1, "SAME").shape
    schuss.Size([1, 4, 4, 5])
    """
    if data_format != "NHWC":
        raise ValueError(f"conv2d: channels come last here, not as in {data_format!r}")
    kernel, step, spread = operand(filters), _pair(strides), _pair(dilations)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel.shape[:2], spread, strict=True)]
    x = _padded("conv2d", operand(input).permute(0, 3, 1, 2), reach, step, padding, 0.0)
    made = F.conv2d(x, kernel.permute(3, 2, 0, 1), None, step, 0, spread)
    return strict(made.permute(0, 2, 3, 1))


def max_pool2d(
    input: Any, ksize: Any, strides: Any, padding: Any, name: str | None = None
) -> Tensor:
    """The largest in windows of (N, H, W, C).

    >>> max_pool2d(schuss.ones(1, 5, 5, 2), 2, 2, "SAME").shape
    schuss.Size([1, 3, 3, 2])
    """
    size, step = _pair(ksize), _pair(strides)
    x = operand(input).permute(0, 3, 1, 2)
    x = _padded("max_pool2d", x, size, step, padding, -float("inf"))
    return strict(F.max_pool2d(x, size, step).permute(0, 2, 3, 1))


def moments(
    x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and variance along axes.

    >>> [float(part) for part in moments([1.0, 3.0], [0])]
    [2.0, 1.0]
    """
    x = operand(x)
    mean = x.mean(axes, keepdim=True)
    variance = schuss.square(x - mean).mean(axes, keepdim=keepdims)
    return strict(mean if keepdims else x.mean(axes)), strict(variance)


def embedding_lookup(params: Any, ids: Any, name: str | None = None) -> Tensor:
    """The rows of a table that whole numbers name.

    >>> embedding_lookup([[1.0], [2.0]], [1]).tolist()
    [[2.0]]
    """
    return strict(F.embedding(operand(ids).to(schuss.int64), operand(params)))
