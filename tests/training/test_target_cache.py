"""Asking a teacher once a picture, and never reading what is stale, cut off or another's."""

from pathlib import Path

import numpy as np
import pytest

from fathom.geometry import F32, RGB
from tests.training.fake_teacher import Ramp, pictures
from training.teachers.cache import TargetCache


def test_a_picture_is_asked_about_once(tmp_path: Path) -> None:
    teacher, frames = Ramp(), pictures(3)
    cache = TargetCache(teacher, tmp_path, shrink=1)
    assert cache.build(frames, 3) == 3
    assert cache(frames[1]) == pytest.approx(teacher(frames[1:2])[0], rel=1e-3)
    assert cache.build(frames, 3) == 0 and teacher.asked == 4
    again = TargetCache(teacher, tmp_path, shrink=1)
    assert np.array_equal(again(frames[0]), cache(frames[0]))
    assert teacher.asked == 4


def test_another_teacher_picture_or_size_is_asked_anew(tmp_path: Path) -> None:
    frames = pictures(2)
    paths = {
        TargetCache(Ramp(shift), tmp_path, shrink=shrink).path(frame)
        for shift in (1.0, 2.0)
        for shrink in (1, 2)
        for frame in frames
    }
    assert len(paths) == 8


def test_a_spoiled_file_is_made_again(tmp_path: Path) -> None:
    cache, frame = TargetCache(Ramp(), tmp_path), pictures(1)[0]
    expected = cache(frame)
    cache.path(frame).write_bytes(b"\x93NUMPY cut off")
    assert np.array_equal(cache(frame), expected)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_stopped_build_keeps_what_it_has(tmp_path: Path) -> None:
    frames = pictures(4)

    class Tired(Ramp):
        def __call__(self, frames: RGB) -> F32:
            if self.asked == 2:
                raise KeyboardInterrupt
            return super().__call__(frames)

    with pytest.raises(KeyboardInterrupt):
        TargetCache(Tired(), tmp_path).build(frames, 4)
    assert TargetCache(Ramp(), tmp_path).build(frames, 4) == 2


def test_targets_shrink_and_come_back(tmp_path: Path) -> None:
    cache, frame = TargetCache(Ramp(), tmp_path, shrink=2), pictures(1)[0]
    assert cache(frame).shape == (24, 32)
    assert cache(frame)[:, 1:-1] == pytest.approx(Ramp()(frame[None])[0][:, 1:-1], abs=0.02)
