"""From what is written after --source to what is read."""

from pathlib import Path

import numpy as np
import pytest

from client.sources.choose import open_source
from client.sources.newest import Newest
from client.sources.source import Recording
from client.sources.synthetic import draw
from fathom.codecs.colour import encode_jpeg
from fathom.errors import Code, FathomError

_JPEG = encode_jpeg(np.zeros((8, 8, 3), np.uint8))


def test_a_photo_is_known_by_its_bytes_not_its_name(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(_JPEG)
    source = open_source(str(tmp_path / "photo"))
    assert isinstance(source, Recording)
    assert [c.picture for c in source.frames()] == [_JPEG]
    assert (source.info.live, source.info.frames) == (False, 1)


def test_a_folder_counts_its_pictures(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.jpg").write_bytes(_JPEG)
    source = open_source(str(tmp_path), fps=4)
    assert (source.info.live, source.info.frames, source.info.fps) == (False, 3, 4)


def test_a_recording_can_be_played_as_a_camera(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(_JPEG)
    source = open_source(str(tmp_path), played=True)
    assert isinstance(source, Newest)
    assert source.info.live
    assert [c.picture for c in source.frames()] == [_JPEG]


def test_the_drawn_scene_is_live_endless_and_moves() -> None:
    source = open_source("synthetic", fps=500)
    assert source.info.live and source.info.frames is None
    frames = source.frames()
    first, second = next(frames), next(frames)
    assert isinstance(first.picture, np.ndarray) and first.picture.shape == (480, 640, 3)
    assert second.captured_s > first.captured_s
    source.close()
    assert not np.array_equal(draw(0.0), draw(0.5))
    assert np.array_equal(draw(0.5), draw(0.5))


@pytest.mark.parametrize("text", ["nosuch.mp4", "ftp://cam/live", "synthetik", "webcam"])
def test_what_names_nothing_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(FathomError) as caught:
        open_source(text)
    error = caught.value
    assert error.code is Code.BAD_OPTION
    assert "synthetic" in error.expected and text in error.got


def test_a_webcam_that_is_not_there_is_an_error_not_a_hang() -> None:
    with pytest.raises(FathomError) as caught:
        open_source("/dev/video99")
    assert caught.value.code is Code.CONNECTION_LOST
