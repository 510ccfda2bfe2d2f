"""Recurrent layers on a GPU: the processor's numbers and slopes, in few dispatches.

Leans on schuss, adapter and gpu_nearness.
"""

from __future__ import annotations

import pytest
import schuss
from adapter import DEVICE, needs_adapter, told
from gpu_nearness import alike
from schuss import nn

pytestmark = needs_adapter

LAYERS = {
    "lstm": lambda: nn.LSTM(5, 7),
    "gru": lambda: nn.GRU(5, 7),
    "rnn": lambda: nn.RNN(5, 7),
    "relu": lambda: nn.RNN(5, 7, nonlinearity="relu"),
    "lstm without bias": lambda: nn.LSTM(5, 7, bias=False),
    "gru both ways, two layers": lambda: nn.GRU(5, 7, 2, bidirectional=True),
    "lstm both ways, two layers": lambda: nn.LSTM(5, 7, 2, bidirectional=True),
    "lstm of halves": lambda: nn.LSTM(5, 7).half(),
}


def flat(found) -> list[schuss.Tensor]:
    return [found] if isinstance(found, schuss.Tensor) else [t for v in found for t in flat(v)]


def run(name: str, device: str, packed: bool, summed: bool) -> list[schuss.Tensor]:
    """Results and all gradients of a layer, by a plain sum or by weights of their own."""
    schuss.manual_seed(5)
    layer = LAYERS[name]()
    kind = next(layer.parameters()).dtype
    x = schuss.randn(6, 4, 5, dtype=kind)
    weights = schuss.randn(6, 4, 14, dtype=kind)
    layer, x = layer.to(device), x.to(device).requires_grad_()
    fed = nn.utils.rnn.pack_padded_sequence(x, [6, 4, 4, 1]) if packed else x
    y, last = layer(fed)
    if packed:
        y, _ = nn.utils.rnn.pad_packed_sequence(y)
    states = flat(last)
    weights = weights[..., : y.shape[-1]].to(device)
    loss = y.sum() if summed else (y * weights).sum() + sum((s * s).sum() for s in states)
    loss.backward()
    return [y, *states, x.grad, *(p.grad for p in layer.parameters())]


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_the_processors(name, packed, summed):
    wanted, found = (run(name, device, packed, summed) for device in ("cpu", DEVICE))
    for want, got in zip(wanted, found, strict=True):
        assert str(got.device) == "gpu:0"
        alike(got, want, "layer", size=4.0)


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_cells_are_the_processors(cell):
    found = []
    for device in ("cpu", DEVICE):
        schuss.manual_seed(5)
        own, x = cell(5, 7), schuss.randn(4, 5)
        own, x = own.to(device), x.to(device)
        state = own(x)
        made = flat(own(x, state))
        sum(t.square().sum() for t in made).backward()
        found.append([*made, *(p.grad for p in own.parameters())])
    for want, got in zip(*found, strict=True):
        alike(got, want, "layer", size=4.0)


def test_second_derivatives():
    found = []
    for device in ("cpu", DEVICE):
        schuss.manual_seed(5)
        layer, x = nn.GRU(3, 4), schuss.randn(3, 2, 3)
        layer, x = layer.to(device), x.to(device).requires_grad_()
        (slope,) = schuss.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
        slope.square().sum().backward()
        found.append([slope, x.grad, *(p.grad for p in layer.parameters())])
    for want, got in zip(*found, strict=True):
        alike(got, want, "layer")


# Dispatches of a sequence of 20 steps: two a step, and what is done once.
@pytest.mark.parametrize(
    ("layer", "forward", "both"), [(nn.LSTM, 50, 115), (nn.GRU, 50, 115), (nn.RNN, 50, 115)]
)
def test_a_step_is_a_product_and_a_kernel(layer, forward, both):
    own, x = layer(8, 16).to(DEVICE), schuss.randn(20, 4, 8, device=DEVICE)

    def spent(work):
        work()
        schuss.gpu.synchronize()
        before = schuss.gpu.counters()["dispatches"]
        work()
        schuss.gpu.synchronize()
        return schuss.gpu.counters()["dispatches"] - before

    with schuss.no_grad():
        assert 40 <= spent(lambda: own(x)) <= forward
    assert 80 <= spent(lambda: own(x)[0].square().mean().backward()) <= both


def test_a_compiled_step_is_the_eager_one():
    def losses(wrap):
        schuss.manual_seed(4)
        own = nn.LSTM(5, 6).to(DEVICE)
        x = schuss.randn(7, 3, 5).to(DEVICE)
        opt = schuss.optim.SGD(own.parameters(), lr=0.1)

        def step(x):
            opt.zero_grad()
            loss = (own(x)[0] - 0.3).square().mean()
            loss.backward()
            opt.step()
            return loss

        step = wrap(step)
        return [step(x).item() for _ in range(6)]

    want, got = losses(lambda step: step), losses(schuss.compile)
    assert want[-1] < want[0]
    assert got == want


PROGRAM = """
import schuss
from gpu_nearness import alike
from schuss import nn
schuss.manual_seed(1)
for layer in (nn.LSTM(3, 4), nn.GRU(3, 4)):
    x = schuss.randn(5, 2, 3)
    want = layer(x)[0]
    want.sum().backward()
    slopes = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    got = layer.to("gpu")(x.to("gpu"))[0]
    got.sum().backward()
    alike(got, want, "layer", size=4)
    for p, slope in zip(layer.parameters(), slopes, strict=True):
        alike(p.grad, slope, "layer", size=4)
print("layers")
x = schuss.randn(2, 3, 9, 9)
grads = []
for place in ("cpu", "gpu"):
    leaf = x.detach().to(place).requires_grad_()
    nn.functional.max_pool2d(leaf, 3, 2, 1).square().sum().backward()
    grads.append(leaf.grad.cpu())
alike(*grads, "same")
print("pools")
schuss.manual_seed(1)
near = schuss.rand(9), schuss.randint(0, 99, (9,)), schuss.randn(9)
schuss.manual_seed(1)
far = [t.cpu() for t in (schuss.rand(9, device="gpu"), schuss.randint(0, 99, (9,), device="gpu"),
       schuss.randn(9, device="gpu"))]
for got, want in zip(far, near, strict=True):
    alike(got, want, "draw")
print("draws")
"""


@pytest.mark.parametrize("profile", ["gpu", "noimm", "noint64,nof64", "nosubgroup"])
def test_adapters_with_less(profile):
    done = told(PROGRAM, SCHUSS_GPU_PROFILE=profile, PYTHONWARNINGS="ignore")
    assert done.stdout.split() == ["layers", "pools", "draws"], done.stdout + done.stderr
