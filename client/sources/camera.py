"""Cameras: a webcam by index or device file, a network camera by address, reconnected when lost."""

import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

import cv2
import numpy as np
from cv2.typing import MatLike

from fathom.errors import Code, FathomError
from fathom.geometry import RGB

_log = logging.getLogger("fathom.client.camera")

_FIRST_DELAY_S = 1.0
_LONGEST_DELAY_S = 30.0
# FFmpeg's own bound on a silent network is half a minute: too long to sit in front of.
_NETWORK_WAIT_MS = 5000


class Device(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def read(self) -> tuple[bool, MatLike]: ...

    def release(self) -> None: ...


class Camera:
    """Pictures of a device as RGB; a network camera that is lost is looked for until closed.

    name        how messages call it
    device      the device, open
    reopen      opens it again, None if that failed; None for a camera that cannot come back
    wait        sleeps that many seconds, or until the camera is closed
    """

    def __init__(
        self,
        name: str,
        device: Device,
        reopen: Callable[[], Device | None] | None = None,
        *,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._name = name
        self._device: Device | None = device
        self._reopen = reopen
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._delays_s = delays_s()

    def read(self) -> RGB | None:
        while not self._closed.is_set():
            good, bgr = self._device.read() if self._device else (False, None)
            if good and bgr is not None:
                self._delays_s = delays_s()
                return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
            self._release()
            self._find_again()
        self._release()
        return None

    def close(self) -> None:
        # The device is released by the thread that reads: OpenCV allows no second thread in it.
        self._closed.set()

    def _find_again(self) -> None:
        if self._reopen is None:
            raise FathomError(
                Code.CONNECTION_LOST,
                expected="a camera that goes on",
                got=f"{self._name} without a picture",
                repair="plug it in again and start again",
            )
        delay_s = next(self._delays_s)
        _log.warning("camera.lost source=%s retry_s=%g", self._name, delay_s)
        self._wait(delay_s)
        if not self._closed.is_set():
            self._device = self._reopen()

    def _release(self) -> None:
        if self._device is not None:
            self._device.release()
            self._device = None


def delays_s() -> Iterator[float]:
    """1, 2, 4 ... 30, 30 seconds: quick after a hiccup, gentle to a camera that restarts."""
    delay_s = _FIRST_DELAY_S
    while True:
        yield delay_s
        delay_s = min(2 * delay_s, _LONGEST_DELAY_S)


def redact(address: str) -> str:
    """An address that may be printed: without user, password and query.

    Greedy up to the last @, because cameras ship with passwords that hold one, unescaped.
    """
    without_user = re.sub(r"(?<=//).*@", "***@", address)
    return re.sub(r"\?.*", "?***", without_user)


def open_webcam(device: int | str) -> cv2.VideoCapture | None:
    """A local camera by index or device file; None if there is none."""
    silence_opencv()
    capture = cv2.VideoCapture(device, cv2.CAP_ANY if isinstance(device, int) else cv2.CAP_V4L2)
    # One where the back end listens; where it does not, the reading thread empties the queue.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture if capture.isOpened() else None


def open_network(address: str) -> cv2.VideoCapture | None:
    """A camera by rtsp:// or http:// address; None if it does not answer within seconds."""
    silence_opencv()
    # OpenCV asks RTSP cameras for TCP first. FFmpeg's `nobuffer` would save some milliseconds more,
    # but it is set for the whole process, and a file read after that loses its first frame.
    bounds = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _NETWORK_WAIT_MS]
    bounds += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, _NETWORK_WAIT_MS]
    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, bounds)
    return capture if capture.isOpened() else None


def silence_opencv() -> None:
    """Keep OpenCV and FFmpeg off stderr: they print addresses as they are, passwords included."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
