"""Block self-attention: channels of a stripe attend to each other (system 000, figure bsa).

It is attention among channels, so stripes do not save work (a spatial one would); they let near and
far columns weigh channels differently. A learned gate, 0 at first, lets it grow into a pretrained
encoder; as published it has no parameter and ignores the number of stripes. Energy is a mean over
pixels, published as a sum: a sum saturates the softmax into one channel for all but tiny maps.
"""

import torch
from torch import Tensor, nn


def stripe_weights(stripe: Tensor) -> Tensor:
    """(N, C, C) from (N, C, pixels): softmax of row maximum minus energy; rows sum to 1."""
    # Divided first: in half precision the sum would overflow.
    energy = (stripe / stripe.shape[2]) @ stripe.transpose(1, 2)
    return torch.softmax(energy.amax(-1, keepdim=True) - energy, dim=-1)


def attend(x: Tensor, stripes: int) -> Tensor:
    """Each of `stripes` equal parts of the width mixed by its own weights, (N, C, H, W)."""
    parts = []
    for part in x.chunk(stripes, dim=3):
        flat = part.flatten(2)
        parts.append((stripe_weights(flat) @ flat).view_as(part))
    return torch.cat(parts, dim=3)


class BlockAttention(nn.Module):
    """x + gate * attend(x).

    gate  initial value; 1 is the published module
    """

    def __init__(self, stripes: int, gate: float = 0.0) -> None:
        super().__init__()
        self.stripes = stripes
        self.gate = nn.Parameter(torch.tensor(gate))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gate * attend(x, self.stripes)
