"""What each precision costs, to look at: a PNG with a row for each picture and form of the student.

Columns: the picture, PyTorch's depth, this form's depth, and its error with the worst pixel ringed.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from export.gates import relative_error
from export.networks import Network
from export.pictures import Pictures
from export.targets import Made
from fathom.geometry import F32, RGB
from training.contact_sheet import paint_depth, paint_error
from training.students.checkpoint import write_atomically

_MOST_PICTURES = 5
# Full colour in the error map: beyond it nothing is told apart.
_FULL_ERROR = 0.1
_STRIP_PX, _RING_PX = 16, 6
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def write_report(path: Path, made: Sequence[Made], reference: Network, pictures: Pictures) -> None:
    """Write the sheet as a PNG."""
    frames = pictures.frames[:_MOST_PICTURES]
    wanted = reference(frames).depth_m
    found = {
        f"{each.target} {precision}{' graph' if each.is_plan else ''}": network(frames).depth_m
        for each in made
        for precision, network in each.runs.items()
    }
    rows = [
        _row(name, frames[i], wanted[i], maps[i], pictures.content[i])
        for i in range(len(frames))
        for name, maps in found.items()
    ]
    sheet = cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)
    write_atomically(path, cv2.imencode(".png", sheet)[1].tobytes())


def _row(
    name: str,
    frame: RGB,
    wanted_m: F32,
    found_m: F32,
    content: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> RGB:
    error = np.where(content, relative_error(found_m, wanted_m), 0)
    y, x = np.unravel_index(int(np.argmax(error)), error.shape)
    signed = np.where(found_m > wanted_m, error, -error) / np.float32(_FULL_ERROR)
    painted = paint_error(np.asarray(signed, np.float32))
    cv2.circle(painted, (int(x), int(y)), _RING_PX, _BLACK, 1)
    inside = error[content]
    text = (
        f"{name}: median {np.median(inside):.2%}, p99 {np.percentile(inside, 99):.2%}, worst"
        f" {error[y, x]:.1%} at ({x}, {y}): {found_m[y, x]:.2f} m for {wanted_m[y, x]:.2f} m"
    )
    cells = np.concatenate([frame, paint_depth(wanted_m), paint_depth(found_m), painted], axis=1)
    strip = np.zeros((_STRIP_PX, cells.shape[1], 3), np.uint8)
    cv2.putText(strip, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _WHITE, 1, cv2.LINE_AA)
    return np.concatenate([strip, cells])
