"""Draws on a GPU: the processor's bits for every maker and distribution, where the parameters lie.

Leans on schuss, adapter and gpu_nearness.
"""

from __future__ import annotations

import warnings

import pytest
import schuss
from adapter import DEVICE, needs_adapter, told
from gpu_nearness import UNITS, alike, units
from schuss import distributions as D
from schuss import nn

pytestmark = needs_adapter
F = nn.functional

P = [0.1, 0.5, 0.9]
DRAWS = {
    "normal": lambda t: schuss.normal(t([0.0, 5.0]), t([1.0, 2.0])),
    "normal_mean": lambda t: schuss.normal(t([0.0, 5.0]), 2.0),
    "normal_std": lambda t: schuss.normal(1.0, t([0.5, 2.0])),
    "bernoulli": lambda t: schuss.bernoulli(t(P)),
    "bernoulli_p": lambda t: schuss.bernoulli(t(P), 0.5),
    "multinomial": lambda t: schuss.multinomial(t(P), 2),
    "multinomial_again": lambda t: schuss.multinomial(t(P), 7, replacement=True),
    "poisson": lambda t: schuss.poisson(t(P)),
    "binomial": lambda t: schuss.binomial(t([5.0, 6.0]), t([0.5, 0.25])),
    "exponential_": lambda t: t(P).exponential_(),
    "log_normal_": lambda t: t(P).log_normal_(),
    "geometric_": lambda t: t(P).geometric_(0.5),
    "dropout2d": lambda t: F.dropout2d(t(P).reshape(1, 3, 1, 1), 0.5),
    "alpha_dropout": lambda t: F.alpha_dropout(t(P), 0.5, True),
    "rrelu": lambda t: F.rrelu(-t(P), training=True),
    "gumbel_softmax": lambda t: F.gumbel_softmax(t(P)),
}
FAMILIES = {
    "Normal": lambda t: D.Normal(t(P), 1.0),
    "Normal both": lambda t: D.Normal(t(P), t(P)),
    "Laplace": lambda t: D.Laplace(t(P), t(P)),
    "Gumbel": lambda t: D.Gumbel(t(P), 1.0),
    "Cauchy": lambda t: D.Cauchy(t(P), 1.0),
    "Uniform": lambda t: D.Uniform(0.0, t(P)),
    "Exponential": lambda t: D.Exponential(t(P)),
    "HalfNormal": lambda t: D.HalfNormal(t(P)),
    "LogNormal": lambda t: D.LogNormal(t(P), 0.5),
    "Gamma": lambda t: D.Gamma(t(P), 2.0),
    "Beta": lambda t: D.Beta(t(P), 2.0),
    "Dirichlet": lambda t: D.Dirichlet(t(P)),
    "StudentT": lambda t: D.StudentT(t([3.0, 4.0])),
    "Categorical": lambda t: D.Categorical(t(P)),
    "OneHotCategorical": lambda t: D.OneHotCategorical(t(P)),
    "Bernoulli": lambda t: D.Bernoulli(t(P)),
    "Geometric": lambda t: D.Geometric(t(P)),
    "Poisson": lambda t: D.Poisson(t(P)),
    "Binomial": lambda t: D.Binomial(4, t(P)),
    "Multinomial": lambda t: D.Multinomial(4, t(P)),
    "MultivariateNormal": lambda t: D.MultivariateNormal(
        t([0.0, 1.0]), t([[2.0, 0.5], [0.5, 1.0]])
    ),
    "LowRankMultivariateNormal": lambda t: D.LowRankMultivariateNormal(
        t([0.0, 1.0]), t([[1.0], [2.0]]), t([1.0, 2.0])
    ),
    "Wishart": lambda t: D.Wishart(3.0, t([[2.0, 0.5], [0.5, 1.0]])),
    "LKJCholesky": lambda t: D.LKJCholesky(3, t(1.5)),
    "RelaxedBernoulli": lambda t: D.RelaxedBernoulli(0.5, t(P)),
    "RelaxedOneHotCategorical": lambda t: D.RelaxedOneHotCategorical(0.5, t(P)),
    "Weibull": lambda t: D.Weibull(t(P), 2.0),
    "Pareto": lambda t: D.Pareto(1.0, t(P)),
}


def drawn(call, device: str) -> schuss.Tensor:
    schuss.manual_seed(11)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*has no kernel")
        return call(lambda values: schuss.tensor(values, device=device))


def same(got: schuss.Tensor, want: schuss.Tensor, exact: bool) -> None:
    assert str(got.device) == "gpu:0"
    alike(got, want, "same" if exact else "map", size=1.0)


@pytest.mark.parametrize("name", DRAWS)
def test_makers_draw_the_processors_numbers(name):
    want, got = drawn(DRAWS[name], "cpu"), drawn(DRAWS[name], DEVICE)
    same(got, want, want.dtype == schuss.int64 or name.startswith(("bern", "pois", "bino")))


@pytest.mark.parametrize("name", FAMILIES)
def test_distributions_draw_where_their_parameters_lie(name):
    def call(t):
        return FAMILIES[name](t).sample((5,))

    want, got = drawn(call, "cpu"), drawn(call, DEVICE)
    same(got, want, want.dtype == schuss.int64)


@pytest.mark.parametrize("name", ["Normal", "Beta", "MultivariateNormal"])
def test_gradients_go_through_draws(name):
    def call(t):
        leaf = t([[2.0, 0.5], [0.5, 1.0]] if name[0] == "M" else P).requires_grad_()
        family = {"Normal": lambda: D.Normal(0.0, leaf), "Beta": lambda: D.Beta(leaf, 2.0)}
        made = family.get(name, lambda: D.MultivariateNormal(t([0.0, 1.0]), leaf))()
        x = made.rsample((4,))
        (x.square().mean() + made.log_prob(x.detach()).mean()).backward()
        return leaf.grad

    same(drawn(call, DEVICE), drawn(call, "cpu"), False)


def test_a_generator_of_ones_own():
    def call(t):
        chances = t(P)
        own = schuss.Generator(chances.device).manual_seed(3)
        return schuss.bernoulli(chances, generator=own)

    same(drawn(call, DEVICE), drawn(call, "cpu"), True)


# What is drawn by Philox's words alone has the processor's bits; logarithms, sines and cosines are
# the device's own, right to two units in the last place.
EXACT = {
    "rand": lambda d: schuss.rand(1003, device=d),
    "uniform_": lambda d: schuss.empty(1003, device=d).uniform_(-3.0, 7.0),
    "rand double": lambda d: schuss.rand(1003, device=d, dtype=schuss.float64),
    "uniform_ double": lambda d: schuss.empty(1003, device=d).double().uniform_(-3.0, 7.0),
    "rand half": lambda d: schuss.rand(9001, device=d, dtype=schuss.float16),
    "uniform_ bfloat16": lambda d: schuss.empty(9001, device=d).bfloat16().uniform_(-0.5, 0.3),
    "randint": lambda d: schuss.randint(-5, 17, (1003,), device=d),
    "randint of a large range": lambda d: schuss.randint(0, 2**53, (1003,), device=d),
    "randint of the largest": lambda d: schuss.randint(-(2**63), 2**63 - 1, (1003,), device=d),
    "randint drawn again": lambda d: schuss.randint(0, 3 * 2**61, (1003,), device=d),
    "randint int32": lambda d: schuss.randint(
        -(2**31), 2**31 - 1, (1003,), device=d, dtype=schuss.int32
    ),
    "randint bytes": lambda d: schuss.randint(0, 256, (1003,), device=d, dtype=schuss.uint8),
    "random_ floats": lambda d: schuss.empty(1003, device=d).random_(),
    "bernoulli_": lambda d: schuss.empty(1003, device=d).bernoulli_(0.3),
    "bernoulli_ truths": lambda d: schuss.empty(1003, device=d).bool().bernoulli_(0.3),
    "randperm": lambda d: schuss.randperm(1003, device=d),
    "randperm int32": lambda d: schuss.randperm(17, device=d, dtype=schuss.int32),
    "randperm of many": lambda d: schuss.randperm(5001, device=d),
    "into columns": lambda d: schuss.zeros(7, 9, device=d).T[1:].uniform_(),
}
NEAR = {
    "randn": lambda d: schuss.randn(100_003, device=d),
    "normal_": lambda d: schuss.empty(1003, device=d).normal_(3.0, 2.0),
    "randn half": lambda d: schuss.randn(1003, device=d, dtype=schuss.float16),
    "randn double": lambda d: schuss.randn(1003, device=d, dtype=schuss.float64),
    "exponential_": lambda d: schuss.empty(100_003, device=d).exponential_(0.7),
    "randn of many doubles": lambda d: schuss.randn(100_003, device=d, dtype=schuss.float64),
    "normal_ double": lambda d: schuss.empty(1003, device=d).double().normal_(3.0, 2.0),
    "exponential_ double": lambda d: schuss.empty(100_003, device=d).double().exponential_(0.7),
}


def streamed(call, device: str) -> tuple[schuss.Tensor, list]:
    """A draw, after one of another size, and where the generator is then."""
    schuss.manual_seed(2**40 + 3)
    schuss.rand(5)
    return call(device), schuss.get_rng_state().tolist()


@pytest.mark.parametrize("name", EXACT)
def test_words_are_the_processors(name):
    (want, there), (got, here) = streamed(EXACT[name], "cpu"), streamed(EXACT[name], DEVICE)
    same(got, want, True)
    assert here == there
    assert want.float().std() > 0


@pytest.mark.parametrize("name", NEAR)
def test_formulas_of_draws_are_right_to_the_last_places(name):
    (want, there), (got, here) = streamed(NEAR[name], "cpu"), streamed(NEAR[name], DEVICE)
    assert here == there
    assert got.dtype == want.dtype
    a, b = got.cpu().numpy(), want.numpy()
    # A sum with the mean loses what the larger of its parts has lost.
    away = units(a, b, least=3.0 if name.startswith("normal_") else 0.0)
    assert away.max() <= UNITS["draw"](1), away.max()
    assert (away > 2).mean() < 0.01


def test_draws_are_made_on_the_device():
    shape = (1 << 14,)
    x = schuss.empty(shape, device=DEVICE)
    y = schuss.empty(shape, dtype=schuss.float64, device=DEVICE)
    draws = {
        "rand": lambda: schuss.rand(shape, device=DEVICE),
        "randn": lambda: schuss.randn(shape, device=DEVICE),
        "randint": lambda: schuss.randint(0, 10, shape, device=DEVICE),
        "exponential_": lambda: x.exponential_(),
        "bernoulli_": lambda: x.bernoulli_(0.5),
        "normal_": lambda: x.normal_(),
        "randn double": lambda: schuss.randn(shape, dtype=schuss.float64, device=DEVICE),
        "exponential_ double": lambda: y.exponential_(),
    }
    for name, draw in draws.items():
        draw()
        schuss.gpu.synchronize()
        before = schuss.gpu.counters()["dispatches"]
        draw()
        schuss.gpu.synchronize()
        # A kernel each, where moved numbers need none.
        assert schuss.gpu.counters()["dispatches"] - before == 1, name


def test_a_large_seed_and_offset_reach_the_device():
    def call(device):
        g = schuss.Generator(device).manual_seed(2**63 + 5)
        state = g.get_state()
        # Blocks from shortly before 2^32 on, so that the counter carries.
        offset = (2**32 - 3).to_bytes(8, "little")
        g.set_state(schuss.tensor([*state[:8].tolist(), *offset], dtype=schuss.uint8))
        how = {"generator": g, "device": device}
        return schuss.rand(40, **how), schuss.randint(0, 2**60, (40,), **how)

    for got, want in zip(call(DEVICE), call("cpu"), strict=True):
        same(got, want, True)


PARTS = """
import schuss
from gpu_nearness import alike
def drawn(device):
    schuss.manual_seed(12)
    n, how = 200_003, {"device": device, "dtype": schuss.float64}
    x = schuss.empty(n, **how)
    return {
        "rand": schuss.rand(n, **how), "uniform_": x.uniform_(-2, 5).clone(),
        "randn": schuss.randn(n, **how), "exponential_": x.exponential_(3.0).clone(),
        "randint": schuss.randint(-(2**60), 2**60, (n,), device=device),
        "narrow": schuss.randint(0, 7, (n,), device=device),
        "columns": schuss.empty(500, 401, **how).T.uniform_(),
        "bernoulli_": x.bernoulli_(0.3).clone(),
    }
print(schuss.gpu.limits()["binding"])
for (name, want), got in zip(drawn("cpu").items(), drawn("gpu").values()):
    # Bits, but for numbers that go through the device's logarithm.
    alike(got, want, "draw" if name in ("randn", "exponential_") else "same")
    print(name, want.double().std() > 0)
print(schuss.randperm(400_000, device="gpu").sum().item())
"""


def test_draws_of_64_bits_over_one_binding_are_made_in_parts():
    done = told(PARTS, SCHUSS_GPU_PROFILE="binding=1048576")
    lines = done.stdout.splitlines()
    assert lines[0] == "1048576", done.stdout + done.stderr
    assert len(lines) == 10, done.stdout + done.stderr
    assert all(line.endswith(" tensor(True)") for line in lines[1:9]), done.stdout
    assert lines[9] == str(400_000 * 399_999 // 2)


ORDERS = """
import warnings, schuss
warnings.simplefilter("error")
def drawn(device, n, **how):
    schuss.manual_seed(5)
    return schuss.randperm(n, device=device, **how).tolist()
print([drawn("gpu", n) == drawn("cpu", n) for n in (1, 2, 1003, 4097, 50_000)])
print(drawn("gpu", 9000, dtype=schuss.int32) == drawn("cpu", 9000))
"""


def test_long_orders_are_drawn_where_many_invocations_run_at_once():
    done = told(ORDERS, SCHUSS_GPU_PROFILE="gpu")
    assert done.stdout.splitlines() == [str([True] * 5), "True"], done.stdout + done.stderr


def test_what_is_made_of_plain_numbers_lies_on_the_default_device():
    made = {
        "Normal": lambda: D.Normal(0.0, 1.0),
        "Uniform": lambda: D.Uniform(0.0, 2.0),
        "Bernoulli": lambda: D.Bernoulli(0.3),
        "Gamma": lambda: D.Gamma(2.0, 1.0),
        "Beta": lambda: D.Beta(2.0, 1.0),
        "Exponential": lambda: D.Exponential(2.0),
        "Poisson": lambda: D.Poisson(2.0),
        "Laplace": lambda: D.Laplace(0.0, 1.0),
        "StudentT": lambda: D.StudentT(3.0),
        "Binomial": lambda: D.Binomial(4, 0.3),
        "Geometric": lambda: D.Geometric(0.3),
    }
    for name, make in made.items():
        found = []
        for device in ("cpu", DEVICE):
            with schuss.device(device), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*has no kernel")
                schuss.manual_seed(8)
                own = make()
                x = own.sample((4,))
                found.append((x, own.log_prob(x)))
        (x, score), (y, other) = found
        assert str(x.device) == "cpu", name
        assert str(y.device) == str(other.device) == "gpu:0", name
        alike(y, x, "map", size=1.0, what=name)
        alike(other, score, "map", size=1.0, what=name)
    with schuss.device(DEVICE):
        between = D.kl_divergence(D.Normal(0.0, 1.0), D.Normal(1.0, 2.0))
    assert str(between.device) == "gpu:0"
    assert between.item() == pytest.approx(0.4431472)
