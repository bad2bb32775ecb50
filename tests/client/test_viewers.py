"""Picture left, coloured depth right, a caption below: as pure pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.viewers import Status, Window, compose, has_gui, legend, panel_size
from fathom.codecs.colour import colourise
from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, Size
from fathom.values import Colours

_STATUS = Status(age_s=0.023, fps=41.5, skipped=3)
_SIZE: Size = (120, 160)
_PICTURE = np.random.default_rng(0).integers(0, 255, (*_SIZE, 3), np.uint8)


def composed(depth_m: F32 | None, *, status: Status = _STATUS, picture: RGB = _PICTURE) -> RGB:
    return compose(picture, depth_m, status=status, colours=Colours(), panel=_SIZE)


def test_the_picture_is_left_and_its_depth_in_colours_right() -> None:
    depth_m = np.linspace(0.2, 8, 120 * 160, dtype=np.float32).reshape(_SIZE)
    canvas = composed(depth_m)
    assert np.array_equal(canvas[:120, :160], _PICTURE)
    assert np.array_equal(canvas[:120, 160:], colourise(depth_m, Colours()))


def test_a_smaller_map_is_brought_to_the_size_of_the_picture() -> None:
    canvas = composed(np.full((15, 20), 2.0, np.float32))
    expected = colourise(np.full((1, 1), 2.0, np.float32), Colours())[0, 0]
    assert (canvas[:120, 160:] == expected).all()


def test_no_depth_is_black() -> None:
    assert not composed(None)[:120, 160:].any()


def test_a_picture_of_another_shape_is_fitted_without_distortion() -> None:
    tall = np.full((240, 160, 3), 255, np.uint8)
    canvas = composed(np.full((240, 160), 2.0, np.float32), picture=tall)
    white = np.asarray(canvas[:120, :160].min(axis=2) == 255)
    assert white.sum() == 120 * 80 and white[:, 40:120].all()
    painted = np.asarray(canvas[:120, 160:].max(axis=2) > 0)
    assert painted[:, 40:120].all() and painted.sum() == 120 * 80


def test_the_caption_says_what_the_status_says() -> None:
    assert str(_STATUS) == "age 23 ms  41.5 fps  skipped 3"
    failed = Status(age_s=0.023, fps=41.5, skipped=3, note="no depth: engine_fault")
    assert str(Status(age_s=0.023, fps=0.0, skipped=0)) == "age 23 ms  skipped 0"
    assert str(failed) == "no depth: engine_fault"
    written, other = (composed(None, status=s)[120:, :160] for s in (_STATUS, failed))
    assert not np.array_equal(written, other)
    assert written.max() > 150  # there is ink


def test_the_legend_runs_from_the_nearest_to_the_farthest_colour() -> None:
    colours = Colours(near_m=1.0, far_m=3.0)
    strip = legend((26, 320), colours)
    ends = colourise(np.array([[1.0, 3.0]], np.float32), colours)[0]
    middle = strip[13].tolist()
    near_at, far_at = middle.index(ends[0].tolist()), middle[::-1].index(ends[1].tolist())
    assert near_at < 80 and far_at < 80


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_every_panel_is_even_and_fits_a_screen(height: int, width: int) -> None:
    panel_height, panel_width = panel_size((height, width))
    assert panel_height % 2 == 0 and panel_width % 2 == 0
    assert 160 <= panel_width <= 960 and 2 <= panel_height <= 960


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (33, 47), (2, 2000)])
def test_every_picture_can_be_shown(size: Size) -> None:
    panel = panel_size(size)
    picture, depth_m = np.zeros((*size, 3), np.uint8), np.ones(size, np.float32)
    canvas = compose(picture, depth_m, status=_STATUS, colours=Colours(), panel=panel)
    assert canvas.shape[0] % 2 == 0 and canvas.shape[1] == 2 * panel[1]


def test_a_build_without_windows_is_told_apart() -> None:
    assert has_gui("  GUI:                           QT5\n    QT:   YES")
    assert not has_gui("  GUI:                           NONE\n")
    assert not has_gui("nothing of the kind")


@pytest.mark.skipif(has_gui(cv2.getBuildInformation()), reason="this OpenCV has windows")
def test_show_without_windows_says_what_to_install() -> None:
    with pytest.raises(FathomError) as caught:
        Window("depth")
    assert caught.value.code is Code.BAD_OPTION
    assert "opencv-python" in caught.value.repair and "--save" in caught.value.repair
