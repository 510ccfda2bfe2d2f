"""The oracle table of convolutions, poolings and other functions of images, and of further losses.

Leans on NumPy alone, as reference.py, which reads this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from samples import FLOAT, NUMBER, F, case, entry

# A table reads best with few lines for each record.
# fmt: off


def conv(x: np.ndarray, w: np.ndarray, b: Any = None, stride: int = 1, padding: int = 0,
         dilation: int = 1, groups: int = 1) -> np.ndarray:
    """By the definition, one product of a window and a kernel after the other."""
    d = x.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0)] + [(padding, padding)] * d)
    sizes = [(n - dilation * (k - 1) - 1) // stride + 1
             for n, k in zip(x.shape[2:], w.shape[2:], strict=True)]
    out = np.zeros((x.shape[0], w.shape[0], *sizes), x.dtype)
    inner, outer = w.shape[1], w.shape[0] // groups
    for o in range(w.shape[0]):
        part = x[:, o // outer * inner : (o // outer + 1) * inner]
        for at in np.ndindex(*sizes):
            window = tuple(slice(a * stride, a * stride + dilation * (k - 1) + 1, dilation)
                           for a, k in zip(at, w.shape[2:], strict=True))
            each = part[(slice(None), slice(None), *window)] * w[o]
            out[(slice(None), o, *at)] = each.reshape(len(x), -1).sum(1)
    return out if b is None else out + b.reshape(-1, *[1] * d)


def conv_transpose(x: np.ndarray, w: np.ndarray, stride: int = 1, padding: int = 0) -> np.ndarray:
    sizes = [(n - 1) * stride + k for n, k in zip(x.shape[2:], w.shape[2:], strict=True)]
    out = np.zeros((x.shape[0], w.shape[1], *sizes), x.dtype)
    for at in np.ndindex(*x.shape[2:]):
        window = tuple(slice(a * stride, a * stride + k)
                       for a, k in zip(at, w.shape[2:], strict=True))
        out[(slice(None), slice(None), *window)] += np.tensordot(
            x[(slice(None), slice(None), *at)], w, 1)
    cut = tuple(slice(padding, n - padding) for n in sizes)
    return out[(slice(None), slice(None), *cut)]


def pooled(f: Any, x: np.ndarray, kernel: int, stride: int | None = None) -> np.ndarray:
    stride = stride or kernel
    sizes = [(n - kernel) // stride + 1 for n in x.shape[2:]]
    out = np.zeros((*x.shape[:2], *sizes), x.dtype)
    for at in np.ndindex(*sizes):
        window = tuple(slice(a * stride, a * stride + kernel) for a in at)
        part = x[(slice(None), slice(None), *window)]
        out[(slice(None), slice(None), *at)] = f(part.reshape(*x.shape[:2], -1), axis=2)
    return out


def group_norm(x: np.ndarray, groups: int) -> np.ndarray:
    rows = x.reshape(x.shape[0], groups, -1)
    rows = (rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, keepdims=True) + 1e-5)
    return rows.reshape(x.shape)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    s = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ v


entry("conv1d", conv, NUMBER, (-2.0, 2.0), case(F(1, 2, 5), F(2, 2, 3)),
      case(F(1, 2, 5), F(2, 1, 2), F(2), stride=2, padding=1, groups=2))
entry("conv2d", conv, NUMBER, (-2.0, 2.0), case(F(1, 1, 4, 4), F(1, 1, 2, 2)),
      case(F(2, 2, 4, 5), F(2, 2, 2, 2), F(2), stride=2, padding=1, dilation=2),
      case(F(1, 2, 3, 3), F(4, 1, 2, 2), groups=2))
entry("conv3d", conv, NUMBER, (-2.0, 2.0), case(F(1, 1, 2, 3, 2), F(1, 1, 2, 2, 1)))
entry("conv_transpose1d", conv_transpose, "-Bbhilewfd", (-2.0, 2.0), case(F(1, 2, 3), F(2, 1, 2)))
entry("conv_transpose2d", conv_transpose, "-Bbhilewfd", (-2.0, 2.0),
      case(F(1, 1, 2, 2), F(1, 2, 2, 2), stride=2), case(F(1, 2, 3, 2), F(2, 1, 2, 2), padding=1))
entry("avg_pool2d", lambda x, *a: pooled(np.mean, x, *a), FLOAT, (-2.0, 2.0),
      case(F(1, 1, 4, 4), 2), case(F(1, 2, 3, 4), 2, 1))
entry("max_pool1d", lambda x, *a: pooled(np.max, x, *a), "?Bbhilewfd", (-9.0, 9.0),
      case(F(1, 2, 6), 2))
entry("max_pool2d", lambda x, *a: pooled(np.max, x, *a), "?Bbhilewfd", (-9.0, 9.0),
      case(F(1, 1, 4, 4), 2), case(F(1, 2, 3, 4), 2, 1))
entry("adaptive_avg_pool1d", lambda x, m: x.reshape(*x.shape[:2], m, -1).mean(3), FLOAT,
      (-2.0, 2.0), case(F(1, 2, 6), 3))
entry("interpolate", lambda x: x.repeat(2, 2), "?Bbhilewfd", (-2.0, 2.0), case(F(1, 2, 3)),
      call=lambda s, x: s.nn.functional.interpolate(x, scale_factor=2))
entry("pixel_shuffle", lambda x, r: x.reshape(len(x), -1, r, r, *x.shape[2:]).transpose(
      0, 1, 4, 2, 5, 3).reshape(len(x), -1, x.shape[2] * r, x.shape[3] * r), "?Bbhilewfd",
      (-2.0, 2.0), case(F(1, 4, 2, 3), 2))
entry("group_norm", group_norm, FLOAT, (-2.0, 2.0), case(F(2, 4), 2), case(F(1, 4, 3), 2))
entry("scaled_dot_product_attention", attention, FLOAT, (-2.0, 2.0),
      case(F(2, 3), F(4, 3), F(4, 2)), case(F(1, 2, 3), F(1, 2, 3), F(1, 2, 3)))
entry("soft_margin_loss", lambda x: np.mean(np.logaddexp(0, -x)), FLOAT, (-2.0, 2.0), case(F(7)),
      call=lambda s, x: s.nn.functional.soft_margin_loss(x, s.ones_like(x).detach()))
entry("poisson_nll_loss", lambda x, y: np.mean(np.exp(x) - y * x), "-fffffewfd", (-2.0, 2.0),
      case(F(7), F(7)))
