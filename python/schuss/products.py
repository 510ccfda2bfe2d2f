"""Products over named axes: einsum, tensordot, and their special cases; distances between rows.
Leans on the core's matrix product."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import NamedTuple

from schuss import _core
from schuss._core import Tensor
from schuss.arrangement import _axis
from schuss.mathematics import broadcast_shapes, norm, root
from schuss.naming import given, must_float

# ---- einsum --------------------------------------------------------------------------------------


def _sublists(operands):
    """The operands and the equation of `einsum(x, [0, 1], y, [1, 2], [0, 2])`."""
    given = list(operands)
    names: dict = {}

    def name(axis):
        if axis is Ellipsis:
            return "..."
        return names.setdefault(axis, chr(ord("A") + axis) if axis < 26 else chr(71 + axis))

    tensors, terms = [], []
    while len(given) > 1:
        tensors.append(given.pop(0))
        terms.append("".join(name(axis) for axis in given.pop(0)))
    equation = ",".join(terms)
    if given:
        equation += "->" + "".join(name(axis) for axis in given[0])
    return equation, tensors


def _terms(equation, operands):
    """Each operand's axes as labels, and the result's; an ellipsis becomes labels of its own."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise RuntimeError(
            f"einsum: {equation!r} names {len(terms)} operands, but {len(operands)} were given"
        )
    spare = 0
    for term, x in zip(terms, operands, strict=True):
        letters = term.replace("...", "")
        if not all(c.isalpha() for c in letters):
            raise RuntimeError(f"einsum: {term!r} in {equation!r} is not made of letters and '...'")
        if "..." in term:
            spare = max(spare, x.ndim - len(letters))
        fits = x.ndim >= len(letters) if "..." in term else x.ndim == len(letters)
        if not fits:
            raise RuntimeError(
                f"einsum: {term!r} does not fit an operand of shape {tuple(x.shape)}"
            )
    dots = [f".{i}" for i in range(spare)]

    def labels(term, rank=None):
        before, some, after = term.partition("...")
        if not some:
            return list(before)
        count = spare if rank is None else rank - len(before) - len(after)
        return [*before, *(dots[spare - count :] if count else []), *after]

    ins = [labels(term, x.ndim) for term, x in zip(terms, operands, strict=True)]
    if arrow:
        if not all(c.isalpha() for c in right.replace("...", "")):
            raise RuntimeError(f"einsum: {right!r} in {equation!r} is not made of letters")
        out = labels(right)
        known = {label for term in ins for label in term} | set(dots)
        if len(set(out)) != len(out) or not set(out) <= known:
            raise RuntimeError(f"einsum: the result {right!r} must name known labels, each once")
    else:
        counts: dict = {}
        for label in itertools.chain(*ins):
            counts[label] = counts.get(label, 0) + 1
        out = dots + sorted(c for c, n in counts.items() if n == 1 and c not in dots)
    return ins, out


def _diagonals(x, labels):
    """Repeated labels of one operand taken as its diagonal."""
    labels = list(labels)
    for label in sorted(set(labels)):
        while labels.count(label) > 1:
            a = labels.index(label)
            b = labels.index(label, a + 1)
            if x.shape[a] != x.shape[b]:
                raise RuntimeError(
                    f"einsum: label {label!r} has sizes {x.shape[a]} and {x.shape[b]}"
                )
            x = x.diagonal(0, a, b)
            labels = [c for i, c in enumerate(labels) if i not in (a, b)] + [label]
    return x, labels


def _alone(x, labels, kept):
    """Labels that nothing else needs are summed away."""
    gone = [i for i, label in enumerate(labels) if label not in kept]
    if gone:
        x = x.sum(gone)
    return x, [label for label in labels if label in kept]


class _Plan(NamedTuple):
    """How two operands are multiplied, as far as their labels alone tell it."""

    gone: tuple[list[int], list[int]]  # axes that nothing else needs
    both: list[tuple[str, int, int]]  # labels that both have, and where
    batch: list[int]  # axes of the first, as are the next two
    left: list[int]
    summed: list[int]
    right: list[int]  # axes of the second
    orders: tuple[list[int] | None, list[int] | None]  # None where they lie so already
    labels: list[str]  # of the result


@lru_cache(512)
def _plan(la, lb, kept):
    gone = tuple(
        [i for i, c in enumerate(own) if c not in kept and c not in other]
        for own, other in ((la, lb), (lb, la))
    )
    la, lb = ([c for c in own if c in kept or c in other] for own, other in ((la, lb), (lb, la)))
    both = [c for c in la if c in lb]
    batch = [c for c in both if c in kept]
    summed = [c for c in both if c not in kept]
    left = [c for c in la if c not in both]
    right = [c for c in lb if c not in both]

    def order(labels, wanted):
        found = [labels.index(c) for c in wanted]
        return None if found == sorted(found) else found

    return _Plan(
        gone,
        [(c, la.index(c), lb.index(c)) for c in both],
        *([la.index(c) for c in group] for group in (batch, left, summed)),
        [lb.index(c) for c in right],
        (order(la, batch + left + summed), order(lb, batch + summed + right)),
        batch + left + right,
    )


def _laid(x, order, shape):
    """The axes in another order, and seen under another shape."""
    x = x if order is None else x.permute(order)
    return x if list(x.shape) == shape else x.reshape(shape)


def _contract(a, la, b, lb, kept):
    """The product of two operands, summed over the labels that nothing else needs."""
    plan = _plan(tuple(la), tuple(lb), frozenset(kept))
    a = a.sum(plan.gone[0]) if plan.gone[0] else a
    b = b.sum(plan.gone[1]) if plan.gone[1] else b
    first, second = list(a.shape), list(b.shape)
    # A size of 1 is broadcast and cannot be contracted as it stands.
    for c, i, j in plan.both:
        n, m = first[i], second[j]
        if n == m:
            continue
        if 1 not in (n, m):
            raise RuntimeError(f"einsum: label {c!r} has sizes {n} and {m}")
        if n == 1:
            first[i] = m
            a = a.expand(first)
        else:
            second[j] = n
            b = b.expand(second)
    batch, left, summed = ([first[i] for i in g] for g in (plan.batch, plan.left, plan.summed))
    right = [second[j] for j in plan.right]
    if not summed:
        # Nothing is added up: a product with broadcasting.
        a = _laid(a, plan.orders[0], batch + left + [1] * len(right))
        return a * _laid(b, plan.orders[1], batch + [1] * len(left) + right), plan.labels
    rows, inner, columns = math.prod(left), math.prod(summed), math.prod(right)
    many = [math.prod(batch)] if batch else []
    a = _laid(a, plan.orders[0], [*many, rows, inner])
    b = _laid(b, plan.orders[1], [*many, inner, columns])
    return _laid(_core.matmul(a, b), None, batch + left + right), plan.labels


def einsum(equation, *operands):
    """Products summed over the labels that the result does not name (Einstein's convention).

    Operands may also be followed by lists of axis numbers instead of an equation.

    >>> a = schuss.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> schuss.einsum("ij,jk->ik", a, a)
    tensor([[ 7., 10.],
            [15., 22.]])
    """
    if not isinstance(equation, str):
        equation, operands = _sublists((equation, *operands))
    elif len(operands) == 1 and not isinstance(operands[0], Tensor):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError("einsum: needs at least one operand")
    form = equation, *[x.ndim for x in operands]
    found = _read.get(form)
    if found is None:
        if len(_read) >= 512:
            _read.clear()
        found = _read[form] = _terms(equation, operands)
    ins, out = found
    work = [
        (x, labels) if len(set(labels)) == len(labels) else _diagonals(x, labels)
        for x, labels in zip(operands, ins, strict=True)
    ]
    while len(work) > 1:
        (a, la), (b, lb) = work.pop(0), work.pop(0)
        kept = set(out).union(*(set(labels) for _, labels in work))
        work.insert(0, _contract(a, la, b, lb, kept))
    if len(operands) > 1 and work[0][1] == out:
        return work[0][0]
    x, labels = _alone(*work[0], set(out))
    for label in out:
        if label not in labels:
            x, labels = x.unsqueeze(0), [label, *labels]
    return x.permute([labels.index(label) for label in out])


# Equations that were taken apart, by the numbers of axes of their operands.
_read: dict[tuple, tuple[list[list[str]], list[str]]] = {}


# ---- its special cases ---------------------------------------------------------------------------


def tensordot(a, b, dims=2, out=None):
    """Products summed over the last axes of one tensor and the first of another, or pairs of axes.

    >>> a = schuss.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> schuss.tensordot(a, a, dims=([1], [0]))
    tensor([[ 7., 10.],
            [15., 22.]])
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist() if dims.ndim else int(dims)
    if isinstance(dims, int):
        if dims < 0 or dims > min(a.ndim, b.ndim):
            raise RuntimeError(
                f"tensordot: {dims} axes do not fit {tuple(a.shape)} and {tuple(b.shape)}"
            )
        first, second = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(first) != len(second):
        raise RuntimeError(f"tensordot: {first} and {second} name unequal numbers of axes")
    first = [_axis("tensordot", d, a.ndim) for d in first]
    second = [_axis("tensordot", d, b.ndim) for d in second]
    for i, j in zip(first, second, strict=True):
        n, m = a.size(i), b.size(j)
        if n != m and 1 not in (n, m):
            raise RuntimeError(f"tensordot: sizes {n} and {m} of axes {i} and {j} differ")
    named = _paired(a.ndim, b.ndim, tuple(first), tuple(second))
    return given("tensordot", _contract(a, named[0], b, *named[1:])[0], out)


@lru_cache(512)
def _paired(rank, other, first, second):
    """Labels of two operands of so many axes, the axes listed having common ones, and which of
    them stay."""
    la, lb = [f"a{i}" for i in range(rank)], [f"b{i}" for i in range(other)]
    for i, j in zip(first, second, strict=True):
        lb[j] = la[i]
    kept = {c for i, c in enumerate(la) if i not in first}
    kept |= {c for j, c in enumerate(lb) if j not in second}
    return tuple(la), tuple(lb), frozenset(kept)


def inner(input, other, *, out=None):
    """Products summed over the last axis of both.

    >>> schuss.inner(schuss.tensor([1.0, 2.0]), schuss.tensor([3.0, 4.0]))
    tensor(11.)
    """
    if input.ndim == 0 or other.ndim == 0:
        return given("inner", input * other, out)
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            f"inner: {tuple(input.shape)} and {tuple(other.shape)} differ in their last size"
        )
    return tensordot(input, other, ([-1], [-1]), out)


def vdot(input, other, *, out=None):
    """The inner product of two vectors, of which the first is conjugated.

    >>> schuss.vdot(schuss.tensor([1j]), schuss.tensor([1j]))
    tensor(1.+0.j)
    """
    return given("vdot", _core._ranked("dot", input.conj(), other), out)


def kron(input, other, *, out=None):
    """The Kronecker product: every element of the first times the whole second.

    >>> schuss.kron(schuss.tensor([1, 2]), schuss.tensor([1, 1]))
    tensor([1, 1, 2, 2])
    """
    rank = max(input.ndim, other.ndim)
    sizes = [[1] * (rank - x.ndim) + list(x.shape) for x in (input, other)]
    a = input.reshape([n for size in sizes[0] for n in (size, 1)])
    b = other.reshape([n for size in sizes[1] for n in (1, size)])
    return given("kron", (a * b).reshape([m * n for m, n in zip(*sizes, strict=True)]), out)


def addr(input, vec1, vec2, *, beta=1, alpha=1, out=None):
    """`beta * input + alpha * outer(vec1, vec2)`."""
    if vec1.ndim != 1 or vec2.ndim != 1:
        raise RuntimeError(
            f"addr: needs two vectors, got {tuple(vec1.shape)} and {tuple(vec2.shape)}"
        )
    product = vec1.unsqueeze(1) * vec2
    return given("addr", _onto("addr", input, product, beta, alpha), out)


def addbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    """`beta * input + alpha * (the sum of a batch of products)`."""
    product = _core._ranked("bmm", batch1, batch2).sum(0)
    return given("addbmm", _onto("addbmm", input, product, beta, alpha), out)


def _onto(op, input, product, beta, alpha):
    if broadcast_shapes(input.shape, product.shape) != product.shape:
        raise _core.ShapeError(
            f"{op}: the input {tuple(input.shape)} does not broadcast to {tuple(product.shape)}"
        )
    if product.dtype == _core.bool:
        return (input & bool(beta)) | (product & bool(alpha))
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else (input if beta == 1 else input * beta) + product


def chain_matmul(*matrices, out=None):
    """The product of several matrices, in the order that costs least."""
    return given("chain_matmul", multi_dot(matrices), out)


def multi_dot(tensors, *, out=None):
    """The product of matrices (the first and last may be vectors), in the order that costs least.

    >>> a = schuss.ones(2, 3)
    >>> schuss.linalg.multi_dot([a, a.T, a]).shape
    schuss.Size([2, 3])
    """
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot: needs at least two tensors, got {len(tensors)}")
    row, column = tensors[0].ndim == 1, tensors[-1].ndim == 1
    tensors[0] = tensors[0].unsqueeze(0) if row else tensors[0]
    tensors[-1] = tensors[-1].unsqueeze(1) if column else tensors[-1]
    if any(t.ndim != 2 for t in tensors):
        raise RuntimeError("multi_dot: the tensors between the first and the last must be matrices")
    sizes = [tensors[0].shape[0], *(t.shape[1] for t in tensors)]
    for i, t in enumerate(tensors):
        if t.shape[0] != sizes[i]:
            raise RuntimeError(
                f"multi_dot: sizes {sizes[i]} and {t.shape[0]} of neighbours {i - 1} and {i} differ"
            )
    # The cheapest bracketing, by dynamic programming over the chain's parts.
    n = len(tensors)
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            options = [
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            ]
            cost[i][j], cut[i][j] = min(options)

    def product(i, j):
        if i == j:
            return tensors[i]
        return product(i, cut[i][j]) @ product(cut[i][j] + 1, j)

    found = product(0, n - 1)
    found = found.squeeze(0) if row else found
    return given("multi_dot", found.squeeze(-1) if column else found, out)


def cross(input, other, dim=None, *, out=None):
    """The cross product of vectors of three elements along an axis.

    >>> schuss.linalg.cross(schuss.tensor([1.0, 0.0, 0.0]), schuss.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    if input.ndim != other.ndim:
        raise RuntimeError(
            f"cross: {tuple(input.shape)} and {tuple(other.shape)} differ in their number of axes"
        )
    if dim is None:
        dim = next((i for i, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError(f"cross: no axis of {tuple(input.shape)} has size 3")
    axis = _axis("cross", dim, input.ndim)
    if input.shape[axis] != 3 or other.shape[axis] != 3:
        raise RuntimeError(
            f"cross: axis {axis} of {tuple(input.shape)} and {tuple(other.shape)} must have size 3"
        )
    (a, b, c), (x, y, z) = _threes(input, axis), _threes(other, axis)
    found = [b * z - c * y, c * x - a * z, a * y - b * x]
    return given("cross", _core._stack(found, axis), out)


# From so many vectors on it pays to part their elements before they are multiplied.
_MANY = 1 << 14


def _threes(x, axis):
    """The three positions of an axis."""
    if x.numel() >= 3 * _MANY and x.stride(axis) == 1:
        x, axis = _core._compact(_core._movedim(x, axis, 0)), 0
    return _core._unbind(x, axis)


# ---- distances -----------------------------------------------------------------------------------


def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The p-norms of the differences between every row of one batch and every row of another.

    Distances of more than 25 float32 rows come of a product of matrices in float64, unless
    `compute_mode` is "donot_use_mm_for_euclid_dist"; those below the resolution of the rows'
    lengths, about 1e-7 of them, are 0.

    >>> schuss.cdist(schuss.zeros(1, 2), schuss.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """
    must_float("cdist", x1, x2, wanted="float tensors")
    if x1.ndim < 2 or x2.ndim < 2:
        raise RuntimeError("cdist: needs at least two axes")
    if x1.size(-1) != x2.size(-1):
        raise RuntimeError(f"cdist: rows of {x1.size(-1)} and of {x2.size(-1)} elements differ")
    if p < 0:
        raise RuntimeError(f"cdist: p must be at least 0, got {p}")
    rows, others = x1.size(-2), x2.size(-2)
    if x1.numel() == 0 or x2.numel() == 0:
        return (x1.unsqueeze(-2) - x2.unsqueeze(-3)).sum(-1)
    many = compute_mode == "use_mm_for_euclid_dist" or (
        compute_mode == "use_mm_for_euclid_dist_if_necessary" and max(rows, others) > 25
    )
    short = x1.dtype == x2.dtype and x1.dtype.itemsize <= 4 and not x1.dtype.is_complex
    if p == 2 and many and short and x1.device.type == "cpu" and x2.device.type == "cpu":
        return _by_products(x1.double(), x2.double()).to(x1.dtype)
    # As many rows at a time as keep their differences small.
    step = max(1, (1 << 24) // max(1, x2.numel()))
    parts = x1.split(step, -2) if rows > step else [x1]
    found = [norm(part.unsqueeze(-2) - x2.unsqueeze(-3), p, -1) for part in parts]
    return found[0] if len(found) == 1 else _core.cat(found, -2)


def _by_products(x1, x2):
    """The distances of rows by |a|^2 + |b|^2 - 2 a b; what that cannot tell from 0 is 0."""
    lengths = (x1 * x1).sum(-1).unsqueeze(-1) + (x2 * x2).sum(-1).unsqueeze(-2)
    squares = lengths - 2 * (x1 @ x2.mT)
    return root(squares, squares <= lengths * 2.0**-46)


def pdist(input, p=2.0):
    """The p-norms of the differences between all pairs of rows, the first row's first.

    >>> schuss.pdist(schuss.tensor([[0.0], [1.0], [3.0]]))
    tensor([1., 3., 2.])
    """
    if input.ndim != 2:
        raise RuntimeError(f"pdist: needs a matrix, got shape {tuple(input.shape)}")
    must_float("pdist", input)
    pairs = list(itertools.combinations(range(input.shape[0]), 2))
    rows = _core.tensor([i for i, _ in pairs], dtype=_core.int64, device=input.device)
    others = _core.tensor([j for _, j in pairs], dtype=_core.int64, device=input.device)
    return norm(input[rows] - input[others], p, -1)


def renorm(input, p, dim, maxnorm, *, out=None):
    """Every part along an axis scaled down to a p-norm of at most `maxnorm`.

    >>> schuss.renorm(schuss.tensor([[3.0, 4.0]]), 2, 0, 1.0)
    tensor([[0.6000, 0.8000]])
    """
    if input.ndim < 2:
        raise RuntimeError(f"renorm: needs at least two axes, got {tuple(input.shape)}")
    if p <= 0 or maxnorm < 0:
        raise RuntimeError(f"renorm: p must be above 0 and maxnorm not below, got {p}, {maxnorm}")
    axis = _axis("renorm", dim, input.ndim)
    length = norm(input, p, [i for i in range(input.ndim) if i != axis], True)
    scale = _core._where(length > maxnorm, maxnorm / (length + 1e-7), 1.0)
    return given("renorm", input * scale, out)


__all__ = [
    "addbmm",
    "addr",
    "cdist",
    "chain_matmul",
    "cross",
    "einsum",
    "inner",
    "kron",
    "pdist",
    "renorm",
    "tensordot",
    "vdot",
]
