"""Whole programs, written as programs for PyTorch and TensorFlow are, run with other imports alone.

Leans on the texts in programs/, which end with assertions of their own; data are made here, small.
"""

from __future__ import annotations

import pickle
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import schuss

HERE = Path(__file__).resolve().parent / "programs"
PROGRAMS = sorted(path.stem for path in HERE.glob("*.py"))

# The whole change: where a name is imported from.
MODULES = {"torchvision": "schuss.vision", "torch": "schuss", "tensorflow": "schuss.tf"}
LINE = re.compile(
    r"^(?P<start>import|from) (?P<top>torchvision|torch|tensorflow)(?P<rest>[\w.]*)(?P<end>.*)$",
    re.M,
)


def changed(text: str) -> str:
    """The program with its import lines changed and nothing else."""

    def line(found: re.Match) -> str:
        start, top, rest, end = found.group("start", "top", "rest", "end")
        module = MODULES[top] + rest
        if start == "import" and " as " not in end:
            # `import torch.nn` binds the name torch.
            loaded = f"import {module}; " if rest else ""
            return f"{loaded}import {MODULES[top]} as {top}{end}"
        return f"{start} {module}{end}"

    return LINE.sub(line, text)


def digits_in(folder: Path) -> None:
    """Six kinds of blurred strokes in MNIST's files."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for part, n in (("train", 320), ("t10k", 80)):
        labels = draw.integers(0, 6, n)
        images = draw.integers(0, 60, (n, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[4 + 4 * (label % 3) : 9 + 4 * (label % 3), 3:25] += 150
            image[3:25, 5 + 12 * (label // 3) : 9 + 12 * (label // 3)] += 120
        images = images.clip(0, 255)
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (raw / f"{part}-{name}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())


def colours_in(folder: Path) -> None:
    """Pictures of four plain colours in CIFAR's files."""
    folder = folder / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    shades = np.array([(220, 40, 40), (40, 220, 40), (40, 40, 220), (220, 220, 40)])
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        labels = draw.integers(0, 4, 32)
        rows = np.repeat(shades[labels], 1024, 1) + draw.integers(-20, 20, (32, 3072))
        content = {"data": rows.clip(0, 255).astype(np.uint8), "labels": labels.tolist()}
        (folder / name).write_bytes(pickle.dumps(content))


def album_in(folder: Path) -> None:
    """Reddish and bluish pictures in folders."""
    image = pytest.importorskip("PIL.Image", reason="Pillow writes and reads the pictures")
    draw = np.random.default_rng(0)
    for part, n in (("train", 24), ("val", 6)):
        for kind, shade in (("ants", (190, 60, 40)), ("bees", (40, 70, 200))):
            (folder / part / kind).mkdir(parents=True)
            for i in range(n):
                pixels = draw.integers(0, 50, (40, 48, 3)) + np.array(shade)
                picture = image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                picture.save(folder / part / kind / f"{i}.png")


@pytest.mark.parametrize("name", PROGRAMS)
# Programs of the world zip without strict, leave files open, and call what is deprecated.
@pytest.mark.filterwarnings("default")
def test_program(name, tmp_path, monkeypatch, capsys):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    # Software adapters are slow; what runs on a GPU is tested for itself.
    monkeypatch.setattr(schuss.cuda, "is_available", lambda: False)
    monkeypatch.setattr(schuss.accelerator, "is_available", lambda: False)
    text = (HERE / f"{name}.py").read_text(encoding="utf-8")
    if "MNIST" in text:
        digits_in(tmp_path / "data")
    if "CIFAR10" in text:
        colours_in(work / "data")
    if "album" in text:
        album_in(work / "album")
    program = changed(text)
    assert not re.search(r"^\s*(import|from) (torch|tensorflow)", program, re.M)
    schuss.manual_seed(0)
    exec(compile(program, f"{name}.py", "exec"), {"__name__": "__main__"})


def test_nothing_but_imports_changes():
    text = "import torch\nimport torch.nn as nn\nfrom torch import optim\nx = torch.ones(2)\n"
    assert changed(text).splitlines() == [
        "import schuss as torch",
        "import schuss.nn as nn",
        "from schuss import optim",
        "x = torch.ones(2)",
    ]
    assert changed("import torch.utils.data\n") == (
        "import schuss.utils.data; import schuss as torch\n"
    )


def test_there_are_programs_of_every_kind():
    assert len(PROGRAMS) >= 18
    assert {"tape_loop", "transfer", "policies", "language_model"} <= set(PROGRAMS)
