"""What a student with detail is to say without it: measured depth, smooth but for large steps.

System 001 smooths by weighted least squares with constants it does not tell; here a guided filter
(He et al., TPAMI 2013) with depth for its own guide does it, and takes holes into account.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from training.data.sample import Batch
from training.losses import MIN_M, Term, TermValue, required
from training.schedules import Schedule
from training.students.student import Prediction

RADIUS_PX = 8
# Of ln depth: a step of a third keeps half of itself, one of a tenth a tenth.
LEAST_VARIANCE = 0.02


def smooth(depth_m: Tensor, valid: Tensor) -> Tensor:
    """(N, H, W) metres without detail, where valid; 0 elsewhere."""
    known = valid.float()[:, None]
    log_m = depth_m.float().clamp(min=MIN_M).log()[:, None] * known

    def mean(x: Tensor) -> Tensor:
        """Over the valid pixels of a window."""
        sums = [
            functional.avg_pool2d(each, 2 * RADIUS_PX + 1, stride=1, padding=RADIUS_PX)
            for each in (x * known, known)
        ]
        return sums[0] / sums[1].clamp(min=1e-6)

    centre = mean(log_m)
    variance = (mean(log_m * log_m) - centre**2).clamp(min=0)
    keep = variance / (variance + LEAST_VARIANCE)
    base = mean(keep) * log_m + mean((1 - keep) * centre)
    return torch.where(valid, base[:, 0].exp(), 0)


@dataclass(frozen=True, slots=True)
class OnBase:
    """A term of depth on the base, against smooth depth."""

    base: Term
    weight: Schedule

    @property
    def name(self) -> str:
        return f"{self.base.name}_base"

    @property
    def needs(self) -> frozenset[str]:
        return self.base.needs

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        base_m = required(prediction.base_m, "a base before detail", self.name)
        target_m = smooth(batch.depth_m, batch.valid)
        return self.base(Prediction(base_m), replace(batch, depth_m=target_m))
