"""Depth is smooth inside an object: semantic-depth consistency of system 000, repaired.

As published it is 0 always: labels are reduced to 0 and 1 and then compared with class ids, and
neighbours are taken along the wrong axes. Here it acts, in all four directions alike.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from training.data.labels import CLASSES
from training.data.sample import Batch
from training.losses import MIN_M, TermValue, required
from training.schedules import Schedule
from training.students.student import Prediction

TOLERANCE = 0.05  # of the pixel's own disparity: slanted surfaces are no steps
LEAST_PIXELS = 10
LEVELS = 255.0  # the published scale of disparity
NEAR_M = 0.1  # disparity 1


def erode(mask: Tensor) -> Tensor:
    """Pixels (..., H, W) that are in the mask with all four neighbours; borders have fewer."""
    padded = functional.pad(mask, (1, 1, 1, 1))
    up, down = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    left, right = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
    return mask & up & down & left & right


def step_losses(disparity: Tensor, *, one_sided: bool = False) -> Tensor:
    """Per pixel, how far the four neighbours are off by more than the tolerance, (N, H, W).

    one_sided  count only neighbours that are nearer, as in the published code
    """
    padded = functional.pad(disparity[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    total = torch.zeros_like(disparity)
    for rows, cols in ((0, 1), (2, 1), (1, 0), (1, 2)):
        height, width = disparity.shape[1:]
        difference = padded[:, rows : rows + height, cols : cols + width] - disparity
        change = difference if one_sided else difference.abs()
        total = total + (change - TOLERANCE * disparity).clamp(min=0)
    return total


@dataclass(frozen=True, slots=True)
class SemanticConsistency:
    """10 / 4K times the sum over K pairs of picture and class of 255 times the mean step loss.

    classes  those inside which depth is smooth
    """

    weight: Schedule
    classes: tuple[int, ...] = tuple(range(1, len(CLASSES)))
    one_sided: bool = False
    name: ClassVar[str] = "semantic_consistency"
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        labels = required(batch.labels, "classes", self.name)
        disparity = NEAR_M / prediction.depth_m.float().clamp(min=MIN_M)
        return consistency(disparity, labels, self.classes, one_sided=self.one_sided)


def consistency(
    disparity: Tensor, labels: Tensor, classes: tuple[int, ...], *, one_sided: bool = False
) -> TermValue:
    """The term's value from disparity (N, H, W) in 0..1 and labels (N, H, W)."""
    steps = step_losses(disparity, one_sided=one_sided)
    total, pairs, elements = disparity.sum() * 0, 0, 0
    for class_ in classes:
        mask = labels == class_
        inner = erode(mask)
        # Counted where there is something inside: an empty inside would be 0 / 0.
        counts = inner.flatten(1).sum(1)
        used = (mask.flatten(1).sum(1) > LEAST_PIXELS) & (counts > 0)
        means = (steps * inner).flatten(1).sum(1) / counts.clamp(min=1)
        total = total + LEVELS * (means * used).sum()
        pairs += int(used.sum())
        elements += int(counts[used].sum())
    return TermValue(10 * total / (4 * max(pairs, 1)), elements)
