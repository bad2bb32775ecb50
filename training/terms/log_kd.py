"""The plainest distillation: mean |ln s - ln t|, with or without the teacher's scale."""

from dataclasses import dataclass, replace
from typing import ClassVar

from training.data.sample import Batch
from training.losses import TermValue, log_difference
from training.schedules import Schedule
from training.students.student import Prediction
from training.terms.parts import at_scale_of, towards_teacher


@dataclass(frozen=True, slots=True)
class LogKd:
    """Over all pixels for which the teacher says something, labelled or not."""

    weight: Schedule
    scale_free: bool = False
    name: ClassVar[str] = "log_kd"
    needs: ClassVar[frozenset[str]] = frozenset({"taught"})

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        target = towards_teacher(batch)
        if self.scale_free:
            target = replace(target, depth_m=at_scale_of(prediction.depth_m, target))
        elements = int(target.valid.sum())
        difference = log_difference(prediction, target)
        return TermValue(difference.abs().sum() / max(elements, 1), elements)
