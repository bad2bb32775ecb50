"""Each published form, on tiny files written exactly so: units, holes, parts, complaints (T19)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fathom.errors import Code, FathomError
from fathom.geometry import FocalLength
from training.data.labels import CLASSES, class_id, map_labels
from training.data.lists import KITTI_EIGEN, NYU_SYNC, ListedFolder, kb_crop, parse
from training.data.pictures import read_depth_16
from training.data.rgbd_folder import RgbdFolder, RgbdForm
from training.data.seven_scenes import SevenScenes
from training.data.tum import TumSequence
from training.data.unlabelled import ImageFolder, VideoFile

Array = np.ndarray[Any, Any]


def put(path: Path, stored: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), stored)
    return path


def picture(height: int = 6, width: int = 8) -> Array:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def depth(*first: int, height: int = 6, width: int = 8, fill: int = 1000) -> Array:
    stored = np.full((height, width), fill, np.uint16)
    stored[0, : len(first)] = first
    return stored


@pytest.mark.parametrize(("units", "stored", "metres"), [(1000, 1234, 1.234), (256, 256, 1.0)])
def test_stored_depth_becomes_metres(
    tmp_path: Path, units: float, stored: int, metres: float
) -> None:
    path = put(tmp_path / "d.png", depth(0, stored))
    assert read_depth_16(path, units)[0, :2].tolist() == pytest.approx([0, metres])


def test_depth_in_colour_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FathomError, match=r"one 16-bit channel .* got uint8 of shape \(6, 8, 3\)"):
        read_depth_16(put(tmp_path / "d.png", picture()), 1000)


# --- plain RGB-D ---


def rgbd(root: Path) -> Path:
    put(root / "rgb" / "a.jpg", picture())
    put(root / "rgb" / "b.png", picture())
    put(root / "depth" / "a.png", depth(0, 65535, 600))
    return root


def test_plain_folder(tmp_path: Path) -> None:
    folder = RgbdFolder(rgbd(tmp_path), FocalLength(7.0))
    assert folder.ids("all") == ["a", "b"]
    assert folder.ids("measured") == ["a"] and folder.ids("unlabelled") == ["b"]
    sample = folder.read("a")
    assert sample.valid[0, :4].tolist() == [False, False, True, True]
    assert sample.depth_m[0, :4].tolist() == pytest.approx([0, 0, 0.6, 1])
    assert (sample.focal_px, sample.scene) == (7.0, tmp_path.name)
    assert not folder.read("b").valid.any()


def test_plain_folder_with_other_names_and_unit(tmp_path: Path) -> None:
    put(tmp_path / "image_2" / "a.png", picture())
    put(tmp_path / "velodyne" / "a.png", depth(512))
    form = RgbdForm(rgb="image_2", depth="velodyne", units_per_m=256)
    assert RgbdFolder(tmp_path, form=form).read("a").depth_m[0, 0] == 2


def test_depth_of_another_size(tmp_path: Path) -> None:
    put(rgbd(tmp_path) / "depth" / "a.png", depth(height=3, width=4))
    with pytest.raises(FathomError, match=r"as large as its picture, 8x6.* got 4x3"):
        RgbdFolder(tmp_path).read("a")


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FathomError, match="got parts all, measured, unlabelled") as caught:
        RgbdFolder(rgbd(tmp_path)).ids("val")
    assert caught.value.code is Code.BAD_DATA


def test_no_depth_folder(tmp_path: Path) -> None:
    put(tmp_path / "rgb" / "a.png", picture())
    with pytest.raises(FathomError, match="depth in a data set of form rgbd"):
        RgbdFolder(tmp_path)


# --- TUM ---


@pytest.mark.parametrize(
    "line",
    [
        "1305031453.35 rgb/1.png 1305031453.37 depth/2.png",
        "1305031453.37 depth/2.png 1305031453.35 rgb/1.png",
    ],
)
def test_tum(tmp_path: Path, line: str) -> None:
    root = tmp_path / "rgbd_dataset_freiburg2_desk"
    put(root / "rgb" / "1.png", picture())
    put(root / "depth" / "2.png", depth(0, 5000, 6172))
    (root / "associations.txt").write_text(f"# made by associate.py\n{line}\n")
    sequence = TumSequence(root)
    assert sequence.ids("all") == ["1305031453.35"]
    sample = sequence.read("1305031453.35")
    assert sample.depth_m[0, :3].tolist() == pytest.approx([0, 1, 1.2344])
    assert sample.focal_px == pytest.approx(520.9 * 8 / 640)


def test_tum_with_a_list_of_pictures_only(tmp_path: Path) -> None:
    (tmp_path / "associations.txt").write_text("1305031453.35 rgb/1.png\n")
    with pytest.raises(FathomError, match=r"line 1 .*associate\.py rgb\.txt depth\.txt"):
        TumSequence(tmp_path)


# --- 7-Scenes ---


def test_seven_scenes(tmp_path: Path) -> None:
    for sequence in ("seq-01", "seq-02"):
        put(tmp_path / sequence / "frame-000000.color.png", picture())
        put(tmp_path / sequence / "frame-000000.depth.png", depth(65535, 0, 2500))
    (tmp_path / "TrainSplit.txt").write_text("sequence2\r\n")
    scenes = SevenScenes(tmp_path)
    assert scenes.ids("all") == ["seq-01/frame-000000", "seq-02/frame-000000"]
    assert scenes.ids("train") == ["seq-02/frame-000000"]
    sample = scenes.read("seq-01/frame-000000")
    assert sample.depth_m[0, :3].tolist() == [0, 0, 2.5]
    assert sample.valid[0, :3].tolist() == [False, False, True]
    assert sample.focal_px == pytest.approx(585 * 8 / 640)


def test_seven_scenes_still_packed(tmp_path: Path) -> None:
    (tmp_path / "seq-01.zip").write_bytes(b"")
    with pytest.raises(FathomError, match="unpack the sequences"):
        SevenScenes(tmp_path)


# --- list files ---


def test_nyu_sync(tmp_path: Path) -> None:
    put(tmp_path / "kitchen_0028b" / "rgb_00045.jpg", picture())
    put(tmp_path / "kitchen_0028b" / "sync_depth_00045.png", depth(0, 600))
    listed = tmp_path / "train.txt"
    listed.write_text("/kitchen_0028b/rgb_00045.jpg /kitchen_0028b/sync_depth_00045.png 518.8579\n")
    folder = ListedFolder(tmp_path, tmp_path, [listed], NYU_SYNC)
    assert folder.ids("all") == folder.ids("train")
    sample = folder.read(folder.ids("train")[0])
    assert sample.depth_m[0, :2].tolist() == pytest.approx([0, 0.6])
    assert (sample.focal_px, sample.scene) == (518.8579, "kitchen_0028b")


DRIVE = "2011_09_26_drive_0002_sync"
FRAME = f"2011_09_26/{DRIVE}/image_02/data/0000000069.png"
TRUTH = f"{DRIVE}/proj_depth/groundtruth/image_02/0000000069.png"


@pytest.mark.parametrize("below", ["", "train", "val"])
def test_kitti(tmp_path: Path, below: str) -> None:
    """As KITTI unpacks, annotated depth lies below train or val; the lists do not say which."""
    stored = depth(height=375, width=1242, fill=0)
    stored[23, 13:15] = (256, 20480)
    put(tmp_path / FRAME, picture(375, 1242))
    put(tmp_path / "data_depth_annotated" / below / TRUTH, stored)
    listed = tmp_path / "eigen.txt"
    listed.write_text(f"{FRAME} {TRUTH} 721.5377\n")
    folder = ListedFolder(tmp_path, tmp_path / "data_depth_annotated", [listed], KITTI_EIGEN)
    sample = folder.read(FRAME)
    assert sample.image.shape == (352, 1216, 3)
    # The crop begins at row 375 - 352 = 23 and column (1242 - 1216) // 2 = 13.
    assert sample.depth_m[0, :3].tolist() == [1, 80, 0]
    assert sample.valid.sum() == 2
    assert (sample.focal_px, sample.scene) == (721.5377, DRIVE)


def test_kitti_without_truth(tmp_path: Path) -> None:
    put(tmp_path / FRAME, picture(370, 1224))
    listed = tmp_path / "eigen.txt"
    listed.write_text(f"{FRAME} None 707.0493\n")
    sample = ListedFolder(tmp_path, tmp_path, [listed], KITTI_EIGEN).read(FRAME)
    assert sample.depth_m.shape == (352, 1216) and not sample.valid.any()


def test_a_kitti_picture_that_was_resized(tmp_path: Path) -> None:
    put(tmp_path / "rgb" / "a.png", picture(192, 640))
    with pytest.raises(FathomError, match="at least 1216x352; got 640x192"):
        kb_crop(ImageFolder(tmp_path).read("rgb/a"))


@pytest.mark.parametrize("line", ["a.png b.png", "a.png b.png far", "a.png b.png 1 2"])
def test_a_line_of_another_form(tmp_path: Path, line: str) -> None:
    listed = tmp_path / "eigen.txt"
    listed.write_text(f"x.png None 700\n\n{line}\n")
    with pytest.raises(FathomError, match="PICTURE DEPTH FOCAL_PX; got line 3"):
        parse(listed)


# --- pictures alone ---


def test_pictures_alone(tmp_path: Path) -> None:
    put(tmp_path / "kitchen" / "a.jpg", picture(16, 16))
    (tmp_path / "list.txt").write_text("a.jpg\n")
    sample = ImageFolder(tmp_path, size=(12, 16)).read("kitchen/a")
    assert sample.image.shape == (12, 16, 3) and sample.scene == "kitchen"
    assert sample.labels is None and not sample.valid.any() and not sample.depth_m.any()


def test_a_video_in_and_out_of_order(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 16))
    for level in (20, 90, 160, 230):
        writer.write(np.full((16, 32, 3), level, np.uint8))
    writer.release()
    video = VideoFile(path, every=3)
    assert video.ids("all") == ["000000", "000003"]
    levels = [video.read(id_).image.mean() for id_ in ("000003", "000000", "000001")]
    assert levels == pytest.approx([230, 20, 90], abs=4)


def test_no_video(tmp_path: Path) -> None:
    with pytest.raises(FathomError, match="no pictures at all"):
        VideoFile(tmp_path / "none.mp4").ids("all")


# --- classes ---


def test_classes_are_mapped_and_strangers_unlabelled() -> None:
    fine = np.array([0, 1, 2, 3, 4, 894])
    table = np.array([0, 12, 5, 13], np.uint8)
    assert map_labels(fine, table).tolist() == [0, 12, 5, 13, 0, 0]
    assert map_labels(np.array([13, 14]), None).tolist() == [13, 0]
    assert len(CLASSES) == 14 and class_id("window") == 13


# --- the real samples ---

Root = Callable[[Path], Path]


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "pictures", "measured", "median_m"),
    [("tum_fr1_rpy", 150, 50, (0.5, 4)), ("7scenes_redkitchen", 40, 40, (1, 3))],
)
def test_real_clips(
    real_data: Path, name: str, pictures: int, measured: int, median_m: tuple[float, float]
) -> None:
    if not (real_data / name).is_dir():
        pytest.skip(f"no {name} in {real_data}")
    folder = RgbdFolder(real_data / name, FocalLength(260.0))
    assert (len(folder.ids("all")), len(folder.ids("measured"))) == (pictures, measured)
    sample = folder.read(folder.ids("measured")[3])
    assert median_m[0] < float(np.median(sample.depth_m[sample.valid])) < median_m[1]
    assert 0.5 < sample.valid.mean() < 1


@pytest.mark.data
def test_real_kitti_frames_in_the_list_form(real_data: Path, tmp_path: Path) -> None:
    """Two real frames, put where KITTI would put them; depth agrees with the calibrated laser."""
    source = real_data / "kitti"
    if not source.is_dir():
        pytest.skip(f"no kitti in {real_data}")
    (tmp_path / FRAME).parent.mkdir(parents=True)
    (tmp_path / TRUTH).parent.mkdir(parents=True)
    (tmp_path / FRAME).symlink_to(source / "image_2" / "000001.png")
    (tmp_path / TRUTH).symlink_to(source / "depth_velodyne" / "000001.png")
    (tmp_path / "eigen.txt").write_text(f"{FRAME} {TRUTH} 721.5377\n")
    folder = ListedFolder(tmp_path, tmp_path, [tmp_path / "eigen.txt"], KITTI_EIGEN)
    sample = folder.read(FRAME)
    laser = np.fromfile(source / "velodyne" / "000001.bin", np.float32).reshape(-1, 4)
    assert sample.image.shape == (352, 1216, 3)
    assert 0.02 < sample.valid.mean() < 0.08
    # The laser looks along x; the camera stands 0.27 m in front of it.
    assert np.median(sample.depth_m[sample.valid]) == pytest.approx(
        np.median(laser[:, 0]) - 0.27, rel=0.15
    )


@pytest.mark.data
def test_real_unlabelled_pictures(real_data: Path) -> None:
    if not (real_data / "places_indoor").is_dir():
        pytest.skip(f"no places_indoor in {real_data}")
    folder = ImageFolder(real_data / "places_indoor", size=(240, 320))
    ids = folder.ids("all")
    assert len(ids) == 4800
    assert folder.read(ids[17]).image.shape == (240, 320, 3)


def test_no_lists(tmp_path: Path) -> None:
    with pytest.raises(FathomError, match=r"list files .*; got no \.txt file"):
        ListedFolder(tmp_path, tmp_path, [], KITTI_EIGEN)
