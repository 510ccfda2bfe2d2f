"""Linear algebra where a table cannot say it: identities of factors, singular matrices, errors.

Leans on schuss and NumPy.
"""

from __future__ import annotations

import numpy as np
import pytest
import schuss
from schuss.testing import assert_close


def matrix(*shape: int, seed: int = 0) -> schuss.Tensor:
    return schuss.tensor(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("m, n", [(5, 5), (40, 30), (3, 7)])
def test_factors_multiply_to_the_matrix(m: int, n: int) -> None:
    x = matrix(2, m, n)
    P, L, U = schuss.linalg.lu(x)
    assert_close(P @ L @ U, x)
    Q, R = schuss.linalg.qr(x, "complete")
    assert_close(Q @ R, x)
    assert_close(Q.mT @ Q, schuss.eye(m, dtype=x.dtype).expand(2, m, m))
    U, S, Vh = schuss.linalg.svd(x)
    k = min(m, n)
    assert_close((U[..., :k] * S.unsqueeze(-2)) @ Vh[..., :k, :], x)
    packed, pivots = schuss.linalg.lu_factor(x)
    for got, want in zip(schuss.lu_unpack(packed, pivots), (P, L), strict=False):
        assert_close(got, want)


def test_symmetric_factors_are_kept_as_lapack_keeps_them() -> None:
    """The values are PyTorch's `torch.linalg.ldl_factor` and `ldl_solve` of this matrix."""
    a = schuss.tensor(
        [[1.0, 2, -3, 4], [2, 0, 5, 1], [-3, 5, 0, 2], [4, 1, 2, -1]], dtype=schuss.float64
    )
    found = schuss.linalg.ldl_factor(a)
    want = [
        [1.0, 0.0, 0.0, 0.0],
        [4.0, -1.0, 0.0, 0.0],
        [0.29411764705882354, -0.8235294117647058, 2.5294117647058822, 0.0],
        [0.3529411764705882, 0.4117647058823529, 5.235294117647059, -1.1176470588235294],
    ]
    assert_close(found.LD, schuss.tensor(want, dtype=schuss.float64))
    assert found.pivots.tolist() == [-4, -4, -4, -4]
    assert found.pivots.dtype == schuss.int32
    b = schuss.tensor([[1.0], [2.0], [3.0], [4.0]], dtype=schuss.float64)
    x = schuss.linalg.ldl_solve(*found, b)
    want = [
        [0.5680933852140078],
        [1.038910505836576],
        [0.22178988326848248],
        [-0.24513618677042806],
    ]
    assert_close(x, schuss.tensor(want, dtype=schuss.float64))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 9, 40])
def test_symmetric_factors_solve(n: int) -> None:
    a, b = matrix(3, n, n), matrix(2, 1, n, 2, seed=1)
    a = a + a.mT
    a[0].diagonal().zero_()
    found = schuss.linalg.ldl_factor_ex(a)
    assert found.info.tolist() == ([0, 0, 0] if n != 1 else [1, 0, 0])
    if n != 1:
        x = schuss.linalg.ldl_solve(found.LD, found.pivots, b)
        assert_close(a @ x, b.expand(2, 3, n, 2), rtol=1e-8, atol=1e-8)


def test_symmetric_factors_refuse() -> None:
    with pytest.raises(RuntimeError, match="ldl_factor: a matrix is singular"):
        schuss.linalg.ldl_factor(schuss.zeros(2, 2))
    with pytest.raises(RuntimeError, match="needs square"):
        schuss.linalg.ldl_factor(schuss.zeros(2, 3))
    eye, b = schuss.eye(2), schuss.ones(2, 1)
    for pivots in ([9, 9], [0, 1], [1, -2]):
        with pytest.raises(RuntimeError, match="ldl_solve: the pivot"):
            schuss.linalg.ldl_solve(eye, schuss.tensor(pivots, dtype=schuss.int32), b)
    for pivots in (schuss.ones(2), schuss.ones(3).int()):
        with pytest.raises(RuntimeError, match="ldl_solve: the pivots must be integers"):
            schuss.linalg.ldl_solve(eye, pivots, b)
    with pytest.raises(RuntimeError, match="ldl_solve"):
        schuss.linalg.ldl_solve(eye, schuss.ones(2).int(), schuss.ones(3, 1))


def test_solutions_solve() -> None:
    a, b = matrix(2, 6, 6), matrix(2, 6, 3, seed=1)
    assert_close(a @ schuss.linalg.solve(a, b), b)
    assert_close(schuss.linalg.solve(a, b.mT, left=False) @ a, b.mT)
    assert_close(schuss.linalg.matrix_power(a, -2) @ a @ a @ b, b)
    factors = schuss.linalg.lu_factor(a)
    assert_close(schuss.linalg.lu_solve(*factors, b), schuss.linalg.solve(a, b))
    assert_close(schuss.linalg.lu_solve(*factors, b, adjoint=True), schuss.linalg.solve(a.mT, b))
    positive = a @ a.mT + schuss.eye(6, dtype=a.dtype)
    L = schuss.linalg.cholesky(positive)
    assert_close(positive @ schuss.cholesky_solve(b, L), b)
    assert_close(schuss.cholesky_inverse(L), schuss.linalg.inv(positive))
    root = schuss.linalg.matrix_sqrth(positive)
    assert_close(root @ root, positive)
    tall, right = matrix(7, 3), matrix(7, 2, seed=2)
    want = np.linalg.lstsq(tall.numpy(), right.numpy(), rcond=None)[0]
    assert_close(schuss.linalg.lstsq(tall, right).solution, schuss.tensor(want))


def test_the_root_of_a_matrix_has_its_slope() -> None:
    a = matrix(3, 3)
    x = (a @ a.mT + schuss.eye(3, dtype=a.dtype)).requires_grad_()
    weight = matrix(3, 3, seed=3)
    weight = weight + weight.mT

    def f(t: schuss.Tensor) -> schuss.Tensor:
        return (schuss.linalg.matrix_sqrth((t + t.mT) / 2) * weight).sum()

    assert schuss.autograd.gradcheck(f, x)
    assert schuss.autograd.gradgradcheck(f, x)


def test_singular_matrices_are_named() -> None:
    x = schuss.ones(2, 2)
    for call in (schuss.linalg.inv, schuss.linalg.cholesky):
        with pytest.raises(RuntimeError):
            call(-x)
    with pytest.raises(RuntimeError):
        schuss.linalg.solve(x, schuss.ones(2))
    assert schuss.linalg.inv_ex(x).info.item() == 2
    assert schuss.linalg.cholesky_ex(-x).info.item() == 1
    assert schuss.linalg.matrix_rank(x).item() == 1
    sign, size = schuss.linalg.slogdet(x)
    assert (sign.item(), size.item()) == (0.0, -float("inf"))


def test_an_empty_matrix_first_spoils_no_later_one() -> None:
    for n in (0, 3):
        x = (matrix(n, n) + 3 * schuss.eye(n, dtype=schuss.float64)).requires_grad_()
        for f in (schuss.linalg.svdvals, schuss.linalg.eigvalsh, schuss.linalg.inv):
            schuss.autograd.grad(f(x).sum(), x)
        y = matrix(n).requires_grad_()
        schuss.autograd.grad(y.cumprod(0).sum(), y)


@pytest.mark.parametrize("name", ["svd", "eigh", "inv", "qr", "cholesky", "det"])
def test_what_is_no_matrix_is_refused(name: str) -> None:
    for bad in (schuss.ones(3), schuss.ones(2, 2, dtype=schuss.int64)):
        with pytest.raises(RuntimeError):
            getattr(schuss.linalg, name)(bad)
    if name in ("svd", "eigh"):
        with pytest.raises(RuntimeError):
            getattr(schuss.linalg, name)(schuss.full((2, 2), float("nan")))


def test_a_matrix_without_the_factors_has_an_error_of_its_own() -> None:
    error, flat = schuss.linalg.LinAlgError, schuss.ones(2, 2)
    assert issubclass(error, RuntimeError) and error is not RuntimeError
    for call in (
        lambda: schuss.linalg.inv(flat),
        lambda: schuss.linalg.solve(flat, flat),
        lambda: schuss.linalg.cholesky(-flat),
        lambda: schuss.linalg.svd(flat * float("nan")),
    ):
        with pytest.raises(error):
            call()
    # What is no matrix at all is none of these.
    with pytest.raises(RuntimeError) as told:
        schuss.linalg.inv(schuss.ones(3))
    assert not isinstance(told.value, error)


def test_deviations_that_vanish_have_the_slope_0() -> None:
    x = schuss.tensor([[1.0, 2.0], [1.0, 4.0]], requires_grad=True)
    for found in (x.std(0), schuss.std_mean(x, 0)[0]):
        (slope,) = schuss.autograd.grad(found.sum(), x)
        assert_close(slope, schuss.tensor([[0.0, -(0.5**0.5)], [0.0, 0.5**0.5]]))
    assert schuss.autograd.gradgradcheck(lambda x: x.std(1), (matrix(3, 4).requires_grad_(),))


@pytest.mark.parametrize("p", [2.0, 1.0, 0.5, float("inf")])
def test_distances_of_many_rows_are_those_of_their_differences(p: float) -> None:
    a, b = matrix(40, 6).float(), matrix(30, 6).float()
    b[7] = a[11]
    a, b = a.requires_grad_(), b.requires_grad_()
    gaps = a.detach().double().unsqueeze(1) - b.detach().double()
    assert_close(schuss.cdist(a, b, p), gaps.norm(p, -1).float())
    assert schuss.cdist(a, b, p)[11, 7].item() == 0.0
    weights = matrix(40, 30).float()
    found = schuss.autograd.grad((schuss.cdist(a, b, p) * weights).sum(), (a, b))
    mode = "donot_use_mm_for_euclid_dist"
    wanted = schuss.autograd.grad((schuss.cdist(a, b, p, mode) * weights).sum(), (a, b))
    for got, want in zip(found, wanted, strict=True):
        assert_close(got, want, rtol=1e-4, atol=1e-5)
