"""Devices: names, the one that makers use, moving, errors, and what is done on import.

Leans on schuss, adapter and gpu_nearness.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
import schuss
from adapter import DEVICE, needs_adapter, told
from gpu_nearness import alike
from schuss import nn

pytestmark = needs_adapter
F = nn.functional


def test_names_of_devices():
    for name in ("gpu", "cuda", "gpu:0", "cuda:0"):
        x = schuss.ones(2, device=name)
        assert str(x.device) == "gpu:0"
        assert x.is_cuda
        assert x.get_device() == 0
    assert schuss.device("cuda") == schuss.device("gpu")
    assert schuss.device("cuda", 1) == schuss.device("gpu:1")
    assert schuss.device("gpu").type == "gpu"
    assert schuss.device(0) == schuss.device("gpu:0")
    assert schuss.cuda.is_available()
    assert schuss.gpu.is_available()
    assert schuss.cuda.get_device_name() == schuss.gpu.adapters()[0]["name"]
    with pytest.raises(schuss.DeviceError, match=r"gpu:9.*not there"):
        schuss.ones(2, device="gpu:9")
    with pytest.raises(schuss.DeviceError, match="is no device"):
        schuss.ones(2, device="toaster")


def test_moving_there_and_back():
    x = schuss.arange(6, dtype=schuss.float32).reshape(2, 3)
    for t in (x, x.T, x[:, 1], x.expand(2, 2, 3), x[:0], schuss.tensor(3.0)):
        back = t.to(DEVICE).cpu()
        assert back.shape == t.shape
        assert back.tolist() == t.tolist()
    assert x.to(DEVICE).to(DEVICE) is not x
    there = x.to(DEVICE)
    assert there.to("gpu:0") is there
    assert x.to("cpu") is x
    assert x.to(DEVICE, schuss.float16).dtype == schuss.float16
    assert x.to(there).device == there.device
    for dtype in (schuss.bool, schuss.uint8, schuss.int16, schuss.int64, schuss.bfloat16):
        t = schuss.tensor([0, 1, 5, 0, 7]).to(dtype)
        assert t.to(DEVICE).cpu().tolist() == t.tolist()
        assert t.to(DEVICE)[1:4].cpu().tolist() == t[1:4].tolist()


def test_makers_take_a_device():
    made = [
        schuss.zeros(2, 3, device=DEVICE),
        schuss.full((2,), 7, device=DEVICE),
        schuss.arange(5, device=DEVICE),
        schuss.linspace(0, 1, 3, device=DEVICE),
        schuss.eye(2, device=DEVICE),
        schuss.tensor([1, 2], device=DEVICE),
        schuss.as_tensor(np.ones(2), device=DEVICE),
        schuss.rand(3, device=DEVICE),
        schuss.randn(3, device=DEVICE),
        schuss.randint(5, (3,), device=DEVICE),
        schuss.randperm(4, device=DEVICE),
    ]
    made += [schuss.zeros_like(made[0]), schuss.rand_like(made[0]), made[0].new_ones(2)]
    assert {str(t.device) for t in made} == {"gpu:0"}
    assert made[1].tolist() == [7, 7]
    assert made[4].tolist() == [[1, 0], [0, 1]]


def test_gradients_find_their_way_across():
    x = schuss.tensor([1.0, 2.0], requires_grad=True)
    w = schuss.tensor([3.0, 4.0], device=DEVICE, requires_grad=True)
    y = (x.to(DEVICE) * w).cpu()
    (y * y).sum().backward()
    assert str(x.grad.device) == "cpu"
    assert str(w.grad.device) == "gpu:0"
    assert x.grad.tolist() == [18.0, 64.0]
    assert w.grad.tolist() == [6.0, 32.0]


def test_printing_says_where():
    assert repr(schuss.tensor([1.0, 2.0], device=DEVICE)) == "tensor([1., 2.], device='gpu:0')"


def test_numpy_is_refused_and_says_how():
    x = schuss.ones(2, device=DEVICE)
    with pytest.raises(TypeError, match=r"\.cpu\(\)"):
        x.numpy()
    with pytest.raises(TypeError, match=r"\.cpu\(\)"):
        np.asarray(x)
    assert x.numpy(force=True).tolist() == [1, 1]
    with pytest.raises(RuntimeError, match=r"\.cpu\(\)"):
        x.data_ptr()


BAD = ["gpu:-1", "gpu:x", "gpu:", "gpu:1.5", "gpu:+1", "cuda:-1", "toaster", "gpu:0:0", "auto:1"]


@pytest.mark.parametrize("name", BAD)
def test_names_of_no_device_are_refused_alike(name):
    for call in (schuss.device, lambda name: schuss.ones(1, device=name), schuss.ones(1).to):
        with pytest.raises(schuss.DeviceError, match=r"is no device|after the colon"):
            call(name)


def test_numbers_of_devices():
    assert schuss.device("gpu", 2) == schuss.device("gpu:2")
    assert schuss.device("cpu", 0).index == 0
    for bad in (("gpu", -1), ("auto", 1), ("gpu:0", 1), (schuss.device("gpu"), 1), (-1,)):
        with pytest.raises(schuss.DeviceError, match="device: "):
            schuss.device(*bad)
    with pytest.raises(TypeError, match="device: expected a name"):
        schuss.device([0])


MAKERS = {
    "ones": lambda **more: schuss.ones(3, **more),
    "zeros": lambda **more: schuss.zeros(3, **more),
    "full": lambda **more: schuss.full((3,), 7.0, **more),
    "arange": lambda **more: schuss.arange(3, **more),
    "linspace": lambda **more: schuss.linspace(0, 1, 3, **more),
    "eye": lambda **more: schuss.eye(3, **more),
    "rand": lambda **more: schuss.rand(3, **more),
    "randn": lambda **more: schuss.randn(3, **more),
    "randint": lambda **more: schuss.randint(5, (3,), **more),
    "randperm": lambda **more: schuss.randperm(3, **more),
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_made_for_an_out_lies_there(name):
    make = MAKERS[name]
    schuss.manual_seed(1)
    want = make(out=schuss.empty(0))
    for shape in ((0,), tuple(want.shape)):
        out = schuss.zeros(*shape, device=DEVICE)
        view = out.view(-1)
        schuss.manual_seed(1)
        assert make(out=out) is out
        assert str(out.device) == "gpu:0"
        assert out.dtype == schuss.float32
        # Normal numbers go through the device's own logarithm.
        alike(out, want, "draw" if name == "randn" else "same")
        if shape != (0,):
            assert view.tolist() == out.flatten().tolist(), "the memory is the one it had"
    with pytest.raises(schuss.DTypeError, match=rf"{name}.*int16.*float32"):
        make(out=out, dtype=schuss.int16)
    with pytest.raises(schuss.DeviceError, match=rf"{name}.*cpu.*gpu:0"):
        make(out=out, device="cpu")
    with pytest.raises(TypeError, match=rf"{name}: out must be a Tensor"):
        make(out=3)


def test_makers_follow_the_device_of_a_block():
    there = schuss.ones(1, device=DEVICE)
    with schuss.device("gpu") as device:
        assert device == schuss.device("gpu")
        assert {str(make().device) for make in MAKERS.values()} == {"gpu:0"}
        assert str(schuss.tensor([1.0]).device) == "gpu:0"
        assert str(schuss.as_tensor(np.ones(2)).device) == "gpu:0"
        assert str(nn.Linear(2, 2).weight.device) == "gpu:0"
        assert str(schuss.get_default_device()) == "gpu:0"
        assert str(schuss.ones(1, device="cpu").device) == "cpu"
        assert str(schuss.from_numpy(np.ones(2)).device) == "cpu"
        with schuss.device("cpu"):
            assert str(schuss.ones(1).device) == "cpu"
            assert str(schuss.ones_like(there).device) == "gpu:0"
            assert str(schuss.tensor(there).device) == "cpu"
        assert str(schuss.ones(1).device) == "gpu:0"
    assert str(schuss.ones(1).device) == "cpu"
    assert schuss.as_tensor(there) is there
    with pytest.raises(KeyError), schuss.device("gpu"):
        raise KeyError
    assert str(schuss.ones(1).device) == "cpu"


def test_makers_follow_the_device_that_was_set():
    seen = []
    schuss.set_default_device("gpu")
    try:
        assert str(schuss.randn(2).device) == "gpu:0"
        with schuss.device("cpu"):
            assert str(schuss.randn(2).device) == "cpu"
        other = threading.Thread(target=lambda: seen.append(str(schuss.ones(1).device)))
        other.start()
        other.join()
    finally:
        schuss.set_default_device(None)
    assert seen == ["cpu"], "each thread sets its own"
    assert str(schuss.get_default_device()) == "cpu"
    with pytest.raises(schuss.DeviceError, match="is no device"):
        schuss.set_default_device("toaster")


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda x, w: F.linear(x, w), ("input", "weight")),
        (lambda x, w: F.linear(x.cpu(), w.to(DEVICE)), ("weight", "input")),
        (lambda x, w: F.layer_norm(x, (2,), w[0]), ("input", "weight")),
        (lambda x, w: F.layer_norm(x, (2,), None, w[0]), ("input", "bias")),
        (lambda x, w: F.batch_norm(x, None, None, w[0], None, True), ("input", "weight")),
        (lambda x, w: F.layer_norm(x.cpu(), (2,), w[0].to(DEVICE)), ("weight", "input")),
        (lambda x, w: schuss.add(x, w), ("input", "other")),
        (lambda x, w: F.scaled_dot_product_attention(x, w, x), ("query|input", "key|other")),
    ],
)
def test_errors_say_which_operand_lies_where(call, names):
    there, here = names
    pattern = rf"(?s)gpu:0 \(({there}), shape .*cpu \(({here}), shape .*x\.to\("
    with pytest.raises(schuss.DeviceError, match=pattern):
        call(schuss.ones(2, 2, device=DEVICE), schuss.ones(2, 2))


def test_layers_on_another_device_than_their_input_say_so():
    x = schuss.ones(4, 3, device=DEVICE)
    for layer in (nn.BatchNorm1d(3), nn.LayerNorm(3), nn.Linear(3, 2)):
        with pytest.raises(schuss.DeviceError, match=r"(?s)weight"):
            layer(x)
        with pytest.raises(schuss.DeviceError, match=r"(?s)weight"):
            layer.to(DEVICE)(x.cpu())


@pytest.mark.parametrize(
    "mixed",
    [
        lambda a, b: a + b,
        lambda a, b: a @ b,
        lambda a, b: a.add_(b),
        lambda a, b: b.add_(a),
        lambda a, b: schuss.where(a > 0, a, b),
        lambda a, b: schuss.cat([a, b]),
        lambda a, b: F.mse_loss(a, b),
    ],
)
def test_devices_do_not_mix(mixed):
    with pytest.raises(RuntimeError, match=r"(?s)gpu:0.*cpu|cpu.*gpu:0"):
        mixed(schuss.ones(2, 2), schuss.ones(2, 2, device=DEVICE))


def test_a_number_on_the_processor_mixes():
    x = schuss.tensor([1.0, 2.0], device=DEVICE)
    assert (x * schuss.tensor(3.0)).tolist() == [3.0, 6.0]
    assert (schuss.tensor(3.0) - x).tolist() == [2.0, 1.0]
    assert (x + 1).tolist() == [2.0, 3.0]


def test_a_software_adapter_is_used_only_by_name():
    program = (
        "import schuss\n"
        "soft = all(a['kind'] == 'software' for a in schuss.gpu.adapters())\n"
        "print(soft, schuss.gpu.is_available())\n"
        "try: schuss.ones(1, device='gpu')\n"
        "except schuss.DeviceError as e: print(e)\n"
    )
    done = told(program, SCHUSS_ADAPTER=None)
    if done.stdout.startswith("True"):
        assert done.stdout.startswith("True False")
        assert "SCHUSS_ADAPTER=cpu" in done.stdout
    assert done.returncode == 0, done.stderr
    named = told("import schuss; schuss.ones(1, device='gpu')", SCHUSS_ADAPTER="nobody's card")
    assert "SCHUSS_ADAPTER names none" in named.stderr


def test_nothing_is_looked_for_at_import():
    program = (
        "import schuss\nschuss.device('gpu')\nprint('vulkan' in open('/proc/self/maps').read())\n"
    )
    done = told(program)
    if "FileNotFoundError" in done.stderr:
        pytest.skip("no /proc here to see what is loaded")
    assert done.stdout == "False\n", done.stdout + done.stderr


def moved_after_the_first_step():
    p = schuss.nn.Parameter(schuss.ones(3))
    optimizer = schuss.optim.SGD([p], lr=0.1, momentum=0.9)
    p.sum().backward()
    optimizer.step()
    p.data, p.grad = p.data.to(DEVICE), schuss.ones(3, device=DEVICE)
    optimizer.step()


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (lambda x: schuss.nn.LSTM(2, 2)(x), "LSTM"),
        (lambda x: schuss.nn.MultiheadAttention(2, 1)(x, x, x), "MultiheadAttention"),
        (lambda x: schuss.nn.TransformerEncoderLayer(2, 1)(x), "TransformerEncoderLayer"),
        (lambda x: schuss.distributions.Normal(x.cpu(), 1.0).log_prob(x), "Normal.log_prob"),
        (lambda x: schuss.nn.utils.parameters_to_vector([x, x.cpu()]), "parameters_to_vector"),
        (lambda _: moved_after_the_first_step(), "SGD.step"),
    ],
)
def test_devices_that_differ_are_told_in_the_name_that_was_called(act, name):
    with pytest.raises(schuss.DeviceError, match=rf"^{name}: expected all tensors"):
        act(schuss.ones(2, 2, device=DEVICE))
