"""A disk that is full while a checkpoint is written: the old one stays, and nothing else is left.
Leans on the limit that a process can put on the size of its own files."""

from __future__ import annotations

import signal

import pytest
import schuss

resource = pytest.importorskip("resource", reason="limits of files are the system's")


@pytest.fixture
def small_disk():
    """Files of more than 100,000 bytes cannot be written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))

    yield fill
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, heard)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_the_old_checkpoint_stays_whole(name, tmp_path, small_disk):
    path = tmp_path / name
    old = {"w": schuss.arange(50_000.0)}
    schuss.save(old, path)
    small_disk()
    with pytest.raises(OSError, match=rf"save: .*{name} could not be written: .* is whole"):
        schuss.save({"w": schuss.zeros(50_000)}, path)
    with pytest.raises(OSError, match=r"save: .*new\.pt could not be written: \w+"):
        schuss.save({"w": schuss.zeros(50_000)}, tmp_path / "new.pt")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert schuss.equal(schuss.load(path)["w"], old["w"])
