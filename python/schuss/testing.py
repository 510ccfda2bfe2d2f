"""What tests need: closeness by dtype, made-up tensors, and gradients against central differences.

Leans on the public names of schuss and on NumPy; nothing else in the package leans on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import schuss
from schuss import Tensor
from schuss.naming import warn

__all__ = [
    "GradcheckError",
    "assert_allclose",
    "assert_close",
    "gradcheck",
    "gradgradcheck",
    "make_tensor",
    "tolerance",
]


class GradcheckError(RuntimeError):
    """Raised when a gradient differs from the slope that was measured."""


def tolerance(*dtypes: Any) -> tuple[float, float]:
    """Return the relative and absolute tolerance that fit the coarsest of the dtypes.

    >>> schuss.testing.tolerance(schuss.float32)
    (1.3e-06, 1e-05)
    >>> schuss.testing.tolerance(schuss.int64)
    (0.0, 0.0)
    """
    table = {
        schuss.float64: (1e-7, 1e-7),
        schuss.complex128: (1e-7, 1e-7),
        schuss.float32: (1.3e-6, 1e-5),
        schuss.complex64: (1.3e-6, 1e-5),
        schuss.float16: (1e-3, 1e-5),
        schuss.bfloat16: (1.6e-2, 1e-5),
    }
    return max((table.get(dtype, (0.0, 0.0)) for dtype in dtypes), default=(0.0, 0.0))


def _values(x: Tensor) -> np.ndarray:
    """A NumPy array that holds every value exactly: floats as float64, the rest as they are."""
    x = x.detach().cpu()
    if x.is_complex():
        return x.to(schuss.complex128).numpy()
    return (x.to(schuss.float64) if x.is_floating_point() else x).numpy()


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless ``|actual - expected| <= atol + rtol * |expected|`` everywhere.

    Tensors, arrays, numbers, and sequences and mappings of them are compared part by part;
    tolerances come from :func:`tolerance` unless both are given (ValueError if only one is).

    >>> schuss.testing.assert_close(schuss.tensor([1.0, 2.0]), schuss.tensor([1.0, 2.0 + 1e-7]))
    """
    if (rtol is None) != (atol is None):
        raise ValueError("assert_close: give both rtol and atol, or neither")
    how = (rtol, atol, equal_nan, check_device, check_dtype, check_stride)
    fault = _difference(actual, expected, how)
    if fault:
        raise AssertionError(msg(fault) if callable(msg) else f"{msg}\n{fault}" if msg else fault)


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """The older form of assert_close, which minds neither dtypes nor devices.

    >>> schuss.testing.assert_allclose(schuss.ones(2), schuss.ones(2, dtype=schuss.float64))
    """
    assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_device=False,
        check_dtype=False,
        msg=msg or None,
    )


def _difference(actual: Any, expected: Any, how: tuple) -> str:
    """What differs between the two, in words; empty when they are close."""
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if actual.keys() != expected.keys():
            return f"keys differ: {list(actual)} and {list(expected)}"
        pairs = [(key, actual[key], expected[key]) for key in actual]
    elif isinstance(actual, Sequence) and isinstance(expected, Sequence):
        if isinstance(actual, str) or isinstance(expected, str):
            return "" if actual == expected else f"{actual!r} is not {expected!r}"
        if len(actual) != len(expected):
            return f"lengths differ: {len(actual)} and {len(expected)}"
        pairs = list(zip(range(len(actual)), actual, expected, strict=True))
    else:
        return _compare(actual, expected, how)
    for key, a, e in pairs:
        fault = _difference(a, e, how)
        if fault:
            return f"at [{key!r}]: {fault}"
    return ""


def _compare(actual: Any, expected: Any, how: tuple) -> str:
    rtol, atol, equal_nan, check_device, check_dtype, check_stride = how
    if actual is None or expected is None:
        return "" if actual is expected else f"{actual!r} is not {expected!r}"
    bare = isinstance(expected, (int, float, complex, list, tuple)) and isinstance(actual, Tensor)
    a = schuss.as_tensor(actual)
    e = schuss.as_tensor(expected, dtype=a.dtype) if bare else schuss.as_tensor(expected)
    if a.shape != e.shape:
        return f"shapes differ: {tuple(a.shape)} and {tuple(e.shape)}"
    if check_dtype and a.dtype != e.dtype:
        return f"dtypes differ: {a.dtype} and {e.dtype}"
    if check_device and a.device != e.device:
        return f"devices differ: {a.device} and {e.device}"
    if check_stride and a.stride() != e.stride():
        return f"strides differ: {a.stride()} and {e.stride()}"
    if rtol is None or atol is None:
        rtol, atol = tolerance(a.dtype, e.dtype)
    x, y = _values(a), _values(e)
    with np.errstate(all="ignore"):
        kind = np.complex128 if "c" in x.dtype.kind + y.dtype.kind else np.float64
        gap = np.abs(x.astype(kind) - y.astype(kind))
        near = np.isfinite(y) & (gap <= atol + rtol * np.abs(y.astype(kind)))
        far = (x != y) & ~near
        if equal_nan:
            far &= ~(np.isnan(x) & np.isnan(y))
    if not far.any():
        return ""
    first = tuple(int(i) for i in np.argwhere(far)[0])
    worst = float(np.nanmax(np.where(far, gap, 0.0))) if not np.isnan(gap[far]).all() else math.nan
    return (
        f"{int(far.sum())} of {far.size} elements differ, the first at {first}: "
        f"{x[first].item()!r} and {y[first].item()!r}; greatest difference {worst:.3g}, "
        f"allowed {atol:.3g} + {rtol:.3g} * |expected|"
    )


def make_tensor(
    *shape: int | Sequence[int],
    dtype: Any,
    device: Any = None,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
) -> Tensor:
    """Return a tensor of uniform random numbers in ``[low, high)``, drawn with schuss's generator.

    Of complex numbers both parts are.

    Floats default to [-9, 9), signed integers to [-9, 10), uint8 to [0, 10), bool to both values.
    ``noncontiguous`` gives every second element of a larger tensor; ``exclude_zero`` replaces
    zeros by the smallest positive number of the dtype. Raises ValueError when low > high.

    >>> schuss.testing.make_tensor(2, 3, dtype=schuss.int64, low=0, high=4).shape == (2, 3)
    True
    """
    first = shape[0] if shape else ()
    size: tuple[Any, ...] = shape if isinstance(first, int) else tuple(first)
    probe = schuss.empty(0, dtype=dtype)
    if probe.is_complex():
        kind, more = probe.dtype.to_real(), {"device": device, "low": low, "high": high}
        parts = make_tensor(*size, 2, dtype=kind, exclude_zero=exclude_zero, **more)
        x = schuss.view_as_complex(parts)
        x = schuss.stack([x, x], -1).flatten(-2)[..., ::2] if noncontiguous and size else x
        return x.detach().requires_grad_(requires_grad)
    floating, boolean = probe.is_floating_point(), dtype == schuss.bool
    if low is None:
        low = 0 if boolean or dtype == schuss.uint8 else -9
    if high is None:
        high = 2 if boolean else 9 if floating else 10
    if low > high or math.isnan(low) or math.isnan(high):
        raise ValueError(f"make_tensor: low {low} is above high {high}")
    if requires_grad and not floating:
        raise ValueError(f"make_tensor: only floats can require a gradient, got {dtype}")
    spread = (*size[:-1], 2 * size[-1]) if noncontiguous and size else size
    unit = schuss.rand(spread, dtype=schuss.float64)
    x = unit * (high - low) + low
    x = (x if floating else x.floor()).to(dtype)
    if exclude_zero:
        tiny = float(schuss.finfo(dtype).tiny) if floating else 1
        x = schuss.where(x == 0, schuss.full((), tiny, dtype=dtype), x)
    x = x[..., ::2] if noncontiguous and size else x
    x = x if device is None else x.to(device)
    return x.requires_grad_(requires_grad)


def _outputs(func: Callable, inputs: tuple) -> list[Tensor]:
    """The outputs of func that have derivatives, as a list."""
    out = func(*inputs)
    out = [out] if isinstance(out, Tensor) else list(out)
    return [y for y in out if isinstance(y, Tensor) and y.dtype.to_real().is_floating_point]


def _slope(func: Callable, inputs: tuple, x: Tensor, way: np.ndarray, eps: float) -> list:
    """The central difference of every output along one direction of one input."""
    held = x.detach()
    start = _values(held).copy()

    def outputs_at(values: np.ndarray) -> list:
        held.data.copy_(schuss.from_numpy(np.asarray(values)))
        return [_values(y).copy() for y in _outputs(func, inputs)]

    try:
        up, down = outputs_at(start + eps * way), outputs_at(start - eps * way)
    finally:
        held.data.copy_(schuss.from_numpy(start))
    return [(u - d) / (2 * eps) for u, d in zip(up, down, strict=True)]


def _pull(out: Tensor, inputs: list[Tensor], cotangent: np.ndarray) -> list[np.ndarray]:
    """The gradients of one output for one cotangent; zeros where it does not depend."""
    if not out.requires_grad:
        return [np.zeros(tuple(x.shape)) for x in inputs]
    wide = np.complex128 if out.is_complex() else np.float64
    g = schuss.from_numpy(np.array(cotangent, dtype=wide)).to(out.device, out.dtype)
    grads = schuss.autograd.grad([out], inputs, [g], retain_graph=True, allow_unused=True)
    for i, (x, grad) in enumerate(zip(inputs, grads, strict=True)):
        if grad is not None and grad.shape != x.shape:
            raise GradcheckError(
                f"gradcheck: input {i} has shape {tuple(x.shape)}, its gradient {tuple(grad.shape)}"
            )
    return [
        np.zeros(tuple(x.shape)) if grad is None else _values(grad).copy()
        for x, grad in zip(inputs, grads, strict=True)
    ]


def _ways(x: Tensor, fast: bool, rng: np.random.Generator) -> list[np.ndarray]:
    """Directions to look along: each axis of the space, or one random one when fast.

    The space of complex numbers has two axes for each: the real and the imaginary one.
    """
    shape, size = tuple(x.shape), x.numel()
    if fast:
        way = np.asarray(rng.standard_normal(shape))
        turned = way + 1j * rng.standard_normal(shape) if x.is_complex() else way
        return [np.asarray(turned)] if size else []
    ways = list(np.eye(size).reshape(size, *shape))
    return [*ways, *(np.asarray(1j * way) for way in ways)] if x.is_complex() else ways


def _matrix(parts: list[np.ndarray], size: int) -> np.ndarray:
    """Arrays of one size as the rows of a matrix."""
    return np.stack([part.reshape(-1) for part in parts]) if parts else np.zeros((0, size))


def _check(func: Callable, inputs: tuple, leaves: list[Tensor], how: dict) -> None:
    eps, atol, rtol, fast = how["eps"], how["atol"], how["rtol"], how["fast_mode"]
    rng = np.random.default_rng(7)
    outs = _outputs(func, inputs)
    ways = [_ways(x, fast, rng) for x in leaves]
    measured = [
        [_slope(func, inputs, x, w, eps) for w in ws] for x, ws in zip(leaves, ways, strict=True)
    ]
    # All directions of an input as the rows of a matrix, and what each output does along them.
    rows = [_matrix(ws, x.numel()) for x, ws in zip(leaves, ways, strict=True)]
    slopes = [
        [_matrix([found[o] for found in each], out.numel()) for each in measured]
        for o, out in enumerate(outs)
    ]
    for o, out in enumerate(outs):
        for cotangent in _ways(out, fast, rng):
            pulled = _pull(out, leaves, cotangent)
            again = _pull(out, leaves, cotangent)
            for i, (grad, other) in enumerate(zip(pulled, again, strict=True)):
                if np.any(np.abs(grad - other) > how["nondet_tol"]):
                    raise GradcheckError(
                        f"gradcheck: backward gave two different gradients for input {i}"
                    )
                told = np.real(rows[i].conj() @ grad.reshape(-1))
                seen = np.real(slopes[o][i] @ cotangent.conj().reshape(-1))
                wrong = np.flatnonzero(~(np.abs(told - seen) <= atol + rtol * np.abs(seen)))
                if wrong.size:
                    k = int(wrong[0])
                    raise GradcheckError(
                        f"gradcheck: output {o} by input {i}: backward says {told[k]:.9g}, "
                        f"the measured slope is {seen[k]:.9g} "
                        f"(direction {ways[i][k].tolist()}, cotangent {cotangent.tolist()})"
                    )
    if how["check_undefined_grad"] and sum(out.requires_grad for out in outs) > 1:
        _check_absent(outs, leaves)
    if how["check_grad_dtypes"]:
        live = [out for out in outs if out.requires_grad]
        ones = [schuss.ones_like(out) for out in live]
        grads = schuss.autograd.grad(live, leaves, ones, retain_graph=True, allow_unused=True)
        for i, (x, g) in enumerate(zip(leaves, grads, strict=True)):
            if g is not None and g.dtype != x.dtype:
                raise GradcheckError(f"gradcheck: input {i} is {x.dtype}, its gradient {g.dtype}")


def _of_leaves(func: Callable, inputs: tuple, leaves: list[Tensor]) -> Callable:
    """The outputs as a function of the leaves alone."""

    def moved(*own: Tensor) -> tuple:
        rest = iter(own)
        taken = [next(rest) if any(x is leaf for leaf in leaves) else x for x in inputs]
        return tuple(_outputs(func, tuple(taken)))

    return moved


def _check_forward(func: Callable, inputs: tuple, leaves: list[Tensor], how: dict) -> None:
    """Forward mode and backward mode must be the same map, seen from its two sides."""
    rng = np.random.default_rng(5)
    at = tuple(x.detach() for x in leaves)
    ways = [_random(x, rng) for x in leaves]
    moved = _of_leaves(func, inputs, leaves)
    _, along = schuss.func.jvp(moved, at, tuple(schuss.from_numpy(way) for way in ways))
    for o, (out, slope) in enumerate(zip(_outputs(func, inputs), along, strict=True)):
        cotangent = _random(out, rng)
        seen = np.real(np.sum(cotangent.conj() * slope.detach().numpy()))
        grads = _pull(out, leaves, cotangent)
        told = sum(np.real(np.sum(way.conj() * g)) for way, g in zip(ways, grads, strict=True))
        if not abs(told - seen) <= how["atol"] + how["rtol"] * abs(seen):
            raise GradcheckError(
                f"gradcheck: output {o}: backward mode says {told:.9g}, forward mode {seen:.9g}"
            )


def _check_batched(func: Callable, inputs: tuple, leaves: list[Tensor], how: dict) -> None:
    """Several cotangents at once, under `vmap`, must give what each gives alone."""
    rng = np.random.default_rng(6)
    outs, pull = schuss.func.vjp(_of_leaves(func, inputs, leaves), *(x.detach() for x in leaves))
    both = [[_random(y, rng) for y in outs] for _ in range(2)]
    stacked = tuple(schuss.from_numpy(np.stack(pair)) for pair in zip(*both, strict=True))
    found = schuss.func.vmap(lambda *gs: pull(gs))(*stacked)
    for k, cotangents in enumerate(both):
        alone = pull(tuple(map(schuss.from_numpy, cotangents)))
        for i, (g, own) in enumerate(zip(found, alone, strict=True)):
            if not schuss.allclose(g[k], own, atol=how["atol"], rtol=how["rtol"]):
                raise GradcheckError(
                    f"gradcheck: input {i}: two cotangents at once give another gradient than one "
                    "after the other"
                )


def _random(x: Tensor, rng: np.random.Generator) -> np.ndarray:
    """Normal numbers of a tensor's shape, complex where it is."""
    made = rng.standard_normal(tuple(x.shape))
    return made + 1j * rng.standard_normal(tuple(x.shape)) if x.is_complex() else made


def _check_absent(outs: list[Tensor], leaves: list[Tensor]) -> None:
    """A cotangent that is absent must mean zeros."""
    live = [out for out in outs if out.requires_grad]
    for o, out in enumerate(live):
        full = [schuss.ones_like(y) if i == o else schuss.zeros_like(y) for i, y in enumerate(live)]
        with_zeros = schuss.autograd.grad(live, leaves, full, retain_graph=True, allow_unused=True)
        alone = _pull(out, leaves, np.ones(tuple(out.shape)))
        for i, (zero, one) in enumerate(zip(with_zeros, alone, strict=True)):
            want = 0.0 if zero is None else _values(zero)
            if not np.allclose(one, want, equal_nan=True):
                raise GradcheckError(
                    f"gradcheck: input {i}: absent cotangents beside output {o} are not zeros"
                )


def gradcheck(
    func: Callable,
    inputs: Tensor | Sequence,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
) -> bool:
    """Compare the gradients of ``func(*inputs)`` with central differences.

    Complex numbers are moved along both parts, by PyTorch's rule that a step against the gradient
    leads down.

    Every floating input that requires a gradient is moved by eps along each of its elements
    (``fast_mode``: once, along a random direction), so give float64 inputs that do not overlap
    in memory. ``check_forward_ad`` compares forward mode with backward mode, ``check_batched_grad``
    several cotangents at once with one after the other. Returns True, or raises GradcheckError
    (returns False) where they differ; ValueError when no input requires a gradient.

    >>> x = schuss.rand(3, dtype=schuss.float64, requires_grad=True)
    >>> schuss.testing.gradcheck(schuss.exp, x)
    True
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    leaves = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not leaves:
        raise ValueError("gradcheck: no input requires a gradient; use requires_grad=True")
    for i, x in enumerate(leaves):
        if x.dtype.to_real() != schuss.float64:
            warn(
                f"gradcheck: input {i} is {x.dtype}; differences need float64",
            )
        steps = zip(x.shape, x.stride(), strict=True)
        if x.numel() and any(step == 0 and size > 1 for size, step in steps):
            raise GradcheckError(f"gradcheck: input {i} overlaps itself in memory; use x.clone()")
    how = {
        "eps": eps,
        "atol": atol,
        "rtol": rtol,
        "nondet_tol": nondet_tol,
        "check_undefined_grad": check_undefined_grad,
        "check_grad_dtypes": check_grad_dtypes,
        "fast_mode": fast_mode,
    }
    try:
        with schuss.enable_grad():
            if check_backward_ad:
                _check(func, inputs, leaves, how)
            if check_forward_ad:
                _check_forward(func, inputs, leaves, how)
            if check_batched_grad:
                _check_batched(func, inputs, leaves, how)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable,
    inputs: Tensor | Sequence,
    grad_outputs: Tensor | Sequence | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
) -> bool:
    """Compare second derivatives of ``func(*inputs)`` with differences of the first ones.

    The gradients are taken for ``grad_outputs`` (random when None), which are moved as well;
    the rest is as for :func:`gradcheck`.

    >>> x = schuss.rand(3, dtype=schuss.float64, requires_grad=True)
    >>> schuss.testing.gradgradcheck(schuss.exp, x)
    True
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(11)
        cotangents = []
        for y in _outputs(func, inputs):
            shape = tuple(y.shape)
            wide = rng.standard_normal((*shape, 2))
            if y.is_complex():
                wide = wide + 1j * rng.standard_normal((*shape, 2))
            narrow = np.array(wide[..., 0])
            g = (
                schuss.from_numpy(wide)[..., 0]
                if gen_non_contig_grad_outputs
                else (schuss.from_numpy(narrow))
            )
            cotangents.append(g.detach().to(y.device).requires_grad_(True))
    else:
        given = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
        cotangents = list(given)
    count = len(inputs)

    def first(*both: Any) -> tuple:
        xs, gs = both[:count], both[count:]
        leaves = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        pairs = [(y, g) for y, g in zip(_outputs(func, xs), gs, strict=True) if y.requires_grad]
        grads = schuss.autograd.grad(
            [y for y, _ in pairs],
            leaves,
            [g for _, g in pairs],
            create_graph=True,
            allow_unused=True,
        )
        return tuple(g for g in grads if g is not None)

    return gradcheck(
        first,
        (*inputs, *cotangents),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        fast_mode=fast_mode,
    )
