"""Derivatives of functions made of records: both orders, over four layouts of every operand.

Leans on schuss.testing and the layouts of test_ops.py; a record's own derivatives are tested there.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import schuss
from schuss import Tensor, linalg
from schuss.nn import functional as F
from schuss.testing import gradcheck, gradgradcheck
from test_ops import LAYOUTS, SLOPES

t = schuss.tensor
AT = t([2, 0, 2])
WIDE = t([[0, 1, 0], [1, 0, 1]])
MASK = t([[True, False, True], [False, True, True]])
LABELS = t([1, 0])
EYE = schuss.eye(3, dtype=schuss.float64)


def square(x: Tensor) -> Tensor:
    """A matrix that is far from singular."""
    return x + 5 * EYE


def even(x: Tensor) -> Tensor:
    """A symmetric matrix with eigenvalues above 0 that differ."""
    return x @ x.mT + t([1.0, 3.0, 6.0], dtype=x.dtype).diag()


def seeded(call: Callable) -> Callable:
    """A function that draws the same random numbers at every call."""

    def run(*xs: Tensor) -> Tensor:
        schuss.manual_seed(5)
        return call(*xs)

    return run


def signless(parts: tuple) -> Tensor:
    """A product in which the signs of vectors do not count."""
    u, s, vh = parts
    return schuss.cat([((u * s.unsqueeze(-2).exp()) @ vh).flatten(), s.flatten()])


def apart(x: Tensor) -> Tensor:
    """Elements no two of which are near each other, and none near 0."""
    return x * 0.1 + schuss.arange(x.numel(), dtype=x.dtype).reshape(x.shape) + 0.5


# Each function with the shapes of its operands, of numbers from -2 to 2.
CALLS: dict[str, tuple] = {
    "addbmm": (lambda a, b, c: schuss.addbmm(a, b, c, alpha=2), (2, 3), (2, 2, 2), (2, 2, 3)),
    "addmv": (lambda a, b, c: schuss.addmv(a, b, c, beta=3), (2,), (2, 3), (3,)),
    "addr": (schuss.addr, (2, 3), (2,), (3,)),
    "aminmax": (lambda x: schuss.aminmax(apart(x), dim=1), (2, 3)),
    "atleast_1d": (schuss.atleast_1d, (2,)),
    "atleast_2d": (schuss.atleast_2d, (3,)),
    "atleast_3d": (schuss.atleast_3d, (2, 3)),
    "baddbmm": (schuss.baddbmm, (2, 2, 3), (2, 2, 2), (2, 2, 3)),
    "broadcast_tensors": (schuss.broadcast_tensors, (3,), (2, 1)),
    "broadcast_to": (lambda x: schuss.broadcast_to(x, (2, 2, 3)), (2, 3)),
    "cartesian_prod": (schuss.cartesian_prod, (2,), (3,)),
    "clamp_max": (lambda x, y: schuss.clamp_max(x, y), (2, 3), (3,)),
    "clamp_min": (lambda x, y: schuss.clamp_min(x, y), (2, 3), (3,)),
    "column_stack": (lambda x, y: schuss.column_stack([x, y]), (2, 3), (2,)),
    "constant_pad_nd": (lambda x: schuss.constant_pad_nd(x, (1, -1), 2.0), (2, 3)),
    "contiguous": (lambda x: x.contiguous(), (2, 3)),
    "corrcoef": (schuss.corrcoef, (2, 4)),
    "cumulative_trapezoid": (schuss.cumulative_trapezoid, (2, 3)),
    "diag": (schuss.diag, (3,)),
    "diag of a matrix": (lambda x: schuss.diag(x, 1), (2, 3)),
    "diag_embed": (schuss.diag_embed, (2, 3)),
    "diagflat": (schuss.diagflat, (2, 2)),
    "diagonal_scatter": (schuss.diagonal_scatter, (2, 2), (2,)),
    "dist": (lambda x, y: schuss.dist(x, y, 3), (2, 3), (2, 3)),
    "dstack": (lambda x, y: schuss.dstack([x, y]), (2, 3), (2, 3)),
    "expand_as": (lambda x, y: x.expand_as(y) * y, (1, 3), (2, 3)),
    "fill": (lambda x, y: schuss.fill(x, y), (2, 3), ()),
    "float_power": (lambda x: schuss.float_power(x, 3), (2, 3)),
    "hsplit": (lambda x: schuss.hsplit(x, 2), (2, 4)),
    "hstack": (lambda x, y: schuss.hstack([x, y]), (2, 3), (2, 2)),
    "index_add": (lambda x, y: schuss.index_add(x, 0, AT, y, alpha=2), (3, 2), (3, 2)),
    "index_copy": (lambda x, y: schuss.index_copy(x, 0, AT[:2], y), (3, 2), (2, 2)),
    "index_fill": (lambda x: schuss.index_fill(x, 0, AT[:1], 2.0), (3, 2)),
    "index_put": (lambda x, y: schuss.index_put(x, (AT,), y, True), (3, 2), (3, 2)),
    "index_reduce": (lambda x, y: x.index_reduce(0, AT, y, "prod"), (3, 2), (3, 2)),
    "masked_select": (lambda x: schuss.masked_select(x, MASK), (2, 3)),
    "meshgrid": (lambda x, y: schuss.meshgrid(x, y, indexing="ij"), (2,), (3,)),
    "mode": (lambda x: schuss.mode(apart(x)).values, (2, 3)),
    "nan_to_num": (lambda x: schuss.nan_to_num(x), (2, 3)),
    "nanmean": (lambda x: schuss.nanmean(x, 1), (2, 3)),
    "nanquantile": (lambda x: schuss.nanquantile(apart(x), 0.3, 1), (2, 3)),
    "nansum": (lambda x: schuss.nansum(x, 1), (2, 3)),
    "narrow_copy": (lambda x: schuss.narrow_copy(x, 1, 1, 2), (2, 3)),
    "pinverse": (schuss.pinverse, (2, 3)),
    "renorm": (lambda x: schuss.renorm(x, 2, 0, 1.0), (2, 3)),
    "repeat_interleave": (lambda x: x.repeat_interleave(t([1, 2]), 0), (2, 3)),
    "roll": (lambda x: schuss.roll(x, (1, 2), (0, 1)), (2, 3)),
    "rsub": (lambda x, y: schuss.rsub(x, y, alpha=2), (2, 3), (3,)),
    "select_scatter": (lambda x, y: schuss.select_scatter(x, y, 1, 1), (2, 3), (2,)),
    "slice_scatter": (lambda x, y: schuss.slice_scatter(x, y, 1, 0, 3, 2), (2, 3), (2, 2)),
    "split_with_sizes": (lambda x: x.split_with_sizes([1, 2], 1), (2, 3)),
    "std_mean": (lambda x: schuss.std_mean(apart(x), 1), (2, 3)),
    "var_mean": (lambda x: schuss.var_mean(x, 1), (2, 3)),
    "take": (lambda x: schuss.take(x, WIDE), (2, 3)),
    "trace": (schuss.trace, (3, 3)),
    "trapz": (lambda y, x: schuss.trapz(y, x), (2, 3), (3,)),
    "unflatten": (lambda x: x.unflatten(1, (2, 2)), (2, 4)),
    "unfold": (lambda x: x.unfold(1, 2, 1), (2, 4)),
    "unfold_copy": (lambda x: schuss.unfold_copy(x, 0, 2, 1), (3, 2)),
    "vdot": (schuss.vdot, (3,), (3,)),
    "vstack": (lambda x, y: schuss.vstack([x, y]), (2, 3), (3,)),
    "cholesky_solve": (
        lambda b, x: schuss.cholesky_solve(b, linalg.cholesky(even(x))),
        (3, 2),
        (3, 3),
    ),
    "cholesky_inverse": (lambda x: schuss.cholesky_inverse(linalg.cholesky(even(x))), (3, 3)),
    "linalg.cond": (lambda x: linalg.cond(square(x)), (3, 3)),
    "linalg.eigh": (
        lambda x: signless(
            (
                linalg.eigh(even(x)).eigenvectors,
                *linalg.eigh(even(x))[:1],
                linalg.eigh(even(x)).eigenvectors.mT,
            )
        ),
        (3, 3),
    ),
    "linalg.eigvals": (lambda x: schuss.view_as_real(linalg.eigvals(even(x))).sum(0), (3, 3)),
    "linalg.householder_product": (
        lambda x, y: linalg.householder_product(x, y * 0.3),
        (3, 2),
        (2,),
    ),
    "linalg.inv_ex": (lambda x: linalg.inv_ex(square(x)).inverse, (3, 3)),
    "linalg.lstsq": (lambda x, y: linalg.lstsq(x + EYE[:, :2], y).solution, (3, 2), (3, 2)),
    "linalg.lu": (lambda x: linalg.lu(square(x))[1:], (3, 3)),
    "linalg.lu_solve": (
        lambda x, b: linalg.lu_solve(*linalg.lu_factor(square(x)), b),
        (3, 3),
        (3, 2),
    ),
    "linalg.matrix_norm": (lambda x: linalg.matrix_norm(square(x), "nuc"), (3, 3)),
    "linalg.matrix_sqrth": (lambda x: linalg.matrix_sqrth(even(x)), (3, 3)),
    "linalg.polar": (lambda x: linalg.polar(square(x)), (3, 3)),
    "linalg.qr": (lambda x: linalg.qr(square(x)), (3, 3)),
    "linalg.slogdet": (lambda x: linalg.slogdet(square(x)).logabsdet, (3, 3)),
    "linalg.solve_ex": (lambda x, b: linalg.solve_ex(square(x), b).result, (3, 3), (3, 2)),
    "linalg.svd": (lambda x: signless(linalg.svd(square(x) + t([0.0, 1.0, 3.0]).diag())), (3, 3)),
    "linalg.tensorinv": (lambda x: linalg.tensorinv(square(x).reshape(3, 1, 3), ind=1), (3, 3)),
    "linalg.tensorsolve": (lambda x, b: linalg.tensorsolve(square(x), b), (3, 3), (3,)),
    "linalg.vander": (linalg.vander, (3,)),
    "linalg.vecdot": (linalg.vecdot, (2, 3), (2, 3)),
    "linalg.vector_norm": (lambda x: linalg.vector_norm(x, 3, 1), (2, 3)),
    "logdet": (lambda x: schuss.logdet(even(x)), (3, 3)),
    "native_batch_norm": (
        lambda x, w, b: schuss.native_batch_norm(x, w, b, None, None, True, 0.1, 0.1),
        (3, 2),
        (2,),
        (2,),
    ),
    "native_layer_norm": (
        lambda x, w, b: schuss.native_layer_norm(x, (3,), w, b, 0.1),
        (2, 3),
        (3,),
        (3,),
    ),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (2, 1)), (1, 3, 3)),
    "adaptive_avg_pool3d": (lambda x: F.adaptive_avg_pool3d(x, (1, 2, 1)), (1, 2, 3, 2)),
    "adaptive_max_pool1d": (lambda x: F.adaptive_max_pool1d(apart(x), 2), (2, 5)),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(apart(x), 2), (1, 3, 3)),
    "adaptive_max_pool3d": (lambda x: F.adaptive_max_pool3d(apart(x), 1), (1, 2, 3, 2)),
    "alpha_dropout": (seeded(lambda x: F.alpha_dropout(x, 0.4)), (2, 5)),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 2, 1), (2, 4)),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, 2, 1), (1, 2, 3, 2)),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), (4, 2), (2,), (2,)),
    "bilinear": (F.bilinear, (2, 3), (2, 2), (2, 3, 2), (2,)),
    "celu": (lambda x: F.celu(x, 1.5), (2, 3)),
    "channel_shuffle": (lambda x: F.channel_shuffle(x, 2), (1, 4, 1, 2)),
    "conv_transpose3d": (F.conv_transpose3d, (1, 2, 1, 2, 2), (2, 1, 1, 2, 2), (1,)),
    "cosine_embedding_loss": (
        lambda x, y: F.cosine_embedding_loss(x, y, t([1, -1])),
        (2, 3),
        (2, 3),
    ),
    "cosine_similarity": (F.cosine_similarity, (2, 3), (2, 3)),
    "ctc_loss": (lambda x: F.ctc_loss(x.log_softmax(-1), t([[1, 2]]), [4], [2]), (4, 1, 3)),
    "dropout": (seeded(lambda x: F.dropout(x, 0.4)), (2, 5)),
    "dropout2d": (seeded(lambda x: F.dropout2d(x, 0.4)), (2, 3, 2, 1)),
    "dropout3d": (seeded(lambda x: F.dropout3d(x, 0.4)), (2, 3, 1, 2, 1)),
    "embedding": (lambda x: F.embedding(WIDE, x), (3, 2)),
    "embedding_bag": (lambda x: F.embedding_bag(WIDE, x, mode="sum"), (3, 2)),
    "feature_alpha_dropout": (seeded(lambda x: F.feature_alpha_dropout(x, 0.4)), (2, 3, 2)),
    "fractional_max_pool2d": (seeded(lambda x: F.fractional_max_pool2d(apart(x), 2, 2)), (1, 4, 4)),
    "gaussian_nll_loss": (
        lambda x, y, v: F.gaussian_nll_loss(x, y, v.exp()),
        (2, 3),
        (2, 3),
        (2, 3),
    ),
    "grid_sample": (
        lambda x, y: F.grid_sample(x, y * 0.3 + 0.05, align_corners=False),
        (1, 1, 3, 3),
        (1, 2, 2, 2),
    ),
    "grid_sample of depth": (
        lambda x, y: F.grid_sample(x, y * 0.3 + 0.05, align_corners=True),
        (1, 1, 2, 3, 2),
        (1, 1, 2, 1, 3),
    ),
    "hinge_embedding_loss": (lambda x: F.hinge_embedding_loss(x * 0.3, t([1, -1, 1])), (2, 3)),
    "huber_loss": (lambda x, y: F.huber_loss(x, y, delta=0.7), (2, 3), (2, 3)),
    "instance_norm": (lambda x, w: F.instance_norm(x, weight=w), (1, 2, 4), (2,)),
    "kl_div": (lambda x, y: F.kl_div(x, y.exp(), reduction="sum"), (2, 3), (2, 3)),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (3,), w, b), (2, 3), (3,), (3,)),
    "linear_cross_entropy": (lambda x, w: F.linear_cross_entropy(x, w, LABELS), (2, 3), (2, 3)),
    "local_response_norm": (lambda x: F.local_response_norm(x, 2, alpha=0.3), (1, 3, 2)),
    "margin_ranking_loss": (
        lambda x, y: F.margin_ranking_loss(x, y, t([1, -1, 1]), margin=0.2),
        (3,),
        (3,),
    ),
    "max_pool3d": (lambda x: F.max_pool3d(apart(x), (1, 2, 2), 1), (1, 2, 3, 2)),
    "max_unpool1d": (lambda x: F.max_unpool1d(x, t([[1, 2]]), 2), (1, 2)),
    "max_unpool2d": (lambda x: F.max_unpool2d(x, t([[[1, 6]]]), 2), (1, 1, 2)),
    "max_unpool3d": (lambda x: F.max_unpool3d(x, t([[[[5, 9]]]]), 2), (1, 1, 1, 2)),
    "multi_margin_loss": (lambda x: F.multi_margin_loss(x, LABELS, p=2), (2, 3)),
    "multilabel_margin_loss": (lambda x: F.multilabel_margin_loss(x, t([[1, 0, -1]] * 2)), (2, 3)),
    "multilabel_soft_margin_loss": (
        lambda x: F.multilabel_soft_margin_loss(x, MASK.double()),
        (2, 3),
    ),
    "normalize": (F.normalize, (2, 3)),
    "pad": (lambda x: F.pad(x, (1, 2), mode="reflect"), (2, 4)),
    "pad in circles": (lambda x: F.pad(x, (1, 2), mode="circular"), (2, 4)),
    "pairwise_distance": (lambda x, y: F.pairwise_distance(x, y, 3), (2, 3), (2, 3)),
    "pdist": (lambda x: F.pdist(apart(x), 3), (3, 2)),
    "pixel_unshuffle": (lambda x: F.pixel_unshuffle(x, 2), (1, 2, 4)),
    "prelu": (lambda x, w: F.prelu(x, w), (2, 3), (3,)),
    "relu6": (lambda x: F.relu6(x * 5), (2, 3)),
    "rms_norm": (lambda x, w: F.rms_norm(x, (3,), w, eps=0.1), (2, 3), (3,)),
    "rrelu": (seeded(lambda x: F.rrelu(x, training=True)), (2, 3)),
    "scaled_dot_product_attention": (
        F.scaled_dot_product_attention,
        (1, 2, 3),
        (1, 3, 3),
        (1, 3, 2),
    ),
    "smooth_l1_loss": (lambda x, y: F.smooth_l1_loss(x, y, beta=0.7), (2, 3), (2, 3)),
    "softmin": (lambda x: F.softmin(x, 1), (2, 3)),
    "tanhshrink": (F.tanhshrink, (2, 3)),
    "triplet_margin_loss": (F.triplet_margin_loss, (2, 3), (2, 3), (2, 3)),
    "triplet_margin_with_distance_loss": (
        lambda x, y, z: F.triplet_margin_with_distance_loss(
            x, y, z, distance_function=lambda a, b: F.pairwise_distance(a, b, 3), margin=5.0
        ),
        (2, 3),
        (2, 3),
        (2, 3),
    ),
    "nn.functional.unfold": (lambda x: F.unfold(x, 2), (1, 3, 3)),
    "upsample_bilinear": (lambda x: F.upsample(x, size=(3, 2), mode="bilinear"), (1, 1, 2, 3)),
    "upsample_nearest": (lambda x: F.upsample(x, size=(3, 4)), (1, 1, 2, 3)),
}

# Not where rows are equal: norms and deviations of such have no slope.
UNEQUAL = {"dist", "corrcoef"}


def drawn(name: str, call: Callable, shapes: tuple, layout: str) -> tuple[Callable, list]:
    """The function of leaves in memory of their own, which it sees through a layout; the leaves."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    store, show = LAYOUTS[layout]
    leaves, views = [], []
    for shape in shapes:
        kept = np.array(store(rng.uniform(-2, 2, shape)), order="C")
        leaves.append(t(kept).requires_grad_())
        views.append(functools.partial(show, shape=shape))

    def run(*xs: Tensor) -> object:
        return call(*(view(x) for view, x in zip(views, xs, strict=True)))

    return run, leaves


@pytest.mark.parametrize("layout", ["contiguous", "transposed", "stepped", "expanded"])
@pytest.mark.parametrize("name", CALLS)
def test_both_derivatives(name: str, layout: str) -> None:
    if layout == "expanded" and name in UNEQUAL:
        return
    call, *shapes = CALLS[name]
    run, leaves = drawn(name, call, tuple(shapes), layout)
    small = sum(x.numel() for x in leaves) <= 20
    assert gradcheck(run, leaves, fast_mode=not small, **SLOPES)
    assert gradgradcheck(run, leaves, fast_mode=True, **SLOPES)
