"""KITTI's object form: a laser sweep projected by hand, and the two real frames."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fathom.errors import FathomError
from tests.training.test_formats import picture, put
from training.data.kitti_object import KittiObject, project

# The laser's x is the camera's depth, its y points left and its z up; it stands 0.5 m behind.
CALIB = """P0: 1 0 0 0 0 1 0 0 0 0 1 0
P2: 10 0 4 0 0 10 3 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 -0.5

"""


def kitti(root: Path, calib: str = CALIB, *points: tuple[float, float, float]) -> KittiObject:
    put(root / "image_2" / "000007.png", picture(6, 8))
    for folder in ("calib", "velodyne"):
        (root / folder).mkdir(exist_ok=True)
    (root / "calib" / "000007.txt").write_text(calib)
    returns = np.array([(*point, 0.3) for point in points], np.float32)
    (root / "velodyne" / "000007.bin").write_bytes(returns.tobytes())
    return KittiObject(root)


def test_returns_land_where_the_camera_sees_them(tmp_path: Path) -> None:
    folder = kitti(
        tmp_path,
        CALIB,
        (2.5, 0, 0),  # straight ahead, 2 m before the camera: the principal point
        (4.5, 0, 0),  # behind it
        (5.5, 1, 0.5),  # 1 m left and 0.5 m up at 5 m: two columns left, one row up
        (2.5, 2, 0),  # ten columns left: outside
        (-3, 0, 0),  # behind the camera
    )
    sample = folder.read(folder.ids("all")[0])
    assert {(r, c): float(sample.depth_m[r, c]) for r, c in np.argwhere(sample.valid)} == {
        (3, 4): 2.0,
        (2, 2): 5.0,
    }
    assert (sample.focal_px, sample.scene) == (10, "000007")


def test_the_nearest_return_of_a_pixel_wins() -> None:
    to_picture = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    points = np.array([(0, 0, 9), (0, 0, 3), (0, 0, 5)], np.float32)
    assert project(points, to_picture, (1, 1)).tolist() == [[3]]


def test_half_a_calibration(tmp_path: Path) -> None:
    with pytest.raises(FathomError, match="no whole R0_rect; take the file"):
        kitti(tmp_path, CALIB.replace("R0_rect: 1 ", "R0_rect: ")).read("000007")


def test_a_sweep_cut_off(tmp_path: Path) -> None:
    folder = kitti(tmp_path, CALIB, (2.5, 0, 0))
    path = tmp_path / "velodyne" / "000007.bin"
    path.write_bytes(path.read_bytes()[:12])
    with pytest.raises(FathomError, match="got 3 numbers, no multiple of four"):
        folder.read("000007")


def test_a_picture_without_a_sweep(tmp_path: Path) -> None:
    folder = kitti(tmp_path)
    (tmp_path / "velodyne" / "000007.bin").unlink()
    with pytest.raises(FathomError, match=r"000007\.bin in a data set of form kitti-object"):
        folder.read("000007")


@pytest.mark.data
def test_real_frames_agree_with_depth_that_others_projected(real_data: Path) -> None:
    root = real_data / "kitti"
    if not root.is_dir():
        pytest.skip(f"no kitti in {real_data}")
    folder = KittiObject(root)
    for id_ in folder.ids("all"):
        stored = cv2.imread(str(root / "depth_velodyne" / f"{id_}.png"), cv2.IMREAD_UNCHANGED)
        assert stored is not None
        assert np.abs(stored / 256 - folder.read(id_).depth_m).max() < 0.003
