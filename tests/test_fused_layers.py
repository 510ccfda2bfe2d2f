"""Normalisations, cross-entropy, attention, GELU and short softmax as kernels, beside formulas.
Leans on schuss and NumPy; numbers that PyTorch 2.15 gave stand behind the call that made them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import schuss
from schuss import nn
from schuss.autograd import gradcheck, gradgradcheck
from schuss.testing import assert_close

F = nn.functional


def made(*shape, seed=0, dtype=schuss.float64, grad=True):
    values = np.random.default_rng(seed).normal(size=shape)
    return schuss.tensor(values).to(dtype).requires_grad_(grad)


def same_slopes(own, other, leaves, rtol=1e-11, atol=1e-12):
    """One value and one gradient by two ways, each element with a weight of its own."""
    assert_close(own, other, rtol=rtol, atol=atol)
    weights = made(*own.shape, seed=9, dtype=own.dtype, grad=False)
    mine, theirs = (schuss.autograd.grad((y * weights).sum(), leaves) for y in (own, other))
    for a, b in zip(mine, theirs, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        assert_close(a, b, rtol=rtol, atol=atol)


def normed(x, axes, weight=None, bias=None, eps=1e-5):
    gap = x - x.mean(axes, keepdim=True)
    y = gap / ((gap * gap).mean(axes, keepdim=True) + eps).sqrt()
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


ROWS = [(5, 7), (33, 64), (2, 3, 16), (4, 1), (100, 333), (3, 2048), (1, 1), (40, 17)]


@pytest.mark.parametrize("affine", ["both", "weight", "bias", "none"])
@pytest.mark.parametrize("shape", ROWS)
def test_layer_norm_is_its_formula(shape, affine):
    x, n = made(*shape), shape[-1:]
    weight = made(*n, seed=1) if affine in ("both", "weight") else None
    bias = made(*n, seed=2) if affine in ("both", "bias") else None
    leaves = [t for t in (x, weight, bias) if t is not None]
    own = F.layer_norm(x, n, weight, bias, eps=1e-2)
    same_slopes(own, normed(x, -1, weight, bias, 1e-2), leaves)


def test_layer_norm_over_two_axes_of_what_lies_across():
    x = made(6, 5, 4)
    weight, bias = made(5, 6, seed=1), made(5, 6, seed=2)
    across = x.permute(2, 1, 0)
    own = F.layer_norm(across, (5, 6), weight, bias)
    same_slopes(own, normed(across, (-1, -2), weight, bias), [x, weight, bias])


CHANNELS = [(5, 7), (33, 300), (2, 3, 16), (4, 2, 5, 5), (2, 300, 1), (3, 5, 2), (2, 1, 3, 3, 3)]


GROUPS = [(3, 6, 5, 7), (2, 4, 3), (5, 4), (2, 6, 16), (1, 2, 33, 9), (4, 8, 20, 20)]


@pytest.mark.parametrize("affine", ["both", "weight", "bias", "none"])
@pytest.mark.parametrize("shape", GROUPS)
def test_group_norm_is_its_formula(shape, affine):
    x = made(*shape)
    weight = made(shape[1], seed=1) if affine in ("both", "weight") else None
    bias = made(shape[1], seed=2) if affine in ("both", "bias") else None
    leaves = [t for t in (x, weight, bias) if t is not None]
    other = normed(x.reshape(shape[0], 2, -1), -1, None, None, 1e-2).reshape(shape)
    spread = [1, -1] + [1] * (len(shape) - 2)
    other = other if weight is None else other * weight.reshape(spread)
    other = other if bias is None else other + bias.reshape(spread)
    same_slopes(F.group_norm(x, 2, weight, bias, eps=1e-2), other, leaves)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", ROWS)
def test_rms_norm_is_its_formula(shape, affine):
    x, n = made(*shape), shape[-1:]
    weight = made(*n, seed=1) if affine else None
    other = x / ((x * x).mean(-1, keepdim=True) + 1e-2).sqrt()
    leaves = [x, weight] if affine else [x]
    other = other * weight if affine else other
    same_slopes(F.rms_norm(x, n, weight, 1e-2), other, leaves)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", CHANNELS)
def test_batch_norm_is_its_formula(shape, affine):
    x = made(*shape)
    weight, bias = (made(shape[1], seed=k) for k in (1, 2)) if affine else (None, None)
    spread = [1, -1] + [1] * (len(shape) - 2)
    axes = [i for i in range(len(shape)) if i != 1]
    leaves = [x, weight, bias] if affine else [x]
    inside = [t.reshape(spread) for t in (weight, bias)] if affine else []
    same_slopes(F.batch_norm(x, None, None, weight, bias, True), normed(x, axes, *inside), leaves)


def test_batch_norm_follows_the_batches():
    # torch.nn.BatchNorm1d(2) over torch.tensor([[1., 10.], [2., 30.], [6., 50.]])
    model = nn.BatchNorm1d(2)
    y = model(schuss.tensor([[1.0, 10.0], [2.0, 30.0], [6.0, 50.0]]))
    theirs = [[-0.925819, -1.2247448], [-0.46290955, 0.0], [1.3887286, 1.2247448]]
    assert_close(y.detach(), schuss.tensor(theirs), rtol=1e-5, atol=1e-6)
    assert_close(model.running_mean, schuss.tensor([0.3, 3.0]))
    assert_close(model.running_var, schuss.tensor([1.6, 40.9]))


@pytest.mark.parametrize(
    "run",
    [
        lambda x, w, b: F.layer_norm(x, (3,), w, b),
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
        lambda x, w, b: F.batch_norm(x.unsqueeze(2).expand(4, 3, 2), None, None, w, b, True),
        lambda x, w, b: F.group_norm(x.reshape(2, 6), 2) * w.sum() + b.sum(),
        lambda x, w, b: F.group_norm(x.repeat(1, 16).reshape(1, 3, 64) ** 2, 3, w, b),
        lambda x, w, b: F.rms_norm(x, (3,), w) + b,
    ],
)
def test_both_derivatives_of_normalisations(run):
    leaves = [made(4, 3), made(3, seed=1), made(3, seed=2)]
    assert gradcheck(run, leaves)
    assert gradgradcheck(run, leaves)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_normalised_in_float32(dtype):
    short = getattr(schuss, dtype)
    x, weight, bias = (made(*s, seed=k, dtype=short) for k, s in enumerate([(4, 6), (6,), (6,)]))
    wide = [t.detach().float() for t in (x, weight, bias)]
    y, z = F.layer_norm(x, (6,), weight, bias), F.layer_norm(wide[0], (6,), *wide[1:])
    assert y.dtype == short and bool((y == z.to(short)).all())
    grads = schuss.autograd.grad(y.sum(), (x, weight, bias))
    assert all(g.dtype == short for g in grads)


def test_normalisations_of_nothing_and_of_mixed_dtypes():
    x = schuss.zeros(0, 3, requires_grad=True)
    weight = schuss.ones(3, requires_grad=True)
    y = F.layer_norm(x, (3,), weight)
    gx, gw = schuss.autograd.grad(y.sum(), (x, weight))
    assert tuple(gx.shape) == (0, 3) and gw.tolist() == [0.0] * 3
    mixed = F.layer_norm(schuss.ones(2, 3).half(), (3,), weight)
    assert mixed.dtype == schuss.float32


@pytest.mark.parametrize("n", [1, 2, 10, 64, 200, 256, 257])
@pytest.mark.parametrize("rows", [1, 15, 16, 50])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_of_many_rows_is_that_of_each(rows, n, dtype):
    x = made(rows, n, dtype=getattr(schuss, dtype))
    tight = 1e-5 if dtype == "float32" else 1e-12
    e = (x - x.amax(1, keepdim=True)).exp()
    same_slopes(x.softmax(1), e / e.sum(1, keepdim=True), [x], tight, tight)
    shifted = x - x.logsumexp(1, keepdim=True)
    same_slopes(x.log_softmax(1), shifted, [x], tight, 4 * tight)


def test_softmax_of_short_rows_at_the_edges():
    inf, nan = float("inf"), float("nan")
    rows = [[0.0, -inf], [-inf, -inf], [nan, 0.0], [1e4, 0.0], [inf, 0.0], [-1e4, -1e4]]
    x = schuss.tensor(rows * 3)
    whole, alone = x.softmax(1).numpy(), np.array([x[i].softmax(0).numpy() for i in range(18)])
    assert np.array_equal(whole, alone, equal_nan=True)
    assert np.isnan(whole[1]).all() and np.isnan(whole[2]).all() and whole[3].tolist() == [1.0, 0.0]
    log = x.log_softmax(1).numpy()
    assert log[0].tolist() == [0.0, -inf] and log[3].tolist() == [0.0, -1e4]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(1000, 40), (40, 1000), (300, 300)])
def test_softmax_keeps_every_digit(shape, axis):
    x = schuss.tensor(np.random.default_rng(5).uniform(-80.0, 20.0, shape).astype("float32"))
    # The largest element is taken off in float32.
    e = np.exp((x.numpy() - x.numpy().max(axis, keepdims=True)).astype(float))
    total = e.sum(axis, keepdims=True)
    # Of what is a normal number, within four units in the last place; the rest fades.
    assert np.allclose(x.softmax(axis).numpy(), e / total, rtol=4.8e-7, atol=1e-44)
    apart = x.log_softmax(axis).numpy() - (np.log(e) - np.log(total))
    assert np.abs(apart).max() < 2e-5


def test_logarithms_of_sums_of_columns_at_the_edges():
    inf, nan = float("inf"), float("nan")
    columns = [[0.0, -inf], [-inf, -inf], [inf, 1.0], [inf, nan], [-inf, nan], [inf, -inf]]
    x = schuss.tensor(columns * 8).T.contiguous()
    known = [0.0, -inf, inf, nan, nan, inf] * 8
    assert np.array_equal(x.logsumexp(0).numpy(), known, equal_nan=True)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(5, 3), (40, 1000), (1, 1), (17, 2)])
def test_cross_entropy_is_its_formula(shape, reduction):
    x = made(*shape)
    y = schuss.tensor(np.random.default_rng(3).integers(0, shape[1], shape[0]))
    y[0] = -100
    own = F.cross_entropy(x, y, reduction=reduction)
    other = F.nll_loss(x.log_softmax(1), y, reduction=reduction)
    if shape[0] > 1:
        same_slopes(own, other, [x])
    else:
        assert bool(own.isnan()) == (reduction == "mean")


def test_cross_entropy_beside_pytorch():
    # F.cross_entropy(x, torch.tensor([2, 1])) and its gradient, of the same scores
    x = schuss.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, schuss.tensor([2, 1]))
    loss.backward()
    assert_close(loss.detach(), schuss.tensor(0.8783090))
    theirs = [[0.04501529, 0.12236425, -0.1673795], [0.35269228, -0.37025177, 0.01755952]]
    assert_close(x.grad, schuss.tensor(theirs))


def test_both_derivatives_of_cross_entropy():
    y = schuss.tensor([0, 2, -100, 1])
    for reduction in ("mean", "sum"):
        run = lambda x, r=reduction: F.cross_entropy(x, y, reduction=r)  # noqa: E731
        assert gradcheck(run, [made(4, 3)])
        assert gradgradcheck(run, [made(4, 3)])


def test_cross_entropy_refuses_classes_that_are_not_there():
    x = schuss.zeros(3, 4)
    for bad in (4, -1):
        with pytest.raises(IndexError, match=f"target {bad} is out of range: .* 0 to 3"):
            F.cross_entropy(x, schuss.tensor([0, bad, 1]))
    assert bool(F.cross_entropy(schuss.zeros(0, 3), schuss.zeros(0, dtype=schuss.int64)).isnan())


def attended(q, k, v, mask=None, causal=False, scale=None):
    """The formula, all scores at once."""
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if causal:
        scores = scores.masked_fill(~schuss.ones(scores.shape[-2:]).tril().bool(), -float("inf"))
    if mask is not None:
        shown = mask if mask.dtype != schuss.bool else None
        scores = scores.masked_fill(~mask, -float("inf")) if shown is None else scores + shown
    nowhere = (scores == -float("inf")).all(-1, keepdim=True)
    return scores.masked_fill(nowhere, 0.0).softmax(-1).masked_fill(nowhere, 0.0) @ v


SHAPES = [
    ((2, 3), 5, 7, 4, 6),
    ((1, 2), 64, 256, 8, 8),
    ((2, 1), 65, 257, 16, 3),
    ((), 130, 600, 5, 5),
    ((3,), 1, 9, 1, 1),
    ((2, 2, 2), 3, 4, 2, 2),
]


@pytest.mark.parametrize("masked", ["no", "causal", "truths", "numbers", "spread"])
@pytest.mark.parametrize("lead,queries,keys,width,out", SHAPES)
def test_attention_in_tiles_is_its_formula(lead, queries, keys, width, out, masked):
    q, k = made(*lead, queries, width), made(*lead, keys, width, seed=1)
    v = made(*lead, keys, out, seed=2)
    draw = np.random.default_rng(5)
    mask = None
    if masked == "truths":
        mask = schuss.tensor(draw.random((queries, keys)) < 0.7)
        mask[0] = False
    elif masked in ("numbers", "spread"):
        shape = (*lead, queries, keys) if masked == "numbers" else (1, keys)
        mask = schuss.tensor(draw.normal(size=shape))
    causal = masked == "causal"
    own = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)
    same_slopes(own, attended(q, k, v, mask, causal), [q, k, v])


def test_attention_of_what_lies_across_and_of_short_floats():
    x = made(2, 9, 4, 3, 5, dtype=schuss.float32)
    q, k, v = x.permute(3, 0, 2, 1, 4)
    own = F.scaled_dot_product_attention(q, k, v, scale=0.3)
    same_slopes(own, attended(q, k, v, scale=0.3), [x], 1e-4, 1e-5)
    short = [t.detach().bfloat16().requires_grad_() for t in (q, k, v)]
    y = F.scaled_dot_product_attention(*short)
    z = F.scaled_dot_product_attention(*(t.detach().float() for t in short))
    assert y.dtype == schuss.bfloat16 and bool((y == z.bfloat16()).all())
    assert all(g.dtype == schuss.bfloat16 for g in schuss.autograd.grad(y.sum(), short))


@pytest.mark.parametrize("causal", [False, True])
def test_both_derivatives_of_attention(causal):
    leaves = [made(1, 2, 3, 2, seed=k) for k in range(3)]
    run = lambda *x: F.scaled_dot_product_attention(*x, is_causal=causal)  # noqa: E731
    assert gradcheck(run, leaves)
    assert gradgradcheck(run, leaves)
    if not causal:
        leaves.append(made(1, 2, 3, 3, seed=4))
        assert gradcheck(F.scaled_dot_product_attention, leaves)
        assert gradgradcheck(F.scaled_dot_product_attention, leaves)


def test_attention_beside_pytorch():
    # F.scaled_dot_product_attention(x, x, x, is_causal=True), x as below
    x = schuss.arange(12.0).reshape(1, 3, 4) / 10
    y = F.scaled_dot_product_attention(x, x, x, is_causal=True)
    theirs = [[0.0, 0.1, 0.2, 0.3], [0.24330361, 0.34330362, 0.44330364, 0.54330361]]
    theirs.append([0.58531743, 0.68531740, 0.78531742, 0.88531739])
    assert_close(y[0], schuss.tensor(theirs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("masks", ["none", "both"])
def test_heads_with_and_without_their_weights_agree(batch_first, masks):
    schuss.manual_seed(1)
    model = nn.MultiheadAttention(12, 3, batch_first=batch_first).double()
    x = made(4, 4, 12)
    how = {}
    if masks == "both":
        how["attn_mask"] = schuss.ones(4, 4).triu(1).bool()
        how["key_padding_mask"] = schuss.tensor([[False] * 4, [False] * 3 + [True]] * 2)
    own, none = model(x, x, x, need_weights=False, **how)
    other, weights = model(x, x, x, **how)
    assert none is None and tuple(weights.shape) == (4, 4, 4)
    same_slopes(own, other, [x, *model.parameters()])
    own, _ = model(x, x.clone(), x, need_weights=False, **how)
    other, _ = model(x, x, x, **how)
    same_slopes(own, other, [x, *model.parameters()])


HELD = """
import resource, schuss
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
q, k, v = (schuss.randn(1, 8192, 8, requires_grad=True) for _ in range(3))
run = schuss.nn.functional.scaled_dot_product_attention
run(*(x[:, :300] for x in (q, k, v))).sum().backward()
before = peak()
run(q, k, v).sum().backward()
print(peak() - before)
"""


def test_scores_are_never_all_held():
    pytest.importorskip("resource")
    found = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    # All scores would be 256 MiB, and half of that is far above what tiles and results take.
    assert int(found.stdout) < (128 << 10) * (1024 if sys.platform == "darwin" else 1)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "erf", "silu"])
def test_the_slopes_of_curves(name):
    run = F.silu if name == "silu" else getattr(schuss, name)
    x = made(3, 5)
    assert gradcheck(run, [x])
    assert gradgradcheck(run, [x])
    if name != "erf":
        z = schuss.complex(made(4, grad=False), made(4, seed=1, grad=False)).requires_grad_(True)
        assert gradcheck(run, [z])


@pytest.mark.parametrize("name", ["none", "tanh"])
def test_the_slopes_of_gelu(name):
    x = made(3, 5)
    assert gradcheck(lambda x: F.gelu(x, approximate=name), [x])
    assert gradgradcheck(lambda x: F.gelu(x, approximate=name), [x])
    # torch.nn.functional.gelu(torch.tensor([-3., -1., 0.5, 2.]), approximate=...)
    theirs = {
        "none": [-0.00405023, -0.15865526, 0.34573123, 1.95449972],
        "tanh": [-0.00363743, -0.15880799, 0.34571400, 1.95459771],
    }
    y = F.gelu(schuss.tensor([-3.0, -1.0, 0.5, 2.0]), approximate=name)
    assert_close(y, schuss.tensor(theirs[name]), rtol=1e-5, atol=1e-6)


def test_threads_change_no_bit():
    schuss.manual_seed(0)
    x, y = schuss.randn(70, 40, 64), schuss.randint(0, 64, (2800,))
    weight, bias = schuss.randn(64), schuss.randn(64)
    channels = schuss.randn(16, 8, 30, 30)

    def run():
        found = []
        for of, make in (
            (x, lambda x: F.layer_norm(x, (64,), weight, bias)),
            (x, lambda x: x.softmax(-1) + x.log_softmax(-1)),
            (x, lambda x: F.cross_entropy(x.reshape(-1, 64), y)),
            (x, lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True)),
            (channels, lambda x: F.batch_norm(x, None, None, None, None, True)),
        ):
            leaf = of.clone().requires_grad_()
            value = make(leaf)
            (g,) = schuss.autograd.grad((value * value).sum(), leaf)
            found += [value.detach().numpy(), g.numpy()]
        return found

    before, found = schuss.get_num_threads(), []
    for count in (1, 2, 3):
        schuss.set_num_threads(count)
        found.append(run())
    schuss.set_num_threads(before)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_compiled_step_is_the_eager_one_to_the_last_bit():
    schuss.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        16, 2, 32, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    head = nn.Sequential(nn.Flatten(), nn.Linear(80, 6), nn.BatchNorm1d(6))
    weights = [*layer.parameters(), *head.parameters()]

    def step(x, y):
        layer.zero_grad()
        head.zero_grad()
        loss = F.cross_entropy(head(layer(x)), y)
        loss.backward()
        return loss

    compiled = schuss.compile(step)
    for _ in range(4):
        x, y = schuss.randn(7, 5, 16), schuss.randint(0, 6, (7,))
        kept = {k: v.clone() for k, v in head.state_dict().items()}
        eager = [step(x, y).item(), *(p.grad.numpy().copy() for p in weights)]
        head.load_state_dict(kept)
        again = [compiled(x, y).item(), *(p.grad.numpy().copy() for p in weights)]
        assert all(np.array_equal(a, b) for a, b in zip(eager, again, strict=True))
    with pytest.raises(IndexError, match="out of range"):
        compiled(x, y + 6)


AFFINE = made(6, seed=7, grad=False), made(6, seed=8, grad=False)
GRU = nn.GRU(6, 2).double()
RUNS = {
    "layer_norm": lambda x: F.layer_norm(x, (6,), *AFFINE),
    "batch_norm": lambda x: F.batch_norm(x, None, None, *AFFINE, True),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x.sin(), is_causal=True),
    "entropy": lambda x: F.cross_entropy(x, schuss.tensor([1, 5, 0, 3])).reshape(1),
    "gelu": F.gelu,
    "softmax": lambda x: x.softmax(-1),
    "gru": lambda x: GRU(x)[0],
}


@pytest.mark.parametrize("name", RUNS)
def test_transformations_see_through_them(name):
    run, func = RUNS[name], schuss.func
    many, way = made(3, 4, 6, grad=False), made(4, 6, seed=4, grad=False)
    each = [run(x) for x in many]
    assert_close(func.vmap(run)(many), schuss.stack(each))
    slope = func.grad(lambda x: (run(x) ** 2).sum())
    assert_close(func.vmap(slope)(many), schuss.stack([slope(x) for x in many]))
    _, tangent = func.jvp(run, (many[0],), (way,))
    step = 1e-6
    between = (run(many[0] + step * way) - run(many[0] - step * way)) / (2 * step)
    assert_close(tangent, between, rtol=1e-6, atol=1e-8)
    assert_close(func.jacfwd(run)(many[0]), func.jacrev(run)(many[0]))


def test_means_and_deviations_of_groups_are_results_too():
    def facts(x, w):
        return schuss.native_group_norm(x, w, None, 2, 4, 3, 2, 1e-5)

    x, w = made(2, 4, 3), made(4, seed=1)
    assert gradcheck(facts, (x, w)) and gradgradcheck(facts, (x, w))
    # With a weight alone torch's three results require grad as well, the slopes of two are zero.
    found, mean, scale = facts(x.detach(), w)
    assert found.requires_grad and mean.requires_grad and scale.requires_grad
    assert schuss.autograd.grad(mean.sum() + scale.sum(), w)[0].tolist() == [0.0] * 4
    assert not any(y.requires_grad for y in facts(x.detach(), w.detach()))
