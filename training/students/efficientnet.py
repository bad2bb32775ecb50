"""EfficientNet written out, from pixels to its last layer. Knows no depth and no training.

Tan & Le, EfficientNet: Rethinking Model Scaling, ICML 2019, table 1 and section 3.3. Parameter
names are torchvision's (`features.1.0.block.0.0.weight`), so its ImageNet weights load as they are.
There is no stochastic depth.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from torch import Tensor, nn

from training.students.spec import Taps

# Expansion, kernel, stride of the first block, channels, blocks: table 1 of the paper.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STEM_CHANNELS, HEAD_FACTOR = 32, 4
SQUEEZE = 4  # of the channels that come into a block

# Index in `features` of each tap, finest first. System 002 takes the coarsest after the layer in
# front of the classifier.
PLACES: Mapping[Taps, tuple[int, ...]] = MappingProxyType(
    {Taps.ENDS: (1, 2, 3, 5, 7), Taps.EXPANDED: (1, 2, 3, 5, 8), Taps.SHORT: (2, 3, 5, 6)}
)


def conv_bn_silu(
    inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(inplace=True),
    )


class SqueezeExcite(nn.Module):
    """Channels weighed by what the whole map says."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        weighed: Tensor = (
            x * self.fc2(self.activation(self.fc1(x.mean((2, 3), keepdim=True)))).sigmoid()
        )
        return weighed


class MobileBlock(nn.Module):
    """Widen, filter, weigh, narrow; add the input where shapes allow it."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        widen = [conv_bn_silu(inputs, hidden)] if expansion != 1 else []
        self.block = nn.Sequential(
            *widen,
            conv_bn_silu(hidden, hidden, kernel, stride=stride, groups=hidden),
            SqueezeExcite(hidden, max(1, inputs // SQUEEZE)),
            nn.Sequential(nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
        )
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.has_shortcut else y


class EfficientNet(nn.Module):
    """Maps normalised pictures to feature maps at strides 2, 4, 8, 16 and 32.

    width, depth  factors on channels and blocks: 1, 1 is B0; 1.4, 1.8 is B4
    """

    def __init__(self, taps: Taps = Taps.ENDS, *, width: float = 1.0, depth: float = 1.0) -> None:
        super().__init__()
        self.places = PLACES[taps]
        channels = eighths(width * STEM_CHANNELS)
        layers: list[nn.Module] = [conv_bn_silu(3, channels, 3, stride=2)]
        found = [channels]
        for expansion, kernel, first_stride, base, count in STAGES:
            outputs, blocks = eighths(width * base), []
            for i in range(math.ceil(depth * count)):
                stride = first_stride if i == 0 else 1
                blocks.append(
                    MobileBlock(
                        channels, outputs, kernel=kernel, stride=stride, expansion=expansion
                    )
                )
                channels = outputs
            layers.append(nn.Sequential(*blocks))
            found.append(channels)
        found.append(HEAD_FACTOR * channels)
        layers.append(conv_bn_silu(channels, found[-1]))
        length = self.places[-1] + 1
        self.features = nn.Sequential(*layers[:length])
        self.channels = tuple(found[place] for place in self.places)
        # Keys of the published files that this encoder does not have, by intent.
        self.unused = ("classifier.", *(f"features.{i}." for i in range(length, len(layers))))

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        taps = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.places:
                taps.append(x)
        return taps


def eighths(channels: float) -> int:
    """The nearest multiple of eight that is not under nine tenths, as published."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
