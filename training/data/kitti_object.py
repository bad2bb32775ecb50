"""KITTI as its object benchmark stores it: pictures, calibrations and sweeps of the same name.

    <root>/image_2/NAME.png      the left colour camera
    <root>/calib/NAME.txt        P2, R0_rect, Tr_velo_to_cam: a matrix a line, row by row
    <root>/velodyne/NAME.bin     float32 x y z reflectance, metres, x ahead of the laser

Depth is one sweep seen by the camera, the nearest return of a pixel: sparser than KITTI's annotated
depth, and not its measure. Geiger et al., CVPR 2012.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from fathom.geometry import F32, Size
from training.data.pictures import read_image
from training.data.reader import ALL, choose, demand, pictures_below
from training.data.rgbd_folder import measured
from training.data.sample import Sample

F64 = NDArray[np.float64]


class KittiObject:
    """Whole pictures, their depth where the laser has returns."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = pictures_below(demand(root / "image_2", "kitti-object"))
        demand(root / "velodyne", "kitti-object")

    def ids(self, part: str = ALL) -> Sequence[str]:
        return choose(part, {ALL: list(self.images)}, self.root)

    def read(self, id_: str) -> Sample:
        image = read_image(self.images[id_])
        sweep = demand(self.root / "velodyne" / f"{id_}.bin", "kitti-object")
        points = np.fromfile(sweep, np.float32)
        if points.size % 4:
            raise FathomError(
                Code.BAD_DATA,
                expected=f"float32 x y z reflectance of each return in {sweep}",
                got=f"{points.size} numbers, no multiple of four",
                repair="fetch the sweep again; a cut-off download looks like this",
            )
        to_picture, focal_px = read_calibration(self.root / "calib" / f"{id_}.txt")
        size = (image.shape[0], image.shape[1])
        depth_m = project(points.reshape(-1, 4)[:, :3], to_picture, size)
        return measured(image, depth_m, focal_px, id_, sweep)


def read_calibration(path: Path) -> tuple[F64, float]:
    """The (3, 4) matrix from the laser's metres to pixels times depth, and the focal length.

    raises  BAD_DATA
    """
    text = demand(path, "kitti-object").read_text()
    words = {key: numbers.split() for key, _, numbers in _lines(text)}
    wanted = {"P2": 12, "R0_rect": 9, "Tr_velo_to_cam": 12}
    lacking = [key for key, size in wanted.items() if len(words.get(key, ())) != size]
    if lacking:
        raise FathomError(
            Code.BAD_DATA,
            expected=f"{', '.join(wanted)} in {path}",
            got=f"no whole {', '.join(lacking)}",
            repair="take the file from the archive data_object_calib",
        )
    rows = {key: np.array(words[key], np.float64) for key in wanted}
    rectify, laser = np.eye(4), np.eye(4)
    rectify[:3, :3] = rows["R0_rect"].reshape(3, 3)
    laser[:3] = rows["Tr_velo_to_cam"].reshape(3, 4)
    camera = rows["P2"].reshape(3, 4)
    return camera @ rectify @ laser, float(camera[0, 0])


def _lines(text: str) -> Sequence[tuple[str, str, str]]:
    return [line.partition(":") for line in text.splitlines()]


def project(points: F32, to_picture: F64, size: Size) -> F32:
    """Depth of the nearest return of each pixel, 0 where there is none.

    points      (n, 3) metres
    to_picture  (3, 4)
    """
    seen = np.column_stack([points, np.ones(len(points))]) @ to_picture.T
    seen = seen[seen[:, 2] > 0]
    cols, rows = np.round(seen[:, :2] / seen[:, 2:]).astype(np.int64).T
    inside = (rows >= 0) & (rows < size[0]) & (cols >= 0) & (cols < size[1])
    depth_m = np.full(size, np.inf, np.float32)
    np.minimum.at(depth_m, (rows[inside], cols[inside]), seen[inside, 2].astype(np.float32))
    depth_m[np.isinf(depth_m)] = 0
    return depth_m
