"""iBims-1, on tiny files written exactly as both of its archives hold them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fathom.errors import FathomError
from tests.training.test_formats import Array, depth, picture, put
from training.__main__ import main
from training.data.forms import FORMS, recognise
from training.data.ibims import IbimsFolder

scipy_io = pytest.importorskip("scipy.io", reason="reading .mat files needs scipy")

NAME = "corridor_01"
K = np.array([[560.5, 0, 320], [0, 560, 240], [0, 0, 1]])


def masks() -> dict[str, Array]:
    """0 at column 3 of the first row where depth is invalid, at column 4 where there is glass."""
    return {
        "mask_invalid": depth(1, 1, 1, 0, fill=1).astype(np.uint8),
        "mask_transp": depth(1, 1, 1, 1, 0, fill=1).astype(np.uint8),
    }


def raw(root: Path, calib: str) -> IbimsFolder:
    put(root / "rgb" / f"{NAME}.png", picture())
    put(root / "depth" / f"{NAME}.png", depth(0, 65535, 13107, 13107, 13107))
    for kind, mask in masks().items():
        put(root / kind / f"{NAME}.png", mask)
    (root / "calib").mkdir()
    (root / "calib" / f"{NAME}.txt").write_text(calib)
    (root / "imagelist.txt").write_text(f"{NAME}\n")
    return IbimsFolder(root)


def packed(root: Path, **changed: Any) -> IbimsFolder:
    depth_m = np.full((6, 8), 2.5)
    depth_m[0, :6] = (0, 50, 10, 10, 10, np.nan)
    fields = {"rgb": picture(), "depth": depth_m, "calib": K, "edges": np.zeros((6, 8)), **masks()}
    kept = {key: value for key, value in (fields | changed).items() if value is not None}
    scipy_io.savemat(root / f"{NAME}.mat", {"data": kept})
    (root / "imagelist.txt").write_text(f"{NAME}\n")
    return IbimsFolder(root)


@pytest.mark.parametrize("calib", ["560.5,0,320\n0,560,240\n0,0,1\n", "560.5 560 320 240"])
def test_png(tmp_path: Path, calib: str) -> None:
    folder = raw(tmp_path, calib)
    sample = folder.read(folder.ids("all")[0])
    assert sample.depth_m[0, :5].tolist() == pytest.approx([0, 50, 10, 0, 0])
    assert sample.valid[0, :5].tolist() == [False, True, True, False, False]
    assert (sample.focal_px, sample.scene) == (560.5, "corridor")


def test_mat(tmp_path: Path) -> None:
    sample = packed(tmp_path).read(NAME)
    assert np.array_equal(sample.image, picture())  # RGB in the file, RGB here
    assert sample.depth_m[0, :7].tolist() == pytest.approx([0, 50, 10, 0, 0, 0, 2.5])
    assert sample.valid[0, :7].tolist() == [False, True, True, False, False, False, True]
    assert sample.depth_m.dtype == np.float32
    assert (sample.focal_px, sample.scene) == (560.5, "corridor")


def test_half_a_calibration(tmp_path: Path) -> None:
    with pytest.raises(FathomError, match="got 3 numbers"):
        raw(tmp_path, "560 320 240").read(NAME)


def test_a_mat_without_masks(tmp_path: Path) -> None:
    with pytest.raises(FathomError, match="got no mask_transp; take the file from the archive"):
        packed(tmp_path, mask_transp=None).read(NAME)


def test_a_mat_that_is_none(tmp_path: Path) -> None:
    folder = packed(tmp_path)
    (tmp_path / f"{NAME}.mat").write_text("<html>")
    with pytest.raises(FathomError, match="a web page saved instead look like this"):
        folder.read(NAME)


def test_a_folder_of_mats_is_not_taken_for_nyu(tmp_path: Path) -> None:
    packed(tmp_path)
    assert recognise(tmp_path) == "ibims"
    assert FORMS["ibims"].open(tmp_path).ids("all") == [NAME]


def test_check_data_says_what_a_folder_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed(tmp_path)
    assert main(["check-data", str(tmp_path)]) == 1
    # A focal length for 640 columns beside a picture of 8: the camera would see half a degree.
    out = capsys.readouterr().out
    assert "iBims-1, PNG or .mat (form ibims)" in out and "check the focal length" in out
    (tmp_path / f"{NAME}.mat").unlink()
    assert main(["check-data", str(tmp_path)]) == 1
    assert f"{NAME}.png; got no such file" in capsys.readouterr().out
