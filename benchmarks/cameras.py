"""Cameras that benchmarks drive a server with, over a real connection.

Closed loop: the next frame is sent when an answer came. It shows what one client can get.
Open loop: frames are sent at their times, whatever the server does, and age counts from those
times. It shows what cameras get; a closed loop would hide every delay it causes.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fathom.session.sync import Client, Stream
from fathom.values import EncodedDepth, OpenStream, Policy, Skipped


@dataclass(slots=True)
class Tally:
    """What one camera got.

    ages_s         of answers with depth: from the frame's own time to receiving the answer
    round_trips_s  of answers with depth: from sending to receiving
    """

    sent: int = 0
    answered: int = 0
    failed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    ages_s: list[float] = field(default_factory=list)
    round_trips_s: list[float] = field(default_factory=list)
    received_s: list[float] = field(default_factory=list)

    @property
    def fps(self) -> float:
        """Answers with depth a second, between the first and the last of them."""
        if len(self.received_s) < 2:
            return 0.0
        return (len(self.received_s) - 1) / (self.received_s[-1] - self.received_s[0])


def closed_loop(target: str, picture: bytes, *, in_flight: int, frames: int) -> Tally:
    """Keep `in_flight` frames under way until `frames` were answered."""
    tally = Tally()
    room = threading.Semaphore(in_flight)

    def send(stream: Stream) -> None:
        for _ in range(frames):
            room.acquire()
            stream.send(picture)
            tally.sent += 1
        stream.finish()

    _run(target, OpenStream(policy=Policy.ALL), tally, send, room)
    return tally


def open_loop(target: str, picture: bytes, *, fps: float, seconds: float) -> Tally:
    """One camera at `fps`: frame k is due at k / fps, and its age counts from then."""
    tally = Tally()

    def send(stream: Stream) -> None:
        start_s = time.monotonic()
        for k in range(int(fps * seconds)):
            due_s = start_s + k / fps
            time.sleep(max(0.0, due_s - time.monotonic()))
            stream.send(picture, captured_s=due_s)
            tally.sent += 1
        stream.finish()

    _run(target, OpenStream(policy=Policy.LATEST), tally, send, threading.Semaphore(0))
    return tally


def _run(
    target: str,
    opening: OpenStream,
    tally: Tally,
    send: Callable[[Stream], None],
    room: threading.Semaphore,
) -> None:
    with Client(target) as client:
        client.describe()
        with client.stream(opening) as stream:
            sender = threading.Thread(target=send, args=(stream,))
            sender.start()
            for received in stream.answers():
                room.release()
                match received.answer:
                    case EncodedDepth():
                        tally.answered += 1
                        tally.ages_s.append(received.age_s)
                        tally.round_trips_s.append(received.round_trip_s)
                        tally.received_s.append(time.monotonic())
                    case Skipped(reason=reason):
                        tally.skipped[reason] = tally.skipped.get(reason, 0) + 1
                    case _:
                        tally.failed += 1
            sender.join()
