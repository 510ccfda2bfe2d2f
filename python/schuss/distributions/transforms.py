"""Transforms: functions with an inverse and the logarithm of how much they stretch.
Leans on tensors and on the constraints beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.distributions import constraints
from schuss.nn import functional as F

if TYPE_CHECKING:
    from typing import Any


def _summed(x: Tensor, count: int) -> Tensor:
    return x.sum(tuple(range(-count, 0))) if count else x


class Transform:
    """A function of `domain` onto `codomain`: `t(x)`, `t.inv(y)`, `t.log_abs_det_jacobian(x, y)`.

    A subclass writes `_call`, `_inverse` and `log_abs_det_jacobian`; `sign` says of one that rises
    (1) or falls (-1) everywhere.
    """

    bijective = True
    sign: Any = 1
    domain: Any = constraints.real
    codomain: Any = constraints.real

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError(f"{type(self).__name__}: cache_size is 0 or 1, not {cache_size}")
        self._cache_size, self._cached = cache_size, (None, None)

    @property
    def event_dim(self) -> int:
        """How many axes one value has, where both sides have as many."""
        if self.domain.event_dim != self.codomain.event_dim:
            raise ValueError(f"{type(self).__name__}: its two sides differ in axes")
        return self.domain.event_dim

    @property
    def inv(self) -> Transform:
        """The inverse."""
        return _Inverse(self)

    def with_cache(self, cache_size: int = 1) -> Transform:
        """This transform, which remembers the last value and its image or not."""
        self._cache_size = cache_size
        return self

    def __call__(self, x: Tensor) -> Tensor:
        if self._cache_size and self._cached[0] is x:
            return self._cached[1]  # pyright: ignore[reportReturnType]
        y = self._call(x)
        if self._cache_size:
            self._cached = (x, y)
        return y

    def _inv_call(self, y: Tensor) -> Tensor:
        if self._cache_size and self._cached[1] is y:
            return self._cached[0]  # pyright: ignore[reportReturnType]
        x = self._inverse(y)
        if self._cache_size:
            self._cached = (x, y)
        return x

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: no _call")

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: has no inverse")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The logarithm of the size of the derivative's determinant at x, whose image is y."""
        raise NotImplementedError(f"{type(self).__name__}: no log_abs_det_jacobian")

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the image of a value of a shape."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of a value whose image has a shape."""
        return shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    """A transform turned round."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self._inner = transform
        self.domain, self.codomain = transform.codomain, transform.domain
        self.bijective = transform.bijective

    @property
    def sign(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._inner.sign

    @property
    def inv(self) -> Transform:
        return self._inner

    def __call__(self, x: Tensor) -> Tensor:
        return self._inner._inv_call(x)

    def _inv_call(self, y: Tensor) -> Tensor:
        return self._inner(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -self._inner.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        return self._inner.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._inner.forward_shape(shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Inverse) and self._inner == other._inner

    __hash__ = Transform.__hash__


def must_transforms(owner: str, given: Any) -> list[Transform]:
    """One transform or several in a list; ValueError for what is none."""
    parts = list(given) if isinstance(given, (list, tuple)) else [given]
    for part in parts:
        # Those of others need not be subclasses.
        if isinstance(part, type) or not hasattr(part, "domain"):
            got = f"the class {part.__name__}" if isinstance(part, type) else repr(part)
            raise ValueError(f"{owner}: needs transforms such as ExpTransform(), got {got}")
    return parts


class ComposeTransform(Transform):
    """Several transforms, the first one first.

    >>> ComposeTransform([AffineTransform(1.0, 2.0), ExpTransform()])(schuss.tensor(0.0))
    tensor(2.7183)
    """

    def __init__(self, parts: list[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = must_transforms("ComposeTransform", parts)

    @property
    def domain(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the first takes, with as many axes as the whole needs."""
        if not self.parts:
            return constraints.real
        first = self.parts[0].domain
        need = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            need = max(
                need + part.domain.event_dim - part.codomain.event_dim, part.domain.event_dim
            )
        more = need - first.event_dim
        return constraints.independent(first, more) if more > 0 else first

    @property
    def codomain(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the last gives, with as many axes as the whole needs."""
        if not self.parts:
            return constraints.real
        last = self.parts[-1].codomain
        need = self.parts[0].domain.event_dim
        for part in self.parts:
            need = max(
                need + part.codomain.event_dim - part.domain.event_dim, part.codomain.event_dim
            )
        more = need - last.event_dim
        return constraints.independent(last, more) if more > 0 else last

    @property
    def bijective(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether all of them have inverses."""
        return all(part.bijective for part in self.parts)

    @property
    def sign(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the whole rises or falls."""
        found = 1
        for part in self.parts:
            found = found * part.sign
        return found

    def _call(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part._inv_call(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if not self.parts:
            return schuss.zeros_like(x)
        steps = [x]
        for part in self.parts[:-1]:
            steps.append(part(steps[-1]))
        steps.append(y)
        axes, total = self.domain.event_dim, 0
        for part, before, after in zip(self.parts, steps, steps[1:], strict=False):
            more = axes - part.domain.event_dim
            total = total + _summed(part.log_abs_det_jacobian(before, after), more)
            axes += part.codomain.event_dim - part.domain.event_dim
        return total  # pyright: ignore[reportReturnType]

    def forward_shape(self, shape: Any) -> Any:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape


class IndependentTransform(Transform):
    """Another transform whose last axes are counted as axes of one value."""

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        (base_transform,) = must_transforms("IndependentTransform", base_transform)
        self.base_transform = base_transform
        self.reinterpreted_batch_ndims = n = reinterpreted_batch_ndims
        self.domain = constraints.independent(base_transform.domain, n)
        self.codomain = constraints.independent(base_transform.codomain, n)
        self.bijective, self.sign = base_transform.bijective, base_transform.sign

    def _call(self, x: Tensor) -> Tensor:
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.base_transform._inv_call(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        found = self.base_transform.log_abs_det_jacobian(x, y)
        return _summed(found, self.reinterpreted_batch_ndims)


class ReshapeTransform(Transform):
    """The last axes in another shape."""

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = schuss.Size(in_shape), schuss.Size(out_shape)
        if math.prod(self.in_shape) != math.prod(self.out_shape):
            raise ValueError(
                f"ReshapeTransform: {tuple(in_shape)} and {tuple(out_shape)} differ in elements"
            )
        self.domain = constraints.independent(constraints.real, len(self.in_shape))
        self.codomain = constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Tensor) -> Tensor:
        return x.reshape(self.forward_shape(x.shape))

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape(self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x.new_zeros(x.shape[: x.ndim - len(self.in_shape)])

    def _shape(self, shape: Any, before: Any, after: Any) -> Any:
        cut = len(shape) - len(before)
        if cut < 0 or tuple(shape[cut:]) != tuple(before):
            raise ValueError(f"ReshapeTransform: {tuple(shape)} does not end with {tuple(before)}")
        return schuss.Size((*shape[:cut], *after))

    def forward_shape(self, shape: Any) -> Any:
        return self._shape(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._shape(shape, self.out_shape, self.in_shape)


class ExpTransform(Transform):
    """`exp(x)`."""

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExpTransform)

    __hash__ = Transform.__hash__


class PowerTransform(Transform):
    """`x ** exponent` of positive numbers."""

    domain = codomain = constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        # One number of the processor's goes with tensors of every device.
        given = isinstance(exponent, Tensor)
        self.exponent = exponent if given else schuss.tensor(float(exponent), device="cpu")

    @property
    def sign(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the power rises or falls."""
        return self.exponent.sign()

    def _call(self, x: Tensor) -> Tensor:
        return x**self.exponent

    def _inverse(self, y: Tensor) -> Tensor:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.exponent * y / x).abs().log()


class SigmoidTransform(Transform):
    """`1 / (1 + exp(-x))`."""

    codomain = constraints.unit_interval

    def _call(self, x: Tensor) -> Tensor:
        small = schuss.finfo(x.dtype)
        return schuss.sigmoid(x).clamp(small.tiny, 1 - small.eps)

    def _inverse(self, y: Tensor) -> Tensor:
        small = schuss.finfo(y.dtype)
        y = y.clamp(small.tiny, 1 - small.eps)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -F.softplus(-x) - F.softplus(x)


class SoftplusTransform(Transform):
    """`log(1 + exp(x))`."""

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return F.softplus(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return (-(-y).expm1()).log() + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -F.softplus(-x)


class TanhTransform(Transform):
    """The hyperbolic tangent."""

    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return 2 * (math.log(2) - x - F.softplus(-2 * x))


class AbsTransform(Transform):
    """The size of a number; of its two inverses the positive one."""

    bijective, codomain = False, constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return x.abs()

    def _inverse(self, y: Tensor) -> Tensor:
        return y


class AffineTransform(Transform):
    """`loc + scale * x`; the last `event_dim` axes make one value.

    >>> AffineTransform(1.0, 2.0).inv(schuss.tensor(5.0))
    tensor(2.)
    """

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale = loc, scale
        side = constraints.independent(constraints.real, event_dim) if event_dim else None
        self.domain = self.codomain = constraints.real if side is None else side

    @property
    def sign(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the line rises or falls."""
        if isinstance(self.scale, Tensor):
            return self.scale.sign()
        return (self.scale > 0) - (self.scale < 0)

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if isinstance(self.scale, Tensor):
            found = self.scale.abs().log()
        else:
            found = schuss.full_like(x, math.log(abs(self.scale)))
        return _summed(found.expand(schuss.broadcast_shapes(found.shape, x.shape)), self.event_dim)

    def forward_shape(self, shape: Any) -> Any:
        sides = [getattr(v, "shape", ()) for v in (self.loc, self.scale)]
        return schuss.broadcast_shapes(shape, *sides)

    inverse_shape = forward_shape

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AffineTransform):
            return False
        pairs = ((self.loc, other.loc), (self.scale, other.scale))
        return all(bool((schuss.as_tensor(a) == schuss.as_tensor(b)).all()) for a, b in pairs)

    __hash__ = Transform.__hash__


class SoftmaxTransform(Transform):
    """Softmax along the last axis; an inverse is the logarithm. Not one to one."""

    bijective, domain, codomain = False, constraints.real_vector, constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        return F.softmax(x, -1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()


class StickBreakingTransform(Transform):
    """Numbers as shares that add up to 1, one more of them: each takes a part of what is left."""

    domain, codomain = constraints.real_vector, constraints.simplex

    def _left(self, x: Tensor) -> Tensor:
        """How many shares are to come, for each."""
        count = x.shape[-1]
        return x.new_ones(count).cumsum(-1).flip(-1)

    def _call(self, x: Tensor) -> Tensor:
        part = schuss.sigmoid(x - self._left(x).log())
        rest = (1 - part).cumprod(-1)
        return F.pad(part, [0, 1], value=1.0) * F.pad(rest, [1, 0], value=1.0)

    def _inverse(self, y: Tensor) -> Tensor:
        rest = (1 - y.cumsum(-1)[..., :-1]).clamp(min=schuss.finfo(y.dtype).tiny)
        return y[..., :-1].log() - rest.log() + self._left(y[..., :-1]).log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        x = x - self._left(x).log()
        return (-x + F.logsigmoid(x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        return schuss.Size((*shape[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Any) -> Any:
        return schuss.Size((*shape[:-1], shape[-1] - 1))
