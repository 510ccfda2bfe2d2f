"""Bad input: every mistake raises the class PyTorch raises, naming the operation and both sides.

Leans on schuss and NumPy; mistakes of views and indices are also in their own files.
"""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
import schuss
from conftest import FLOATS, LETTERS, numpy_dtype, refuses

F = schuss.nn.functional
o = schuss.ones
k = schuss.tensor([1, 2])
yes = schuss.tensor([True, False])


# (call, class, what the message must say). The classes were noted from PyTorch 2.15:
#   try: call() except Exception as error: print(type(error).__mro__)
SHAPES = [
    (lambda: o(2, 3) + o(4), RuntimeError, "add", (2, 3), (4,)),
    (lambda: schuss.sub(o(2, 3), o(3, 2)), RuntimeError, "sub", (2, 3), (3, 2)),
    (lambda: o(2) * o(3), RuntimeError, "mul", (2,), (3,)),
    (lambda: o(2) < o(3), RuntimeError, "lt", (2,), (3,)),
    (lambda: schuss.atan2(o(2), o(3)), RuntimeError, "atan2", (2,), (3,)),
    (lambda: schuss.maximum(o(2), o(3)), RuntimeError, "maximum", (2,), (3,)),
    (lambda: yes & schuss.tensor([True] * 3), RuntimeError, "and", (2,), (3,)),
    (lambda: schuss.where(o(2) > 0, o(3), o(2)), RuntimeError, "where", (2,), (3,)),
    (lambda: schuss.lerp(o(2), o(3), 0.5), RuntimeError, "lerp", (2,), (3,)),
    (lambda: o(2).masked_fill(o(3) > 0, 1.0), RuntimeError, "masked_fill", (2,), (3,)),
    (lambda: o(2, 3) @ o(2, 3), RuntimeError, "matmul", (2, 3)),
    (lambda: o(32, 784) @ o(512, 10), RuntimeError, "matmul", (32, 784), (512, 10), 784, 512),
    (lambda: o(2) @ o(3), RuntimeError, (2,), (3,)),
    (lambda: o(2, 3, 4) @ o(3, 4, 5), RuntimeError, "matmul", (2, 3, 4), (3, 4, 5)),
    (lambda: schuss.tensor(1.0) @ schuss.tensor(1.0), RuntimeError, "matmul"),
    (lambda: schuss.mm(o(2), o(2, 3)), RuntimeError, "mm", (2,)),
    (lambda: schuss.mm(o(2, 3), o(2, 3)), RuntimeError, "mm", (2, 3)),
    (lambda: schuss.bmm(o(2, 3, 4), o(3, 4, 5)), RuntimeError, "bmm", (2, 3, 4), (3, 4, 5)),
    (lambda: schuss.bmm(o(2, 3), o(2, 3)), RuntimeError, "bmm", (2, 3)),
    (lambda: schuss.mv(o(2, 3), o(2)), RuntimeError, "mv", (2, 3), (2,)),
    (lambda: schuss.dot(o(2), o(3)), RuntimeError, "dot", (2,), (3,)),
    (lambda: schuss.dot(o(2, 2), o(2, 2)), RuntimeError, "dot", (2, 2)),
    (lambda: schuss.outer(o(2, 2), o(2)), RuntimeError, "outer", (2, 2)),
    (lambda: schuss.addmm(o(5), o(2, 3), o(3, 4)), RuntimeError, "addmm", (5,)),
    (lambda: F.linear(o(2, 3), o(4, 5)), RuntimeError, "linear", (2, 3), (4, 5)),
    (lambda: schuss.cat([o(2, 3), o(2, 4)]), RuntimeError, "cat", (2, 3), (2, 4)),
    (lambda: schuss.stack([o(2), o(3)]), RuntimeError, "stack", (2,), (3,)),
    (lambda: schuss.stack([]), RuntimeError, "stack"),
    (lambda: schuss.cat([]), (RuntimeError, ValueError), "cat"),
    (lambda: o(2, 3).repeat(2), RuntimeError, "repeat", (2, 3)),
    (lambda: o(2, 3).repeat(-1, 1), RuntimeError, "repeat"),
    (lambda: o(2, 3).gather(0, schuss.tensor([0])), RuntimeError, "gather", (2, 3), (1,)),
    (lambda: o(2, 3).index_select(0, schuss.tensor([[0]])), IndexError, "index_select"),
    (lambda: schuss.inverse(o(2, 3)), RuntimeError, "inv", (2, 3)),
    (lambda: schuss.det(o(2, 3)), RuntimeError, "det", (2, 3)),
    (lambda: schuss.inverse(schuss.zeros(2, 2)), RuntimeError, "inv"),
    (lambda: schuss.tril(o(3)), RuntimeError, "tril", (3,)),
    (lambda: F.mse_loss(o(2), o(3)), (RuntimeError, UserWarning), (2,), (3,)),
    (lambda: F.binary_cross_entropy(o(2), o(3)), ValueError, "binary_cross_entropy", (2,), (3,)),
    (lambda: F.binary_cross_entropy_with_logits(o(2), o(3)), ValueError, (2,), (3,)),
    (lambda: F.cross_entropy(o(2, 3), schuss.tensor([0, 1, 2])), ValueError, (2, 3), (3,)),
    (lambda: o(2, 3).sum((0, 0)), RuntimeError, "sum"),
    (lambda: o(2, 3).flip(0, 0), RuntimeError, "flip"),
    (lambda: schuss.as_strided(o(3), (2,), (1, 1)), RuntimeError, "as_strided"),
    (lambda: schuss.broadcast_tensors(o(2), o(3)), RuntimeError, (2,), (3,)),
    (lambda: o(2, 3).split(0), RuntimeError, "split"),
    (lambda: o(2, 3).split(-1), RuntimeError, "split"),
]

AXES = [
    (lambda: o(2, 3).sum(2), IndexError, "sum", 2, (2, 3)),
    (lambda: o(2, 3).sum(-3), IndexError, "sum", -3, (2, 3)),
    (lambda: o(2, 3).mean(5), IndexError, "mean", 5),
    (lambda: o(2, 3).max(2), IndexError, "max", 2),
    (lambda: o(2, 3).argmax(2), IndexError, "argmax", 2),
    (lambda: o(2, 3).var(2), IndexError, "var", 2),
    (lambda: o(2, 3).cumsum(2), IndexError, "cumsum", 2),
    (lambda: o(2, 3).softmax(2), IndexError, "softmax", 2),
    (lambda: o(2, 3).flip(2), IndexError, "flip", 2),
    (lambda: o(2, 3).squeeze(2), IndexError, "squeeze", 2),
    (lambda: o(2, 3).unbind(2), IndexError, "unbind", 2),
    (lambda: o(2, 3).movedim(0, 2), IndexError, "movedim", 2),
    (lambda: schuss.cat([o(2), o(2)], dim=1), IndexError, "cat", 1),
    (lambda: schuss.stack([o(2), o(2)], dim=2), IndexError, "stack", 2),
    (lambda: o(2, 3).index_select(2, schuss.tensor([0])), IndexError, "index_select", 2),
    (lambda: schuss.diagonal(o(3)), IndexError, "diagonal"),
    (lambda: o(2, 3).size(2), IndexError, 2),
    (lambda: o(2, 3).sum("a"), TypeError),
    (lambda: o(2, 3).sum(0.5), TypeError),
    (lambda: o(()).sum(1), IndexError, "sum"),
]

DTYPES_REFUSED = [
    (lambda: k.mean(), RuntimeError, "mean", "int64"),
    (lambda: k.var(), RuntimeError, "var"),
    (lambda: schuss.softmax(k, 0), RuntimeError, "softmax", "int64"),
    (lambda: F.gelu(k), RuntimeError, "gelu", "int64"),
    (lambda: -yes, RuntimeError, "neg", "bool"),
    (lambda: yes - yes, RuntimeError, "sub", "bool"),
    (lambda: ~o(2), TypeError, "not"),
    (lambda: o(2) & 1, RuntimeError, "and", "float32"),
    (lambda: o(2) << 1, RuntimeError, "shift"),
    (lambda: schuss.where(o(2), o(2), o(2)), RuntimeError, "where", "float32"),
    (lambda: o(2).masked_fill(o(2), 1.0), RuntimeError, "masked_fill", "float32"),
    (lambda: schuss.masked_select(o(2), o(2)), RuntimeError, "masked_select"),
    (lambda: k @ o(2), RuntimeError, "int64", "float32"),
    (lambda: schuss.mm(o(2, 2), o(2, 2).double()), RuntimeError, "float32", "float64"),
    (lambda: F.linear(o(2, 2), o(2, 2).double()), RuntimeError, "float32", "float64"),
    (lambda: schuss.dot(o(2), o(2).double()), RuntimeError, "float32", "float64"),
    (lambda: o(2, 3).gather(0, o(1, 1)), RuntimeError, "gather"),
    (lambda: F.cross_entropy(o(2, 3), o(2)), RuntimeError, (2,)),
    (lambda: F.cross_entropy(o(2, 3), [0, 1]), TypeError, "cross_entropy", "list"),
    (lambda: F.nll_loss(o(2, 3), o(2)), RuntimeError, "nll_loss"),
    (lambda: schuss.inverse(o(2, 2).long()), RuntimeError, "inv", "int64"),
    (lambda: k.requires_grad_(), RuntimeError, "int64"),
    (lambda: schuss.zeros(2, dtype=schuss.int64, requires_grad=True), RuntimeError),
    (lambda: k.clone().add_(1.5), RuntimeError, "float32", "int64"),
    (lambda: k.clone().div_(2), RuntimeError, "div"),
    (lambda: schuss.randn(2, dtype=schuss.int32), RuntimeError, "randn"),
    (lambda: schuss.finfo(schuss.int64), TypeError),
    (lambda: schuss.iinfo(schuss.float32), TypeError),
    (lambda: schuss.set_default_dtype(schuss.int64), TypeError),
]

VALUES = [
    (lambda: schuss.empty(0).max(), RuntimeError, "max"),
    (lambda: schuss.empty(0).min(), RuntimeError, "min"),
    (lambda: schuss.empty(0).amax(), RuntimeError, "amax"),
    (lambda: schuss.empty(0).argmax(), IndexError, "argmax"),
    (lambda: schuss.empty(2, 0).max(1), IndexError, "max", (2, 0)),
    (lambda: schuss.empty(2, 0).argmin(1), IndexError, "argmin", (2, 0)),
    (lambda: schuss.empty(2, 0).amin(1), IndexError, "amin", (2, 0)),
    (lambda: schuss.empty(0).norm(p=math.inf), RuntimeError, "norm"),
    (lambda: F.cross_entropy(o(2, 3), schuss.tensor([0, 3])), IndexError, 3),
    (lambda: F.nll_loss(o(2, 3), schuss.tensor([0, -1])), IndexError, -1),
    (lambda: F.binary_cross_entropy(o(2) * 2, o(2)), RuntimeError, "binary_cross_entropy"),
    (lambda: F.mse_loss(o(2), o(2), reduction="x"), ValueError, "x"),
    (lambda: schuss.clamp(o(2)), (RuntimeError, ValueError), "clamp"),
    (lambda: k**-1, RuntimeError, "pow"),
    (lambda: bool(o(2)), RuntimeError, "2"),
    (lambda: bool(schuss.empty(0)), RuntimeError),
    (lambda: float(o(2)), (RuntimeError, ValueError)),
    (lambda: o(2).item(), RuntimeError, "item", (2,)),
    (lambda: int(schuss.tensor(math.nan)), ValueError),
    (lambda: int(schuss.tensor(math.inf)), OverflowError),
    (lambda: len(schuss.tensor(1)), TypeError),
    (lambda: list(schuss.tensor(1)), TypeError),
    (lambda: [1, 2][schuss.tensor(1.0)], TypeError),
    (lambda: schuss.ones(2, dtype=schuss.bfloat16).numpy(), TypeError, "bfloat16"),
]

ARGUMENTS = [
    (lambda: schuss.exp("a"), TypeError, "exp"),
    (lambda: schuss.exp(), TypeError, "exp"),
    (lambda: schuss.exp(1.0), TypeError, "exp"),
    (lambda: schuss.exp(o(2), o(2)), TypeError, "exp"),
    (lambda: o(2).exp(foo=1), TypeError, "exp"),
    (lambda: o(2).sum(dims=0), TypeError, "sum", "dims"),
    (lambda: schuss.add(o(2)), TypeError, "add"),
    (lambda: schuss.add(o(2), "a"), TypeError, "add"),
    (lambda: schuss.add(o(2), o(2), alpha="a"), TypeError, "add"),
    (lambda: schuss.add(o(2), None), TypeError, "add"),
    (lambda: schuss.sum([1, 2]), TypeError, "sum"),
    (lambda: schuss.logical_not("a"), TypeError, "logical_not"),
    (lambda: schuss.clamp(o(2), "a"), TypeError, "clamp"),
    (lambda: schuss.cat(o(2)), TypeError, "cat"),
    (lambda: schuss.cat([o(2), 3]), TypeError, "cat"),
    (lambda: schuss.stack(3), TypeError, "stack"),
    (lambda: o(2).masked_fill(o(2) > 0, "a"), TypeError, "masked_fill"),
    (lambda: o(2).foo, AttributeError, "foo"),
    (lambda: o(2).foo_(), AttributeError, "foo_"),
    (lambda: schuss.foo, AttributeError, "foo"),
    (lambda: o(2) + "a", TypeError),
    (lambda: o(2) + None, TypeError),
    (lambda: o(2) + [1, 2], TypeError),  # noqa: RUF005
    (lambda: "a" * o(2), TypeError),
    (lambda: o(2) < "a", TypeError),
    (lambda: o(2) @ 3, TypeError),
    (lambda: o(2).view("a"), TypeError, "view"),
    (lambda: o(2).permute("a"), TypeError, "permute"),
    (lambda: o(2).reshape(2.0), TypeError, "reshape"),
    (lambda: o(2).transpose(0), TypeError, "transpose"),
    (lambda: o(2).item(1), TypeError, "item"),
    (lambda: o(2).to(schuss.float32, 5), TypeError, "to"),
    (lambda: schuss.promote_types(1, 2), TypeError),
    (lambda: schuss.autograd.grad(3, o(1)), TypeError),
    (lambda: schuss.autograd.backward(3), TypeError),
    (lambda: o(1, requires_grad=True).backward(retain_graph="a"), TypeError),
    (lambda: schuss.set_grad_enabled("a"), TypeError),
    (lambda: o(2).register_hook(3), (TypeError, RuntimeError)),
    (lambda: schuss.device("a"), RuntimeError, "a"),
    (lambda: schuss.device("cpu:x"), RuntimeError, "cpu:x"),
    (lambda: schuss.device(3.5), TypeError),
    (lambda: schuss.zeros(2, device="nope"), RuntimeError, "nope"),
    (lambda: o(2).to("nope"), RuntimeError, "nope"),
    (lambda: o(2).to(device="cuda:99"), (RuntimeError, AssertionError)),
]

CREATION = [
    (lambda: schuss.zeros(), TypeError, "zeros"),
    (lambda: schuss.zeros(None), TypeError, "zeros"),
    (lambda: schuss.zeros((2, None)), TypeError, "zeros"),
    (lambda: schuss.zeros(1.5), TypeError, "zeros"),
    (lambda: schuss.zeros(2, 3.0), TypeError, "zeros"),
    (lambda: schuss.zeros([2, "a"]), TypeError, "zeros"),
    (lambda: schuss.zeros("a"), TypeError, "zeros"),
    (lambda: schuss.zeros(2, dtypo=1), TypeError, "zeros", "dtypo"),
    (lambda: schuss.zeros(-1), RuntimeError, "zeros", -1),
    (lambda: schuss.ones(2, -3), RuntimeError, "ones", -3),
    (lambda: schuss.empty(-1), RuntimeError, "empty", -1),
    (lambda: schuss.full((2,), "a"), TypeError, "full"),
    (lambda: schuss.full((2,)), TypeError, "full"),
    (lambda: schuss.full((2,), None), TypeError, "full"),
    (lambda: schuss.full((2,), math.nan, dtype=schuss.int64), RuntimeError, "int64"),
    (lambda: schuss.full((2,), 300, dtype=schuss.uint8), RuntimeError, "uint8"),
    (lambda: schuss.arange(), TypeError, "arange"),
    (lambda: schuss.arange("a"), TypeError, "arange"),
    (lambda: schuss.arange(0, 5, -1), RuntimeError, "arange"),
    (lambda: schuss.arange(0, 5, 0), RuntimeError, "arange"),
    (lambda: schuss.arange(math.nan), RuntimeError, "arange"),
    (lambda: schuss.arange(math.inf), RuntimeError, "arange"),
    (lambda: schuss.arange(0, 1e30, 1), RuntimeError, "arange"),
    (lambda: schuss.linspace(0, 1), TypeError, "linspace"),
    (lambda: schuss.linspace(0, "a", 3), TypeError, "linspace"),
    (lambda: schuss.linspace(0, 1, 2.5), TypeError, "linspace"),
    (lambda: schuss.linspace(0, 1, -1), RuntimeError, "linspace"),
    (lambda: schuss.eye("a"), TypeError, "eye"),
    (lambda: schuss.eye(2.5), TypeError, "eye"),
    (lambda: schuss.eye(-1), RuntimeError, "eye"),
    (lambda: schuss.rand("a"), TypeError, "rand"),
    (lambda: schuss.rand(-1), RuntimeError, "rand"),
    (lambda: schuss.randn("a"), TypeError, "randn"),
    (lambda: schuss.randint("a", (2,)), TypeError, "randint"),
    (lambda: schuss.randint(5), TypeError, "randint"),
    (lambda: schuss.randint(5, 5, (2,)), RuntimeError, "randint"),
    (lambda: schuss.randint(0, 5, 3), TypeError, "randint", (3,)),
    (lambda: schuss.randint(0, 300, (2,), dtype=schuss.uint8), RuntimeError, "randint"),
    (lambda: schuss.randperm("a"), TypeError, "randperm"),
    (lambda: schuss.randperm(2.5), TypeError, "randperm"),
    (lambda: schuss.randperm(-1), RuntimeError, "randperm"),
    (lambda: schuss.normal("a", 1.0, (2,)), TypeError, "normal"),
    (lambda: schuss.normal(o(2), -o(2)), RuntimeError, "normal"),
    (lambda: schuss.tensor(), TypeError, "tensor"),
    (lambda: schuss.tensor("a"), TypeError, "tensor", "str"),
    (lambda: schuss.tensor(None), RuntimeError, "NoneType"),
    (lambda: schuss.tensor({1: 2}), RuntimeError, "dict"),
    (lambda: schuss.tensor([None]), RuntimeError, "NoneType"),
    (lambda: schuss.tensor(object()), RuntimeError, "object"),
    (lambda: schuss.tensor([[1, 2], [3]]), ValueError, "2", "1"),
    (lambda: schuss.tensor([[1], 2]), (TypeError, ValueError)),
    (lambda: schuss.tensor([1, [2]]), (TypeError, ValueError)),
    (lambda: schuss.tensor([1, "a"]), TypeError, "str"),
    (lambda: schuss.tensor(np.array([1, "a"], dtype=object)), TypeError, "object"),
    (lambda: schuss.tensor([1, 2], dtype="a"), TypeError),
    (lambda: schuss.tensor([1], device="cpux"), RuntimeError, "cpux"),
    (lambda: schuss.tensor([1.0], requires_grad="a"), TypeError),
    (lambda: schuss.tensor([1], requires_grad=True), RuntimeError, "int64"),
    (lambda: schuss.tensor(2**70), (ValueError, OverflowError, RuntimeError)),
    (lambda: schuss.tensor([2**63]), (ValueError, OverflowError, RuntimeError)),
    (lambda: schuss.tensor([300], dtype=schuss.uint8), RuntimeError, "uint8"),
    (lambda: schuss.tensor(math.nan, dtype=schuss.int64), RuntimeError, "int64"),
    (lambda: schuss.as_tensor("a"), TypeError),
    (lambda: schuss.from_numpy([1]), TypeError, "from_numpy", "list"),
    (lambda: schuss.from_numpy(o(2)), TypeError, "from_numpy"),
    (lambda: schuss.from_numpy(np.array(["a"])), TypeError),
    (lambda: schuss.from_numpy(np.ones(2, ">f4")), ValueError),
    (lambda: schuss.zeros_like(3), TypeError, "zeros_like"),
    (lambda: schuss.zeros_like(np.ones(2)), TypeError, "zeros_like"),
]

HUGE = [
    lambda: schuss.zeros(2**62),
    lambda: schuss.empty(2**62, 4),
    lambda: schuss.ones(2**32, 2**32),
    lambda: schuss.empty(2**31, 2**31, 2**31),
    lambda: schuss.full((2**62,), 1.0),
    lambda: schuss.rand(2**62),
    lambda: schuss.eye(2**40),
    lambda: schuss.arange(0, 2**62),
    lambda: schuss.linspace(0, 1, 2**62),
    lambda: schuss.randperm(2**60),
    lambda: o(1).expand(2**62, 4),
    lambda: o(1).expand(2**62).clone(),
    lambda: o(1).repeat(2**62),
    lambda: o(2).tile((2**62,)),
    lambda: o(1).as_strided((2**62, 2**62), (0, 0)),
    lambda: schuss.empty(0).as_strided((4,), (2**62,)),
    lambda: o(3).as_strided((2,), (2**62,), 2**62),
    lambda: schuss.cat([o(1).expand(2**61)] * 8),
    lambda: schuss.outer(o(1).expand(2**33), o(1).expand(2**33)),
    lambda: o(1, 1).expand(2**33, 1) @ o(1, 1).expand(1, 2**33),
]

# More than any machine of today has: an exception, at once, and the library works after it.
TOO_LARGE = [
    lambda: schuss.zeros(2**45),
    lambda: schuss.empty(2**45),
    lambda: o(1).expand(2**45) + 1,
    lambda: o(1).expand(2**20, 1) + o(1).expand(1, 2**30),
    lambda: o(1).expand(2**30, 2**15).contiguous(),
    lambda: o(1).expand(2**45).double(),
    lambda: schuss.stack([o(1).expand(2**44)] * 2),
    lambda: o(1).expand(2**45).cumsum(0),
]


def check(case: tuple) -> None:
    call, error, *words = case
    with refuses(error, *words):
        call()


@pytest.mark.parametrize("case", SHAPES, ids=range(len(SHAPES)))
def test_shapes_that_do_not_fit(case: tuple) -> None:
    check(case)


@pytest.mark.parametrize("case", AXES, ids=range(len(AXES)))
def test_axes_out_of_range(case: tuple) -> None:
    check(case)


@pytest.mark.parametrize("case", DTYPES_REFUSED, ids=range(len(DTYPES_REFUSED)))
def test_wrong_dtypes(case: tuple) -> None:
    check(case)


@pytest.mark.parametrize("case", VALUES, ids=range(len(VALUES)))
def test_wrong_values(case: tuple) -> None:
    check(case)


@pytest.mark.parametrize("case", ARGUMENTS, ids=range(len(ARGUMENTS)))
def test_wrong_arguments(case: tuple) -> None:
    check(case)


@pytest.mark.parametrize("case", CREATION, ids=range(len(CREATION)))
def test_nonsense_to_creation(case: tuple) -> None:
    check(case)


@pytest.mark.parametrize("case", range(len(HUGE)))
def test_sizes_that_overflow(case: int) -> None:
    with refuses((RuntimeError, MemoryError)):
        HUGE[case]()
    assert (o(3) + 1).sum().item() == 6.0


@pytest.mark.parametrize("case", range(len(TOO_LARGE)))
def test_allocations_that_are_too_large(case: int) -> None:
    with refuses((RuntimeError, MemoryError)):
        TOO_LARGE[case]()
    x = o(3, requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("letter", [c for c in LETTERS if c not in FLOATS + "?"])
def test_integer_division_by_zero(letter: str) -> None:
    """Raises RuntimeError with Python's word for it, as PyTorch does; never a signal."""
    x = schuss.tensor(np.array([1, 2, 3], numpy_dtype(letter)))
    zero = schuss.zeros(3, dtype=x.dtype)
    for f in (operator.floordiv, operator.mod, schuss.fmod):
        with refuses(RuntimeError, "ZeroDivisionError"):
            f(x, zero)
        with refuses(RuntimeError, "ZeroDivisionError"):
            f(x, 0)
    for mode in ("floor", "trunc"):
        with refuses(RuntimeError, "ZeroDivisionError"):
            schuss.div(x, zero, rounding_mode=mode)
    with refuses(RuntimeError, "ZeroDivisionError"):
        x //= 0
    assert (x / 0).tolist() == [math.inf] * 3
    assert x.tolist() == [1, 2, 3]


def test_float_division_by_zero_is_infinite() -> None:
    x = schuss.tensor([1.0, -1.0, 0.0])
    assert (x / 0).tolist()[:2] == [math.inf, -math.inf] and math.isnan((x / 0)[2].item())
    assert (x // 0).tolist()[:2] == [math.inf, -math.inf]
    assert all(math.isnan(v) for v in (x % 0).tolist())


@pytest.mark.parametrize("letter", "bhil")
def test_the_smallest_integer_by_minus_one(letter: str) -> None:
    """The quotient does not fit: it wraps around, and nothing crashes."""
    low = np.iinfo(numpy_dtype(letter)).min
    x = schuss.tensor(np.array([low], numpy_dtype(letter)))
    minus = schuss.tensor(np.array([-1], numpy_dtype(letter)))
    assert (x // minus).item() == low and (x % minus).item() == 0
    assert schuss.fmod(x, minus).item() == 0
    assert (-x).item() == low and x.abs().item() == low


def test_backward_errors_name_what_to_do() -> None:
    x = o(2, requires_grad=True)
    with refuses(RuntimeError, "backward", "scalar", (2,)):
        (x * 2).backward()
    y = (x * x).sum()
    y.backward()
    with refuses(RuntimeError, "retain_graph=True"):
        y.backward()
    with refuses(RuntimeError, "requires_grad"):
        o(1).backward()
    with refuses(RuntimeError, "leaf"):
        x.add_(1)
    z = x * 1
    w = z.sin()
    z.mul_(2)
    with refuses(RuntimeError, "sin", "modified"):
        w.sum().backward()
    with refuses(RuntimeError, "detach"):
        x.numpy()


def test_errors_are_of_the_documented_classes() -> None:
    assert issubclass(schuss.ShapeError, RuntimeError)
    assert issubclass(schuss.DTypeError, RuntimeError)
    assert issubclass(schuss.GradError, RuntimeError)
    assert issubclass(schuss.DeviceError, RuntimeError)
    with pytest.raises(schuss.ShapeError):
        o(2, 3) @ o(2, 3)
    with pytest.raises(schuss.DTypeError):
        schuss.softmax(k, 0)
    with pytest.raises(schuss.GradError):
        (o(2, requires_grad=True) * 2).backward()
    with pytest.raises(schuss.DeviceError):
        schuss.zeros(1, device="nope")


def test_shape_and_dtype_errors_are_also_python_ones() -> None:
    assert issubclass(schuss.ShapeError, ValueError)
    assert issubclass(schuss.DTypeError, TypeError)


def test_an_error_leaves_everything_as_it_was() -> None:
    x = o(2, 3)
    for bad in (
        lambda: x.add_(o(4)),
        lambda: x.copy_(o(4)),
        lambda: x.__setitem__(5, 1.0),
        lambda: x.__setitem__(0, o(2)),
        lambda: x.clamp_("a"),
        lambda: x.masked_fill_(o(4) > 0, 0.0),
        lambda: x.uniform_(2, 1),
    ):
        with pytest.raises((RuntimeError, IndexError, TypeError)):
            bad()
    assert x.tolist() == [[1.0] * 3] * 2 and x._version == 0
