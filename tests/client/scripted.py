"""A server and its stream whose answers the test writes."""

import queue
from collections.abc import Callable, Iterator
from typing import Self, TypeAlias

import numpy as np

from fathom.codecs.depth import encode_depth
from fathom.errors import Code, FathomError
from fathom.geometry import Intrinsics
from fathom.session.core import Received, StreamCore
from fathom.session.credentials import Credentials
from fathom.session.pictures import Picture, as_image
from fathom.session.reconnect import Reconnect, Reconnected
from fathom.values import (
    Closing,
    DepthEncoding,
    Description,
    EncodedDepth,
    Failed,
    Frame,
    Limits,
    Opened,
    OpenStream,
    ServerAnswer,
    Skipped,
    SkipReason,
)

Script: TypeAlias = Callable[[Frame], ServerAnswer]

WALL_M = 1.25


def plane(frame: Frame, size: tuple[int, int] = (24, 32)) -> EncodedDepth:
    """A wall, 1.25 m away."""
    height, width = size
    return EncodedDepth(
        seq=frame.seq,
        encoding=DepthEncoding.U16_MM,
        width_px=width,
        height_px=height,
        data=encode_depth(np.full(size, WALL_M, np.float32), DepthEncoding.U16_MM),
        camera=Intrinsics.centred(30.0, size),
        focal_given=False,
        model="plane",
        version=1,
    )


def skipped(frame: Frame) -> Skipped:
    return Skipped(seq=frame.seq, reason=SkipReason.SUPERSEDED)


def failed(frame: Frame) -> Failed:
    return Failed(
        seq=frame.seq, code=Code.ENGINE_FAULT, expected="depth", got="a fault", repair="try again"
    )


def lost() -> FathomError:
    return FathomError(Code.CONNECTION_LOST, expected="a server", got="none", repair="start one")


class ScriptedStream:
    """A stream with the real books, whose answers the test writes; no network, no other thread.

    breaks_before  the frame whose answer never comes: the connection is lost there
    gap_before     the frame whose connection was lost and found again
    closing        the server's last word
    """

    def __init__(
        self,
        script: Script,
        *,
        breaks_before: int | None = None,
        gap_before: int | None = None,
        closing: Closing | None = None,
    ) -> None:
        self.reconnected: Callable[[Reconnected], object] = lambda _: None
        self._gap_before = gap_before
        self.opened = Opened(stream_id=1, model="plane", version=1, limits=Limits())
        self.closing: Closing | None = None
        self.frames: list[Frame] = []
        self.most_in_flight = 0
        self._script, self._breaks_before, self._last_word = script, breaks_before, closing
        self._core = StreamCore()
        self._core.receive_opened(self.opened)
        self._sent: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()

    def send(self, picture: Picture, *, captured_s: float | None = None) -> int:
        frame = self._core.send(as_image(picture), captured_s=captured_s or 0.0, now_s=0.0)
        self.frames.append(frame)
        self.most_in_flight = max(self.most_in_flight, self._core.in_flight)
        self._sent.put(frame)
        return frame.seq

    def finish(self) -> None:
        self._core.finish()
        self._sent.put(None)

    def answers(self) -> Iterator[Received]:
        for frame in iter(self._sent.get, None):
            if frame.seq == self._breaks_before:
                yield from self._core.lost("a cut cable", 0.0)
                raise lost()
            if frame.seq == self._gap_before:
                yield self._core.receive(Failed.from_error(frame.seq, lost()), 0.0)
                gap = range(frame.seq, frame.seq + 1)
                self.reconnected(Reconnected(lost=gap, attempts=2, gap_s=3.5, reason=lost()))
                continue
            yield self._core.receive(self._script(frame), 0.0)
        self.closing = self._last_word

    def close(self) -> None:
        self._sent.put(None)


class ScriptedServer:
    """Stands where `fathom.session.sync.Client` stands."""

    def __init__(self, stream: ScriptedStream, refusal: FathomError | None = None) -> None:
        self.scripted, self.refusal = stream, refusal
        self.opening: OpenStream | None = None
        self.reconnect: Reconnect | None = None

    def __call__(self, _target: str, _credentials: Credentials) -> Self:
        return self

    def describe(self) -> Description:
        if self.refusal is not None:
            raise self.refusal
        return Description(
            server_version="0",
            models=(),
            depth_encodings=(),
            image_encodings=(),
            limits=Limits(),
            engine="scripted",
            device="none",
            precision="f32",
        )

    def stream(
        self,
        opening: OpenStream,
        *,
        reconnect: Reconnect | None,
        reconnected: Callable[[Reconnected], object],
    ) -> ScriptedStream:
        self.opening, self.reconnect = opening, reconnect
        self.scripted.reconnected = reconnected
        return self.scripted

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def serving(script: Script = plane) -> ScriptedServer:
    return ScriptedServer(ScriptedStream(script))
