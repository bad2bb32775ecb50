"""What a sheet shows, looked at pixel by pixel."""

from pathlib import Path

import cv2
import numpy as np

from training.contact_sheet import Row, paint_depth, paint_error, thickened, write_contact_sheet
from training.data.sample import Sample


def sample(valid_share: float = 1.0, height: int = 24, width: int = 32) -> Sample:
    """At 2 m throughout; of less than all, every n-th pixel of row 10."""
    valid = np.ones((height, width), np.bool_)
    if valid_share < 1:
        valid[:] = False
        valid[10, ::16] = True
    return Sample(
        image=np.full((height, width, 3), 90, np.uint8),
        depth_m=np.where(valid, np.float32(2), np.float32(0)),
        valid=valid,
        focal_px=30.0,
        scene="flat",
    )


def test_right_is_white_too_far_is_red_too_near_is_blue() -> None:
    painted = paint_error(np.array([[0, 1, -1]], np.float32))[0]
    assert painted.tolist() == [[255, 255, 255], [255, 0, 0], [0, 0, 255]]


def test_near_is_red_far_is_blue_and_nothing_is_black() -> None:
    near, far, nothing = paint_depth(np.array([[0.8, 7, 0]], np.float32))[0].astype(int)
    assert near[0] > near[2] and far[2] > far[0] and nothing.tolist() == [0, 0, 0]


def test_a_sheet_has_a_row_for_each_picture_and_text_where_there_is_some(tmp_path: Path) -> None:
    depth_m = np.full((24, 32), 2, np.float32)
    rows = [Row(sample(), depth_m), Row(sample(), depth_m * 3, "0007  abs_rel 2.000")]
    write_contact_sheet(tmp_path / "sheet.png", rows)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert sheet.shape == (2 * 120 + 14, 4 * 160, 3)
    assert (sheet[:120, 480:] == 255).all()  # the first is right
    assert (sheet[134:, 480:] == (0, 0, 255)).all()  # the second too far: red, as OpenCV orders it
    assert sheet[120:134].max() == 255  # its text


def test_single_measured_pixels_are_made_to_be_seen() -> None:
    dense = sample()
    assert thickened(dense) is dense
    seen = thickened(sample(valid_share=0.01))
    assert seen.valid.sum() == 5 * (3 + 5)  # five rows; three columns at the edge, five inside
    assert set(np.unique(seen.depth_m)) == {0, 2}
