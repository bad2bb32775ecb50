"""The labelled .mat, written as MATLAB writes it: HDF5, columns first, text as character codes."""

from pathlib import Path

import numpy as np
import pytest

from fathom.errors import FathomError
from training.data.nyu_mat import NyuMat

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
