"""Terms on a part of the batch, and towards another target: how truth and teacher are mixed.

Auxiliary-data distillation (Hu et al., KSEM 2023): a picture with truth gets
lambda L(s, t) + (1 - lambda) L(s, g), one without gets L(s, t), where L is any sum of terms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor

from training.data.sample import Batch
from training.losses import MIN_M, Term, TermValue, required
from training.schedules import Scaled, Schedule
from training.students.student import Prediction


class Part(StrEnum):
    """Which pictures, and what they are held against."""

    TRUTH = "truth"
    TEACHER = "teacher"
    UNLABELLED = "unlabelled"


@dataclass(frozen=True, slots=True)
class OnPart:
    """A term of depth on some pictures, times their share of the batch.

    scale_free  the target is first brought to each prediction's own scale, by the mean of
                log ratios: for pictures whose camera is unknown, where only shape can be taught
    """

    base: Term
    part: Part
    weight: Schedule
    scale_free: bool = False

    @property
    def name(self) -> str:
        return f"{self.base.name}_{self.part}"

    @property
    def needs(self) -> frozenset[str]:
        return self.base.needs | ({"taught"} if self.part is not Part.TRUTH else set())

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        labelled = batch.valid.flatten(1).any(dim=1)
        chosen = ~labelled if self.part is Part.UNLABELLED else labelled
        if not chosen.any():
            return TermValue(prediction.depth_m.sum() * 0, 0)
        depth_m = prediction.depth_m[chosen]
        part = select(batch, chosen)
        if self.part is not Part.TRUTH:
            part = towards_teacher(part)
        if self.scale_free:
            part = replace(part, depth_m=at_scale_of(depth_m, part))
        value, elements = self.base(Prediction(depth_m), part)
        return TermValue(value * (int(chosen.sum()) / len(chosen)), elements)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """How much a teacher counts, and where.

    lambda_kd   its share of the loss on labelled pictures
    labelled    whether such pictures come at all; a term that never has any would be an error
    unlabelled  likewise
    scale_free  of unlabelled pictures, whose camera may be unknown, take shape alone
    """

    lambda_kd: float
    labelled: bool = True
    unlabelled: bool = True
    scale_free: bool = True


def kd_mix(base: Sequence[Term], how: Taught) -> tuple[Term, ...]:
    """The terms of lambda L(s, t) + (1 - lambda) L(s, g), and of L(s, t) where there is no truth.

    Only those that compare depth with truth are mixed, which are those that need nothing else.
    """
    mixed: list[Term] = []
    for term in base:
        if term.needs:
            mixed.append(term)
            continue
        if how.labelled:
            mixed.append(OnPart(term, Part.TRUTH, Scaled(term.weight, 1 - how.lambda_kd)))
            mixed.append(OnPart(term, Part.TEACHER, Scaled(term.weight, how.lambda_kd)))
        if how.unlabelled:
            mixed.append(OnPart(term, Part.UNLABELLED, term.weight, scale_free=how.scale_free))
    return tuple(mixed)


def select(batch: Batch, chosen: Tensor) -> Batch:
    """The pictures for which `chosen` (N,) is true."""
    return Batch(
        frames=batch.frames[chosen],
        depth_m=batch.depth_m[chosen],
        valid=batch.valid[chosen],
        labels=None if batch.labels is None else batch.labels[chosen],
        taught=None if batch.taught is None else batch.taught[chosen],
        refined=None if batch.refined is None else batch.refined[chosen],
    )


def towards_teacher(batch: Batch) -> Batch:
    """The batch with the teacher's depth for truth, wherever the teacher says something."""
    taught = required(batch.taught, "a teacher's answers", "towards a teacher").detach()
    known = taught.isfinite() & (taught > 0)
    return replace(batch, depth_m=torch.where(known, taught, 0), valid=known)


def at_scale_of(depth_m: Tensor, batch: Batch) -> Tensor:
    """The batch's depth, each picture at the scale of its prediction.

    The gradient passes through that scale: held fixed, a term that is not a square would still pull
    at it, towards a median where this is a mean.
    """
    ratio = depth_m.float().clamp(min=MIN_M).log() - batch.depth_m.clamp(min=MIN_M).log()
    known = batch.valid.flatten(1)
    mean = (ratio.flatten(1) * known).sum(1) / known.sum(1).clamp(min=1)
    return batch.depth_m * mean.exp()[:, None, None]
