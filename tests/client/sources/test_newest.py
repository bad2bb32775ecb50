"""A live reader gives the newest picture, never the backlog; a paced one keeps a camera's time."""

import threading
from collections import deque

import pytest

from client.sources.newest import Newest, Paced
from client.sources.source import Captured, SourceInfo
from fathom.errors import Code, FathomError

_INFO = SourceInfo(name="scripted", live=True, fps=30)


class ScriptedCamera:
    """A capture whose pictures and times the test gives; also the clock of its reader."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._script: deque[tuple[bytes, float] | Exception | None] = deque()
        self._asked = 0
        self._now_s = 0.0

    def give(self, picture: bytes, at_s: float) -> None:
        self._put((picture, at_s))

    def end(self, error: Exception | None = None) -> None:
        self._put(error)

    def until_asked(self, times: int) -> None:
        """Return once the reader asked for that many pictures: it has kept all before."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._asked >= times, timeout=10)

    def clock(self) -> float:
        return self._now_s

    def read(self) -> bytes | None:
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._script)
            next_one = self._script.popleft()
        if isinstance(next_one, Exception):
            raise next_one
        if next_one is None:
            return None
        picture, self._now_s = next_one
        return picture

    def close(self) -> None:
        self._put(None)

    def _put(self, item: tuple[bytes, float] | Exception | None) -> None:
        with self._changed:
            self._script.append(item)
            self._changed.notify_all()


def pair(captured: Captured) -> tuple[object, float]:
    return captured.picture, captured.captured_s


def test_the_newest_picture_is_given_and_the_backlog_is_not() -> None:
    camera = ScriptedCamera()
    source = Newest(camera, _INFO, camera.clock)
    frames = source.frames()
    camera.give(b"1", at_s=0.1)
    assert pair(next(frames)) == (b"1", 0.1)
    for n, picture in enumerate((b"2", b"3", b"4"), start=2):
        camera.give(picture, at_s=n / 10)
    camera.until_asked(5)
    assert pair(next(frames)) == (b"4", 0.4)
    assert source.passed_over == 2
    camera.end()
    assert list(frames) == []


def test_the_last_picture_before_the_end_is_still_given() -> None:
    camera = ScriptedCamera()
    camera.give(b"1", at_s=1.0)
    camera.end()
    assert [c.picture for c in Newest(camera, _INFO, camera.clock).frames()] == [b"1"]


def test_close_wakes_who_waits_for_a_picture() -> None:
    camera = ScriptedCamera()
    source = Newest(camera, _INFO, camera.clock)
    taken: list[Captured] = []
    waiting = threading.Thread(target=lambda: taken.extend(source.frames()), daemon=True)
    waiting.start()
    camera.until_asked(1)
    source.close()
    waiting.join(timeout=10)
    assert not waiting.is_alive()
    assert taken == []


def test_what_breaks_the_camera_is_raised_where_frames_are_taken() -> None:
    camera = ScriptedCamera()
    lost = FathomError(Code.CONNECTION_LOST, expected="a camera", got="none", repair="plug it in")
    camera.give(b"1", at_s=1.0)
    frames = Newest(camera, _INFO, camera.clock).frames()
    assert next(frames).picture == b"1"
    camera.end(lost)
    with pytest.raises(FathomError) as caught:
        next(frames)
    assert caught.value is lost


class Counting:
    """A capture that gives 1, 2, 3 ... and takes a while where told to."""

    def __init__(self, clock: "FakeClock", slow: dict[int, float] | None = None) -> None:
        self._clock, self._slow = clock, slow or {}
        self.given = 0

    def read(self) -> bytes:
        self.given += 1
        self._clock.now_s += self._slow.get(self.given, 0.0)
        return str(self.given).encode()

    def close(self) -> None:
        pass


class FakeClock:
    """Waiting moves it, and is noted."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.waits_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.waits_s.append(seconds)
        self.now_s += seconds


def test_a_recording_is_played_at_its_rate_from_the_first_picture() -> None:
    clock = FakeClock()
    paced = Paced(Counting(clock), 10, clock=clock, wait=clock.wait)
    assert [paced.read() for _ in range(3)] == [b"1", b"2", b"3"]
    assert clock.waits_s == pytest.approx([0.1, 0.1])


def test_lateness_does_not_add_up() -> None:
    clock = FakeClock()
    paced = Paced(Counting(clock, slow={2: 0.25}), 10, clock=clock, wait=clock.wait)
    for _ in range(6):
        paced.read()
    # The second picture ends at 0.35 s: the third and fourth are late, the fifth is due at 0.4 s.
    assert clock.waits_s == pytest.approx([0.1, 0.05, 0.1])


def test_a_closed_recording_gives_nothing_more() -> None:
    clock = FakeClock()
    capture = Counting(clock)
    paced = Paced(capture, 10, clock=clock, wait=clock.wait)
    paced.close()
    assert paced.read() is None
    assert capture.given == 0
