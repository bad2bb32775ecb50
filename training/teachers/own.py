"""Any of our own students, larger or better trained, as a teacher."""

from pathlib import Path

import numpy as np

from fathom.geometry import F32, RGB, Intrinsics, Letterbox, focal_correction
from training.students.checkpoint import load_student
from training.teachers.teacher import FOCAL_OF_WIDTH, Unit, key_of


class OwnStudent:
    """A checkpoint that training wrote; the picture is letterboxed, as in service."""

    unit = Unit.METRIC

    def __init__(self, checkpoint: Path) -> None:
        self.student = load_student(checkpoint).requires_grad_(requires_grad=False)
        self.key = key_of("own student 1", checkpoint)

    def __call__(self, frames: RGB) -> F32:
        size = (frames.shape[1], frames.shape[2])
        box = Letterbox(size, self.student.network_size)
        camera = Intrinsics.centred(FOCAL_OF_WIDTH * size[1], size)
        factor = focal_correction(camera, box, self.student.spec.focal_px)
        maps = self.student.predict(np.stack([box.embed(frame) for frame in frames]))
        return np.stack([box.extract(each, size) * np.float32(factor) for each in maps])
