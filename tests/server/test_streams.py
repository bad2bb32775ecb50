"""A stream on the event loop: order, age, counts, and who is held when there is no room."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from fathom import metrics
from fathom.errors import Code, FathomError
from fathom.values import (
    EncodedDepth,
    Image,
    ImageEncoding,
    OpenStream,
    Policy,
    ServerAnswer,
    Skipped,
)
from server.dispatch import Dispatch
from server.streams import Stream, predict
from server.telemetry import Telemetry
from tests.server.conftest import PATIENCE_S, FakeClock, depth, frame, total

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
        for ticket in dispatch.take(8) or ():
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
    dispatch = new_dispatch(waiting_frames=2)
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
    dispatch: Dispatch, telemetry: Telemetry
) -> None:
    sent: list[int] = []

    async def main() -> list[ServerAnswer]:
        stream = Stream(dispatch, ALL, telemetry)

        async def send() -> None:
            for seq in range(1, 101):
                await stream.room()
                stream.offer(frame(seq))
                sent.append(seq)
                compute(dispatch)
                await asyncio.sleep(0)  # as a door does, which reads the next frame
            stream.end()

        sender = asyncio.create_task(send())
        await turns(300)
        assert 1 <= len(sent) < 100
        answers = await everything(stream)
        await sender
        stream.close()
        return answers

    assert [answer.seq for answer in run(main)] == list(range(1, 101))


def test_an_end_lets_a_held_sender_go(
    new_dispatch: Callable[..., Dispatch], telemetry: Telemetry
) -> None:
    dispatch = new_dispatch(waiting_frames=1)

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


def ask(dispatch: Dispatch, telemetry: Telemetry) -> EncodedDepth:
    """`predict` with everything that waits computed as soon as it waits."""

    async def main() -> EncodedDepth:
        asked = asyncio.create_task(predict(dispatch, frame(0), ALL, telemetry, 5.0))
        while not asked.done():
            await turns()
            compute(dispatch)
        return await asked

    return run(main)


def test_one_picture_takes_the_path_of_a_streams_frames(
    dispatch: Dispatch, telemetry: Telemetry
) -> None:
    assert ask(dispatch, telemetry).seq == 0
    assert dispatch.streams == 0
    assert total(telemetry, metrics.FRAMES, outcome="answered") == 1


def test_what_one_picture_fails_with_is_raised(dispatch: Dispatch, telemetry: Telemetry) -> None:
    with pytest.raises(FathomError) as refused:
        run(lambda: predict(dispatch, frame(0, NO_IMAGE), ALL, telemetry, 5.0))
    assert refused.value.code is Code.BAD_IMAGE
    assert dispatch.streams == 0


def test_a_picture_that_nobody_computes_is_given_up_and_counted(
    dispatch: Dispatch, telemetry: Telemetry
) -> None:
    with pytest.raises(FathomError) as refused:
        run(lambda: predict(dispatch, frame(0), ALL, telemetry, 0.01))
    assert refused.value.code is Code.DEADLINE_PASSED
    assert dispatch.streams == dispatch.waiting == 0
    assert total(telemetry, metrics.FRAMES, reason=Code.CONNECTION_LOST) == 1


def test_a_picture_that_would_be_late_is_told_so(dispatch: Dispatch, telemetry: Telemetry) -> None:
    dispatch.cost(3.0)

    async def main() -> EncodedDepth:
        asked = asyncio.create_task(
            predict(dispatch, frame(0, deadline_s=1.0), ALL, telemetry, 5.0)
        )
        await turns()
        # The next frame is there so that taking does not wait for one.
        stream = Stream(dispatch, ALL, telemetry)
        stream.offer(frame(1))
        compute(dispatch)
        stream.close()
        return await asked

    with pytest.raises(FathomError) as refused:
        run(main)
    assert refused.value.code is Code.DEADLINE_PASSED


def test_a_picture_that_waits_when_the_server_stops_is_told_so(
    dispatch: Dispatch, telemetry: Telemetry
) -> None:
    async def main() -> EncodedDepth:
        asked = asyncio.create_task(predict(dispatch, frame(0), ALL, telemetry, 5.0))
        await turns()
        dispatch.stop()
        return await asked

    with pytest.raises(FathomError) as refused:
        run(main)
    assert refused.value.code is Code.SHUTTING_DOWN


def test_one_picture_too_many_is_refused(
    new_dispatch: Callable[..., Dispatch], telemetry: Telemetry
) -> None:
    dispatch = new_dispatch(streams=1)

    async def main() -> None:
        stream = Stream(dispatch, ALL, telemetry)
        try:
            await predict(dispatch, frame(0), ALL, telemetry, 5.0)
        finally:
            stream.close()

    with pytest.raises(FathomError) as refused:
        run(main)
    assert refused.value.code is Code.QUEUE_FULL
