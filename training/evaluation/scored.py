"""What can be scored: a picture and its focal length in, a map of a stated unit out.

A checkpoint, a model of the repository and a teacher differ in how they take a picture; what is
measured afterwards must not know which of them it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from fathom.geometry import F32, RGB, Intrinsics, Letterbox, Size, focal_correction
from training.students.spec import StudentSpec
from training.students.student import Student
from training.teachers.ensemble import between
from training.teachers.teacher import Teacher, Unit, metres_of

Labels = NDArray[np.uint8]


class Predictor(Protocol):
    """Maps frames (N, H, W, 3) uint8 RGB of network size to depth_m (N, H, W) float32, metres."""

    def __call__(self, frames: RGB) -> F32: ...


class Answer(NamedTuple):
    """Maps of the picture's size: depth (H, W) in the unit of who answers, and class ids if any."""

    depth: F32
    labels: Labels | None = None


class Scored(Protocol):
    """Answers for a picture (H, W, 3) uint8 RGB; without focal length, as if it had its own."""

    @property
    def unit(self) -> Unit: ...
    def __call__(self, image: RGB, focal_px: float | None) -> Answer: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterboxed:
    """A network behind the server's own geometry, one picture at a time as a stream is.

    network   frames (1, H, W, 3) of network size -> (1, H, W) in `unit`, labels (1, H, W) or None
    focal_px  the focal length it learned its metres with, in network pixels
    """

    network: Callable[[RGB], tuple[F32, Labels | None]]
    network_size: Size
    focal_px: float
    unit: Unit = Unit.METRIC

    def __call__(self, image: RGB, focal_px: float | None) -> Answer:
        size = (image.shape[0], image.shape[1])
        box = Letterbox(size, self.network_size)
        maps, labels = self.network(box.embed(image)[None])
        answer = box.extract(maps[0], size)
        if self.unit is Unit.METRIC and focal_px is not None:
            camera = Intrinsics.centred(focal_px, size)
            answer = answer * np.float32(focal_correction(camera, box, self.focal_px))
        return Answer(answer, None if labels is None else box.extract_labels(labels[0], size))


def scored_student(student: Student) -> Letterboxed:
    """A student in eval mode."""

    def network(frames: RGB) -> tuple[F32, Labels | None]:
        with torch.inference_mode():
            prediction = student(torch.from_numpy(frames))
        maps = prediction.depth_m if prediction.inv_depth is None else prediction.inv_depth
        labels = None if prediction.labels is None else prediction.labels.numpy()
        return maps.numpy(), labels

    return Letterboxed(
        network=network,
        network_size=student.network_size,
        focal_px=student.spec.focal_px,
        unit=unit_of(student.spec),
    )


def unit_of(spec: StudentSpec) -> Unit:
    """What the numbers of such a student mean."""
    if spec.head == "relative":
        return Unit.AFFINE
    return Unit.METRIC if spec.metric_scale else Unit.RELATIVE


@dataclass(frozen=True, slots=True)
class ScoredTeacher:
    """A teacher; its metres are restated for the camera where there is one to restate them for."""

    teacher: Teacher

    @property
    def unit(self) -> Unit:
        return self.teacher.unit

    def __call__(self, image: RGB, focal_px: float | None) -> Answer:
        answer = self.teacher(image[None])[0]
        if self.unit is Unit.METRIC and focal_px is not None:
            answer = metres_of(answer, focal_px)
        return Answer(answer)


@dataclass(frozen=True, slots=True)
class Flipped:
    """An answer averaged with the mirrored answer to the mirrored picture: twice the work."""

    scored: Scored

    @property
    def unit(self) -> Unit:
        return self.scored.unit

    def __call__(self, image: RGB, focal_px: float | None) -> Answer:
        straight, labels = self.scored(image, focal_px)
        mirrored = self.scored(np.ascontiguousarray(image[:, ::-1]), focal_px).depth[:, ::-1]
        return Answer(between(straight, mirrored, self.unit), labels)
