"""A stream on the event loop: order, age, counts, and who is held when there is no room."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from fathom import metrics
from fathom.errors import Code, FathomError
from fathom.values import (
    Image,
    ImageEncoding,
    Limits,
    OpenStream,
    Policy,
    ServerAnswer,
    Skipped,
    SkipReason,
)
from server.core.scheduler import Bounds, Scheduler
from server.dispatch import Dispatch
from server.streams import Stream
from server.telemetry import Telemetry
from tests.server.conftest import CARD, NO_COST, PATIENCE_S, FakeClock, depth, frame, total

T = TypeVar("T")
ALL = OpenStream(policy=Policy.ALL)
NO_IMAGE = Image(encoding=ImageEncoding.JPEG, data=b"no picture at all")


def run(main: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE_S):
            return await main()

    return asyncio.run(bounded())


async def everything(stream: Stream) -> list[ServerAnswer]:
    return [answer async for answer in stream.answers()]


def compute(dispatch: Dispatch) -> None:
    """All that waits, as a lane would."""
    while dispatch.waiting:
        for ticket in dispatch.take() or ():
            dispatch.settle(ticket, depth(ticket.frame.seq))


async def turns(loops: int = 10) -> None:
    """Let every task that can move move."""
    for _ in range(loops):
        await asyncio.sleep(0)


def test_every_frame_is_answered_in_order_and_counted(
    dispatch: Dispatch, telemetry: Telemetry
) -> None:
    async def main() -> tuple[list[ServerAnswer], dict[str, int]]:
        stream = Stream(dispatch, OpenStream(), telemetry)
        for seq in (1, 2, 3):
            stream.offer(frame(seq))
        stream.offer(frame(4, NO_IMAGE))
        stream.refuse(5, FathomError(Code.BAD_OPTION, expected="", got="", repair=""))
        stream.end()
        compute(dispatch)
        answers = await everything(stream)
        stream.close()
        return answers, stream.counts

    answers, counts = run(main)
    assert [answer.seq for answer in answers] == [1, 2, 3, 4, 5]
    assert counts == {
        "answered": 1,
        "skipped_superseded": 2,
        "failed_bad_image": 1,
        "failed_bad_option": 1,
    }
    assert sum(counts.values()) == total(telemetry, metrics.FRAMES_RECEIVED)


def test_age_is_told_from_capture_to_hand_over(
    dispatch: Dispatch, telemetry: Telemetry, clock: FakeClock
) -> None:
    async def main() -> list[ServerAnswer]:
        stream = Stream(dispatch, ALL, telemetry)
        stream.offer(frame(1, age_s=0.5))
        clock.advance(2.0)
        stream.end()
        compute(dispatch)
        clock.advance(1.0)
        answers = await everything(stream)
        stream.close()
        return answers

    [answer] = run(main)
    assert answer.age_s == pytest.approx(3.5)
    assert total(telemetry, metrics.FRAME_AGE + "_sum") == pytest.approx(3.5)
    assert total(telemetry, metrics.FRAME_AGE + "_count") == 1


def test_only_depth_has_an_age_in_the_metrics(dispatch: Dispatch, telemetry: Telemetry) -> None:
    async def main() -> list[ServerAnswer]:
        stream = Stream(dispatch, ALL, telemetry)
        stream.offer(frame(1, NO_IMAGE))
        stream.end()
        answers = await everything(stream)
        stream.close()
        return answers

    assert len(run(main)) == 1
    assert total(telemetry, metrics.FRAME_AGE + "_count") == 0


def test_a_sender_is_held_at_the_bound_and_let_go_as_its_frames_are_taken(
    new_dispatch: Callable[..., Dispatch], telemetry: Telemetry
) -> None:
    dispatch = new_dispatch(queue_frames=2)
    sent: list[int] = []

    async def main() -> list[ServerAnswer]:
        stream = Stream(dispatch, ALL, telemetry)

        async def send() -> None:
            for seq in range(1, 7):
                await stream.room()
                stream.offer(frame(seq))
                sent.append(seq)
            stream.end()

        sender = asyncio.create_task(send())
        reader = asyncio.create_task(everything(stream))
        await turns()
        assert sent == [1, 2]
        while not sender.done():
            compute(dispatch)
            await turns()
        compute(dispatch)
        answers = await reader
        stream.close()
        return answers

    assert [answer.seq for answer in run(main)] == sent == [1, 2, 3, 4, 5, 6]


def test_a_reader_that_takes_nothing_holds_its_own_sender(
    new_dispatch: Callable[..., Dispatch], telemetry: Telemetry
) -> None:
    """Each depth here weighs two bytes, so the window holds five."""
    dispatch = new_dispatch(window_bytes=10)
    sent: list[int] = []

    async def main() -> list[ServerAnswer]:
        stream = Stream(dispatch, ALL, telemetry)

        async def send() -> None:
            for seq in range(1, 101):
                await stream.room()
                stream.offer(frame(seq))
                sent.append(seq)
                compute(dispatch)
            stream.end()

        sender = asyncio.create_task(send())
        await turns()
        assert sent == [1, 2, 3, 4, 5]
        answers = await everything(stream)
        await sender
        stream.close()
        return answers

    assert [answer.seq for answer in run(main)] == list(range(1, 101))


def test_skips_that_nobody_reads_are_bounded_too(dispatch: Dispatch, telemetry: Telemetry) -> None:
    sent: list[int] = []

    async def main() -> None:
        stream = Stream(dispatch, OpenStream(), telemetry)

        async def send() -> None:
            for seq in range(1, 1001):
                await stream.room()
                stream.offer(frame(seq, NO_IMAGE))
                sent.append(seq)

        sender = asyncio.create_task(send())
        await turns()
        assert 1 < len(sent) < 1000
        sender.cancel()
        stream.close()

    run(main)


def test_a_deadline_is_told_when_it_falls_due_and_not_when_a_lane_comes_free(
    telemetry: Telemetry,
) -> None:
    """On the real clock, for it is a timer of the loop: the answer comes though nobody computes."""
    dispatch = Dispatch(CARD, Limits(), Scheduler(Bounds(), NO_COST), telemetry)

    async def main() -> list[ServerAnswer]:
        stream = Stream(dispatch, OpenStream(deadline_s=0.01), telemetry)
        stream.offer(frame(1))
        stream.end()
        answers = await everything(stream)
        stream.close()
        return answers

    [answer] = run(main)
    assert isinstance(answer, Skipped) and answer.reason is SkipReason.DEADLINE


def test_an_end_lets_a_held_sender_go(
    new_dispatch: Callable[..., Dispatch], telemetry: Telemetry
) -> None:
    dispatch = new_dispatch(queue_frames=1)

    async def main() -> None:
        stream = Stream(dispatch, ALL, telemetry)
        stream.offer(frame(1))
        waits = asyncio.create_task(stream.room())
        await turns()
        assert not waits.done()
        stream.end(FathomError(Code.SHUTTING_DOWN, expected="", got="", repair=""))
        await waits
        assert stream.ended
        stream.close()

    run(main)


def test_the_first_reason_to_end_is_the_one_that_is_told(
    dispatch: Dispatch, telemetry: Telemetry
) -> None:
    async def main() -> FathomError | None:
        stream = Stream(dispatch, ALL, telemetry)
        stream.end(FathomError(Code.BAD_SEQUENCE, expected="", got="", repair=""))
        stream.end(FathomError(Code.SHUTTING_DOWN, expected="", got="", repair=""))
        stream.end()
        assert await everything(stream) == []
        stream.close()
        return stream.reason

    reason = run(main)
    assert reason is not None and reason.code is Code.BAD_SEQUENCE


def test_a_stop_ends_in_answers_and_not_in_silence(
    dispatch: Dispatch, telemetry: Telemetry
) -> None:
    async def main() -> list[ServerAnswer]:
        stream = Stream(dispatch, ALL, telemetry)
        for seq in (1, 2):
            stream.offer(frame(seq))
        dispatch.stop()
        stream.end()
        answers = await everything(stream)
        stream.close()
        return answers

    answers = run(main)
    assert [type(answer) for answer in answers] == [Skipped, Skipped]
