"""Semantic diffusion: detail is spread along differences that a guiding map has too (system 001).

G(U, V) at x0 = sum over the 3x3 neighbours of w_k (U(xk) - U(x0)) (V(xk) - V(x0)). Expanded, that
is four convolutions, which holds only for depthwise w. As published the kernel is dense, drawn anew
in every forward and never trained; here it is depthwise and a parameter.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Diffusion(nn.Module):
    """Joins U (N, C, H, W) with its diffusion guided by V, resized to U; returns 2C channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(channels, 1, 3, 3))
        nn.init.normal_(self.kernel, std=1 / 3)
        self.join = nn.Sequential(
            nn.Conv2d(2 * channels, 2 * channels, 1, bias=False),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
        )

    def forward(self, detail: Tensor, guide: Tensor) -> Tensor:
        guide = functional.interpolate(
            guide, detail.shape[2:], mode="bilinear", align_corners=False
        )
        joined: Tensor = self.join(torch.cat([detail, diffuse(detail, guide, self.kernel)], 1))
        return joined


def diffuse(u: Tensor, v: Tensor, kernel: Tensor) -> Tensor:
    """G(U, V) for a depthwise kernel (C, 1, 3, 3); across the border there is no difference."""

    def spread(x: Tensor) -> Tensor:
        padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        return functional.conv2d(padded, kernel, groups=kernel.shape[0])

    total = kernel.sum((2, 3))[None, :, :, None]
    return spread(u * v) - v * spread(u) - u * spread(v) + u * v * total
