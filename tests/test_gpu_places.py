"""Operands of two devices are refused; results lie where operands do, whatever the default device.

Leans on adapter, gpu_nearness, on the tables of records and layers, and on the docstrings' examples
as a table of functions (test_docs).
"""

from __future__ import annotations

import contextlib
import doctest
import functools
import io
import warnings

import pytest
import schuss
from adapter import DEVICE, needs_adapter
from conftest import LETTERS, refuses
from gpu_nearness import alike
from module_cases import CASES
from module_facts import arguments, flat
from reference import TABLE as ORACLES
from schuss import distributions as D
from schuss import nn
from test_docs import Example, names, of_docstrings
from test_ops import NAMES, arrays, cases, function, outputs
from test_ops import tensors as operands_of

pytestmark = [needs_adapter, pytest.mark.filterwarnings("ignore:.*has no kernel")]
F = nn.functional

# ---- two devices ---------------------------------------------------------------------------------

TABLE = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0], [9.0, 10.0, 11.0]]
INDEXED = {
    "embedding": lambda w, i: F.embedding(i, w),
    "Embedding": lambda w, i: nn.Embedding.from_pretrained(w)(i),
    "embedding_bag": lambda w, i: F.embedding_bag(i.reshape(1, 2), w),
    "gather": lambda w, i: w.gather(0, i.reshape(2, 1)),
    "index_select": lambda w, i: w.index_select(0, i),
    "index_add": lambda w, i: w.index_add(0, i, w[:2]),
    "index_copy": lambda w, i: w.index_copy(0, i, w[:2]),
    "index_fill": lambda w, i: w.index_fill(0, i, 1.0),
    "index_reduce": lambda w, i: w.index_reduce(0, i, w[:2], "amax"),
    "take": lambda w, i: w.take(i),
    "take_along_dim": lambda w, i: schuss.take_along_dim(w, i.reshape(2, 1), 0),
    "repeat_interleave": lambda w, i: schuss.repeat_interleave(w[:2], i, 0),
    "scatter": lambda w, i: w.scatter(0, i.reshape(2, 1), 1.0),
    "scatter of values": lambda w, i: w.scatter(0, i.reshape(2, 1), w[:2]),
    "scatter_add": lambda w, i: w.scatter_add(0, i.reshape(2, 1), w[:2]),
    "scatter_reduce": lambda w, i: w.scatter_reduce(0, i.reshape(2, 1), w[:2], "prod"),
    "cross_entropy": lambda w, i: F.cross_entropy(w[:2], i),
    "nll_loss": lambda w, i: F.nll_loss(w[:2], i),
    "multi_margin_loss": lambda w, i: F.multi_margin_loss(w[:2], i),
    "masked_select": lambda w, i: w[:2].masked_select((i > 1).reshape(2, 1)),
    "masked_fill": lambda w, i: w[:2].masked_fill((i > 1).reshape(2, 1), 0.0),
    "where": lambda w, i: schuss.where((i > 1).reshape(2, 1), w[:2], 0.0),
    "searchsorted": lambda w, i: schuss.searchsorted(w[0], i.float()),
}


@pytest.mark.parametrize("name", INDEXED)
def test_indices_of_another_device_are_refused(name):
    w, i = schuss.tensor(TABLE), schuss.tensor([1, 2])
    want, got = INDEXED[name](w, i), INDEXED[name](w.to(DEVICE), i.to(DEVICE))
    alike(got, want, "map")
    with refuses(schuss.DeviceError, "cpu", "gpu:0"):
        INDEXED[name](w.to(DEVICE), i)
    with refuses(schuss.DeviceError, "cpu", "gpu:0"):
        INDEXED[name](w, i.to(DEVICE))


def test_indices_in_brackets_come_from_the_processor_alone():
    w, i = schuss.tensor(TABLE), schuss.tensor([1, 2])
    for index in (i, w[:, 0] > 4):
        assert w.to(DEVICE)[index].tolist() == w[index].tolist()
        with refuses(schuss.DeviceError, "cpu", "gpu:0", "index"):
            w[index.to(DEVICE)]
        with refuses(schuss.DeviceError, "cpu", "gpu:0", "index"):
            w[index.to(DEVICE)] = 0.0
    assert w.tolist() == TABLE


def test_gradients_of_another_device_are_refused():
    for own, other in (("cpu", DEVICE), (DEVICE, "cpu")):
        x = schuss.ones(3, device=own, requires_grad=True)
        away = schuss.ones(3, device=other)
        with refuses(schuss.DeviceError, "cpu", "gpu:0", "grad"):
            x.grad = away
        with refuses(schuss.DeviceError, "cpu", "gpu:0", "backward"):
            (x * 2).backward(away)
        with refuses(schuss.DeviceError, "cpu", "gpu:0", "grad"):
            schuss.autograd.grad(x * 2, x, away)
        assert x.grad is None
        # One number goes where it is needed.
        (x * 2).sum().backward(schuss.tensor(3.0, device=other))
        assert x.grad.tolist() == [6.0] * 3
        assert x.grad.device == x.device


def test_an_out_of_another_device_is_refused():
    x, out = schuss.ones(3, device=DEVICE), schuss.zeros(3)
    with refuses(schuss.DeviceError, "cpu", "gpu:0", "add"):
        schuss.add(x, x, out=out)
    assert out.tolist() == [0.0] * 3


# ---- generators ----------------------------------------------------------------------------------

DRAWS = {
    "rand": lambda g: schuss.rand(5, generator=g, device=g.device),
    "randn": lambda g: schuss.randn(5, generator=g, device=g.device),
    "randint": lambda g: schuss.randint(0, 9, (5,), generator=g, device=g.device),
    "randperm": lambda g: schuss.randperm(5, generator=g, device=g.device),
    "normal_": lambda g: schuss.zeros(5, device=g.device).normal_(generator=g),
    "bernoulli": lambda g: schuss.bernoulli(schuss.full((5,), 0.5, device=g.device), generator=g),
    "multinomial": lambda g: schuss.multinomial(schuss.ones(5, device=g.device), 3, generator=g),
    "poisson": lambda g: schuss.poisson(schuss.ones(5, device=g.device), generator=g),
    "trunc_normal_": lambda g: nn.init.trunc_normal_(schuss.zeros(5, device=g.device), generator=g),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_generator_draws_on_its_device(name):
    near, far = schuss.Generator(), schuss.Generator(DEVICE)
    assert [str(g.device) for g in (near, far)] == ["cpu", "gpu:0"]
    want, got = (DRAWS[name](g.manual_seed(7)) for g in (near, far))
    assert str(got.device) == "gpu:0"
    alike(got, want, "draw")
    assert schuss.equal(near.get_state(), far.get_state())


def test_a_generator_of_another_device_is_refused():
    near, far = schuss.Generator(), schuss.Generator("cuda")
    with refuses(schuss.DeviceError, "rand", "gpu:0", "cpu"):
        schuss.rand(3, device=DEVICE, generator=near)
    with refuses(schuss.DeviceError, "rand", "gpu:0", "cpu"):
        schuss.rand(3, generator=far)
    with refuses(schuss.DeviceError, "normal_", "gpu:0", "cpu"):
        schuss.zeros(3).normal_(generator=far)
    # The one that is used where none is named serves all.
    assert schuss.rand(3, device=DEVICE, generator=schuss.default_generator).shape == (3,)


# ---- the default device --------------------------------------------------------------------------

MAKERS = """
    tensor as_tensor zeros ones full empty arange linspace logspace eye rand randn randint randperm
    tril_indices triu_indices
""".split()  # noqa: SIM905
# Whose examples are over operands: others make layers, distributions, files.
HOMES = """
    schuss schuss.Tensor schuss._core schuss.arrangement schuss.places schuss.autograd.functional
    schuss.complex_numbers schuss.counting schuss.creation schuss.draws schuss.fft
    schuss.func schuss.linalg schuss.linalg.factors schuss.linalg.spectra schuss.mathematics
    schuss.nn.attention schuss.nn.borders schuss.nn.criteria schuss.nn.functional schuss.nn.fused
    schuss.nn.init schuss.nn.utils schuss.nn.utils.clip_grad schuss.nn.windows schuss.optim
    schuss.optim.jacobian schuss.order schuss.parts schuss.products schuss.questions schuss.series
    schuss.special schuss.spectrum
""".split()  # noqa: SIM905
# Makers, and what says where it lies.
ELSEWHERE = """
    asarray device fftfreq frombuffer from_dlpack generate_square_subsequent_mask range rfftfreq
    scalar_tensor set_default_device get_default_device default_device Generator from_numpy
    default_generator swa_utils load save to_dlpack data_ptr numpy
    bartlett_window blackman_window hamming_window hann_window kaiser_window
""".split()  # noqa: SIM905


class Nearby:
    """The package, but for makers that make on one device."""

    def __init__(self, device: str) -> None:
        self.device = device

    def __getattr__(self, name: str) -> object:
        made = getattr(schuss, name)
        return functools.partial(self.made, made) if name in MAKERS else made

    def made(self, maker, *args, **options):
        return maker(*args, **{"device": self.device, **options})


def operand_examples() -> list[Example]:
    found = []
    for example in of_docstrings():
        home, _, name = example.name.rpartition(".")
        if home in HOMES and name.islower() and name not in ELSEWHERE:
            found.append(example)
    return found


def tensors(value: object) -> list[schuss.Tensor]:
    if isinstance(value, schuss.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in tensors(v)] if isinstance(value, (list, tuple)) else []


def misplaced(example: Example, place: str, default: str) -> str | None:
    """What is wrong with where an example's results lie, if anything."""
    near = Nearby(place)
    space = {**names(example.home), "schuss": near}
    for name in MAKERS:
        if space.get(name) is getattr(schuss, name):
            space[name] = getattr(near, name)
    for one in doctest.DocTestParser().get_examples(example.text):
        source = one.source.strip()
        if source == "import schuss":
            continue
        try:
            with schuss.device(default), contextlib.redirect_stdout(io.StringIO()):
                try:
                    value = eval(compile(source, "<example>", "eval"), space)
                except SyntaxError:
                    value = exec(compile(source, "<example>", "exec"), space)
        except schuss.DeviceError as error:
            return f"{source}: {error}"
        except Exception:
            if not one.exc_msg:
                raise
            continue
        wrong = [t for t in tensors(value) if t.device != schuss.device(place)]
        if wrong:
            return f"{source}: a result on {wrong[0].device}"
    return None


def placed(place: str, default: str) -> None:
    schuss.zeros(1, device=DEVICE)
    examples = operand_examples()
    assert len(examples) > 500, "the examples are too few for a sweep"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {e.name: wrong for e in examples if (wrong := misplaced(e, place, default))}
    assert not found, "\n".join(f"{name}: {wrong}" for name, wrong in found.items())


def test_operands_of_the_processor_stay_there_under_a_gpu():
    placed("cpu", DEVICE)


def test_operands_of_a_gpu_stay_there_under_the_processor():
    placed(str(schuss.device("gpu:0")), "cpu")


INNER = {
    "ctc_loss": lambda t: F.ctc_loss(
        t([[[0.1, 0.6, 0.3]] * 2] * 4).log(), t([[1, 2], [2, 1]]).long(), [4, 3], [2, 1]
    ),
    "fractional_max_pool2d": lambda t: F.fractional_max_pool2d(
        t([[[[1.0, 2.0, 3.0]] * 3]]), 2, 2, _random_samples=t([[[0.3, 0.6]]])
    ),
    "pinv": lambda t: schuss.linalg.pinv(t([[2.0, 0.0], [0.0, 4.0]])),
    "lstsq": lambda t: schuss.linalg.lstsq(t([[2.0], [1.0]]), t([[1.0], [3.0]])).solution,
    "lu_unpack": lambda t: schuss.lu_unpack(*schuss.linalg.lu_factor(t([[2.0, 1.0], [1.0, 3.0]]))),
    "NegativeBinomial": lambda t: D.NegativeBinomial(3, t([0.3, 0.6])).sample(),
    "CorrCholeskyTransform": lambda t: D.CorrCholeskyTransform()(t([0.1, 0.2, 0.3])),
    "PowerTransform": lambda t: D.PowerTransform(2)(t([1.0, 2.0])),
    "geometric_": lambda t: t([0.0, 0.0]).geometric_(0.5),
    "sparse_": lambda t: nn.init.sparse_(t([[1.0] * 3] * 4), 0.5),
    "BatchNorm1d": lambda t: nn.BatchNorm1d(2, device=t([0.0]).device).num_batches_tracked,
    "new": lambda t: t([1.0]).new([1.0, 2.0]),
    "materialized grads": lambda t: schuss.autograd.grad(
        t([1.0]).requires_grad_().sum(), t([2.0]).requires_grad_(), materialize_grads=True
    ),
}


@pytest.mark.parametrize("name", INNER)
def test_what_is_made_on_the_way_lies_with_the_operands(name):
    found = []
    for place, default in (("cpu", DEVICE), (DEVICE, "cpu")):
        schuss.manual_seed(9)
        with schuss.device(default):
            made = tensors(INNER[name](functools.partial(schuss.tensor, device=place)))
        assert {t.device.type for t in made} == {schuss.device(place).type}
        found.append(made)
    for want, got in zip(*found, strict=True):
        alike(got, want, "map")


def test_samplers_and_loaders_draw_on_the_processor():
    from schuss.utils.data import DataLoader, TensorDataset, random_split

    with schuss.device(DEVICE):
        data = TensorDataset(schuss.arange(10.0, device="cpu"))
        parts = random_split(data, [6, 4], generator=schuss.Generator().manual_seed(1))
        loader = DataLoader(parts[0], 2, shuffle=True, generator=schuss.Generator())
        seen = [float(v) for (batch,) in loader for v in batch]
    assert sorted(seen) == sorted(float(data[i][0]) for i in parts[0].indices)


@pytest.mark.filterwarnings("ignore")
def test_layers_of_the_processor_stay_there_under_a_gpu():
    found = {}
    for name, (make, inputs, call, training) in CASES.items():
        module = make(nn).float().train(training)
        given = arguments(schuss, name, inputs, schuss.float32)
        with schuss.device(DEVICE):
            made = flat(call(module, *given) if call else module(*given))
            loss = sum(x.sum() for x in made if x.is_floating_point() and x.requires_grad)
            if isinstance(loss, schuss.Tensor):
                loss.backward()
        made += [p.grad for p in module.parameters() if p.grad is not None]
        if places := {str(x.device) for x in made} - {"cpu"}:
            found[name] = places
    assert len(CASES) > 300
    assert not found


def test_operations_of_the_processor_stay_there_under_a_gpu():
    found = {}
    for name in NAMES:
        for one in cases(ORACLES[name], 1000):
            letter = "f" if ORACLES[name].dtypes[LETTERS.index("f")] != "-" else "l"
            stored = operands_of(one, arrays(name, one, letter), letter)
            with schuss.device(DEVICE):
                made = outputs(function(name)(*stored, *one.args, **one.keywords))
            if places := {str(x.device) for x in made} - {"cpu"}:
                found[name] = places
    assert not found
