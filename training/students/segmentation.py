"""Classes from a depth decoder's maps: a U-Net that climbs them (system 003's cross-talk).

Its gradient reaches encoder and decoder through the maps it reads, and that is what it is for;
where nobody asks for classes it is not run.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, cat, nn
from torch.nn import functional

from training.students.decoder import Refine

WIDTHS = (96, 64, 48)


class DoubleConv(nn.Sequential):
    """Two 3x3 filters, the published block."""

    def __init__(self, inputs: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [
                nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class SegmentationHead(nn.Module):
    """Class logits (N, classes, h, w), len(widths) doublings above the coarsest map.

    channels  of the decoder's maps, coarse to fine
    widths    of the blocks, each after a doubling; a finer map is joined while there is one
    block     makes a block from its channels in and out
    """

    def __init__(
        self,
        channels: Sequence[int],
        classes: int,
        widths: Sequence[int] = WIDTHS,
        block: Callable[[int, int], nn.Module] = Refine,
    ) -> None:
        super().__init__()
        joined = [*channels[1 : len(widths) + 1], *[0] * len(widths)]
        before = [channels[0], *widths]
        self.blocks = nn.ModuleList(
            block(inputs + skip, width)
            for inputs, skip, width in zip(before, joined, widths, strict=False)
        )
        self.predict = nn.Conv2d(before[-1], classes, 3, padding=1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = maps[0]
        for i, block in enumerate(self.blocks, start=1):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(cat([x, maps[i]], 1) if i < len(maps) else x)
        logits: Tensor = self.predict(x)
        return logits
