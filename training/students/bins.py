"""Depth as an expected value over bins whose centres follow the picture (ZoeDepth, system 003).

Bhat et al., ZoeDepth, 2023, section 3.1. Centres are shares of the head's range of log depth, not
unbounded metres: the answer is a mean of centres and so cannot leave the range. `alpha` acts here;
as published it is stored and never handed on.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

ATTRACTORS = (16, 8, 4, 1)  # points a level that centres are drawn to, coarse to fine
TEMPERATURES = (0.0212, 50.0)
LEAST_SHARE = 1e-4
EDGE = 1e-3  # nearest that an answer comes to an end of the range, as a share of it


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, outputs, 1))


def attract(centres: Tensor, points: Tensor, alpha: float) -> Tensor:
    """Centres (N, K, h, w) moved by the mean over points (N, A, h, w) of d / (1 + alpha d^2)."""
    moved = torch.zeros_like(centres)
    for i in range(points.shape[1]):  # one at a time: all at once would be A times the memory
        distance = points[:, i : i + 1] - centres
        moved = moved + distance / (1 + alpha * distance * distance)
    return centres + moved / points.shape[1]


def log_binomial(share: Tensor, temperature: Tensor, bins: int) -> Tensor:
    """Probabilities (N, K, h, w) of k successes in K - 1, softened.

    share, temperature  (N, 1, h, w); the coefficient is Stirling's without its root
    """
    n = bins - 1
    k = torch.arange(bins, dtype=share.dtype, device=share.device).view(1, -1, 1, 1)
    tiny = 1e-7
    log_choose = (
        n * torch.log(torch.tensor(n + tiny))
        - k * torch.log(k + tiny)
        - (n - k) * torch.log(n - k + tiny)
    )
    p = share.clamp(LEAST_SHARE, 1 - LEAST_SHARE)
    scores = log_choose + k * torch.log(p) + (n - k) * torch.log(1 - p)
    return torch.softmax(scores / temperature, dim=1)


class Bins(nn.Module):
    """From a decoder's maps and its first logits to better logits.

    channels  of the decoder's maps, coarse to fine
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        bins: int = 64,
        embedding: int = 32,
        alpha: float = 300.0,
    ) -> None:
        super().__init__()
        self.bins, self.alpha = bins, alpha
        self.seed = mlp(channels[0], embedding, bins)
        self.project = nn.ModuleList(mlp(each, embedding, embedding) for each in channels)
        counts = ATTRACTORS[: len(channels) - 1]
        self.points = nn.ModuleList(mlp(embedding, embedding, count) for count in counts)
        finest = channels[-1] + 1 + embedding
        self.decide = nn.Sequential(
            nn.Conv2d(finest, finest // 2, 1), nn.GELU(), nn.Conv2d(finest // 2, 4, 1)
        )

    def centres(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Centres (N, K, h, w) in 0..1 and embedding (N, E, h, w), at the last map."""
        widths = functional.softplus(self.seed(maps[0]).float()) + LEAST_SHARE
        widths = widths / widths.sum(1, keepdim=True)
        centres = widths.cumsum(1) - widths / 2
        embedding = self.project[0](maps[0])
        for level, project, points in zip(maps[1:], self.project[1:], self.points, strict=True):
            size = level.shape[2:]
            own = project(level)
            drawn = torch.sigmoid(points(own + grow(embedding, size)).float())
            centres = attract(grow(centres, size), drawn, self.alpha)
            embedding = own
        return centres, embedding

    def forward(self, maps: Sequence[Tensor], logits: Tensor) -> Tensor:
        centres, embedding = self.centres(maps)
        decided = self.decide(torch.cat([maps[-1], logits, embedding], 1)).float()
        decided = functional.softplus(decided) + LEAST_SHARE
        share = decided[:, 0:1] / decided[:, 0:2].sum(1, keepdim=True)
        heat = decided[:, 2:3] / decided[:, 2:4].sum(1, keepdim=True)
        low, high = TEMPERATURES
        chances = log_binomial(share, low + (high - low) * heat, self.bins)
        expected = (chances * centres).sum(1, keepdim=True)
        return torch.logit(expected.clamp(EDGE, 1 - EDGE))


def grow(x: Tensor, size: Sequence[int]) -> Tensor:
    return functional.interpolate(x, tuple(size), mode="bilinear", align_corners=False)
