"""The device "auto": what it is told by measured rates, and that they are measured and kept.

Leans on schuss and adapter. The first part makes its rates and adapters up, and needs no adapter.
"""

from __future__ import annotations

import json
import logging
import os
import warnings

import pytest
import schuss
from adapter import needs_adapter, told
from conftest import refuses
from schuss import choice, gpu, measures, nn

# A processor and a card as they may be: the card's arithmetic is a hundred times as fast, its
# layers cost ten times as much (half of that in compiled steps).
HOST = {
    **{"call": 1e-6, "wait": 1e-6, "layer": 1e-5, "compiled": 5e-6},
    **{"memory": 2e10, "product": 1e11},
}
CARD = {
    **{"call": 1e-5, "wait": 5e-5, "layer": 1e-4, "compiled": 5e-5},
    **{"memory": 1e12, "product": 1e13, "up": 1e10, "down": 1e10},
}
ADAPTER = {
    **{"name": "Made Up 9", "kind": "discrete", "api": "vulkan", "driver": "1.2"},
    **{"bus": "", "device": "gpu:0"},
}
SMALL = nn.Linear(10, 1)
LARGE = nn.Sequential(*(nn.Linear(512, 512) for _ in range(4)))


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with one made-up card, on which nothing was chosen yet; what was measured on it."""
    asked = []

    def rates(device, least=0.2):
        asked.append(device)
        return dict(HOST if device == "cpu" else CARD)

    monkeypatch.setattr(gpu, "adapters", lambda: [dict(ADAPTER)])
    monkeypatch.setattr(measures, "rates", rates)
    monkeypatch.setattr(measures, "_found", {})
    monkeypatch.setattr(choice, "_chosen", {})
    monkeypatch.setattr(choice, "_said", set())
    monkeypatch.setenv("SCHUSS_CACHE_DIR", str(tmp_path / "kept"))
    return asked


def test_small_work_stays_on_the_processor_and_large_work_goes(machine):
    assert gpu.reason() is None
    assert str(gpu.choose(SMALL)) == "cpu"
    assert gpu.reason() == (
        "device 'auto' is 'cpu': a training step of 11 parameters (batches of 64) takes about"
        " 0.011 ms on the processor and 0.15 ms on gpu:0 (Made Up 9)"
    )
    assert str(gpu.choose(LARGE)) == "gpu:0"
    assert gpu.reason().startswith("device 'auto' is 'gpu:0': a training step of 1,050,624 param")
    assert "about 0.53 ms on gpu:0 (Made Up 9) and 6.2 ms on the processor" in gpu.reason()
    # 4 layers at 10 us against 100 us: 0.36 ms of arithmetic (and 49 us of waiting) make it even.
    assert str(gpu.choose(work=4.0e7)) == "cpu"
    assert str(gpu.choose(work=4.3e7)) == "gpu:0"
    assert str(gpu.choose(work=3.0e7, compiled=True)) == "gpu:0"
    assert "a compiled training step of 3e+07 floating-point operations" in gpu.reason()
    assert str(gpu.choose(nn.Linear(64, 64), batch=8)) == "cpu"
    assert str(gpu.choose(nn.Linear(64, 64), batch=4096)) == "gpu:0"


def test_what_a_step_is_told_by(machine):
    what = choice.task(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), batch=10)
    assert what[:3] == (26, 2, 6 * 26 * 10)
    assert choice.seconds(HOST, what) == 2e-5 + 1560 / 1e11 + 40 * 26 / 2e10 + 1e-6
    assert choice.task(nn.Conv2d(1, 2, 3), batch=1).work == 6 * 20 * 256
    attending = nn.Sequential(nn.Embedding(50, 4), nn.Linear(4, 50))
    assert choice.task(attending, batch=1)[:3] == (450, 2, 6 * 250 * 32)
    assert choice.task(nn.LSTM(2, 3), batch=1).work == 6 * 84 * 32
    assert choice.task(nn.LazyLinear(3))[:3] == (0, 1, 0.0)
    assert choice.task()[:2] == (1_000_000, 4)
    assert choice.task(SMALL, 5)[:3] == (11, 1, 5.0)


def test_what_cannot_be_chosen_for(machine):
    with refuses(TypeError, "choose", "Model", "int"):
        gpu.choose(3)
    for bad in (0, 1.5, True):
        with refuses(ValueError, "choose", "batch", bad):
            gpu.choose(SMALL, batch=bad)
    for bad in (-1.0, float("nan"), float("inf"), "much"):
        with refuses(ValueError, "choose", "work"):
            gpu.choose(work=bad)


def test_data_follow_the_model(machine):
    assert str(gpu.choose()) == "gpu:0"
    gpu.choose(SMALL)
    assert str(gpu.choose()) == "cpu"
    gpu.choose(LARGE)
    assert str(gpu.choose()) == "gpu:0"


def test_a_model_goes_to_auto(machine):
    model = nn.Linear(10, 1).to("auto")
    assert str(model.weight.device) == "cpu"
    assert "of 11 parameters" in gpu.reason()
    wide = nn.Linear(512, 512).to("auto", schuss.float64)
    assert str(wide.weight.device) == "cpu" and wide.weight.dtype == schuss.float64
    assert "float64" in gpu.reason()


def test_no_adapter_a_software_one_and_a_broken_one(machine, monkeypatch):
    monkeypatch.setattr(gpu, "adapters", list)
    assert str(gpu.choose(LARGE)) == "cpu"
    assert gpu.reason() == "device 'auto' is 'cpu': no GPU can be used here"
    monkeypatch.setattr(gpu, "adapters", lambda: [{**ADAPTER, "device": None}])
    assert str(gpu.choose(LARGE)) == "cpu" and "no GPU can be used" in gpu.reason()
    monkeypatch.setattr(gpu, "adapters", lambda: [{**ADAPTER, "kind": "software"}])
    assert str(gpu.choose(LARGE)) == "cpu" and "computes on the processor" in gpu.reason()
    assert machine == []

    def broken(device, least=0.2):
        raise schuss.DeviceError("gpu:0: the driver lost the device")

    monkeypatch.setattr(gpu, "adapters", lambda: [dict(ADAPTER)])
    monkeypatch.setattr(measures, "rates", broken)
    assert str(gpu.choose(LARGE)) == "cpu" and "lost the device" in gpu.reason()


def test_the_quicker_of_two_cards(machine, monkeypatch):
    other = {**ADAPTER, "name": "Made Up 3", "device": "gpu:1"}
    monkeypatch.setattr(gpu, "adapters", lambda: [dict(ADAPTER), other])

    def rates(device, least=0.2):
        return HOST if device == "cpu" else {**CARD, "layer": 9e-5} if device[-1] == "1" else CARD

    monkeypatch.setattr(measures, "rates", rates)
    assert str(gpu.choose(LARGE)) == "gpu:1"
    assert "Made Up 3" in gpu.reason()


def test_rates_are_measured_once_on_a_machine(machine, monkeypatch):
    gpu.choose(LARGE)
    gpu.choose(SMALL)
    assert sorted(machine) == ["cpu", "gpu:0"]
    file = measures.folder() / "rates.json"
    (name,) = json.loads(file.read_text())
    for part in ("Made Up 9", "1.2", schuss.__version__, f"{schuss.get_num_threads()} threads"):
        assert part in name
    monkeypatch.setattr(measures, "_found", {})  # another program
    assert str(gpu.choose(LARGE)) == "gpu:0"
    assert len(machine) == 2
    # Another driver is measured, and the first one's numbers stay.
    monkeypatch.setattr(gpu, "adapters", lambda: [{**ADAPTER, "driver": "1.3"}])
    gpu.choose(LARGE)
    assert len(machine) == 4 and len(json.loads(file.read_text())) == 2
    assert os.listdir(file.parent) == ["rates.json"]


@pytest.mark.parametrize("change", ["", "[]", "{", "text", "drop", "zero", "nan"])
def test_a_file_that_is_not_whole_is_measured_anew(machine, monkeypatch, change):
    gpu.choose(LARGE)
    file = measures.folder() / "rates.json"
    kept = json.loads(file.read_text())
    (name,) = kept
    if change == "drop":
        del kept[name]["gpu"]
    elif change in ("zero", "nan"):
        kept[name]["cpu"]["product"] = 0.0 if change == "zero" else float("nan")
    elif change == "text":
        kept[name] = "text"
    file.write_text(json.dumps(kept) if change in ("drop", "zero", "nan", "text") else change)
    monkeypatch.setattr(measures, "_found", {})
    assert str(gpu.choose(LARGE)) == "gpu:0"
    assert len(machine) == 4
    assert json.loads(file.read_text())[name] == {"cpu": HOST, "gpu": CARD}


def test_where_nothing_can_be_written(machine, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCHUSS_CACHE_DIR", str(tmp_path / "file" / "kept"))
    assert str(gpu.choose(LARGE)) == "gpu:0"
    for name in ("SCHUSS_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(measures, "_found", {})
    assert measures.folder() is None
    assert str(gpu.choose(LARGE)) == "gpu:0"


def test_it_says_so_once(machine, caplog):
    caplog.set_level(logging.INFO, "schuss")
    for _ in range(3):
        gpu.choose(SMALL)
    gpu.choose(LARGE)
    found = [(record.name, record.levelname) for record in caplog.records]
    assert found == [("schuss", "WARNING"), ("schuss", "INFO")]
    assert caplog.records[0].message.startswith("device 'auto' is 'cpu': a training step")


def test_the_advice_of_the_doctor_is_that_of_auto(machine):
    from schuss import doctor

    for compiled in (False, True):
        width = doctor.widths(CARD, HOST, compiled)
        model = nn.Sequential(*(nn.Linear(width, width) for _ in range(4)))
        assert str(gpu.choose(model, compiled=compiled)) == "gpu:0"
        half = nn.Sequential(*(nn.Linear(width // 2, width // 2) for _ in range(4)))
        assert str(gpu.choose(half, compiled=compiled)) == "cpu"
    assert doctor.widths({**CARD, "product": 1e10}, HOST, False) is None


def test_the_doctor_says_in_words_what_helps(machine, monkeypatch, capsys):
    from schuss import doctor

    limits = {"buffer": 1 << 31, "binding": 1 << 27, "bindings": 16, "group": 256}
    limits |= {"immediates": 128, "int64": True, "float64": False, "software": False}
    limits["subgroups"] = True
    monkeypatch.setattr(gpu, "limits", lambda device=None: limits)
    monkeypatch.setattr(doctor, "dispatches", lambda device: (8.0, 4.0))
    found = {"sorting": "off by 3"}, ["gather", "copy"]
    monkeypatch.setattr(doctor, "examined", lambda device: found)
    assert doctor.main() == 1
    told = capsys.readouterr().out
    for part in (
        "Made Up 9: discrete, vulkan, 1.2",
        "float32, float16, bfloat16, int32, int64, subgroups\n",
        "buffers up to 2048 MiB, 128 MiB of one bound to a kernel, 16 bindings",
        "39 of 40 families of kernels are right",
        "WRONG: sorting: off by 3",
        "no kernels here, so that the processor computes it: gather, copy",
        "1000.0 GB/s, 10000.0 GFLOP/s",
        "10.00 GB/s up, 10.00 GB/s down",
        "8.0 dispatches a layer, 12.5 us each; compiled 4.0, 12.5 us each",
        "eager steps: helps from about 0.26 million parameters on (four layers 256 wide, batches",
        "compiled steps: helps from about 0.066 million parameters on (four layers 128 wide,",
        "device 'auto' is 'gpu:0': a training step of 1,000,000 parameters",
    ):
        assert part in told, told
    # What it measured is what "auto" goes by from then on.
    assert sorted(machine) == ["cpu", "gpu:0"]
    gpu.choose(LARGE)
    assert len(machine) == 2


# ---- with an adapter ----------------------------------------------------------------------------


def test_measuring_draws_nothing_and_leaves_modes_alone():
    schuss.manual_seed(5)
    want = schuss.rand(3).tolist()
    schuss.manual_seed(5)
    with schuss.no_grad():
        found = measures.rates("cpu", 0.001)
        assert not schuss.is_grad_enabled()
    assert schuss.rand(3).tolist() == want
    assert set(found) == set(measures.HOST) and min(found.values()) > 0
    assert found["product"] > 1e8 and found["layer"] < 0.1


@needs_adapter
def test_every_rate_of_an_adapter_is_measured():
    from schuss import doctor

    found = measures.rates("gpu:0", 0.01)
    assert set(found) == set(measures.NAMES)
    assert found["call"] < found["layer"] < 1
    assert 1e6 < found["memory"] < 1e14 and 1e7 < found["product"] < 1e16
    eager, compiled = doctor.dispatches("gpu:0")
    assert compiled < eager < 20


@needs_adapter
def test_the_doctor_sees_what_is_wrong(monkeypatch):
    from schuss import doctor

    said = "gpu:0 has no kernel for pears: the processor computes it"
    programs = {
        "right": lambda x: x + 1,
        "off": lambda x: x + (x.device.type == "gpu") * 0.01,
        "nothing": lambda x: x / (x.device.type == "cpu"),
        "gradient": lambda x: (x, x * (1 + (x.device.type == "gpu") * 0.01)),
        "none": lambda x: warnings.warn(said, stacklevel=1) or x if x.is_cuda else x,
        "refused": lambda x: x + schuss.ones(40, 33),
    }
    monkeypatch.setattr(doctor, "_programs", lambda: programs)
    wrong, absent = doctor.examined("gpu:0")
    assert sorted(wrong) == ["gradient", "nothing", "off", "refused"]
    assert wrong["off"] == "off by 0.01" and "gpu:0" in wrong["refused"]
    assert absent == ["pears"]


@needs_adapter
def test_auto_on_an_adapter_that_counts_as_a_card(monkeypatch, tmp_path):
    real = [{**found, "kind": "discrete"} for found in gpu.adapters()]
    monkeypatch.setattr(gpu, "adapters", lambda: real)
    monkeypatch.setattr(measures, "_found", {})
    monkeypatch.setattr(choice, "_chosen", {})
    monkeypatch.setenv("SCHUSS_CACHE_DIR", str(tmp_path))
    assert str(gpu.choose(SMALL)) == "cpu"
    assert "on gpu:0" in gpu.reason()
    (entry,) = json.loads((tmp_path / "rates.json").read_text()).values()
    assert set(entry["gpu"]) == set(measures.NAMES)
    # As if the processor were a thousand times slower.
    slow = {k: v * 1e3 if v < 1 else v / 1e3 for k, v in entry["cpu"].items()}
    measures.keep(real[0], slow, entry["gpu"])
    model = nn.Linear(512, 512).to("auto")
    assert str(model.weight.device) == "gpu:0"
    assert model(schuss.ones(2, 512).to(gpu.choose())).shape == (2, 512)


def test_auto_is_the_name_of_a_device():
    program = (
        "import schuss\n"
        "model = schuss.nn.Linear(3, 1).to('auto')\n"
        "device = schuss.device('auto')\n"
        "x = schuss.ones(2, 3, device='auto')\n"
        "y = schuss.ones(2, 3).to('auto')\n"
        "assert device.type == x.device.type == y.device.type == model.weight.device.type\n"
        "print(len(model(x)), schuss.gpu.reason())\n"
    )
    done = told(program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 device 'auto' is 'cpu': "), done.stdout
    for wrong in ("auto:1", "autos"):
        with pytest.raises(schuss.DeviceError, match="is no device"):
            schuss.device(wrong)
