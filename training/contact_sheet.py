"""Predictions one can look at: picture, truth, prediction, error, a row each. Knows no network."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fathom.geometry import F32, RGB, Size, resize_image
from training.data.sample import Sample
from training.students.checkpoint import write_atomically

CELL_HEIGHT_PX, STRIP_HEIGHT_PX = 120, 14
# Fixed ranges: with a range of its own, every picture looks equally right.
DEPTH_RANGE_M = (0.5, 8.0)
LARGEST_RATIO = 1.5
# Share of measured pixels below which single ones would not be seen.
SPARSE = 0.2


class Row(NamedTuple):
    """A sample, metres at its truth's size, and what to write above them."""

    sample: Sample
    depth_m: F32
    told: str = ""


def write_contact_sheet(
    path: Path, rows: Sequence[Row], range_m: tuple[float, float] = DEPTH_RANGE_M
) -> None:
    """One PNG with the rows below each other, cells of the first picture's shape."""
    height, width = rows[0].sample.image.shape[:2]
    cell = (CELL_HEIGHT_PX, round(CELL_HEIGHT_PX * width / height))
    sheet = np.concatenate([_paint(row, cell, range_m) for row in rows])
    packed = cv2.imencode(
        ".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9]
    )[1]
    write_atomically(path, packed.tobytes())


def _paint(row: Row, cell: Size, range_m: tuple[float, float]) -> RGB:
    sample, depth_m, told = thickened(row.sample), row.depth_m, row.told
    known = np.where(sample.depth_m > 0, sample.depth_m, depth_m)
    ratio = np.where(sample.valid, np.log(np.maximum(depth_m, 1e-3) / known), 0)
    cells = (
        sample.image,
        paint_depth(sample.depth_m, range_m),
        paint_depth(depth_m, range_m),
        paint_error(np.asarray(ratio / np.log(LARGEST_RATIO), np.float32)),
    )
    painted = np.concatenate([resize_image(each, cell) for each in cells], axis=1)
    if not told:
        return painted
    strip = np.zeros((STRIP_HEIGHT_PX, painted.shape[1], 3), np.uint8)
    cv2.putText(strip, told, (2, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1)
    return np.concatenate([strip, painted])


def thickened(sample: Sample) -> Sample:
    """Where a laser measured a few pixels only, each of them larger, the nearest in front."""
    if sample.valid.mean() > SPARSE:
        return sample
    nowhere_m = np.float32(1e6)  # OpenCV's own border is the largest float, which is finite
    measured = np.where(sample.valid, sample.depth_m, nowhere_m)
    nearest = np.asarray(cv2.erode(measured, np.ones((5, 5))), np.float32)
    valid = nearest < nowhere_m
    return replace(sample, depth_m=np.where(valid, nearest, np.float32(0)), valid=valid)


def paint_depth(depth_m: F32, range_m: tuple[float, float] = DEPTH_RANGE_M) -> RGB:
    """Near is red, far is blue, in even steps of ratio; nothing measured is black."""
    low, high = np.log(range_m)
    nearness = (high - np.log(np.maximum(depth_m, 1e-3))) / (high - low)
    painted = cv2.applyColorMap(_levels(nearness), cv2.COLORMAP_TURBO)
    painted[depth_m <= 0] = 0
    return np.asarray(cv2.cvtColor(painted, cv2.COLOR_BGR2RGB), np.uint8)


def paint_error(share: F32) -> RGB:
    """White is right or not compared, red too far, blue too near."""
    return np.stack([_levels(1 + share), _levels(1 - np.abs(share)), _levels(1 - share)], axis=-1)


def _levels(share: F32) -> NDArray[np.uint8]:
    return (np.clip(share, 0, 1) * 255).astype(np.uint8)
