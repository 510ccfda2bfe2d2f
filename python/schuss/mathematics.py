"""Mathematics with more than one form: extremes, norms, moments, bounds, products, comparisons.
Leans on the core's records."""

from __future__ import annotations

from schuss import _core, naming
from schuss._core import Tensor
from schuss.bounds import as_like, is_float, nan_to_num
from schuss.naming import given, given_each, must_float, must_tensor, rename, returned, speaks


class _Pair(tuple):
    """Values and indices, by name and by position."""

    __slots__ = ()
    kind = "max"

    @property
    def values(self):
        return self[0]

    @property
    def indices(self):
        return self[1]

    def __repr__(self) -> str:
        return returned(self.kind, values=self[0], indices=self[1])


_KINDS = {}


def _named(kind: str, found, out=None):
    # Numbers are converted on their way out, places are not.
    found = given_each(kind, found, out, same=(False, True))
    if kind not in _KINDS:
        _KINDS[kind] = type(kind, (_Pair,), {"__slots__": (), "kind": kind})
    return _KINDS[kind](found)


def _extreme(kind, whole, along, between, input, dim, keepdim, out):
    must_tensor(kind, input=input)
    if isinstance(dim, Tensor):
        return between(input, dim, out=out)
    if dim is None:
        if keepdim:
            raise TypeError(f"{kind}: keepdim needs a dim")
        try:
            found = whole(input)
        except Exception as error:
            rename(error, kind)
            raise
        return given(kind, found, out)
    return _named(kind, along(input, dim, keepdim), out)


def max(input, dim=None, keepdim=False, *, other=None, out=None, axis=None):
    """The largest element; along `dim` (values, indices); against another tensor.

    >>> schuss.tensor([[1.0, 5.0], [7.0, 2.0]]).max(1).indices
    tensor([1, 0])
    """
    dim = other if other is not None else axis if dim is None else dim
    return _extreme("max", _core.amax, _core._max, _core.maximum, input, dim, keepdim, out)


def min(input, dim=None, keepdim=False, *, other=None, out=None, axis=None):
    """The smallest element; along `dim` (values, indices); against another tensor.

    >>> schuss.tensor([[1.0, 5.0], [7.0, 2.0]]).min()
    tensor(1.)
    """
    dim = other if other is not None else axis if dim is None else dim
    return _extreme("min", _core.amin, _core._min, _core.minimum, input, dim, keepdim, out)


def prod(input, dim=None, keepdim=False, *, dtype=None, axis=None, out=None):
    """The product of all elements, or along one axis.

    >>> schuss.tensor([1.0, 2.0, 6.0]).prod()
    tensor(12.)
    """
    dim = axis if dim is None else dim
    axes = () if dim is None else (dim,)
    if isinstance(dim, (tuple, list)):
        raise TypeError("prod: dim must be one axis")
    return given("prod", _core._prod(input, axes, keepdim, dtype), out)


def _correction(unbiased, correction):
    if correction is not None:
        return correction
    return 1 if unbiased is None else int(unbiased)


def _moment(op, input, dim, unbiased, keepdim, correction, axis):
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    dim = axis if dim is None else dim
    try:
        return _core._var(input, dim, _correction(unbiased, correction), keepdim)
    except Exception as error:
        rename(error, op)
        raise


def var(input, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None, out=None):
    """The variance: squared distances from the mean divided by (count - correction).

    >>> schuss.tensor([1.0, 2.0, 3.0]).var()
    tensor(1.)
    """
    return given("var", _moment("var", input, dim, unbiased, keepdim, correction, axis), out)


def std(input, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None, out=None):
    """The standard deviation, the square root of the variance; its gradient is 0 where it is 0.

    >>> schuss.tensor([1.0, 2.0, 3.0]).std()
    tensor(1.)
    """
    found = _moment("std", input, dim, unbiased, keepdim, correction, axis)
    return given("std", root(found, found == 0), out)


def root(x, still):
    """The square root; 0, with the slope 0, where `still` says that x counts as 0."""
    return x.masked_fill(still, 1).sqrt().masked_fill(still, 0)


def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The variance and the mean."""
    axes = () if dim is None or isinstance(dim, bool) else dim
    found = _moment("var_mean", input, dim, unbiased, keepdim, correction, None)
    return found, input.mean(axes, keepdim)


def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The standard deviation and the mean."""
    axes = () if dim is None or isinstance(dim, bool) else dim
    found = _moment("std_mean", input, dim, unbiased, keepdim, correction, None)
    return root(found, found == 0), input.mean(axes, keepdim)


@speaks
def norm(input, p: float | str | None = "fro", dim=None, keepdim=False, out=None, dtype=None):
    """The p-norm over some axes, or of all elements; "fro" is p = 2.

    >>> schuss.tensor([3.0, 4.0]).norm()
    tensor(5.)
    """
    if out is not None:
        return given("norm", norm(input, p, dim, keepdim, None, dtype), out)
    if dtype is not None:
        input = input.to(dtype)
    if input.is_complex() and (p not in (2, 2.0, "fro", None, "nuc")):
        input = input.abs()
    if not input.is_complex():
        must_float("norm", input)
    if p == "nuc":
        import schuss

        return schuss.linalg.matrix_norm(input, p, (-2, -1) if dim is None else dim, keepdim)
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm: p is a number, 'fro' or 'nuc', not {p!r}")
    p = 2.0 if p is None or p == "fro" else float(p)
    axes = () if dim is None else dim
    if p == 2:
        return _core._norm(input, axes, keepdim)
    size = input.abs()
    if p == 0:
        return size.masked_fill(size != 0, 1.0).sum(axes, keepdim)
    if p == 1:
        return size.sum(axes, keepdim)
    if p == float("inf"):
        if not size.numel():
            raise RuntimeError(
                f"norm: the infinity norm of {tuple(input.shape)} is of no element and has no value"
            )
        return _core.amax(size, axes, keepdim)
    if p == -float("inf"):
        return _core.amin(size, axes, keepdim)
    # Where a power has no slope (an element or a sum of 0), its base is 1 and its result is set:
    # the gradient there is 0 and no NaN reaches the other elements.
    zero, edge = size == 0, 0.0 if p > 0 else float("inf")
    total = size.masked_fill(zero, 1.0).pow(p).masked_fill(zero, edge).sum(axes, keepdim)
    flat = total == edge
    return total.masked_fill(flat, 1.0).pow(1.0 / p).masked_fill(flat, 0.0)


@speaks
def dist(input, other, p=2):
    """The p-norm of the difference."""
    return norm(input - other, p)


def where(condition, input=None, other=None, *, out=None):
    """The element where the condition holds, else the other's; alone, the places that hold.

    >>> schuss.where(schuss.tensor([True, False]), 1.0, 0.0)
    tensor([1., 0.])
    """
    if input is None and other is None:
        return _core._nonzero(condition).unbind(1)
    if not isinstance(condition, Tensor):
        raise TypeError(f"where: condition must be a Tensor, got {type(condition).__name__}")
    if condition.dtype not in (_core.bool, _core.uint8):
        raise RuntimeError(f"where: condition must be a bool tensor, got {condition.dtype.name}")
    if input is None or other is None:
        raise TypeError("where: needs both input and other, or neither")
    found = _core._where(condition, input, other)
    return given("where", found, out)


def add(input, other, *old, alpha=1, out=None):
    """`input + alpha * other`, element by element, with broadcasting.

    The old order (input, alpha, other) is taken too.

    >>> schuss.add(schuss.tensor([1.0]), schuss.tensor([2.0]), alpha=10)
    tensor([21.])
    """
    if old:
        alpha, other = naming.swapped("add", other, old)
    if _weighs(input, other, alpha):
        return _core._add_scaled(input, other, alpha, out=out)
    return _core.add(input, _scaled("add", input, other, alpha), out=out)


def sub(input, other, *old, alpha=1, out=None):
    """`input - alpha * other`, element by element, with broadcasting.

    The old order (input, alpha, other) is taken too.
    """
    if old:
        alpha, other = naming.swapped("sub", other, old)
    if _weighs(input, other, alpha):
        return _core._add_scaled(input, other, -alpha, out=out)
    return _core.sub(input, _scaled("sub", input, other, alpha), out=out)


def _weighs(input, other, alpha) -> bool:
    """Whether two tensors of floats are added with a plain number, in one pass."""
    if type(alpha) not in (int, float) or alpha == 1:
        return False
    tensors = isinstance(input, Tensor) and isinstance(other, Tensor)
    return tensors and input.is_floating_point() and other.is_floating_point()


def _scaled(op, input, other, alpha):
    if isinstance(alpha, int) and alpha == 1 and not isinstance(alpha, bool):
        return other
    if not isinstance(alpha, (int, float, complex, Tensor)):
        raise TypeError(f"{op}: alpha must be a number, got {type(alpha).__name__}")
    whole = isinstance(input, Tensor) and not input.dtype.to_real().is_floating_point
    if isinstance(alpha, float) and whole and not is_float(other):
        raise RuntimeError(f"{op}: for integer tensors alpha must be an integer, got {alpha}")
    found = other * alpha
    both = isinstance(input, Tensor) and isinstance(other, Tensor)
    truths = both and input.dtype == other.dtype == _core.bool
    return found.to(_core.bool) if truths else found


def rsub(input, other, *, alpha=1):
    """`other - alpha * input`."""
    must_tensor("rsub", input=input)
    return sub(other if isinstance(other, Tensor) else as_like(other, input), input, alpha=alpha)


def div(input, other, *, rounding_mode=None, out=None):
    """The quotient; rounding_mode "floor" rounds down, "trunc" towards 0.

    >>> schuss.div(schuss.tensor([7.0]), 2, rounding_mode="floor")
    tensor([3.])
    """
    if rounding_mode is None:
        return _core.div(input, other, out=out)
    if rounding_mode == "floor":
        return _core.floor_divide(input, other, out=out)
    if rounding_mode == "trunc":
        whole = _core.div(input, other)
        exact = not is_float(input) and not is_float(other)
        if exact:
            rest = _core.fmod(input, other)
            found = _core.floor_divide(input - rest, other)
        else:
            found = whole.trunc()
        return given("div", found, out)
    raise RuntimeError(f"div: rounding_mode is None, 'floor' or 'trunc', not {rounding_mode!r}")


def rounded(input, *, decimals=0, out=None):
    """The nearest integer, halves to the even one; or the nearest multiple of 10^-decimals.

    >>> schuss.tensor([1.2345]).round(decimals=2)
    tensor([1.2300])
    """
    if input.dtype == _core.bool:
        raise RuntimeError("round: is not defined for bool; use x.int() first")
    if decimals == 0:
        whole = not input.dtype.to_real().is_floating_point
        return given("round", input.clone(), out) if whole else _core.round(input, out=out)
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return given("round", _core.round(input * scale) / scale, out)
    return given("round", _core.round(input / scale) * scale, out)


@speaks
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Where `|input - other| <= atol + rtol * |other|`.

    >>> schuss.isclose(schuss.tensor([1.0]), schuss.tensor([1.0 + 1e-6]))
    tensor([True])
    """
    must_tensor("isclose", input=input, other=other)
    if input.dtype != other.dtype:
        raise RuntimeError(f"isclose: the dtypes {input.dtype.name} and {other.dtype.name} differ")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"isclose: tolerances must not be negative, got {rtol} and {atol}")
    input, other = input.detach(), other.detach()
    close = input == other
    if equal_nan and input.dtype.to_real().is_floating_point:
        close = close | (input.isnan() & other.isnan())
    if rtol == 0 and atol == 0:
        return close
    gap = (input - other).abs() if input.dtype != _core.bool else (input != other).float()
    near = gap <= atol + (rtol * other).abs()
    return close | (near & gap.isfinite()) if gap.is_floating_point() else close | near


def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False) -> bool:
    """Whether all elements are close (see `isclose`)."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input, other) -> bool:
    """Whether two tensors have one shape and equal elements."""
    return input.shape == other.shape and bool((input == other).all())


def mm(input, mat2, *, out=None):
    """The product of two matrices."""
    return given("mm", _core._ranked("mm", input, mat2), out)


def bmm(input, mat2, *, out=None):
    """The products of two batches of matrices."""
    return given("bmm", _core._ranked("bmm", input, mat2), out)


def mv(input, vec, *, out=None):
    """The product of a matrix and a vector."""
    return given("mv", _core._ranked("mv", input, vec), out)


def dot(input, tensor, *, out=None):
    """The inner product of two vectors.

    >>> schuss.dot(schuss.tensor([1.0, 2.0]), schuss.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return given("dot", _core._ranked("dot", input, tensor), out)


def outer(input, vec2, *, out=None):
    """All products of the elements of two vectors."""
    if input.ndim != 1 or vec2.ndim != 1:
        raise RuntimeError(
            f"outer: needs two vectors, got shapes {tuple(input.shape)} and {tuple(vec2.shape)}"
        )
    return given("outer", input.unsqueeze(1) * vec2, out)


def addmm(input, mat1, mat2, *, beta=1, alpha=1, out=None):
    """`beta * input + alpha * (mat1 @ mat2)`."""
    return _blend("mm", input, mat1, mat2, beta, alpha, out)


def addmv(input, mat, vec, *, beta=1, alpha=1, out=None):
    """`beta * input + alpha * (mat @ vec)`."""
    return _blend("mv", input, mat, vec, beta, alpha, out)


def baddbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    """`beta * input + alpha * (batch1 @ batch2)`."""
    return _blend("bmm", input, batch1, batch2, beta, alpha, out)


def _blend(op, input, a, b, beta, alpha, out):
    if a.dtype in (_core.float16, _core.bfloat16) and a.dtype == b.dtype == input.dtype:
        # Short floats are scaled and added in float32, and rounded once.
        wide = _blend(op, input.float(), a.float(), b.float(), beta, alpha, None)
        return given(f"add{op}", wide.to(input.dtype), out)
    product = _core._ranked(op, a, b)
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return given(f"add{op}", product, out)
    own, shape = input.shape, product.shape
    if own not in (shape, shape[-1:]) and not _spreads(own, shape):
        raise _core.ShapeError(
            f"add{op}: the input {tuple(own)} does not broadcast to the product's {tuple(shape)}"
        )
    return given(f"add{op}", (input if beta == 1 else input * beta) + product, out)


def _spreads(own, shape) -> bool:
    try:
        return broadcast_shapes(own, shape) == shape
    except RuntimeError:
        return False


def trace(input):
    """The sum of a matrix's diagonal."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: needs a matrix, got shape {tuple(input.shape)}")
    return input.diagonal().sum()


@speaks
def count_nonzero(input, dim=None):
    """How many elements are not zero."""
    return (input != 0).sum(() if dim is None else dim)


@speaks
def nansum(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """The sum with NaN counted as zero."""
    axes = () if dim is None else dim
    if input.is_floating_point() and (dtype is None or dtype.is_floating_point):
        found = _core._nansum(input if dtype is None else input.to(dtype), axes, keepdim)
    else:
        clean = nan_to_num(input, 0.0, float("inf"), -float("inf"))
        found = clean.sum(axes, keepdim, dtype=dtype)
    return given("nansum", found, out)


@speaks
def nanmean(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """The mean of the elements that are not NaN."""
    axes = () if dim is None else dim
    found = nansum(input, dim, keepdim, dtype=dtype) / (~input.isnan()).sum(axes, keepdim)
    return given("nanmean", found, out)


def float_power(input, exponent, *, out=None):
    """A power in float64, or in complex128."""
    if not isinstance(input, Tensor):
        must_tensor("float_power", exponent=exponent)
    kind = _core.float64
    if any(_core.as_tensor(x).dtype.is_complex for x in (input, exponent)):
        kind = _core.complex128
    wide = [x.to(kind) if isinstance(x, Tensor) else x for x in (input, exponent)]
    found = wide[0] ** (float(wide[1]) if isinstance(wide[1], int) else wide[1])
    return given("float_power", found, out, same=True)


def broadcast_shapes(*shapes):
    """The shape that several broadcast to."""
    from schuss.size import Size

    found: list[int] = []
    for shape in shapes:
        sizes = [shape] if isinstance(shape, int) else list(shape)
        found = [1] * (len(sizes) - len(found)) + found
        for i in range(1, len(sizes) + 1):
            if found[-i] == 1:
                found[-i] = sizes[-i]
            elif sizes[-i] not in (1, found[-i]):
                raise RuntimeError(
                    f"broadcast_shapes: {' and '.join(str(tuple(s)) for s in shapes)} do not"
                    f" broadcast: sizes {found[-i]} and {sizes[-i]} differ at axis -{i}"
                )
    return Size(found)


def result_type(tensor1, tensor2):
    """The dtype that an operation of two operands gives."""
    one = [x.detach() if isinstance(x, Tensor) else x for x in (tensor1, tensor2)]
    if not any(isinstance(x, Tensor) for x in one):
        one[0] = _core.tensor(one[0])
    with_room = [x[..., :0] if isinstance(x, Tensor) and x.ndim else x for x in one]
    flat = [x.reshape(-1)[:0] if isinstance(x, Tensor) and x.ndim else x for x in with_room]
    return _core.mul(
        flat[0] if isinstance(flat[0], Tensor) else flat[1],
        flat[1] if isinstance(flat[0], Tensor) else flat[0],
    ).dtype


def is_tensor(obj) -> bool:
    """Whether an object is a Tensor."""
    return isinstance(obj, Tensor)


def numel(input) -> int:
    """The number of elements."""
    return input.numel()


def is_floating_point(input) -> bool:
    """Whether a tensor holds floats."""
    return input.is_floating_point()


__all__ = [
    "add",
    "addmm",
    "addmv",
    "allclose",
    "baddbmm",
    "bmm",
    "broadcast_shapes",
    "count_nonzero",
    "dist",
    "div",
    "dot",
    "equal",
    "float_power",
    "is_floating_point",
    "is_tensor",
    "isclose",
    "max",
    "min",
    "mm",
    "mv",
    "nanmean",
    "nansum",
    "norm",
    "numel",
    "outer",
    "prod",
    "result_type",
    "rsub",
    "std",
    "std_mean",
    "sub",
    "trace",
    "var",
    "var_mean",
    "where",
]
