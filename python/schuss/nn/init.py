"""Ways to fill a tensor in place before training, each returning it.
Leans on the core's random numbers; no gradient is recorded."""

from __future__ import annotations

import math
from functools import wraps
from typing import TYPE_CHECKING

import schuss
from schuss import no_grad
from schuss.naming import must_float as _must_float
from schuss.naming import publish as _publish
from schuss.naming import warn as _warn

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from schuss import Generator, Tensor

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor on a layer's deviation that keeps signals alike through a nonlinearity.

    `param` is the slope of "leaky_relu" (0.01 if None). ValueError for an unknown name.

    >>> from schuss.nn import init
    >>> round(init.calculate_gain("relu"), 4)
    1.4142
    """
    if nonlinearity == "leaky_relu":
        if isinstance(param, bool) or not (param is None or isinstance(param, (int, float))):
            raise ValueError(f"calculate_gain: negative slope must be a number, got {param!r}")
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain: no gain for {nonlinearity!r}; known: {known}")
    return _GAINS[nonlinearity]


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with draws from the uniform distribution on [a, b).

    >>> import schuss
    >>> bool((schuss.nn.init.uniform_(schuss.empty(100), 2.0, 3.0) >= 2).all())
    True
    """
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with draws from the normal distribution."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with draws from the normal distribution restricted to [a, b].

    ValueError unless std > 0 and a < b.

    >>> import schuss
    >>> float(schuss.nn.init.trunc_normal_(schuss.empty(1000), std=5.0).abs().max()) <= 2
    True
    """
    if not std > 0 or not a < b:
        raise ValueError(f"trunc_normal_: needs std > 0 and a < b, got std={std}, a={a}, b={b}")
    _must_float("trunc_normal_", tensor)
    low, high = (a - mean) / std, (b - mean) / std
    # Rejection from a uniform on the part of [low, high] whose density matters: beyond
    # |x|^2 = peak^2 + 80 it is e^-40 of the largest. At least 1 draw in 50 is accepted.
    peak = min(max(0.0, low), high)
    reach = math.sqrt(peak * peak + 80.0)
    low, high = max(low, -reach), min(high, reach)
    n, place = tensor.numel(), tensor.device
    kept, count = [], 0
    with no_grad():
        while count < n:
            k = 2 * (n - count) + 16
            drawn = schuss.rand(2, k, dtype=schuss.float64, generator=generator, device=place)
            u, v = drawn.unbind()
            x = low + (high - low) * u
            x = x[v < ((peak - x) * (peak + x) / 2).exp()]
            kept.append(x)
            count += len(x)
        if n:
            draws = mean + std * schuss.cat(kept)[:n]
            tensor.copy_(draws.clamp(a, b).reshape(tensor.shape))
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """Make a matrix the identity; ValueError unless it has two dimensions.

    >>> import schuss
    >>> schuss.nn.init.eye_(schuss.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_: needs 2 dimensions, got shape {tuple(tensor.shape)}")
    with no_grad():
        return tensor.copy_(schuss.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Make a convolution's weight, of 3 to 5 axes, pass as many channels on as it can.

    ValueError for other numbers of axes, or output channels that do not fall into `groups`.

    >>> import schuss
    >>> schuss.nn.init.dirac_(schuss.empty(2, 2, 1)).flatten()
    tensor([1., 0., 0., 1.])
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_: needs 3, 4 or 5 dimensions, got shape {tuple(tensor.shape)}")
    outputs, inputs, *field = tensor.shape
    if outputs % groups:
        raise ValueError(f"dirac_: {outputs} output channels do not fall into {groups} groups")
    each = outputs // groups
    middle = tuple(n // 2 for n in field)
    with no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(each, inputs)):
                tensor[(group * each + channel, channel, *middle)] = 1
    return tensor


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Fill a matrix from N(0, std^2), then zero a share `sparsity` of each column (Martens, 2010).

    >>> import schuss
    >>> int((schuss.nn.init.sparse_(schuss.empty(10, 3), 0.5) == 0).sum())
    15
    """
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: needs 2 dimensions, got shape {tuple(tensor.shape)}")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with no_grad():
        tensor.normal_(0.0, std, generator=generator)
        for column in range(columns):
            order = schuss.randperm(rows, generator=generator, device=tensor.device)
            tensor[order[:zeros], column] = 0
    return tensor


def _fans(tensor: Tensor, name: str) -> tuple[int, int]:
    if tensor.ndim < 2:
        raise ValueError(
            f"{name}: needs at least 2 dimensions to count inputs and outputs, "
            f"got shape {tuple(tensor.shape)}"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill from U(-r, r), r = gain * sqrt(6 / (inputs + outputs)) (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor, "xavier_uniform_")))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill from N(0, s^2), s = gain * sqrt(2 / (inputs + outputs)) (Glorot and Bengio, 2010)."""
    std = gain * math.sqrt(2.0 / sum(_fans(tensor, "xavier_normal_")))
    return normal_(tensor, 0.0, std, generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str, name: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(tensor, name)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _is_empty(tensor: Tensor, name: str) -> bool:
    if 0 in tensor.shape:
        _warn(f"{name}: the tensor has no elements")
        return True
    return False


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill from U(-r, r), r = gain * sqrt(3 / fan) (He et al., 2015).

    `a` is the slope of a leaky ReLU; `mode` counts the inputs or the outputs.

    >>> import schuss
    >>> w = schuss.nn.init.kaiming_uniform_(schuss.empty(5, 6))
    >>> float(w.abs().max()) <= 1
    True
    """
    if _is_empty(tensor, "kaiming_uniform_"):
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity, "kaiming_uniform_")
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill from N(0, s^2), s = gain / sqrt(fan) (He et al., 2015)."""
    if _is_empty(tensor, "kaiming_normal_"):
        return tensor
    std = _kaiming_std(tensor, a, mode, nonlinearity, "kaiming_normal_")
    return normal_(tensor, 0.0, std, generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Fill with orthonormal rows or columns, whichever are fewer, times `gain` (Saxe et al., 2013).

    A tensor of more dimensions is seen as a matrix of its first by all the others.

    >>> import schuss
    >>> w = schuss.nn.init.orthogonal_(schuss.empty(2, 3))
    >>> bool(((w @ w.T - schuss.eye(2)).abs() < 1e-5).all())
    True
    """
    import numpy as np

    if tensor.ndim < 2:
        raise ValueError(
            f"orthogonal_: needs at least 2 dimensions, got shape {tuple(tensor.shape)}"
        )
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    long, short = max(rows, columns), min(rows, columns)
    draws = schuss.empty(long, short, dtype=schuss.float64, device="cpu")
    draws.normal_(generator=generator)
    q, r = np.linalg.qr(draws.numpy())
    # Householder's signs are not random; with these the matrix is uniform over all of its kind.
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    q = np.ascontiguousarray(q.T if rows < columns else q) * gain
    with no_grad():
        return tensor.copy_(schuss.from_numpy(q).reshape(tensor.shape))


# Names that begin with an underscore in PyTorch and are used by programs all the same.


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many numbers go into, and come out of, each unit of a layer with this weight."""
    return _fans(tensor, "_calculate_fan_in_and_fan_out")


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"_calculate_correct_fan: mode is 'fan_in' or 'fan_out', not {mode!r}")
    return _fans(tensor, "_calculate_correct_fan")[mode == "fan_out"]


_publish(globals(), __name__, [n for n in globals() if n[-1] == "_" and n[0] != "_"])
_no_grad_uniform_, _no_grad_normal_, _no_grad_fill_, _no_grad_zero_ = (
    uniform_,
    normal_,
    constant_,
    zeros_,
)
_no_grad_trunc_normal_ = trunc_normal_


def _older(fill: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A name without its underscore: PyTorch's oldest spelling, which warns."""

    @wraps(fill)
    def call(*args: Any, **kwargs: Any) -> Tensor:
        name = fill.__name__
        _warn(f"{name[:-1]}: is deprecated; write {name}", FutureWarning)
        return fill(*args, **kwargs)

    call.__name__ = call.__qualname__ = fill.__name__[:-1]
    call.__doc__ = f"The older spelling of `{fill.__name__}`; warns."
    return call


uniform, normal, constant, eye, dirac, sparse = (
    _older(fill) for fill in (uniform_, normal_, constant_, eye_, dirac_, sparse_)
)
xavier_uniform, xavier_normal, kaiming_uniform, kaiming_normal, orthogonal = (
    _older(fill)
    for fill in (xavier_uniform_, xavier_normal_, kaiming_uniform_, kaiming_normal_, orthogonal_)
)
