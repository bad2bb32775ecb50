"""MobileNetV2 written out, from pixels to the last block. Knows no depth and no training.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2.
Parameter names are torchvision's (`features.0.0.weight`), so its ImageNet weights load as they are;
the 1280-channel layer in front of the classifier is left out: a decoder has no use for it.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fathom.errors import Code, FathomError

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
# The last block before each halving: index in `features` and channels, at strides 2, 4, 8, 16, 32.
TAPS = (1, 3, 6, 13, 17)
TAP_CHANNELS = (16, 24, 32, 96, 320)
# Keys of the published files that this encoder does not have, by intent.
DROPPED = "features.18."


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
        y: Tensor = self.conv(x)
        return x + y if self.has_shortcut else y


class MobileNetV2(nn.Module):
    """Maps normalised pictures to feature maps at strides 2, 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [conv_bn_relu6(3, 32, 3, stride=2)]
        channels = 32
        for expansion, outputs, count, first_stride in STAGES:
            for i in range(count):
                stride = first_stride if i == 0 else 1
                blocks.append(InvertedResidual(channels, outputs, stride, expansion))
                channels = outputs
        self.features = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        taps = []
        for i, block in enumerate(self.features):
            x = block(x)
            if i in TAPS:
                taps.append(x)
        return taps


def load_imagenet(encoder: MobileNetV2, path: Path) -> None:
    """Fill the encoder from a safetensors file with torchvision's keys.

    Batch counts may be absent (they only matter without a BatchNorm momentum); any other missing,
    foreign or misshapen key is refused.
    raises  BAD_MODEL
    """
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise FathomError(
            Code.BAD_MODEL,
            expected="a readable safetensors file with MobileNetV2 weights",
            got=f"{path}: {error}",
            repair="point --encoder-weights at such a file",
        ) from error
    weights = {key: value for key, value in weights.items() if not key.startswith(DROPPED)}
    own = encoder.state_dict()
    counts = {key: torch.zeros_like(own[key]) for key in own if key.endswith("num_batches_tracked")}
    try:
        encoder.load_state_dict({**counts, **weights}, strict=True)
    except RuntimeError as error:
        raise FathomError(
            Code.BAD_MODEL,
            expected="torchvision's MobileNetV2 keys, features.0 to features.17, at width 1.0",
            got=f"{path}: {str(error).splitlines()[-1].strip()}",
            repair="point --encoder-weights at MobileNetV2 weights of width 1.0",
        ) from error
