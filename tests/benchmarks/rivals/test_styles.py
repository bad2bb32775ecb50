"""Cameras of every style, on a clock that jumps to the next event: no frame is lost sight of."""

import asyncio
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.rivals.books import Books
from benchmarks.rivals.http_pool import Refused
from benchmarks.rivals.load import run
from benchmarks.rivals.styles import Ask, every_frame, latest_stream, newest_next
from benchmarks.tallies import Schedule, schedules
from fathom.errors import Code
from fathom.geometry import Intrinsics
from fathom.session.aio import Stream
from fathom.session.core import Received
from fathom.values import (
    DepthEncoding,
    EncodedDepth,
    Failed,
    Image,
    ImageEncoding,
    ServerAnswer,
    Skipped,
    SkipReason,
)

T = TypeVar("T")
PICTURE = b"a picture"
# Event loops round a wait up to their clock's resolution, and frames leave half a tick late.
TICK_S = 0.002


class JumpingSelector(selectors.SelectSelector):
    """Waits for nothing: the time moves on by as much as was to be waited."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += max(0.0, timeout or 0.0)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now_s


def jump(main: Callable[[Callable[[], float]], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine, which is given the clock, in no time."""
    loop = JumpingLoop()
    try:
        return loop.run_until_complete(main(loop.time))
    finally:
        loop.close()


class Server:
    """Answers one request after another, each at its cost; None is one that never answers."""

    def __init__(self, *costs_s: float | Exception | None) -> None:
        self._costs_s = costs_s
        self._busy = asyncio.Lock()
        self._asked = 0
        self.under_way = 0
        self.most_under_way = 0

    async def ask(self, picture: bytes) -> bytes:
        cost_s = self._costs_s[self._asked % len(self._costs_s)]
        self._asked += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if cost_s is None:
                await asyncio.Event().wait()
            elif isinstance(cost_s, Exception):
                raise cost_s
            else:
                async with self._busy:
                    await asyncio.sleep(cost_s)
        finally:
            self.under_way -= 1
        return picture


def drive(
    camera: Callable[[Ask, bytes, Books, float, Callable[[], float]], Awaitable[None]],
    server: Server,
    *,
    cameras: int = 1,
    fps: float = 50.0,
    seconds: float = 1.0,
) -> list[Books]:
    """Cameras of one style at a server, up to the end that the benchmark gives them."""
    all_books = [Books(s) for s in schedules(cameras=cameras, fps=fps, seconds=seconds)]

    async def main(clock: Callable[[], float]) -> None:
        start_s = clock()
        tasks = [camera(server.ask, PICTURE, books, start_s, clock) for books in all_books]
        await run(cast(list[Coroutine[None, None, None]], tasks), seconds, drain_s=1.0)

    jump(main)
    return all_books


def test_every_frame_leaves_at_its_time_however_late_answers_are() -> None:
    server = Server(0.03)
    (books,) = drive(every_frame, server)
    assert books.sent == 50
    assert server.most_under_way > 10
    # Frame k is due at 20k ms and answered at 30(k + 1) ms: its age grows by 10 ms a frame.
    assert books.ages_s == pytest.approx([0.03 + 0.01 * k for k in range(50)], abs=50 * TICK_S)


def test_one_in_flight_skips_to_the_newest_frame() -> None:
    server = Server(0.05)
    (books,) = drive(newest_next, server)
    assert server.most_under_way == 1
    assert books.sent + books.held_back == 50
    assert 18 <= books.sent <= 21
    assert max(books.ages_s) <= 0.05 + 0.02 + TICK_S


def test_a_frame_is_sent_once_by_a_camera_slower_than_the_server() -> None:
    (books,) = drive(newest_next, Server(0.001))
    assert (books.sent, books.held_back, books.answered) == (50, 0, 50)


@pytest.mark.parametrize("camera", [every_frame, newest_next])
def test_answers_that_never_come_are_counted(camera: Any) -> None:
    (books,) = drive(camera, Server(0.001, None))
    assert books.unanswered == (25 if camera is every_frame else 1)
    assert books.sent == books.answered + books.unanswered


@pytest.mark.parametrize("error", [Refused("503"), ConnectionResetError(), EOFError()])
def test_errors_are_failures_and_the_camera_goes_on(error: Exception) -> None:
    (books,) = drive(every_frame, Server(0.001, error))
    assert (books.sent, books.answered, books.failed, books.unanswered) == (50, 25, 25, 0)


def test_a_bug_of_the_benchmark_is_no_figure() -> None:
    with pytest.raises(ExceptionGroup):
        drive(every_frame, Server(ValueError("a bug")))


costs = st.lists(
    st.one_of(st.floats(0.001, 0.5), st.just(Refused("500")), st.none()), min_size=1, max_size=5
)


@settings(max_examples=50)
@given(costs=costs, cameras=st.integers(1, 4), camera=st.sampled_from([every_frame, newest_next]))
def test_every_frame_is_accounted_for(
    costs: list[float | Exception | None], cameras: int, camera: Any
) -> None:
    for books in drive(camera, Server(*costs), cameras=cameras, fps=20.0):
        assert books.due == 20 == books.held_back + books.sent
        assert books.sent == books.answered + books.failed + books.unanswered
        assert min(books.held_back, books.unanswered) >= 0
        assert all(age_s >= 0.001 for age_s in books.ages_s)


class ScriptedStream:
    """Answers depth, a skip and a failure in turn, each 10 ms after its frame was sent."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sent: asyncio.Queue[tuple[float, float] | None] = asyncio.Queue()

    async def send(self, picture: bytes, *, captured_s: float) -> int:
        assert picture == PICTURE
        await self._sent.put((captured_s, self._clock()))
        return 0

    async def finish(self) -> None:
        await self._sent.put(None)

    async def answers(self) -> AsyncIterator[Received]:
        seq = 0
        while sent := await self._sent.get():
            captured_s, sent_s = sent
            await asyncio.sleep(max(0.0, sent_s + 0.01 - self._clock()))
            yield Received(
                answer=scripted_answer(seq),
                image=Image(encoding=ImageEncoding.JPEG, data=PICTURE),
                round_trip_s=self._clock() - sent_s,
                age_s=self._clock() - captured_s,
            )
            seq += 1


def scripted_answer(seq: int) -> ServerAnswer:
    match seq % 3:
        case 0:
            return EncodedDepth(
                seq=seq,
                encoding=DepthEncoding.U16_MM,
                width_px=1,
                height_px=1,
                data=b"\1\0",
                camera=Intrinsics.centred(1.0, (1, 1)),
                focal_given=False,
                model="m",
                version=1,
            )
        case 1:
            return Skipped(seq=seq, reason=SkipReason.SUPERSEDED, superseded_by=seq + 1)
        case _:
            return Failed(seq=seq, code=Code.ENGINE_FAULT, expected="", got="", repair="")


def test_a_streams_skips_and_failures_are_told_apart() -> None:
    books = Books(Schedule(50, 48))

    async def main(clock: Callable[[], float]) -> None:
        stream = cast(Stream, ScriptedStream(clock))
        await latest_stream(stream, PICTURE, books, clock(), clock)

    jump(main)
    assert (books.answered, books.skipped, books.failed, books.unanswered) == (16, 16, 16, 0)
    assert books.ages_s == pytest.approx([0.01] * 16, abs=2 * TICK_S)
