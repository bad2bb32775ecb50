"""The decoder of system 002, for comparison: wide, at full network resolution, norm before filter.

Song & Kim, JVCIR 85 (2022) 103523. Encoders differ, the widths behind their adapters do not: so one
decoder, taught with one encoder, can serve another.
"""

from collections.abc import Sequence

from torch import Tensor, cat, nn
from torch.nn import functional

from training.students.spec import Taps

WIDTHS = (64, 128, 256, 512, 1024)  # behind the adapters, finest first
# Inputs, width after the 1x1 and outputs of each step, coarse to fine; the first has no 1x1.
STEPS = ((1024, 1024, 512), (1024, 256, 128), (384, 128, 64), (192, 64, 32), (96, 32, 16))


class Adapter(nn.Sequential):
    """A tap at the common width of its stride."""

    def __init__(self, inputs: int, outputs: int) -> None:
        norm = nn.BatchNorm2d(inputs, momentum=0.01)
        super().__init__(norm, nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False))


class Filter(nn.Sequential):
    """GroupNorm of sixteen channels a group, ReLU, convolution without bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(
            nn.GroupNorm(inputs // 16, inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        )


class Step(nn.Module):
    """Narrow by 1x1, enlarge to `size`, filter by 3x3."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.reduce = Filter(inputs, width, 1) if inputs != width else nn.Identity()
        self.expand = Filter(width, outputs, 3)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        norm, relu, conv = self.expand
        # Norm and ReLU come before enlarging, on a quarter of the pixels.
        x = relu(norm(self.reduce(x)))
        x = functional.interpolate(x, tuple(size), mode="bilinear", align_corners=False)
        filtered: Tensor = conv(x)
        return filtered


class PreActivationBody(nn.Module):
    """From maps of the common widths to five decoder maps, coarse to fine, the last one at twice
    the resolution of the finest map; and the predictor behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList(Step(*step) for step in STEPS)
        self.predict = Filter(STEPS[-1][-1], 1, 3)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        finest = maps[0].shape[2:]
        sizes = [*(each.shape[2:] for each in maps[-2::-1]), (2 * finest[0], 2 * finest[1])]
        x, found = maps[-1], []
        for step, size, skip in zip(self.steps, sizes, [*maps[-2::-1], None], strict=True):
            found.append(step(x, size))
            x = found[-1] if skip is None else cat([found[-1], skip], 1)
        return tuple(found)


class PreActivationDecoder(nn.Module):
    """Adapters and body. Its network sees pictures at half size, as published, and so the finest
    map has stride 2 of the pictures that come in."""

    taps = Taps.EXPANDED
    halves = True
    strides = (32, 16, 8, 4, 2)
    channels = tuple(outputs for *_, outputs in STEPS)

    def __init__(self, tap_channels: Sequence[int]) -> None:
        super().__init__()
        self.adapters = nn.ModuleList(map(Adapter, tap_channels, WIDTHS))
        self.body = PreActivationBody()

    def forward(self, taps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        maps = [adapt(tap) for adapt, tap in zip(self.adapters, taps, strict=True)]
        found: tuple[Tensor, ...] = self.body(maps)
        return found

    def predict(self, finest: Tensor) -> Tensor:
        logits: Tensor = self.body.predict(finest)
        return logits
