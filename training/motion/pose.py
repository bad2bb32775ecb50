"""How the camera moved between two pictures, learned beside depth and left behind afterwards.

The layers are those of Zhou et al., CVPR 2017, section 3.5, with a norm each. The answer is scaled
down, so that motion begins near none: turns by 0.01 as in system 000, shifts by 0.1, for as long as
shifts are the slower ones to grow, sideways motion is explained by turning, and depth by nothing.
"""

import torch
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 128, 256, 256)
KERNELS = (7, 5, 3, 3, 3, 3)
GROUPS = 4
SCALES = (0.01, 0.01, 0.01, 0.1, 0.1, 0.1)


class PoseNetwork(nn.Module):
    """An ordered pair of pictures to T_second_first as six numbers: axis-angle, translation.

    first, second  (N, H, W, 3) uint8 RGB, in order of time
    returns        (N, 6) float32, radians and the unit that depth settles on
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 6
        for width, kernel in zip(WIDTHS, KERNELS, strict=True):
            layers += [
                nn.Conv2d(channels, width, kernel, stride=2, padding=kernel // 2, bias=False),
                nn.GroupNorm(GROUPS, width),
                nn.ReLU(inplace=True),
            ]
            channels = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 6, 1))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        pair = torch.cat([first, second], dim=3).float().permute(0, 3, 1, 2)
        vectors: Tensor = self.layers(pair / 127.5 - 1)
        return vectors.float().mean((2, 3)) * torch.tensor(SCALES, device=vectors.device)
