"""What somebody who is new here gets wrong first, and what is said: layers called as functions,
names a letter off, optimisers and `fit` given something else. Leans on schuss and pytest.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import schuss
import schuss.nn.functional as F
from conftest import refuses
from schuss import nn, optim
from schuss.utils.data import DataLoader

X = schuss.ones(4, 3)
Y = schuss.ones(4, 1)


def line():
    model = nn.Linear(3, 1)
    return model, optim.SGD(model.parameters(), lr=0.1)


# ---- fit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("callbacks", [3, [3], [None], ["loss"], [schuss.training.EarlyStopping]])
def test_what_is_no_callback(callbacks):
    model, optimizer = line()
    with refuses(TypeError, "fit: callbacks are objects of training.Callback"):
        schuss.fit(model, (X, Y), nn.MSELoss(), optimizer, callbacks=callbacks)


def test_a_function_is_no_callback_and_a_class_is_none_yet():
    model, optimizer = line()
    with refuses(TypeError, "LambdaCallback(on_epoch_end=...)"):
        schuss.fit(model, (X, Y), nn.MSELoss(), optimizer, callbacks=print)
    with refuses(TypeError, "the class EarlyStopping", "write EarlyStopping(...)"):
        callbacks = [schuss.training.EarlyStopping]
        schuss.fit(model, (X, Y), nn.MSELoss(), optimizer, callbacks=callbacks)


def test_a_keyword_a_letter_off():
    model, optimizer = line()
    with refuses(
        TypeError, "fit() has no argument epoch (did you mean epochs?)", "its form is fit"
    ):
        schuss.fit(model, (X, Y), nn.MSELoss(), optimizer, epoch=1)
    with refuses(TypeError, "fit() missing 1", "'optimizer'", "its form is fit(model, data, loss"):
        schuss.fit(model, (X, Y), nn.MSELoss())
    with refuses(TypeError, "cross_entropy() has no argument wieght (did you mean weight?)"):
        F.cross_entropy(X, Y, wieght=None)
    with refuses(TypeError, "std() has no argument keep_dim (did you mean keepdim?)"):
        X.std(keep_dim=True)


def test_plain_lists_as_data():
    model, optimizer = line()
    with refuses(TypeError, "fit: training data are two plain lists", "schuss.tensor(inputs)"):
        schuss.fit(model, ([[1.0, 2.0, 3.0]], [[1.0]]), nn.MSELoss(), optimizer)
    with refuses(TypeError, "fit: a batch is (inputs, target)", "got a list of numbers"):
        schuss.fit(model, [[1.0, 2.0, 3.0]], nn.MSELoss(), optimizer)


def test_the_optimizer_of_another_model():
    _, optimizer = line()
    model, _ = line()
    before = model.weight.tolist()
    with refuses(ValueError, "fit: the optimizer's 2 parameters are none of the 2 of this Linear"):
        schuss.fit(model, (X, Y), nn.MSELoss(), optimizer)
    assert model.weight.tolist() == before


def test_an_optimizer_of_the_loss_alone_trains_it():
    class Scaled(nn.Module):
        def __init__(self):
            self.scale = nn.Parameter(schuss.ones(()))

        def forward(self, prediction, target):
            return (self.scale * prediction - target).square().mean()

    model, loss = line()[0].requires_grad_(False), Scaled()
    optimizer = optim.SGD(loss.parameters(), lr=0.01)
    schuss.fit(model, (X, Y), loss, optimizer, verbose=False)
    assert loss.scale.item() != 1


@pytest.mark.parametrize("where", ["inputs", "targets"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_data_that_are_no_numbers(where, value):
    model, optimizer = line()
    bad = schuss.ones(4, 3 if where == "inputs" else 1)
    bad[2, 0] = float(value)
    data = (bad, Y) if where == "inputs" else (X, bad)
    with pytest.warns(RuntimeWarning, match=f"fit: the loss is .*the {where} hold {value}; mend"):
        schuss.fit(model, data, nn.MSELoss(), optimizer, batch_size=1, verbose=False)


# ---- optimisers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [optim.Adam, optim.AdamW, optim.NAdam, optim.RAdam, optim.Adamax])
def test_one_beta(which):
    with refuses(TypeError, f"{which.__name__}: betas must be two numbers", "got 0.9"):
        which(nn.Linear(1, 1).parameters(), betas=0.9)


@pytest.mark.parametrize("given", [3, schuss.ones(()), "loss"])
@pytest.mark.parametrize("which", [optim.SGD, optim.Adam, optim.LBFGS, optim.Adagrad])
def test_a_step_with_no_closure(which, given):
    optimizer = which(nn.Linear(1, 1).parameters(), lr=0.1)
    with refuses(TypeError, f"{which.__name__}.step: closure is a function", type(given).__name__):
        optimizer.step(given)


def test_an_error_inside_a_closure_is_its_own():
    def closure():
        raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        line()[1].step(closure)


def test_a_state_dict_is_no_list_of_parameters():
    with refuses(TypeError, "SGD: params is a state_dict", "model.parameters()"):
        optim.SGD(nn.Linear(1, 1).state_dict(), lr=0.1)


# ---- layers -------------------------------------------------------------------------------------

TAKEN_FOR_FUNCTIONS = [
    (nn.ReLU, "inplace", "nn.ReLU()(input), or use nn.functional.relu"),
    (nn.LeakyReLU, "negative_slope", "or use nn.functional.leaky_relu"),
    (nn.Softmax, "dim", "or use nn.functional.softmax"),
    (nn.Dropout, "p", "or use nn.functional.dropout"),
    (nn.Flatten, "start_dim", "write nn.Flatten()(input)"),
    (nn.Linear, "in_features", "nn.Linear(in_features, out_features)(input)"),
    (nn.Conv2d, "in_channels", "(in_channels, out_channels, kernel_size)(input), or use nn.func"),
    (nn.MaxPool2d, "kernel_size", "nn.MaxPool2d(kernel_size)(input)"),
    (nn.LSTM, "input_size", "nn.LSTM(input_size, hidden_size)(input)"),
    (nn.BatchNorm2d, "num_features", "nn.BatchNorm2d(num_features)(input)"),
    (nn.Hardtanh, "min_val", "or use nn.functional.hardtanh"),
    (nn.PReLU, "num_parameters", "or use nn.functional.prelu"),
    (nn.MSELoss, "size_average", "nn.MSELoss()(input, target), or use nn.functional.mse_loss"),
    (nn.KLDivLoss, "size_average", "or use nn.functional.kl_div"),
    (nn.CTCLoss, "blank", "or use nn.functional.ctc_loss"),
    (nn.LazyLinear, "out_features", "nn.LazyLinear(out_features)(input)"),
]


@pytest.mark.parametrize(("layer", "setting", "advice"), TAKEN_FOR_FUNCTIONS)
def test_a_layer_called_as_a_function(layer, setting, advice):
    said = f"{layer.__name__}: is made first and called then: {setting} is a setting of it"
    with refuses(TypeError, said, (4, 3), advice):
        layer(X)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, nn.BCELoss, nn.MSELoss, nn.NLLLoss])
def test_a_loss_called_as_a_function(loss):
    with refuses(TypeError, f"{loss.__name__}: is made first", f"nn.{loss.__name__}()(input, targ"):
        loss(X, Y)


def test_tensors_that_are_settings():
    assert nn.CrossEntropyLoss(schuss.ones(3)).weight.tolist() == [1, 1, 1]
    assert nn.BCEWithLogitsLoss(pos_weight=schuss.ones(3)).pos_weight.shape == (3,)
    assert len(nn.ParameterList([schuss.ones(2), schuss.ones(3)])) == 2
    assert nn.Identity(X)(X) is X


@pytest.mark.parametrize(
    ("part", "advice"),
    [
        ([nn.ReLU()], "one by one: Sequential(*parts)"),
        (F.relu, "use the layer that calls it, such as nn.ReLU()"),
        (nn.ReLU, "make one of it: ReLU(...)"),
    ],
)
def test_what_is_no_part_of_a_sequential(part, advice):
    with refuses(TypeError, "Sequential.0: a module must be a Model or None", advice):
        nn.Sequential(part)


def test_roles_exchanged():
    with refuses(RuntimeError, "prelu: the weight must be", (4, 3), "input and weight are exchan"):
        F.prelu(schuss.ones(1), X)
    with refuses(TypeError, "xavier_uniform_: tensor must be a Tensor, got Linear"):
        nn.init.xavier_uniform_(nn.Linear(1, 1))


@pytest.mark.parametrize("value", [5, "no", None])
def test_requires_grad_is_a_truth(value):
    for make in (
        lambda: schuss.tensor([1.0], requires_grad=value),
        lambda: nn.Parameter(schuss.ones(1), requires_grad=value),
        lambda: nn.Linear(1, 1).requires_grad_(value),
    ):
        with refuses(TypeError, "requires_grad", "True or False", repr(value)):
            make()


# ---- data and the rest --------------------------------------------------------------------------


class Lengthless(schuss.utils.data.Dataset):
    def __getitem__(self, index):
        return index


AROUND = [
    (lambda: DataLoader(3), TypeError, "DataLoader: dataset must have __len__", "got int"),
    (lambda: DataLoader(nn.Linear(1, 1)), TypeError, "DataLoader: dataset must have", "got Linear"),
    (lambda: DataLoader(Lengthless()), TypeError, "DataLoader: dataset must", "IterableDataset"),
    (
        lambda: list(DataLoader([schuss.ones(1), schuss.ones(2)], 2)),
        RuntimeError,
        "default_collate: samples of shapes (1,) and (2,) make no batch",
        "pad_sequence",
    ),
    (lambda: nn.ModuleList([nn.ReLU()])(X), NotImplementedError, "ModuleList: is a list", "loop"),
    (
        lambda: type("Twice", (schuss.autograd.Function,), {})()(X),
        RuntimeError,
        "Twice: is not called but applied",
        "Twice.apply(...)",
    ),
    (
        lambda: schuss.utils.checkpoint.checkpoint(3, X),
        TypeError,
        "checkpoint: needs a function",
        "int",
    ),
    (
        lambda: nn.utils.clip_grad_norm_(nn.Linear(1, 1).parameters(), "a"),
        TypeError,
        "clip_grad_norm_: max_norm must be a number",
        "'a'",
    ),
    (
        lambda: optim.lr_scheduler.StepLR(line()[1], "a"),
        TypeError,
        "StepLR: step_size must be a number of epochs",
        "'a'",
    ),
    (
        lambda: nn.MultiheadAttention(4, 2)(X, X, X),
        RuntimeError,
        "the query has 3 features, expected 4 in 2 heads",
        "multi_head_attention_forward",
    ),
]


@pytest.mark.parametrize(("make", "error", "says", "also"), AROUND)
def test_what_is_given_in_anothers_place(make, error, says, also):
    with refuses(error, says, also):
        make()


def test_what_is_taken_all_the_same():
    """As PyTorch takes them: a schedule of 1.0 epochs, samplers with anything that is indexed."""
    assert optim.lr_scheduler.StepLR(line()[1], 1.0).get_last_lr() == [0.1]
    loader = DataLoader(Lengthless(), sampler=[3, 1], batch_size=2)
    assert [batch.tolist() for batch in loader] == [[3, 1]]


# ---- names --------------------------------------------------------------------------------------

NEAR = [
    (schuss, "arrange", "arange"),
    (schuss, "flaot64", "float64"),
    (schuss, "array", "tensor"),
    (schuss, "Matmul", "matmul"),
    (nn, "Liner", "Linear"),
    (nn, "Conv2D", "Conv2d"),
    (nn, "linear", "Linear"),
    (nn, "Crossentropyloss", "CrossEntropyLoss"),
    (nn.utils, "clip_grads_norm_", "clip_grad_norm_"),
    (F, "crossentropy", "cross_entropy"),
    (F, "ReLU", "relu"),
    (optim, "Adamm", "Adam"),
    (schuss.autograd, "backwrd", "backward"),
    (schuss.distributions, "Gausian", None),
    (schuss, "quite_another_thing", None),
]


@pytest.mark.parametrize(("owner", "name", "meant"), NEAR)
def test_names_a_letter_off(owner, name, meant):
    with refuses(AttributeError, f"module {owner.__name__!r} has no") as caught:
        getattr(owner, name)
    found = re.search(r"did you mean (\w+)", str(caught.value))
    assert (found and found[1]) == meant and not hasattr(owner, name)


@pytest.mark.parametrize(
    ("program", "meant"),
    [
        ("schuss.ones(3).shpe", "shape"),
        ("schuss.nn.Linear(1, 1).wieght", "weight"),
        ("schuss.nn.Linear(1, 1).paramters()", "parameters"),
        ("schuss.arrange(3)", "arange"),
    ],
)
def test_a_program_that_ends_is_told_once(program, meant):
    ended = subprocess.run(
        [sys.executable, "-c", f"import schuss\n{program}"], capture_output=True, text=True
    )
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 1 and last.startswith("AttributeError")
    assert len(re.findall(f"(?i)did you mean:? '?{meant}'?\\?", last)) == 1
