"""Residual networks written out, from pixels to the last stage. Knows no depth and no training.

He et al., Deep Residual Learning, CVPR 2016, table 1; Xie et al., Aggregated Residual
Transformations, CVPR 2017. A bottleneck strides in its 3x3, as in torchvision, whose parameter
names these are (`layer1.0.conv1.weight`), so its ImageNet weights load as they are.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from training.students.spec import Taps

STEM_CHANNELS = 64
STAGE_WIDTHS = (64, 128, 256, 512)


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """None where the input can be added as it is."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 filters beside a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        if groups != 1:
            raise AssertionError("only bottlenecks come in groups")
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        added: Tensor = self.relu(y + (x if self.downsample is None else self.downsample(x)))
        return added


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the stage's width, beside a shortcut.

    groups  1, or 32 of 8 channels at the first stage, as ResNeXt101-32x8d has them
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        inner = width * (8 * groups // STEM_CHANNELS if groups > 1 else 1)
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        y = self.bn3(self.conv3(y))
        added: Tensor = self.relu(y + (x if self.downsample is None else self.downsample(x)))
        return added


class ResNet(nn.Module):
    """Maps normalised pictures to feature maps: stem at stride 2, four stages at 4, 8, 16 and 32.

    blocks  of each stage
    """

    unused = ("fc.",)  # keys of the published files that this encoder does not have, by intent

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        blocks: Sequence[int],
        taps: Taps = Taps.ENDS,
        *,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM_CHANNELS, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels, found = STEM_CHANNELS, [STEM_CHANNELS]
        for stage, (width, count) in enumerate(zip(STAGE_WIDTHS, blocks, strict=True), start=1):
            layers: list[nn.Module] = []
            for i in range(count):
                stride = 2 if i == 0 and stage > 1 else 1
                layers.append(block(channels, width, stride, groups))
                channels = width * block.expansion
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
            found.append(channels)
        self.first = 1 if taps is Taps.SHORT else 0
        self.channels = tuple(found[self.first :])

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        taps = [self.relu(self.bn1(self.conv1(x)))]
        x = self.maxpool(taps[0])
        for stage in range(1, len(STAGE_WIDTHS) + 1):
            x = getattr(self, f"layer{stage}")(x)
            taps.append(x)
        return taps[self.first :]
