"""What a source is: pictures with the time they were taken. Knows no file format and no camera.

A `Capture` is whatever gives one picture after another. A reader makes a `Source` of it:
`Recording` here, where every picture counts, or `Newest`, where only the last one does.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from fathom.geometry import RGB

# Pixels, or the bytes of a JPEG, PNG or WebP file.
Picture: TypeAlias = RGB | bytes


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """A picture and the moment it was taken, on the clock of the source."""

    picture: Picture
    captured_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """What is known of a source before its first picture.

    name    as it may be printed: an address without its password
    live    True if it goes on whether or not anyone looks
    fps     pictures per second, as the file or device says
    frames  how many there will be, or None if it has no end
    """

    name: str
    live: bool
    fps: float
    frames: int | None = None


class Capture(Protocol):
    """Something that gives pictures, one after another."""

    def read(self) -> Picture | None:
        """Wait for the next picture; None after the last one."""
        ...

    def close(self) -> None:
        """End a `read` that waits; later ones give None. Safe from any thread."""
        ...


class Source(Protocol):
    """A capture with a reader: what the client sends from."""

    @property
    def info(self) -> SourceInfo: ...

    @property
    def passed_over(self) -> int:
        """Pictures that a newer one replaced before anyone took them."""
        ...

    def frames(self) -> Iterator[Captured]:
        """Every picture, or for a live source the newest each time one is asked for."""
        ...

    def close(self) -> None:
        """End `frames`. Safe from any thread, more than once."""
        ...


class Recording:
    """Every picture of a capture, in order, read when it is asked for."""

    def __init__(
        self, capture: Capture, info: SourceInfo, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.info = info
        self.passed_over = 0
        self._capture = capture
        self._clock = clock

    def frames(self) -> Iterator[Captured]:
        while (picture := self._capture.read()) is not None:
            yield Captured(picture, self._clock())

    def close(self) -> None:
        self._capture.close()
