"""Depth from video alone: a student and a pose network explain each frame by its neighbours.

Depth is known up to one factor, so its figures are median-scaled, never raw. System 000 and
Godard et al., ICCV 2019; smoothness weighs ten times their 1e-3, for one head is seen at one scale.
"""

from dataclasses import replace

import torch

from training.data.sample import Batch
from training.losses import required
from training.motion.pose import PoseNetwork
from training.recipes.recipe import Recipe, Told
from training.schedules import Constant, OneCycle
from training.students.student import Prediction, Student
from training.terms.reprojection import EdgeAwareSmoothness, Reprojection


class WithMotion:
    """The student sees the frames, a pose network both pairs of neighbours, in order of time."""

    def __init__(self, told: Told, student: Student) -> None:  # noqa: ARG002  # it needs neither
        self.learns = PoseNetwork()

    def __call__(
        self,
        student: Student,
        batch: Batch,
        progress: float,  # noqa: ARG002  # nothing changes
    ) -> tuple[Prediction, Batch]:
        neighbours = required(batch.neighbours, "frames before and after", "self-supervision")
        before, after = neighbours.unbind(1)
        motion = [self.learns(before, batch.frames), self.learns(batch.frames, after)]
        return student(batch.frames), replace(batch, motion=torch.stack(motion, 1))


SELF_SUPERVISED = Recipe(
    name="self-supervised",
    terms=(Reprojection(weight=Constant(1.0)), EdgeAwareSmoothness(weight=Constant(1e-2))),
    learning_rate=OneCycle(),
    preset={
        "epochs": 60,
        "batch_size": 8,
        "encoder_lr": 3e-4,
        "decoder_lr": 1e-3,
        "dropout": 0.0,
        "metric_scale": False,
    },
    companion=WithMotion,
    requires=("sequence",),
)
