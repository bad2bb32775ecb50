"""Distillation from a teacher that knows inverse depth only up to scale and shift (MiDaS, DPT).

Its answer is fitted to the student's own inverse depth, picture by picture, before they are
compared (Ranftl et al., Towards Robust Monocular Depth Estimation, TPAMI 2022, section 5).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from training.data.sample import Batch
from training.losses import MIN_M, TermValue, required
from training.schedules import Schedule
from training.students.student import Prediction
from training.terms.fit import linear_fit


@dataclass(frozen=True, slots=True)
class AffineKd:
    """Mean |1/s - fit(t)|, over the mean 1/s of each picture: near and far rooms count alike."""

    weight: Schedule
    name: ClassVar[str] = "affine_kd"
    needs: ClassVar[frozenset[str]] = frozenset({"taught"})

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        answers = required(batch.taught, "a teacher's answers", self.name)
        inverse = 1 / prediction.depth_m.float().clamp(min=MIN_M)
        known = answers.isfinite()
        taught = torch.where(known, answers, 0)
        fitted = linear_fit(taught, inverse, known)
        mean = (inverse * known).flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)
        relative = (inverse - fitted).abs() * known / mean.detach().clamp(min=1e-6)[:, None, None]
        elements = int(known.sum())
        return TermValue(relative.sum() / max(elements, 1), elements)
