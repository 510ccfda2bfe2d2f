"""Optimisers: PyTorch's numbers step by step, the protocol around them, Scalars as parameters.
Leans on schuss; the numbers were made with torch 2.15 by the program quoted below."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import schuss
from schuss.optim import SGD, Adam, AdamW, Optimizer

KINDS = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}

# import torch
# w = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64, requires_grad=True)
# b = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
# c = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
# opt = getattr(torch.optim, name)([w, b], **options)
# for k in range(4):
#     opt.zero_grad()
#     (((w - k) ** 2 * c).sum() + (w.sum() * b).sum()).backward()
#     opt.step()
# print(w.tolist() + b.tolist())
TABLE = [
    ("SGD", {"lr": 0.1}, [1.42595, 1.55805, 2.48085, -0.5967000000000001]),
    (
        "SGD",
        {"lr": 0.1, "weight_decay": 0.3},
        [1.3538278099999999, 1.5731113800000003, 2.22865323, -0.5765329950000001],
    ),
    (
        "SGD",
        {"lr": 0.05, "momentum": 0.9},
        [0.995365625, 2.1962718750000003, 2.065165625, -0.5432625000000001],
    ),
    (
        "SGD",
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.1},
        [0.7944787996349999, 1.1840722607300005, 2.0964833268049996, -0.2486446323825],
    ),
    (
        "SGD",
        {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        [1.286320190261, 2.443992211978, 2.044050151723, -0.8589269115395001],
    ),
    (
        "SGD",
        {"lr": 0.01, "momentum": 0.5, "maximize": True},
        [1.0030038449999998, -2.805374945, 3.141751385, 0.61743028],
    ),
    (
        "Adam",
        {"lr": 0.1},
        [0.8683790362806142, -1.6032869499770912, 2.6429431708365874, 0.10098534563317961],
    ),
    (
        "Adam",
        {"lr": 0.1, "betas": (0.8, 0.9), "eps": 0.001, "weight_decay": 0.2},
        [0.8708330378278035, -1.6018125148824576, 2.63428446087268, 0.10156996766601634],
    ),
    (
        "Adam",
        {"lr": 0.1, "amsgrad": True, "betas": (0.5, 0.6)},
        [0.9738409353969586, -1.5984480610584686, 2.7003605353634352, 0.10072097676103652],
    ),
    (
        "Adam",
        {"lr": 0.1, "maximize": True},
        [1.2117929460014363, -2.3953572062284567, 3.382624502251556, 0.9007176700197672],
    ),
    (
        "Adam",
        {"lr": 0.1, "weight_decay": 0.2, "decoupled_weight_decay": True},
        [0.8050816004726248, -1.4594857663820104, 2.42738210371592, 0.07466215705949943],
    ),
    (
        "AdamW",
        {"lr": 0.1},
        [0.8651193270836638, -1.595879060483397, 2.631829872433987, 0.09961849568510488],
    ),
    (
        "AdamW",
        {"lr": 0.1, "weight_decay": 0.5, "amsgrad": True, "maximize": True},
        [0.9813609024369354, -1.9963779235709864, 2.7882644598319106, 0.7780002447703784],
    ),
]


def values(*numbers):
    return schuss.tensor(numbers, dtype=schuss.float64, requires_grad=True)


def objective(w, b, k):
    c = schuss.tensor([1.0, 2.0, 0.5], dtype=schuss.float64)
    return ((w - k) ** 2 * c).sum() + (w.sum() * b).sum()


def advance(opt, w, b, steps):
    for k in steps:
        opt.zero_grad()
        objective(w, b, k).backward()
        opt.step()
    return w.tolist() + b.tolist()


@pytest.mark.parametrize(("name", "options", "expected"), TABLE)
def test_the_numbers_of_pytorch(name, options, expected):
    w, b = values(1.0, -2.0, 3.0), values(0.5)
    opt = KINDS[name]([w, b], **options)
    assert advance(opt, w, b, range(4)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("name", "options", "expected"), TABLE)
def test_scalars_take_the_same_steps(name, options, expected):
    w, b = [schuss.Scalar(x) for x in (1.0, -2.0, 3.0)], schuss.Scalar(0.5)
    opt = KINDS[name]([*w, b], **options)
    for k in range(4):
        opt.zero_grad()
        loss = sum(c * (x - k) ** 2 for c, x in zip((1.0, 2.0, 0.5), w, strict=True))
        (loss + sum(w) * b).backward()
        opt.step()
    assert [x.value for x in (*w, b)] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("name", "options", "expected"), TABLE)
def test_a_checkpoint_goes_on_where_it_was_saved(name, options, expected):
    w, b = values(1.0, -2.0, 3.0), values(0.5)
    first = KINDS[name]([w, b], **options)
    advance(first, w, b, range(2))
    saved = pickle.loads(pickle.dumps(first.state_dict()))
    v, a = (p.detach().clone().requires_grad_() for p in (w, b))
    second = KINDS[name]([v, a], lr=7.0)
    second.load_state_dict(saved)
    assert advance(second, v, a, range(2, 4)) == pytest.approx(expected, rel=1e-12)
    assert second.param_groups[0]["lr"] == options["lr"]
    assert advance(first, w, b, range(2, 4)) == pytest.approx(expected, rel=1e-12)


def test_the_state_dict_has_pytorchs_form():
    w, b = values(1.0), values(2.0)
    opt = Adam([{"params": [w], "lr": 0.5}, {"params": [b]}])
    (w * b).sum().backward()
    opt.step()
    saved = opt.state_dict()
    assert list(saved) == ["state", "param_groups"]
    assert list(saved["state"]) == [0, 1]
    assert list(saved["state"][0]) == ["step", "exp_avg", "exp_avg_sq"]
    assert [group["params"] for group in saved["param_groups"]] == [[0], [1]]
    # print(torch.optim.Adam([torch.zeros(1)]).state_dict())
    assert saved["param_groups"][1] == {
        "lr": 0.001,
        "betas": (0.9, 0.999),
        "eps": 1e-08,
        "weight_decay": 0,
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "fused": None,
        "decoupled_weight_decay": False,
        "params": [1],
    }
    assert SGD([w]).state_dict()["state"] == {}


def test_a_checkpoint_with_tensor_counts_is_read():
    w = values(1.0)
    opt = Adam([w])
    zero = schuss.zeros(1, dtype=schuss.float32)
    entry = {"step": schuss.tensor(3.0), "exp_avg": zero, "exp_avg_sq": zero + 1}
    saved = Adam([values(2.0)]).state_dict()
    opt.load_state_dict({"state": {0: entry}, "param_groups": saved["param_groups"]})
    assert opt.state[w]["step"] == 3
    assert opt.state[w]["exp_avg"].dtype == schuss.float64
    opt.state[w]["exp_avg_sq"].fill_(5)
    assert entry["exp_avg_sq"].item() == 1


def test_parameters_of_different_age_in_one_group():
    w, late = values(1.0), values(1.0)
    opt = Adam([w, late], lr=0.1)
    (w**2).sum().backward()
    opt.step()
    opt.zero_grad()
    ((w + late) ** 2).sum().backward()
    opt.step()
    assert (opt.state[w]["step"], opt.state[late]["step"]) == (2, 1)
    # A first step of Adam is lr * g / (|g| + eps), whatever the gradient.
    assert late.item() == pytest.approx(0.9, rel=1e-8)


def test_the_ways_to_name_parameters():
    w, b, s = values(1.0), values(2.0), schuss.Scalar(3)
    assert SGD(p for p in (w, b)).param_groups[0]["params"][1] is b
    named = SGD([("w", w), ("b", b)]).param_groups[0]
    assert named["params"][0] is w and named["param_names"] == ["w", "b"]
    mixed = SGD({"w": w, "s": s}, lr=0.5)
    assert mixed.param_groups[0]["param_names"] == ["w", "s"]
    (w.sum() * 3).backward()
    (s * s).backward()
    mixed.step()
    assert w.item() == -0.5 and s.value == 0.0
    groups = SGD([{"params": w, "lr": 0.1}, {"params": [b], "name": "bias"}], lr=0.2)
    assert [g["lr"] for g in groups.param_groups] == [0.1, 0.2]
    assert groups.param_groups[1]["name"] == "bias"
    assert groups.defaults["lr"] == 0.2


def test_repr():
    # print(torch.optim.SGD([torch.zeros(1)], lr=0.1))
    assert repr(SGD([values(1.0)], lr=0.1)) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    differentiable: False\n"
        "    foreach: None\n    fused: None\n    lr: 0.1\n    maximize: False\n"
        "    momentum: 0\n    nesterov: False\n    weight_decay: 0\n)"
    )


def test_zero_grad():
    w, unused, s = values(1.0), values(1.0), schuss.Scalar(2)
    opt = SGD([w, unused, s])
    (w * 2).sum().backward()
    (s * s).backward()
    opt.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0] and unused.grad is None and s.backwards_grad == 0
    opt.zero_grad()
    assert w.grad is None


def test_a_closure_runs_with_the_tape_and_returns_its_loss():
    for kind in KINDS.values():
        w = values(3.0)
        opt = kind([w], lr=0.1)

        def closure(opt=opt, w=w):
            opt.zero_grad()
            loss = (w**2).sum()
            loss.backward()
            return loss

        with schuss.no_grad():
            assert opt.step(closure).item() == 9.0
        assert w.item() < 3.0
        assert opt.step() is None


def test_a_tensor_rate():
    w = values(1.0)
    opt = SGD([w], lr=schuss.tensor(0.5))
    (w * 1).sum().backward()
    opt.step()
    assert w.item() == 0.5


def test_hooks_see_and_change_steps():
    w = values(1.0)
    opt = SGD([w], lr=1.0)
    seen = []
    before = opt.register_step_pre_hook(lambda o, args, kwargs: seen.append(("before", o is opt)))
    after = opt.register_step_post_hook(lambda o, args, kwargs: seen.append(("after", args)))
    opt.step()
    assert seen == [("before", True), ("after", ())]
    before.remove()
    before.remove()
    with after:
        opt.step()
    opt.step()
    assert [kind for kind, _ in seen] == ["before", "after", "after"]
    with opt.register_step_pre_hook(lambda *_: ((lambda: 5.0,), {})):
        assert opt.step() == 5.0
    with opt.register_step_pre_hook(lambda *_: 3), pytest.raises(RuntimeError, match="pre hook"):
        opt.step()
    opt.register_state_dict_pre_hook(lambda o: seen.append("saving"))
    opt.register_state_dict_post_hook(lambda o, saved: {**saved, "note": 1})
    opt.register_load_state_dict_pre_hook(lambda o, saved: seen.append(saved["note"]))
    opt.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    opt.load_state_dict(opt.state_dict())
    assert seen[-3:] == ["saving", 1, "loaded"]


def test_a_subclass_that_calls_its_parents_step_runs_hooks_once():
    class Loud(SGD):
        def step(self, closure=None):
            return super().step(closure)

    count = []
    opt = Loud([values(1.0)])
    opt.register_step_post_hook(lambda *_: count.append(1))
    opt.step()
    assert count == [1]


def test_copies_and_pickles():
    w = values(1.0, 2.0)
    opt = Adam([w], lr=0.1)
    (w**2).sum().backward()
    opt.step()
    for twin in (copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        (p,) = twin.param_groups[0]["params"]
        assert p is not w and p.tolist() == w.tolist()
        assert twin.state[p]["exp_avg"].tolist() == opt.state[w]["exp_avg"].tolist()
        twin.register_step_post_hook(lambda *_: None).remove()
        twin.step()


def leaf():
    return [values(1.0)]


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: SGD([]), ValueError, "empty"),
        (lambda: SGD(values(1.0)), TypeError, r"write \[p\]"),
        (lambda: SGD([3.0]), TypeError, "got float"),
        (lambda: SGD({1.0}), TypeError, "got float"),
        (lambda: SGD([{"params": set(leaf())}]), TypeError, "order"),
        (lambda: SGD([values(1.0) * 2]), ValueError, "non-leaf"),
        (lambda: SGD([{"lr": 0.1}]), KeyError, "params"),
        (lambda: SGD([("a", values(1.0)), values(1.0)]), ValueError, "names"),
        (lambda: SGD(leaf(), lr=-0.1), ValueError, "lr must be at least 0, got -0.1"),
        (lambda: SGD(leaf(), lr=math.nan), ValueError, "nan"),
        (lambda: SGD(leaf(), lr="fast"), TypeError, "got str"),
        (lambda: SGD(leaf(), lr=schuss.ones(2)), ValueError, "one number"),
        (lambda: SGD(leaf(), momentum=-1), ValueError, "momentum"),
        (lambda: SGD(leaf(), weight_decay=-1), ValueError, "weight_decay"),
        (lambda: SGD(leaf(), nesterov=True), ValueError, "nesterov"),
        (lambda: SGD(leaf(), momentum=0.9, dampening=0.1, nesterov=True), ValueError, "nesterov"),
        (lambda: SGD(leaf(), foreach=True, fused=True), RuntimeError, "exclude"),
        (lambda: Adam(leaf(), differentiable=True, fused=True), RuntimeError, "differentiable"),
        (lambda: SGD(schuss.nn.Linear(1, 1)), TypeError, r"got Linear; pass model.parameters\(\)"),
        (lambda: SGD(schuss.nn.Linear(1, 1).parameters), TypeError, "got method; pass model"),
        (lambda: Adam(leaf(), lr=-1), ValueError, "Adam: lr"),
        (lambda: AdamW(leaf(), eps=-1), ValueError, "AdamW: eps"),
        (lambda: Adam(leaf(), betas=(1.0, 0.9)), ValueError, r"betas\[0\].*below 1, got 1.0"),
        (lambda: Adam(leaf(), betas=(0.9, -1)), ValueError, r"betas\[1\]"),
        (lambda: Adam(leaf(), betas=(0.9,)), ValueError, "two numbers"),
        (lambda: Adam(leaf(), weight_decay=-1), ValueError, "weight_decay"),
        (lambda: Optimizer(leaf(), {}).step(), NotImplementedError, "step"),
        (lambda: SGD(leaf()).add_param_group([]), TypeError, "must be a dict"),
    ],
)
def test_bad_input_is_named(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_groups_must_not_share_and_must_match():
    w = values(1.0)
    opt = SGD([w])
    with pytest.raises(ValueError, match="more than one group"):
        opt.add_param_group({"params": [w]})
    with pytest.warns(UserWarning, match="twice"):
        SGD([w, w])
    with pytest.raises(ValueError, match=r"groups of \[1\].*\[2\]"):
        opt.load_state_dict(SGD([values(1.0), values(2.0)]).state_dict())
    assert len(opt.param_groups) == 1
