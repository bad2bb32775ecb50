"""Our own frozen student, sharpened where the detail is by patches of a picture (system 000).

Says metres as the student does, and NaN where no patch lies. Asked once a picture, as any teacher:
its answers are cached, for patches take dozens of passes.
"""

import numpy as np

from fathom.geometry import F32, RGB
from training.teachers.teacher import Teacher, Unit, key_of
from training.terms.consistency import NEAR_M
from training.terms.patch_target import Ask, Grid, refine

# Of pictures 320 wide, where the published 128 of 640 would leave only a handful of places.
PATCHES = Grid(patch=96, stride=36)


class Patched:
    """own  metric; second  of any unit: patches of both are brought to the scale of the whole"""

    unit = Unit.METRIC

    def __init__(self, own: Teacher, second: Teacher, grid: Grid = PATCHES) -> None:
        self.own, self.second, self.grid = own, second, grid
        self.key = key_of("patched 1", own.key, second.key, repr(grid))

    def __call__(self, frames: RGB) -> F32:
        return np.stack([self.refined(frame) for frame in frames])

    def refined(self, image: RGB) -> F32:
        ask, second = disparity_of(self.own), disparity_of(self.second)
        target = refine(ask(image), image, ask, second, self.grid)
        # A fit may leave what a disparity can be; there a patch says nothing.
        known = target.covered & (target.disparity > 0)
        return np.where(known, np.float32(NEAR_M) / target.disparity, np.float32(np.nan))


def disparity_of(teacher: Teacher) -> Ask:
    """Inverse depth of one picture, whatever the teacher's unit; scale and shift are its own."""

    def ask(image: RGB) -> F32:
        answer = teacher(image[None])[0]
        return answer if teacher.unit is Unit.AFFINE else np.asarray(NEAR_M / answer, np.float32)

    return ask
