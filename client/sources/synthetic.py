"""A drawn scene for trying things out without a camera: a room, and a ball that comes and goes."""

import math
from functools import cache
from itertools import count

import cv2
import numpy as np

from fathom.geometry import RGB, Size

SCENE_SIZE: Size = (480, 640)
_PERIOD_S = 4.0
_BALL_RGB = (220, 120, 60)
_NEAR_RADIUS, _FAR_RADIUS = 0.22, 0.05  # of the picture's height


class Scene:
    """The scene at a rate, endless. Says nothing of when: see `Paced`."""

    def __init__(self, fps: float, size: Size = SCENE_SIZE) -> None:
        self._times_s = (n / fps for n in count())
        self._size = size
        self._closed = False

    def read(self) -> RGB | None:
        return None if self._closed else draw(next(self._times_s), self._size)

    def close(self) -> None:
        self._closed = True


def draw(time_s: float, size: Size = SCENE_SIZE) -> RGB:
    """The scene at a time: (H, W, 3) uint8 RGB; the same for the same time."""
    image = _room(size).copy()
    height, width = size
    phase = 2 * math.pi * time_s / _PERIOD_S
    nearness = 0.5 - 0.5 * math.cos(phase)
    radius = height * (_FAR_RADIUS + (_NEAR_RADIUS - _FAR_RADIUS) * nearness)
    # The floor runs from the horizon to the lower edge: what is near stands low in the picture.
    x = round(width * (0.5 + 0.3 * math.sin(phase / 2)))
    ground_y = height * (0.58 + 0.36 * nearness)
    shadow = (round(radius), max(1, round(radius / 4)))
    cv2.ellipse(image, (x, round(ground_y)), shadow, 0, 0, 360, (50, 45, 40), -1, cv2.LINE_AA)
    y = round(ground_y - radius)
    cv2.circle(image, (x, y), round(radius), _BALL_RGB, -1, cv2.LINE_AA)
    light = (x - round(radius / 3), y - round(radius / 3))
    cv2.circle(image, light, max(1, round(radius / 5)), (255, 225, 200), -1, cv2.LINE_AA)
    return image


@cache
def _room(size: Size) -> RGB:
    """Wall and chequered floor, in perspective; drawn once."""
    height, width = size
    horizon = height // 2
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :] - np.float32(width / 2)
    distance = np.float32(height) / np.maximum(rows - np.float32(horizon) + 1, 1)
    squares = np.floor(distance) + np.floor(columns * distance / np.float32(height) * 2)
    shade = np.where(squares % 2 == 0, np.float32(190), np.float32(120))
    shade = shade / (1 + np.float32(0.05) * distance)
    wall = np.float32(150) + np.float32(40) * rows / np.float32(height) + 0 * columns
    grey = np.where(rows > horizon + height // 20, shade, wall)[..., None]
    return (grey * np.array([1.0, 0.95, 0.88], np.float32)).clip(0, 255).astype(np.uint8)
