"""Structural dissimilarity of two maps, 0 where their 3x3 neighbourhoods agree, at most 1."""

from torch import Tensor
from torch.nn import functional

C1, C2 = 0.01**2, 0.03**2


def ssim_loss(a: Tensor, b: Tensor) -> Tensor:
    """(1 - SSIM) / 2 per pixel for (N, C, H, W) in 0..1 (Wang et al., 2004)."""

    def mean(x: Tensor) -> Tensor:
        padded = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        return functional.avg_pool2d(padded, 3, stride=1)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    bound = (mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2)
    return ((1 - likeness / bound) / 2).clamp(0, 1)
