"""Checkpoints in PyTorch's format from before 2020: read, damaged, hostile.

Leans on schuss and pytest; the file was written by PyTorch 2.15's `torch.save(...,
_use_new_zipfile_serialization=False)`, as most weights published until then are.
"""

from __future__ import annotations

import base64
import io
import pickle
import random
import zlib

import pytest
import schuss
from conftest import refuses
from schuss.serialization.stream import MAGIC

# {"state": OrderedDict(w=arange(6.).view(2, 3), col=w[:, 1], b=[True, False], h=ones(2) in
# bfloat16, e=zeros(0, 2)), "p": Parameter([1.5]) in float64, "epoch": 3}
FILE = (
    b"c-"
    b"nQ6*>2N76o$QI0YgjKDQnqNmeA}8TPjrbX2eo+;~Qip&Zssrnf&&+2&786Nhmx67hLjcya7mDaBQc6Kp1&OnwjJ8{Q"
    b"sFV)IJ&h&(E7bR$hO7v0NN#PrvE3?m{V8ONycl0wIMXe0zrnp(pxKDZpBw8{d=C=Qi*6yiOn5o@LOXd^g~B=)LD5^j"
    b"%~MR+bJ!R|FDSrdc}eyuL(^Wvooh5dCfBStg41b0+b!BRN!u()!$ylr=P-2R$C}-"
    b"iGH$1KO$yy<n*n`xY5TiokJ;b|gJNH0*$PBhT;IlJ`Rq*gItd*+Rj}CtwkDwmEX?FUF=XI`U<DXdrJbQcSDTDmQD5T"
    b"C>@zm+Cl>Xm$n>4zk=c31f>XOk?^OhnUXPF%ExpV>t^Fizbew(Za`)OG(|FI~RJ?O<~8jn98&fjx&9P6DjDV#3>V}6"
    b"LVdhNih?>PlWKNa+iOTtF>0S)+jZrI7?)W$mbH7Bb;aI2p3ZFMTtu$RuZy{%d_O96s7u<eq~m7Ypq<a;_8HcZ9=~u("
    b"{H5on-"
    b"T>Rs|lUs*1z^+k&SAlQpat=D1^BaV+b_HT`DQnvY4XoNvxSDMG0$w@_!z9&<Q$kxa5I>%8Z!}5p{h&wNm}tN~PXJjW"
    b"npFp&n}>7mavnrukbE_f0(5OEwQb;E{>PNn`SXa9p&R9=GeOxLxNwfjZB!Hm?ozc{R?=Q=8>QO-"
    b"YBU?2nxC=NPtWS*MTYkmi?lZF)0ot243R+rI!2HT_Q"
)
DATA = zlib.decompress(base64.b85decode(FILE))


def loaded(data):
    return schuss.load(io.BytesIO(data))


def test_what_was_saved_is_read():
    found = loaded(DATA)
    state = found["state"]
    assert list(state) == ["w", "col", "b", "h", "e"] and found["epoch"] == 3
    assert state["w"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert state["b"].tolist() == [True, False] and state["e"].shape == (0, 2)
    assert state["h"].dtype == schuss.bfloat16 and state["h"].tolist() == [1.0, 1.0]
    own = found["p"]
    assert isinstance(own, schuss.nn.Parameter) and own.is_leaf and own.requires_grad
    assert own.dtype == schuss.float64 and own.tolist() == [1.5]
    # A column is still a column of the same elements.
    state["w"][0, 1] = 70
    assert state["col"].tolist() == [70.0, 4.0]


def test_a_place_may_be_named():
    seen = []
    found = schuss.load(io.BytesIO(DATA), map_location=lambda x, where: seen.append(where) or x)
    assert set(seen) == {"cpu"} and found["state"]["w"].sum() == 15


def test_every_beginning_of_it_is_refused():
    for size in range(len(DATA)):
        with pytest.raises((RuntimeError, pickle.UnpicklingError), match=r"^load: "):
            loaded(DATA[:size])


def test_damage_is_noticed_or_harmless():
    random.seed(0)
    said = 0
    for _ in range(300):
        data = bytearray(DATA)
        for _ in range(3):
            data[random.randrange(len(MAGIC), len(data))] = random.randrange(256)
        try:
            loaded(bytes(data))
        except (RuntimeError, pickle.UnpicklingError) as error:
            assert str(error).startswith("load: ")
            said += 1
    assert said > 200


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit",)


@pytest.mark.parametrize("part", range(4))
def test_no_code_of_it_is_run(part):
    parts = [1001, {"little_endian": True}, {}, []]
    parts[part] = Evil()
    with refuses(pickle.UnpicklingError, "exec, which is no part of a state dict"):
        loaded(MAGIC + b"".join(pickle.dumps(p, 2) for p in parts))


def test_another_version_or_a_plain_pickle():
    parts = (1000, {"little_endian": True}, {}, [])
    with refuses(RuntimeError, "load: the checkpoint is of a version that is not known"):
        loaded(MAGIC + b"".join(pickle.dumps(p, 2) for p in parts))
    with refuses(RuntimeError, "load: this is a plain pickle and no checkpoint"):
        loaded(pickle.dumps({"a": 1}))
    with refuses(RuntimeError, "load: the file lists elements 'x' that no tensor has"):
        loaded(MAGIC + b"".join(pickle.dumps(p, 2) for p in (1001, {}, {}, ["x"])))
