"""A camera walking through one made room: frames with exact depth and exactly known motion.

What self-supervision is judged by: nothing else says what the motion was. Knows no network.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fathom.geometry import Intrinsics, Size, resize_image
from training.data.reader import ALL, choose
from training.data.rooms import F64, Pose, random_room, render
from training.data.sample import Sample

# Sideways, down and ahead, in metres, and frames a swing takes: no two of them keep step, so that
# motion is not the same from frame to frame.
SWINGS = ((0.5, 61.0), (0.15, 43.0), (0.4, 83.0))
TURN, TURN_FRAMES = 0.06, 53.0
FINER = 3  # odd, so that one of the finer pixels has the same centre


class MadeVideo:
    """`count` frames of the room that `seed` decides, a few centimetres apart."""

    def __init__(self, count: int, size: Size = (240, 320), seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.count, self.size, self.seed = count, size, seed
        self.room = random_room(rng)
        width, height = self.room.high[0][:2]
        self.eye = np.array([width / 2, height - rng.uniform(1.3, 1.7), 0.7])
        self.phases = rng.uniform(0, 2 * math.pi, 4)
        self.camera = Intrinsics.centred(0.81 * size[1], size)  # NYU's field of view

    def ids(self, part: str = ALL) -> Sequence[str]:
        return choose(part, {ALL: [f"{n:06d}" for n in range(self.count)]}, Path("made video"))

    def pose(self, number: int) -> Pose:
        """Where the camera is in a frame."""
        steps = [
            reach * math.sin(2 * math.pi * number / frames + phase)
            for (reach, frames), phase in zip(SWINGS, self.phases[:3], strict=True)
        ]
        yaw = TURN * math.sin(2 * math.pi * number / TURN_FRAMES + self.phases[3])
        return Pose.looking(self.eye + np.array(steps), yaw, pitch=0.1)

    def transform(self, source: int, target: int) -> F64:
        """T_target_source, (3, 4): takes points of frame `source` to the camera of `target`."""
        a, b = self.pose(source), self.pose(target)
        rotation = b.rotation.T @ a.rotation
        return np.column_stack([rotation, b.rotation.T @ (a.position - b.position)])

    def read(self, id_: str) -> Sample:
        # Finer, then averaged: a pattern sampled at points would crawl from frame to frame.
        size = (FINER * self.size[0], FINER * self.size[1])
        camera = self.camera.resized(self.size, size)
        view = render(self.room, self.pose(int(id_)), camera, size)
        middle = (slice(FINER // 2, None, FINER), slice(FINER // 2, None, FINER))
        return Sample(
            image=resize_image(view.image, self.size),
            depth_m=view.depth_m[middle],
            valid=np.ones(self.size, np.bool_),
            labels=view.labels[middle],
            focal_px=self.camera.fx,
            scene=f"made_video_{self.seed}",
        )
