"""Real pictures as a network sees them: what engines are compared on and calibrated with."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from fathom.geometry import RGB, Letterbox, Size

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """frames (N, H, W, 3) uint8 RGB; content (N, H, W), False where a frame is padding."""

    frames: RGB
    content: NDArray[np.bool_]


def read_pictures(folder: Path, network_size: Size, most: int = 0) -> Pictures:
    """The pictures that lie in a folder, letterboxed.

    most    take so many at even steps through the sorted list; 0 takes all
    raises  BAD_DATA if there are none
    """
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in _SUFFIXES)
    if most and len(found) > most:
        found = [found[i * len(found) // most] for i in range(most)]
    frames, content = [], []
    for path in found:
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        if pixels is not None:
            box = Letterbox((pixels.shape[0], pixels.shape[1]), network_size)
            frames.append(box.embed(np.asarray(pixels, np.uint8)))
            inside = np.zeros(network_size, np.bool_)
            inside[box.content] = True
            content.append(inside)
    if not frames:
        raise FathomError(
            Code.BAD_DATA,
            expected=f"pictures in {folder} to compare engines on",
            got="none",
            repair="give --images or --calibration a folder of photos",
        )
    return Pictures(np.stack(frames), np.stack(content))
