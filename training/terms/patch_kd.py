"""Distillation towards refined patches: 2 (0.8 MSE + 0.2 SSIM loss) of disparity where covered."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from training.data.sample import Batch
from training.losses import MIN_M, TermValue, required
from training.schedules import Schedule
from training.students.student import Prediction
from training.terms.consistency import NEAR_M
from training.terms.ssim import ssim_loss


@dataclass(frozen=True, slots=True)
class PatchKd:
    """What is taught is disparity (0.1 m over depth) out of `patch_target`, NaN where not covered:
    made in the step from the student's own frozen answer, so no camera comes in between.

    Both parts are means over covered pixels; the published second part divides by 128 once where
    the area of a patch is meant.
    """

    weight: Schedule
    name: ClassVar[str] = "patch_kd"
    needs: ClassVar[frozenset[str]] = frozenset({"taught"})

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        refined = required(batch.taught, "refined disparity", self.name).detach()
        disparity = NEAR_M / prediction.depth_m.float().clamp(min=MIN_M)
        covered = refined.isfinite()
        elements = int(covered.sum())
        target = torch.where(covered, refined, disparity.detach())
        squares = (disparity - target) ** 2
        structure = ssim_loss(disparity[:, None], target[:, None])[:, 0]
        apart = (0.8 * squares + 0.2 * structure) * covered
        return TermValue(2 * apart.sum() / max(elements, 1), elements)
