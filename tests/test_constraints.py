"""Transforms of draws against their own slopes, constraints, and what leads from one to the other.

Leans on schuss.distributions and reverse mode; what stands as a number was made with PyTorch 2.15.
"""

from __future__ import annotations

import math

import pytest
import schuss
from conftest import refuses
from schuss import distributions as D
from schuss.distributions import constraints as C

f64 = schuss.float64


def t(*values):
    return schuss.tensor(values, dtype=f64)


TRANSFORMS = {
    "exp": (D.ExpTransform(), t(0.3, -1.2, 0.9)),
    "sigmoid": (D.SigmoidTransform(), t(0.3, -1.2, 0.9)),
    "tanh": (D.TanhTransform(), t(0.3, -1.2, 0.9)),
    "softplus": (D.SoftplusTransform(), t(0.3, -1.2, 0.9)),
    "power": (D.PowerTransform(2.5), t(0.3, 1.2, 0.9)),
    "affine": (D.AffineTransform(1.0, -2.0), t(0.3, -1.2, 0.9)),
    "affine of tensors": (D.AffineTransform(t(1.0), t(2.0, 3.0, -4.0)), t(0.3, -1.2, 0.9)),
    "composed": (D.ComposeTransform([D.AffineTransform(1.0, 2.0), D.ExpTransform()]), t(0.3, -0.2)),
    "turned round": (D.ExpTransform().inv, t(0.3, 1.2)),
    "cdf": (D.CumulativeDistributionTransform(D.Normal(t(0.0), t(1.0))), t(0.3, -1.2)),
    "joined": (D.CatTransform([D.ExpTransform(), D.TanhTransform()], 0, [1, 2]), t(0.3, -1.2, 0.9)),
    "stacked": (D.StackTransform([D.ExpTransform(), D.TanhTransform()], 0), t(0.3, -1.2)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_of_single_numbers(name):
    transform, x = TRANSFORMS[name]
    y = transform(x)
    assert transform.inv(y).tolist() == pytest.approx(x.tolist())
    slope = schuss.func.jacrev(transform)(x).diagonal().abs().log()
    assert transform.log_abs_det_jacobian(x, y).tolist() == pytest.approx(slope.tolist())
    assert transform.codomain.check(y).all()
    assert transform.forward_shape((2, 3)) == (2, 3) or name == "affine of tensors"
    again = transform.inv.log_abs_det_jacobian(y, x)
    assert again.tolist() == pytest.approx((-slope).tolist())


def test_a_stick_is_broken_into_shares():
    transform, x = D.StickBreakingTransform(), t(0.3, -1.2, 0.9)
    y = transform(x)
    assert y.shape == (4,) and y.sum().item() == pytest.approx(1)
    assert transform.inv(y).tolist() == pytest.approx(x.tolist())
    matrix = schuss.func.jacrev(transform)(x)[:-1]
    want = schuss.linalg.slogdet(matrix)[1].item()
    assert transform.log_abs_det_jacobian(x, y).item() == pytest.approx(want)
    assert transform.forward_shape((5, 3)) == (5, 4) and transform.inverse_shape((5, 4)) == (5, 3)


def test_vectors_become_factors_of_correlations():
    transform, x = D.CorrCholeskyTransform(), t(0.3, -1.2, 0.9)
    y = transform(x)
    assert C.corr_cholesky.check(y) and transform.inv(y).tolist() == pytest.approx(x.tolist())
    rows, columns = schuss.tril_indices(3, 3, -1)
    matrix = schuss.func.jacrev(lambda x: transform(x)[rows, columns])(x)
    want = schuss.linalg.slogdet(matrix)[1].item()
    assert transform.log_abs_det_jacobian(x, y).item() == pytest.approx(want)
    assert transform.forward_shape((2, 3)) == (2, 3, 3)
    assert transform.inverse_shape((2, 3, 3)) == (2, 3)
    with refuses(ValueError, "triangle"):
        transform(t(1.0, 2.0))


def test_matrices():
    x = schuss.tensor([[0.3, 9.0], [-1.2, 0.5]], dtype=f64)
    low, whole = D.LowerCholeskyTransform(), D.PositiveDefiniteTransform()
    assert C.lower_cholesky.check(low(x)) and C.positive_definite.check(whole(x))
    assert low.inv(low(x)).numpy() == pytest.approx(x.tril().numpy())
    assert whole(whole.inv(whole(x))).numpy() == pytest.approx(whole(x).numpy())


def test_shapes():
    reshape = D.ReshapeTransform((6,), (2, 3))
    x = schuss.arange(12.0).reshape(2, 6)
    assert reshape(x).shape == (2, 2, 3) and reshape.inv(reshape(x)).tolist() == x.tolist()
    assert reshape.log_abs_det_jacobian(x, reshape(x)).tolist() == [0.0, 0.0]
    with refuses(ValueError, "elements"):
        D.ReshapeTransform((6,), (2, 2))
    many = D.IndependentTransform(D.ExpTransform(), 1)
    assert many.log_abs_det_jacobian(x, many(x)).tolist() == x.sum(-1).tolist()
    both = D.ComposeTransform([D.AffineTransform(1.0, 2.0), D.StickBreakingTransform()])
    assert (both.domain.event_dim, both.codomain.event_dim) == (1, 1)
    at = t(0.1, 0.2)
    assert both.log_abs_det_jacobian(at, both(at)).item() == pytest.approx(-2.8827, abs=1e-4)


def test_transforms_that_are_not_one_to_one():
    assert not D.AbsTransform().bijective and D.AbsTransform()(t(-2.0)).tolist() == [2.0]
    shares = D.SoftmaxTransform()(t(0.0, 0.0))
    assert shares.tolist() == [0.5, 0.5]
    with refuses(NotImplementedError, "log_abs_det_jacobian"):
        D.AbsTransform().log_abs_det_jacobian(t(1.0), t(1.0))
    kept = D.ExpTransform(cache_size=1)
    x = t(0.1)
    assert kept(x) is kept(x) and kept.inv(kept(x)) is x


def test_transformed_distributions():
    made = D.TransformedDistribution(
        D.Normal(t(0.0, 1.0), t(1.0, 2.0)), [D.ExpTransform(), D.AffineTransform(1.0, -2.0)]
    )
    # PyTorch's values.
    assert made.log_prob(t(-3.0, -4.0)).tolist() == pytest.approx([-2.5455, -3.2224], abs=1e-4)
    assert made.cdf(t(-3.0, -4.0)).tolist() == pytest.approx([0.2441, 0.5167], abs=1e-4)
    assert made.icdf(t(0.3, 0.4)).tolist() == pytest.approx([-2.3789, -8.0236], abs=1e-4)
    assert made.cdf(made.icdf(t(0.3, 0.4))).tolist() == pytest.approx([0.3, 0.4])
    assert made.rsample((3,)).shape == (3, 2) and made.support is C.real
    vector = D.TransformedDistribution(
        D.Normal(schuss.zeros(3, dtype=f64), schuss.ones(3, dtype=f64)),
        [D.StickBreakingTransform()],
    )
    assert vector.batch_shape == () and vector.event_shape == (4,)
    assert vector.log_prob(t(0.1, 0.2, 0.3, 0.4)).item() == pytest.approx(2.4740, abs=1e-4)
    same = D.TransformedDistribution(D.Normal(t(0.5, 1.0), t(1.0)), D.ExpTransform())
    other = D.TransformedDistribution(D.Normal(t(0.0, 0.0), t(1.0)), D.ExpTransform())
    assert D.kl_divergence(same, other).tolist() == pytest.approx([0.125, 0.5])
    with refuses(NotImplementedError, "alike"):
        D.kl_divergence(same, made)
    with refuses(ValueError, "axes"):
        D.TransformedDistribution(D.Normal(t(0.0)[0], t(1.0)[0]), D.StickBreakingTransform())


CHECKS = [
    (C.boolean, [0.0, 1.0, 0.5], [True, True, False]),
    (C.positive, [0.0, 1.0, -1.0], [False, True, False]),
    (C.nonnegative, [0.0, 1.0, -1.0], [True, True, False]),
    (C.nonnegative_integer, [0.0, 1.5, -1.0], [True, False, False]),
    (C.positive_integer, [0.0, 2.0, 1.5], [False, True, False]),
    (C.real, [0.0, math.inf, math.nan], [True, True, False]),
    (C.unit_interval, [0.0, 1.0, 1.1], [True, True, False]),
    (C.half_open_interval(0.0, 1.0), [0.0, 1.0, 0.5], [True, False, True]),
    (C.less_than(1.0), [0.0, 1.0], [True, False]),
    (C.integer_interval(0, 2), [0.0, 3.0, 0.5], [True, False, False]),
    (C.simplex, [[0.5, 0.5], [0.6, 0.5]], [True, False]),
    (C.one_hot, [[0.0, 1.0], [1.0, 1.0]], [True, False]),
    (C.multinomial(3), [[1.0, 2.0], [2.0, 2.0]], [True, False]),
    (C.real_vector, [[1.0, 2.0], [math.nan, 2.0]], [True, False]),
    (C.symmetric, [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 2.0], [0.0, 1.0]]], [True, False]),
    (C.lower_triangular, [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.0], [2.0, 1.0]]], [False, True]),
    (C.positive_definite, [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]], [False, True]),
    (C.positive_semidefinite, [[[1.0, 1.0], [1.0, 1.0]], [[-1.0, 0.0], [0.0, 1.0]]], [True, False]),
    (C.stack([C.positive, C.real]), [1.0, -1.0], [True, True]),
    (C.cat([C.positive, C.real], 0, [1, 2]), [-1.0, -1.0, 0.0], [False, True, True]),
]


@pytest.mark.parametrize(("constraint", "values", "want"), CHECKS, ids=lambda v: repr(v)[:30])
def test_constraints(constraint, values, want):
    assert constraint.check(schuss.tensor(values, dtype=f64)).tolist() == want


def test_constraints_that_depend():
    assert C.is_dependent(C.dependent) and not C.is_dependent(C.real)
    assert C.is_dependent(D.Binomial.support) and D.Binomial.support.is_discrete
    with refuses(ValueError, "depends"):
        C.dependent.check(t(1.0))


@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
def test_what_leads_to_a_constraint(registry):
    lead = getattr(D, registry)
    for constraint in (C.real, C.positive, C.nonnegative, C.unit_interval, C.interval(-1.0, 3.0),
                       C.greater_than(2.0), C.less_than(-2.0), C.simplex, C.real_vector,
                       C.independent(C.positive, 1)):  # fmt: skip
        transform = lead(constraint)
        y = transform(t(0.3, -1.2, 2.0))
        assert constraint.check(y).all()
        assert transform(transform.inv(y)).tolist() == pytest.approx(y.tolist())
    for constraint in (C.lower_cholesky, C.positive_definite):
        assert constraint.check(lead(constraint)(schuss.ones(3, 3, dtype=f64)))
    assert C.corr_cholesky.check(lead(C.corr_cholesky)(t(0.3, 1.0, 2.0)))
    with refuses(NotImplementedError, "register"):
        lead(C.boolean)
    mine = C.interval(5.0, 6.0)
    lead.register(type("Own", (C.Constraint,), {}), lambda c: D.ExpTransform())
    assert isinstance(lead(mine), D.ComposeTransform)
