"""Checkpoints: PyTorch's files read and written, hostile and damaged ones refused, nothing lost.
Leans on schuss.save and load; one file was made with torch 2.15 by the program quoted below."""

from __future__ import annotations

import base64
import collections
import contextlib
import io
import json
import os
import pickle
import pickletools
import zipfile
import zlib

import numpy as np
import pytest
import schuss
from schuss import nn, optim
from schuss.utils.data import DataLoader, TensorDataset

# w = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
# file = io.BytesIO()
# torch.save(
#     {
#         "w": w, "t": w.t(), "p": torch.nn.Parameter(w[0].clone()),
#         "h": torch.tensor([1.5, -2.0], dtype=torch.bfloat16), "n": torch.tensor(7), "epoch": 3,
#         "size": w.shape, "dtype": torch.float16, "lr": [0.1, None, True],
#     },
#     file,
# )
# print(base64.b85encode(zlib.compress(file.getvalue(), 9)))
PYTORCH = (
    "c-o~^-EY%Y6u)skG0+cSv=k^C1C}yKZKwI-E0wi*51zIXK#D3&kx4GKg&XHMw?!Z!RbpizUJzmr+rzXM#Gf!tNE3"
    "g;_Oho*d*A`_w10tnuTx`RXv@M?tQ*JY_i>NUIax51DTH!4^wt_fdywU~ZD$qFb}V8Qde>b;A3=+;wI<yLly4>|;"
    "07ex#G{BpYlS#&UvByM>WbrbS_F6dp5I#4WRUXtW|ju`X{5D;AsIkq!}Tn3Dfm%_6em<5-AvNG-CKc-nIe$AXd+W"
    "GrMr-$TjDP4xZiGju8Z5m@w$EaTfc*S-1)+36B*>02J9rTs{y+?8-Wp<s@q9BWv6Y<HyZMdnF+Ry-?tfT4}rZ6*v"
    "DZ#_-K<;^(^07#svE^?B8JK5EUjUzeHe?^RL4JGqDa+0rx=yhZ=DB9>1CX0gg1_V~(=nlYnKA5uK+*Er&@t%EL7H"
    "G$21VAV1E?PXy$j5y&@Sh6i@xWQ^}?ue%g-ea=IQaEfvz2%M%|Gcy54fxv77lxCU+;GWmEK{b=j6nkgREezU#?h?"
    "I`p%|oZZXHSuD057Q-0Wef48pDjhmfJ#l;}g(huU{=CjV9a_n+AM`I~!qrLbUTbAL=8`twT~!mfo)i*f>$!=fx)^"
    "ZaFtv{td-r?218HK8`&XQ@p4xBvdR!}7td&9$dc<&E~Bep{C7EOnQ0ml%3+2>HeG95YbA0k2qkq%94Mqk3rI>P><"
    "@R_=y=b{O4_<vN78n0Z(~|KdP~s${nGFoG_`royaZ=x08_077eZN;^+K^je!|PA>0z`e2Mtpsk(E#hs{zuApJ{ne"
    "OV7dVvY$w$VKo*VPQYI&=n}*U@vPoxQmDg7sKx8}0eHcG1w!eaP!y%nq2Dhu+^Wz3tCGiq3`}!q%${YoaJK<-dMe"
    "y0U%!Pb2M31M=hdvG33hyk)WZ-*P&JUihCzRHag>mbHpjtJG@M(wth>N=i*BX+>32Dkb`?rc{+89}^GH|NDKO`p9"
    "#a31&9*8696^Z#ftLM@4jW08PY@KT2q`fhUqghsacXa3s+dlS|}@4ubI*&!Y%WIDkZWw0lQl@ck(y%nlJ7?Z7zpR"
    "}rg<*k}jEv6E>5tBKfX<;Ss)MQl;TMr(I8uA4z(r-<NaNlnLd9Ra_)*cZ%9=F~=OBu|G(S=jGL!CuX7w0eerd$uF"
    "E5B~MinE)g6_#pN*TvtQF"
)


def everything():
    draws = np.random.default_rng(0)
    tensors = collections.OrderedDict()
    for name in [
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
    ]:
        numbers = draws.integers(0, 2 if name == "bool" else 100, (3, 5))
        tensors[name] = schuss.tensor(numbers, dtype=getattr(schuss, name))
    tensors["turned"] = tensors["float32"].t()
    tensors["part"] = schuss.arange(1000.0).view(10, 100)[::2, 1::3]
    tensors["tied"] = tensors["float32"]
    tensors["scalar"] = schuss.tensor(3.5)
    tensors["empty"] = schuss.zeros(0, 4)
    tensors["leaf"] = schuss.ones(2, requires_grad=True)
    tensors["parameter"] = nn.Parameter(schuss.ones(2, 2))
    tensors["frozen"] = nn.Parameter(schuss.ones(1), requires_grad=False)
    return {
        "model": tensors,
        "numbers": [1, -1.5, 2**70, True, None, 1 + 2j, float("inf")],
        "text": "\u00e4\u00e9\n",
        "bytes": b"ab\x00\xff",
        "containers": (1, (2, [3, {4: {5, 6}}]), frozenset({7})),
        "size": schuss.Size([2, 3]),
        "dtype": schuss.bfloat16,
        "device": schuss.device("cpu"),
    }


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, schuss.Tensor):
        assert (a.dtype, a.shape, a.requires_grad) == (b.dtype, b.shape, b.requires_grad)
        assert schuss.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert a == b


def saved(obj):
    file = io.BytesIO()
    schuss.save(obj, file)
    file.seek(0)
    return file


def test_all_kinds_come_back(tmp_path):
    obj = everything()
    for f in (tmp_path / "a.pt", str(tmp_path / "b.pth")):
        schuss.save(obj, f)
        same(schuss.load(f), obj)
    found = schuss.load(saved(obj))
    same(found, obj)
    # Tied tensors are tied again, and what is loaded may be written to.
    model = found["model"]
    model["tied"][0, 0] = -5
    assert model["float32"][0, 0] == -5
    assert schuss.load(saved({"a": model["parameter"]}))["a"].is_leaf


def test_a_file_of_pytorch_is_read():
    found = schuss.load(io.BytesIO(zlib.decompress(base64.b85decode("".join(PYTORCH)))))
    w = schuss.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert list(found) == ["w", "t", "p", "h", "n", "epoch", "size", "dtype", "lr"]
    same(found["w"], w)
    same(found["t"], w.t())
    assert found["t"].data_ptr() == found["w"].data_ptr()
    same(found["p"], nn.Parameter(w[0]))
    same(found["h"], schuss.tensor([1.5, -2.0], dtype=schuss.bfloat16))
    assert found["n"].item() == 7 and found["epoch"] == 3 and found["lr"] == [0.1, None, True]
    assert found["size"] == schuss.Size([2, 2]) and found["dtype"] is schuss.float16


def test_a_file_has_the_form_that_pytorch_reads():
    """What PyTorch's reader needs: names, alignment, and the globals that it allows."""
    file = saved(everything())
    archive = zipfile.ZipFile(file)
    records = {info.filename: info for info in archive.infolist()}
    assert archive.read("archive/version") == b"3\n"
    assert archive.read("archive/byteorder") == b"little"
    for info in records.values():
        head = file.getvalue()[info.header_offset : info.header_offset + 30]
        length, extra = (int.from_bytes(head[k : k + 2], "little") for k in (26, 28))
        assert info.compress_type == zipfile.ZIP_STORED
        assert (info.header_offset + 30 + length + extra) % 64 == 0
    names = {
        arg
        for op, arg, _ in pickletools.genops(archive.read("archive/data.pkl"))
        if op.name == "GLOBAL"
    }
    kinds = ["Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool"]
    assert names == {
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        "torch Size",
        "torch bfloat16",
        "torch device",
        "collections OrderedDict",
        "_codecs encode",
        "__builtin__ set",
        "__builtin__ frozenset",
        "__builtin__ complex",
        *(f"torch {kind}Storage" for kind in kinds),
    }


def train(steps, model, opt, schedule, loader):
    losses = []
    for _ in range(steps):
        for x, y in loader:
            opt.zero_grad()
            loss = nn.functional.mse_loss(model(x), y) + 0.01 * schuss.rand(1).sum()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        schedule.step()
    return losses


def test_training_resumes_to_the_same_bits(tmp_path):
    def begin():
        schuss.manual_seed(3)
        x = schuss.randn(32, 3)
        data = TensorDataset(x, x.sin().sum(1, keepdim=True))
        generator = schuss.Generator().manual_seed(9)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
        opt = optim.AdamW(model.parameters(), lr=0.01)
        schedule = optim.lr_scheduler.StepLR(opt, 2, 0.5)
        return model, opt, schedule, DataLoader(data, 8, shuffle=True, generator=generator)

    first = begin()
    train(2, *first)
    path = tmp_path / "all.pt"
    state = {
        "model": first[0].state_dict(),
        "optimizer": first[1].state_dict(),
        "schedule": first[2].state_dict(),
        "order": first[3].generator.get_state(),
        "random": schuss.get_rng_state(),
    }
    schuss.save(state, path)
    expected = train(3, *first)
    second = begin()
    found = schuss.load(path)
    second[0].load_state_dict(found["model"])
    second[1].load_state_dict(found["optimizer"])
    second[2].load_state_dict(found["schedule"])
    second[3].generator.set_state(found["order"])
    schuss.set_rng_state(found["random"])
    assert train(3, *second) == expected


def test_whole_models_for_files_one_trusts(tmp_path):
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    path = tmp_path / "model.pt"
    schuss.save(model, path)
    with pytest.raises(pickle.UnpicklingError, match=r"Sequential.*weights_only=False"):
        schuss.load(path)
    twin = schuss.load(path, weights_only=False)
    x = schuss.ones(1, 2)
    assert schuss.equal(twin(x), model(x))


def test_places():
    file = saved({"a": schuss.ones(2)})

    def placed(where):
        file.seek(0)
        return schuss.load(file, map_location=where)["a"]

    for where in (None, "cpu", schuss.device("cpu"), {"cpu": "cpu"}, lambda data, where: data):
        assert placed(where).tolist() == [1.0, 1.0]
    assert placed(lambda data, where: data * 2 if where == "cpu" else None).tolist() == [2.0, 2.0]
    with pytest.raises(schuss.DeviceError):
        placed("cuda:99")


class Bomb:
    """Runs when it is unpickled by something careless."""

    def __reduce__(self):
        return (os.system, ("touch bomb",))


def archived(pickled, records=None, order=None):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        if order:
            archive.writestr("archive/byteorder", order)
        for name, data in (records or {}).items():
            archive.writestr(f"archive/data/{name}", data)
    file.seek(0)
    return file


def tensor_pickle(size="(K\x02tq", stride=b"K\x01\x85", offset=b"K\x00", count=b"K\x02"):
    """A pickle of one float32 tensor, put together by hand."""
    storage = (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    )
    rest = b"\x89ccollections\nOrderedDict\n)R"
    head = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
    return head + storage + count + b"tQ" + offset + size + stride + rest + b"tR."


TWO = np.array([1.0, 2.0], dtype="<f4").tobytes()


def test_a_pickle_by_hand_is_read():
    found = schuss.load(archived(tensor_pickle(b"K\x02\x85"), {"0": TWO}))
    assert found.tolist() == [1.0, 2.0]
    swapped = np.array([1.0, 2.0], dtype=">f4").tobytes()
    found = schuss.load(archived(tensor_pickle(b"K\x02\x85"), {"0": swapped}, "big"))
    assert found.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: archived(pickle.dumps(Bomb())), "(posix|nt).system"),
        (lambda: archived(pickle.dumps(Bomb(), 0)), "(posix|nt).system"),
        (lambda: archived(b"cbuiltins\neval\n(V1\ntR."), "builtins.eval"),
        (lambda: archived(b"c__builtin__\ngetattr\n."), "__builtin__.getattr"),
        (lambda: archived(b"cschuss\nload\n(V/etc/passwd\ntR."), "schuss.load"),
        (lambda: archived(b"ctorch\nload\n."), "torch.load"),
        (lambda: archived(b"ccollections\nOrderedDict.fromkeys\n."), "OrderedDict.fromkeys"),
        (lambda: archived(b"\x82\x01."), "damaged"),
        (lambda: archived(b""), "damaged"),
        (lambda: archived(b"\x80\x02}q"), "damaged"),
        (lambda: archived(b"\x80\x02]a."), "damaged"),
        (lambda: archived(b"\x80\x63."), "damaged|unsupported"),
        (lambda: archived(b"\x80\x02K\x05Q."), "names no storage"),
        (lambda: archived(b"c_codecs\nencode\n(Va\nVutf-7\ntR."), "not how bytes"),
        (lambda: archived(tensor_pickle(b"K\x03\x85"), {"0": TWO}), "passes its storage"),
        (lambda: archived(tensor_pickle(b"K\x02\x85", b"K\x05\x85"), {"0": TWO}), "passes"),
        (
            lambda: archived(tensor_pickle(b"J\xff\xff\xff\xff\x85"), {"0": TWO}),
            "passes its storage",
        ),
        (lambda: archived(tensor_pickle(b"K\x02\x85", offset=b"K\x01"), {"0": TWO}), "passes"),
        (lambda: archived(tensor_pickle(b"K\x02\x85", b")"), {"0": TWO}), "is none"),
        (lambda: archived(tensor_pickle(b"X\x01\x00\x00\x00a"), {"0": TWO}), "is none"),
    ],
)
def test_hostile_pickles_are_refused(make, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match=match):
        schuss.load(make())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: io.BytesIO(b""), "begins with b''"),
        (lambda: io.BytesIO(b"hello, world"), "neither a checkpoint"),
        (lambda: io.BytesIO(pickle.dumps({}, 2)), "plain pickle"),
        (lambda: io.BytesIO(saved(everything()).getvalue()[:500]), "damaged or cut off"),
        (lambda: archived(tensor_pickle(b"K\x02\x85")), "no record data/0"),
        (lambda: archived(tensor_pickle(b"K\x02\x85"), {"0": TWO[:-1]}), "has 7 bytes.*needs 8"),
        (lambda: archived(tensor_pickle(b"K\x02\x85"), {"0": TWO}, "middle"), "'middle'"),
    ],
)
def test_damaged_files_are_refused(make, match):
    with pytest.raises(RuntimeError, match=match):
        schuss.load(make())


def test_every_flipped_byte_is_survived():
    whole = saved({"w": schuss.arange(6.0).view(2, 3), "k": [1, "a"]}).getvalue()
    rng = np.random.default_rng(1)
    for place in rng.choice(len(whole), 400, replace=False):
        data = bytearray(whole)
        data[place] ^= 1 << int(rng.integers(8))
        with contextlib.suppress(RuntimeError, pickle.UnpicklingError):
            schuss.load(io.BytesIO(bytes(data)))


def test_every_cut_is_survived():
    whole = saved({"w": schuss.arange(6.0)}).getvalue()
    for length in range(0, len(whole) - 1, 7):
        with pytest.raises((RuntimeError, pickle.UnpicklingError)):
            schuss.load(io.BytesIO(whole[:length]))


def test_zips_and_scripts_that_are_no_checkpoints():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/b.txt", "x")
    file.seek(0)
    with pytest.raises(RuntimeError, match=r"no data.pkl"):
        schuss.load(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("m/data.pkl", b"N.")
        archive.writestr("m/constants.pkl", b"N.")
    file.seek(0)
    with pytest.raises(RuntimeError, match="TorchScript"):
        schuss.load(file)


class Full(io.RawIOBase):
    """A disk with room for so many bytes."""

    def __init__(self, inner, room):
        self.inner, self.room = inner, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(28, "No space left on device")
        return self.inner.write(data)

    def writable(self):
        return True

    def fileno(self):
        return self.inner.fileno()

    def tell(self):
        return self.inner.tell()

    def seek(self, *place):
        return self.inner.seek(*place)

    def close(self):
        self.inner.close()
        super().close()


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
@pytest.mark.parametrize("room", [0, 100, 30_000])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, room, name):
    path = tmp_path / name
    old = {"w": schuss.ones(3)}
    schuss.save(old, path)
    real = os.fdopen

    def narrow(handle, mode):
        return Full(real(handle, mode), room)

    monkeypatch.setattr("schuss.serialization.os.fdopen", narrow)
    with pytest.raises(OSError, match="No space left"):
        schuss.save({"w": schuss.zeros(10_000)}, path)
    monkeypatch.undo()
    same(schuss.load(path), old)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_an_error_while_saving_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.pt"
    schuss.save([1], path)
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        schuss.save([2, lambda: 0], path)
    assert schuss.load(path) == [1] and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(FileNotFoundError, match="is not there"):
        schuss.save([1], tmp_path / "none" / "a.pt")
    with pytest.raises(FileNotFoundError):
        schuss.load(tmp_path / "b.pt")
    with pytest.raises(ValueError, match="pickle_module"):
        schuss.save([1], path, pickle_module=json)


def test_a_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "a.pt"
    schuss.save(1, path)
    os.chmod(path, 0o640)
    schuss.save(2, path)
    assert path.stat().st_mode & 0o777 == 0o640 and schuss.load(path) == 2


def header(**entries):
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def test_safetensors(tmp_path):
    tensors = {k: v.detach() for k, v in everything()["model"].items()}
    schuss.save(tensors, tmp_path / "a.safetensors")
    found = schuss.load(tmp_path / "a.safetensors")
    assert list(found) == list(tensors)
    for name, x in tensors.items():
        assert found[name].dtype == x.dtype and schuss.equal(found[name], x), name
    by_hand = header(
        __metadata__={"k": "v"},
        b={"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
        a={"dtype": "BOOL", "shape": [], "data_offsets": [8, 9]},
    )
    found = schuss.load(io.BytesIO(by_hand + TWO + b"\x01"))
    assert found["b"].tolist() == [[1.0, 2.0]] and found["a"].item() is True
    waves = {"z": schuss.tensor([1 + 2j, -1j])}
    schuss.save(waves, tmp_path / "z.safetensors")
    assert schuss.load(tmp_path / "z.safetensors")["z"].tolist() == [1 + 2j, -1j]
    with pytest.raises(TypeError, match="safetensors have no complex128, which 'z' is"):
        schuss.save({"z": waves["z"].to(schuss.complex128)}, tmp_path / "z.safetensors")
    for bad in ({"w": 1}, [schuss.ones(1)], {1: schuss.ones(1)}):
        with pytest.raises(TypeError, match="safetensors"):
            schuss.save(bad, tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"\xff" * 7 + b"\x00{", "too long"),
        (b"\x05\x00\x00\x00\x00\x00\x00\x00{abc}", "damaged"),
        (header(a={"dtype": "F33", "shape": [], "data_offsets": [0, 4]}), "F33"),
        (header(a={"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}), "8 bytes"),
        (header(a={"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}), "shape"),
        (header(a={"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}), "0 is next"),
        (header(a={"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}), "cut off"),
        (header(a=[1]), "damaged"),
        (header() + b"abc", "3 bytes after"),
        (
            b"\x0e\x00\x00\x00\x00\x00\x00\x00" + b'{"a":1, "a":2}',
            "twice",
        ),
    ],
)
def test_damaged_safetensors_are_refused(data, match):
    with pytest.raises(RuntimeError, match=match):
        schuss.load(io.BytesIO(data))


def test_a_header_as_long_as_a_zip_begins():
    # 19,280 is "PK" as the length of a header; blanks fill it.
    body = schuss.ones(2).numpy().tobytes()
    header = b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'.ljust(19280)
    data = (19280).to_bytes(8, "little") + header + body
    assert data[:2] == b"PK"
    assert schuss.load(io.BytesIO(data))["x"].tolist() == [1.0, 1.0]
