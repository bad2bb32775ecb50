"""Pictures without depth, from a folder or a video: only a teacher can say something about them.

Their camera is unknown, so it is assumed; what a teacher says about them is trusted for shape only.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fathom.errors import Code, FathomError
from fathom.geometry import RGB, Camera, FieldOfView, Size, resize_image
from training.data.pictures import read_image
from training.data.reader import ALL, choose, pictures_below
from training.data.sample import Sample

VIDEOS = frozenset({".avi", ".mkv", ".mov", ".mp4", ".webm"})
# Between a phone (65) and a webcam (55 to 60).
ASSUMED = FieldOfView(60.0)


class ImageFolder:
    """Every picture below a folder; its scene is the folder it lies in.

    size  stretch to this size, for sets that were squeezed (Places is square); None: as stored
    """

    def __init__(self, root: Path, camera: Camera = ASSUMED, size: Size | None = None) -> None:
        self.root, self.camera, self.size = root, camera, size
        self.paths = pictures_below(root)

    def ids(self, part: str = ALL) -> Sequence[str]:
        return choose(part, {ALL: list(self.paths)}, self.root)

    def read(self, id_: str) -> Sample:
        image = read_image(self.paths[id_])
        if self.size is not None and image.shape[:2] != self.size:
            image = resize_image(image, self.size)
        return without_depth(image, self.camera, scene=self.paths[id_].parent.name)


class VideoFile:
    """Every `every`th frame of a video, by its number; one scene."""

    def __init__(self, path: Path, camera: Camera = ASSUMED, every: int = 1) -> None:
        self.path, self.camera = path, camera
        self.capture = cv2.VideoCapture(str(path))
        frames = int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)) if self.capture.isOpened() else 0
        self.numbers = [f"{number:06d}" for number in range(0, frames, every)]

    def ids(self, part: str = ALL) -> Sequence[str]:
        return choose(part, {ALL: self.numbers}, self.path)

    def read(self, id_: str) -> Sample:
        number = int(id_)
        if int(self.capture.get(cv2.CAP_PROP_POS_FRAMES)) != number:  # seeking is slow in order
            self.capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        decoded, frame = self.capture.read()
        if not decoded:
            raise FathomError(
                Code.BAD_DATA,
                expected=f"frame {number} of {self.path}",
                got="none, although the container promises it",
                repair="the file is cut off; write it anew or use its first part",
            )
        image = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
        return without_depth(image, self.camera, scene=self.path.stem)


def without_depth(image: RGB, camera: Camera, scene: str) -> Sample:
    """A sample of which nothing is valid."""
    height, width = size = image.shape[:2]
    return Sample(
        image=image,
        depth_m=np.zeros(size, np.float32),
        valid=np.zeros(size, np.bool_),
        focal_px=camera.for_size((height, width)).fx,
        scene=scene,
    )
