"""Random numbers whose elements have parameters of their own: Poisson, binomial, gamma and others.
Leans on creation and on the core's draws by rejection, which are given a key for each element."""

from __future__ import annotations

from schuss import _core
from schuss._core import Tensor
from schuss.creation import _drawn
from schuss.naming import must_tensor


def keys(op: str, shape, generator=None, device=None) -> Tensor:
    """A whole number below 2^53 for each element, from which a draw makes what it needs."""
    return _drawn(op, tuple(shape), "integers", 0, 2**53, _core.int64, device, generator)


def _floats(op: str, **named) -> None:
    must_tensor(op, **named)
    for name, x in named.items():
        if not x.is_floating_point():
            raise NotImplementedError(f"{op}: {name} must hold floats, got {x.dtype.name}")


def poisson(input, generator=None):
    """Draws of the Poisson distribution of the rates given (Knuth 1969; Hörmann 1993).

    >>> schuss.poisson(schuss.zeros(2))
    tensor([0., 0.])
    """
    _floats("poisson", input=input)
    rates = input.detach()
    _core._demand(~(rates < 0), "runtime", "poisson", "every rate must be at least 0")
    return _core._draw_poisson(rates, keys("poisson", rates.shape, generator, rates.device))


def binomial(count, prob, generator=None):
    """Draws of the binomial distribution of the counts and probabilities given (Hörmann 1993).

    >>> schuss.binomial(schuss.tensor([5.0]), schuss.tensor([1.0]))
    tensor([5.])
    """
    _floats("binomial", count=count, prob=prob)
    n, p = count.detach(), prob.detach()
    key = keys("binomial", (n * p).shape, generator, n.device)
    return _core._draw_binomial(n, p.clamp(0.0, 1.0), key)


def gamma(concentration, generator=None):
    """Draws of the gamma distribution of rate 1 (Marsaglia and Tsang 2000), with implicit gradients
    (Figurnov, Mohamed and Mnih 2018).

    >>> schuss.draws.gamma(schuss.tensor([2.0])) > 0
    tensor([True])
    """
    _floats("gamma", concentration=concentration)
    shape = concentration.shape
    return _core._draw_gamma(concentration, keys("gamma", shape, generator, concentration.device))


def von_mises(concentration, generator=None):
    """Draws of von Mises's distribution about 0 (Best and Fisher 1979).

    >>> schuss.draws.von_mises(schuss.tensor([2.0])).abs() < 3.1416
    tensor([True])
    """
    _floats("von_mises", concentration=concentration)
    kappa = concentration.detach()
    key = keys("von_mises", kappa.shape, generator, kappa.device)
    return _core._draw_von_mises(kappa, key)


def _uniform(op: str, self, generator) -> Tensor:
    """Uniform draws from (0, 1], in float64 where that is asked for, else in float32."""
    kind = _core.float64 if self.dtype == _core.float64 else _core.float32
    shape, device = tuple(self.shape), self.device
    return 1.0 - _drawn(op, shape, "uniform", 0.0, 1.0, kind, device, generator)


def _only_floats(op: str, self) -> None:
    if not self.is_floating_point():
        raise RuntimeError(f"{op}: the distribution is continuous, the tensor {self.dtype.name}")


def cauchy_(self, median=0, sigma=1, *, generator=None):
    """Overwrites the elements with draws of Cauchy's distribution.

    >>> schuss.zeros(3).cauchy_().shape
    schuss.Size([3])
    """
    _only_floats("cauchy_", self)
    if not sigma > 0:
        raise RuntimeError(f"cauchy_: sigma must be above 0, got {sigma}")
    turn = (_uniform("cauchy_", self, generator) - 0.5) * 3.141592653589793
    return self.copy_(turn.tan() * sigma + median)


def log_normal_(self, mean=1, std=2, *, generator=None):
    """Overwrites the elements with e to normal draws.

    >>> (schuss.zeros(3).log_normal_() > 0).all()
    tensor(True)
    """
    _only_floats("log_normal_", self)
    if not std > 0:
        raise RuntimeError(f"log_normal_: std must be above 0, got {std}")
    return self.normal_(mean, std, generator=generator).exp_()


def geometric_(self, p, *, generator=None):
    """Overwrites the elements with how many tries it takes until one of probability p succeeds.

    >>> (schuss.zeros(3).geometric_(0.5) >= 1).all()
    tensor(True)
    """
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_: p must be between 0 and 1, got {p}")
    u = _uniform("geometric_", self, generator)
    tries = (u.log() / _core.tensor(-p, dtype=u.dtype, device=u.device).log1p()).ceil().clamp(min=1)
    return self.copy_(tries)


__all__ = ["binomial", "poisson"]
