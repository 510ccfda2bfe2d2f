"""The public testing tools: what they accept, and above all what they refuse.

Leans on schuss alone.
"""

from __future__ import annotations

import math

import pytest
import schuss
from conftest import DTYPES, LETTERS
from schuss.autograd import Function
from schuss.testing import (
    GradcheckError,
    assert_close,
    gradcheck,
    gradgradcheck,
    make_tensor,
    tolerance,
)

f64 = schuss.float64


def scaled(by: float, second: float = 1.0) -> type:
    """x ** 3 whose first derivative is wrong by one factor, the second one by another."""

    class Slope(Function):
        @staticmethod
        def forward(ctx: object, x: schuss.Tensor) -> schuss.Tensor:
            ctx.save_for_backward(x)
            return 3 * x**2

        @staticmethod
        def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
            return g * 6 * ctx.saved_tensors[0] * second

    class Cube(Function):
        @staticmethod
        def forward(ctx: object, x: schuss.Tensor) -> schuss.Tensor:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
            return g * by * Slope.apply(ctx.saved_tensors[0])

    return Cube


@pytest.mark.parametrize("fast", [False, True])
def test_wrong_gradients_are_found(fast: bool) -> None:
    x = schuss.rand(2, 3, dtype=f64, requires_grad=True)
    assert gradcheck(scaled(1.0).apply, x, fast_mode=fast)
    assert gradgradcheck(scaled(1.0).apply, x, fast_mode=fast)
    with pytest.raises(GradcheckError, match="input 0"):
        gradcheck(scaled(1.01).apply, x, fast_mode=fast)
    assert not gradcheck(scaled(1.01).apply, x, fast_mode=fast, raise_exception=False)
    assert gradcheck(scaled(1.01).apply, x, fast_mode=fast, rtol=0.1)
    assert gradcheck(scaled(1.0, 1.01).apply, x, fast_mode=fast)
    with pytest.raises(GradcheckError):
        gradgradcheck(scaled(1.0, 1.01).apply, x, fast_mode=fast)


def test_a_gradient_that_does_not_flow_is_found() -> None:
    x = schuss.rand(3, dtype=f64, requires_grad=True)
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: x.detach() * x, x)
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: (x * 2).detach(), x)
    assert gradcheck(lambda x: x.round(), x * 0 + 0.2)


def test_several_inputs_and_outputs() -> None:
    x = schuss.rand(3, dtype=f64, requires_grad=True)
    y = schuss.rand(3, 1, dtype=f64, requires_grad=True)
    z = schuss.rand(3, dtype=f64)
    assert gradcheck(lambda x, y, z, k: (x * y * k, (x - z).exp(), x > 0), (x, y, z, 2))
    assert gradgradcheck(lambda x, y: (x * y, x.sin()), (x, y), gen_non_contig_grad_outputs=True)
    assert x.grad is None and not z.requires_grad


def test_what_gradcheck_cannot_check() -> None:
    with pytest.raises(ValueError):
        gradcheck(schuss.exp, schuss.rand(3, dtype=f64))
    with pytest.warns(UserWarning, match="float64"):
        gradcheck(schuss.exp, schuss.rand(3, requires_grad=True), atol=1, raise_exception=False)
    with pytest.raises(GradcheckError, match="overlaps"):
        gradcheck(schuss.exp, schuss.rand(1, dtype=f64, requires_grad=True).expand(3))


def test_inputs_are_left_as_they_were() -> None:
    x = schuss.rand(3, dtype=f64, requires_grad=True)
    before = x.tolist()
    gradcheck(schuss.exp, x)
    assert x.tolist() == before and x.grad is None

    def failing(x: schuss.Tensor) -> schuss.Tensor:
        if x.tolist() != before:
            raise KeyError
        return x.exp()

    with pytest.raises(KeyError):
        gradcheck(failing, x)
    assert x.tolist() == before


def test_closeness() -> None:
    x = schuss.tensor([1.0, 2.0])
    assert_close(x, x + 1e-7)
    assert_close([x, {"a": 1}], [x, {"a": 1}])
    assert_close(schuss.tensor([math.inf]), schuss.tensor([math.inf]))
    assert_close(schuss.tensor([math.nan]), schuss.tensor([math.nan]), equal_nan=True)
    assert_close(x, x.double(), check_dtype=False)
    for a, b in [
        (x, x + 1e-3),
        (x, x.double()),
        (x, x.reshape(1, 2)),
        (x, schuss.tensor([1.0, math.nan])),
        (schuss.tensor([math.nan]), schuss.tensor([math.nan])),
        (schuss.tensor([math.inf]), schuss.tensor([-math.inf])),
        (schuss.tensor([1.0]), schuss.tensor([math.inf])),
        (schuss.tensor([math.inf]), schuss.tensor([1.0])),
        (schuss.tensor([1]), schuss.tensor([2])),
        ([x], [x, x]),
        ({"a": x}, {"b": x}),
        (None, x),
    ]:
        with pytest.raises(AssertionError):
            assert_close(a, b)
    with pytest.raises(AssertionError, match=r"1 of 2 elements differ, the first at \(1,\)"):
        assert_close(x, schuss.tensor([1.0, 3.0]))
    with pytest.raises(AssertionError, match=r"^mine"):
        assert_close(x, x + 1, msg="mine")
    with pytest.raises(ValueError):
        assert_close(x, x, rtol=1e-3)
    with pytest.raises(AssertionError):
        assert_close(schuss.zeros(2, 2).t(), schuss.zeros(2, 2), check_stride=True)


def test_tolerances_grow_as_the_dtype_gets_coarser() -> None:
    steps = [tolerance(DTYPES[c])[0] for c in "ldfew"]
    assert steps == sorted(steps) and steps[0] == 0
    assert tolerance(schuss.float32, schuss.float16) == tolerance(schuss.float16)


@pytest.mark.parametrize("letter", LETTERS)
def test_made_tensors(letter: str) -> None:
    dtype = DTYPES[letter]
    x = make_tensor(4, 5, dtype=dtype)
    assert x.shape == (4, 5) and x.dtype == dtype and x.is_contiguous()
    y = make_tensor((4, 5), dtype=dtype, low=0, high=2, noncontiguous=True)
    assert not y.is_contiguous() and (y >= 0).all() and (y <= 2).all()
    assert make_tensor((), dtype=dtype).shape == () and make_tensor(0, dtype=dtype).shape == (0,)
    z = make_tensor(100, dtype=dtype, low=0, high=2, exclude_zero=True)
    assert (z != 0).all()
    if letter in "ewfd":
        assert make_tensor(2, dtype=dtype, requires_grad=True).is_leaf
    else:
        with pytest.raises(ValueError):
            make_tensor(2, dtype=dtype, requires_grad=True)
    with pytest.raises(ValueError):
        make_tensor(2, dtype=dtype, low=2, high=1)


def test_forward_mode_is_compared_where_asked() -> None:
    x = schuss.rand(3, dtype=f64, requires_grad=True)
    z = schuss.rand(2, dtype=schuss.complex128, requires_grad=True)
    y = schuss.rand(3, dtype=f64)
    for function, inputs in (
        (schuss.exp, x),
        (lambda a, b: (a * b, a.sin()), (x, y)),
        (lambda a: (a * a).sum(), z),
        (schuss.abs, z),
    ):
        assert gradcheck(function, inputs, check_forward_ad=True, check_batched_grad=True)

    class Square(Function):
        @staticmethod
        def forward(ctx: object, a: schuss.Tensor) -> schuss.Tensor:
            ctx.save_for_backward(a)
            return a * a

        @staticmethod
        def backward(ctx: object, g: schuss.Tensor) -> schuss.Tensor:
            return g * 2 * ctx.saved_tensors[0]

        @staticmethod
        def jvp(ctx: object, t: schuss.Tensor) -> schuss.Tensor:
            return t * 3

    assert gradcheck(Square.apply, x)
    with pytest.raises(GradcheckError, match=r"backward mode says .* forward mode"):
        gradcheck(Square.apply, x, check_forward_ad=True)
    assert gradcheck(scaled(1.01).apply, x, check_backward_ad=False)
