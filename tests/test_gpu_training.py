"""Models trained on a GPU: the losses and gradients of the processor, few kernels and hand-overs.

Leans on schuss, adapter and gpu_nearness.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import schuss
from adapter import DEVICE, needs_adapter
from gpu_nearness import alike
from schuss import nn, optim

pytestmark = needs_adapter
F = nn.functional


# Slopes below this are sums of larger ones that cancel.
LEAST = 1e-2


class Net(nn.Module):
    def __init__(self, drop: float):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(20, 32),
            nn.Tanh(),
            nn.Dropout(drop),
            nn.Linear(32, 32),
            nn.GELU(),
            nn.LayerNorm(32),
            nn.Linear(32, 5),
        )

    def forward(self, x):
        return self.body(x)


def trained(device: str, make, drop: float, steps: int = 50):
    """Losses of a small network's training, and its gradients at the first step."""
    schuss.manual_seed(0)
    x, y = schuss.randn(64, 20).to(device), schuss.randint(0, 5, (64,)).to(device)
    model = Net(drop).to(device)
    return followed(model, make(model.parameters()), x, y, steps)


def followed(model, optimizer, x, y, steps: int = 50):
    """Losses of a model's training on one batch, and its gradients at the first step."""
    schuss.manual_seed(1)
    losses, grads, away = [], [], x.device.type == "gpu"
    kernels = compiled = 0
    for step in range(steps):
        if step == 3 and away:
            kernels = schuss.gpu.counters()["kernels"]
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            grads = [p.grad.cpu().numpy().copy() for p in model.parameters()]
        optimizer.step()
        losses.append(loss.detach())
    if away:
        compiled = schuss.gpu.counters()["kernels"] - kernels
    assert steps <= 3 or not compiled, "nothing is compiled after the first three steps"
    return [loss.item() for loss in losses], grads


OPTIMIZERS = {
    "sgd": (lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True), 0.0),
    "adam": (lambda p: optim.Adam(p, lr=1e-2), 0.2),
    "adamw": (lambda p: optim.AdamW(p, lr=1e-2, amsgrad=True), 0.0),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_follows_the_processor(name):
    make, drop = OPTIMIZERS[name]
    want, first = trained("cpu", make, drop)
    got, own = trained(DEVICE, make, drop)
    assert want[-1] < want[0] / 3, "it learns"
    alike(got, want, "training", terms=50, dtype="float32")
    for a, b in zip(first, own, strict=True):
        alike(b, a, "layer", size=max(np.abs(a).max(), LEAST))


def test_steps_compile_nothing_new_and_travel_together():
    make, drop = OPTIMIZERS["adam"]
    trained(DEVICE, make, drop, steps=3)
    before = schuss.gpu.counters()
    trained(DEVICE, make, drop, steps=20)
    after = schuss.gpu.counters()
    assert after["kernels"] == before["kernels"]
    # Copies of the model and of 20 losses are read one by one; the steps themselves need few.
    dispatches = after["dispatches"] - before["dispatches"]
    submissions = after["submissions"] - before["submissions"]
    assert dispatches > 20 * 30
    assert submissions < dispatches / 12


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
        lambda p: optim.Adam(p, lr=0.1),
        lambda p: optim.AdamW(p, lr=0.1, amsgrad=True),
        lambda p: optim.RMSprop(p, lr=0.1, momentum=0.5),
        lambda p: optim.Adagrad(p, lr=0.1),
    ],
)
def test_one_optimiser_steps_parameters_on_two_devices(make):
    def stepped(devices):
        own = [
            schuss.full((3,), 1.0 + k, device=device, requires_grad=True)
            for k, device in enumerate(devices)
        ]
        optimizer = make(own)
        for _ in range(3):
            optimizer.zero_grad()
            sum((p**3).sum().cpu() for p in own).backward()
            nn.utils.clip_grad_norm_(own, 5.0)
            optimizer.step()
        assert [str(p.device) for p in own] == [
            str(schuss.zeros(1, device=d).device) for d in devices
        ]
        return [p.tolist() for p in own]

    want = stepped(["cpu", "cpu", "cpu", "cpu"])
    got = stepped([DEVICE, "cpu", DEVICE, "cpu"])
    alike(got, want, "map", dtype="float32")


def test_a_model_travels_with_its_state():
    model = Net(0.0)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.to(DEVICE)
    assert {str(p.device) for p in model.parameters()} == {"gpu:0"}
    for name, value in model.state_dict().items():
        assert value.tolist() == state[name].tolist()
    model.load_state_dict(state)
    assert {str(p.device) for p in model.parameters()} == {"gpu:0"}
    model.cpu()
    assert {str(p.device) for p in model.parameters()} == {"cpu"}


def test_tapes_watch_what_lies_elsewhere():
    x = schuss.tensor([1.0, 2.0], device=DEVICE)
    with schuss.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = (x * x * x).sum()
        (first,) = tape.gradient(y, [x])
    assert first.tolist() == [3.0, 12.0]
    w = schuss.tensor([0.5, math.pi], device=DEVICE, requires_grad=True)
    (g,) = schuss.autograd.grad(w.sin().sum(), w, create_graph=True)
    (h,) = schuss.autograd.grad(g.sum(), w)
    alike(h, [-math.sin(0.5), 0.0], "map", size=1.0, dtype="float32")


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(64, 10),
        )

    def forward(self, x):
        return self.body(x)


class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 32)
        self.drop = nn.Dropout(0.1)
        self.before, self.between = nn.LayerNorm(32), nn.LayerNorm(32)
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.wide, self.narrow = nn.Linear(32, 64), nn.Linear(64, 32)
        self.out = nn.Linear(32, 50)

    def forward(self, tokens):
        x = self.words(tokens)
        h = self.before(x)
        later = schuss.ones(12, 12, dtype=schuss.bool, device=x.device).triu(1)
        x = x + self.attention(h, h, h, attn_mask=later, need_weights=False)[0]
        x = x + self.drop(self.narrow(F.gelu(self.wide(self.between(x)))))
        return self.out(x).reshape(-1, 50)


@pytest.mark.parametrize("kind", ["images", "words"])
def test_larger_models_follow_the_processor(kind):
    def losses(device: str) -> tuple[list[float], list[np.ndarray]]:
        schuss.manual_seed(0)
        if kind == "images":
            model, x = Convolutional(), schuss.randn(16, 1, 16, 16)
            y = schuss.randint(0, 10, (16,))
        else:
            model, x = Attentive(), schuss.randint(0, 50, (8, 12))
            y = schuss.randint(0, 50, (96,))
        model, x, y = model.to(device), x.to(device), y.to(device)
        return followed(model, optim.AdamW(model.parameters(), lr=3e-3), x, y)

    (want, first), (got, own) = losses("cpu"), losses(DEVICE)
    assert want[-1] < want[0] / 2, "it learns"
    alike(got, want, "training", terms=50, dtype="float32")
    for a, b in zip(first, own, strict=True):
        alike(b, a, "layer", size=max(np.abs(a).max(), LEAST))
