"""iBims-1 as PNG files (`ibims1_core_raw`): a hundred indoor pictures measured by laser.

    <root>/imagelist.txt                       a name a line
    <root>/rgb/NAME.png  <root>/depth/NAME.png     16 bit, 65535 is 50 m
    <root>/calib/NAME.txt                      a camera matrix, or fx fy cx cy
    <root>/mask_invalid/NAME.png, mask_transp/NAME.png   0 where depth must not be used

Koch et al., Evaluation of CNN-based Single-Image Depth Estimation Methods, ECCV workshops 2018.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fathom.errors import Code, FathomError
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
        path = self.root / "depth" / f"{id_}.png"
        sample = measured(
            read_image(self.root / "rgb" / f"{id_}.png"),
            read_depth_16(path, UNITS_PER_M),
            self.focal_px(id_),
            id_.rsplit("_", 1)[0],  # corridor_01 and corridor_02 are one building
            path,
        )
        masks = [read_mask(self.root / kind / f"{id_}.png") for kind in MASKS]
        valid = np.logical_and.reduce([sample.valid, *masks])
        return replace(sample, valid=valid, depth_m=np.where(valid, sample.depth_m, np.float32(0)))

    def focal_px(self, id_: str) -> float:
        path = demand(self.root / "calib" / f"{id_}.txt", "ibims")
        numbers = re.findall(r"[-+.\deE]+", path.read_text())
        if len(numbers) not in (4, 9):
            raise FathomError(
                Code.BAD_DATA,
                expected=f"a 3x3 camera matrix or fx fy cx cy in {path}",
                got=f"{len(numbers)} numbers",
                repair="take the calib folder from the data set's archive",
            )
        return float(numbers[0])
