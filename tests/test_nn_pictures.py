"""The famous networks for pictures: names, sizes, first weights, and a step of training.
Leans on schuss; counts of parameters are those published with torchvision's models."""

from __future__ import annotations

import math

import pytest
import schuss
from schuss import nn
from schuss.testing import assert_close
from schuss.vision import models

COUNTS = {
    "lenet": (10, 61_706),
    "resnet18": (1000, 11_689_512),
    "resnet34": (1000, 21_797_672),
    "resnet50": (1000, 25_557_032),
    "resnext50_32x4d": (1000, 25_028_904),
    "wide_resnet50_2": (1000, 68_883_240),
}


@pytest.mark.parametrize("name", COUNTS)
def test_numbers_of_parameters(name):
    classes, count = COUNTS[name]
    model = models.get_model(name, num_classes=classes)
    assert sum(p.numel() for p in model.parameters()) == count


def test_the_convolutions_of_vgg():
    # The linear layers are 102,764,544 + 16,781,312 + 4,097,000 of each model's count.
    linear = 123_642_856
    for depths, count in (
        ((1, 1, 2, 2, 2), 132_863_336),
        ((2, 2, 2, 2, 2), 133_047_848),
        ((2, 2, 3, 3, 3), 138_357_544),
        ((2, 2, 4, 4, 4), 143_667_240),
    ):
        features = models.vgg.make_layers(depths)
        assert sum(p.numel() for p in features.parameters()) + linear == count
    named = [name for name, _ in models.vgg.make_layers((1, 1, 2, 2, 2), True).named_parameters()]
    assert named[:6] == ["0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias"]


def test_names_are_torchvisions():
    keys = list(models.resnet50(num_classes=3).state_dict())
    assert keys[:6] == [
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "bn1.running_mean",
        "bn1.running_var",
        "bn1.num_batches_tracked",
    ]
    assert "layer1.0.downsample.0.weight" in keys and "layer4.2.bn3.bias" in keys
    assert keys[-2:] == ["fc.weight", "fc.bias"]
    alexnet = [f"features.{i}.{p}" for i in (0, 3, 6, 8, 10) for p in ("weight", "bias")]
    alexnet += [f"classifier.{i}.{p}" for i in (1, 4, 6) for p in ("weight", "bias")]
    assert list(models.AlexNet(num_classes=2).state_dict()) == alexnet


def test_first_weights_of_a_resnet():
    model = models.resnet18(num_classes=4, zero_init_residual=True)
    weight = model.layer2[1].conv1.weight
    assert math.isclose(float(weight.std()), math.sqrt(2 / (128 * 9)), rel_tol=0.03)
    assert not bool(model.layer1[0].bn2.weight.any()) and bool((model.bn1.weight == 1).all())


def test_a_resnet_takes_a_step():
    schuss.manual_seed(0)
    model = models.resnet18(num_classes=3)
    optimizer = schuss.optim.SGD(model.parameters(), lr=0.01)
    x, y = schuss.randn(4, 3, 32, 32), schuss.tensor([0, 1, 2, 1])
    losses = []
    for _ in range(3):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert model.eval()(x[:1]).shape == (1, 3)


def test_a_resnet_without_strides_keeps_its_size():
    model = models.resnet50(num_classes=2, replace_stride_with_dilation=[False, True, True]).eval()
    stages = nn.Sequential(model.conv1, model.layer1, model.layer2, model.layer3, model.layer4)
    with schuss.no_grad():
        assert stages(schuss.ones(1, 3, 16, 16)).shape == (1, 2048, 4, 4)


def test_a_state_goes_from_one_model_to_another():
    one, other = models.lenet().eval(), models.get_model("LeNet").eval()
    assert str(other.load_state_dict(one.state_dict())) == "<All keys matched successfully>"
    x = schuss.randn(2, 1, 32, 32)
    assert_close(one(x), other(x))


def test_trained_weights_are_refused():
    named = models.ResNet18_Weights.IMAGENET1K_V1
    for options in ({"weights": "DEFAULT"}, {"weights": named}, {"pretrained": True}):
        with pytest.raises(NotImplementedError, match="load_state_dict"):
            models.resnet18(**options)
    with pytest.raises(ValueError, match="resnet17"):
        models.get_model("resnet17")
