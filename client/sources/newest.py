"""Live reading: always the newest picture, never the backlog. Knows no camera.

`cv2.VideoCapture` and most devices queue what was not read, so a reader slower than the camera
falls behind by minutes (opencv #13145). Here a thread reads all the time and keeps one picture.
"""

import threading
import time
from collections.abc import Callable, Iterator

from client.sources.slot import Slot
from client.sources.source import Capture, Captured, Picture, SourceInfo

# How long to wait for a thread that sits in a device's own read; it is a daemon and may stay there.
_JOIN_S = 2.0


class Newest:
    """The newest picture of a capture each time one is asked for."""

    def __init__(
        self, capture: Capture, info: SourceInfo, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.info = info
        self._capture = capture
        self._clock = clock
        self._slot = Slot[Captured]()
        self._error: Exception | None = None

    @property
    def passed_over(self) -> int:
        return self._slot.passed_over

    def frames(self) -> Iterator[Captured]:
        reader = threading.Thread(target=self._read, name="read-source", daemon=True)
        reader.start()
        try:
            while (captured := self._slot.take()) is not None:
                yield captured
            if self._error is not None:
                raise self._error
        finally:
            self.close()
            reader.join(_JOIN_S)

    def close(self) -> None:
        self._capture.close()
        self._slot.close()

    def _read(self) -> None:
        try:
            while (picture := self._capture.read()) is not None and not self._slot.ended:
                self._slot.put(Captured(picture, self._clock()))
        except Exception as error:  # noqa: BLE001  # raised again where the frames are taken
            self._error = error
        self._slot.end()


class Paced:
    """A capture that gives its pictures at a camera's rate: a recording played as if live."""

    def __init__(
        self,
        capture: Capture,
        fps: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._capture = capture
        self._fps = fps
        self._clock = clock
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._start_s: float | None = None
        self._given = 0

    def read(self) -> Picture | None:
        now_s = self._clock()
        if self._start_s is None:
            self._start_s = now_s
        # Counted from the start, not from the last picture, so that lateness does not add up.
        ahead_s = self._start_s + self._given / self._fps - now_s
        self._given += 1
        if ahead_s > 0:
            self._wait(ahead_s)
        return None if self._closed.is_set() else self._capture.read()

    def close(self) -> None:
        self._closed.set()
        self._capture.close()
