"""Distributions that programs define themselves, and the modules they import one by one.

Leans on schuss.distributions; the numbers were printed by PyTorch 2.15 for the same classes.
"""

from __future__ import annotations

import math

import pytest
import schuss
from conftest import refuses
from schuss.distributions import (
    Distribution,
    Normal,
    Poisson,
    constraints,
    kl_divergence,
    register_kl,
)
from schuss.distributions.transformed_distribution import TransformedDistribution
from schuss.distributions.transforms import ExpTransform, Transform
from schuss.distributions.utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)


class Truncated(Distribution):
    """A standard normal number between two bounds."""

    arg_constraints = {"a": constraints.real, "b": constraints.real}  # noqa: RUF012
    has_rsample = True

    def __init__(self, a, b, validate_args=None):
        self.a, self.b = broadcast_all(a, b)
        super().__init__(self.a.size(), validate_args=validate_args)
        self._below = self._phi(self.a)
        self._whole = self._phi(self.b) - self._below

    @staticmethod
    def _phi(x):
        return 0.5 * (1 + (x / math.sqrt(2)).erf())

    @constraints.dependent_property
    def support(self):
        return constraints.interval(self.a, self.b)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        return -0.5 * math.log(2 * math.pi) - self._whole.log() - 0.5 * value**2

    def rsample(self, sample_shape=()):
        share = schuss.empty(self._extended_shape(sample_shape)).uniform_(0.01, 0.99)
        return (2 * (self._below + share * self._whole) - 1).erfinv() * math.sqrt(2)

    def expand(self, batch_shape, _instance=None):
        new = self._get_checked_instance(Truncated, _instance)
        for name in ("a", "b", "_below", "_whole"):
            setattr(new, name, getattr(self, name).expand(batch_shape))
        super(Truncated, new).__init__(batch_shape, validate_args=False)
        return new


class Hurdle(Distribution):
    """Zero, or a count."""

    arg_constraints = {"p": constraints.unit_interval}  # noqa: RUF012
    support = constraints.nonnegative_integer

    def __init__(self, p, rate, validate_args=None):
        self.p, self.rate = broadcast_all(p, rate)
        super().__init__(self.p.shape, validate_args=validate_args)

    @lazy_property
    def logits(self):
        return probs_to_logits(self.p, is_binary=True)

    def log_prob(self, x):
        more = schuss.log1p(-self.p) + Poisson(self.rate).log_prob(x)
        return schuss.where(x == 0, schuss.log(self.p), more)


def test_a_truncated_normal():
    d = Truncated(schuss.tensor([-1.0, 0.0]), schuss.tensor([1.0, 2.0]))
    assert d.log_prob(schuss.tensor([0.5, 0.5])).sum().item() == pytest.approx(-0.96645, abs=1e-5)
    drawn = d.rsample((50,))
    assert drawn.shape == (50, 2) and d.sample().shape == (2,)
    assert ((drawn >= d.a) & (drawn <= d.b)).all()
    wide = d.expand((3, 2))
    assert wide.rsample().shape == (3, 2) and type(wide) is Truncated
    with refuses(ValueError, "Truncated: the value 3.0 is outside of the support"):
        d.log_prob(schuss.tensor([3.0, 3.0]))


def test_what_a_class_says_of_its_parameters_is_asked():
    h = Hurdle(schuss.tensor(0.3), 2.0)
    assert h.log_prob(schuss.tensor([0.0, 2.0])).sum().item() == pytest.approx(-2.86750, abs=1e-5)
    assert h.logits.item() == pytest.approx(-0.84730, abs=1e-5) and "logits" in vars(h)
    with refuses(ValueError, "Hurdle: p must be", "1.5"):
        Hurdle(schuss.tensor(1.5), 2.0)
    assert Hurdle(schuss.tensor(1.5), 2.0, validate_args=False).p.item() == 1.5


def test_a_subclass_with_its_own_making_must_expand():
    class Half(Truncated):
        def __init__(self):
            super().__init__(0.0, 2.0)

    with refuses(NotImplementedError, "Half: has an __init__ of its own and must define expand"):
        Half().expand((2,))


def test_a_divergence_of_ones_own():
    @register_kl(Hurdle, Hurdle)
    def between(p, q):
        return (p.rate - q.rate).abs()

    assert kl_divergence(Hurdle(0.1, 2.0), Hurdle(0.1, 5.0)).item() == 3


def test_a_transform_of_ones_own():
    class Leaky(Transform):
        domain = codomain = constraints.real
        bijective, sign = True, +1

        def _call(self, x):
            return schuss.where(x >= 0, x, 0.5 * x)

        def _inverse(self, y):
            return schuss.where(y >= 0, y, 2 * y)

        def log_abs_det_jacobian(self, x, y):
            return schuss.where(x >= 0, schuss.zeros_like(x), schuss.full_like(x, math.log(0.5)))

    d = TransformedDistribution(Normal(schuss.zeros(2), 1.0), [Leaky(), ExpTransform()])
    assert d.log_prob(schuss.tensor([0.5, 2.0])).sum().item() == pytest.approx(-2.34586, abs=1e-5)
    assert Leaky().inv(schuss.tensor(-1.0)).item() == -2


def test_modules_of_single_distributions():
    import schuss.distributions.normal as room
    from schuss.distributions.kl import kl_divergence as found
    from schuss.distributions.multivariate_normal import MultivariateNormal
    from schuss.distributions.studentT import StudentT

    assert room.Normal is Normal and found is kl_divergence
    assert MultivariateNormal is schuss.distributions.MultivariateNormal
    assert StudentT is schuss.distributions.StudentT and Normal.__module__ != room.__name__


def test_tools():
    assert logits_to_probs(schuss.tensor([1.0, 2.0])).tolist() == pytest.approx(
        [0.26894, 0.73106], abs=1e-5
    )
    back = probs_to_logits(logits_to_probs(schuss.tensor([-2.0, 3.0]), True), True)
    assert back.tolist() == pytest.approx([-2.0, 3.0], abs=1e-5)
    assert probs_to_logits(schuss.tensor([0.0, 1.0])).isfinite().all()
    assert Hurdle.logits.wrapped.__name__ == "logits"
