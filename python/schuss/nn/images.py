"""Images resized, sampled at places of a grid, and rearranged between channels and pixels.
Leans on nn.windows and the core's gathers."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import schuss
from schuss import _core
from schuss.nn.windows import _even_mean

if TYPE_CHECKING:
    from typing import Any

# ---- resizing ------------------------------------------------------------------------------------

_MODES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "bicubic": (2,),
    "trilinear": (3,),
    "area": (1, 2, 3),
}


def _cubic(x, a=-0.75):
    """Keys's cubic kernel (1981)."""
    x = abs(x)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0


def _taps(mode, n, m, scale, align):
    """For each of m places the elements it is made of, of n, and their weights: lists of lists."""
    indices, weights = [], []
    for i in range(m):
        if mode.startswith("nearest"):
            at = i + 0.5 if mode == "nearest-exact" else i
            indices.append([min(math.floor(at * scale), n - 1)])
            weights.append([1.0])
            continue
        place = i * scale if align else (i + 0.5) * scale - 0.5
        if mode == "cubic":
            low = math.floor(place)
            indices.append([min(max(low + k, 0), n - 1) for k in (-1, 0, 1, 2)])
            weights.append([_cubic(place - low - k) for k in (-1, 0, 1, 2)])
        else:
            place = max(place, 0.0)
            low = min(int(place), n - 1)
            indices.append([low, min(low + 1, n - 1)])
            weights.append([1.0 - (place - low), place - low])
    return indices, weights


def _smooth(mode, n, m, scale):
    """The weights of every element for every place, the kernel widened where the image shrinks."""
    reach = 2.0 if mode == "cubic" else 1.0
    wide = max(scale, 1.0)
    kernel = (lambda x: _cubic(x, -0.5)) if mode == "cubic" else (lambda x: max(1.0 - abs(x), 0.0))
    rows = []
    for i in range(m):
        centre = scale * (i + 0.5)
        low = max(int(centre - reach * wide + 0.5), 0)
        high = min(int(centre + reach * wide + 0.5), n)
        row = [kernel((j + 0.5 - centre) / wide) if low <= j < high else 0.0 for j in range(n)]
        total = sum(row)
        rows.append([w / total if total else 0.0 for w in row])
    return rows


def _between(x, axis, times):
    """For each place within an element its value on the line to the neighbour it is nearer to."""
    n = x.shape[axis]
    first, last = x.narrow(axis, 0, 1), x.narrow(axis, n - 1, 1)
    before = _core.cat([first, x.narrow(axis, 0, n - 1)], axis)
    after = _core.cat([x.narrow(axis, 1, n - 1), last], axis)
    parts = []
    for i in range(times):
        off = (i + 0.5) / times - 0.5
        other = before if off < 0 else after
        parts.append(x if off == 0 else x * (1.0 - abs(off)) + other * abs(off))
    return parts


def _resized(x, axis, m, mode, scale, align, antialias):
    n = x.shape[axis]
    if antialias:
        if align:
            scale = (n - 1) / (m - 1) if m > 1 else 0.0
        weights = _core.tensor(_smooth(mode, n, m, scale), dtype=x.dtype, device=x.device)
        return (x.movedim(axis, -1) @ weights.transpose(0, 1)).movedim(-1, axis)
    if align:
        scale = (n - 1) / (m - 1) if m > 1 else 0.0
    if m % n == 0 and mode != "cubic" and not align and abs(scale * m - n) < 1e-9 * n:
        times = m // n
        parts = _between(x, axis, times) if mode == "linear" else [x] * times
        return schuss.stack(parts, axis + 1).reshape(*x.shape[:axis], m, *x.shape[axis + 1 :])
    indices, weights = _taps(mode, n, m, scale, align)
    shape = [1] * x.ndim
    shape[axis] = m
    found = None
    for k in range(len(indices[0])):
        at = _core.tensor([row[k] for row in indices], dtype=_core.int64, device=x.device)
        part = _core._take_at([x, at], [axis], False, True)
        if mode.startswith("nearest"):
            return part
        share = _core.tensor([row[k] for row in weights], dtype=x.dtype, device=x.device)
        part = part * share.reshape(shape)
        found = part if found is None else found + part
    return found


def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """Images (batch, channels, sizes...) resized to `size`, or by a factor.

    Modes: "nearest", "nearest-exact", "linear", "bilinear", "bicubic" (Keys 1981), "trilinear",
    "area". With `align_corners` the corner elements keep their places.

    >>> import schuss
    >>> schuss.nn.functional.interpolate(schuss.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    d = input.ndim - 2
    if mode not in _MODES:
        raise NotImplementedError(f"interpolate: unknown mode {mode!r}; use one of {list(_MODES)}")
    if d not in _MODES[mode]:
        raise NotImplementedError(
            f"interpolate: mode {mode!r} resizes {_MODES[mode]} axes, got {tuple(input.shape)}"
        )
    smooth = mode in ("linear", "bilinear", "bicubic", "trilinear")
    if align_corners is not None and not smooth:
        raise ValueError(f"interpolate: align_corners does not go with mode {mode!r}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError("interpolate: antialias goes with bilinear and bicubic alone")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: needs one of size and scale_factor")
    sizes = list(input.shape[2:])
    given = size if size is not None else scale_factor
    listed = list(given) if isinstance(given, (tuple, list)) else [given] * d
    if len(listed) != d:
        raise ValueError(f"interpolate: needs one number or {d}, got {listed}")
    if size is not None:
        wanted, factors = [int(m) for m in listed], [None] * d
    else:
        wanted = [math.floor(n * f) for n, f in zip(sizes, listed, strict=True)]
        factors = [None] * d if recompute_scale_factor else listed
    if any(m < 1 for m in wanted) or any(n < 1 for n in sizes):
        raise RuntimeError(f"interpolate: cannot resize {tuple(sizes)} to {tuple(wanted)}")
    x: Any = input
    kind = "cubic" if mode == "bicubic" else mode if mode.startswith("nearest") else "linear"
    for axis, (m, f) in enumerate(zip(wanted, factors, strict=True)):
        if mode == "area":
            x = _even_mean(x, 2 + axis, m)
        else:
            n = sizes[axis]
            scale = 1.0 / f if f else n / m
            x = _resized(x, 2 + axis, m, kind, scale, bool(align_corners), antialias)
    return x.clone() if x is input else x


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """`interpolate` by its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """`interpolate` with mode "nearest"."""
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    """`interpolate` with mode "bilinear" and corners that keep their places."""
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# ---- sampling at places --------------------------------------------------------------------------


def _placed(x, n, align):
    """Places from -1 to 1 as positions on an axis of n elements."""
    return (x + 1) / 2 * (n - 1) if align else ((x + 1) * n - 1) / 2


def _reflected(x, n, align):
    low, span = (0.0, n - 1.0) if align else (-0.5, float(n))
    if span == 0:
        return x * 0
    x = (x - low).abs()
    rest = x.fmod(span)
    turns = (x.detach() / span).floor() % 2
    return _core._where(turns == 0, rest + low, span - rest + low)


def _kept(x, n, padding, align):
    """Positions brought into the image, as the padding asks."""
    if padding == "zeros":
        return x
    x = _reflected(x, n, align) if padding == "reflection" else x
    return x.clamp(0, n - 1)


def _looked_up(x, at):
    """Elements at whole positions (one tensor for each axis), 0 outside of the image."""
    sizes = x.shape[2:]
    inside: Any = None
    flat: Any = None
    for i, n in zip(at, sizes, strict=True):
        here = (i >= 0) & (i <= n - 1)
        inside = here if inside is None else inside & here
        step = i.detach().nan_to_num(0.0).clamp(0, n - 1).long()
        flat = step if flat is None else flat * n + step
    batch, channels = x.shape[:2]
    rows = flat.reshape(batch, 1, -1).expand(batch, channels, flat.numel() // max(batch, 1))
    found = _core._gather(x.reshape(batch, channels, -1), rows, 2)
    found = found.reshape(batch, channels, *flat.shape[1:])
    return found * inside.unsqueeze(1).to(x.dtype)


def _cubic_weights(t, a=-0.75):
    """Keys's weights of the four neighbours at distances t + 1, t, 1 - t and 2 - t."""

    def near(x):
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x):
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """Images sampled at places (batch, places..., axes) from -1 to 1, the last axis named first.

    Modes "bilinear", "nearest" and "bicubic"; outside of the image are "zeros",
    its "border", or its "reflection" (Jaderberg et al. 2015).

    >>> import schuss
    >>> middle = schuss.zeros(1, 1, 1, 2)
    >>> schuss.nn.functional.grid_sample(schuss.ones(1, 1, 3, 3), middle, align_corners=True)
    tensor([[[[1.]]]])
    """
    d = input.ndim - 2
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(f"grid_sample: mode is 'bilinear', 'nearest' or 'bicubic', not {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            f"grid_sample: padding_mode is 'zeros', 'border' or 'reflection', not {padding_mode!r}"
        )
    if d not in (2, 3) or grid.ndim != input.ndim or grid.shape[-1] != d:
        raise RuntimeError(
            f"grid_sample: an image {tuple(input.shape)} and places {tuple(grid.shape)} do not fit"
        )
    if grid.shape[0] != input.shape[0]:
        raise RuntimeError(
            f"grid_sample: batches of {input.shape[0]} images and {grid.shape[0]} grids differ"
        )
    if any(n == 0 for n in input.shape[2:]):
        raise RuntimeError(f"grid_sample: the image {tuple(input.shape)} has no elements")
    align = bool(align_corners)
    sizes = list(input.shape[2:])
    at = [_placed(grid[..., d - 1 - i], n, align) for i, n in enumerate(sizes)]
    if mode == "bicubic":
        low = [x.detach().floor() for x in at]
        weights = [_cubic_weights(x - f) for x, f in zip(at, low, strict=True)]
        found = 0
        for taps in itertools.product(range(4), repeat=d):
            spot = [
                _kept(f + (k - 1), n, padding_mode, align)
                for f, k, n in zip(low, taps, sizes, strict=True)
            ]
            scale: Any = 1.0
            for w, k in zip(weights, taps, strict=True):
                scale = scale * w[k]
            found = found + _looked_up(input, spot) * scale.unsqueeze(1)
        return found
    at = [_kept(x, n, padding_mode, align) for x, n in zip(at, sizes, strict=True)]
    if mode == "nearest":
        return _looked_up(input, [x.detach().round() for x in at])
    low = [x.detach().floor() for x in at]
    part = [x - f for x, f in zip(at, low, strict=True)]
    found = 0
    for corner in range(2**d):
        up = [(corner >> i) & 1 for i in range(d)]
        scale: Any = 1.0
        for u, p in zip(up, part, strict=True):
            scale = scale * (p if u else 1 - p)
        spot = [f + u for f, u in zip(low, up, strict=True)]
        found = found + _looked_up(input, spot) * scale.unsqueeze(1)
    return found


_NUMBERED = (("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"))


def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    """`grid_sample` with its modes as numbers."""
    mode, padding = _NUMBERED[0][interpolation_mode], _NUMBERED[1][padding_mode]
    return grid_sample(input, grid, mode, padding, align_corners)


grid_sampler_2d = grid_sampler_3d = grid_sampler


def affine_grid(theta, size, align_corners=None):
    """The places that affine maps (batch, axes, axes + 1) give to every element of an image.

    >>> import schuss
    >>> same = schuss.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> schuss.nn.functional.affine_grid(same, (1, 1, 1, 1)).shape
    schuss.Size([1, 1, 1, 2])
    """
    sizes = list(size)[2:]
    d = len(sizes)
    if tuple(theta.shape[1:]) != (d, d + 1) or d not in (2, 3):
        raise ValueError(
            f"affine_grid: maps {tuple(theta.shape)} and a size of {d} axes do not fit"
        )
    lines = []
    for axis, n in enumerate(sizes):
        step = 1.0 if align_corners or n == 0 else (n - 1) / n
        line = _core.linspace(-1.0, 1.0, n, dtype=theta.dtype, device=theta.device) * step
        line = line * 0 if n == 1 else line
        shape = [1] * d
        shape[axis] = n
        lines.append(line.reshape(shape).expand(sizes))
    wide = [*reversed(lines), _core.ones(*sizes, dtype=theta.dtype, device=theta.device)]
    base = _core._stack(wide, -1).reshape(1, -1, d + 1)
    return (base @ theta.transpose(1, 2)).reshape(theta.shape[0], *sizes, d)


# ---- channels and pixels -------------------------------------------------------------------------


def pixel_shuffle(input, upscale_factor):
    """Channels rearranged to pixels: (c r r, h, w) to (c, h r, w r) (Shi et al. 2016).

    >>> import schuss
    >>> schuss.nn.functional.pixel_shuffle(schuss.ones(1, 4, 2, 2), 2).shape
    schuss.Size([1, 1, 4, 4])
    """
    r = upscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-3] % (r * r):
        raise RuntimeError(
            f"pixel_shuffle: {tuple(input.shape)} has no channels in blocks of {r * r}"
        )
    *lead, c, h, w = input.shape
    x = input.reshape(*lead, c // (r * r), r, r, h, w)
    n = len(lead)
    order = [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    return x.permute(order).reshape(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(input, downscale_factor):
    """Pixels rearranged to channels: (c, h r, w r) to (c r r, h, w).

    >>> import schuss
    >>> schuss.nn.functional.pixel_unshuffle(schuss.ones(1, 1, 4, 4), 2).shape
    schuss.Size([1, 4, 2, 2])
    """
    r = downscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-1] % r or input.shape[-2] % r:
        raise RuntimeError(
            f"pixel_unshuffle: the pixels of {tuple(input.shape)} do not fall into blocks of {r}"
        )
    *lead, c, h, w = input.shape
    x = input.reshape(*lead, c, h // r, r, w // r, r)
    n = len(lead)
    order = [*range(n), n, n + 2, n + 4, n + 1, n + 3]
    return x.permute(order).reshape(*lead, c * r * r, h // r, w // r)


def channel_shuffle(input, groups):
    """The channels of several groups dealt out in turn (Zhang et al. 2018).

    >>> import schuss
    >>> schuss.nn.functional.channel_shuffle(schuss.arange(4).reshape(1, 4, 1), 2).flatten()
    tensor([0, 2, 1, 3])
    """
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise RuntimeError(
            f"channel_shuffle: {tuple(input.shape)} has no channels in {groups} groups"
        )
    n, c, *rest = input.shape
    x = input.reshape(n, groups, c // groups, *rest)
    return x.transpose(1, 2).reshape(input.shape)
