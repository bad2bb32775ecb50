"""A teacher whose answers are known, and pictures to ask it about."""

from typing import ClassVar

import numpy as np

from fathom.geometry import F32, RGB
from training.teachers.teacher import Unit


class Ramp:
    """Says the column number plus `shift`; counts how often it was asked."""

    unit: ClassVar[Unit] = Unit.METRIC

    def __init__(self, shift: float = 1.0, unit: Unit = Unit.METRIC) -> None:
        self.shift, self.key, self.asked = shift, f"ramp {shift}", 0
        self.unit = unit  # type: ignore[misc]

    def __call__(self, frames: RGB) -> F32:
        self.asked += len(frames)
        columns = np.arange(frames.shape[2], dtype=np.float32) + np.float32(self.shift)
        return np.broadcast_to(columns, frames.shape[:3]).copy()


def pictures(count: int, height: int = 24, width: int = 32) -> RGB:
    return np.random.default_rng(1).integers(0, 256, (count, height, width, 3)).astype(np.uint8)
