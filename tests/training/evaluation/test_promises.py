"""Constructed networks that keep a promise or break it, and by how much."""

from pathlib import Path

import numpy as np
import pytest

from fathom.errors import FathomError
from fathom.geometry import F32, RGB
from training.data.nyu import NyuFolder
from training.evaluation.promises import check_border, check_focal, middle, painted
from training.evaluation.protocols import PROTOCOLS
from training.evaluation.scored import Answer
from training.evaluation.scoring import Scoring
from training.teachers.teacher import Unit


class FrameReader:
    """Knows the truth's plane inside the picture, times a factor that a bright corner decides."""

    unit = Unit.METRIC

    def __init__(self, truth_m: F32, in_white: float) -> None:
        self.truth_m, self.in_white = truth_m, in_white

    def __call__(self, image: RGB, focal_px: float | None) -> Answer:  # noqa: ARG002
        factor = self.in_white if image[0, 0].min() > 250 else 1.0
        whole = image.shape[:2] == (240, 320)
        box = (slice(None), slice(None)) if whole else (slice(4, 237), slice(4, 316))
        return Answer(self.truth_m[box] * np.float32(factor))


def border(tiny_nyu: Path, in_white: float) -> float:
    folder = NyuFolder(tiny_nyu)
    scored = FrameReader(folder.read("0007").depth_m, in_white)
    promise = check_border(scored, folder, "val", Scoring())
    assert promise.kept is (promise.value <= 0.01)
    return promise.value


def test_a_network_that_does_not_look_at_the_frame(tiny_nyu: Path) -> None:
    assert border(tiny_nyu, in_white=1.0) == 0


def test_a_network_that_reads_its_scale_from_the_frame(tiny_nyu: Path) -> None:
    assert border(tiny_nyu, in_white=1.6) == 1


def test_only_the_frame_is_painted(tiny_nyu: Path) -> None:
    for id_, inside in (("0007", (slice(4, 237), slice(4, 316))), ("0009", (slice(8, 474),))):
        sample = NyuFolder(tiny_nyu).read(id_)
        white = painted(255)(sample).image
        assert np.array_equal(white[inside][:, 8:300], sample.image[inside][:, 8:300])
        assert white[0].min() == white[-1].min() == white[:, 0].min() == white[:, -1].min() == 255


def test_a_protocol_that_cuts_the_frame_off_says_nothing_about_it(tiny_nyu: Path) -> None:
    folder = NyuFolder(tiny_nyu)
    scored = FrameReader(folder.read("0007").depth_m, 1.0)
    with pytest.raises(FathomError, match="--protocol nyu-eigen"):
        check_border(scored, folder, "val", Scoring(protocol=PROTOCOLS["nyu-reference-002"]))


def test_half_the_field_of_view() -> None:
    box = middle(np.zeros((480, 640, 3), np.uint8), 518.86)
    rows, cols = (side.stop - side.start for side in box)
    # 63.3 degrees across; tan of a quarter of it, times two focal lengths, is 294 pixels.
    half_deg = np.degrees(2 * np.arctan(cols / 2 / 518.86))
    assert half_deg == pytest.approx(np.degrees(np.arctan(320 / 518.86)), abs=0.1)
    assert rows / cols == pytest.approx(0.75, abs=0.01)
    assert box[1].start == pytest.approx((640 - cols) / 2, abs=1)


class Ruler:
    """Says a wall is as far as its texture, of one pixel at 100 px of focal length, says it is."""

    unit = Unit.METRIC

    def __init__(self, wrong: float = 1.0) -> None:
        self.wrong = wrong

    def __call__(self, image: RGB, focal_px: float | None) -> Answer:
        # Without a focal length it takes the picture's width for granted.
        assumed = 0.81 * image.shape[1] if focal_px is None else focal_px
        cut_off = image.shape[1] < 320
        return Answer(np.full(image.shape[:2], assumed * (self.wrong if cut_off else 1)))


@pytest.mark.parametrize(("wrong", "kept"), [(1.0, True), (1.14, True), (0.8, False)])
def test_metres_of_the_middle(tiny_nyu: Path, wrong: float, kept: bool) -> None:
    promise = check_focal(Ruler(wrong), NyuFolder(tiny_nyu), "val")
    assert promise.kept is kept
    assert promise.value == pytest.approx(abs(wrong - 1), abs=1e-6)
    # 147 of 320 columns: without the focal length the camera seems that much wider.
    untold = promise.measured["median, not given"]
    assert untold == pytest.approx(abs(wrong * 0.81 * 147 / 259.43 - 1), abs=0.01)
    assert ("kept" if kept else "BROKEN") in str(promise)


def test_only_metres_hang_on_the_focal_length(tiny_nyu: Path) -> None:
    scored = Ruler()
    scored.unit = Unit.AFFINE
    with pytest.raises(FathomError, match="answers in metres"):
        check_focal(scored, NyuFolder(tiny_nyu), "val")
