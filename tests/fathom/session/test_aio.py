import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fathom.errors import Code, FathomError
from fathom.session.aio import Client, Stream
from fathom.session.core import Received
from fathom.values import (
    DepthEncoding,
    DepthMap,
    Description,
    Failed,
    Options,
    ServerAnswer,
    Skipped,
    SkipReason,
)
from fathom.wire import depth_pb2 as pb

if TYPE_CHECKING:
    from tests.fathom.conftest import Replies, Requests, ScriptedServer

PICTURE = np.zeros((4, 6, 3), np.uint8)
FULL = FathomError(Code.QUEUE_FULL, expected="room", got="no room", repair="come back")
PATIENCE_S = 30.0  # what an event that must come is waited for; a test that passes waits for none


def converse(server: "ScriptedServer", talk: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    """Run one conversation on an event loop of its own."""

    async def conversation() -> None:
        async with Client(server.address) as client:
            await talk(client)

    asyncio.run(conversation())


async def all_answers(stream: Stream) -> list[Received]:
    return [received async for received in stream.answers()]


# One question, one answer


def test_describe_gives_the_server_s_own_words(
    server: "ScriptedServer", description: Description
) -> None:
    async def talk(client: Client) -> None:
        assert await client.describe() == description

    converse(server, talk)


def test_predict_sends_the_picture_and_gives_metres(server: "ScriptedServer") -> None:
    async def talk(client: Client) -> None:
        answer = await client.predict(PICTURE, model="plane")
        assert np.array_equal(answer.depth_m, np.full((4, 6), 2.0, np.float32))

    converse(server, talk)
    (request,) = server.predictions
    assert (request.model, request.image.data) == ("plane", PICTURE.tobytes())


def test_predict_encoded_leaves_the_bytes_as_they_came(server: "ScriptedServer") -> None:
    async def talk(client: Client) -> None:
        options = Options(depth_encoding=DepthEncoding.U16_MM)
        answer = await client.predict_encoded(PICTURE, options)
        assert answer.data == b"\xd0\x07" * 24  # 2000 mm, little endian

    converse(server, talk)


def test_an_error_arrives_in_the_server_s_own_words(server: "ScriptedServer") -> None:
    def refuse(_: pb.PredictRequest) -> ServerAnswer:
        raise FULL

    async def talk(client: Client) -> None:
        with pytest.raises(FathomError) as error:
            await client.predict(PICTURE)
        assert error.value.args == FULL.args

    server.predict = refuse
    converse(server, talk)


def test_no_server_is_a_lost_connection(server: "ScriptedServer") -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(FathomError) as error:
            await client.predict(PICTURE)
        assert error.value.code is Code.CONNECTION_LOST
        with pytest.raises(FathomError) as error:
            await client.stream()
        assert error.value.code is Code.CONNECTION_LOST
        with pytest.raises(FathomError) as error:
            await client.describe(timeout_s=0.01)
        assert error.value.code is Code.CONNECTION_LOST
        assert error.value.expected == f"a Fathom server at {server.address}"

    server.stop()
    converse(server, talk)


# Streams


def test_every_frame_is_answered_once_in_order_with_its_picture(server: "ScriptedServer") -> None:
    async def talk(client: Client) -> None:
        pictures = [np.full((4, 6, 3), n, np.uint8) for n in range(5)]
        async with await client.stream() as stream:
            assert stream.opened.stream_id == 7
            assert [await stream.send(picture) for picture in pictures] == [1, 2, 3, 4, 5]
            await stream.finish()
            received = await all_answers(stream)
            assert [r.answer.seq for r in received] == [1, 2, 3, 4, 5]
            assert [r.image.data for r in received] == [picture.tobytes() for picture in pictures]
            for seq, one in enumerate(received, start=1):
                decoded = one.decoded()
                assert isinstance(decoded, DepthMap)
                assert (decoded.depth_m == seq).all()
            assert stream.in_flight == 0
            assert stream.closing is not None
            assert stream.closing.reason == "the client was done"

    converse(server, talk)


def test_skips_and_failures_are_answers(server: "ScriptedServer") -> None:
    skipped = Skipped(seq=1, reason=SkipReason.SUPERSEDED, superseded_by=2)
    failed = Failed.from_error(2, FULL)

    def decline(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        next(requests)
        next(requests)
        yield server.answer(skipped)
        yield server.answer(failed)
        yield server.closing("all declined")

    async def talk(client: Client) -> None:
        async with await client.stream() as stream:
            await stream.send(PICTURE)
            await stream.send(PICTURE)
            assert [r.answer for r in await all_answers(stream)] == [skipped, failed]

    server.stream = decline
    converse(server, talk)


def test_answers_may_be_taken_one_by_one_between_sending(server: "ScriptedServer") -> None:
    async def talk(client: Client) -> None:
        async with await client.stream() as stream:
            answers = stream.answers()
            for seq in (1, 2, 3):
                await stream.send(PICTURE)
                assert (await anext(answers)).answer.seq == seq

    converse(server, talk)


def test_one_task_sends_while_another_takes_answers(server: "ScriptedServer") -> None:
    frames = 100

    async def talk(client: Client) -> None:
        async with await client.stream() as stream:

            async def send_all() -> None:
                for _ in range(frames):
                    await stream.send(PICTURE)
                await stream.finish()

            received, _ = await asyncio.gather(all_answers(stream), send_all())
            assert [r.answer.seq for r in received] == list(range(1, frames + 1))

    converse(server, talk)


def test_a_refused_opening_arrives_in_the_server_s_own_words(server: "ScriptedServer") -> None:
    def refuse(requests: "Requests") -> "Replies":
        next(requests)
        yield from ()
        raise FULL

    async def talk(client: Client) -> None:
        with pytest.raises(FathomError) as error:
            await client.stream()
        assert error.value.args == FULL.args

    server.stream = refuse
    converse(server, talk)


def test_a_stream_that_ends_before_it_opens_is_an_error(server: "ScriptedServer") -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(FathomError) as error:
            await client.stream()
        assert error.value.code is Code.INTERNAL

    def hang_up(requests: "Requests") -> "Replies":
        next(requests)  # ending before Open is read would race with its being written
        yield from ()

    server.stream = hang_up
    converse(server, talk)


def test_a_lost_connection_answers_every_frame_and_then_raises(server: "ScriptedServer") -> None:
    cut = threading.Event()

    def answer_one_of_three(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        for _ in range(3):
            next(requests)
        yield server.answer(server.plane(1))
        cut.wait(PATIENCE_S)

    async def talk(client: Client) -> None:
        async with await client.stream() as stream:
            for _ in range(3):
                await stream.send(PICTURE)
            answers = stream.answers()
            assert (await anext(answers)).answer.seq == 1
            await asyncio.to_thread(server.stop)
            cut.set()
            lost = [(await anext(answers)).answer, (await anext(answers)).answer]
            assert [(a.seq, a.code) for a in lost if isinstance(a, Failed)] == [
                (2, Code.CONNECTION_LOST),
                (3, Code.CONNECTION_LOST),
            ]
            with pytest.raises(FathomError) as error:
                await anext(answers)
            assert error.value.code is Code.CONNECTION_LOST
            assert stream.in_flight == 0

    server.stream = answer_one_of_three
    converse(server, talk)


def test_an_error_amid_the_stream_answers_every_frame_and_then_raises(
    server: "ScriptedServer",
) -> None:
    def fault(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        next(requests)
        raise FathomError(Code.ENGINE_FAULT, expected="metres", got="smoke", repair="try again")

    async def talk(client: Client) -> None:
        async with await client.stream() as stream:
            await stream.send(PICTURE)
            answers = stream.answers()
            assert isinstance((await anext(answers)).answer, Failed)
            with pytest.raises(FathomError) as error:
                await anext(answers)
            assert (error.value.code, error.value.got) == (Code.ENGINE_FAULT, "smoke")

    server.stream = fault
    converse(server, talk)


@pytest.mark.parametrize("says_why", [True, False])
def test_frames_that_the_server_left_behind_are_answered_too(
    server: "ScriptedServer", says_why: bool
) -> None:
    def leave(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        next(requests)
        next(requests)
        yield server.answer(server.plane(1))
        if says_why:
            yield server.closing("going home")

    async def talk(client: Client) -> None:
        async with await client.stream() as stream:
            await stream.send(PICTURE)
            await stream.send(PICTURE)
            first, second = (r.answer for r in await all_answers(stream))
            assert first.seq == 1
            assert isinstance(second, Failed)
            assert (second.seq, second.code) == (2, Code.CONNECTION_LOST)
            assert (stream.closing is not None) == says_why

    server.stream = leave
    converse(server, talk)


def test_sending_on_a_stream_that_has_ended_says_so(server: "ScriptedServer") -> None:
    def leave(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        yield server.closing("going home")

    async def talk(client: Client) -> None:
        async with await client.stream() as stream:
            assert await all_answers(stream) == []
            with pytest.raises(FathomError) as error:
                await stream.send(PICTURE)
            assert error.value.code is Code.CONNECTION_LOST

    server.stream = leave
    converse(server, talk)


def test_sending_on_a_stream_that_was_left_says_so(
    server: "ScriptedServer",
) -> None:
    async def talk(client: Client) -> None:
        async with await client.stream() as stream:
            await stream.close()
            with pytest.raises(FathomError) as error:
                await stream.send(PICTURE)
            assert error.value.code is Code.CONNECTION_LOST

    converse(server, talk)


def test_finishing_twice_is_no_error_and_sending_after_it_is(server: "ScriptedServer") -> None:
    async def talk(client: Client) -> None:
        async with await client.stream() as stream:
            await stream.finish()
            await stream.finish()
            with pytest.raises(FathomError) as error:
                await stream.send(PICTURE)
            assert error.value.code is Code.BAD_SEQUENCE
            assert await all_answers(stream) == []

    converse(server, talk)


def test_leaving_the_stream_ends_it_on_the_server(server: "ScriptedServer") -> None:
    heard, gone = threading.Event(), threading.Event()

    def listen(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        try:
            for _ in requests:
                heard.set()
        finally:
            gone.set()

    async def talk(client: Client) -> None:
        async with await client.stream() as stream:
            await stream.send(PICTURE)
            assert await asyncio.to_thread(heard.wait, PATIENCE_S)
        assert await asyncio.to_thread(gone.wait, PATIENCE_S)

    server.stream = listen
    converse(server, talk)


def test_closing_the_stream_ends_another_task_s_answers(server: "ScriptedServer") -> None:
    heard = threading.Event()

    def listen(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        next(requests)
        heard.set()
        for _ in requests:
            pass

    async def talk(client: Client) -> None:
        stream = await client.stream()
        await stream.send(PICTURE)
        reader = asyncio.create_task(all_answers(stream))
        assert await asyncio.to_thread(heard.wait, PATIENCE_S)
        await stream.close()
        with pytest.raises(FathomError) as error:
            await reader
        assert error.value.code is Code.CONNECTION_LOST

    server.stream = listen
    converse(server, talk)
