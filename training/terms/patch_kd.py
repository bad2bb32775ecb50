"""Distillation towards refined patches: 2 (0.8 MSE + 0.2 SSIM loss) of disparity where covered.

Disparity is inverse depth over its mean in the target. As published it is 0.1 m over depth, hardly
ever above 0.05 in a room: squares of that, and the constants of SSIM beside it, leave a loss of
nothing.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from training.data.sample import Batch
from training.losses import MIN_M, TermValue, required
from training.schedules import Schedule
from training.students.student import Prediction
from training.terms.ssim import ssim_loss


@dataclass(frozen=True, slots=True)
class PatchKd:
    """Both parts are means over covered pixels; the published second part divides by 128 once where
    the area of a patch is meant.
    """

    weight: Schedule
    name: ClassVar[str] = "patch_kd"
    needs: ClassVar[frozenset[str]] = frozenset({"refined"})

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        refined_m = required(batch.refined, "depth refined from patches", self.name).detach()
        covered = refined_m.isfinite() & (refined_m > 0)
        elements = int(covered.sum())
        target = torch.where(covered, 1 / refined_m, 0)
        mean = target.sum((1, 2)) / covered.sum((1, 2)).clamp(min=1)
        mean = mean.clamp(min=1e-6)[:, None, None]
        disparity = 1 / prediction.depth_m.float().clamp(min=MIN_M) / mean
        target = torch.where(covered, target / mean, disparity.detach())
        squares = (disparity - target) ** 2
        structure = ssim_loss(disparity[:, None], target[:, None])[:, 0]
        apart = (0.8 * squares + 0.2 * structure) * covered
        return TermValue(2 * apart.sum() / max(elements, 1), elements)
