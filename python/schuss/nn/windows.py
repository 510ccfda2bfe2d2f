"""Windows on images: convolutions, poolings, unfolding, each for one, two and three axes.
Leans on the core's records of windows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import _core
from schuss.naming import given, must_float, rename

if TYPE_CHECKING:
    from typing import Any

# ---- sizes ---------------------------------------------------------------------------------------


def _each(op, name, value, d):
    """One integer for each of d axes, from one number or from as many."""
    if isinstance(value, (tuple, list)):
        listed = [int(v) for v in value]
        if len(listed) == 1:
            listed = listed * d
        if len(listed) != d:
            raise RuntimeError(f"{op}: {name} must be one number or {d}, got {tuple(value)}")
        return listed
    return [int(value)] * d


def _batched(op, input, d):
    """The image with a batch axis, and whether it had none."""
    if input.ndim not in (d + 1, d + 2):
        raise schuss.ShapeError(
            f"{op}: needs {d + 1} or {d + 2} axes (batch, channels, sizes), got"
            f" {tuple(input.shape)}"
        )
    return (input, False) if input.ndim == d + 2 else (input.unsqueeze(0), True)


def _floats(op, x):
    must_float(op, x)


def _places(op, sizes, kernel, stride, padding, dilation, ceil):
    """How many windows each axis holds; with `ceil` the last may hang over the end."""
    found = []
    for n, k, s, p, gap in zip(sizes, kernel, stride, padding, dilation, strict=True):
        if k < 1 or s < 1 or gap < 1:
            raise RuntimeError(f"{op}: kernel {k}, stride {s} and dilation {gap} must be positive")
        if p < 0 or p > k * gap // 2:
            raise RuntimeError(f"{op}: padding {p} must be from 0 to half of the kernel size {k}")
        room = n + 2 * p - gap * (k - 1) - 1
        count = -(-room // s) + 1 if ceil else room // s + 1
        if ceil and (count - 1) * s >= n + p:
            count -= 1
        if count < 1:
            raise RuntimeError(f"{op}: a kernel of {k} does not fit an axis of size {n}")
        found.append(count)
    return found


# ---- convolutions --------------------------------------------------------------------------------


def _same(op, input, kernel, stride, dilation):
    """The image padded so that the result has its size."""
    if any(s != 1 for s in stride):
        raise RuntimeError(f"{op}: padding='same' needs stride 1, got {tuple(stride)}")
    widths = []
    for k, gap in zip(reversed(kernel), reversed(dilation), strict=True):
        whole = gap * (k - 1)
        widths += [whole // 2, whole - whole // 2]
    return schuss.nn.functional.pad(input, widths) if any(widths) else input


def _convolution(d) -> Any:
    name = f"conv{d}d"

    def conv(
        input,
        weight,
        bias=None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups=1,
    ):
        x, alone = _batched(name, input, d)
        if bias is not None and bias.dtype != input.dtype:
            raise _core.DTypeError(
                f"{name}: the input is {input.dtype.name}, the bias {bias.dtype.name}; convert one"
            )
        if weight.ndim != d + 2:
            raise RuntimeError(
                f"{name}: the weight must have {d + 2} axes (out, in / groups, sizes), got"
                f" {tuple(weight.shape)}"
            )
        stride = _each(name, "stride", stride, d)
        dilation = _each(name, "dilation", dilation, d)
        if any(v < 1 for v in (*stride, *dilation)):
            raise RuntimeError(f"{name}: stride and dilation must be positive")
        if padding == "same":
            x, padding = _same(name, x, weight.shape[2:], stride, dilation), 0
        elif padding == "valid":
            padding = 0
        elif isinstance(padding, str):
            raise RuntimeError(f"{name}: padding is 'same', 'valid' or numbers, not {padding!r}")
        padding = _each(name, "padding", padding, d)
        if any(v < 0 for v in padding):
            raise RuntimeError(f"{name}: padding must not be negative, got {tuple(padding)}")
        needed = x.requires_grad or weight.requires_grad
        if bias is None and _core.is_grad_enabled() and needed and x.device.type != "cpu":
            # With one the result is a tensor of its own, and may be written in place.
            bias = _core.zeros(weight.shape[0], dtype=weight.dtype, device=weight.device)
        try:
            found = _core._convolution(x, weight, bias, stride, padding, dilation, groups)
        except Exception as error:
            rename(error, name)
            raise
        return found.squeeze(0) if alone else found

    conv.__name__ = conv.__qualname__ = name
    conv.__doc__ = f"""The cross-correlation of images with kernels over the last {d} axes.

    input (batch, channels, sizes...) or without batch, weight (out, channels / groups, sizes...);
    `padding` may be "same" or "valid". RuntimeError where the shapes do not fit.
    """
    return conv


conv1d, conv2d, conv3d = _convolution(1), _convolution(2), _convolution(3)


def conv_tbc(input, weight, bias, pad=0):
    """`conv1d` of (time, batch, channels) with weights (size, in, out).

    >>> import schuss
    >>> one = schuss.ones(3, 1, 1)
    >>> schuss.nn.functional.conv_tbc(one, schuss.ones(2, 1, 1), schuss.zeros(1)).flatten()
    tensor([2., 2.])
    """
    found = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return found.permute(2, 0, 1)


def _transposed(d) -> Any:
    name = f"conv_transpose{d}d"

    def conv(
        input,
        weight,
        bias=None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups=1,
        dilation: Any = 1,
    ):
        x, alone = _batched(name, input, d)
        try:
            found = _core._convolution_transpose(
                x,
                weight,
                bias,
                _each(name, "stride", stride, d),
                _each(name, "padding", padding, d),
                _each(name, "output_padding", output_padding, d),
                _each(name, "dilation", dilation, d),
                groups,
            )
        except Exception as error:
            rename(error, name)
            raise
        return found.squeeze(0) if alone else found

    conv.__name__ = conv.__qualname__ = name
    conv.__doc__ = f"""The transpose of `conv{d}d` as a map of images (Zeiler et al. 2010).

    input (batch, channels, sizes...) or without batch, weight (channels, out / groups, sizes...).
    """
    return conv


conv_transpose1d, conv_transpose2d, conv_transpose3d = (_transposed(d) for d in (1, 2, 3))


def unfold(input, kernel_size, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
    """The windows of images (batch, channels, height, width) as columns (batch, c * k, places).

    >>> import schuss
    >>> schuss.nn.functional.unfold(schuss.ones(1, 1, 3, 3), 2).shape
    schuss.Size([1, 4, 4])
    """
    x, alone = _batched("unfold", input, 2)
    kernel, dilation, padding, stride = (
        _each("unfold", what, value, 2)
        for what, value in (
            ("kernel_size", kernel_size),
            ("dilation", dilation),
            ("padding", padding),
            ("stride", stride),
        )
    )
    found = _core._unfold_windows(x, kernel, stride, padding, dilation)
    n, c, kh, kw, h, w = found.shape
    found = found.reshape(n, c * kh * kw, h * w)
    return found.squeeze(0) if alone else found


def fold(input, output_size, kernel_size, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
    """Columns (batch, c * k, places) added up to images (batch, channels, height, width).

    >>> import schuss
    >>> columns = schuss.nn.functional.unfold(schuss.ones(1, 1, 2, 2), 1)
    >>> schuss.nn.functional.fold(columns, (2, 2), 1).shape
    schuss.Size([1, 1, 2, 2])
    """
    x = input.unsqueeze(0) if input.ndim == 2 else input
    size, kernel, dilation, padding, stride = (
        _each("fold", what, value, 2)
        for what, value in (
            ("output_size", output_size),
            ("kernel_size", kernel_size),
            ("dilation", dilation),
            ("padding", padding),
            ("stride", stride),
        )
    )
    counts = [
        (n + 2 * p - gap * (k - 1) - 1) // s + 1
        for n, k, gap, p, s in zip(size, kernel, dilation, padding, stride, strict=True)
    ]
    if x.ndim != 3 or x.shape[1] % math.prod(kernel) or x.shape[2] != math.prod(counts):
        raise RuntimeError(
            f"fold: columns {tuple(input.shape)} do not fit kernels {tuple(kernel)} at"
            f" {tuple(counts)} places"
        )
    x = x.reshape(x.shape[0], x.shape[1] // math.prod(kernel), *kernel, *counts)
    found = _core._fold_windows(x, size, kernel, stride, padding, dilation)
    return found.squeeze(0) if input.ndim == 2 else found


# ---- means ---------------------------------------------------------------------------------------


def _mean_pool(d):
    name = f"avg_pool{d}d"

    def pool(
        input,
        kernel_size,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
        *,
        out=None,
    ):
        x, alone = _batched(name, input, d)
        _floats(name, x)
        kernel = _each(name, "kernel_size", kernel_size, d)
        none = stride is None or (isinstance(stride, (tuple, list)) and not stride)
        stride = kernel if none else _each(name, "stride", stride, d)
        padding = _each(name, "padding", padding, d)
        if divisor_override == 0:
            raise RuntimeError(f"{name}: divisor_override must not be 0")
        sizes = list(x.shape[2:])
        counts = _places(name, sizes, kernel, stride, padding, [1] * d, ceil_mode)
        divisor = None if divisor_override is None else float(divisor_override)
        found = _core._mean_windows(x, counts, kernel, stride, padding, count_include_pad, divisor)
        return given(name, found.squeeze(0) if alone else found, out)

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = f"The mean of every window on the last {d} axes."
    return pool


avg_pool1d, avg_pool2d, avg_pool3d = _mean_pool(1), _mean_pool(2), _mean_pool(3)


def _power_pool(d):
    def pool(input, norm_type, kernel_size, stride=None, ceil_mode=False):
        kernel = _each(f"lp_pool{d}d", "kernel_size", kernel_size, d)
        mean = (avg_pool1d, avg_pool2d, avg_pool3d)[d - 1]
        total = mean(input.pow(norm_type), kernel, stride, 0, ceil_mode) * math.prod(kernel)
        return total.pow(1.0 / norm_type)

    pool.__name__ = pool.__qualname__ = f"lp_pool{d}d"
    pool.__doc__ = f"The p-norm of every window on the last {d} axes."
    return pool


lp_pool1d, lp_pool2d, lp_pool3d = _power_pool(1), _power_pool(2), _power_pool(3)


def _wanted(op, output_size, sizes):
    listed = output_size if isinstance(output_size, (tuple, list)) else [output_size] * len(sizes)
    if len(listed) != len(sizes):
        raise RuntimeError(f"{op}: output_size must be one number or {len(sizes)}, got {listed}")
    listed = [n if m is None else int(m) for m, n in zip(listed, sizes, strict=True)]
    if any(m < 0 for m in listed):
        raise RuntimeError(f"{op}: output sizes must not be negative, got {tuple(listed)}")
    if any(n == 0 for n in sizes) and math.prod(listed):
        raise RuntimeError(f"{op}: an image of sizes {tuple(sizes)} has no elements to pool")
    return listed


def _shares(n, m):
    """The m windows that cover an axis of n elements as evenly as whole numbers allow."""
    return [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


def _even_mean(x, axis, m):
    """One axis pooled to m means."""
    n = x.shape[axis]
    if n == m:
        return x
    if m and n % m == 0:
        blocks = x.reshape(*x.shape[:axis], m, n // m, *x.shape[axis + 1 :])
        return blocks.mean(axis + 1)
    rows = [[1.0 / (b - a) if a <= j < b else 0.0 for j in range(n)] for a, b in _shares(n, m)]
    weights = _core.tensor(rows, dtype=x.dtype, device=x.device).reshape(m, n)
    return (x.movedim(axis, -1) @ weights.transpose(0, 1)).movedim(-1, axis)


def _adaptive_mean(d):
    name = f"adaptive_avg_pool{d}d"

    def pool(input, output_size):
        x, alone = _batched(name, input, d)
        _floats(name, x)
        for axis, m in enumerate(_wanted(name, output_size, x.shape[2:])):
            x = _even_mean(x, 2 + axis, m)
        x = x.clone() if x is input else x
        return x.squeeze(0) if alone else x

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = f"The last {d} axes pooled by means to the sizes asked for."
    return pool


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (
    _adaptive_mean(d) for d in (1, 2, 3)
)

# ---- largest elements ----------------------------------------------------------------------------


def _largest(x, spans, dilation):
    """Values and places of the windows that lists of (start, count) give for each axis."""
    starts = [a for axis in spans for a, _ in axis]
    counts = [k for axis in spans for _, k in axis]
    return _core._pool_windows(x, [len(axis) for axis in spans], starts, counts, dilation)


def _max_pool(d) -> Any:
    name = f"max_pool{d}d"

    def with_indices(
        input,
        kernel_size,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode=False,
        return_indices=True,
    ):
        x, alone = _batched(name, input, d)
        kernel = _each(name, "kernel_size", kernel_size, d)
        none = stride is None or (isinstance(stride, (tuple, list)) and not stride)
        stride = kernel if none else _each(name, "stride", stride, d)
        padding = _each(name, "padding", padding, d)
        dilation = _each(name, "dilation", dilation, d)
        if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
            raise RuntimeError(f"{name}: padding {padding} is above half of the kernel {kernel}")
        if x.shape[1] == 0:
            raise RuntimeError(
                f"{name}: no axis but the batch may be empty, got {tuple(input.shape)}"
            )
        counts = _places(name, x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
        spans = [
            [(i * s - p, k) for i in range(count)]
            for count, k, s, p in zip(counts, kernel, stride, padding, strict=True)
        ]
        found = _largest(x, spans, dilation)
        return tuple(t.squeeze(0) for t in found) if alone else tuple(found)

    def pool(
        input,
        kernel_size,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode=False,
        return_indices=False,
    ):
        found = with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
        return found if return_indices else found[0]

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = (
        f"The largest element of every window on the last {d} axes; with `return_indices` also"
        "\n    its place in the flattened sizes."
    )
    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = f"`{name}`, values and places."
    return pool, with_indices


max_pool1d, max_pool1d_with_indices = _max_pool(1)
max_pool2d, max_pool2d_with_indices = _max_pool(2)
max_pool3d, max_pool3d_with_indices = _max_pool(3)


def _adaptive_max(d):
    name = f"adaptive_max_pool{d}d"

    def with_indices(input, output_size, return_indices=True):
        x, alone = _batched(name, input, d)
        wanted = _wanted(name, output_size, x.shape[2:])
        spans = [
            [(a, b - a) for a, b in _shares(n, m)] for n, m in zip(x.shape[2:], wanted, strict=True)
        ]
        found = _largest(x, spans, [1] * d)
        return tuple(t.squeeze(0) for t in found) if alone else tuple(found)

    def pool(input, output_size, return_indices=False):
        found = with_indices(input, output_size)
        return found if return_indices else found[0]

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = f"The last {d} axes pooled by largest elements to the sizes asked for."
    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = f"`{name}`, values and places."
    return pool, with_indices


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _adaptive_max(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _adaptive_max(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _adaptive_max(3)


def _fractional(d):
    name = f"fractional_max_pool{d}d"

    def with_indices(
        input,
        kernel_size,
        output_size=None,
        output_ratio=None,
        return_indices=True,
        _random_samples=None,
    ):
        x, alone = _batched(name, input, d)
        kernel = _each(name, "kernel_size", kernel_size, d)
        sizes = x.shape[2:]
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{name}: needs one of output_size and output_ratio")
        if output_size is not None:
            wanted = _each(name, "output_size", output_size, d)
        else:
            ratio = output_ratio if isinstance(output_ratio, (tuple, list)) else [output_ratio] * d
            if any(not 0 < r < 1 for r in ratio):
                raise ValueError(f"{name}: ratios must be between 0 and 1, got {tuple(ratio)}")
            wanted = [int(n * r) for n, r in zip(sizes, ratio, strict=True)]
        for n, m, k in zip(sizes, wanted, kernel, strict=True):
            if m + k - 1 > n:
                raise RuntimeError(f"{name}: {m} windows of {k} do not fit an axis of size {n}")
        draws = _random_samples
        if draws is None:
            draws = schuss.rand(x.shape[0], x.shape[1], d, dtype=x.dtype, device=x.device)
        # The draws stand for the axes from the last to the first; devices have no float64.
        drawn = draws.detach().to("cpu", _core.float64).reshape(-1, d).flip(1)
        places = drawn.new_zeros((drawn.shape[0], *[1] * 2 * d), dtype=_core.int64)
        for axis, (n, m, k) in enumerate(zip(sizes, wanted, kernel, strict=True)):
            first = _starts(n, m, k, drawn[:, axis : axis + 1]).unsqueeze(2)
            spots = first + _core.arange(k, device="cpu")
            # Windows along the first d axes, what is in each along the others.
            shape = [spots.shape[0], *[1] * 2 * d]
            shape[1 + axis], shape[1 + d + axis] = m, k
            places = places * n + spots.reshape(shape)
        places = places.reshape(*x.shape[:2], math.prod(wanted), math.prod(kernel)).to(x.device)
        inside = x.flatten(2).gather(2, places.flatten(2)).reshape(places.shape)
        values, which = inside.max(3)
        indices = places.gather(3, which.unsqueeze(3)).squeeze(3)
        found = tuple(t.reshape(*x.shape[:2], *wanted) for t in (values, indices))
        return tuple(t.squeeze(0) for t in found) if alone else found

    def pool(
        input,
        kernel_size,
        output_size=None,
        output_ratio=None,
        return_indices=False,
        _random_samples=None,
    ):
        found = with_indices(input, kernel_size, output_size, output_ratio, True, _random_samples)
        return found if return_indices else found[0]

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = f"The largest elements of windows at random distances (Graham 2014), {d} axes."
    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = f"`{name}`, values and places."
    return pool, with_indices


def _starts(n, m, k, u):
    """Where m windows of k elements begin on an axis of n, at a pseudo-random step, for each u."""
    last = u.new_full(u.shape, n - k).long()
    if m == 1:
        return last
    step = (n - k) / (m - 1)
    turns = _core.arange(m - 1, device=u.device)
    first = ((turns + u) * step).long() - (u * step).long()
    return _core.cat([first, last], 1)


fractional_max_pool2d, fractional_max_pool2d_with_indices = _fractional(2)
fractional_max_pool3d, fractional_max_pool3d_with_indices = _fractional(3)


def _unpool(d):
    name = f"max_unpool{d}d"

    def unpool(
        input, indices, kernel_size, stride: Any = None, padding: Any = 0, output_size: Any = None
    ):
        x, alone = _batched(name, input, d)
        if indices.dtype != _core.int64:
            raise RuntimeError(f"{name}: indices must be int64, got {indices.dtype}")
        if indices.shape != input.shape:
            raise RuntimeError(
                f"{name}: input {tuple(input.shape)} and indices {tuple(indices.shape)} differ"
            )
        kernel = _each(name, "kernel_size", kernel_size, d)
        stride = kernel if stride is None else _each(name, "stride", stride, d)
        padding = _each(name, "padding", padding, d)
        if any(s < 1 for s in stride):
            raise RuntimeError(f"{name}: strides must be positive, got {tuple(stride)}")
        if output_size is None:
            sizes = [
                (n - 1) * s - 2 * p + k
                for n, k, s, p in zip(x.shape[2:], kernel, stride, padding, strict=True)
            ]
        else:
            sizes = [int(n) for n in list(output_size)[-d:]]
        area = math.prod(sizes)
        places = indices.reshape(*x.shape[:2], -1)
        # Below 0 a place would count from the end, which here it must not.
        places = places.masked_fill(places < 0, area)
        blank = _core.zeros(*x.shape[:2], area, dtype=x.dtype, device=x.device)
        found = _core._scatter(blank, places, x.reshape(*x.shape[:2], -1), 2)
        found = found.reshape(*x.shape[:2], *sizes)
        return found.squeeze(0) if alone else found

    unpool.__name__ = unpool.__qualname__ = name
    unpool.__doc__ = f"Elements put back where `max_pool{d}d` found them, 0 elsewhere."
    return unpool


max_unpool1d, max_unpool2d, max_unpool3d = _unpool(1), _unpool(2), _unpool(3)
