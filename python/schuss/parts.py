"""Tensors cut into parts, put together from parts, and copies with one part written anew.
Leans on arrangement and the core's views."""

from __future__ import annotations

import itertools

from schuss import _core
from schuss._core import Tensor
from schuss.arrangement import _axis, _some
from schuss.naming import given, given_each

# ---- cut into parts ------------------------------------------------------------------------------


def split_with_sizes(input, split_sizes, dim=0):
    """Parts of the sizes given along an axis, as views.

    >>> [part.tolist() for part in schuss.arange(3).split_with_sizes([1, 2])]
    [[0], [1, 2]]
    """
    return _core._split(input, list(split_sizes), dim)


def unsafe_split(input, split_size, dim=0):
    """Parts of one size along an axis; `split` under the name it has in PyTorch's internals."""
    return _core._split(input, split_size, dim)


def unsafe_chunk(input, chunks, dim=0):
    """At most `chunks` parts of equal size along an axis; `chunk` by another name."""
    return _core._chunk(input, chunks, dim)


def _places(op, given):
    if isinstance(given, Tensor):
        if given.dtype != _core.int64 or given.ndim > 1:
            raise RuntimeError(f"{op}: needs a number or a vector of int64, got {given.dtype}")
        return given.tolist()
    return given if isinstance(given, int) else list(given)


def tensor_split(input, indices_or_sections=None, dim=0, *, indices=None, sections=None):
    """Parts along an axis, cut before the indices given, or as even as their number allows.

    >>> [part.tolist() for part in schuss.arange(5).tensor_split(2)]
    [[0, 1, 2], [3, 4]]
    """
    asked = indices if indices is not None else sections
    asked = _places("tensor_split", indices_or_sections if asked is None else asked)
    if input.ndim == 0:
        raise RuntimeError("tensor_split: a 0-d tensor cannot be split")
    axis = _axis("tensor_split", dim, input.ndim)
    size = input.shape[axis]
    if isinstance(asked, int):
        if asked < 1:
            raise RuntimeError(f"tensor_split: needs at least 1 section, got {asked}")
        each, more = divmod(size, asked)
        ends = list(itertools.accumulate(each + (i < more) for i in range(asked)))[:-1]
    else:
        ends = asked
    edges = [0, *ends, size]
    parts = []
    for low, high in itertools.pairwise(edges):
        start, stop, _ = slice(low, high).indices(size)
        parts.append(input.narrow(axis, start, max(stop - start, 0)))
    return tuple(parts)


def _split_along(name, axis_of, least):
    def function(input, indices_or_sections=None, *, indices=None, sections=None):
        asked = indices if indices is not None else sections
        asked = indices_or_sections if asked is None else asked
        if input.ndim < least:
            raise RuntimeError(f"{name}: needs at least {least} axes, got {tuple(input.shape)}")
        axis = axis_of(input.ndim)
        if isinstance(asked, int) and (asked < 1 or input.shape[axis] % asked):
            raise RuntimeError(
                f"{name}: axis {axis} of {tuple(input.shape)} has no {asked} equal parts"
            )
        return tensor_split(input, asked, axis)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Parts along an axis, as views: NumPy's `{name}`."
    return function


hsplit = _split_along("hsplit", lambda rank: 0 if rank == 1 else 1, 1)
vsplit = _split_along("vsplit", lambda rank: 0, 2)
dsplit = _split_along("dsplit", lambda rank: 2, 3)

# ---- put together --------------------------------------------------------------------------------


def _each(tensors):
    many = len(tensors) == 1 and not isinstance(tensors[0], Tensor)
    return list(tensors[0] if many else tensors), many


def _at_least(name, grow):
    def function(*tensors):
        listed, many = _each(tensors)
        found = tuple(grow(t) for t in listed)
        return found if many or len(found) != 1 else found[0]

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Tensors with axes of size 1 added, as views: NumPy's `{name}`."
    return function


def _to_three(t):
    if t.ndim == 2:
        return t.unsqueeze(2)
    return t.reshape(1, -1, 1) if t.ndim < 2 else t


atleast_1d = _at_least("atleast_1d", lambda t: t.reshape(1) if t.ndim == 0 else t)
atleast_2d = _at_least("atleast_2d", lambda t: t.reshape(1, -1) if t.ndim < 2 else t)
atleast_3d = _at_least("atleast_3d", _to_three)


def dstack(tensors, *, out=None):
    """Tensors joined along the third axis.

    >>> schuss.dstack([schuss.tensor([1, 2]), schuss.tensor([3, 4])])
    tensor([[[1, 3],
             [2, 4]]])
    """
    return _core.cat([_to_three(t) for t in _some("dstack", tensors)], 2, out=out)


def column_stack(tensors, *, out=None):
    """Tensors joined side by side, vectors as columns.

    >>> schuss.column_stack([schuss.tensor([1, 2]), schuss.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    return _core.cat([t.reshape(-1, 1) if t.ndim < 2 else t for t in tensors], 1, out=out)


def block_diag(*tensors):
    """Matrices along the diagonal of one that is 0 elsewhere.

    >>> schuss.block_diag(schuss.tensor([[1]]), schuss.tensor([[2, 3]]))
    tensor([[1, 0, 0],
            [0, 2, 3]])
    """
    blocks = [t.reshape(1, -1) if t.ndim < 2 else t for t in tensors]
    if any(t.ndim > 2 for t in blocks):
        raise RuntimeError("block_diag: every tensor must have at most two axes")
    wide = sum(t.shape[1] for t in blocks)
    rows, before = [], 0
    for t in blocks:
        after = wide - before - t.shape[1]
        left = _core.zeros(t.shape[0], before, dtype=t.dtype, device=t.device)
        right = _core.zeros(t.shape[0], after, dtype=t.dtype, device=t.device)
        rows.append(_core.cat([left, t, right], 1))
        before += t.shape[1]
    return _core.cat(rows, 0)


def cartesian_prod(*tensors):
    """Every choice of one element from each vector, a row for each choice.

    >>> schuss.cartesian_prod(schuss.tensor([1, 2]), schuss.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    listed, _ = _each(tensors)
    if any(t.ndim != 1 for t in listed):
        raise RuntimeError("cartesian_prod: every tensor must be a vector")
    if len(listed) == 1:
        return listed[0]
    sizes = [t.numel() for t in listed]
    grids = []
    for axis, t in enumerate(listed):
        shape = [1] * len(sizes)
        shape[axis] = sizes[axis]
        grids.append(t.reshape(shape).expand(sizes).reshape(-1))
    return _core._stack(grids, 1)


def combinations(input, r=2, with_replacement=False):
    """Every choice of r elements of a vector, in their order, a row for each choice.

    >>> schuss.combinations(schuss.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input.ndim != 1:
        raise RuntimeError(f"combinations: needs a vector, got shape {tuple(input.shape)}")
    if r < 0:
        raise RuntimeError(f"combinations: r must be at least 0, got {r}")
    if r == 0:
        return _core.empty(0, dtype=input.dtype, device=input.device)
    kind = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(kind(range(input.numel()), r))
    if not rows:
        return input[:0].reshape(0, 1).expand(0, r)
    return input[_core.tensor(rows, dtype=_core.int64, device=input.device)]


def diagflat(input, offset=0):
    """All elements as the diagonal of a matrix.

    >>> schuss.diagflat(schuss.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    return input.reshape(-1).diag(offset)


# ---- turned --------------------------------------------------------------------------------------


def fliplr(input):
    """The columns in reverse order, as a copy.

    >>> schuss.fliplr(schuss.tensor([[1, 2]]))
    tensor([[2, 1]])
    """
    if input.ndim < 2:
        raise RuntimeError(f"fliplr: needs at least two axes, got {tuple(input.shape)}")
    return input.flip(1)


def flipud(input):
    """The rows in reverse order, as a copy.

    >>> schuss.flipud(schuss.tensor([1, 2]))
    tensor([2, 1])
    """
    if input.ndim < 1:
        raise RuntimeError("flipud: needs at least one axis, got shape ()")
    return input.flip(0)


def rot90(input, k=1, dims=(0, 1)):
    """Turned by k right angles in the plane of two axes, from the first towards the second.

    >>> schuss.rot90(schuss.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    if len(dims) != 2 or input.ndim < 2:
        raise RuntimeError(f"rot90: needs two axes, got {dims} of shape {tuple(input.shape)}")
    a, b = (_axis("rot90", d, input.ndim) for d in dims)
    if a == b:
        raise RuntimeError(f"rot90: needs two different axes, got {dims}")
    k %= 4
    if k == 0:
        return input.clone()
    if k == 2:
        return input.flip((a, b))
    return input.flip(b).transpose(a, b) if k == 1 else input.transpose(a, b).flip(b)


# ---- one part written anew -----------------------------------------------------------------------


def _with_part(op, input, src, view):
    """A copy of the input, `src` in place of what the view shows of it."""
    made = _core._each(input.clone(), src)
    part = view(made)
    if part.shape != src.shape:
        raise RuntimeError(
            f"{op}: the part has shape {tuple(part.shape)}, the source {tuple(src.shape)}"
        )
    part.copy_(src)
    return made


def select_scatter(input, src, dim, index):
    """A copy with `src` at one position of an axis.

    >>> schuss.select_scatter(schuss.zeros(2, 2), schuss.ones(2), 0, 0)
    tensor([[1., 1.],
            [0., 0.]])
    """
    return _with_part("select_scatter", input, src, lambda t: t.select(dim, index))


def slice_scatter(input, src, dim=0, start=None, end=None, step=1, *, out=None):
    """A copy with `src` in a slice of an axis.

    >>> schuss.slice_scatter(schuss.zeros(3), schuss.ones(2), 0, 1)
    tensor([0., 1., 1.])
    """
    axis = _axis("slice_scatter", dim, input.ndim)
    part = (slice(None),) * axis + (slice(start, end, step),)
    found = _with_part("slice_scatter", input, src, lambda t: t[part])
    return given("slice_scatter", found, out, same=True)


def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """A copy with `src` on a diagonal.

    >>> schuss.diagonal_scatter(schuss.zeros(2, 2), schuss.ones(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return _with_part("diagonal_scatter", input, src, lambda t: t.diagonal(offset, dim1, dim2))


def as_strided_scatter(input, src, size, stride, storage_offset=None):
    """A copy with `src` where a view by strides lies.

    >>> schuss.as_strided_scatter(schuss.zeros(4), schuss.ones(2), (2,), (2,))
    tensor([1., 0., 1., 0.])
    """
    first = input.storage_offset() if storage_offset is None else storage_offset
    return _with_part(
        "as_strided_scatter", input.contiguous(), src, lambda t: t.as_strided(size, stride, first)
    )


def put(input, index, source, accumulate=False):
    """A copy with the source written, or added, at places of the flattened tensor.

    >>> schuss.zeros(2, 2).put(schuss.tensor([3]), schuss.tensor([1.0]))
    tensor([[0., 0.],
            [0., 1.]])
    """
    if index.numel() != source.numel():
        raise RuntimeError(
            f"put: {index.numel()} places and {source.numel()} elements; as many are needed"
        )
    if index.dtype != _core.int64:
        raise RuntimeError(f"put: the index must be int64, got {index.dtype}; use index.long()")
    if source.dtype != input.dtype:
        raise RuntimeError(f"put: the input is {input.dtype} and the source {source.dtype}")
    rows = [input.reshape(-1), source.reshape(-1), index.reshape(-1)]
    return _core._put_at(rows, [0], False, bool(accumulate)).reshape(input.shape)


_IDENTITY = {"prod": 1.0, "amax": -float("inf"), "amin": float("inf")}


def _start(op, input, index, axis, reduce):
    """The input with the reduction's neutral element at the places that are named."""
    kind, fresh = input.dtype, _IDENTITY.get(reduce, 0.0)
    if not input.is_floating_point() and abs(fresh) > 1:
        from schuss.limits import iinfo

        fresh = iinfo(kind).max if fresh > 0 else iinfo(kind).min
    blank = _core.full(tuple(index.shape), fresh, dtype=kind, device=input.device)
    return _core._scatter(input, index, blank, axis)


def scatter_reduce(input, dim, index, src, reduce, *, include_self=True, out=None):
    """A copy with the source joined to the places that the index names along an axis.

    `reduce` is "sum", "prod", "mean", "amax" or "amin"; without `include_self` the elements that
    stand at named places do not count.

    >>> places = schuss.tensor([0, 0, 1])
    >>> schuss.zeros(2).scatter_reduce(0, places, schuss.tensor([1.0, 2.0, 5.0]), "sum")
    tensor([3., 5.])
    """
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"scatter_reduce: reduce is 'sum', 'prod', 'mean', 'amax' or 'amin', not {reduce!r}"
        )
    axis = _axis("scatter_reduce", dim, input.ndim)
    if input.dtype != src.dtype:
        raise RuntimeError(
            f"scatter_reduce: the input is {input.dtype} and the source {src.dtype}; convert one"
        )
    if out is not None:
        found = scatter_reduce(input, dim, index, src, reduce, include_self=include_self)
        return given("scatter_reduce", found, out, same=True)
    start = input if include_self else _start("scatter_reduce", input, index, axis, reduce)
    if reduce in _IDENTITY:
        return getattr(_core, f"_scatter_{reduce}")(start, index, src, axis)
    total = _core._scatter_add(start, index, src, axis)
    if reduce == "sum":
        return total
    one = _core.ones(tuple(input.shape), dtype=input.dtype, device=input.device)
    one = one if include_self else _start("scatter_reduce", one, index, axis, "sum")
    taken = _core.ones(tuple(src.shape), dtype=src.dtype, device=src.device)
    count = _core._scatter_add(one, index, taken, axis)
    count = count.clamp(min=1)
    return total / count if total.is_floating_point() else total // count


def index_reduce(input, dim, index, source, reduce, *, include_self=True, out=None):
    """A copy with the source joined to the positions of an axis that the index lists.

    >>> schuss.ones(2).index_reduce(0, schuss.tensor([0]), schuss.tensor([5.0]), "prod")
    tensor([5., 1.])
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"index_reduce: reduce is 'prod', 'mean', 'amax' or 'amin', not {reduce!r}"
        )
    if index.ndim > 1 or index.dtype not in (_core.int64, _core.int32):
        raise RuntimeError("index_reduce: the index must be a vector of int64 or int32")
    axis = _axis("index_reduce", dim, input.ndim)
    if input.ndim == 0:
        wide, source = index.reshape(-1), source.reshape(-1)
        found = scatter_reduce(input.reshape(1), 0, wide, source, reduce, include_self=include_self)
        return given("index_reduce", found.reshape(()), out, same=True)
    shape = [1] * source.ndim
    shape[axis] = index.numel()
    wide = index.long().reshape(shape).expand(source.shape)
    found = scatter_reduce(input, axis, wide, source, reduce, include_self=include_self)
    return given("index_reduce", found, out, same=True)


def fill(input, value):
    """A copy with one number everywhere.

    >>> schuss.fill(schuss.zeros(2), 3)
    tensor([3., 3.])
    """
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(f"fill: the value must be a number, got {tuple(value.shape)}")
        return value.to(input.dtype).expand(input.shape).clone()
    made = _core.full(tuple(input.shape), value, dtype=input.dtype, device=input.device)
    return made + input * 0 if _core._tracked(input) else made


# ---- copies of views -----------------------------------------------------------------------------


def _copied(name, view):
    def function(input, *args, out=None, **kwargs):
        found = view(input, *args, **kwargs)
        if isinstance(found, Tensor):
            return given(f"{name}_copy", found.clone(), out)
        parts = tuple(part.clone() for part in found)
        given_each(f"{name}_copy", parts, out)
        return parts if out is None else None

    function.__name__ = function.__qualname__ = f"{name}_copy"
    function.__doc__ = f"`{name}`, as a copy instead of a view."
    return function


alias_copy = _copied("alias", lambda t: t)
as_strided_copy = _copied("as_strided", Tensor.as_strided)
diagonal_copy = _copied("diagonal", Tensor.diagonal)
expand_copy = _copied("expand", lambda t, size, implicit=False: t.expand(size))
narrow_copy = _copied("narrow", lambda t, *args, **kwargs: t.narrow(*args, **kwargs))
permute_copy = _copied("permute", Tensor.permute)
split_with_sizes_copy = _copied("split_with_sizes", split_with_sizes)
squeeze_copy = _copied("squeeze", Tensor.squeeze)
t_copy = _copied("t", lambda t: t.t())
transpose_copy = _copied("transpose", Tensor.transpose)
unbind_copy = _copied("unbind", lambda t, dim=0: t.unbind(dim))
unfold_copy = _copied("unfold", lambda t, *args, **kwargs: t.unfold(*args, **kwargs))
unsqueeze_copy = _copied("unsqueeze", Tensor.unsqueeze)
view_copy = _copied("view", Tensor.view)


# ---- made without values -------------------------------------------------------------------------


def empty_strided(
    size, stride, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """A tensor of a shape and strides whose elements nobody has written yet.

    >>> schuss.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError(f"empty_strided: {len(size)} sizes and {len(stride)} strides differ")
    room = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    made = _core.empty(room, dtype=dtype, device=device).as_strided(size, stride).detach()
    return made.requires_grad_() if requires_grad else made


def new_empty_strided(
    self, size, stride, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """A tensor of a shape and strides, of this one's dtype, whose elements nobody has written."""
    kind = self.dtype if dtype is None else dtype
    return empty_strided(size, stride, dtype=kind, device=device, requires_grad=requires_grad)


def empty_permuted(
    size, physical_layout, *, dtype=None, layout=None, device=None, requires_grad=False, **named
):
    """A tensor without values whose axes lie in memory in the order given, outermost first.

    >>> schuss.empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    size, order = tuple(size), tuple(physical_layout)
    if sorted(order) != list(range(len(size))):
        raise RuntimeError(f"empty_permuted: {order} is no order of {len(size)} axes")
    stride, step = [1] * len(size), 1
    for axis in reversed(order):
        stride[axis] = step
        step *= max(size[axis], 1)
    return empty_strided(size, stride, dtype=dtype, device=device, requires_grad=requires_grad)


def scalar_tensor(s, *, dtype=None, layout=None, device=None, requires_grad=False, **named):
    """A number as a 0-d tensor of the default float type.

    >>> schuss.scalar_tensor(2)
    tensor(2.)
    """
    kind = _core.get_default_dtype() if dtype is None else dtype
    return _core.tensor(s, dtype=kind, device=device, requires_grad=requires_grad)


def constant_pad_nd(input, pad, value=0):
    """The last axes widened by (left, right) pairs of a number, the last axis first."""
    from schuss.nn.functional import pad as widened

    return widened(input, pad, "constant", value)


def nonzero_static(input, *, size, fill_value=-1, out=None):
    """The places of the elements that are not zero, cut or filled to `size` rows.

    >>> schuss.nonzero_static(schuss.tensor([0, 5]), size=2)
    tensor([[ 1],
            [-1]])
    """
    if size < 0:
        raise RuntimeError(f"nonzero_static: size must be at least 0, got {size}")
    found = _core._nonzero(input)[:size]
    options = {"dtype": _core.int64, "device": input.device}
    more = _core.full((size - found.shape[0], input.ndim), fill_value, **options)
    made = _core.cat([found, more]) if input.ndim else _core.empty(size, 0, **options)
    return given("nonzero_static", made, out)


__all__ = [
    "alias_copy",
    "as_strided_copy",
    "as_strided_scatter",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "cartesian_prod",
    "column_stack",
    "combinations",
    "constant_pad_nd",
    "diagflat",
    "diagonal_copy",
    "diagonal_scatter",
    "dsplit",
    "dstack",
    "empty_permuted",
    "empty_strided",
    "expand_copy",
    "fill",
    "fliplr",
    "flipud",
    "hsplit",
    "index_reduce",
    "narrow_copy",
    "nonzero_static",
    "permute_copy",
    "put",
    "rot90",
    "scalar_tensor",
    "scatter_reduce",
    "select_scatter",
    "slice_scatter",
    "split_with_sizes",
    "split_with_sizes_copy",
    "squeeze_copy",
    "t_copy",
    "tensor_split",
    "transpose_copy",
    "unbind_copy",
    "unfold_copy",
    "unsafe_chunk",
    "unsafe_split",
    "unsqueeze_copy",
    "view_copy",
    "vsplit",
]
