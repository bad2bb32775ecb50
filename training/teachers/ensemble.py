"""Teachers made of teachers: an answer averaged with the mirrored picture's, and several averaged.

Depth is averaged in logs, where twice as far and half as far cancel.
"""

from collections.abc import Sequence

import numpy as np

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB
from training.teachers.teacher import Teacher, Unit, key_of


def between(one: F32, other: F32, unit: Unit) -> F32:
    """The mean of two answers of a unit."""
    if unit is Unit.AFFINE:  # may be 0 or below, so no logs
        return np.asarray((one + other) / 2, np.float32)
    return np.asarray(np.sqrt(one * other), np.float32)


class Mirrored:
    """A teacher's answer, averaged with the mirrored answer to the mirrored picture."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher
        self.unit = teacher.unit
        self.key = key_of("mirrored 1", teacher.key)

    def __call__(self, frames: RGB) -> F32:
        straight = self.teacher(frames)
        mirrored = self.teacher(np.ascontiguousarray(frames[:, :, ::-1]))[:, :, ::-1]
        return between(straight, mirrored, self.unit)


class LogMean:
    """The weighted geometric mean of metric teachers.

    shares  one for each teacher; only their ratio counts
    """

    unit = Unit.METRIC

    def __init__(self, teachers: Sequence[Teacher], shares: Sequence[float]) -> None:
        other = [teacher.unit for teacher in teachers if teacher.unit is not Unit.METRIC]
        if other or not teachers:
            raise FathomError(
                Code.BAD_SETTING,
                expected="metric teachers to average",
                got=f"one that is {other[0]}" if other else "none",
                repair="average only teachers that answer in metres",
            )
        self.teachers = teachers
        self.shares = np.array(shares) / np.sum(shares)
        told = " ".join(f"{share:.6f}" for share in self.shares)
        self.key = key_of("log mean 1", told, *(teacher.key for teacher in teachers))

    def __call__(self, frames: RGB) -> F32:
        answers = zip(self.teachers, self.shares, strict=True)
        logs = [np.float32(share) * np.log(teacher(frames)) for teacher, share in answers]
        return np.asarray(np.exp(np.sum(logs, axis=0)), np.float32)
