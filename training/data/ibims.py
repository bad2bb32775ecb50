"""iBims-1: a hundred indoor pictures measured by laser, as PNG files or as MATLAB files.

    <root>/imagelist.txt                           a name a line
    PNG (`ibims1_core_raw`)
    <root>/rgb/NAME.png  <root>/depth/NAME.png     16 bit, 65535 is 50 m
    <root>/calib/NAME.txt                          a camera matrix, or fx fy cx cy
    <root>/mask_invalid/NAME.png, mask_transp/NAME.png   0 where depth must not be used
    MATLAB (`ibims1_core_mat`)
    <root>/NAME.mat    a structure `data` with rgb, depth in metres, calib and the same masks

Koch et al., Evaluation of CNN-based Single-Image Depth Estimation Methods, ECCV workshops 2018.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from training.data.matlab import load_mat
from training.data.pictures import read_depth_16, read_image, read_mask
from training.data.reader import ALL, choose, demand
from training.data.rgbd_folder import measured
from training.data.sample import Sample

UNITS_PER_M = 65535 / 50
MASKS = ("mask_invalid", "mask_transp")


class IbimsFolder:
    """For evaluation only: a hundred pictures are not enough to fit on and to believe."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = demand(root / "imagelist.txt", "ibims").read_text().split()

    def ids(self, part: str = ALL) -> Sequence[str]:
        return choose(part, {ALL: self.names}, self.root)

    def read(self, id_: str) -> Sample:
        """From the MATLAB file of that name if there is one."""
        packed = self.root / f"{id_}.mat"
        return self.read_mat(packed, id_) if packed.is_file() else self.read_png(id_)

    def read_png(self, id_: str) -> Sample:
        path = self.root / "depth" / f"{id_}.png"
        image = read_image(self.root / "rgb" / f"{id_}.png")
        depth_m = read_depth_16(path, UNITS_PER_M)
        sample = measured(image, depth_m, self.focal_px(id_), scene_of(id_), path)
        return usable(sample, [read_mask(self.root / kind / f"{id_}.png") for kind in MASKS])

    def read_mat(self, path: Path, id_: str) -> Sample:
        (data,) = load_mat(path, "ibims", "data")
        lacking = [name for name in ("rgb", "depth", "calib", *MASKS) if not hasattr(data, name)]
        if lacking:
            raise FathomError(
                Code.BAD_DATA,
                expected=f"rgb, depth, calib, {', '.join(MASKS)} in `data` of {path}",
                got=f"no {', '.join(lacking)}",
                repair="take the file from the archive ibims1_core_mat",
            )
        depth_m = np.nan_to_num(np.asarray(data.depth, np.float32), nan=0.0)
        focal_px = first_of(np.ravel(data.calib), path)
        image = np.ascontiguousarray(data.rgb, np.uint8)
        sample = measured(image, depth_m, focal_px, scene_of(id_), path)
        return usable(sample, [np.asarray(getattr(data, kind)) > 0 for kind in MASKS])

    def focal_px(self, id_: str) -> float:
        path = demand(self.root / "calib" / f"{id_}.txt", "ibims")
        return first_of(np.array(re.findall(r"[-+.\deE]+", path.read_text()), np.float64), path)


def first_of(camera: NDArray[np.float64], path: Path) -> float:
    """The focal length, which is the first of the numbers in either form of a calibration."""
    if camera.size not in (4, 9):
        raise FathomError(
            Code.BAD_DATA,
            expected=f"a 3x3 camera matrix or fx fy cx cy in {path}",
            got=f"{camera.size} numbers",
            repair="take the calibration from the data set's archive",
        )
    return float(camera[0])


def scene_of(id_: str) -> str:
    """corridor_01 and corridor_02 are one building."""
    return id_.rsplit("_", 1)[0]


def usable(sample: Sample, masks: Sequence[NDArray[np.bool_]]) -> Sample:
    """The sample, valid only where every mask is true: no mirrors, no glass."""
    valid = np.logical_and.reduce([sample.valid, *masks])
    return replace(sample, valid=valid, depth_m=np.where(valid, sample.depth_m, np.float32(0)))
