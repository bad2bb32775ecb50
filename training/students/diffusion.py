"""Semantic diffusion: detail is spread along differences that a guiding map has too (system 001).

G(U, V) at x0 = sum over the 3x3 neighbours of w_k (U(xk) - U(x0)) (V(xk) - V(x0)). As published
that is expanded into convolutions, which holds only for depthwise w, with a dense kernel drawn anew
in every forward and never trained. Here it is depthwise, a parameter, and not expanded: the four
convolutions cancel to a small difference, of which bfloat16 leaves nothing.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

NEIGHBOURS = tuple((row, col) for row in range(3) for col in range(3) if (row, col) != (1, 1))


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
    height, width = u.shape[2:]
    wide_u, wide_v = (functional.pad(x, (1, 1, 1, 1), mode="replicate") for x in (u, v))
    total = torch.zeros_like(u)
    for row, col in NEIGHBOURS:
        there = (..., slice(row, row + height), slice(col, col + width))
        weight = kernel[:, 0, row, col, None, None]
        total = total + weight * (wide_u[there] - u) * (wide_v[there] - v)
    return total
