"""Pictures from disk: a video file, a photo, a folder of photos."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fathom.codecs.image import sniff
from fathom.errors import Code, FathomError
from fathom.geometry import RGB

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_UNTOLD_FPS = 30.0


class VideoFile:
    """The frames of a video file, in order, as RGB."""

    def __init__(self, path: Path) -> None:
        # FFmpeg by name: OpenCV's other back ends take "0001.jpg" for the start of a sequence.
        self._device = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self._device.isOpened():
            raise FathomError(
                Code.BAD_DATA,
                expected="a video, or a JPEG, PNG or WebP picture",
                got=f"{path}, which is none of them",
                repair="check the file; `ffprobe` tells what it is",
            )
        fps = self._device.get(cv2.CAP_PROP_FPS)
        frames = self._device.get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps = fps if math.isfinite(fps) and fps > 0 else _UNTOLD_FPS
        self.frames = int(frames) if math.isfinite(frames) and frames > 0 else None
        self._closed = False

    def read(self) -> RGB | None:
        if self._closed:
            return None
        good, bgr = self._device.read()
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8) if good else None

    def close(self) -> None:
        # Not released here: another thread may be inside `read`.
        self._closed = True


class Pictures:
    """Picture files as their own bytes: decoding and encoding them again would only cost detail."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.frames = len(paths)
        self._waiting = iter(paths)
        self._closed = False

    @classmethod
    def of_folder(cls, folder: Path) -> "Pictures":
        """The pictures of a folder in natural order; raises BAD_DATA if there is none."""
        paths = sorted(
            (path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES),
            key=lambda path: natural_key(path.name),
        )
        if not paths:
            raise FathomError(
                Code.BAD_DATA,
                expected=f"a folder with pictures: {', '.join(PICTURE_SUFFIXES)}",
                got=f"{folder} without any",
                repair="give the folder that holds the files themselves",
            )
        return cls(paths)

    def read(self) -> bytes | None:
        path = None if self._closed else next(self._waiting, None)
        return None if path is None else _picture_bytes(path)

    def close(self) -> None:
        self._closed = True


def natural_key(name: str) -> tuple[tuple[int, str | int], ...]:
    """A sorting key that puts 2.jpg before 10.jpg."""
    pieces = re.split(r"([0-9]+)", name.casefold())
    return tuple((i % 2, int(piece) if i % 2 else piece) for i, piece in enumerate(pieces))


def is_picture(path: Path) -> bool:
    """True if the first bytes are those of a JPEG, PNG or WebP file."""
    with path.open("rb") as file:
        head = file.read(16)
    try:
        sniff(head)
    except FathomError:
        return False
    return True


def _picture_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        sniff(data)
    except FathomError as error:
        raise FathomError(
            error.code,
            expected=error.expected,
            got=f"{path}: {error.got}",
            repair="repair the file or take it out of the folder",
        ) from error
    return data
