"""Compiled steps on a GPU: the bits of one operation after the other, few dispatches.

Leans on schuss, adapter and gpu_nearness; the models are small, since the adapter may be software.
"""

from __future__ import annotations

import pytest
import schuss
from adapter import DEVICE, needs_adapter
from gpu_nearness import alike
from schuss import nn, optim

pytestmark = needs_adapter
F = nn.functional


def perceptron():
    return nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 5))


def tiny():
    return nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))


def dropping():
    return nn.Sequential(nn.Linear(12, 16), nn.LayerNorm(16), nn.Dropout(0.3), nn.Linear(16, 5))


def convolving():
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)),
    )


def attending():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    return nn.Sequential(nn.Unflatten(1, (5, 8)), layer, nn.Flatten(), nn.Linear(40, 5))


STEPS = {
    "perceptron": (perceptron, 12, lambda p: optim.SGD(p, lr=0.1), F.cross_entropy),
    "momentum": (perceptron, 12, lambda p: optim.SGD(p, lr=0.1, momentum=0.9), F.cross_entropy),
    "tiny": (tiny, 1, lambda p: optim.Adam(p, lr=0.01), F.mse_loss),
    "dropping": (dropping, 12, lambda p: optim.AdamW(p, lr=0.01), F.cross_entropy),
    "convolving": (convolving, 36, lambda p: optim.RMSprop(p, lr=0.01), F.cross_entropy),
    "attending": (attending, 40, lambda p: optim.NAdam(p, lr=0.01), F.cross_entropy),
}


def prepared(name: str, device: str = DEVICE):
    """A step, its model, and a batch."""
    make, width, optimizer, loss_of = STEPS[name]
    schuss.manual_seed(3)
    model = make().to(device)
    own = optimizer(model.parameters())
    x = schuss.randn(16, width).to(device)
    y = schuss.randint(0, 5, (16,)).to(device) if width > 1 else x.sin()
    schuss.manual_seed(4)

    def step(x, y):
        own.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        own.step()
        return loss

    return step, model, x, y


def spent(work) -> dict[str, int]:
    before = schuss.gpu.counters()
    work()
    after = schuss.gpu.counters()
    return {name: after[name] - before[name] for name in before}


@pytest.mark.parametrize("name", STEPS)
def test_a_compiled_step_is_the_eager_one(name):
    step, model, x, y = prepared(name)
    want = [step(x, y) for _ in range(6)]
    weights = [p.tolist() for p in model.parameters()]
    step, model, x, y = prepared(name)
    compiled = schuss.compile(step)
    got = [compiled(x, y) for _ in range(6)]
    assert [v.item() for v in got] == [v.item() for v in want]
    assert [p.tolist() for p in model.parameters()] == weights
    step, _, x, y = prepared(name, "cpu")
    for own in got:
        alike(own, step(x, y), "training", terms=6)


# Dispatches of one run.
MOST = {
    **{"perceptron": 15, "momentum": 15, "tiny": 10},
    **{"dropping": 20, "convolving": 24, "attending": 70},
}


@pytest.mark.parametrize(("name", "most"), MOST.items())
def test_a_compiled_step_is_one_submission(name, most):
    step, _, x, y = prepared(name)
    compiled = schuss.compile(step)
    for _ in range(3):
        compiled(x, y)
    schuss.gpu.synchronize()
    for _ in range(3):
        used = spent(lambda: compiled(x, y))
        assert used["submissions"] == 1
        assert used["dispatches"] <= most, str(compiled.program)
        assert used["kernels"] == 0, "nothing is compiled after the first steps"


def test_batches_are_cut_from_a_set_on_the_device():
    step, _, _, _ = prepared("perceptron")
    schuss.manual_seed(8)
    x, y = schuss.randn(96, 12).to(DEVICE), schuss.randint(0, 5, (96,)).to(DEVICE)

    def epoch(step):
        return [step(x[i : i + 16], y[i : i + 16]) for _ in range(3) for i in range(0, 96, 16)]

    want = [v.item() for v in epoch(step)]
    step, _, _, _ = prepared("perceptron")
    assert [v.item() for v in epoch(schuss.compile(step))] == want


def test_a_schedule_reaches_the_device():
    def losses(wrap):
        schuss.manual_seed(3)
        model = perceptron().to(DEVICE)
        own = optim.SGD(model.parameters(), lr=0.5)
        rates = optim.lr_scheduler.ExponentialLR(own, 0.7)
        x, y = schuss.randn(16, 12).to(DEVICE), schuss.randint(0, 5, (16,)).to(DEVICE)

        def step(x, y):
            own.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            own.step()
            rates.step()
            return loss

        step = wrap(step)
        return [step(x, y).item() for _ in range(8)]

    assert losses(schuss.compile) == losses(lambda step: step)


def test_batches_may_come_from_the_processor():
    step, _, x, y = prepared("perceptron")
    want = [step(x, y).item() for _ in range(5)]
    step, _, x, y = prepared("perceptron")
    compiled = schuss.compile(lambda x, y: step(x.to(DEVICE), y.to(DEVICE)).cpu())
    a, b = x.cpu(), y.cpu()
    got = [compiled(a, b) for _ in range(5)]
    assert {str(v.device) for v in got} == {"cpu"}
    assert [v.item() for v in got] == want


def test_results_are_fresh_and_memory_does_not_grow():
    step, _, x, y = prepared("tiny")
    compiled = schuss.compile(lambda x, y: (step(x, y), x * 2 + y))
    kept = [compiled(x, y) for _ in range(10)]
    assert len({v[0].item() for v in kept}) == 10
    assert kept[3][1].tolist() == (x * 2 + y).tolist()
    used = schuss.gpu.memory()["used"]
    for _ in range(50):
        compiled(x, y)
    assert schuss.gpu.memory()["used"] == used


def test_a_step_may_go_to_either_device():
    compiled = schuss.compile(lambda x, w: ((x @ w).relu() * 3 - 1).sum(1))
    x, w = schuss.randn(4, 6), schuss.randn(6, 5)
    for _ in range(4):
        near, far = compiled(x, w), compiled(x.to(DEVICE), w.to(DEVICE))
        assert str(far.device) == "gpu:0"
        alike(far, near, "sum", terms=6 * 5, size=1.0)


def test_forms_that_change_are_recorded_anew():
    compiled = schuss.compile(lambda x: (x.exp() - 1).mean(0))
    for rows in (3, 5, 3, 7, 5, 3):
        x = schuss.arange(rows * 2.0).reshape(rows, 2).to(DEVICE) / 10
        assert compiled(x).tolist() == (x.exp() - 1).mean(0).tolist()
        turned = x.T.contiguous().T
        assert compiled(turned).tolist() == (turned.exp() - 1).mean(0).tolist()


@pytest.mark.parametrize("dtype", [schuss.float16, schuss.bfloat16, schuss.int32, schuss.uint8])
def test_what_passes_in_registers_is_rounded_as_memory_would(dtype):
    def chain(x, y):
        z = x * y + x
        z = z * z - y
        return z, (z > x) | (z < 2), z.float() / 3

    x = schuss.arange(1, 41).to(dtype).to(DEVICE)
    y = (schuss.arange(40) % 7 + 1).to(dtype).to(DEVICE)
    compiled = schuss.compile(chain)
    want = [v.tolist() for v in chain(x, y)]
    for _ in range(3):
        assert [v.tolist() for v in compiled(x, y)] == want


def test_what_is_written_in_place_is_seen_by_those_behind():
    def step(x, y):
        a = x + 1
        x.mul_(2)
        b = x + a
        y.add_(b)
        x[1:].sub_(y[:-1])
        return a, x.sum(), y * x

    def run(step):
        x, y = (schuss.arange(6.0).to(DEVICE) + k for k in (0, 10))
        found = [[v.tolist() for v in step(x, y)] for _ in range(4)]
        return found, x.tolist(), y.tolist()

    assert run(schuss.compile(step)) == run(step)


def test_products_take_along_what_follows():
    def step(a, b, c):
        h = (a @ b + c).tanh()
        return h, (h @ b.T).relu().sum(), (h * c).half()

    a, b, c = (schuss.randn(*s).to(DEVICE) for s in ((5, 7), (7, 4), (4,)))
    compiled = schuss.compile(step)
    want = [v.tolist() for v in step(a, b, c)]
    for _ in range(3):
        assert [v.tolist() for v in compiled(a, b, c)] == want
    many = schuss.compile(lambda a, b: (schuss.bmm(a, b) * 2 + 1).transpose(1, 2) - 3)
    x, y = schuss.randn(3, 5, 6).to(DEVICE), schuss.randn(3, 6, 2).to(DEVICE)
    want = ((schuss.bmm(x, y) * 2 + 1).transpose(1, 2) - 3).tolist()
    for _ in range(3):
        assert many(x, y).tolist() == want


def test_second_programs_run_on_the_device():
    model = perceptron().to(DEVICE)
    x = schuss.randn(8, 12).to(DEVICE)
    forward = schuss.compile(model)
    for _ in range(4):
        forward(x).square().sum().backward()
        got = [p.grad.clone() for p in model.parameters()]
        model.zero_grad()
        model(x).square().sum().backward()
        want = [p.grad for p in model.parameters()]
        for a, b in zip(got, want, strict=True):
            alike(a, b, "same")
        model.zero_grad()


def test_values_are_not_looked_at_in_a_step():
    x = schuss.arange(6.0).to(DEVICE)
    for what in (lambda x: x[x > 2], lambda x: x * x.sum().item(), lambda x: x.nonzero()):
        step = schuss.compile(what)
        with pytest.raises(RuntimeError, match=r"item|elements|nonzero"):
            for _ in range(3):
                step(x)


def test_an_index_out_of_range_is_found_in_later_runs_too():
    table = schuss.arange(12.0).reshape(4, 3).to(DEVICE)
    step = schuss.compile(lambda i: (table[i] * 2).sum())
    good = schuss.tensor([0, 3, 1]).to(DEVICE)
    for _ in range(4):
        assert step(good).item() == 90.0
    bad = schuss.tensor([0, 9, 1]).to(DEVICE)
    with pytest.raises(IndexError, match="9 is out of range"):
        step(bad).item()
    assert step(good).item() == 90.0


def test_dropout_of_a_compiled_step_keeps_no_mask():
    n = 1 << 18
    x = schuss.ones(n, device=DEVICE, requires_grad=True)

    def step(x):
        x.grad = None
        y = schuss.nn.functional.dropout(x, 0.25)
        (y * y).sum().backward()
        return y, x.grad

    def run(step):
        schuss.manual_seed(6)
        return [[t.clone() for t in step(x)] for _ in range(5)]

    compiled = schuss.compile(step)
    want, got = run(step), run(compiled)
    for (y, slope), (own, kept) in zip(want, got, strict=True):
        assert schuss.equal(y, own)
        assert schuss.equal(slope, kept)
    # Each run draws anew, and its way back has dropped the same elements.
    masks = [y != 0 for y, _ in got]
    assert not schuss.equal(masks[3], masks[4])
    assert schuss.equal(got[4][1] != 0, masks[4])
    listed = [part for part in str(compiled.program).splitlines() if "dropout" in part]
    assert len(listed) == 2, str(compiled.program)
    # What is drawn is where the draws begin, no mask.
    assert not any(
        "random" in part and str(n) in part for part in str(compiled.program).splitlines()
    )


def test_dropout_behind_a_compiled_function_knows_what_was_dropped():
    forward = schuss.compile(lambda x: schuss.nn.functional.dropout(x * 2, 0.5))
    x = schuss.ones(4000, device=DEVICE, requires_grad=True)
    seen = []
    for _ in range(4):
        y = forward(x)
        x.grad = None
        y.sum().backward()
        assert schuss.equal(x.grad, y.detach())
        seen.append(y.detach().tolist())
    assert seen[2] != seen[3]
