"""A camera that is lost is looked for, ever more gently, and never named with its password."""

import logging
from itertools import islice

import numpy as np
import pytest
from cv2.typing import MatLike
from hypothesis import given
from hypothesis import strategies as st

from client.sources.camera import Camera, delays_s, redact
from client.sources.choose import open_source
from fathom.errors import Code, FathomError

_BGR = np.full((4, 6, 3), (10, 20, 30), np.uint8)


class FakeDevice:
    """Gives `pictures` pictures, then none."""

    def __init__(self, pictures: int) -> None:
        self.left = pictures
        self.released = False

    def read(self) -> tuple[bool, MatLike]:
        assert not self.released
        self.left -= 1
        return self.left >= 0, _BGR

    def release(self) -> None:
        self.released = True


def test_delays_double_from_one_to_thirty_seconds() -> None:
    assert list(islice(delays_s(), 7)) == [1, 2, 4, 8, 16, 30, 30]


def test_a_lost_network_camera_is_found_again_and_the_back_off_starts_anew() -> None:
    first, second = FakeDevice(pictures=1), FakeDevice(pictures=1)
    third = FakeDevice(pictures=1)
    tries = iter([None, None, second, None, third])
    waits_s: list[float] = []
    camera = Camera("cam", first, lambda: next(tries), wait=waits_s.append)
    pictures = [camera.read() for _ in range(3)]
    assert all(p is not None and p[0, 0].tolist() == [30, 20, 10] for p in pictures)
    assert waits_s == [1, 2, 4, 1, 2]
    assert first.released and second.released and not third.released


def test_a_device_that_opens_and_gives_nothing_is_backed_off_from_as_well() -> None:
    tries = iter([FakeDevice(0), FakeDevice(0), FakeDevice(1)])
    waits_s: list[float] = []
    camera = Camera("cam", FakeDevice(0), lambda: next(tries), wait=waits_s.append)
    assert camera.read() is not None
    assert waits_s == [1, 2, 4]


def test_closing_ends_the_search_and_opens_nothing() -> None:
    device = FakeDevice(0)
    opened = []

    def close_meanwhile(_seconds: float) -> None:
        camera.close()

    camera = Camera("cam", device, lambda: opened.append(1), wait=close_meanwhile)
    assert camera.read() is None
    assert device.released and not opened


def test_a_webcam_that_is_unplugged_is_an_error() -> None:
    camera = Camera("0", FakeDevice(1))
    assert camera.read() is not None
    with pytest.raises(FathomError) as caught:
        camera.read()
    assert caught.value.code is Code.CONNECTION_LOST


@pytest.mark.parametrize(
    ("address", "printed"),
    [
        ("rtsp://bob:secret@cam:554/live", "rtsp://***@cam:554/live"),
        ("rtsp://bob:p@ss/word@cam/live", "rtsp://***@cam/live"),
        ("http://cam/video.mjpg?pwd=secret", "http://cam/video.mjpg?***"),
        ("rtsp://cam/live", "rtsp://cam/live"),
        ("desk.mp4", "desk.mp4"),
    ],
)
def test_redaction(address: str, printed: str) -> None:
    assert redact(address) == printed


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1))
def test_no_password_survives_redaction(password: str) -> None:
    assert redact(f"rtsp://bob:{password}@cam.local/live") == "rtsp://***@cam.local/live"


def test_a_camera_that_does_not_answer_is_reported_without_its_password(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(FathomError) as caught:
        open_source("rtsp://bob:secret@127.0.0.1:1/live")  # port 1 refuses at once
    assert caught.value.code is Code.CONNECTION_LOST
    assert "secret" not in str(caught.value) + "".join(capfd.readouterr())


def test_losing_a_camera_is_logged_by_its_printable_name(caplog: pytest.LogCaptureFixture) -> None:
    camera = Camera("http://***@cam", FakeDevice(0), lambda: FakeDevice(1), wait=lambda _: None)
    with caplog.at_level(logging.WARNING):
        camera.read()
    assert [r.getMessage() for r in caplog.records] == [
        "camera.lost source=http://***@cam retry_s=1"
    ]
