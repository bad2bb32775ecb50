"""The decoder of system 004, for comparison: every level gated, filtered 5x5, joined at stride 2.

Hu et al., Boosting Light-Weight Depth Estimation via Knowledge Distillation, KSEM 2023, with the
squeeze-and-excitation gate of Hu et al., CVPR 2018. Sizes follow the picture and are enlarged with
corners not aligned, as everywhere here; as published both are fixed otherwise.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.students.spec import Taps

LEVEL_WIDTH, WIDTH = 16, 64


class Gate(nn.Module):
    """Each channel times a number between 0 and 1 that follows from all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 16, 1, bias=False)
        self.excite = nn.Conv2d(channels // 16, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.excite(functional.relu(self.squeeze(means))))


def conv5x5(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 5, padding=2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class SqueezeDecoder(nn.Module):
    """One decoder map of 64 channels at stride 2."""

    taps = Taps.SHORT
    halves = False
    strides = (2,)
    channels = (WIDTH,)

    def __init__(self, tap_channels: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(Gate(channels), conv5x5(channels, LEVEL_WIDTH))
            for channels in tap_channels
        )
        self.join = conv5x5(LEVEL_WIDTH * len(tap_channels), WIDTH)
        self.refine = conv5x5(WIDTH, WIDTH)
        self.predict = nn.Conv2d(WIDTH, 1, 5, padding=2)

    def forward(self, taps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        size = (2 * taps[0].shape[2], 2 * taps[0].shape[3])
        levels = [
            functional.interpolate(level(tap), size, mode="bilinear", align_corners=False)
            for level, tap in zip(self.levels, taps, strict=True)
        ]
        return (self.refine(self.join(torch.cat(levels, 1))),)
