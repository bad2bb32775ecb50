"""From feature maps to one map of logits, as slim as five milliseconds on two cores demand.

Knows no encoder by name and no metres: channels come in as numbers, the head makes logits metres.
Of every decoder a student knows: `taps` it wants, whether its network sees pictures at half size
(`halves`), `channels` and `strides` of its maps, coarse to fine, and `predict`, which makes logits
(N, 1, h, w) of the last map.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from training.students.spec import Taps


class Lateral(nn.Sequential):
    """Brings a tap to the decoder's width at its stride. No ReLU: the sum after it has one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


class Refine(nn.Sequential):
    """Depthwise 3x3, then pointwise 1x1 to the width of the next finer stride."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class SlimDecoder(nn.Module):
    """Walks from the coarsest tap to the finest: narrow first, then enlarge, then add the lateral.

    tap_channels  channels of the taps, finest first
    widths        the decoder's width at each tap, finest first; with fewer widths than taps the
                  finest taps are left out and the last map is coarser
    dropout       share of coarsest channels dropped in training
    returns       the decoder's maps, coarse to fine
    """

    taps = Taps.ENDS
    halves = False

    def __init__(
        self, tap_channels: Sequence[int], widths: Sequence[int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.skipped = len(tap_channels) - len(widths)
        self.laterals = nn.ModuleList(map(Lateral, tap_channels[self.skipped :], widths))
        self.dropout = nn.Dropout2d(dropout)
        # refines[i] works at tap i; the finest one keeps its width for the predictor.
        self.refines = nn.ModuleList(map(Refine, widths, [widths[0], *widths[:-1]]))
        self.predict = nn.Conv2d(widths[0], 1, 3, padding=1)
        self.channels = tuple(reversed(widths))
        self.strides = tuple(2 ** (i + 1) for i in reversed(range(self.skipped, len(tap_channels))))

    def forward(self, taps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        taps = taps[self.skipped :]
        x: Tensor = self.dropout(functional.relu(self.laterals[-1](taps[-1])))
        maps = [x]
        for i in reversed(range(len(taps) - 1)):
            x = enlarge(self.refines[i + 1](x))
            x = functional.relu(x + self.laterals[i](taps[i]))
            maps.append(x)
        return (*maps[:-1], self.refines[0](x))


def enlarge(x: Tensor, factor: float = 2) -> Tensor:
    """Bilinear, corners not aligned: the convention of `fathom.geometry`."""
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
