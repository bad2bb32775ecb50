"""Pictures from disk: every one, in order, and its bytes as they are."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from client.sources.files import Pictures, VideoFile, natural_key
from client.sources.source import Recording, SourceInfo
from fathom.codecs.colour import encode_jpeg
from fathom.errors import Code, FathomError


def write_video(path: Path, levels: list[int]) -> None:
    """A grey MJPEG video, one level per frame, so that a frame is known by its mean."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for level in levels:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()


def jpeg(level: int) -> bytes:
    return encode_jpeg(np.full((12, 16, 3), level, np.uint8))


def test_a_video_gives_every_frame_once_in_order(tmp_path: Path) -> None:
    levels = list(range(10, 250, 20))
    write_video(tmp_path / "clip.avi", levels)
    video = VideoFile(tmp_path / "clip.avi")
    read = []
    while (picture := video.read()) is not None:
        assert picture.shape == (48, 64, 3) and picture.dtype == np.uint8
        read.append(float(picture.mean()))
    assert read == pytest.approx(levels, abs=2)  # JPEG moves a flat grey by a level or two
    assert (video.frames, video.fps) == (len(levels), 25.0)


def test_a_video_is_rgb(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(
        str(tmp_path / "red.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48)
    )
    writer.write(np.full((48, 64, 3), (0, 0, 255), np.uint8))  # OpenCV's red
    writer.release()
    picture = VideoFile(tmp_path / "red.avi").read()
    assert picture is not None
    assert picture[..., 0].mean() > 230 and picture[..., 2].mean() < 25


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    with pytest.raises(FathomError) as caught:
        VideoFile(tmp_path / "notes.mp4")
    assert caught.value.code is Code.BAD_DATA
    assert "notes.mp4" in caught.value.got


def test_a_folder_is_read_in_natural_order_byte_for_byte(tmp_path: Path) -> None:
    pictures = {f"view{n}.jpg": jpeg(n) for n in (1, 2, 10, 20)}
    for name in reversed(pictures):
        (tmp_path / name).write_bytes(pictures[name])
    (tmp_path / "notes.txt").write_text("not a picture")
    folder = Pictures.of_folder(tmp_path)
    source = Recording(folder, SourceInfo(name="folder", live=False, fps=10), clock=lambda: 7.0)
    captured = list(source.frames())
    assert [c.picture for c in captured] == list(pictures.values())
    assert {c.captured_s for c in captured} == {7.0}
    assert folder.frames == 4


@pytest.mark.parametrize(
    ("first", "second"),
    [("2.jpg", "10.jpg"), ("a9b2", "a10b1"), ("A2", "b1"), ("7", "x"), ("", "1")],
)
def test_natural_order(first: str, second: str) -> None:
    assert natural_key(first) < natural_key(second)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FathomError) as caught:
        Pictures.of_folder(tmp_path)
    assert caught.value.code is Code.BAD_DATA
    assert ".jpg" in caught.value.expected


def test_a_file_that_only_claims_to_be_a_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    (tmp_path / "2.jpg").write_text("not a picture")
    folder = Pictures.of_folder(tmp_path)
    assert folder.read() is not None
    with pytest.raises(FathomError) as caught:
        folder.read()
    assert "2.jpg" in caught.value.got


def test_a_closed_capture_gives_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    write_video(tmp_path / "clip.avi", [10, 20])
    for capture in (Pictures.of_folder(tmp_path), VideoFile(tmp_path / "clip.avi")):
        capture.close()
        assert capture.read() is None
