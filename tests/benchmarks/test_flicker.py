"""The flicker metric and the accuracy beside it, against examples worked by hand."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.flicker import accuracy, flicker, main, static_pixels
from fathom.geometry import F32, RGB


def grey(level: int) -> RGB:
    return np.full((16, 16, 3), level, np.uint8)


def row(*depths_m: float) -> F32:
    return np.array([depths_m], np.float32)


def plane(depth_m: float) -> F32:
    return np.full((16, 16), depth_m, np.float32)


def test_flicker_of_a_still_picture_by_hand() -> None:
    """2.0 -> 2.1 -> 2.0 m: 100 mm each time; 5 % up, then 0.1 / 2.1 = 4.762 % down."""
    measured = flicker([grey(90)] * 3, [plane(2.0), plane(2.1), plane(2.0)])
    assert measured.mean_mm == pytest.approx(100, rel=1e-4)
    assert measured.mean_percent == pytest.approx((5 + 10 / 2.1) / 2, rel=1e-4)
    assert measured.static_share == 1


def test_flicker_counts_static_pixels_only() -> None:
    """The left half brightens by 40; its depth doubles, and none of that is flicker.

    The mean of 5x5 pixels mixes the halves in two columns a side: of the right half's columns 8 and
    9 hold two fifths and one fifth of the change, 16 and 8 levels. Six of 16 columns are static.
    """
    after, depth_m = grey(90), plane(2.02)
    after[:, :8] += 40
    depth_m[:, :10] = 4
    measured = flicker([grey(90), after], [plane(2.0), depth_m])
    assert measured.static_share == 6 / 16
    assert measured.mean_mm == pytest.approx(20, rel=1e-3)
    assert measured.mean_percent == pytest.approx(1, rel=1e-3)


def test_pixels_without_depth_in_either_frame_do_not_count() -> None:
    before_m, after_m = plane(2.0), plane(2.2)
    before_m[:4], after_m[12:] = np.nan, np.nan
    measured = flicker([grey(90)] * 2, [before_m, after_m])
    assert measured.static_share == 0.5
    assert measured.mean_mm == pytest.approx(200, rel=1e-4)


def test_where_nothing_is_static_there_is_no_flicker_to_tell() -> None:
    measured = flicker([grey(90), grey(130)], [plane(2.0), plane(2.2)])
    assert np.isnan(measured.mean_mm)
    assert measured.static_share == 0


@pytest.mark.parametrize(("change", "static"), [(3, True), (4, False)])
def test_three_levels_are_noise(change: int, static: bool) -> None:
    assert np.all(static_pixels(grey(90), grey(90 + change)) == static)


def test_accuracy_by_hand() -> None:
    """Against 1, 2, 4 m: 1.1, 2, 5.2 m are off by 10, 0 and 30 %, the last beyond 1.25."""
    predicted_m = row(1.1, 2.0, 5.2, 9.0)
    truth_m = row(1.0, 2.0, 4.0, np.nan)
    scored = accuracy([predicted_m], [truth_m], align=False)
    assert scored.abs_rel == pytest.approx(0.4 / 3, rel=1e-5)
    assert scored.delta1 == pytest.approx(2 / 3)


def test_alignment_takes_a_pictures_scale_out_and_nothing_else() -> None:
    truth_m = row(1.0, 2.0, 4.0)
    assert accuracy([truth_m * 3], [truth_m], align=True).abs_rel == pytest.approx(0, abs=1e-6)
    assert accuracy([truth_m * 3], [truth_m], align=False).abs_rel == pytest.approx(2, rel=1e-6)


def test_each_picture_counts_the_same() -> None:
    small, large = row(1.0), plane(1.0)
    scored = accuracy([small * 2, large], [small, large], align=False)
    assert scored.abs_rel == pytest.approx(0.5)


def test_a_run_with_the_null_engine_writes_every_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six pictures of one wall, every second one with depth: 2 m, and none in the first row."""
    rgb, depth = tmp_path / "rgb", tmp_path / "depth"
    rgb.mkdir()
    depth.mkdir()
    depth_mm = np.full((24, 32), 2000, np.uint16)
    depth_mm[0] = 0
    for i in range(6):
        cv2.imwrite(str(rgb / f"{i:04d}.png"), np.full((24, 32, 3), 90, np.uint8))
        if i % 2 == 0:
            cv2.imwrite(str(depth / f"{i:04d}.png"), depth_mm)
    result = tmp_path / "flicker.json"
    options = ["--frames", "6", "--frames-folder", str(rgb), "--depth-folder", str(depth)]
    assert main(["--engine", "null", "--json", str(result), *options]) == 0
    figures = json.loads(result.read_text())["figures"]
    for source in ("desk.mp4", "still photo", "frames"):
        assert set(figures[source]) == {f"strength_{s}" for s in ("0", "0.3", "0.5", "0.8")}
    for scored in figures["frames"].values():
        assert scored["pictures_with_truth"] == 3
        assert scored["lag_abs_rel"] == pytest.approx(0, abs=1e-6)
        assert scored["static_share"] == 1
    assert "strength" in capsys.readouterr().out
