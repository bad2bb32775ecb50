"""Least squares of one map to another: how an answer of unknown scale and shift is brought home.

Knows no loss. Nothing here carries a gradient: a fit that follows the prediction would move the
target together with it.
"""

import torch
from torch import Tensor


@torch.no_grad()
def linear_fit(source: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """a * source + b, nearest to target over the known pixels of each picture.

    source, target  (N, H, W); known (N, H, W) bool
    returns         (N, H, W); where source is flat, the mean of target: a = 0, b = mean
    """
    source = torch.where(known, source.double(), 0)
    target = torch.where(known, target.double(), 0)
    count = known.flatten(1).sum(1).clamp(min=1)
    mean_s, mean_t = source.flatten(1).sum(1) / count, target.flatten(1).sum(1) / count
    ds = (source - mean_s[:, None, None]) * known
    dt = (target - mean_t[:, None, None]) * known
    variance = (ds * ds).flatten(1).sum(1)
    # Relative to the numbers' own size: a flat map has rounding for a variance.
    floor = 1e-10 * count * (mean_s * mean_s).clamp(min=1e-12)
    scale = torch.where(
        variance > floor, (ds * dt).flatten(1).sum(1) / variance.clamp(min=1e-300), 0
    )
    fitted = scale[:, None, None] * (source - mean_s[:, None, None]) + mean_t[:, None, None]
    return fitted.float()
