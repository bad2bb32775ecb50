"""What a base from half the picture lacks, from all of it (system 001, where nothing is added).

A second decoder sees the full picture; its map is spread along differences that the base's map has
too, and one more layer makes logits of it. That layer begins at zero, so that a student begins as
its base. Decoders and their levels are the branch's own: as published, base and detail share them
in opposite order.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from training.students.decoder import SlimDecoder, enlarge
from training.students.diffusion import Diffusion


class DetailBranch(nn.Module):
    """Logits to add, (N, 1, H, W), from taps of the full picture and the base's finest map."""

    def __init__(self, tap_channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.decoder = SlimDecoder(tap_channels, widths)
        self.diffusion = Diffusion(widths[0])
        # In place of the decoder's own last layer: it sees twice as many channels.
        self.decoder.predict = nn.Conv2d(2 * widths[0], 1, 3, padding=1)
        nn.init.zeros_(self.decoder.predict.weight)
        nn.init.zeros_(self.decoder.predict.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, taps: Sequence[Tensor], guide: Tensor) -> Tensor:
        detail = self.diffusion(self.decoder(taps)[-1], guide)
        return enlarge(self.decoder.predict(detail).float(), self.decoder.strides[-1])
