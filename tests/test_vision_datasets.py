"""Data sets read from files in their published forms, and what is said of damaged ones.

Leans on schuss.vision.datasets; the files are written here, small, byte by byte.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss.utils.data import DataLoader
from schuss.vision import datasets, transforms
from schuss.vision.datasets import download, handwriting

pytest.importorskip("PIL", reason="the pictures of these sets are Pillow's")


def idx_of(array):
    kinds = {"u1": 8, "i4": 12, "f4": 13}
    head = bytes([0, 0, kinds[array.dtype.str[1:]], array.ndim])
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return head + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


NAMES = {
    "images": "train-images-idx3-ubyte",
    "labels": "train-labels-idx1-ubyte",
}


class Raw:
    """A folder with seven pictures in MNIST's form."""

    def __init__(self, root, kind="MNIST"):
        self.root, self.folder = root, root / kind / "raw"
        self.folder.mkdir(parents=True)
        draw = np.random.default_rng(0)
        self.images = draw.integers(0, 256, (7, 28, 28), dtype=np.uint8)
        self.labels = draw.integers(0, 10, 7, dtype=np.uint8)
        self.put("images", idx_of(self.images))
        self.put("labels", idx_of(self.labels))

    def put(self, what, data, ending=""):
        (self.folder / (NAMES[what] + ending)).write_bytes(data)


@pytest.fixture
def files(tmp_path):
    return Raw(tmp_path)


@pytest.mark.parametrize("kind", ["MNIST", "FashionMNIST", "KMNIST"])
@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path, kind, packed):
    files = Raw(tmp_path, kind)
    if packed:
        for name in NAMES.values():
            path = files.folder / name
            path.with_name(name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    data = getattr(datasets, kind)(root=tmp_path, train=True, transform=transforms.ToTensor())
    assert len(data) == 7 and len(data.classes) == 10
    assert np.array_equal(data.data.numpy(), files.images)
    assert data.targets.tolist() == files.labels.tolist()
    image, label = data[3]
    assert image.shape == (1, 28, 28) and label == files.labels[3]
    assert np.array_equal((image[0] * 255).round().numpy(), files.images[3])
    assert "Split: Train" in repr(data) and "Number of datapoints: 7" in repr(data)


def test_a_picture_is_pillows(files):
    image, label = datasets.MNIST(files.root)[0]
    assert image.size == (28, 28) and image.mode == "L" and isinstance(label, int)
    assert np.array_equal(np.asarray(image), files.images[0])


def test_without_pillow_it_is_an_array(files, monkeypatch):
    from schuss.vision.transforms import pictures

    monkeypatch.setattr(pictures, "has_pillow", lambda: False)
    data = datasets.MNIST(files.root)
    assert np.array_equal(data[2][0], files.images[2])
    assert transforms.ToTensor()(data[2][0]).shape == (1, 28, 28)


def test_in_batches(files):
    data = datasets.MNIST(
        files.root, transform=transforms.ToTensor(), target_transform=lambda y: y + 1
    )
    x, y = next(iter(DataLoader(data, batch_size=5)))
    assert x.shape == (5, 1, 28, 28) and y.dtype == schuss.int64
    assert y.tolist() == [int(label) + 1 for label in files.labels[:5]]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kind", ["MNIST", "CIFAR10"])
def test_whole_batches_are_the_same_bits(tmp_path, monkeypatch, kind, shuffle):
    if kind == "MNIST":
        Raw(tmp_path)
    else:
        put_cifar10(tmp_path)
    chain = [transforms.ToTensor(), transforms.Normalize(0.3, 0.2)]
    data = getattr(datasets, kind)(tmp_path, transform=transforms.Compose(chain))
    part = schuss.utils.data.Subset(data, [5, 1, 1, 6])
    asked = []
    monkeypatch.setattr(datasets.base, "picture_of", lambda x: asked.append(1) or x)
    for source in (data, part):
        asked.clear()
        assert source is part or data.whole_batches() is not None
        whole = list(DataLoader(source, batch_size=3))
        assert not asked and len(whole) == -(-len(source) // 3)
        slow = [source[i] for i in range(len(source))]
        assert len(asked) == len(source)
        assert schuss.equal(schuss.cat([x for x, _ in whole]), schuss.stack([x for x, _ in slow]))
        assert schuss.cat([y for _, y in whole]).tolist() == [y for _, y in slow]
    schuss.manual_seed(3)
    first = [y.tolist() for _, y in DataLoader(data, batch_size=3, shuffle=shuffle)]
    schuss.manual_seed(3)
    loader = DataLoader(data, batch_size=3, shuffle=shuffle, collate_fn=lambda s: [y for _, y in s])
    assert list(loader) == first


def test_what_must_be_made_one_by_one(files):
    data = datasets.MNIST(files.root, transform=transforms.RandomHorizontalFlip())
    assert data.whole_batches() is None
    data.transform = transforms.ToTensor()
    assert data.whole_batches() is not None
    data.target_transform = str
    assert data.whole_batches() is None
    data.target_transform, data.transform = None, transforms.Compose([])
    assert data.whole_batches() is None

    class Own(datasets.MNIST):
        def _found(self, name):
            return str(files.folder / name)

        def __getitem__(self, index):
            return (*super().__getitem__(index), index)

    own = Own(files.root, transform=transforms.ToTensor())
    assert own.whole_batches() is None
    assert len(next(iter(DataLoader(own, batch_size=2)))) == 3


def test_numbers_of_every_kind(tmp_path):
    for array in (np.arange(6, dtype=np.int32).reshape(2, 3), np.ones((2, 2, 1), np.float32)):
        path = tmp_path / "x"
        path.write_bytes(idx_of(array))
        found = handwriting.read_idx(path)
        assert found.dtype == array.dtype and np.array_equal(found, array)


def damaged(files, what, change):
    data = (files.folder / NAMES[what]).read_bytes()
    files.put(what, change(data))


@pytest.mark.parametrize(
    ("what", "change", "words"),
    [
        ("images", lambda data: data[:-1], ("5488", "5487")),
        ("images", lambda data: data + b"x", ("5488", "more")),
        ("images", lambda data: b"", ("no idx file",)),
        ("images", lambda data: b"<html>404</html>", ("no idx file",)),
        ("images", lambda data: data[:9], ("cut off",)),
        ("images", lambda data: data[:4] + b"\xff" * 12, ("cannot be",)),
        ("labels", lambda data: data[:8] + b"\x0a" * 7, ("label 10", "10 classes")),
        ("labels", lambda data: data[:4] + struct.pack(">I", 3) + b"\1\2\3", ("7", "3", "one set")),
    ],
)
def test_damaged_idx(files, what, change, words):
    damaged(files, what, change)
    with refuses(RuntimeError, *words):
        datasets.MNIST(files.root)


def test_swapped_idx(files):
    images, labels = (files.folder / name for name in NAMES.values())
    images.rename(files.folder / "x")
    labels.rename(images)
    (files.folder / "x").rename(labels)
    with refuses(RuntimeError, "swapped", (7,)):
        datasets.MNIST(files.root)


def test_cut_off_gzip(files):
    whole = gzip.compress(idx_of(files.images))
    (files.folder / NAMES["images"]).unlink()
    for part in (whole[: len(whole) // 2], whole[:-4], b"\x1f\x8b" + b"\0" * 40):
        files.put("images", part, ".gz")
        with refuses(RuntimeError, "train-images-idx3-ubyte.gz", "damaged or cut off"):
            datasets.MNIST(files.root)


def test_missing(tmp_path, files):
    with refuses(RuntimeError, "not found", "t10k-images-idx3-ubyte", "download=True"):
        datasets.MNIST(files.root, train=False)
    with refuses(RuntimeError, "not found", "KMNIST", "train-labels-idx1-ubyte"):
        datasets.KMNIST(files.root)
    with refuses(AttributeError, "LSUN", "MNIST", "__getitem__"):
        datasets.LSUN  # noqa: B018


# ---- downloading, from a folder in the network's place ------------------------------------------


def published(tmp_path, monkeypatch):
    """Make MNIST's addresses point at a folder of this machine."""
    shop = tmp_path / "shop"
    shop.mkdir()
    draw = np.random.default_rng(1)
    resources = []
    for part in ("train", "t10k"):
        for name, array in (
            ("images-idx3", draw.integers(0, 256, (3, 28, 28), dtype=np.uint8)),
            ("labels-idx1", np.arange(3, dtype=np.uint8)),
        ):
            path = shop / f"{part}-{name}-ubyte.gz"
            path.write_bytes(gzip.compress(idx_of(array)))
            resources.append((path.name, hashlib.md5(path.read_bytes()).hexdigest()))
    monkeypatch.setattr(datasets.MNIST, "mirrors", ("file:///no/such/place/", shop.as_uri() + "/"))
    monkeypatch.setattr(datasets.MNIST, "resources", tuple(resources))
    return shop


def test_download(tmp_path, monkeypatch):
    shop = published(tmp_path, monkeypatch)
    data = datasets.MNIST(tmp_path / "data", download=True)
    assert len(data) == 3 and set(data.verify().values()) == {True} and len(data.verify()) == 4
    # A second time nothing is fetched.
    for path in shop.iterdir():
        path.unlink()
    assert len(datasets.MNIST(tmp_path / "data", train=False, download=True)) == 3


def test_download_of_another_file(tmp_path, monkeypatch):
    shop = published(tmp_path, monkeypatch)
    (shop / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
    with refuses(RuntimeError, "MD5", hashlib.md5(b"something else").hexdigest()):
        datasets.MNIST(tmp_path / "data", download=True)
    # Nothing is left that could be taken for the file.
    assert os.listdir(tmp_path / "data" / "MNIST" / "raw") == []


def test_download_without_a_network(tmp_path, monkeypatch):
    published(tmp_path, monkeypatch)
    monkeypatch.setattr(datasets.MNIST, "mirrors", ("file:///no/such/place/",))
    with refuses(RuntimeError, "train-images-idx3-ubyte.gz", "by hand", "file:///no/such/place/"):
        datasets.MNIST(tmp_path / "data", download=True)


def test_progress_is_told(tmp_path):
    source, told = tmp_path / "source", []
    source.write_bytes(b"x" * 200_000)
    download.fetch(source.as_uri(), str(tmp_path / "copy"), None, lambda *at: told.append(at))
    assert told[-1] == (200_000, 200_000) and len(told) > 2
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    with refuses(ValueError, "ftp"):
        download.fetch("ftp://x/y", str(tmp_path / "z"))


# ---- CIFAR --------------------------------------------------------------------------------------


def cifar_rows(n=4, top=10):
    draw = np.random.default_rng(2)
    return draw.integers(0, 256, (n, 3072), dtype=np.uint8), draw.integers(0, top, n).tolist()


def put_cifar10(root):
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    parts = {}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        rows, labels = cifar_rows()
        parts[name] = rows, labels
        content = {b"data": rows, b"labels": labels, b"batch_label": b"x"}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder, parts


def test_cifar10(tmp_path):
    _, parts = put_cifar10(tmp_path)
    data = datasets.CIFAR10(str(tmp_path), transform=transforms.ToTensor())
    assert len(data) == 20 and data.data.shape == (20, 32, 32, 3)
    rows, labels = parts["data_batch_1"]
    image, label = data[2]
    assert np.array_equal((image * 255).round().numpy().ravel(), rows[2])
    assert label == labels[2] and data.class_to_idx["truck"] == 9
    assert datasets.CIFAR10(tmp_path, train=False)[0][0].size == (32, 32)


def test_cifar10_binary(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rows, labels = cifar_rows()
    whole = np.concatenate([np.array(labels, np.uint8)[:, None], rows], 1)
    (folder / "test_batch.bin").write_bytes(whole.tobytes())
    data = datasets.CIFAR10(tmp_path, train=False)
    assert data.targets == labels
    assert np.array_equal(data.data.transpose(0, 3, 1, 2).reshape(4, -1), rows)
    (folder / "test_batch.bin").write_bytes(whole.tobytes()[:-1])
    with refuses(RuntimeError, "test_batch.bin", "cut off"):
        datasets.CIFAR10(tmp_path, train=False)


def test_cifar100(tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    rows, labels = cifar_rows(top=100)
    content = {"data": rows, "fine_labels": labels, "coarse_labels": [0] * 4}
    (folder / "train").write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": ["apple"] * 100}))
    data = datasets.CIFAR100(tmp_path)
    assert data.targets == labels and data.classes[0] == "apple"


class Bomb:
    def __reduce__(self):
        return os.system, ("touch was-run",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({b"data": Bomb(), b"labels": [1]}, ("system",)),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, ("as many labels",)),
        ({b"data": np.zeros((1, 5), np.uint8), b"labels": [1]}, ("3072",)),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [77]}, ("77", "10 classes")),
        ({b"data": np.array([None]), b"labels": [1]}, ("damaged or no CIFAR file",)),
        ([1], ("list",)),
    ],
)
def test_hostile_cifar(tmp_path, monkeypatch, content, words):
    monkeypatch.chdir(tmp_path)
    folder, _ = put_cifar10(tmp_path)
    (folder / "test_batch").write_bytes(pickle.dumps(content, protocol=2))
    with refuses(RuntimeError, "test_batch", *words):
        datasets.CIFAR10(tmp_path, train=False)
    assert not (tmp_path / "was-run").exists()


def test_cut_off_cifar(tmp_path):
    folder, _ = put_cifar10(tmp_path)
    whole = (folder / "test_batch").read_bytes()
    (folder / "test_batch").write_bytes(whole[:-100])
    with refuses(RuntimeError, "test_batch", "damaged"):
        datasets.CIFAR10(tmp_path, train=False)
    with refuses(RuntimeError, "not found", "cifar-100-python"):
        datasets.CIFAR100(tmp_path)


def test_cifar_download(tmp_path, monkeypatch):
    put_cifar10(tmp_path / "made")
    shop = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(shop, "w:gz") as archive:
        archive.add(tmp_path / "made" / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "url", shop.as_uri())
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", download.md5_of(shop))
    assert len(datasets.CIFAR10(tmp_path / "data", download=True)) == 20


def test_an_archive_that_climbs_out(tmp_path):
    (tmp_path / "x").write_text("x")
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.add(tmp_path / "x", "../../outside")
    with refuses(RuntimeError, "bad.tar", "outside"):
        download.unpack(str(tmp_path / "bad.tar"), str(tmp_path / "in"))


# ---- folders ------------------------------------------------------------------------------------


@pytest.fixture
def album(tmp_path):
    from PIL import Image

    for kind, count in (("cat", 2), ("dog", 3)):
        (tmp_path / kind).mkdir()
        for i in range(count):
            Image.new("RGB", (6, 4), (i * 40, 0, 9)).save(tmp_path / kind / f"{i}.png")
    (tmp_path / "dog" / "notes.txt").write_text("no picture")
    return tmp_path


def test_image_folder(album):
    data = datasets.ImageFolder(album, transform=transforms.ToTensor())
    assert data.classes == ["cat", "dog"] and data.targets == [0, 0, 1, 1, 1] and len(data) == 5
    image, label = data[4]
    assert image.shape == (3, 4, 6) and label == 1
    assert image[:, 0, 0].mul(255).round().tolist() == [80, 0, 9]
    assert data.imgs[0][0].endswith("0.png")


def test_image_folder_with_damage(album):
    (album / "cat" / "0.png").write_bytes((album / "cat" / "1.png").read_bytes()[:50])
    with refuses(RuntimeError, "0.png", "damaged"):
        datasets.ImageFolder(album)[0]
    (album / "empty").mkdir()
    with refuses(FileNotFoundError, "empty", ".png"):
        datasets.ImageFolder(album)
    assert len(datasets.ImageFolder(album, allow_empty=True)) == 5
    with refuses(FileNotFoundError, "no class folder"):
        datasets.ImageFolder(album / "empty")
    with refuses(FileNotFoundError, "ImageFolder: there is no folder", "nowhere"):
        datasets.ImageFolder(album / "nowhere")


def test_any_files(album):
    data = datasets.DatasetFolder(album, lambda path: path[-5:], extensions=(".txt",),
                                  allow_empty=True)  # fmt: skip
    assert list(data) == [("s.txt", 1)]


# ---- letters ------------------------------------------------------------------------------------

COUNTS = {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 27, "digits": 10, "mnist": 10}


def emnist_files(folder, split, labels, part="train"):
    pictures = np.arange(len(labels) * 784, dtype=np.int64).reshape(-1, 28, 28).astype(np.uint8)
    stem = f"emnist-{split}-{part}"
    return {
        f"{stem}-images-idx3-ubyte": idx_of(pictures),
        f"{stem}-labels-idx1-ubyte": idx_of(np.array(labels, np.uint8)),
    }


@pytest.mark.parametrize("split", COUNTS)
@pytest.mark.parametrize("train", [True, False])
def test_emnist(tmp_path, split, train):
    folder = tmp_path / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    labels = [0, COUNTS[split] - 1, 1]
    parts = emnist_files(folder, split, labels, "train" if train else "test")
    for name, data in parts.items():
        (folder / name).write_bytes(data)
    data = datasets.EMNIST(tmp_path, split, train=train)
    assert len(data) == 3 and len(data.classes) == COUNTS[split] and data.targets.tolist() == labels
    picture, label = data[1]
    assert picture.size == (28, 28) and label == COUNTS[split] - 1


def test_classes_of_emnist():
    classes = datasets.EMNIST.classes_split_dict
    assert classes["letters"][:3] == ["N/A", "a", "b"] and classes["byclass"][9:12] == list("9AB")
    # The 15 letters whose capitals look alike are merged into those.
    assert set(classes["byclass"]) - set(classes["balanced"]) == set("cijklmopsuvwxyz")


def test_emnist_is_unpacked(tmp_path, monkeypatch):
    import zipfile

    source = tmp_path / "gzip.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for split in ("letters", "digits"):
            for name, data in emnist_files(tmp_path, split, [1, 2]).items():
                archive.writestr(f"gzip/{name}.gz", gzip.compress(data))
        archive.writestr("../../outside.gz", b"never written")
    md5 = hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(datasets.EMNIST, "mirrors", (tmp_path.as_uri() + "/",))
    monkeypatch.setattr(datasets.EMNIST, "resources", (("gzip.zip", md5),))
    root = tmp_path / "root"
    assert len(datasets.EMNIST(root, "letters", download=True)) == 2
    assert len(datasets.EMNIST(root, "digits")) == 2
    assert not list(tmp_path.rglob("outside.gz"))
    with refuses(RuntimeError, "not found", "emnist-mnist-train-images-idx3-ubyte"):
        datasets.EMNIST(root, "mnist")
    with refuses(ValueError, "EMNIST: split is one of 'byclass'", "'capitals'"):
        datasets.EMNIST(root, "capitals")


@pytest.mark.parametrize("what", [None, "test", "test10k", "test50k", "nist"])
def test_qmnist(tmp_path, what):
    import lzma

    folder = tmp_path / "QMNIST" / "raw"
    folder.mkdir(parents=True)
    count = 10_003 if what in ("test10k", "test50k") else 4
    pictures = np.zeros((count, 28, 28), np.uint8)
    known = np.tile(np.arange(8, dtype=np.int32), (count, 1))
    known[:, 0] = np.arange(count) % 10
    stem = {None: "qmnist-train", "nist": "xnist"}.get(what, "qmnist-test")
    pack, ending = (lzma.compress, ".xz") if what == "nist" else (gzip.compress, ".gz")
    (folder / f"{stem}-images-idx3-ubyte{ending}").write_bytes(pack(idx_of(pictures)))
    (folder / f"{stem}-labels-idx2-int{ending}").write_bytes(pack(idx_of(known)))
    data = datasets.QMNIST(tmp_path, what=what)
    expected = {"test10k": 10_000, "test50k": 3}.get(what, 4)
    assert len(data) == expected and data.targets.shape == (expected, 8)
    first = 10_000 if what == "test50k" else 0
    assert [data[i][1] for i in range(3)] == [(first + i) % 10 for i in range(3)]
    full = datasets.QMNIST(tmp_path, what=what, compat=False)
    assert full[1][1].tolist() == [(first + 1) % 10, 1, 2, 3, 4, 5, 6, 7]
    with refuses(ValueError, "QMNIST: what is one of 'train'", "'all'"):
        datasets.QMNIST(tmp_path, what="all")
