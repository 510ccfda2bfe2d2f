"""Complex numbers: elements, functions, parts, derivatives and exchange.

Leans on NumPy for values; gradients and printed text were made once with PyTorch 2.15 on the same
numbers (torch.autograd.grad of the lambda shown, in complex128).
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import schuss
from schuss import func, linalg
from schuss.testing import assert_close, gradcheck, gradgradcheck

Z = np.array([1 + 2j, -0.5 + 0.25j, 3 - 4j])
W = np.array([0.5 - 1j, 2 + 0j, -1 + 1j])
R = np.array([1.0, 2.0, -3.0])


def drawn(*shape: int, seed: int = 0) -> schuss.Tensor:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return schuss.tensor(z, requires_grad=True)


def near(found: schuss.Tensor, want: object, tolerance: float = 1e-12) -> None:
    want = np.asarray(want)
    assert found.detach().numpy().dtype == want.dtype
    assert found.shape == want.shape
    np.testing.assert_allclose(found.detach().numpy(), want, rtol=tolerance, atol=tolerance)


# ---- elements ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1j, "complex64"),
        ([1 + 2j, 3], "complex64"),
        ([[1.0, 2j]], "complex64"),
        (np.complex128(1j), "complex128"),
        (np.array([1j], np.complex64), "complex64"),
        ([np.array([1j]), np.array([2j])], "complex128"),
    ],
)
def test_data_brings_its_dtype(data: object, dtype: str) -> None:
    made = schuss.tensor(data)
    assert made.dtype.name == dtype
    near(made, np.asarray(data, dtype))


def test_default_complex_follows_the_default_float() -> None:
    schuss.set_default_dtype(schuss.float64)
    try:
        assert schuss.tensor(1j).dtype == schuss.complex128
        assert (schuss.ones(2, dtype=schuss.int64) * 1j).dtype == schuss.complex128
    finally:
        schuss.set_default_dtype(schuss.float32)


PROMOTED = [
    ("bool", "complex64", "complex64"),
    ("int64", "complex64", "complex64"),
    ("float16", "complex64", "complex64"),
    ("float32", "complex64", "complex64"),
    ("float64", "complex64", "complex128"),
    ("complex64", "complex128", "complex128"),
    ("float32", "complex128", "complex128"),
]


@pytest.mark.parametrize(("a", "b", "want"), PROMOTED)
def test_promotion(a: str, b: str, want: str) -> None:
    x, y = (schuss.ones(2, dtype=getattr(schuss, d)) for d in (a, b))
    assert (x + y).dtype.name == want
    assert (y * x).dtype.name == want
    assert schuss.promote_types(x.dtype, y.dtype).name == want


def test_a_number_of_a_stronger_kind_keeps_the_width() -> None:
    assert (schuss.ones(2) * 1j).dtype == schuss.complex64
    assert (schuss.ones(2).double() * 1j).dtype == schuss.complex128
    assert (schuss.ones(2) * 1j).tolist() == [1j, 1j]
    with pytest.raises(RuntimeError, match="addcmul: a complex number does not fit float32"):
        schuss.addcmul(schuss.ones(2), schuss.ones(2), schuss.ones(2), value=1j)
    assert (schuss.ones(2) * schuss.tensor(1j).cdouble()).dtype == schuss.complex64
    wide = schuss.tensor(2.0, dtype=schuss.float64)
    assert (schuss.tensor([1j]) * wide).dtype == schuss.complex64


def test_exchange_shares_memory() -> None:
    array = np.array([1 + 2j, 3j])
    t = schuss.from_numpy(array)
    t[0] = 5
    assert array[0] == 5
    again = np.from_dlpack(t)
    again[1] = 7j
    assert array[1] == 7j
    assert t.numpy().ctypes.data == array.ctypes.data
    near(schuss.from_dlpack(array.astype(np.complex64)), array.astype(np.complex64))


def test_numbers_come_back() -> None:
    t = schuss.tensor([1 + 2j, 3])
    assert t.tolist() == [1 + 2j, 3 + 0j]
    assert t[0].item() == 1 + 2j
    assert complex(t[0]) == 1 + 2j
    assert float(t[1]) == 3.0
    assert bool(schuss.tensor(1j))
    with pytest.raises(RuntimeError, match="imaginary part"):
        float(t[0])
    with pytest.raises(TypeError, match="integer tensors"):
        [1, 2][schuss.tensor(1j)]


SHOWN = {
    "tensor([1.+2.j])": lambda: schuss.tensor([1 + 2j]),
    "tensor([1.5000-0.2500j, 3.0000+0.0000j])": lambda: schuss.tensor([1.5 - 0.25j, 3]),
    "tensor([[1.0000e-05+1.j, 2.0000e+05+0.j]])": lambda: schuss.tensor([[1e-5 + 1j, 2e5]]),
    "tensor([nan-infj, 1.+0.j])": lambda: schuss.tensor([complex("nan-infj"), 1]),
    "tensor(0.+1.j)": lambda: schuss.tensor(1j),
    "tensor([0.+1.j], dtype=schuss.complex128)": lambda: schuss.tensor([1j]).to(schuss.cdouble),
    "tensor([], dtype=schuss.complex64)": lambda: schuss.tensor([], dtype=schuss.cfloat),
}


@pytest.mark.parametrize("text", SHOWN)
def test_text(text: str) -> None:
    assert repr(SHOWN[text]()) == text


def test_saved_and_pickled() -> None:
    t = schuss.tensor(Z)
    near(pickle.loads(pickle.dumps(t)), Z)
    file = io.BytesIO()
    schuss.save({"z": t}, file)
    file.seek(0)
    near(schuss.load(file)["z"], Z)


def test_casts() -> None:
    z = schuss.tensor([1.5 + 2j, 0j, 1j])
    assert z.to(complex).dtype == schuss.complex128
    assert z.cdouble().dtype == schuss.complex128
    assert z.real.to(schuss.cfloat).tolist() == [1.5, 0, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert z.to(schuss.int64).tolist() == [1, 0, 0]
    assert z.bool().tolist() == [True, False, True]
    assert z.any().item()
    assert not z.all().item()
    assert z.nonzero().tolist() == [[0], [2]]


def test_writing() -> None:
    z = schuss.zeros(3, dtype=schuss.complex64)
    z[0] = 1j
    z[1:] = schuss.tensor([2.0, 3 + 1j])
    z.real.add_(1)
    z.imag[2] = 9
    assert z.tolist() == [1 + 1j, 3, 4 + 9j]
    z.real = schuss.zeros(3)
    assert z.tolist() == [1j, 0, 9j]
    with pytest.raises(RuntimeError, match="does not fit float32"):
        schuss.zeros(2)[0] = 1j
    with pytest.raises(RuntimeError, match="complex value cannot be written"):
        schuss.zeros(2).masked_fill(schuss.tensor([True, False]), 1j)
    with pytest.raises(RuntimeError, match="cannot be written to a tensor of type float32"):
        schuss.zeros(2).add_(1j)


def test_random_numbers_have_unit_variance() -> None:
    schuss.manual_seed(0)
    z = schuss.randn(20000, dtype=schuss.complex128)
    assert abs(float((z.abs() ** 2).mean()) - 1) < 0.03
    assert abs(z.real.var().item() - 0.5) < 0.02
    u = schuss.rand(1000, dtype=schuss.complex64)
    assert float(u.imag.min()) >= 0
    assert float(u.imag.max()) < 1


# ---- functions -----------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "rsqrt": lambda z: 1 / np.sqrt(z),
    "reciprocal": lambda z: 1 / z,
    "square": np.square,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "sinc": np.sinc,
    "abs": np.abs,
    "angle": np.angle,
    "conj": np.conj,
    "sgn": lambda z: z / np.abs(z),
    "neg": np.negative,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", [np.complex64, np.complex128])
def test_values(name: str, kind: type) -> None:
    rng = np.random.default_rng(3)
    z = (3 * rng.standard_normal((40, 7)) + 3j * rng.standard_normal((40, 7))).astype(kind)
    want = FUNCTIONS[name](z.astype(np.complex128))
    want = want.astype(kind if want.dtype.kind == "c" else np.zeros(0, kind).real.dtype)
    # The sine of a product grows as fast as the product is off.
    bound = {"sinc": 5e-6}.get(name, 5e-7) if kind == np.complex64 else 1e-13
    f = getattr(schuss, name)
    near(f(schuss.tensor(z)), want, bound)
    near(f(schuss.tensor(z).T), want.T, bound)
    near(f(schuss.tensor(z)[::2, 1:]), want[::2, 1:], bound)


EDGES = [0j, -0.0 + 0j, complex(0, -0.0), -1 + 0j, complex(-1, -0.0), 2 + 0j, complex(2, -0.0), 1j]


@pytest.mark.parametrize("name", ["sqrt", "log", "asin", "acos", "asinh", "acosh", "atan"])
def test_both_sides_of_a_cut(name: str) -> None:
    points = [z for z in EDGES if not (name == "atan" and z == 1j) and (name != "log" or z != 0)]
    want = FUNCTIONS[name](np.array(points))
    near(getattr(schuss, name)(schuss.tensor(points, dtype=schuss.complex128)), want)


def test_large_and_small_numbers() -> None:
    big = schuss.tensor([1e200 + 1e200j, 1e-200 - 1e-200j], dtype=schuss.complex128)
    assert_close((big / big).numpy(), np.ones(2, complex))
    assert_close(big.sqrt().square(), big, rtol=1e-14, atol=0.0)
    near(
        schuss.tensor([700 + 1j, 40j, -800.0]).tanh(), np.array([1, 1j * np.tan(40), -1], "F"), 1e-5
    )
    assert schuss.tensor([complex("inf+1j"), complex("nan")]).isinf().tolist() == [True, False]
    assert schuss.tensor([complex(0, float("nan")), 1]).isnan().tolist() == [True, False]


def test_arithmetic() -> None:
    z, w = schuss.tensor(Z), schuss.tensor(W)
    for f in (lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b):
        near(f(z, w), f(Z, W))
        near(f(z, 2j), f(Z, 2j))
        near(f(1 - 1j, w), f(1 - 1j, W))
        near(f(z, schuss.tensor(R)), f(Z, R))
    near(z**2, Z**2)
    near(z**w, Z**W)
    near(2**z, 2**Z)
    near(z**-3, Z**-3.0)
    near(schuss.addcmul(z, w, w, value=2j), Z + 2j * W * W)
    assert (z == w).tolist() == [False] * 3
    assert (z != schuss.tensor(Z)).tolist() == [False] * 3


def test_folds() -> None:
    z = drawn(5, 4, 3).detach()
    a = z.numpy()
    near(z.sum(1), a.sum(1))
    near(z.mean((0, 2), keepdim=True), a.mean((0, 2), keepdims=True))
    near(z.prod(2), a.prod(2))
    near(z.sum(), a.sum())
    near(z.cumsum(1), a.cumsum(1))
    near(z.cumprod(0), a.cumprod(0))
    near(z.var(0, correction=1), a.var(0, ddof=1))
    near(z.norm(), np.asarray(np.linalg.norm(a)))
    near(schuss.logsumexp(z, 1), np.log(np.exp(a).sum(1)))


def test_products() -> None:
    a, b = drawn(2, 5, 3).detach(), drawn(2, 3, 4, seed=1).detach()
    x, y = a.numpy(), b.numpy()
    near(a @ b, x @ y)
    near(a[0] @ b[0], x[0] @ y[0])
    near(a @ b[0], x @ y[0])
    near(a[0] @ b, x[0] @ y)
    near(a.mT.contiguous().mT @ b.mT.contiguous().mT, x @ y)
    near(a.expand(2, 5, 3)[..., ::2] @ b[:, ::2], x[..., ::2] @ y[:, ::2])
    near(a[0, 0] @ b[0], x[0, 0] @ y[0])
    near(schuss.vdot(a[0, 0], a[0, 1]), np.asarray(np.vdot(x[0, 0], x[0, 1])))
    near(schuss.einsum("bij,bjk->ki", a, b), np.einsum("bij,bjk->ki", x, y))
    near(a.to(schuss.cfloat) @ b.to(schuss.cfloat), (x @ y).astype("F"), 1e-5)
    near(a.mH, x.conj().swapaxes(1, 2))


def test_convolution_by_parts() -> None:
    x, w, b = drawn(2, 3, 8), drawn(4, 3, 3, seed=1), drawn(4, seed=2)
    found = schuss.nn.functional.conv1d(x, w, b, padding=1)
    padded = np.pad(x.detach().numpy(), ((0, 0), (0, 0), (1, 1)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=2)
    want = np.einsum("bclk,ock->bol", frames, w.detach().numpy())
    near(found, want + b.detach().numpy()[:, None])
    assert gradcheck(lambda x, w: schuss.nn.functional.conv1d(x, w), (x, w), fast_mode=True)


def test_parts() -> None:
    z = schuss.tensor(Z)
    near(schuss.view_as_complex(schuss.view_as_real(z)), Z)
    near(schuss.complex(z.real, z.imag), Z)
    near(schuss.polar(z.abs(), z.angle()), Z)
    assert z.is_complex()
    assert not z.real.is_complex()
    assert z.real.data_ptr() == z.data_ptr()
    assert schuss.tensor(R).real.tolist() == R.tolist()
    assert schuss.isreal(schuss.tensor([1j, 1.0])).tolist() == [False, True]
    with pytest.raises(RuntimeError, match="no imaginary part"):
        _ = schuss.tensor(R).imag
    with pytest.raises(RuntimeError, match="side by side"):
        schuss.view_as_complex(schuss.zeros(2, 3).T)
    with pytest.raises(RuntimeError, match="last axis must have size 2"):
        schuss.view_as_complex(schuss.zeros(3))
    with pytest.raises(RuntimeError, match="both must be float32"):
        schuss.complex(schuss.zeros(2), schuss.zeros(2).double())


REFUSED = {
    "lt": lambda z: z < z,
    "erf": schuss.erf,
    "floor": schuss.floor,
    "atan2": lambda z: schuss.atan2(z, z),
    "amax": lambda z: z.amax(),
    "max": lambda z: z.max(0),
    "sort": lambda z: z.sort(),
    "maximum": lambda z: schuss.maximum(z, z),
    "relu": schuss.relu,
    "remainder": lambda z: z % 2,
    "softmax": lambda z: z.softmax(0),
    "bitwise_and": lambda z: z & z,
    "sign": schuss.sign,
    "clamp": lambda z: z.clamp(0, 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match=f"{name}: is not implemented for complex64"):
        REFUSED[name](schuss.tensor([1j, 2.0]))


# ---- derivatives ---------------------------------------------------------------------------------

# What is differentiated, and the gradients that PyTorch gives.
GRADIENTS: dict[str, tuple] = {
    "abs": (
        lambda z: z.abs().sum(),
        [(Z, [0.447213595 + 0.894427191j, -0.894427191 + 0.447213595j, 0.6 - 0.8j])],
    ),
    "angle": (lambda z: z.angle().sum(), [(Z, [-0.4 + 0.2j, -0.8 - 1.6j, 0.16 + 0.12j])]),
    "sgn": (
        lambda z: (z.sgn() * (1 + 2j)).real.sum(),
        [(Z, [0.715541753 - 0.357770876j, -1.073312629 - 2.146625258j, -0.064 - 0.048j])],
    ),
    "product": (
        lambda z, w: (z * w).abs().sum(),
        [
            (Z, [0.5 + 1j, -1.788854382 + 0.894427191j, 0.848528137 - 1.13137085j]),
            (W, [1 - 2j, 0.559016994 + 0j, -3.535533906 + 3.535533906j]),
        ],
    ),
    "quotient": (
        lambda z, w: (z / w).real.sum(),
        [
            (Z, [0.4 - 0.8j, 0.5 + 0j, -0.5 + 0.5j]),
            (W, [1.76 - 0.32j, 0.125 + 0.0625j, -2 + 1.5j]),
        ],
    ),
    "power": (
        lambda z, w: (z**w).abs().sum(),
        [
            (Z, [-1.357351523 + 1.809802031j, -1 + 0.5j, -0.141549136 + 0.020221305j]),
            (
                W,
                [
                    3.640955003 - 5.009299995j,
                    -0.181742314 - 0.836857826j,
                    0.813623379 + 0.46877799j,
                ],
            ),
        ],
    ),
    "real times complex": (
        lambda r, z: (r * z.exp()).imag.sum(),
        [
            (R, [2.471726672, 0.150058087, 15.200784463]),
            (
                Z,
                [
                    2.471726672 - 1.131204384j,
                    0.300116173 + 1.175350181j,
                    -45.602353389 + 39.386349244j,
                ],
            ),
        ],
    ),
    "conj": (lambda z: (z.conj() * z * z).real.sum(), [(Z, [7 + 4j, 0.8125 - 0.25j, 43 - 24j])]),
    "polar": (
        lambda r: (schuss.polar(r, r * 2) * (1 - 1j)).real.sum(),
        [(abs(R), [-2.157737936, -0.997810618, 8.118269498])],
    ),
    "tanh": (
        lambda z: (z.tanh() * 1j).real.sum(),
        [
            (
                Z,
                [
                    -0.568103021 + 0.302001598j,
                    -0.192306804 - 0.803528061j,
                    -0.009823481 + 0.001395485j,
                ],
            )
        ],
    ),
    "matrix": (
        lambda z, w: (schuss.outer(z, w) @ w.conj()).abs().sum(),
        [
            (Z, [3.242298567 + 6.484597135j, -6.484597135 + 3.242298567j, 4.35 - 5.8j]),
            (
                W,
                [
                    7.795084972 - 15.590169944j,
                    31.180339887 + 0j,
                    -15.590169944 + 15.590169944j,
                ],
            ),
        ],
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_pytorchs(name: str) -> None:
    f, ends = GRADIENTS[name]
    leaves = [schuss.tensor(value, requires_grad=True) for value, _ in ends]
    for grad, (_, want) in zip(schuss.autograd.grad(f(*leaves), leaves), ends, strict=True):
        near(grad, np.array(want), 1e-8)


def test_a_complex_loss_needs_a_cotangent() -> None:
    z = schuss.tensor(Z, requires_grad=True)
    with pytest.raises(RuntimeError, match="real scalar outputs"):
        z.sum().backward()
    z.sum().backward(schuss.tensor(1 + 0j, dtype=schuss.complex128))
    near(z.grad, np.ones(3, complex))


SMOOTH = (
    "exp expm1 log log1p log2 sqrt rsqrt reciprocal sin cos tan asin acos atan sinh cosh tanh asinh"
    " acosh atanh square sigmoid sinc abs angle sgn conj real imag view_as_real sum mean prod cov"
)
RULES: dict[str, Callable] = {
    **{name: getattr(schuss, name) for name in SMOOTH.split()},
    "norm": lambda z: z.norm(),
    "var": lambda z: z.var(),
    "cumprod": lambda z: z.cumprod(0),
    "powers": lambda z: z ** (1 + 1j) + 2**z + z**z,
    "numbers": lambda z: (3 - 2j) * z / (1j + z),
    "matmul": lambda z: z.reshape(2, 2) @ z.reshape(2, 2).mT,
    "batches": lambda z: z.reshape(2, 2, 1) @ z.reshape(2, 1, 2),
    "det": lambda z: linalg.det(z.reshape(2, 2)),
    "inv": lambda z: linalg.inv(z.reshape(2, 2)),
    "solve": lambda z: linalg.solve(z.reshape(2, 2), z[:2]),
    "solve from the right": lambda z: linalg.solve(z.reshape(2, 2), z.reshape(2, 2), left=False),
    "slogdet": lambda z: linalg.slogdet(z.reshape(2, 2)),
    "qr": lambda z: linalg.qr(z.reshape(2, 2)),
    "cholesky": lambda z: linalg.cholesky(z.outer(z.conj()) + 4 * schuss.eye(4)),
    "eigvalsh": lambda z: linalg.eigvalsh(z.reshape(2, 2) + z.reshape(2, 2).mH),
    "svdvals": lambda z: linalg.svdvals(z.reshape(2, 2)),
    "svd": lambda z: [x.abs() for x in linalg.svd(z.reshape(2, 2))],
    "eig": lambda z: (linalg.eigvals(z.reshape(2, 2)), linalg.eig(z.reshape(2, 2))[1].abs()),
    "pinv": lambda z: linalg.pinv(z.reshape(4, 1)),
    "matrix_exp": lambda z: linalg.matrix_exp(z.reshape(2, 2)),
    "index": lambda z: z[[0, 2, 0]] * z[1],
    "where": lambda z: schuss.where(z.real > 0, z, 2 * z.conj()),
    "logsumexp": lambda z: schuss.logsumexp(z, 0),
    "softsign": schuss.nn.functional.softsign,
    "silu": schuss.nn.functional.silu,
    "write to the real part": lambda z: (y := z * 1, y.real.mul_(z.imag))[0],
    "write to pairs": lambda z: (
        y := schuss.view_as_real(z) * 1,
        schuss.view_as_complex(y)[1:].mul_(z[:3]),
    )[0],
}


@pytest.mark.parametrize("name", RULES)
def test_rules_agree_with_differences(name: str) -> None:
    z = drawn(4, seed=5)
    assert gradcheck(RULES[name], z)
    assert gradgradcheck(RULES[name], z, fast_mode=True)


@pytest.mark.parametrize("name", RULES)
def test_tangents_agree_with_differences(name: str) -> None:
    f = RULES[name]
    z, way = drawn(4, seed=5).detach(), drawn(4, seed=6).detach()

    def parts(x: schuss.Tensor) -> tuple:
        found = f(x)
        return (found,) if isinstance(found, schuss.Tensor) else tuple(found)

    _, tangents = func.jvp(parts, (z,), (way,))
    step = 1e-6
    for up, down, tangent in zip(
        parts(z + step * way), parts(z - step * way), tangents, strict=True
    ):
        slope = ((up - down) / (2 * step)).numpy()
        np.testing.assert_allclose(tangent.numpy(), slope, rtol=1e-5, atol=1e-6)


def test_rules_refuse_what_differs() -> None:
    class Wrong(schuss.autograd.Function):
        @staticmethod
        def forward(ctx: object, z: schuss.Tensor) -> schuss.Tensor:
            return z * 2j

        @staticmethod
        def backward(ctx: object, grad: schuss.Tensor) -> schuss.Tensor:
            return grad * 2j

    with pytest.raises(RuntimeError, match="backward says"):
        gradcheck(Wrong.apply, drawn(2))


def test_many_examples() -> None:
    z = drawn(5, 3).detach()
    near(func.vmap(lambda x: (x * x.conj()).sum())(z), (np.abs(z.numpy()) ** 2).sum(1) + 0j)
    grads = func.vmap(func.grad(lambda x: (x**2).abs().sum()))(z)
    near(grads, 2 * z.numpy())


def test_a_step_downhill() -> None:
    target = schuss.tensor([1 - 2j, 3j])
    z = schuss.nn.Parameter(schuss.zeros(2, dtype=schuss.complex64))
    for make in (schuss.optim.SGD, schuss.optim.Adam):
        schuss.nn.init.zeros_(z)
        step = make([z], lr=0.1)
        for _ in range(200):
            step.zero_grad()
            ((z - target).abs() ** 2).sum().backward()
            step.step()
        assert float((z - target).abs().max()) < 0.1


def test_a_compiled_step() -> None:
    @schuss.compile
    def spectrum(z: schuss.Tensor) -> schuss.Tensor:
        return (z * z.conj()).real + (z * 2j).abs()

    for seed in range(4):
        z = drawn(6, seed=seed).detach()
        near(spectrum(z), np.abs(z.numpy()) ** 2 + 2 * np.abs(z.numpy()))


# ---- matrices ------------------------------------------------------------------------------------


def test_decompositions_give_the_matrix_back() -> None:
    a = drawn(3, 5, 4).detach()
    square = drawn(3, 4, 4, seed=1).detach()
    x, eye = a.numpy(), np.eye(4)
    q, r = linalg.qr(a)
    near(q @ r, x)
    near(q.mH @ q, np.broadcast_to(eye + 0j, (3, 4, 4)))
    u, s, vh = linalg.svd(a, full_matrices=False)
    near((u * s.unsqueeze(-2)) @ vh, x)
    near(s, np.linalg.svd(x, compute_uv=False))
    p, low, up = linalg.lu(a)
    near(p @ low @ up, x)
    even = square @ square.mH + schuss.eye(4)
    factor = linalg.cholesky(even)
    near(factor @ factor.mH, even.numpy())
    near(factor, np.linalg.cholesky(even.numpy()))
    values, vectors = linalg.eigh(even)
    near((vectors * values.unsqueeze(-2)) @ vectors.mH, even.numpy())
    for side in "LU":
        near(linalg.eigvalsh(square, side), np.linalg.eigvalsh(square.numpy(), side))
    near(linalg.det(square), np.linalg.det(square.numpy()))
    near(linalg.inv(square), np.linalg.inv(square.numpy()), 1e-11)
    near(linalg.pinv(a), np.linalg.pinv(x))
    near(linalg.solve(square, a.mT), np.linalg.solve(square.numpy(), x.swapaxes(1, 2)), 1e-11)


def test_eigenvalues_of_any_matrix() -> None:
    for a in (drawn(2, 5, 5).detach(), drawn(2, 5, 5).detach().real.contiguous()):
        values, vectors = linalg.eig(a)
        assert values.dtype == vectors.dtype == schuss.complex128
        wide = a.to(schuss.complex128)
        near(wide @ vectors, (vectors * values.unsqueeze(-2)).numpy(), 1e-10)
        near(vectors.abs().square().sum(-2), np.ones((2, 5)))
        near(linalg.eigvals(a), values.numpy())
    want = np.sort_complex(np.linalg.eigvals(a[0].numpy()))
    np.testing.assert_allclose(np.sort_complex(linalg.eigvals(a[0]).numpy()), want, atol=1e-12)
    turn = schuss.tensor([[0.0, 1.0], [-1.0, 0.0]])
    assert sorted(linalg.eigvals(turn).imag.tolist()) == [-1.0, 1.0]
    assert linalg.eigvals(schuss.zeros(0, 0)).shape == (0,)
    with pytest.raises(RuntimeError, match="square"):
        linalg.eig(schuss.zeros(2, 3))
