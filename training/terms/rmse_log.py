"""The root of the mean squared difference of logs: system 001's loss of depth."""

from dataclasses import dataclass
from typing import ClassVar

from training.data.sample import Batch
from training.losses import TermValue, log_difference
from training.schedules import Schedule
from training.students.student import Prediction


@dataclass(frozen=True, slots=True)
class RmseLog:
    """Over the valid pixels of the batch; the floor inside the root bounds the gradient."""

    weight: Schedule
    name: ClassVar[str] = "rmse_log"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        d = log_difference(prediction, batch)
        elements = int(batch.valid.sum())
        if not elements:
            return TermValue(d.sum() * 0, 0)
        return TermValue(((d * d).sum() / elements).clamp(min=1e-8).sqrt(), elements)
