"""Residual networks, their wide form, and the form with grouped convolutions.
Leans on nn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import nn
from schuss.vision.models.weights import untrained

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from schuss import Tensor


def conv3x3(
    in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """A convolution of 3x3 that keeps the size at stride 1."""
    return nn.Conv2d(
        in_planes,
        out_planes,
        3,
        stride=stride,
        padding=dilation,
        groups=groups,
        bias=False,
        dilation=dilation,
    )


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    """A linear map of the channels."""
    return nn.Conv2d(in_planes, out_planes, 1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two convolutions of 3x3 beside a shortcut."""

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Any = None,
    ) -> None:
        super().__init__()
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock: needs groups=1 and base_width=64; use Bottleneck")
        if dilation > 1:
            raise NotImplementedError("BasicBlock: has no dilation; use Bottleneck")
        norm_layer = norm_layer or nn.BatchNorm2d
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        found = self.relu(self.bn1(self.conv1(x)))
        found = self.bn2(self.conv2(found))
        return self.relu(found + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """Three convolutions of 1x1, 3x3 and 1x1 beside a shortcut; the stride is at the middle one."""

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Any = None,
    ) -> None:
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm_layer(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm_layer(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        found = self.relu(self.bn1(self.conv1(x)))
        found = self.relu(self.bn2(self.conv2(found)))
        found = self.bn3(self.conv3(found))
        return self.relu(found + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Stages of residual blocks between a first convolution and a last linear layer.

    He et al., 2015. `layers` counts the blocks of the four stages.

    >>> import schuss
    >>> from schuss.vision import models
    >>> from schuss.vision.models.resnet import BasicBlock
    >>> models.ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5)(schuss.ones(2, 3, 32, 32)).shape
    schuss.Size([2, 5])
    """

    def __init__(
        self,
        block: Any,
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Any = None,
    ) -> None:
        super().__init__()
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes = 64
        self.dilation = 1
        dilated = replace_stride_with_dilation or (False, False, False)
        if len(dilated) != 3:
            raise ValueError(
                f"ResNet: replace_stride_with_dilation must have 3 truths, got {tuple(dilated)}"
            )
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, self.inplanes, 7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], 2, dilated[0])
        self.layer3 = self._make_layer(block, 256, layers[2], 2, dilated[1])
        self.layer4 = self._make_layer(block, 512, layers[3], 2, dilated[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(part, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(part.weight)
                nn.init.zeros_(part.bias)
        if zero_init_residual:
            # Every block begins as its shortcut alone (Goyal et al., 2017).
            for part in self.modules():
                last: Any = getattr(part, "bn3" if isinstance(part, Bottleneck) else "bn2", None)
                if isinstance(part, (Bottleneck, BasicBlock)) and last.weight is not None:
                    nn.init.zeros_(last.weight)

    def _make_layer(
        self, block: Any, planes: int, blocks: int, stride: int = 1, dilate: bool = False
    ) -> nn.Sequential:
        norm, before = self._norm_layer, self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        wide = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != wide:
            downsample = nn.Sequential(conv1x1(self.inplanes, wide, stride), norm(wide))
        fixed = (self.groups, self.base_width)
        made = [block(self.inplanes, planes, stride, downsample, *fixed, before, norm)]
        self.inplanes = wide
        for _ in range(1, blocks):
            made.append(block(wide, planes, 1, None, *fixed, self.dilation, norm))
        return nn.Sequential(*made)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def _builder(name: str, block: Any, layers: tuple[int, ...], **settings: int) -> Any:
    def build(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
        return ResNet(block, layers, **{**settings, **untrained(name, weights, kwargs)})

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"ResNet of {layers} blocks, with the keywords of that class."
    return build


_50, _101 = (3, 4, 6, 3), (3, 4, 23, 3)
resnet18 = _builder("resnet18", BasicBlock, (2, 2, 2, 2))
resnet34 = _builder("resnet34", BasicBlock, _50)
resnet50 = _builder("resnet50", Bottleneck, _50)
resnet101 = _builder("resnet101", Bottleneck, _101)
resnet152 = _builder("resnet152", Bottleneck, (3, 8, 36, 3))
resnext50_32x4d = _builder("resnext50_32x4d", Bottleneck, _50, groups=32, width_per_group=4)
resnext101_32x8d = _builder("resnext101_32x8d", Bottleneck, _101, groups=32, width_per_group=8)
resnext101_64x4d = _builder("resnext101_64x4d", Bottleneck, _101, groups=64, width_per_group=4)
wide_resnet50_2 = _builder("wide_resnet50_2", Bottleneck, _50, width_per_group=128)
wide_resnet101_2 = _builder("wide_resnet101_2", Bottleneck, _101, width_per_group=128)
