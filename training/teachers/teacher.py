"""What a teacher is: pictures in, a map of a stated unit out. Knows no network and no loss.

A metric teacher learned one camera. Its metres are those of a camera with NYU's field of view that
took the picture as it is; `metres_of` restates them for the camera that really took it.
"""

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB

# Focal length over picture width of the Kinect of NYU Depth V2.
FOCAL_OF_WIDTH = 518.86 / 640


class Unit(StrEnum):
    """What a teacher's numbers mean.

    METRIC    metres along the optical axis
    RELATIVE  depth up to one unknown factor a picture
    AFFINE    inverse depth up to an unknown factor and shift a picture (MiDaS, DPT, Depth Anything)
    """

    METRIC = "metric"
    RELATIVE = "relative"
    AFFINE = "affine"


class Teacher(Protocol):
    """A frozen network in eval mode behind one call, which also makes it a `Predictor` to score.

    key       changes with everything that changes an answer: weights and how they are used
    call      frames (N, H, W, 3) uint8 RGB of any size -> (N, H, W) float32 in `unit`; the answer
              for a picture does not depend on the others in the batch
    """

    @property
    def unit(self) -> Unit: ...
    @property
    def key(self) -> str: ...
    def __call__(self, frames: RGB) -> F32: ...


def metres_of(target_m: F32, focal_px: float) -> F32:
    """Metric answers (H, W) for a picture that a camera of `focal_px` took."""
    return target_m * np.float32(focal_px / (FOCAL_OF_WIDTH * target_m.shape[-1]))


def normalised(pixels: RGB, mean: Sequence[float], std: Sequence[float]) -> F32:
    """(..., H, W, 3) in 0..255 to (..., 3, H, W), zero mean and unit spread a channel."""
    centred = pixels.astype(np.float32) / 255 - np.array(mean, np.float32)
    scaled = centred / np.array(std, np.float32)
    return np.ascontiguousarray(np.moveaxis(scaled, -1, -3), np.float32)


def key_of(*parts: str | bytes | Path) -> str:
    """One name for texts, bytes and the contents of files, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part
        content = content.encode() if isinstance(content, str) else content
        digest.update(len(content).to_bytes(8) + content)
    return digest.hexdigest()


def bad_weights(path: Path, what: str, error: Exception) -> FathomError:
    """The one complaint about a file that is not the teacher it is said to be."""
    return FathomError(
        Code.BAD_MODEL,
        expected=what,
        got=f"{path}: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
        repair="check the path; the file must be the one the teacher's module names",
    )
