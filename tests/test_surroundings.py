"""What stands around a training program: precision, devices, processes, logs, downloads, names.

Leans on schuss and pytest; the event files are read back here by their published form.
"""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss import amp, futures, multiprocessing, nn, optim
from schuss.utils import checkpoint as again
from schuss.utils.tensorboard import SummaryWriter
from schuss.utils.tensorboard.events import masked_crc

# ---- devices and switches -----------------------------------------------------------------------


def test_the_usual_beginning_of_a_program():
    found = schuss.accelerator.is_available()
    device = schuss.accelerator.current_accelerator().type if found else "cpu"
    assert schuss.ones(2).to(device).device.type == device
    assert schuss.cuda.is_available() == found
    assert schuss.accelerator.device_count() == schuss.cuda.device_count()
    if not found:
        assert schuss.accelerator.current_accelerator() is None
        assert schuss.cuda.memory_allocated() == schuss.accelerator.memory_reserved() == 0
        with pytest.raises(schuss.DeviceError):
            schuss.accelerator.set_device_index(0)


def test_switches_can_be_set():
    import schuss.backends.cudnn as cudnn

    cudnn.benchmark = True
    assert schuss.backends.cudnn.benchmark is True
    schuss.backends.cuda.matmul.allow_tf32 = True
    assert not schuss.backends.mps.is_available() and not schuss.backends.mkl.is_available()
    schuss.set_float32_matmul_precision("high")
    assert schuss.get_float32_matmul_precision() == "high"
    with refuses(ValueError, "fast", "highest"):
        schuss.set_float32_matmul_precision("fast")
    assert schuss.version.cuda is None and schuss.version.__version__ == schuss.__version__


def test_default_kinds():
    try:
        schuss.set_default_tensor_type(schuss.DoubleTensor)
        assert schuss.zeros(1).dtype == schuss.float64
    finally:
        schuss.set_default_tensor_type("torch.FloatTensor")
    assert schuss.zeros(1).dtype == schuss.float32
    with refuses(TypeError, "LongTensor"):
        schuss.set_default_tensor_type("torch.LongTensor")


def test_oldest_spellings():
    x = schuss.arange(6.0).reshape(2, 3)
    assert x.new(2, 2).shape == (2, 2) and x.new([1]).dtype == x.dtype
    assert x.resize(3).tolist() == [0, 1, 2]
    assert x.clone().resize_(3, 2).tolist() == [[0, 1], [2, 3], [4, 5]]
    with refuses(RuntimeError, "resize", (2, 3), 7):
        x.resize_(7)
    assert x.name is None and x.is_xpu is False
    assert schuss.cuda.FloatTensor is schuss.FloatTensor


# ---- names that are not there -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "name", "word"),
    [
        (schuss, "jit", "schuss.compile"),
        (schuss, "distributed", "process groups"),
        (schuss, "onnx", "state_dict"),
        (schuss, "profiler", "cProfile"),
        (schuss, "sparse_coo_tensor", "dense"),
        (nn.parallel, "DistributedDataParallel", "process groups"),
        (schuss.autograd, "profiler", "cProfile"),
        (schuss.ones(1), "to_sparse", "dense"),
    ],
)
def test_one_clear_sentence(owner, name, word):
    assert not hasattr(owner, name)
    with refuses(AttributeError, name, word) as caught:
        getattr(owner, name)
    assert "\n" not in str(caught.value)


# ---- precision ----------------------------------------------------------------------------------


def test_autocast_keeps_full_precision():
    @schuss.autocast(device_type="cpu", dtype=schuss.bfloat16)
    def third(x):
        return x / 3

    assert third(schuss.ones(1)).item() == pytest.approx(1 / 3, abs=1e-7)
    with schuss.cuda.amp.autocast(enabled=False):
        assert not schuss.is_autocast_enabled()
    with refuses(ValueError, "int64"):
        schuss.autocast("cpu", dtype=schuss.int64)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_scaled_training_is_the_plain_one(enabled):
    def trained(scaler):
        schuss.manual_seed(1)
        model = nn.Linear(3, 1)
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(5):
            optimizer.zero_grad()
            loss = (model(schuss.ones(4, 3)) ** 2).mean()
            if scaler is None:
                loss.backward()
                optimizer.step()
            else:
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
                scaler.step(optimizer)
                scaler.update()
        return model.weight

    plain, scaled = trained(None), trained(amp.GradScaler("cpu", enabled=enabled))
    # A power of 2 as the scale changes no bit.
    assert schuss.equal(plain, scaled)


def test_a_step_that_overflows_is_left_out():
    w = schuss.ones(1, requires_grad=True)
    optimizer, scaler = optim.SGD([w], lr=1.0), amp.GradScaler(init_scale=4.0, growth_interval=2)
    scaler.scale(w.sum() * float("inf")).backward()
    scaler.step(optimizer)
    scaler.update()
    assert w.item() == 1 and scaler.get_scale() == 2
    for _ in range(2):
        optimizer.zero_grad()
        scaler.scale(w.sum()).backward()
        scaler.step(optimizer)
        with refuses(RuntimeError, "twice"):
            scaler.step(optimizer)
        scaler.update()
    assert w.item() == -1 and scaler.get_scale() == 4
    other = amp.GradScaler()
    other.load_state_dict(scaler.state_dict())
    assert other.get_scale() == 4
    with refuses(RuntimeError, "no step"):
        scaler.update()


# ---- processes and futures ----------------------------------------------------------------------


def say(i, folder, x):
    with open(os.path.join(folder, str(i)), "w") as file:
        file.write(str(i * x.sum().item()))


def fail(i):
    if i == 1:
        raise ValueError("not this one")


def test_spawn(tmp_path):
    multiprocessing.spawn(say, args=(str(tmp_path), schuss.ones(3)), nprocs=2)
    assert [(tmp_path / str(i)).read_text() for i in range(2)] == ["0.0", "3.0"]


def test_spawn_tells_what_failed():
    with refuses(multiprocessing.ProcessRaisedException, "process 1", "not this one"):
        multiprocessing.spawn(fail, nprocs=2)
    with refuses(ValueError, "nprocs"):
        multiprocessing.spawn(fail, nprocs=0)


def test_pythons_names_are_there():
    assert multiprocessing.get_context("spawn").Process and multiprocessing.cpu_count() > 0
    assert multiprocessing.Process and multiprocessing.Queue and multiprocessing.set_start_method


def test_futures():
    later, other = futures.Future(), futures.Future()
    both = futures.collect_all([later, other])
    tripled = later.then(lambda f: 3 * f.wait())
    assert not later.done() and not both.done()
    later.set_result(2)
    assert tripled.wait() == 6 and not both.done()
    other.set_exception(KeyError("x"))
    assert both.done()
    with pytest.raises(KeyError):
        futures.wait_all([later, other])
    with refuses(RuntimeError, "once"):
        later.set_result(3)
    with refuses(RuntimeError, "not there yet"):
        futures.Future().value()


# ---- memory for time ----------------------------------------------------------------------------


def test_checkpoint_gives_the_same_gradients():
    def block():
        schuss.manual_seed(2)
        return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 1))

    found = []
    for way in ("plain", "whole", "parts"):
        model, x = block(), schuss.linspace(-1, 1, 12).reshape(3, 4).requires_grad_()
        schuss.manual_seed(5)
        if way == "plain":
            y = model(x)
        elif way == "whole":
            y = again.checkpoint(model, x, use_reentrant=False)
        else:
            y = again.checkpoint_sequential(model, 2, x)
        y.sum().backward()
        found.append([x.grad, *(p.grad for p in model.parameters())])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert a.numpy() == pytest.approx(b.numpy(), abs=1e-6)


# ---- logs ---------------------------------------------------------------------------------------


def events(folder):
    """The events of the one file in a folder, each record's two sums checked."""
    (name,) = os.listdir(folder)
    with open(os.path.join(folder, name), "rb") as file:
        data = file.read()
    found = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == masked_crc(data[:8])
        event, data = data[12 : 12 + length], data[12 + length :]
        assert struct.unpack("<I", data[:4])[0] == masked_crc(event)
        data = data[4:]
        found.append(fields(event))
    return found


def fields(data):
    """The fields of a message, by their numbers."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or number()
            value = data[at : at + size]
            at += size
        found.setdefault(key >> 3, []).append(value)
    return found


def test_event_files(tmp_path):
    with SummaryWriter(tmp_path / "run") as writer:
        writer.add_scalar("loss", schuss.tensor(0.25), 3, walltime=9.0)
        writer.add_histogram("w", schuss.arange(10.0), 4)
        writer.add_image("picture", schuss.ones(1, 2, 3), 5)
        writer.add_text("note", "hello", 6)
        writer.add_images("grid", schuss.zeros(4, 3, 2, 2))
    first, scalar, histogram, picture, text, _ = events(tmp_path / "run")
    assert first[3] == [b"brain.Event:2"]
    assert struct.unpack("<d", scalar[1][0])[0] == 9.0 and scalar[2] == [3]
    value = fields(fields(scalar[5][0])[1][0])
    assert value[1] == [b"loss"] and struct.unpack("<f", value[2][0])[0] == 0.25
    counts = fields(fields(fields(histogram[5][0])[1][0])[5][0])
    assert struct.unpack("<d", counts[3][0])[0] == 10
    assert np.frombuffer(counts[7][0], "<f8").sum() == 10
    image = fields(fields(fields(picture[5][0])[1][0])[4][0])
    assert (image[1], image[2]) == ([2], [3]) and image[4][0][1:4] == b"PNG"
    assert b"hello" in text[5][0] and b"text" in text[5][0]
    with refuses(ValueError, "CHW"):
        writer.add_image("x", schuss.ones(2, 2))


def test_several_curves_and_figures(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot", reason="figures are matplotlib's")
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalars("loss", {"train": 1.0, "test": 2.0}, 1)
        writer.add_figure("drawn", plt.figure())
        writer.add_hparams({"lr": 0.1}, {"accuracy": 0.9})
        writer.add_graph(nn.Linear(2, 1))
    folders = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert folders == {"loss_train", "loss_test"}
    with refuses(ValueError, "no values"):
        writer.add_histogram("w", schuss.zeros(0))


# ---- the hub ------------------------------------------------------------------------------------


def test_a_checkpoint_by_its_address(tmp_path):
    import hashlib

    state = {"w": schuss.arange(3.0)}
    schuss.save(state, tmp_path / "x.pth")
    digest = hashlib.sha256((tmp_path / "x.pth").read_bytes()).hexdigest()
    (tmp_path / "x.pth").rename(tmp_path / f"x-{digest[:8]}.pth")
    url = (tmp_path / f"x-{digest[:8]}.pth").as_uri()
    folder = str(tmp_path / "kept")
    found = schuss.hub.load_state_dict_from_url(url, folder, check_hash=True)
    assert found["w"].tolist() == [0, 1, 2]
    wrong = tmp_path / "x-00000000.pth"
    wrong.write_bytes((tmp_path / f"x-{digest[:8]}.pth").read_bytes())
    with refuses(RuntimeError, "00000000", digest):
        schuss.hub.load_state_dict_from_url(wrong.as_uri(), folder, check_hash=True)
    assert len(os.listdir(folder)) == 1
    with refuses(NotImplementedError, "load_state_dict_from_url"):
        schuss.hub.load("a/b", "c")


class Plain:
    def __init__(self):
        self.n = 3


def test_safe_globals(tmp_path):
    import pickle

    schuss.save({"x": Plain()}, tmp_path / "x.pt")
    with refuses(pickle.UnpicklingError, "Plain"):
        schuss.load(tmp_path / "x.pt")
    with schuss.serialization.safe_globals([Plain]):
        assert schuss.load(tmp_path / "x.pt")["x"].n == 3
    with pytest.raises(pickle.UnpicklingError):
        schuss.load(tmp_path / "x.pt")
