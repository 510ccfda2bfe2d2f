"""Which functions of the package are methods of Tensor, and the in-place forms made of them.
Leans on arrangement, places, mathematics and creation."""

from __future__ import annotations

import functools

from schuss import (
    _core,
    arrangement,
    bounds,
    counting,
    creation,
    draws,
    mathematics,
    naming,
    order,
    parts,
    places,
    products,
    questions,
    series,
)
from schuss._core import Tensor
from schuss.naming import given, swapped

_PLAIN = {
    arrangement: (
        "split chunk unbind narrow select movedim swapaxes t flatten unflatten ravel expand_as"
        " view_as reshape_as broadcast_to tile roll diag diag_embed"
    ),
    places: (
        "gather take_along_dim scatter scatter_add index_select index_add index_add_ index_copy"
        " index_copy_ index_fill index_put take masked_select nonzero argwhere repeat_interleave"
    ),
    bounds: "clamp clamp_min clamp_max nan_to_num",
    mathematics: (
        "max min prod var std norm dist add sub div isclose"
        " allclose equal mm bmm mv dot outer addmm addmv baddbmm trace count_nonzero"
        " nansum nanmean float_power"
    ),
    creation: "bernoulli multinomial",
    order: (
        "aminmax sort argsort topk kthvalue median nanmedian mode cummax cummin quantile"
        " nanquantile unique unique_consecutive histc histogram"
    ),
    parts: (
        "split_with_sizes unsafe_split unsafe_chunk tensor_split hsplit vsplit dsplit diagflat"
        " fliplr flipud rot90 select_scatter slice_scatter diagonal_scatter put scatter_reduce"
        " as_strided_scatter"
        " index_reduce narrow_copy new_empty_strided nonzero_static"
    ),
    products: "inner vdot kron addr addbmm cross renorm",
    series: "diff cov corrcoef frexp",
    counting: "bincount lcm",
    draws: "cauchy_ geometric_ log_normal_",
    questions: "apply_ dim_order fill_diagonal_ is_distributed is_nonzero is_set_to map_",
}

# PyTorch's other names for the same records.
_ALIASES = {
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "negative": "neg",
    "absolute": "abs",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
    "fix": "trunc",
    "clip": "clamp",
    "swapdims": "swapaxes",
    "moveaxis": "movedim",
    "ger": "outer",
    "det": "det",
}


def _alpha(name: str):
    """`add_` and `sub_` with PyTorch's `alpha`, also in the old order (alpha, other)."""
    raw, scaled = getattr(Tensor, f"{name}_"), Tensor._add_scaled_

    def method(self, other, *old, alpha=1):
        if old:
            alpha, other = swapped(f"{name}_", other, old)
        if alpha == 1 and not isinstance(alpha, bool):
            return raw(self, other)
        if mathematics._weighs(self, other, alpha):
            try:
                return scaled(self, other, alpha if name == "add" else -alpha)
            except Exception as error:
                naming.rename(error, f"{name}_")
                raise
        return raw(self, mathematics._scaled(name, self, other, alpha))

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"In-place form of `{name}`: `alpha` scales the other."
    return method


def _valued(name: str):
    """A weighted product or quotient added, also in the old order (value, tensor1, tensor2)."""
    raw = getattr(Tensor, name)

    def method(self, tensor1, tensor2, value=1):
        if isinstance(value, Tensor) and not isinstance(tensor1, Tensor):
            value, tensor1, tensor2 = tensor1, tensor2, value
        return raw(self, tensor1, tensor2, value=value)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = raw.__doc__
    return method


def _written(name: str, function):
    """A function's in-place form: its result is copied into the tensor."""

    def method(self, *args, **kwargs):
        # The derivative may read what is about to be overwritten.
        tracked = _core._tracked(self) and _core.is_grad_enabled()
        found = function(self.clone() if tracked else self, *args, **kwargs)
        if found.shape != self.shape:
            raise RuntimeError(
                f"{name}_: the result has shape {tuple(found.shape)}, the tensor written to"
                f" {tuple(self.shape)}; in place, it cannot change"
            )
        if found.is_floating_point() and not self.is_floating_point():
            raise RuntimeError(
                f"{name}_: a result of type {found.dtype.name} cannot be written to a tensor of"
                f" type {self.dtype.name} in place"
            )
        return self.copy_(found)

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"In-place form of `{name}`."
    method.__wrapped__ = function
    return method


def _reversed_where(self, condition, other):
    """This tensor's element where the condition holds, else the other's."""
    return mathematics.where(condition, self, other)


def _whole_round(self, *, decimals=0):
    """The nearest integer, halves to the even one; or the nearest multiple of 10^-decimals."""
    return mathematics.rounded(self, decimals=decimals)


def _draws() -> dict:
    def uniform_(self, from_=0.0, to=1.0, *, generator=None, **named):
        """Overwrites the elements with uniform numbers from [from, to)."""
        low = named.pop("from", from_)
        return _core._draw_("uniform_", self, "uniform", low, to, generator)

    def normal_(self, mean=0.0, std=1.0, *, generator=None):
        """Overwrites the elements with normal numbers."""
        return _core._draw_("normal_", self, "normal", mean, std, generator)

    def exponential_(self, lambd=1.0, *, generator=None):
        """Overwrites the elements with exponential numbers of rate `lambd`."""
        return _core._draw_("exponential_", self, "exponential", lambd, 0.0, generator)

    def random_(self, from_=None, to=None, *, generator=None, **named):
        """Overwrites the elements with integers from [from, to)."""
        low = named.pop("from", from_)
        if to is None:
            low, to = (0, low) if low is not None else (0, _room(self.dtype))
        return _core._draw_("random_", self, "integers", 0 if low is None else low, to, generator)

    def bernoulli_(self, p=0.5, *, generator=None):
        """Overwrites the elements with ones of probability `p`, zeros otherwise."""
        if isinstance(p, Tensor):
            return self.copy_(creation.bernoulli(p.expand(self.shape), generator=generator))
        return _core._draw_("bernoulli_", self, "bernoulli", p, 0.0, generator)

    return {f.__name__: f for f in (uniform_, normal_, exponential_, random_, bernoulli_)}


def _room(dtype) -> int:
    """One past the largest integer that a dtype holds exactly."""
    if dtype.is_complex:
        raise RuntimeError(f"random_: draws integers, and cannot fill {dtype.name}; use normal_")
    digits = {
        "float16": 11,
        "bfloat16": 8,
        "float32": 24,
        "float64": 53,
        "bool": 1,
        "uint8": 8,
        "int8": 7,
        "int16": 15,
        "int32": 31,
        "int64": 62,
    }
    return 2 ** digits[dtype.name] + dtype.is_floating_point


def attach() -> None:
    """Gives the class its methods; called once, when the package is loaded."""
    Tensor.add_, Tensor.sub_ = _alpha("add"), _alpha("sub")
    for name in ("addcmul", "addcmul_", "addcdiv", "addcdiv_"):
        setattr(Tensor, name, _valued(name))
    floor, trunc, ceil = Tensor.floor, Tensor.trunc, Tensor.ceil
    for module, names in _PLAIN.items():
        for name in names.split():
            setattr(Tensor, name, getattr(module, name))
    Tensor.polygamma = _polygamma
    for name in (
        "cholesky",
        "cholesky_inverse",
        "cholesky_solve",
        "lu",
        "orgqr",
        "triangular_solve",
        "logdet",
        "slogdet",
        "matrix_power",
        "matrix_exp",
        "qr",
        "lu_solve",
    ):
        setattr(Tensor, name, _algebra(name))
    Tensor.pinverse, Tensor.svd = _algebra("pinverse"), _algebra("svd")
    Tensor.stft, Tensor.istft = _algebra("stft"), _algebra("istft")
    written = (
        "clamp clamp_min clamp_max index_fill scatter scatter_add nan_to_num"
        " addmm addmv baddbmm float_power tril triu cumsum cumprod addr addbmm renorm put"
        " scatter_reduce index_reduce masked_scatter logit mvlgamma polygamma i0 igamma igammac"
        " nextafter lcm"
    )
    for name in written.split():
        setattr(Tensor, f"{name}_", _written(name, getattr(Tensor, name)))
    Tensor.clamp_ = _bounded(Tensor.clamp_)
    Tensor.div_, Tensor.round_ = _divided(Tensor.div_), _rounded(Tensor.round_)
    Tensor.where = _reversed_where
    Tensor.round = _whole_round
    for name, method in (("floor", floor), ("trunc", trunc), ("ceil", ceil)):
        setattr(Tensor, name, _integers_stay(name, method))
    for name in ("floor_", "trunc_", "ceil_", "round_"):
        setattr(Tensor, name, _integers_stay_in_place(name, getattr(Tensor, name)))
    for alias, name in _ALIASES.items():
        setattr(Tensor, alias, getattr(Tensor, name))
        if hasattr(Tensor, f"{name}_"):
            setattr(Tensor, f"{alias}_", getattr(Tensor, f"{name}_"))
    for name, method in _draws().items():
        setattr(Tensor, name, method)
    for name in ("squeeze", "unsqueeze", "transpose", "t", "swapaxes", "swapdims"):
        setattr(Tensor, f"{name}_", _reshaped(name))
    turned = property(
        lambda self: self.transpose(-2, -1), doc="The last two axes exchanged, as a view."
    )
    Tensor.mT = turned
    Tensor.nelement = nelement
    Tensor.ndimension = ndimension
    Tensor.is_same_size = is_same_size
    Tensor.unfold = unfold
    Tensor.resize_as_ = resize_as_
    Tensor.prelu = _prelu
    homes = {__name__, *(module.__name__ for module in _PLAIN)}
    own = {n: f for n, f in vars(Tensor).items() if getattr(f, "__module__", "") in homes}
    naming.publish(own, "schuss", list(own))
    for name, method in own.items():
        setattr(Tensor, name, method)


def _algebra(name: str):
    """A function of matrices as a method; the functions are loaded after the methods."""

    def method(self, *args, **kwargs):
        import schuss

        return getattr(schuss, name)(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`schuss.{name}` of this tensor."
    return method


def _polygamma(self, n):
    """The n-th derivative of `digamma` at each element."""
    return series.polygamma(n, self)


def nelement(self) -> int:
    """The number of elements."""
    return self.numel()


def ndimension(self) -> int:
    """The number of axes."""
    return self.ndim


def is_same_size(self, other) -> bool:
    """Whether another tensor has the same shape."""
    return self.shape == other.shape


def _integers_stay(name: str, method):
    def rounding(self, *, out=None):
        if self.dtype == _core.bool:
            raise RuntimeError(f"{name}: is not defined for bool; use x.int() first")
        found = method(self) if self.dtype.to_real().is_floating_point else self.clone()
        return given(name, found, out)

    rounding.__name__ = rounding.__qualname__ = name
    rounding.__doc__ = method.__doc__
    return rounding


def _integers_stay_in_place(name: str, method):
    @functools.wraps(method)
    def rounding(self, **named):
        real = self.dtype.to_real()
        if real.is_floating_point or self.dtype == _core.bool:
            return method(self, **named)
        return self.copy_(getattr(self, name[:-1])(**named))

    rounding.__qualname__ = name
    return rounding


def _reshaped(name: str):
    def method(self, *args):
        self.data = getattr(self.data, name)(*args)
        return self

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"`{name}`, of this very tensor."
    method.__wrapped__ = getattr(Tensor, name)
    return method


def _bounded(plain):
    @functools.wraps(plain)
    def clamp_(self, min=None, max=None):
        low, high = bounds.limits(min, max)
        if (min is None and max is None) or not bounds.are_numbers(self, low, high):
            return plain(self, min, max)
        return self._clamp_between_(low, high)

    return clamp_


def _divided(plain):
    def div_(self, other, *, rounding_mode=None):
        if rounding_mode is None:
            return plain(self, other)
        return self.copy_(self.div(other, rounding_mode=rounding_mode))

    div_.__doc__ = plain.__doc__
    return div_


def _rounded(plain):
    def round_(self, *, decimals=0):
        return plain(self) if decimals == 0 else self.copy_(self.round(decimals=decimals))

    round_.__doc__ = plain.__doc__
    return round_


def resize_as_(self, the_template, *, memory_format=None):
    """`resize_` to another tensor's shape."""
    return self.resize_(the_template.shape)


def _prelu(self, weight):
    """max(0, x) + weight * min(0, x), `nn.functional.prelu`."""
    from schuss.nn import functional

    return functional.prelu(self, weight)


def unfold(self, dimension, size, step):
    """Windows along an axis, as a view with one more axis."""
    axis = arrangement._axis("unfold", dimension, self.ndim)
    if self.ndim == 0:
        return _core._windows_along(self.unsqueeze(0), 0, size, step)[0]
    return _core._windows_along(self, axis, size, step)
