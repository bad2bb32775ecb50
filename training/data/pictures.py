"""Pictures and maps from files. The unit of stored depth is said at the call, never guessed."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB

PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})


def read_image(path: Path) -> RGB:
    return np.asarray(cv2.cvtColor(decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def read_depth_16(path: Path, units_per_m: float, *, missing: tuple[int, ...] = (0,)) -> F32:
    """Metres from one 16-bit channel; the `missing` values become 0, which is never valid.

    raises  BAD_DATA
    """
    stored = decode(path, cv2.IMREAD_UNCHANGED)
    if stored.dtype != np.uint16 or stored.ndim != 2:
        raise FathomError(
            Code.BAD_DATA,
            expected=f"depth in one 16-bit channel in {path}",
            got=f"{stored.dtype} of shape {stored.shape}",
            repair="convert to 16-bit grey PNG; eight bits are too coarse and colours are no depth",
        )
    depth_m = stored.astype(np.float32) / np.float32(units_per_m)
    depth_m[np.isin(stored, missing)] = 0
    return depth_m


def read_mask(path: Path) -> NDArray[np.bool_]:
    """True where the stored value is not 0."""
    return np.asarray(decode(path, cv2.IMREAD_GRAYSCALE) > 0)


def decode(path: Path, mode: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """What OpenCV makes of the file.

    raises  BAD_DATA, which tells a missing file from a broken one
    """
    stored = cv2.imread(str(path), mode) if path.is_file() else None
    if stored is None:
        raise FathomError(
            Code.BAD_DATA,
            expected=f"a picture at {path}",
            got="a file that does not decode" if path.is_file() else "no such file",
            repair="complete the data set; every listed id needs all of its files",
        )
    return stored  # type: ignore[return-value]  # OpenCV's stubs do not know the two dtypes
