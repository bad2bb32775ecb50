"""Classes as a second task: Dice and focal loss, unlabelled pixels left out.

Published code uses a sigmoid a class, trains "unlabelled" as a class and divides Dice by classes
that are not in the batch. Here: softmax over 13, class 0 ignored, Dice over classes that are there;
the published form is `multilabel`, for comparison.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from training.data.labels import UNLABELLED
from training.data.sample import Batch
from training.losses import TermValue, required
from training.schedules import Schedule
from training.students.student import Prediction


def dice(shares: Tensor, truth: Tensor, *, present_only: bool = True) -> Tensor:
    """1 - 2 |overlap| / |both|, averaged over classes.

    shares        (C, n) in 0..1; truth (C, n), 0 or 1
    present_only  average over classes that occur; otherwise over all, absent ones counting 0
    """
    overlap = 2 * (shares * truth).sum(1) / (shares + truth).sum(1).clamp(min=1e-7)
    present = truth.any(dim=1)
    losses = (1 - overlap) * present
    return losses.sum() / (present.sum().clamp(min=1) if present_only else len(losses))


def focal(cross_entropy: Tensor) -> Tensor:
    """(1 - p)^2 (-ln p) averaged, from -ln p (Lin et al., ICCV 2017)."""
    return ((1 - (-cross_entropy).exp()) ** 2 * cross_entropy).mean()


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Dice + focal. System 003 adds it to depth with weight 0.1."""

    weight: Schedule
    multilabel: bool = False
    name: ClassVar[str] = "segmentation"
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        logits = required(prediction.class_logits, "class logits", self.name)
        labels = required(batch.labels, "classes", self.name)
        known = labels != UNLABELLED
        elements = int(known.sum())
        if not elements:
            return TermValue(logits.sum() * 0, 0)
        chosen = logits.float().movedim(1, -1)[known]  # (n, classes)
        classes = labels[known].long() - 1
        truth = functional.one_hot(classes, chosen.shape[1]).to(chosen.dtype)
        if self.multilabel:
            apart = functional.binary_cross_entropy_with_logits(chosen, truth, reduction="none")
            overlap = dice(torch.sigmoid(chosen).T, truth.T, present_only=False)
            return TermValue(overlap + focal(apart), elements)
        apart = functional.cross_entropy(chosen, classes, reduction="none")
        return TermValue(dice(chosen.softmax(1).T, truth.T) + focal(apart), elements)
