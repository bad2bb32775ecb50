"""Made-up rooms with exact depth, classes and camera: boxes in a box, ray cast.

Depth is exact because a ray is written as camera + depth * (x, y, 1): the ray's parameter *is* the
depth along the optical axis. For tests, for self-supervision with known motion, and for checks in
which a real data set's errors would hide ours; not a substitute for pictures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fathom.geometry import F32, RGB, Intrinsics, Size
from training.data.labels import class_id
from training.data.reader import ALL, choose
from training.data.sample import Sample

F64 = NDArray[np.float64]
# Furniture: class, width, depth and height in metres.
FURNITURE = (
    ("bed", 2.0, 1.5, 0.5),
    ("chair", 0.5, 0.5, 0.9),
    ("furniture", 1.0, 0.5, 1.8),
    ("sofa", 1.8, 0.9, 0.8),
    ("table", 1.2, 0.8, 0.75),
    ("objects", 0.3, 0.3, 0.3),
    ("books", 0.4, 0.3, 1.2),
)
# Thin boxes on the far wall: class, width, height, height of the lower edge.
ON_WALL = (("window", 1.2, 1.1, 1.0), ("picture", 0.7, 0.5, 1.4), ("tv", 1.1, 0.65, 0.8))


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """Axis-aligned boxes; the first is the room itself, seen from inside.

    low, high  (n, 3) corners in metres: x right, y down (0 is the ceiling), z to the far wall
    classes    (n,) of the boxes; the first is the walls'
    colours    (n, 3) in 0..255
    """

    low: F64
    high: F64
    classes: NDArray[np.uint8]
    colours: F64


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Where a camera stands and looks: points to the room are `rotation @ p + position`."""

    position: F64
    rotation: F64

    @classmethod
    def looking(cls, position: Sequence[float], yaw: float = 0.0, pitch: float = 0.0) -> "Pose":
        """Radians; positive yaw looks right, positive pitch looks down."""
        cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        return cls(np.array(position, np.float64), about_y @ about_x)


def random_room(rng: np.random.Generator) -> Room:
    """A room of 3 to 6 m by 2.4 to 3 m by 3 to 7 m, furnished at random; boxes may overlap."""
    size = rng.uniform((3.0, 2.4, 3.0), (6.0, 3.0, 7.0))
    boxes = [(np.zeros(3), size, "wall")]
    for index in rng.choice(len(FURNITURE), 5):
        name, width, depth, height = FURNITURE[index]
        extent = np.array([width, height, depth]) * rng.uniform(0.8, 1.2, 3)
        x, z = rng.uniform((0, 1.2), (size[0] - extent[0], max(1.3, size[2] - extent[2])))
        low = np.array([x, size[1] - extent[1], z])
        boxes.append((low, np.minimum(low + extent, size - 1e-3), name))
    for name, width, height, above in ON_WALL:
        x = rng.uniform(0, size[0] - width)
        low = np.array([x, size[1] - above - height, size[2] - 0.03])
        boxes.append((low, low + np.array([width, height, 0.02]), name))
    return Room(
        low=np.stack([low for low, _, _ in boxes]),
        high=np.stack([high for _, high, _ in boxes]),
        classes=np.array([class_id(name) for _, _, name in boxes], np.uint8),
        colours=rng.uniform(60, 240, (len(boxes), 3)),
    )


class View(NamedTuple):
    """What a camera sees: picture (H, W, 3), depth_m (H, W), classes of the 13 (H, W)."""

    image: RGB
    depth_m: F32
    labels: NDArray[np.uint8]


def render(room: Room, pose: Pose, camera: Intrinsics, size: Size) -> View:
    """Cast a ray through the centre of every pixel; the camera must stand inside the room."""
    height, width = size
    x = (np.arange(width) - camera.cx) / camera.fx
    y = (np.arange(height) - camera.cy) / camera.fy
    rays = np.stack([*np.broadcast_arrays(x[None, :], y[:, None]), np.ones(size)], axis=-1)
    rays = rays @ pose.rotation.T
    rays = np.where(np.abs(rays) < 1e-12, 1e-12, rays)  # a ray within a face's plane
    depth, box, axis = nearest_hits(room, pose.position, rays)
    labels = room.classes[box]
    level = (box == 0) & (axis == 1)
    labels[level] = np.where(rays[level][:, 1] > 0, class_id("floor"), class_id("ceiling"))
    points = pose.position + depth[..., None] * rays
    # Faces are told apart by shade, places on a face by a pattern that is finer than furniture.
    shade = np.array([0.75, 1.0, 0.88])[axis] * (1 + 0.25 * pattern(points, box))
    image = np.clip(room.colours[box] * shade[..., None], 0, 255).astype(np.uint8)
    return View(image, depth.astype(np.float32), labels)


def nearest_hits(
    room: Room, position: F64, rays: F64
) -> tuple[F64, NDArray[np.intp], NDArray[np.intp]]:
    """Depth, box and axis of the face's normal for each ray (slab method, Kay & Kajiya, 1986)."""
    depth = np.full(rays.shape[:-1], np.inf)
    box, axis = np.zeros(depth.shape, np.intp), np.zeros(depth.shape, np.intp)
    for index, (low, high) in enumerate(zip(room.low, room.high, strict=True)):
        first, second = (low - position) / rays, (high - position) / rays
        enter, leave = np.minimum(first, second), np.maximum(first, second)
        if index == 0:  # the room is left, everything else is entered
            hit, face = leave.min(axis=-1), leave.argmin(axis=-1)
        else:
            hit, face = enter.max(axis=-1), enter.argmax(axis=-1)
            hit = np.where((hit > 1e-6) & (hit < leave.min(axis=-1)), hit, np.inf)
        nearer = hit < depth
        depth[nearer], box[nearer], axis[nearer] = hit[nearer], index, face[nearer]
    return depth, box, axis


def pattern(points: F64, box: NDArray[np.intp]) -> F64:
    """Waves of 60, 25 and 9 cm, other ones for every box; within -1..1."""
    total = np.zeros(box.shape)
    for wave_m, turn in ((0.6, 0.3), (0.25, 1.1), (0.09, 2.0)):
        along = points @ np.array([math.cos(turn), 0.7, math.sin(turn)])
        across = points @ np.array([-math.sin(turn), 0.7, math.cos(turn)])
        k = 2 * math.pi / wave_m
        total += np.sin(k * along + box) * np.sin(k * across + 2 * box)
    return total / 3


class MadeRooms:
    """`count` rooms, each seen once at eye height; the number and `seed` decide everything."""

    def __init__(self, count: int, size: Size = (240, 320), seed: int = 0) -> None:
        self.count, self.size, self.seed = count, size, seed
        self.camera = Intrinsics.centred(0.81 * size[1], size)  # NYU's field of view

    def ids(self, part: str = ALL) -> Sequence[str]:
        return choose(part, {ALL: [f"{n:06d}" for n in range(self.count)]}, Path("made rooms"))

    def read(self, id_: str) -> Sample:
        rng = np.random.default_rng((self.seed, int(id_)))
        room = random_room(rng)
        width, height = room.high[0][:2]
        eye = (width * rng.uniform(0.3, 0.7), height - rng.uniform(1.3, 1.7), rng.uniform(0.2, 0.8))
        pose = Pose.looking(eye, rng.uniform(-0.4, 0.4), rng.uniform(-0.1, 0.25))
        view = render(room, pose, self.camera, self.size)
        return Sample(
            image=view.image,
            depth_m=view.depth_m,
            valid=np.ones(self.size, np.bool_),
            labels=view.labels,
            focal_px=self.camera.fx,
            scene=f"made_{id_}",
        )
