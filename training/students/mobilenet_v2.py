"""MobileNetV2 written out, from pixels to its last layer. Knows no depth and no training.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2.
Parameter names are torchvision's (`features.0.0.weight`), so its ImageNet weights load as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor, nn

from training.students.spec import Taps

# Expansion, channels, blocks, stride of the first block: table 2 of the paper.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# In front of the classifier, and the index after it.
HEAD_CHANNELS, LAYERS = 1280, 19


@dataclass(frozen=True, slots=True)
class _Places:
    """Index in `features` and channels of each tap, finest first; layers after the last are left
    out. They are the last block before each halving."""

    blocks: tuple[int, ...]
    channels: tuple[int, ...]
    expanded: bool = False


PLACES: Mapping[Taps, _Places] = MappingProxyType(
    {
        Taps.ENDS: _Places((1, 3, 6, 13, 17), (16, 24, 32, 96, 320)),
        # After the depthwise filter; the coarsest is the layer in front of the classifier.
        Taps.EXPANDED: _Places(
            (1, 3, 6, 13, 18), (32, 144, 192, 576, HEAD_CHANNELS), expanded=True
        ),
        Taps.SHORT: _Places((3, 6, 13, 16), (24, 32, 96, 160)),
    }
)


def conv_bn_relu6(
    inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter by depthwise 3x3, narrow by 1x1; add the input where shapes allow it."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        widen = [conv_bn_relu6(inputs, hidden)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *widen,
            conv_bn_relu6(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.narrow(x, self.filter(x))

    def filter(self, x: Tensor) -> Tensor:
        """The block's widest map."""
        filtered: Tensor = self.conv[:-2](x)
        return filtered

    def narrow(self, x: Tensor, filtered: Tensor) -> Tensor:
        """The block's output, from its input and its widest map."""
        y: Tensor = self.conv[-2:](filtered)
        return x + y if self.has_shortcut else y


class MobileNetV2(nn.Module):
    """Maps normalised pictures to feature maps at strides 2, 4, 8, 16 and 32."""

    def __init__(self, taps: Taps = Taps.ENDS) -> None:
        super().__init__()
        self.places = PLACES[taps]
        self.channels = self.places.channels
        blocks: list[nn.Module] = [conv_bn_relu6(3, 32, 3, stride=2)]
        channels = 32
        for expansion, outputs, count, first_stride in STAGES:
            for i in range(count):
                stride = first_stride if i == 0 else 1
                blocks.append(InvertedResidual(channels, outputs, stride, expansion))
                channels = outputs
        length = self.places.blocks[-1] + 1
        if length == LAYERS:
            blocks.append(conv_bn_relu6(channels, HEAD_CHANNELS))
        self.features = nn.Sequential(*blocks[:length])
        # Keys of the published files that this encoder does not have, by intent.
        self.unused = tuple(f"features.{i}." for i in range(length, LAYERS))

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        taps = []
        for i, block in enumerate(self.features):
            if i not in self.places.blocks:
                x = block(x)
            elif self.places.expanded and isinstance(block, InvertedResidual):
                taps.append(block.filter(x))
                x = block.narrow(x, taps[-1])
            else:
                x = block(x)
                taps.append(x)
        return taps
