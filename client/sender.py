"""The sending side: from a source into a stream, a bounded number of frames at a time."""

import threading
from collections import deque
from collections.abc import Iterator
from itertools import islice

import numpy as np
import simplejpeg

from client.connection import Conversation
from client.sources.source import Captured, Picture, Source
from fathom.geometry import RGB


class Window:
    """Slots for frames under way: taken before a frame is chosen, given back by its answer."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._closed = False
        self._changed = threading.Condition()

    def take(self) -> bool:
        """Wait for a slot; False once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0 or self._closed)
            self._free -= 1
            return not self._closed

    def give_back(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Sender:
    """Sends a source's frames on a thread of its own; `answered` and `stop` come from another.

    quality  of the JPEG that pixels are sent as; None sends them as they are
    """

    def __init__(
        self,
        source: Source,
        stream: Conversation,
        *,
        slots: int,
        quality: int | None,
        max_frames: int | None,
    ) -> None:
        self.sent = 0
        self._source = source
        self._stream = stream
        self._window = Window(slots)
        self._quality = quality
        self._max_frames = max_frames
        self._captured_s: deque[float] = deque()

    def run(self) -> None:
        """Send until the source, the bound or `stop` ends it; the stream is finished then."""
        try:
            for captured in islice(self._chosen(), self._max_frames):
                # Noted before sending: the answer may be here before `send` returns.
                self._captured_s.append(captured.captured_s)
                self._stream.send(self._packed(captured.picture), captured_s=captured.captured_s)
                self.sent += 1
        finally:
            self._source.close()
            self._stream.finish()

    def answered(self) -> float:
        """Free the slot of the oldest frame under way; returns when that was captured.

        Answers come in the order of sending, so the oldest is the one that was answered.
        """
        self._window.give_back()
        return self._captured_s.popleft()

    def stop(self) -> None:
        """Send no more. What is under way is still answered."""
        self._window.close()
        self._source.close()

    def _chosen(self) -> Iterator[Captured]:
        # First the slot, then the frame: it is chosen at the moment it can go, not before it waits.
        frames = self._source.frames()
        while self._window.take():
            captured = next(frames, None)
            if captured is None:
                return
            yield captured

    def _packed(self, picture: Picture) -> Picture:
        if isinstance(picture, bytes) or self._quality is None:
            return picture
        return encode_jpeg(picture, self._quality)


def encode_jpeg(picture: RGB, quality: int) -> bytes:
    """A JPEG for the wire: a tenth of the bytes, and the server decodes it at half scale."""
    return bytes(
        simplejpeg.encode_jpeg(
            np.ascontiguousarray(picture), quality, colorspace="RGB", colorsubsampling="420"
        )
    )
