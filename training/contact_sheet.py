"""Predictions one can look at: picture, truth, prediction, error, a row each. Knows no network."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fathom.geometry import F32, RGB, Size, resize_image
from training.data.sample import Sample
from training.evaluation import Predictor, predict_map
from training.students.checkpoint import write_atomically

CELL: Size = (120, 160)
# Fixed ranges: with a range of its own, every picture looks equally right.
DEPTH_RANGE_M = (0.5, 8.0)
LARGEST_RATIO = 1.5


def write_contact_sheet(
    path: Path, predictor: Predictor, samples: Sequence[Sample], network_size: Size
) -> None:
    rows = [_row(sample, predict_map(predictor, sample.image, network_size)) for sample in samples]
    sheet = cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)
    packed = cv2.imencode(".png", sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    write_atomically(path, packed.tobytes())


def _row(sample: Sample, depth_m: F32) -> RGB:
    ratio = np.log(depth_m / np.where(sample.valid, sample.depth_m, depth_m))
    cells = (
        sample.image,
        paint_depth(sample.depth_m),
        paint_depth(depth_m),
        paint_error(ratio / np.log(LARGEST_RATIO)),
    )
    return np.concatenate([resize_image(cell, CELL) for cell in cells], axis=1)


def paint_depth(depth_m: F32) -> RGB:
    """Near is red, far is blue, in even steps of ratio."""
    low, high = np.log(DEPTH_RANGE_M)
    nearness = (high - np.log(np.maximum(depth_m, 1e-3))) / (high - low)
    painted = cv2.applyColorMap(_levels(nearness), cv2.COLORMAP_TURBO)
    return np.asarray(cv2.cvtColor(painted, cv2.COLOR_BGR2RGB), np.uint8)


def paint_error(share: F32) -> RGB:
    """White is right, red too far, blue too near."""
    return np.stack([_levels(1 + share), _levels(1 - np.abs(share)), _levels(1 - share)], axis=-1)


def _levels(share: F32) -> NDArray[np.uint8]:
    return (np.clip(share, 0, 1) * 255).astype(np.uint8)
