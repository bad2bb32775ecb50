"""A teacher's answers on disk: asked once a picture, whatever runs follow.

A file is named after teacher, picture and stored size, so that nothing stale is ever read: another
teacher or another crop simply has other names. Knows no data set.
"""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fathom.geometry import F32, RGB, resize_map
from training.students.checkpoint import write_atomically
from training.teachers.teacher import Teacher, key_of

F16: TypeAlias = NDArray[np.float16]


class TargetCache:
    """Answers at the picture's size over `shrink`, as float16, which is 0.05 % off at most."""

    def __init__(self, teacher: Teacher, folder: Path, *, shrink: int = 2) -> None:
        self.teacher, self.folder, self.shrink = teacher, folder, shrink

    def __call__(self, image: RGB) -> F32:
        """The teacher's answer (H, W) for a picture, in the teacher's unit."""
        path = self.path(image)
        stored = load(path)
        if stored is None:
            stored = self.ask(image, path)
        return resize_map(stored.astype(np.float32), (image.shape[0], image.shape[1]))

    def build(self, images: Iterable[RGB], total: int) -> int:
        """Ask about every picture that is not stored yet; say how many those were.

        Stopping it loses nothing: what was asked stays.
        """
        asked = 0
        for image in tqdm(images, total=total, unit="picture", desc="teacher", mininterval=1.0):
            path = self.path(image)
            if load(path) is None:
                self.ask(image, path)
                asked += 1
        return asked

    def path(self, image: RGB) -> Path:
        name = key_of(self.teacher.key, repr(image.shape), image.tobytes(), f"/{self.shrink}")
        return self.folder / name[:2] / f"{name}.npy"

    def ask(self, image: RGB, path: Path) -> F16:
        """The answer as it is stored, and from now on is."""
        height, width = image.shape[:2]
        size = (-(-height // self.shrink), -(-width // self.shrink))
        stored = resize_map(self.teacher(image[None])[0], size).astype(np.float16)
        file = io.BytesIO()
        np.save(file, stored, allow_pickle=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, file.getvalue())
        return stored


def load(path: Path) -> F16 | None:
    """None where there is nothing, or something that a failing disk left."""
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return np.asarray(stored, np.float16)
