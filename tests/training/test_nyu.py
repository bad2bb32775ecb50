"""Reading the folder: units, sizes, and what a wrong folder is told."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fathom.errors import Code, FathomError
from training.data.nyu import NyuFolder, read_depth, without_border

NewFolder = Callable[[], Path]


def test_depth_is_stored_in_millimetres(tmp_path: Path) -> None:
    stored = np.full((240, 320), 1234, np.uint16)
    stored[0, :2] = (0, 600)
    cv2.imwrite(str(tmp_path / "d.png"), stored)
    depth_m = read_depth(tmp_path / "d.png")
    assert depth_m.dtype == np.float32
    assert depth_m[1, 0] == pytest.approx(1.234)
    assert depth_m[0, :2].tolist() == pytest.approx([0, 0.6])


def test_near_depth_is_valid_and_unknown_depth_is_not(new_nyu: NewFolder) -> None:
    root = new_nyu()
    stored = np.full((240, 320), 2000, np.uint16)
    stored[0, :2] = (0, 600)
    cv2.imwrite(str(root / "train" / "depth" / "0001.png"), stored)
    assert NyuFolder(root).read("0001").valid[0, :3].tolist() == [False, True, True]


def test_a_sample_knows_its_camera_and_scene(tiny_nyu: Path) -> None:
    folder = NyuFolder(tiny_nyu)
    small, large = folder.read("0001"), folder.read("0009")
    assert (small.scene, large.scene) == ("room_1", "room_9")
    assert small.image.shape == (240, 320, 3) and large.image.shape == (480, 640, 3)
    assert small.focal_px == pytest.approx(259.43) and large.focal_px == pytest.approx(518.86)
    assert small.depth_m.shape == large.depth_m.shape == (240, 320)


def test_labels_come_when_asked_for(tiny_nyu: Path) -> None:
    folder = NyuFolder(tiny_nyu)
    assert folder.read("0001").labels is None
    labels = folder.read("0001", labels=True).labels
    assert labels is not None and labels[0, [0, 159, 160, 319]].tolist() == [5, 5, 0, 0]


def test_the_border_is_cut_from_all_maps_alike(tiny_nyu: Path) -> None:
    whole = NyuFolder(tiny_nyu).read("0001", labels=True)
    inside = without_border(whole)
    assert inside.image.shape == (233, 312, 3)
    assert inside.labels is not None and inside.labels.shape == (233, 312)
    # Row 4, column 4 of the whole is the first inside: 1500 + 10 * 4 + 5 * 4 mm.
    assert inside.depth_m[0, 0] == pytest.approx(1.56)
    assert inside.valid.all()


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FathomError, match=r"got no folder .*nowhere; point --data") as caught:
        NyuFolder(tmp_path / "nowhere")
    assert caught.value.code is Code.BAD_DATA


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(FathomError, match=r"without scenes\.csv"):
        NyuFolder(tmp_path)


def test_a_list_that_is_not_there(tiny_nyu: Path) -> None:
    with pytest.raises(FathomError, match=r"list holdout\.txt .*only test, train_fit, val"):
        NyuFolder(tiny_nyu).ids("holdout")


def test_a_list_with_a_stranger(new_nyu: NewFolder) -> None:
    root = new_nyu()
    (root / "val.txt").write_text("0007\n4711\n")
    with pytest.raises(FathomError, match="got 4711, which is not there"):
        NyuFolder(root).ids("val")


def test_an_empty_list(new_nyu: NewFolder) -> None:
    root = new_nyu()
    (root / "val.txt").write_text("")
    with pytest.raises(FathomError, match="an empty list"):
        NyuFolder(root).ids("val")


def test_a_missing_picture(new_nyu: NewFolder) -> None:
    root = new_nyu()
    (root / "train" / "rgb" / "0002.jpg").unlink()
    with pytest.raises(FathomError, match=r"0002\.jpg; got no such file"):
        NyuFolder(root).read("0002")


def test_a_broken_picture(new_nyu: NewFolder) -> None:
    root = new_nyu()
    (root / "train" / "depth" / "0002.png").write_bytes(b"not a picture")
    with pytest.raises(FathomError, match=r"0002\.png; got a file that does not decode"):
        NyuFolder(root).read("0002")


def test_depth_of_eight_bits(new_nyu: NewFolder) -> None:
    root = new_nyu()
    cv2.imwrite(str(root / "train" / "depth" / "0002.png"), np.zeros((240, 320), np.uint8))
    with pytest.raises(FathomError, match=r"one 16-bit channel of 320x240.*got uint8"):
        NyuFolder(root).read("0002")


def test_pictures_of_test_size_are_not_fitted_on(tiny_nyu: Path) -> None:
    with pytest.raises(FathomError, match="got 640x480"):
        without_border(NyuFolder(tiny_nyu).read("0009"))


@pytest.mark.data
def test_the_real_parts_share_no_scene(real_data: Path) -> None:
    folder = NyuFolder(real_data / "nyuv2")
    parts = {part: folder.ids(part) for part in ("train_fit", "val", "test")}
    assert [len(ids) for ids in parts.values()] == [700, 95, 654]
    scenes = [{folder.rows[id_]["scene"] for id_ in ids} for ids in parts.values()]
    assert not scenes[0] & scenes[1] and not scenes[0] & scenes[2] and not scenes[1] & scenes[2]


@pytest.mark.data
def test_the_real_depth_is_metres_of_rooms(real_data: Path) -> None:
    folder = NyuFolder(real_data / "nyuv2")
    for id_ in (*folder.ids("val")[:3], *folder.ids("test")[:3]):
        sample = folder.read(id_, labels=True)
        assert sample.valid.all()
        assert sample.depth_m.min() > 0.7 and sample.depth_m.max() < 10
        assert sample.labels is not None and sample.labels.max() <= 13
