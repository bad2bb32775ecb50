"""A student's encoder in front of its teacher's own decoder, which stays as it is.

Song & Kim, Spatially decomposed knowledge distillation, JVCIR 85 (2022) 103523. Both encoders end
in adapters of the same widths, so one decoder takes either: the teacher's is copied and frozen, and
ships with the student. What the two make it say is compared map by map, and while training blocks
of the student's maps are replaced by the teacher's.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from fathom.errors import Code, FathomError
from training.data.sample import Batch
from training.losses import SiLog
from training.recipes.recipe import Recipe, Told
from training.schedules import Constant, Poly
from training.students.checkpoint import load_student
from training.students.pre_activation import PreActivationBody, PreActivationDecoder
from training.students.student import Prediction, Student
from training.terms.replace_block import BLOCKS, ReplaceBlock, ReplaceDrop, share_schedule
from training.terms.spatial_kd import SpatialKd

# What goes into a step of the decoder, a map and the size it is enlarged to; and what torch calls
# with it before the step is done.
Given: TypeAlias = tuple[Tensor, Sequence[int]]
Hook: TypeAlias = Callable[[nn.Module, Given], Given]


class TaughtByDecoder:
    """The teacher, in eval mode and without gradients, and the sites where its maps come in.

    raises  BAD_SETTING if student and teacher are not of one form, BAD_MODEL for a bad file
    """

    def __init__(self, told: Told, student: Student) -> None:
        self.learns = nn.Module()
        body = body_of(student)
        self.teacher = load_teacher(told.feature_teacher, student)
        self.teacher.requires_grad_(requires_grad=False)
        body.load_state_dict(body_of(self.teacher).state_dict())
        body.requires_grad_(requires_grad=False)
        self.sites = [ReplaceBlock(block) for block in BLOCKS]
        self.share = share_schedule(told.epochs)

    def __call__(self, student: Student, batch: Batch, progress: float) -> tuple[Prediction, Batch]:
        for site in self.sites:
            site.share = self.share(progress)
        dense: list[Tensor] = []
        with torch.no_grad(), watched(body_of(self.teacher), dense):
            maps = self.teacher(batch.frames, classes=False).features
        apart: list[Tensor] = []
        with self.replacing(body_of(student), [*dense, *maps], apart):
            prediction: Prediction = student(batch.frames)
        return prediction, replace(batch, teacher_features=maps, replaced=torch.stack(apart, 1))

    @contextmanager
    def replacing(
        self, body: PreActivationBody, known: Sequence[Tensor], apart: list[Tensor]
    ) -> Iterator[None]:
        """While this lasts, blocks of what goes into the steps are the teacher's `known` maps.

        The maps that the decoder returns are not touched: a loss on replaced ones would compare the
        teacher with itself.
        """

        def at(site: ReplaceBlock, teacher: Tensor) -> Hook:
            def change(_: nn.Module, given: Given) -> Given:
                x, size = given
                own, skipped = x.tensor_split([teacher.shape[1]], 1)
                features, off = site(own, teacher)
                apart.append(off)
                return torch.cat([features, skipped], 1), size

            return change

        with ExitStack() as hooks:
            for step, site, teacher in zip(body.steps, self.sites, known, strict=False):
                hooks.callback(step.register_forward_pre_hook(at(site, teacher)).remove)
            yield


@contextmanager
def watched(body: PreActivationBody, dense: list[Tensor]) -> Iterator[None]:
    """While this lasts, the densest map that goes into a decoder is kept."""
    handle = body.steps[0].register_forward_pre_hook(lambda _, given: dense.append(given[0]))
    try:
        yield
    finally:
        handle.remove()


def body_of(student: Student) -> PreActivationBody:
    """The part of the decoder behind the adapters."""
    if not isinstance(student.decoder, PreActivationDecoder):
        raise FathomError(
            Code.BAD_SETTING,
            expected="a student and a teacher with the decoder reference-002",
            got=f"one with the decoder {student.spec.decoder}",
            repair="train both with --decoder reference-002",
        )
    return student.decoder.body


def load_teacher(path: Path | None, student: Student) -> Student:
    """The teacher, if it speaks of the same range and camera as the student."""
    if path is None:
        raise AssertionError("the recipe requires it")
    teacher = load_student(path)
    body_of(teacher)
    own, other = student.spec, teacher.spec
    # What may differ: the encoder, and what hangs beside depth.
    alike = replace(other, encoder=own.encoder, classes=own.classes, dropout=own.dropout)
    if alike != own:
        raise FathomError(
            Code.BAD_SETTING,
            expected=f"a teacher like the student but for its encoder, {own}",
            got=f"{other}",
            repair="train the teacher with the student's --decoder and --head",
        )
    return teacher


SPATIAL_KD = Recipe(
    name="spatial-kd",
    terms=(
        SiLog(weight=Constant(1.0)),
        SpatialKd(weight=Constant(1.0)),
        ReplaceDrop(weight=Constant(0.2)),
    ),
    learning_rate=Poly(),
    preset={
        "decoder": "reference-002",
        "epochs": 50,
        "batch_size": 16,
        "encoder_lr": 1e-4,
        "decoder_lr": 1e-4,
        "weight_decay": 1e-2,
    },
    companion=TaughtByDecoder,
    requires=("feature_teacher",),
)
