"""The labelled .mat, written as MATLAB writes it: HDF5, columns first, text as character codes."""

from pathlib import Path

import numpy as np
import pytest

from fathom.errors import FathomError
from training.data.forms import FORMS
from training.data.nyu_mat import NyuMat, open_nyu_mat

h5py = pytest.importorskip("h5py", reason="reading .mat files needs h5py")


@pytest.fixture
def mat(tmp_path: Path) -> Path:
    """Two pictures of 640x480; the second has a red upper left pixel, 2.5 m away, of class 3."""
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    images = np.zeros((2, 3, 640, 480), np.uint8)
    depths = np.full((2, 640, 480), 0.6, np.float32)
    labels = np.zeros((2, 640, 480), np.uint16)
    images[1, 0, 0, 0], depths[1, 0, 0], labels[1, 0, 0] = 255, 2.5, 3
    labels[1, 639, 0] = 894
    with h5py.File(path, "w") as file:
        file["images"], file["depths"], file["labels"] = images, depths, labels
        names = file.create_dataset("scenes", (1, 2), dtype=h5py.ref_dtype)
        for index, name in enumerate(("kitchen_0004", "office_0001")):
            code = file.create_dataset(f"#refs#/{index}", data=[[ord(c)] for c in name])
            names[0, index] = code.ref
    return path


def test_pictures_come_upright_and_in_metres(mat: Path) -> None:
    reader = NyuMat(mat, to_13=np.array([0, 5, 6, 7], np.uint8))
    assert reader.ids("all") == ["0001", "0002"]
    sample = reader.read("0002")
    assert sample.image.shape == (480, 640, 3)
    assert sample.image[0, 0].tolist() == [255, 0, 0]
    assert sample.depth_m[0, :2].tolist() == pytest.approx([2.5, 0.6])
    assert sample.valid.all()  # nearer than a metre is as good as any
    assert sample.labels is not None
    assert sample.labels[0, [0, 1, 639]].tolist() == [7, 0, 0]
    assert sample.scene == "office_0001" and sample.focal_px == pytest.approx(518.86)


def test_no_labels_without_a_table(mat: Path) -> None:
    assert NyuMat(mat).read("0001").labels is None


def test_a_download_cut_off(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(b"MATLAB 7.3 MAT-file")
    with pytest.raises(FathomError, match="a cut-off download looks like this"):
        NyuMat(tmp_path / "a.mat")


# --- what lies beside it ---

scipy_io = pytest.importorskip("scipy.io", reason="the official lists need scipy")


def lists(folder: Path) -> None:
    """As published: columns of numbers from 1, and tables without an entry for id 0."""
    scipy_io.savemat(folder / "splits.mat", {"trainNdxs": [[2]], "testNdxs": [[1]]})
    to_40 = np.full((1, 894), 40, np.uint8)
    to_40[0, 2] = 2  # the set's class 3 is 2 of the 40
    to_13 = np.full((1, 40), 7, np.uint8)
    to_13[0, 1] = 5  # and 5 of the 13, the floor
    scipy_io.savemat(folder / "classMapping40.mat", {"mapClass": to_40})
    scipy_io.savemat(folder / "class13Mapping.mat", {"classMapping13": {"labels13": to_13}})


def test_the_official_split_and_classes(mat: Path) -> None:
    lists(mat.parent)
    reader = open_nyu_mat(mat)
    assert (reader.ids("train"), reader.ids("test")) == (["0002"], ["0001"])
    labels = reader.read("0002").labels
    assert labels is not None
    assert labels[0, [0, 1, 639]].tolist() == [5, 0, 7]


def test_in_a_folder_the_lists_are_not_taken_for_the_set(mat: Path) -> None:
    lists(mat.parent)
    assert FORMS["nyu-mat"].open(mat.parent).ids("all") == ["0001", "0002"]


def test_without_lists_there_is_one_part(mat: Path) -> None:
    with pytest.raises(FathomError, match=r"part test .* got parts all"):
        open_nyu_mat(mat).ids("test")


def test_a_split_that_is_none(mat: Path) -> None:
    scipy_io.savemat(mat.with_name("splits.mat"), {"trainNdxs": [[1]]})
    with pytest.raises(FathomError, match="trainNdxs and testNdxs"):
        open_nyu_mat(mat)
