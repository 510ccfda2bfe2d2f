"""Writes in place: values through views, gradients of written views, and saved tensors overwritten.

Leans on schuss, and on the tables by way of test_ops.py for the check of every saved tensor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import schuss
from conftest import refuses
from reference import TABLE
from schuss.testing import assert_close, gradcheck, gradgradcheck
from test_ops import arrays, cases, function, outputs, tensors

f64 = schuss.float64

# In-place methods with their arguments; each must equal the method without the underscore.
METHODS: list[tuple[str, tuple]] = [
    ("add_", (2.0,)),
    ("sub_", (2.0,)),
    ("mul_", (2.0,)),
    ("div_", (2.0,)),
    ("pow_", (2,)),
    ("remainder_", (0.7,)),
    ("fmod_", (0.7,)),
    ("floor_divide_", (0.3,)),
    ("clamp_", (0.3, 0.6)),
    ("clamp_min_", (0.3,)),
    ("clamp_max_", (0.6,)),
    *((name, ()) for name in (
        "neg_", "abs_", "exp_", "log_", "sqrt_", "rsqrt_", "square_", "reciprocal_", "sin_",
        "cos_", "tanh_", "sigmoid_", "relu_", "floor_", "ceil_", "round_", "trunc_", "frac_",
        "erf_", "log1p_", "expm1_", "sign_", "atan_",
    )),
]  # fmt: skip


def grown(x: schuss.Tensor) -> schuss.Tensor:
    """A tensor of the graph with memory of its own."""
    return x * 1.0


@pytest.mark.parametrize("name, args", METHODS, ids=[m[0] for m in METHODS])
def test_method_in_place(name: str, args: tuple) -> None:
    x = schuss.rand(3, 4, dtype=f64) + 0.05
    want = getattr(x, name[:-1])(*args)
    for y in (x.clone(), x.t().clone().t()):
        assert getattr(y, name)(*args) is y
        assert_close(y, want)
    wide = schuss.zeros(3, 8, dtype=f64)
    wide[:, ::2] = x
    getattr(wide[:, ::2], name)(*args)
    assert_close(wide[:, ::2], want)
    assert not wide[:, 1::2].any()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "float16"])
@pytest.mark.parametrize("name, args", METHODS, ids=[m[0] for m in METHODS])
def test_writes_in_place_have_the_bits_of_fresh_results(name: str, args: tuple, dtype: str) -> None:
    # Short ones are written where they lie, longer ones by vectors of their own or through tiles.
    for n in (1, 15, 17, 127, 130, 513, 4097, 70_001):
        x = (schuss.arange(n) % 97 / 50 + 0.02).mul(1 if "float" in dtype else 30)
        x = x.to(getattr(schuss, dtype))
        if (name, dtype) == ("frac_", "int32"):
            pytest.skip("integers have no fraction, and frac says so")
        want = getattr(x, name[:-1])(*args)
        if want.dtype != x.dtype:
            with refuses(RuntimeError, "in place"):
                getattr(x, name)(*args)
            return
        y = x.clone()
        getattr(y, name)(*args)
        assert np.array_equal(y.numpy(), want.numpy(), equal_nan=True), n
        # From an address that no vector would choose, and with the neighbours left alone.
        room = schuss.cat([x[:1], x, x[:1]])
        getattr(room[1:-1], name)(*args)
        assert np.array_equal(room[1:-1].numpy(), want.numpy(), equal_nan=True), n
        assert room[0] == x[0] and room[-1] == x[0]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("name", ["add_", "sub_", "mul_", "div_", "pow_", "atan2_", "fmod_"])
def test_writes_beside_a_second_operand_have_the_bits_of_fresh_results(
    name: str, dtype: str
) -> None:
    if dtype == "int64" and name in ("div_", "atan2_"):
        pytest.skip("the result of integers is a float, which cannot be written over them")
    rng = np.random.default_rng(3)
    for shape in ((7, 5), (40, 33), (300, 257), (70_001,)):
        a, b = (schuss.tensor(rng.uniform(1, 9, shape).astype(dtype)) for _ in range(2))
        others = [b, a] if name == "atan2_" else [b, a, 3]
        if len(shape) == 2:
            others += [b[:1], b[:, :1], b[0], b[:, 1:].repeat(1, 2)[:, : shape[1]]]
        for other in others:
            for y in (a.clone(), schuss.cat([a, a], -1)[..., : shape[-1]]):
                given = y if other is a else other
                want = getattr(a, name[:-1])(other)
                getattr(y, name)(given)
                assert np.array_equal(y.numpy(), want.numpy()), (shape, other.shape)


@pytest.mark.parametrize("name, args", METHODS, ids=[m[0] for m in METHODS])
def test_gradient_of_a_method_in_place(name: str, args: tuple) -> None:
    if name == "floor_divide_":
        return
    x = (schuss.rand(3, 2, dtype=f64) + 0.05).requires_grad_()

    def written(x: schuss.Tensor) -> schuss.Tensor:
        y = grown(x)
        getattr(y, name)(*args)
        return y

    def part(x: schuss.Tensor) -> schuss.Tensor:
        y = grown(x)
        getattr(y[:, 0], name)(*args)
        return y * y

    assert gradcheck(written, x) and gradcheck(part, x)
    assert gradgradcheck(written, x, fast_mode=True) and gradgradcheck(part, x, fast_mode=True)


def test_writes_with_tensors() -> None:
    def run(x: schuss.Tensor, y: schuss.Tensor) -> schuss.Tensor:
        z = grown(x)
        z.add_(y, alpha=2).mul_(y)
        z[0].div_(y)
        z[:, 1].copy_(y[0])
        z.masked_fill_(z.detach() > 1.5, 0.5)
        z.addcmul_(x, y, value=0.5).lerp_(y, 0.25)
        z.index_add_(0, schuss.tensor([1, 1]), x)
        return z

    x = (schuss.rand(2, 3, dtype=f64) + 0.5).requires_grad_()
    y = (schuss.rand(3, dtype=f64) + 0.5).requires_grad_()
    assert gradcheck(run, (x, y)) and gradgradcheck(run, (x, y), fast_mode=True)


def test_fills_and_draws_go_through_views() -> None:
    x = schuss.ones(1000, 2)
    x[:, 0].uniform_(-1.0, 1.0)
    assert (x[:, 1] == 1).all() and x[:, 0].min() < -0.9 and x[:, 0].max() > 0.9
    x[:, 1].normal_(5.0, 0.1)
    assert abs(x[:, 1].mean().item() - 5) < 0.05
    x[::2].zero_()
    assert not x[::2].any() and x[1::2].all()
    x[1::2, 0].fill_(3)
    assert x[1].tolist()[0] == 3.0
    k = schuss.zeros(100, dtype=schuss.int64)
    k[::2].random_(1, 4)
    assert set(k[::2].tolist()) == {1, 2, 3} and not k[1::2].any()
    x.bernoulli_(0.5)
    assert set(x.flatten().tolist()) == {0.0, 1.0}


def test_augmented_operators_write_in_place() -> None:
    x = schuss.tensor([7.0, 8.0])
    y = x
    x += 1
    x -= 2
    x *= 3
    x /= 2
    x //= 1
    x %= 5
    x **= 2
    assert x is y and y.tolist() == [16.0, 0.0]
    k = schuss.tensor([6, 3])
    m = k
    k &= 3
    k |= 4
    k ^= 1
    k <<= 2
    k >>= 1
    assert k is m and m.tolist() == [14, 12]


def test_a_row_of_a_plain_tensor_takes_tracked_values() -> None:
    x = schuss.tensor([[1.0], [2.0], [3.0]], requires_grad=True)
    y = schuss.zeros(3, 1)
    y[0] = x[0] ** 2
    assert y.requires_grad and not y.is_leaf
    y[2] = x[2] ** 3 + y[0]
    y.sum().backward()
    assert x.grad.tolist() == [[4.0], [0.0], [27.0]]


def test_a_view_taken_before_the_write_sees_the_gradient() -> None:
    x = schuss.ones(4, requires_grad=True)
    y = grown(x)
    early = y[1:3]
    y.mul_(3)
    early.sum().backward()
    assert x.grad.tolist() == [0.0, 3.0, 3.0, 0.0]


def test_a_write_into_a_view_reaches_its_base_and_its_siblings() -> None:
    x = schuss.ones(4, requires_grad=True)
    y = grown(x)
    a, b = y[:3], y[1:]
    a.mul_(2)
    b.mul_(5)
    assert y.tolist() == [2.0, 10.0, 10.0, 5.0]
    (gy,) = schuss.autograd.grad(y.sum(), x, retain_graph=True)
    (ga,) = schuss.autograd.grad(a.sum(), x)
    assert gy.tolist() == [2.0, 10.0, 10.0, 5.0] and ga.tolist() == [2.0, 10.0, 10.0, 0.0]


def test_a_written_view_of_a_view() -> None:
    def run(x: schuss.Tensor) -> schuss.Tensor:
        y = grown(x)
        z = y.t()[1:]
        z[0, :2].mul_(3)
        y[1] *= z[:, 0].sum()
        return y * z.sum()

    assert gradcheck(run, schuss.rand(3, 3, dtype=f64, requires_grad=True))


def test_a_plain_base_with_a_tracked_write_through_a_view() -> None:
    x = schuss.tensor([2.0, 3.0], requires_grad=True)
    base = schuss.zeros(2, 2)
    view = base[1]
    view.add_(x)
    assert base.requires_grad and view.requires_grad
    (base**2).sum().backward()
    assert x.grad.tolist() == [4.0, 6.0]


def test_version_counts_writes_and_views_share_it() -> None:
    x = schuss.zeros(4)
    v, d = x[1:], x.detach()
    assert x._version == v._version == 0
    x.add_(1)
    v.mul_(2)
    d.zero_()
    x[0] = 5
    assert x._version == v._version == d._version == 4
    data = x.data
    data.add_(1)
    assert x._version == 4


WAYS: dict[str, Callable] = {
    "itself": lambda x: x.add_(1),
    "view": lambda x: x.view(-1)[:1].add_(1),
    "detach": lambda x: x.detach().add_(1),
    "index": lambda x: x.__setitem__(..., 3.0),
    "no_grad": lambda x: schuss.no_grad()(x.mul_)(2.0),
    "zero": lambda x: x.detach().zero_(),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_overwritten_saved_tensor_is_an_error(way: str) -> None:
    x = schuss.ones(3, requires_grad=True)
    y = grown(x)
    z = y.sin()
    WAYS[way](y)
    with refuses(RuntimeError, "modified", "in"):
        z.sum().backward()
    base = grown(schuss.ones(2, 3, requires_grad=True))
    z = base[0] ** 3
    WAYS[way](base)
    with refuses(RuntimeError):
        z.sum().backward()


def test_an_overwritten_output_is_an_error() -> None:
    x = schuss.ones(3, requires_grad=True)
    for f in (schuss.exp, schuss.sigmoid, schuss.tanh, schuss.sqrt):
        y = f(x)
        y.add_(1)
        with refuses(RuntimeError, "modified"):
            y.sum().backward()
        y = f(x)
        y.detach().zero_()
        with refuses(RuntimeError, "modified"):
            y.sum().backward()


def test_a_write_before_it_is_saved_is_no_error() -> None:
    x = schuss.ones(3, requires_grad=True)
    y = grown(x)
    y.mul_(2)
    y.sin().sum().backward()
    assert_close(x.grad, 2 * schuss.cos(schuss.full((3,), 2.0)))
    x.grad = None
    y = grown(x)
    z = y + 1
    y.mul_(2)
    z.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def test_data_writes_are_not_seen() -> None:
    x = schuss.ones(3, requires_grad=True)
    y = grown(x)
    z = y**2
    y.data.mul_(10)
    z.sum().backward()
    assert x.grad.tolist() == [20.0] * 3
    x.data.fill_(7)
    assert x.tolist() == [7.0] * 3 and x.requires_grad


@pytest.mark.parametrize("name", sorted(n for n, e in TABLE.items() if e.grad))
def test_every_saved_tensor_is_guarded(name: str) -> None:
    """After a write between forward and backward: an error, or the gradient there was before."""
    entry, f = TABLE[name], function(name)
    one = next(c for c in cases(entry, 99) if all(d.shape and all(d.shape) for d in c.inputs))
    letter = "d"
    for victim in range(len(one.inputs) + 1):
        for way in ("itself", "view", "detach", "zero"):
            values = tensors(one, arrays(name, one, letter), letter)
            moving = [t for t, d in zip(values, one.inputs, strict=True) if d.moves]
            leaves = [t.requires_grad_() for t in moving]
            inputs = [t.clone() for t in values]
            outs = [o for o in outputs(f(*inputs, *one.args, **one.keywords)) if o.requires_grad]
            cotangents = [schuss.full_like(o.detach(), 0.7) for o in outs]
            before = schuss.autograd.grad(
                outs, leaves, cotangents, retain_graph=True, allow_unused=True
            )
            before = [None if g is None else g.clone() for g in before]
            target = outs[0] if victim == len(inputs) else inputs[victim]
            if target.dtype == schuss.bool:
                target.detach().logical_not_()
            else:
                try:
                    WAYS[way](target)
                except RuntimeError:
                    continue
            if target is outs[0] and way in ("itself", "view"):
                continue
            try:
                after = schuss.autograd.grad(outs, leaves, cotangents, allow_unused=True)
            except RuntimeError:
                continue
            for b, a in zip(before, after, strict=True):
                assert_close(a, b, equal_nan=True, msg=f"{name}: input {victim} by {way}")


def test_a_leaf_is_not_written_in_place() -> None:
    x = schuss.ones(3, requires_grad=True)
    for write in (
        lambda: x.add_(1),
        lambda: x.zero_(),
        lambda: x.__setitem__(0, 1.0),
        lambda: x.copy_(schuss.zeros(3)),
        lambda: x[1:].mul_(2),
        lambda: x.view(3, 1).fill_(0),
        lambda: x.uniform_(),
    ):
        with refuses(RuntimeError, "leaf"):
            write()
    with pytest.raises(RuntimeError):
        x += 1
    assert x.tolist() == [1.0, 1.0, 1.0]
    with schuss.no_grad():
        x += 1
        x[0] = 9
    assert x.is_leaf and x.requires_grad and x.tolist() == [9.0, 2.0, 2.0]


def test_a_view_made_under_no_grad_is_not_written_with_a_graph() -> None:
    x = schuss.ones(3, requires_grad=True)
    y = grown(x)
    with schuss.no_grad():
        v = y[:2]
    try:
        v.mul_(2)
    except RuntimeError:
        return
    (g,) = schuss.autograd.grad(y.sum(), x)
    assert g.tolist() == [2.0, 2.0, 1.0]


def test_writes_that_overlap_themselves_are_refused() -> None:
    x = schuss.zeros(1, 3)
    with refuses(RuntimeError):
        x.expand(2, 3).add_(1)
    with refuses(RuntimeError):
        x.expand(2, 3).mul_(schuss.ones(2, 3))
    y = schuss.arange(5.0)
    with refuses(RuntimeError):
        y[1:].add_(y[:-1])
    assert y.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    y.add_(y)
    assert y.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_shapes_do_not_grow_in_place() -> None:
    x = schuss.ones(3)
    with refuses(RuntimeError, (3,), (2, 3)):
        x.add_(schuss.ones(2, 3))
    with refuses(RuntimeError, (3,), (2, 3)):
        x.copy_(schuss.ones(2, 3))
    with refuses(RuntimeError):
        schuss.ones(3, dtype=schuss.int64).div_(2)
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_metadata_methods_in_place() -> None:
    x = schuss.zeros(1, 2, 3)
    assert x.squeeze_(0).shape == (2, 3) and x.unsqueeze_(-1).shape == (2, 3, 1)
    assert x.transpose_(0, 1) is x and x.shape == (3, 2, 1)
    y = schuss.arange(6).reshape(2, 3).clone()
    assert y.t_().tolist() == [[0, 3], [1, 4], [2, 5]]
    z = schuss.ones(2, requires_grad=True) * 2
    assert z.detach_() is z and z.is_leaf and not z.requires_grad
    w = schuss.ones(2)
    assert w.requires_grad_() is w and w.requires_grad and not w.requires_grad_(False).requires_grad


def test_relu_in_place_keeps_what_backward_needs() -> None:
    x = schuss.tensor([-1.0, 2.0], requires_grad=True)
    y = schuss.nn.functional.relu(grown(x), inplace=True)
    (y * 3).sum().backward()
    assert x.grad.tolist() == [0.0, 3.0]


def test_numpy_aliases_share_with_views() -> None:
    x = schuss.zeros(2, 3)
    a = x.t().numpy()
    x[1] += 1
    a[0, 1] = 9
    assert x.tolist() == [[0.0, 0.0, 0.0], [9.0, 1.0, 1.0]] and isinstance(a, np.ndarray)


@pytest.mark.parametrize(
    "write",
    [
        lambda q: q.__setitem__(0, q[0].detach()),
        lambda q: q.__setitem__(slice(None, 1), q[:1].detach()),
        lambda q: q[:1].copy_(q[:1].data),
    ],
)
def test_a_tensors_own_elements_without_their_graph_end_the_gradient(write):
    p = schuss.tensor([0.5, -1.0, 2.0], requires_grad=True)
    q = p * 1
    write(q)
    (q * schuss.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert p.grad.tolist() == [0.0, 2.0, 3.0]


def test_a_tensors_own_elements_within_the_graph_keep_it():
    p = schuss.tensor([0.5, -1.0, 2.0], requires_grad=True)
    q = p * 1
    q[0] += 1
    q[1:] *= 2
    q.copy_(q)
    (q * schuss.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert p.grad.tolist() == [1.0, 4.0, 6.0]
    whole = p * 2
    whole.copy_(whole.detach())
    assert schuss.autograd.grad((whole * p).sum(), p)[0].tolist() == whole.tolist()


def turned(x: schuss.Tensor) -> schuss.Tensor:
    """A result whose axes lie in another order than they are counted."""
    y = x.permute(1, 0, 2) * 1.0
    assert y.stride() == (4, 12, 1)
    return y


# Writes through views that run over several axes of such a result at once.
FLATTENED = {
    "all": lambda y, w: y.permute(1, 0, 2).reshape(-1).mul_(w),
    "a part": lambda y, w: y.permute(1, 0, 2).view(-1)[5:19].mul_(w[5:19]),
    "a matrix": lambda y, w: y.permute(1, 0, 2).view(6, 4).t().mul_(w.reshape(4, 6)),
    "steps": lambda y, w: y.permute(1, 0, 2).view(-1)[::3].copy_(w[:8] * y.sum()),
    "then the whole": lambda y, w: (y.permute(1, 0, 2).view(-1).mul_(w), y.add_(y.sum())),
}


@pytest.mark.parametrize("way", FLATTENED)
def test_writes_over_axes_that_lie_otherwise(way: str) -> None:
    weights = schuss.arange(24.0, dtype=f64)

    def run(x: schuss.Tensor, made=turned) -> schuss.Tensor:
        y = made(x)
        view = y.permute(1, 0, 2).reshape(-1)
        FLATTENED[way](y, weights)
        return y * y, view * 2

    x = schuss.rand(2, 3, 4, dtype=f64).requires_grad_()
    plain = run(x, lambda x: x.permute(1, 0, 2) * 1.0)
    assert_close(plain[0].permute(1, 0, 2).reshape(-1), (plain[1] / 2) ** 2)
    assert gradcheck(run, x) and gradgradcheck(run, x, fast_mode=True)
    along = schuss.rand(2, 3, 4, dtype=f64)
    _, moved = schuss.func.jvp(lambda x: run(x)[0].sum(), (x.detach(),), (along,))
    (slope,) = schuss.autograd.grad(run(x)[0].sum(), x)
    assert_close(moved, (slope * along).sum())


def test_slopes_of_a_write_over_axes_that_lie_otherwise() -> None:
    # torch.autograd.grad of the same, with the elements weighed by 0 to 23.
    x = schuss.arange(24.0, dtype=f64).reshape(2, 3, 4).requires_grad_()
    y = turned(x)
    y.permute(1, 0, 2).reshape(-1).mul_(schuss.arange(24.0, dtype=f64))
    weighed = y * schuss.arange(24.0, dtype=f64).reshape(3, 2, 4)
    (slope,) = schuss.autograd.grad(weighed.sum(), x)
    theirs = [0, 1, 4, 9, 32, 45, 60, 77, 128, 153, 180, 209]
    theirs += [48, 65, 84, 105, 192, 221, 252, 285, 400, 441, 484, 529]
    assert slope.flatten().tolist() == theirs


@pytest.mark.parametrize("way", ["turned value", "turned tangent", "both"])
def test_tangents_of_writes_lie_as_their_values(way: str) -> None:
    def run(x: schuss.Tensor) -> schuss.Tensor:
        y = x * 1.5
        y[1].sin_()
        y.select(2, 0)[:2].mul_(x.sum())
        y.view(-1)[3:7].copy_(x.flatten()[:4] * 2)
        return (y * y).sum()

    def lying(x: schuss.Tensor, turn: bool) -> schuss.Tensor:
        return x.permute(2, 0, 1).contiguous().permute(1, 2, 0) if turn else x

    x = lying(schuss.rand(4, 3, 4, dtype=f64), way == "turned tangent")
    x = x.contiguous()
    along = lying(schuss.rand(4, 3, 4, dtype=f64), way != "turned value")
    (slope,) = schuss.autograd.grad(run(x.requires_grad_()), x)
    _, moved = schuss.func.jvp(run, (x.detach(),), (along,))
    assert_close(moved, (slope * along).sum())
    flat = lying(schuss.rand(4, 3, 4, dtype=f64), way != "turned tangent")

    def whole(x: schuss.Tensor) -> schuss.Tensor:
        y = x * 1.5
        y.permute(2, 0, 1)[1].mul_(x.sum())
        y[0].t()[0].exp_()
        return (y * y).sum()

    (slope,) = schuss.autograd.grad(whole(flat.requires_grad_()), flat)
    _, moved = schuss.func.jvp(whole, (flat.detach(),), (along,))
    assert_close(moved, (slope * along).sum())
