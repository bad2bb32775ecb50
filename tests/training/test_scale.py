"""Depth histograms of two data sets: alike, apart, and absent."""

from pathlib import Path

import numpy as np
import pytest

from training.__main__ import main
from training.data.rooms import MadeRooms
from training.data.sample import Sample
from training.data.scale import compare_scale, depth_histogram, overlap


def flat(depth_m: float) -> Sample:
    plane = np.full((4, 6), depth_m, np.float32)
    image = np.zeros((4, 6, 3), np.uint8)
    return Sample(image=image, depth_m=plane, valid=plane > 0, focal_px=6.0, scene="flat")


def test_every_picture_counts_the_same() -> None:
    histogram = depth_histogram([flat(2), flat(0), flat(50), flat(500)])
    assert histogram.sum() == pytest.approx(1)
    assert sorted(histogram[histogram > 0]) == pytest.approx([1 / 3] * 3)
    assert histogram[-1] == pytest.approx(1 / 3)  # beyond the last edge counts there


def test_overlap_is_one_with_itself_and_none_with_a_street() -> None:
    rooms = [MadeRooms(30, size=(12, 16)).read(f"{n:06d}") for n in range(30)]
    first = depth_histogram(rooms[:15])
    assert overlap(first, first) == pytest.approx(1)
    assert compare_scale(rooms[:15], rooms[15:]).level == "right"
    street = compare_scale(rooms, [flat(30), flat(15)])
    assert street.level == "warning" and "overlap by 0%" in street.text


def test_nothing_to_compare() -> None:
    assert "ask a teacher" in compare_scale([flat(2)], [flat(0)]).text


def test_the_command_compares(tiny_nyu: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-data", str(tiny_nyu), "--part", "val", "--like", str(tiny_nyu)]) == 0
    assert "overlap by 100%" in capsys.readouterr().out
