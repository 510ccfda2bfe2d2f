"""Spellings that programs for PyTorch use around a model; one sentence for each that is not here.
Leans on schuss, and on interpreters of their own for imports that are refused."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
import schuss
from schuss import nn, optim
from schuss.nn.attention import SDPBackend, sdpa_kernel

X = schuss.linspace(-1, 1, 6).reshape(3, 2)

# ---- compiled models as parts of others ----------------------------------------------------------


def test_a_compiled_model_is_a_part_of_another():
    inner = nn.Linear(2, 2)
    compiled = schuss.compile(inner)
    net = nn.Sequential(compiled, nn.ReLU())
    assert list(net.state_dict()) == ["0._orig_mod.weight", "0._orig_mod.bias"]
    assert compiled._orig_mod is inner
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    before = inner.weight.detach().clone()
    for _ in range(4):
        optimizer.zero_grad()
        net(X).sum().backward()
        optimizer.step()
    assert compiled.programs()
    assert not (inner.weight == before).all()
    assert (net(X) == inner(X).relu()).all()


def test_a_compiled_model_is_a_model():
    inner = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    net = schuss.compile(inner)
    assert isinstance(net, nn.Module) and schuss.compile(net)._orig_mod is inner
    for _ in range(4):
        net(X)
    again, *_ = net.counts()
    assert again == 2 and repr(net.program).startswith("Sequential: ")
    net.eval()
    assert not net.training and not inner[2].training and (net(X) == inner(X)).all()
    net.extra = 3
    assert inner.extra == 3 and len(net) == 3 and net[0] is inner[0]
    assert next(name for name, _ in net.named_parameters()) == "_orig_mod.0.weight"
    fresh = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    with pytest.raises(RuntimeError, match=r"a compiled model's: load them into one"):
        fresh.load_state_dict(net.state_dict())
    for state in (net.state_dict(), inner.state_dict()):
        other = schuss.compile(copy.deepcopy(fresh).eval())
        other.load_state_dict(state)
        assert (other(X) == inner(X)).all()


def test_hooks_of_a_compiled_model_are_called_around_its_programs():
    net, seen = schuss.compile(nn.Linear(2, 1)), []
    net.register_forward_hook(lambda model, args, out: seen.append(out.shape))
    for _ in range(4):
        net(X)
    assert len(seen) == 4 and net.counts() == (2, 1, 1)


scale = 2.0


class Scaled(nn.Module):
    def forward(self, x):
        return x * scale


@pytest.mark.parametrize(
    "make", [Scaled, lambda: schuss.compile(Scaled()), lambda: nn.Sequential(Scaled())]
)
def test_a_step_around_a_model_heeds_what_the_model_names(monkeypatch, make):
    net = make()
    step = schuss.compile(lambda x: net(x).sum())
    for number in (2.0, 2.0, 2.0, 3.0):
        monkeypatch.setitem(globals(), "scale", number)
        assert step(X + 1).item() == pytest.approx(6 * number)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_compiled_model_is_copied_and_saved(copied):
    net = schuss.compile(nn.Linear(2, 1))
    net(X), net(X)
    again = copied(net)
    assert (again(X) == net(X)).all() and again.counts() == (0, 0, 1)
    assert again.weight is not net.weight


class Holder(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = schuss.compile(nn.Linear(2, 1))

    def forward(self, x):
        return self.inner(x)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_what_holds_a_compiled_model_is_copied_and_saved(copied):
    model = Holder()
    again = copied(model)
    assert (again(X) == model(X)).all()
    assert again.inner._orig_mod.weight is not model.inner._orig_mod.weight
    assert len(list(again.parameters())) == 2
    again.eval()
    assert not again.inner._orig_mod.training and model.inner._orig_mod.training


def test_a_model_is_compiled_in_its_own_place():
    model, twin = nn.Linear(2, 1), nn.Linear(2, 1)
    twin.load_state_dict(model.state_dict())
    model.compile(mode="reduce-overhead")
    seen = []
    model.register_forward_hook(lambda m, args, out: seen.append(out.shape))
    for _ in range(4):
        assert (model(X) == twin(X)).all()
    assert model.forward.programs() and len(seen) == 4
    assert list(model.state_dict()) == ["weight", "bias"]
    assert (copy.deepcopy(model)(X) == twin(X)).all()


def test_a_compiled_function_is_no_part():
    with pytest.raises(TypeError, match=r"Sequential\.0: a module must be a Model or None"):
        nn.Sequential(schuss.compile(lambda x: x))


def test_a_recording_knows_that_it_is_one():
    told = []

    @schuss.compile
    def step(x):
        told.append(schuss.compiler.is_compiling())
        return x * 2

    for _ in range(4):
        step(X)
    assert told == [False, True]
    assert schuss.compiler.disable(step) is step


def test_kernels_of_attention_may_be_chosen():
    q = schuss.ones(1, 1, 2, 4)
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH], set_priority=True):
        assert nn.functional.scaled_dot_product_attention(q, q, q).shape == q.shape
    with pytest.raises(TypeError, match="sdpa_kernel: needs one or more"), sdpa_kernel(["math"]):
        pass


# ---- refusals in the name of the class -----------------------------------------------------------


LAYERS = (
    "Conv2d ConvTranspose1d BatchNorm2d MaxPool2d InstanceNorm1d AdaptiveAvgPool3d LPPool2d"
    " ConstantPad2d LazyConv2d Linear LSTM"
)


@pytest.mark.parametrize("name", LAYERS.split())
def test_arguments_that_are_missing_are_told_in_the_name_of_the_class(name):
    with pytest.raises(TypeError, match=rf"^{name}\.__init__\(\) missing"):
        getattr(nn, name)()


def test_a_maker_of_its_own_takes_what_the_shared_one_takes():
    own, shared = nn.Conv2d.__init__, nn.Conv2d.__mro__[1].__init__
    assert own is not shared and inspect.signature(own) == inspect.signature(shared)
    assert copy.deepcopy(nn.Conv2d(1, 2, 3)).kernel_size == (3, 3)


# ---- older names ---------------------------------------------------------------------------------


def test_what_writes_in_place_is_a_function_too():
    x = schuss.tensor([-1.0, 4.0])
    assert schuss.relu_(x) is x and x.tolist() == [0.0, 4.0]
    assert schuss.sqrt_(x).tolist() == [0.0, 2.0]
    with pytest.raises(AttributeError, match="no attribute 'nothing_'"):
        schuss.nothing_(x)


def test_places_take_what_their_functions_take():
    x = schuss.tensor([7.0, -7.0])
    assert x.clone().div_(2, rounding_mode="floor").tolist() == [3.0, -4.0]
    assert x.clone().div_(2).tolist() == [3.5, -3.5]
    y = schuss.tensor([1.26])
    assert y.round_(decimals=1) is y and y.item() == pytest.approx(1.3)
    assert x.new_full((1,), 2.0, pin_memory=False).tolist() == [2.0]


def test_the_oldest_factors_have_their_own_keywords():
    A = schuss.tensor([[4.0, 2.0], [2.0, 3.0]])
    L = schuss.cholesky(input=A, upper=True)
    assert schuss.allclose(L.T @ L, A)
    q, r = schuss.qr(schuss.ones(3, 1), some=False)
    assert q.shape == (3, 3) and r.shape == (3, 1)


def test_a_tensor_says_where_it_is():
    x = schuss.ones(2)
    assert x.is_cpu and not x.is_sparse_csr
    assert x.to_dense() is x and x.as_subclass(schuss.Tensor) is x
    assert x.prelu(schuss.tensor([0.5])).tolist() == [1.0, 1.0]
    assert x.resize_as_(schuss.ones(2, 1)).shape == (2, 1)


def test_geometric_takes_the_odds():
    one = schuss.distributions.Geometric(logits=schuss.tensor([0.0]))
    assert one.probs.item() == 0.5
    assert schuss.distributions.Geometric(0.25).logits.item() == pytest.approx(-1.0986123)
    with pytest.raises(ValueError, match="one of probs and logits"):
        schuss.distributions.Geometric()


def test_a_prefix_is_taken_off():
    from schuss.nn.modules.utils import consume_prefix_in_state_dict_if_present

    model = nn.Linear(2, 1)
    state = nn.DataParallel(model).state_dict()
    consume_prefix_in_state_dict_if_present(state, "module.")
    assert list(state) == ["weight", "bias"]
    model.load_state_dict(state)


# ---- what is not here ----------------------------------------------------------------------------


ABSENT = (
    "distributed onnx jit fx profiler sparse overrides utils.benchmark autograd.profiler vision.ops"
)


@pytest.mark.parametrize("name", ABSENT.split())
def test_an_import_of_what_is_not_here_says_why(name):
    with pytest.raises(ModuleNotFoundError, match=rf"No module named 'schuss\.{name}': \w+"):
        __import__(f"schuss.{name}")


def test_other_imports_fail_as_they_do():
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'schuss\.nothing'$"):
        __import__("schuss.nothing")


@pytest.mark.parametrize(
    ("room", "name"),
    [
        ("transforms", "Scale"),
        ("models", "densenet121"),
        ("datasets", "CocoDetection"),
        ("datasets", "SVHN"),
    ],
)
def test_rarer_parts_of_torchvision_say_what_there_is(room, name):
    with pytest.raises(AttributeError, match=rf"{name}'(:|;) \w+ .* \w+|now \w+"):
        getattr(getattr(schuss.vision, room), name)


# ---- optimisers ----------------------------------------------------------------------------------


def test_a_rate_below_zero_is_refused_in_a_group_too():
    p = nn.Parameter(schuss.ones(1))
    with pytest.raises(ValueError, match="SGD: lr must be at least 0, got -3"):
        optim.SGD([{"params": [p], "lr": -3}])


@pytest.mark.parametrize("options", [{"history_size": 0}, {"max_iter": -1}])
def test_lbfgs_needs_room(options):
    with pytest.raises(ValueError, match=r"LBFGS: .* must be at least 1"):
        optim.LBFGS([nn.Parameter(schuss.ones(1))], **options)


def test_a_state_of_an_optimiser_has_two_parts():
    optimizer = optim.SGD([nn.Parameter(schuss.ones(1))], lr=0.1)
    with pytest.raises(KeyError, match=r"SGD\.load_state_dict: needs state and param_groups"):
        optimizer.load_state_dict({})


# ---- operands in the old order -------------------------------------------------------------------


def test_factors_may_stand_first_as_in_old_programs():
    p, g, d = schuss.tensor([1.0, 2.0]), schuss.tensor([3.0, 4.0]), schuss.tensor([2.0, 2.0])
    assert p.clone().addcmul_(0.5, g, d).tolist() == p.addcmul(g, d, value=0.5).tolist() == [4, 6]
    assert p.clone().addcdiv_(-2, g, d).tolist() == p.addcdiv(-2, g, d).tolist() == [-2, -2]
    assert schuss.add(p, 2, g).tolist() == p.add(2, g).tolist() == [7, 10]
    assert p.sub(2, g).tolist() == p.clone().sub_(2, g).tolist() == [-5, -6]
    for wrong in (lambda: p.add(1, g, g), lambda: p.add_(1, g, g), lambda: p.addcmul(1, 2, g)):
        with pytest.raises(TypeError, match="add"):
            wrong()
