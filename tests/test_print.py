"""How tensors print: the strings are those that PyTorch prints.

Leans on schuss alone.
"""

from __future__ import annotations

import math

import pytest
import schuss

nan, inf = math.nan, math.inf
f16, f64, i32 = schuss.float16, schuss.float64, schuss.int32

# Made with PyTorch 2.15: print(repr(tensor)).
PRINTED = [
    (lambda: schuss.tensor(3), "tensor(3)"),
    (lambda: schuss.tensor(3.0), "tensor(3.)"),
    (lambda: schuss.tensor(2.5), "tensor(2.5000)"),
    (lambda: schuss.tensor(True), "tensor(True)"),
    (lambda: schuss.tensor(-1), "tensor(-1)"),
    (lambda: schuss.tensor(nan), "tensor(nan)"),
    (lambda: schuss.tensor(1234567.875), "tensor(1234567.8750)"),
    (lambda: schuss.tensor(0.00001), "tensor(1.0000e-05)"),
    (lambda: schuss.tensor(1e20), "tensor(1.0000e+20)"),
    (lambda: schuss.tensor(100000000.0), "tensor(100000000.)"),
    (lambda: schuss.tensor([]), "tensor([])"),
    (lambda: schuss.tensor([[]]), "tensor([], size=(1, 0))"),
    (lambda: schuss.zeros(2, 0, 3), "tensor([], size=(2, 0, 3))"),
    (lambda: schuss.zeros(0, dtype=schuss.int64), f"tensor([], dtype={schuss.int64})"),
    (lambda: schuss.tensor([1, 2, 3]), "tensor([1, 2, 3])"),
    (lambda: schuss.tensor([1.0, 2.0, 3.0]), "tensor([1., 2., 3.])"),
    (lambda: schuss.tensor([1.5, 2.25, -3.125]), "tensor([ 1.5000,  2.2500, -3.1250])"),
    (lambda: schuss.tensor([1e-5, 1.0]), "tensor([1.0000e-05, 1.0000e+00])"),
    (lambda: schuss.tensor([123456.0, 1.5]), "tensor([1.2346e+05, 1.5000e+00])"),
    (lambda: schuss.tensor([1e10, 2e10]), "tensor([1.0000e+10, 2.0000e+10])"),
    (lambda: schuss.tensor([9999.0, 1.0]), "tensor([9.9990e+03, 1.0000e+00])"),
    (lambda: schuss.tensor([1.0, nan, inf]), "tensor([1., nan, inf])"),
    (lambda: schuss.tensor([0.1, -inf]), "tensor([0.1000,   -inf])"),
    (lambda: schuss.tensor([-0.0]), "tensor([-0.])"),
    (lambda: schuss.tensor([1000000, -7]), "tensor([1000000,      -7])"),
    (lambda: schuss.tensor([True, False]), "tensor([ True, False])"),
    (lambda: schuss.tensor([[1, 2], [30, 4]]), "tensor([[ 1,  2],\n        [30,  4]])"),
    (
        lambda: schuss.tensor([[1.0, -2.0], [3.0, 4.0]]),
        "tensor([[ 1., -2.],\n        [ 3.,  4.]])",
    ),
    (
        lambda: schuss.zeros(2, 2, 2),
        "tensor([[[0., 0.],\n         [0., 0.]],\n\n        [[0., 0.],\n         [0., 0.]]])",
    ),
    (lambda: schuss.tensor([1, 2], dtype=i32), f"tensor([1, 2], dtype={i32})"),
    (lambda: schuss.tensor([1.0, 2.0], dtype=f64), f"tensor([1., 2.], dtype={f64})"),
    (lambda: schuss.tensor([1.5], dtype=f16), f"tensor([1.5000], dtype={f16})"),
    (lambda: schuss.ones(2, requires_grad=True), "tensor([1., 1.], requires_grad=True)"),
    (lambda: schuss.tensor(1.5, requires_grad=True), "tensor(1.5000, requires_grad=True)"),
    (
        lambda: schuss.ones(2, requires_grad=True) * 2,
        "tensor([2., 2.], grad_fn=<MulBackward0>)",
    ),
    (lambda: schuss.ones(2, requires_grad=True).sum(), "tensor(2., grad_fn=<SumBackward0>)"),
    (lambda: schuss.arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (
        lambda: schuss.arange(30),
        "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
        "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])",
    ),
    (
        lambda: schuss.linspace(0, 1, 11),
        "tensor([0.0000, 0.1000, 0.2000, 0.3000, 0.4000, 0.5000, 0.6000, 0.7000, 0.8000,\n"
        "        0.9000, 1.0000])",
    ),
    (
        lambda: schuss.arange(1200).reshape(30, 40),
        "tensor([[   0,    1,    2,  ...,   37,   38,   39],\n"
        "        [  40,   41,   42,  ...,   77,   78,   79],\n"
        "        [  80,   81,   82,  ...,  117,  118,  119],\n"
        "        ...,\n"
        "        [1080, 1081, 1082,  ..., 1117, 1118, 1119],\n"
        "        [1120, 1121, 1122,  ..., 1157, 1158, 1159],\n"
        "        [1160, 1161, 1162,  ..., 1197, 1198, 1199]])",
    ),
]


@pytest.mark.parametrize("case", range(len(PRINTED)))
def test_repr(case: int) -> None:
    make, want = PRINTED[case]
    assert repr(make()) == want
    assert str(make()) == want


def test_views_print_what_they_show() -> None:
    x = schuss.arange(6).reshape(2, 3)
    assert repr(x.t()[1]) == "tensor([1, 4])"
    assert repr(x[:, ::2]) == "tensor([[0, 2],\n        [3, 5]])"


def test_small_objects_print() -> None:
    assert repr(schuss.device("cpu")) == "device(type='cpu')"
    assert repr(schuss.float32) == str(schuss.float32) and str(schuss.float32).endswith(".float32")
    assert repr(schuss.ones(2, 3).shape).endswith("Size([2, 3])")
    assert repr(schuss.Size([])).endswith("Size([])")
