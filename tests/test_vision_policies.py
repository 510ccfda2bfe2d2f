"""Augmentations by policies, bent pictures and mixed batches, beside values of torchvision's.

Leans on schuss.vision; the numbers were printed by torchvision 0.29 for the same pictures:
`_apply_op`, `_augmentation_space` and `functional.elastic_transform`.
"""

from __future__ import annotations

import pytest
import schuss
from conftest import refuses
from schuss.vision import transforms as T
from schuss.vision.transforms import functional as F
from schuss.vision.transforms import policies, v2

BYTES = ((schuss.arange(40).reshape(1, 5, 8) * 37) % 251).to(schuss.uint8)
FLOATS = BYTES.to(schuss.float32) / 255

POLICIES = [
    T.RandAugment(),
    T.RandAugment(3, 30, fill=[9.0]),
    T.TrivialAugmentWide(),
    T.AugMix(),
    T.AugMix(severity=10, chain_depth=2, all_ops=False),
    *(T.AutoAugment(policy) for policy in T.AutoAugmentPolicy),
    T.ElasticTransform(sigma=0.3),
]

# A change, its strength, the colour of corners, and the second row of BYTES after it.
CHANGES = [
    ("ShearX", 0.3, None, [45, 82, 119, 156, 193, 230, 16, 53]),
    ("ShearY", -0.25, [7.0], [45, 82, 74, 111, 148, 185, 7, 7]),
    ("TranslateX", 2.7, None, [0, 0, 45, 82, 119, 156, 193, 230]),
    ("TranslateY", -1.2, [7.0], [90, 127, 164, 201, 238, 24, 61, 98]),
    ("Rotate", 20.0, None, [37, 37, 119, 156, 193, 24, 61, 98]),
    ("Brightness", 0.5, None, [67, 123, 178, 234, 255, 255, 24, 79]),
    ("Color", 0.5, None, [45, 82, 119, 156, 193, 230, 16, 53]),
    ("Contrast", 0.5, None, [7, 63, 118, 174, 229, 255, 0, 19]),
    ("Sharpness", -0.5, None, [45, 82, 119, 156, 183, 201, 45, 53]),
    ("Posterize", 3.0, None, [32, 64, 96, 128, 192, 224, 0, 32]),
    ("Solarize", 100.0, None, [45, 82, 136, 99, 62, 25, 16, 53]),
    ("Equalize", 0.0, None, [45, 82, 119, 156, 193, 230, 16, 53]),
    ("AutoContrast", 0.0, None, [46, 85, 123, 161, 200, 238, 16, 54]),
    ("Invert", 0.0, None, [210, 173, 136, 99, 62, 25, 239, 202]),
    ("Identity", 0.0, None, [45, 82, 119, 156, 193, 230, 16, 53]),
]


@pytest.mark.parametrize(("name", "strength", "fill", "row"), CHANGES)
def test_a_change_is_that_of_torchvision(name, strength, fill, row):
    made = policies.changed(BYTES, name, strength, "nearest", fill)
    assert made.dtype == schuss.uint8 and made[0, 1].tolist() == row
    floats = fill if fill is None else [v / 255 for v in fill]
    near = policies.changed(FLOATS, name, strength, "nearest", floats) * 255
    # Floats are not rounded down to whole bytes; what is posterised keeps its lowest level.
    room = 31 if name == "Posterize" else 1.01
    assert (near[0, 1] - schuss.tensor(row)).abs().max().item() <= room


def test_a_change_that_is_none():
    with refuses(ValueError, "no change of pictures is called 'Bend'", "ShearX"):
        policies.changed(BYTES, "Bend", 1.0, "nearest", None)


# The strength of each change at the last level but one (of AugMix, at the third).
EVERY = {"ShearX": 0, "ShearY": 0, "TranslateX": 1, "TranslateY": 2, "Rotate": 3, "Posterize": 5}
EVERY |= {"Solarize": 6, "Brightness": 4, "Color": 4, "Contrast": 4, "Sharpness": 4}
STRENGTHS = [
    (T.RandAugment().scales(5, 8), -2, [0.29, 3.5045, 2.1903, 29.0, 0.87, 4, 8.5]),
    (T.TrivialAugmentWide().scales(), -2, [0.957, 30.9333, 30.9333, 130.5, 0.957, 2, 8.5]),
    (T.AutoAugment().scales(5, 8), -2, [0.2667, 3.2226, 2.0141, 26.6667, 0.8, 4, 28.3333]),
    (T.AugMix().scales(5, 8), 2, [0.0667, 0.5926, 0.3704, 6.6667, 0.2, 3, 198.3333]),
]


@pytest.mark.parametrize(("scales", "at", "expected"), STRENGTHS)
def test_strengths_are_those_of_torchvision(scales, at, expected):
    for name, place in EVERY.items():
        levels, signed = scales[name]
        assert levels[at] == pytest.approx(expected[place], abs=1e-4), name
        assert signed == (name not in ("Posterize", "Solarize"))
    assert scales["AutoContrast"] == scales["Equalize"] == ([], False)


def test_the_published_rules():
    for policy in T.AutoAugmentPolicy:
        rules = T.AutoAugment(policy).policies
        assert len(rules) == 25 and all(len(rule) == 2 for rule in rules)
    assert T.AutoAugment().policies[0] == (("Posterize", 0.4, 8), ("Rotate", 0.6, 9))
    cifar = T.AutoAugment(T.AutoAugmentPolicy.CIFAR10).policies
    assert cifar[7] == (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9))
    svhn = T.AutoAugment(T.AutoAugmentPolicy.SVHN).policies
    assert svhn[-1] == (("ShearX", 0.7, 2), ("Invert", 0.1, None))


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("picture", [BYTES, FLOATS, FLOATS.expand(3, 5, 8)])
def test_what_is_drawn_keeps_form_and_range(policy, picture):
    policy = T.RandAugment(3, 30, fill=[0.1]) if policy is POLICIES[1] else policy
    seen = set()
    for _ in range(12):
        made = policy(picture)
        assert made.shape == picture.shape and made.dtype == picture.dtype
        if made.is_floating_point():
            assert made.min().item() >= -1e-6 and made.max().item() <= 1 + 1e-6
        seen.add(str(made.tolist()))
    assert len(seen) > 1
    schuss.manual_seed(3)
    first = policy(picture)
    schuss.manual_seed(3)
    assert schuss.equal(first, policy(picture))


def test_pictures_of_pillow_and_arrays():
    image = pytest.importorskip("PIL.Image", reason="one of the kinds of picture is Pillow's")
    pixels = BYTES[0].numpy()
    for policy in (T.RandAugment(), T.AugMix(), T.ElasticTransform(sigma=0.3)):
        assert policy(pixels).shape == (5, 8)
        assert policy(image.fromarray(pixels)).size == (8, 5)


BENT = [0.44875, 0.24131, 0.27751, 0.32244, 0.37665, 0.44071, 0.51519, 0.37734]
BENT_BELOW = [0.57248, 0.70073, 0.72316, 0.62993, 0.20942, 0.36474, 0.52005, 0.41177]


def test_a_bent_picture_is_that_of_torchvision():
    moved = (schuss.arange(80.0).reshape(1, 5, 8, 2) - 40) / 200
    made = F.elastic_transform(FLOATS, moved, fill=[0.5])
    assert made[0, 0].tolist() == pytest.approx(BENT, abs=2e-5)
    assert made[0, 3].tolist() == pytest.approx(BENT_BELOW, abs=2e-5)
    made = F.elastic_transform(BYTES, moved, "nearest", [9.0])
    assert made[0, 0].tolist() == [9, 0, 37, 74, 111, 148, 185, 222]


def test_a_field_that_is_drawn():
    field = T.ElasticTransform.get_params([50.0, 20.0], [0.0, 0.0], [6, 9])
    assert field.shape == (1, 6, 9, 2)
    assert 0 < field[..., 0].abs().max().item() <= 50 / 6
    assert 0 < field[..., 1].abs().max().item() <= 20 / 9
    smooth = T.ElasticTransform.get_params([50.0, 50.0], [2.0, 2.0], [32, 32])
    assert smooth.diff(dim=2).abs().mean() < 0.5 * smooth.abs().mean()


def refuse_line():
    return [
        (lambda: T.RandAugment(magnitude=31), ValueError, "RandAugment: magnitude is a level"),
        (lambda: T.AugMix(severity=11), ValueError, "AugMix: the severity must be between 1 and"),
        (lambda: T.AutoAugment("imagenet"), ValueError, "AutoAugment: policy is one of AutoAug"),
        (lambda: T.ElasticTransform(alpha=-1), ValueError, "ElasticTransform: alpha is one num"),
        (
            lambda: F.elastic_transform(FLOATS, schuss.zeros(1, 8, 5, 2)),
            ValueError,
            "elastic_transform: displacement has shape (1, 8, 5, 2)",
        ),
        (lambda: F.elastic_transform(FLOATS, 3), TypeError, "displacement must be a Tensor"),
        (lambda: v2.MixUp(alpha=0), ValueError, "MixUp: alpha must be above 0"),
        (lambda: v2.CutMix()(FLOATS[None], schuss.tensor([1])), ValueError, "CutMix: give num_cl"),
        (lambda: v2.CutMix()(FLOATS, schuss.tensor([1])), ValueError, "CutMix: takes a batch"),
        (lambda: v2.GaussianNoise()(BYTES), ValueError, "GaussianNoise: takes a float tensor, got"),
        (lambda: v2.RandomIoUCrop, AttributeError, "transforms know of pictures alone, not of box"),
        (lambda: v2.JPEG, AttributeError, "vision.io"),
        (lambda: v2.Resise, AttributeError, "did you mean Resize?"),
    ]


@pytest.mark.parametrize(("make", "error", "words"), refuse_line())
def test_refusals(make, error, words):
    with refuses(error, words):
        make()


# ---- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [v2.MixUp, v2.CutMix])
def test_mixed_batches(kind):
    """A picture of one number shows its share, and the classes show the same one."""
    images = schuss.arange(4.0).reshape(4, 1, 1, 1).expand(4, 2, 6, 5)
    for _ in range(10):
        made, shares = kind(num_classes=4)(images, schuss.arange(4))
        assert made.shape == images.shape and shares.shape == (4, 4)
        assert shares.sum(1).tolist() == pytest.approx([1.0] * 4)
        whole = (shares * schuss.arange(4.0)).sum(1)
        assert made.mean((1, 2, 3)).tolist() == pytest.approx(whole.tolist(), abs=1e-5)


def test_small_transforms():
    assert v2.RGB()(FLOATS).shape == (3, 5, 8)
    assert v2.RGB()(FLOATS.expand(3, 5, 8)).shape == (3, 5, 8)
    noisy = v2.GaussianNoise(sigma=0.2)(schuss.full((1, 64, 64), 0.5))
    assert noisy.std().item() == pytest.approx(0.2, abs=0.02) and noisy.max() <= 1
    found = v2.RandomChannelPermutation()(schuss.arange(3.0).reshape(3, 1, 1))
    assert sorted(found.flatten().tolist()) == [0, 1, 2]
