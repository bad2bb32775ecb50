"""Spatial distillation: a student's decoder maps against a teacher's, whole, in detail, in context.

Song & Kim, Spatially decomposed knowledge distillation, JVCIR 85 (2022) 103523. A map is split as a
Laplacian pyramid splits a picture: two bands of detail, and the context that is left at a quarter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.data.sample import Batch
from training.losses import TermValue, required
from training.schedules import Schedule
from training.students.student import Prediction

# Coarse to fine, as published: fine levels have small values.
WHOLE = (1.0, 2.0, 2.0, 5.0, 5.0)
BANDS = (2.0, 2.0, 2.0, 5.0, 5.0)


class Bands(NamedTuple):
    """fine and coarse detail, and context at a quarter of the size; they add up to the map."""

    fine: Tensor
    coarse: Tensor
    context: Tensor


def decompose(x: Tensor) -> Bands:
    """Split (N, C, H, W); sizes that do not halve are met exactly on the way back."""
    half = _shrink(x)
    quarter = _shrink(half)
    return Bands(x - _grow(half, x), half - _grow(quarter, half), quarter)


class Distances(NamedTuple):
    """Summed over levels, unweighted against each other."""

    feature: Tensor
    detail: Tensor
    context: Tensor


def compare(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Distances:
    """How far the student's maps are from the teacher's, which get no gradient."""
    feature, detail, context = [], [], []
    for own, other, whole, bands in zip(student, teacher, WHOLE, BANDS, strict=True):
        s, t = own.float(), other.detach().float()
        feature.append(whole * functional.mse_loss(s, t))
        split_s, split_t = decompose(s), decompose(t)
        detail.append(bands * functional.l1_loss(split_s.fine, split_t.fine))
        detail.append(bands * functional.l1_loss(split_s.coarse, split_t.coarse))
        context.append(bands * functional.mse_loss(split_s.context, split_t.context))
    return Distances(*(torch.stack(each).sum() for each in (feature, detail, context)))


@dataclass(frozen=True, slots=True)
class SpatialKd:
    """0.3 feature + 0.1 (detail + context) over five decoder maps, before anything is replaced."""

    weight: Schedule
    whole: float = 0.3
    bands: float = 0.1
    name: ClassVar[str] = "spatial_kd"
    needs: ClassVar[frozenset[str]] = frozenset({"teacher_features"})

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        teacher = required(batch.teacher_features, "a teacher's decoder maps", self.name)
        feature, detail, context = compare(prediction.features, teacher)
        elements = sum(each.numel() for each in prediction.features)
        return TermValue(self.whole * feature + self.bands * (detail + context), elements)


def _shrink(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)


def _grow(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)
