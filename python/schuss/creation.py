"""Makers with many spellings: random tensors, `*_like`, grids, and the state of the generator.
Leans on the core's makers and draws."""

from __future__ import annotations

from threading import local

from schuss import _core
from schuss._core import Generator, Tensor
from schuss.formats import laid, preserve_format
from schuss.naming import given, speaks, unknown


def _sizes(op: str, size: tuple, named):
    """The shape that several arguments, one sequence, or `size=` ask for."""
    if named is not None:
        return tuple(named) if not isinstance(named, int) else (named,)
    if len(size) == 1 and not isinstance(size[0], int):
        return tuple(size[0]) if hasattr(size[0], "__iter__") else tuple(size)
    if not size:
        raise TypeError(f"{op}: needs a size, such as {op}(2, 3)")
    return size


def _beside(input, device):
    """The device that was asked for, or the input's."""
    return input.device if device is None else device


class _Own(local):
    """The generator that a thread draws from, where it is not the one that all share."""

    generator: Generator | None = None


own = _Own()


def _drawn(op, shape, kind, a, b, dtype, device, generator, requires_grad=False, out=None):
    generator = own.generator if generator is None else generator
    return _core._draw(op, shape, kind, a, b, dtype, generator, requires_grad, device, out)


def rand(
    *size,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
    **named,
):
    """Uniform numbers from [0, 1).

    >>> schuss.rand(2, 3).shape
    schuss.Size([2, 3])
    """
    shape = _sizes("rand", size, _named("rand", named))
    return _drawn("rand", shape, "uniform", 0.0, 1.0, dtype, device, generator, requires_grad, out)


def randn(
    *size,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
    **named,
):
    """Numbers from the normal distribution of mean 0 and variance 1 (Box and Muller 1958).

    >>> schuss.randn(2, 3).shape
    schuss.Size([2, 3])
    """
    shape = _sizes("randn", size, _named("randn", named))
    return _drawn("randn", shape, "normal", 0.0, 1.0, dtype, device, generator, requires_grad, out)


def _named(op: str, named: dict):
    size = named.pop("size", None)
    named.pop("names", None)
    named.pop("memory_format", None)
    if named:
        form = (
            f"{op}(*size, generator=None, out=None, dtype=None, device=None, requires_grad=False)"
        )
        raise unknown(op, next(iter(named)), form)
    return size


def randint(
    low,
    high=None,
    size=None,
    *,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """Integers from [low, high), low being 0 where one bound is given.

    >>> schuss.randint(5, (3,)).shape
    schuss.Size([3])
    """
    if size is None:
        if high is None or isinstance(high, int):
            raise TypeError("randint: needs a size, such as randint(0, 10, (2, 3))")
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if isinstance(size, int):
        raise TypeError(f"randint: size must be a tuple of integers, got {size}; write ({size},)")
    return _drawn(
        "randint", tuple(size), "integers", low, high, dtype, device, generator, requires_grad, out
    )


def randperm(
    n,
    *,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """The integers from 0 to n - 1 in random order.

    >>> schuss.randperm(4).sort().values
    tensor([0, 1, 2, 3])
    """
    if isinstance(n, float) or not hasattr(n, "__index__"):
        raise TypeError(f"randperm: n must be an integer, got {type(n).__name__}")
    if n < 0:
        raise RuntimeError(f"randperm: n must be at least 0, got {n}")
    return _drawn(
        "randperm", (n,), "permutation", 0, 0, dtype, device, generator, requires_grad, out
    )


def normal(
    mean=0.0,
    std=1.0,
    size=None,
    *,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """Normal numbers; mean and standard deviation may be tensors, element by element.

    >>> schuss.normal(0.0, 1.0, size=(2,)).shape
    schuss.Size([2])
    """
    if size is not None:
        if isinstance(mean, Tensor) or isinstance(std, Tensor):
            raise TypeError("normal: with size=, mean and std must be numbers")
        shape = _sizes("normal", (), size)
        return _drawn(
            "normal", shape, "normal", mean, std, dtype, device, generator, requires_grad, out
        )
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        raise TypeError("normal: needs size= where mean and std are numbers")
    if isinstance(std, Tensor):
        said = "every standard deviation must be at least 0"
        _core._demand(~_core.lt(std, 0), "runtime", "normal", said)
    elif std < 0:
        raise RuntimeError(f"normal: the standard deviation must be at least 0, got {std}")
    whole = _core.add(mean, std)
    kind, place = next(x.dtype for x in (mean, std) if isinstance(x, Tensor)), whole.device
    with_noise = _drawn("normal", whole.shape, "normal", 0.0, 1.0, kind, place, generator)
    return given("normal", (with_noise * std + mean).detach(), out)


def bernoulli(input, p=None, *, generator=None, out=None):
    """Ones with the probability that each element says (or `p`), zeros otherwise.

    >>> schuss.bernoulli(schuss.ones(3))
    tensor([1., 1., 1.])
    """
    if p is not None:
        chance, like = (p, 0.0), (input.dtype, input.device)
        found = _drawn("bernoulli", input.shape, "bernoulli", *chance, *like, generator)
        return given("bernoulli", found, out)
    if not input.is_floating_point():
        raise RuntimeError(f"bernoulli: needs float probabilities, got {input.dtype.name}")
    fine = input == _core._clamp(input, 0.0, 1.0)
    _core._demand(fine, "runtime", "bernoulli", "every probability must be from 0 to 1")
    wide = _core.float64 if input.dtype == _core.float64 else _core.float32
    device = input.device
    draws = _drawn("bernoulli", input.shape, "uniform", 0.0, 1.0, wide, device, generator)
    made = _core._cast(draws < input.detach(), input.dtype)
    return given("bernoulli", made, out)


def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """Indices drawn with weights: by inversion with replacement, else by exponential keys
    (Efraimidis and Spirakis 2006).

    >>> schuss.multinomial(schuss.tensor([0.0, 1.0]), 1)
    tensor([1])
    """
    if input.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: needs one or two axes, got shape {tuple(input.shape)}")
    if not input.is_floating_point():
        raise RuntimeError(f"multinomial: needs float weights, got {input.dtype.name}")
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: num_samples must be positive, got {num_samples}")
    weights, like = input.detach().double(), (_core.float64, input.device)
    fine, said = weights.isfinite() & (weights >= 0), "weights must be finite and not negative"
    _core._demand(fine, "runtime", "multinomial", said)
    _core._demand(weights.sum(-1) > 0, "runtime", "multinomial", "the weights of a row add up to 0")
    if replacement:
        edges = weights.cumsum(-1)
        shape = (*weights.shape[:-1], num_samples)
        draws = _drawn("multinomial", shape, "uniform", 0.0, 1.0, *like, generator)
        below = draws.unsqueeze(-1) * edges[..., -1:].unsqueeze(-2) >= edges.unsqueeze(-2)
        found = below.sum(-1).clamp(max=weights.shape[-1] - 1)
        return given("multinomial", found, out, same=True)
    said = "samples without replacement need as many weights above 0 (replacement=True needs one)"
    _core._demand((weights > 0).sum(-1) >= num_samples, "runtime", "multinomial", said)
    keys = _drawn("multinomial", weights.shape, "exponential", 1.0, 0.0, *like, generator)
    found = (keys / weights).argsort(-1)[..., :num_samples]
    return given("multinomial", found, out, same=True)


def _like(op, input):
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: input must be a Tensor, got {type(input).__name__}")
    return input


def _laid(op: str, made: Tensor, input: Tensor, format) -> Tensor:
    if format is None or format == preserve_format:
        return made if input.is_contiguous() else _core._lying_like(made, input)
    return laid(op, made.detach(), format).requires_grad_(made.requires_grad)


def zeros_like(
    input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None
):
    """Zeros of a tensor's shape and dtype.

    >>> schuss.zeros_like(schuss.tensor([1.0, 2.0]))
    tensor([0., 0.])
    """
    made = _core._filled_like("zeros_like", input, 0, dtype, device, requires_grad)
    return made if memory_format is None else _laid("zeros_like", made, input, memory_format)


def ones_like(
    input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None
):
    """Ones of a tensor's shape and dtype."""
    made = _core._filled_like("ones_like", input, 1, dtype, device, requires_grad)
    return made if memory_format is None else _laid("ones_like", made, input, memory_format)


def empty_like(
    input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None
):
    """A tensor of another's shape and dtype whose elements nobody has written yet."""
    made = _core._filled_like("empty_like", input, None, dtype, device, requires_grad)
    return made if memory_format is None else _laid("empty_like", made, input, memory_format)


def full_like(
    input,
    fill_value,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
):
    """One number in a tensor's shape and dtype."""
    made = _core._filled_like("full_like", input, fill_value, dtype, device, requires_grad)
    return made if memory_format is None else _laid("full_like", made, input, memory_format)


def rand_like(
    input,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
    generator=None,
):
    """Uniform numbers from [0, 1) in a tensor's shape and dtype."""
    kind = _like("rand_like", input).dtype if dtype is None else dtype
    made = rand(
        tuple(input.shape),
        dtype=kind,
        device=_beside(input, device),
        requires_grad=requires_grad,
        generator=generator,
    )
    return _laid("rand_like", made, input, memory_format)


def randn_like(
    input,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
    generator=None,
):
    """Normal numbers in a tensor's shape and dtype."""
    kind = _like("randn_like", input).dtype if dtype is None else dtype
    made = randn(
        tuple(input.shape),
        dtype=kind,
        device=_beside(input, device),
        requires_grad=requires_grad,
        generator=generator,
    )
    return _laid("randn_like", made, input, memory_format)


def randint_like(
    input,
    low,
    high=None,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
    generator=None,
):
    """Integers from [low, high) in a tensor's shape and dtype."""
    kind = _like("randint_like", input).dtype if dtype is None else dtype
    if high is None:
        low, high = 0, low
    made = randint(
        low,
        high,
        tuple(input.shape),
        dtype=kind,
        device=_beside(input, device),
        requires_grad=requires_grad,
        generator=generator,
    )
    return _laid("randint_like", made, input, memory_format)


def meshgrid(*tensors, indexing=None):
    """The coordinates of a grid, one tensor for each axis.

    >>> [g.shape for g in schuss.meshgrid(schuss.arange(2), schuss.arange(3), indexing="ij")]
    [schuss.Size([2, 3]), schuss.Size([2, 3])]
    """
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f"meshgrid: indexing is 'ij' or 'xy', not {indexing!r}")
    if any(t.ndim > 1 for t in tensors):
        raise RuntimeError("meshgrid: every tensor must have at most one axis")
    swap = indexing == "xy" and len(tensors) > 1
    order = list(tensors)
    if swap:
        order[0], order[1] = order[1], order[0]
    sizes = [t.numel() for t in order]
    grids = []
    for axis, t in enumerate(order):
        shape = [1] * len(order)
        shape[axis] = sizes[axis]
        grids.append(t.reshape(shape).expand(sizes))
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@speaks
def logspace(
    start, end, steps, base=10.0, *, dtype=None, device=None, requires_grad=False, out=None
):
    """`base` to evenly spaced powers from start to end.

    >>> schuss.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    if dtype is None:
        dtype = _core.get_default_dtype() if out is None else out.dtype
    powers = _core.linspace(start, end, steps, dtype=_core.float64, device=device)
    made = given("logspace", (base**powers).to(dtype), out)
    return made.requires_grad_() if requires_grad else made


def seed() -> int:
    """Seeds the default generator from the system's entropy; returns the seed."""
    return _core._default_generator().seed()


def initial_seed() -> int:
    """The seed that the default generator was started from."""
    return _core._default_generator().initial_seed()


def get_rng_state():
    """The default generator's state, a uint8 tensor of 16 bytes."""
    return _core._default_generator().get_state()


def set_rng_state(new_state) -> None:
    """Puts the default generator back to a state."""
    _core._default_generator().set_state(new_state)


__all__ = [
    "Generator",
    "bernoulli",
    "empty_like",
    "full_like",
    "get_rng_state",
    "initial_seed",
    "logspace",
    "meshgrid",
    "multinomial",
    "normal",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "seed",
    "set_rng_state",
    "zeros_like",
]
