"""Transforms against numbers worked out by hand or by Pillow, grids, and pictures as files.

Leans on schuss.vision, NumPy and Pillow, which comes with matplotlib.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss.vision import transforms as T
from schuss.vision import utils
from schuss.vision.transforms import functional as F

Image = pytest.importorskip("PIL.Image", reason="Pillow's pictures need Pillow")


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)


def as_pixels(x):
    if isinstance(x, schuss.Tensor):
        return x.permute(1, 2, 0).numpy()
    return np.asarray(x)


def kinds(pixels):
    """The same picture as a tensor, an array and one of Pillow's."""
    return F.pil_to_tensor(pixels), pixels, Image.fromarray(pixels)


def test_to_tensor(pixels):
    for pic in (pixels, Image.fromarray(pixels)):
        found = T.ToTensor()(pic)
        assert found.dtype == schuss.float32 and found.shape == (3, 12, 10)
        assert np.array_equal(as_pixels(found), pixels.astype(np.float32) / np.float32(255))
    assert F.to_tensor(np.ones((2, 3))).dtype == schuss.float64
    one_bit = Image.fromarray(pixels[:, :, 0] > 99)
    assert set(F.to_tensor(one_bit).flatten().tolist()) == {0.0, 1.0}
    with refuses(TypeError, "to_tensor", "list"):
        F.to_tensor([1])
    with refuses(ValueError, "(H, W)"):
        F.to_tensor(np.zeros(3))


def test_there_and_back(pixels):
    for pic in (F.to_tensor(pixels), F.pil_to_tensor(pixels), pixels):
        assert np.array_equal(np.asarray(T.ToPILImage()(pic)), pixels)
    with refuses(ValueError, "channels", 7):
        F.to_pil_image(np.zeros((2, 2, 7), np.uint8))


# Each call, and what it does to an array of (H, W, C).
PLACES = {
    "hflip": (lambda x: F.hflip(x), lambda a: a[:, ::-1]),
    "vflip": (lambda x: F.vflip(x), lambda a: a[::-1]),
    "crop": (lambda x: F.crop(x, 2, 3, 4, 5), lambda a: a[2:6, 3:8]),
    "crop past the border": (
        lambda x: F.crop(x, -1, 8, 3, 4),
        lambda a: np.pad(a, ((1, 0), (0, 2), (0, 0)))[:3, 8:],
    ),
    "center_crop": (lambda x: F.center_crop(x, (4, 6)), lambda a: a[4:8, 2:8]),
    "center_crop of a small one": (
        lambda x: F.center_crop(x, 14),
        lambda a: np.pad(a, ((1, 1), (2, 2), (0, 0))),
    ),
    "pad": (
        lambda x: F.pad(x, (1, 2, 3, 4), fill=7),
        lambda a: np.pad(a, ((2, 4), (1, 3), (0, 0)), constant_values=7),
    ),
    "rotate": (lambda x: F.rotate(x, 90, expand=True), lambda a: np.rot90(a)),
    "rotate by half": (lambda x: F.rotate(x, 180), lambda a: a[::-1, ::-1]),
    "affine shift": (
        lambda x: F.affine(x, 0, (2, 1), 1.0, 0),
        lambda a: np.pad(a, ((1, 0), (2, 0), (0, 0)))[:12, :10],
    ),
    "invert": (lambda x: F.invert(x), lambda a: 255 - a),
    "posterize": (lambda x: F.posterize(x, 3), lambda a: a & 0b11100000),
    "solarize": (lambda x: F.solarize(x, 100), lambda a: np.where(a >= 100, 255 - a, a)),
    **{
        f"pad {mode}": (
            lambda x, mode=mode: F.pad(x, 2, padding_mode=mode),
            lambda a, mode=mode: np.pad(a, ((2, 2), (2, 2), (0, 0)), mode=mode),
        )
        for mode in ("edge", "reflect", "symmetric")
    },
}


@pytest.mark.parametrize("name", PLACES)
def test_pixels(name, pixels):
    call, truth = PLACES[name]
    for pic in kinds(pixels):
        found = call(pic)
        assert isinstance(found, type(pic))
        assert np.array_equal(as_pixels(found), truth(pixels))


def test_resize(pixels):
    grey = Image.fromarray(pixels[:, :, 0])
    for size, shape in ((6, (7, 6)), ((5, 4), (5, 4)), ([24], (28, 24))):
        truth = np.asarray(grey.resize(shape[::-1], Image.BILINEAR), dtype=float)
        assert np.array_equal(np.asarray(F.resize(grey, size)), truth)
        # Pillow's weights have eight bits.
        found = F.resize(F.pil_to_tensor(grey), size)[0].numpy().astype(float)
        assert found.shape == shape and np.abs(found - truth).max() <= 1
    assert F.resize(schuss.zeros(1, 10, 40), 8, max_size=16).shape == (1, 4, 16)
    assert F.resize(schuss.zeros(2, 3, 4, 4), (2, 2)).shape == (2, 3, 2, 2)
    with refuses(ValueError, "max_size"):
        F.resize(grey, (2, 2), max_size=9)


# Pillow rounds in its own way, by one step of 255 at most.
@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.7])
@pytest.mark.parametrize("name", ["Brightness", "Contrast", "Color", "Sharpness"])
def test_colours_are_pillows(name, factor, pixels):
    from PIL import ImageEnhance

    ours = {"Color": "saturation"}.get(name, name.lower())
    truth = getattr(ImageEnhance, name)(Image.fromarray(pixels)).enhance(factor)
    truth = np.asarray(truth, dtype=int)
    for pic in kinds(pixels):
        found = as_pixels(getattr(F, f"adjust_{ours}")(pic, factor)).astype(int)
        assert np.abs(found - truth).max() <= 2


def test_hue_goes_round(pixels):
    import colorsys

    x = F.to_tensor(pixels)
    found = as_pixels(F.adjust_hue(x, 0.2))
    for y, z in ((0, 0), (3, 4), (11, 9)):
        h, s, v = colorsys.rgb_to_hsv(*as_pixels(x)[y, z].tolist())
        assert found[y, z] == pytest.approx(colorsys.hsv_to_rgb((h + 0.2) % 1, s, v), abs=1e-5)


def test_equalize_and_autocontrast_are_pillows(pixels):
    from PIL import ImageOps

    pixels = (np.arange(4096).reshape(64, 64) % 111 + 40).astype(np.uint8)
    grey = Image.fromarray(pixels)
    assert np.array_equal(F.equalize(pixels), np.asarray(ImageOps.equalize(grey)))
    found = F.autocontrast(pixels).astype(int)
    assert np.abs(found - np.asarray(ImageOps.autocontrast(grey), dtype=int)).max() <= 1


def test_blur_is_scipys(rng):
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy has the filter to compare with")
    x = rng.random((9, 11)).astype(np.float32)
    truth = ndimage.gaussian_filter(x, 0.8, mode="mirror", radius=2)
    found = F.gaussian_blur(schuss.from_numpy(x)[None], 5, 0.8)[0].numpy()
    assert found == pytest.approx(truth, abs=1e-6)


def test_normalize():
    x = schuss.arange(12.0).reshape(3, 2, 2)
    found = T.Normalize((1.0, 2.0, 3.0), (2.0, 4.0, 8.0))(x)
    truth = (x.numpy() - np.array([1, 2, 3]).reshape(3, 1, 1)) / np.array([2, 4, 8]).reshape(
        3, 1, 1
    )
    assert found.numpy() == pytest.approx(truth)
    assert x[0, 0, 1] == 1
    for bad, words in ((x.long(), "ToTensor"), (np.zeros((2, 2)), "ToTensor")):
        with refuses(TypeError, words):
            T.Normalize(0.5, 0.5)(bad)
    with refuses(ValueError, "std"):
        T.Normalize(0.5, 0.0)(x)


def test_perspective_of_a_mirror(pixels):
    x = F.to_tensor(pixels)
    corners = [[0, 0], [10, 0], [10, 12], [0, 12]]
    mirrored = [[10, 0], [0, 0], [0, 12], [10, 12]]
    found = F.perspective(x, corners, mirrored)
    assert found.numpy() == pytest.approx(x.flip(-1).numpy(), abs=1e-4)


def test_perspective_is_that_of_torchvision():
    """Rows that torchvision 0.29 printed for the same picture and points."""
    x = ((schuss.arange(40).reshape(1, 5, 8) * 37) % 251).float()
    corners, moved = [[0, 0], [7, 0], [7, 4], [0, 4]], [[1, 0], [6, 1], [7, 4], [0, 3]]
    row = F.perspective(x, corners, moved)[0, 2]
    expected = [105.999, 152.825, 181.969, 213.223, 187.588, 32.046, 71.211, 4.066]
    assert row.tolist() == pytest.approx(expected, abs=5e-3)
    row = F.perspective(x, corners, moved, fill=[9.0])[0, 1]
    expected = [25.346, 92.835, 122.963, 155.529, 190.844, 157.605, 18.544, 9.0]
    assert row.tolist() == pytest.approx(expected, abs=5e-3)


def test_draws_repeat_and_differ(pixels):
    x = F.to_tensor(pixels)
    chain = T.Compose(
        [
            T.RandomCrop(8, padding=2),
            T.RandomHorizontalFlip(),
            T.RandomRotation(30),
            T.RandomAffine(10, (0.1, 0.1), (0.8, 1.2), 5),
            T.RandomResizedCrop(8),
            T.ColorJitter(0.4, 0.4, 0.4, 0.1),
            T.RandomPerspective(p=1.0),
            T.GaussianBlur(3),
            T.RandomErasing(p=1.0),
            T.RandomApply([T.RandomVerticalFlip(1.0)], p=0.5),
            T.RandomChoice([T.Grayscale(3), T.RandomInvert()]),
            T.RandomOrder([T.RandomGrayscale(), T.RandomAutocontrast()]),
        ]
    )
    schuss.manual_seed(3)
    first, second = chain(x), chain(x)
    schuss.manual_seed(3)
    assert schuss.equal(chain(x), first) and not schuss.equal(first, second)
    assert first.shape == (3, 8, 8) and bool(first.isfinite().all())


def test_chances():
    x = schuss.tensor([[1, 2]])
    flips = sum(T.RandomHorizontalFlip(0.25)(x).tolist() == [[2, 1]] for _ in range(400))
    assert 60 < flips < 140
    places = {tuple(T.RandomCrop(1)(schuss.arange(4).reshape(1, 2, 2)).flatten().tolist())
              for _ in range(99)}  # fmt: skip
    assert places == {(0,), (1,), (2,), (3,)}


def test_modules_in_a_sequence():
    chain = schuss.nn.Sequential(T.CenterCrop(4), T.Normalize(0.5, 0.5))
    assert chain(schuss.ones(1, 8, 8)).tolist() == schuss.ones(1, 4, 4).tolist()
    shown = repr(T.Compose([T.ToTensor(), T.Normalize((0.5,), (0.5,))]))
    assert shown == "Compose(\n    ToTensor()\n    Normalize(mean=(0.5,), std=(0.5,))\n)"


@pytest.mark.parametrize(
    "make",
    [
        lambda: T.RandomHorizontalFlip(2.0),
        lambda: T.ColorJitter(-1),
        lambda: T.ColorJitter(hue=0.7),
        lambda: T.RandomRotation(-3),
        lambda: T.CenterCrop((1, 2, 3)),
        lambda: T.CenterCrop(0),
        lambda: T.Pad(1, padding_mode="wrap"),
        lambda: T.GaussianBlur(3, (0.0, 1.0)),
        lambda: T.RandomCrop(9)(schuss.zeros(1, 4, 4)),
        lambda: F.gaussian_blur(schuss.zeros(1, 4, 4), 2),
        lambda: F.affine(schuss.zeros(1, 2, 2), 0, (0, 0), 0.0, 0),
        lambda: F.five_crop(schuss.zeros(1, 2, 2), 3),
    ],
)
def test_refusals(make):
    with pytest.raises(ValueError, match=r"\w{4}"):
        make()


def test_grid():
    x = schuss.arange(4.0).reshape(4, 1, 1, 1).expand(-1, -1, 2, 2)
    grid = utils.make_grid(x, nrow=2, padding=1, normalize=True, pad_value=9.0)
    assert grid.shape == (3, 7, 7)
    assert grid[0, 1, 1].item() == 0 and grid[2, 5, 5].item() == 1 and grid[1, 0, 0].item() == 9
    assert grid[0, 1, 4].item() == pytest.approx(1 / 3)
    each = utils.make_grid(schuss.rand(2, 3, 4, 4) * 7, normalize=True, scale_each=True)
    assert each.shape == (3, 8, 14) and each.max().item() == pytest.approx(1)
    with refuses(TypeError, "make_grid"):
        utils.make_grid(3)


def test_saved_pictures_are_read_by_pillow(tmp_path, pixels):
    x = F.to_tensor(pixels)
    utils.save_image(x, tmp_path / "one.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "one.png")), pixels)
    utils.save_image([x, x], tmp_path / "two.bmp", nrow=1, padding=0)
    truth = np.concatenate([pixels, pixels])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "two.bmp")), truth)
    file = io.BytesIO()
    utils.save_image(x, file, format="png")
    assert Image.open(file).size == (10, 12)


def test_files(tmp_path, pixels):
    from schuss.vision import io as files

    x = F.pil_to_tensor(pixels)
    files.write_png(x, tmp_path / "x.png")
    assert schuss.equal(files.read_image(tmp_path / "x.png"), x)
    assert schuss.equal(files.decode_image(files.read_file(tmp_path / "x.png")), x)
    assert files.read_image(tmp_path / "x.png", files.ImageReadMode.GRAY).shape == (1, 12, 10)
    files.write_jpeg(x, tmp_path / "x.jpg")
    assert files.decode_image(str(tmp_path / "x.jpg"), "RGB").shape == x.shape
    (tmp_path / "x.png").write_bytes((tmp_path / "x.png").read_bytes()[:60])
    with refuses(RuntimeError, "x.png", "damaged"):
        files.read_image(tmp_path / "x.png")
    with refuses(ValueError, "write_png", (3, 12, 10), "float32"):
        files.write_png(x.float(), tmp_path / "y.png")


def test_the_second_generation(pixels):
    from schuss.vision.transforms import v2

    chain = v2.Compose([v2.ToImage(), v2.ToDtype(schuss.float32, scale=True), v2.CenterCrop(4)])
    found = chain(Image.fromarray(pixels))
    assert schuss.equal(found, F.center_crop(F.to_tensor(pixels), 4))
    assert T.v2 is v2 and v2.RandomHorizontalFlip is T.RandomHorizontalFlip
