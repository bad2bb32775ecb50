"""A stream outlives its connection: real servers that go and come back on the same port."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest

from fathom.errors import Code, FathomError
from fathom.session import aio, sync
from fathom.session.core import Received
from fathom.session.reconnect import Backoff, Reconnect, Reconnected
from fathom.values import Closing, Failed, OpenStream, Policy
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import closing_to_wire
from fathom.wire.depth_pb2_grpc import add_DepthServicer_to_server

if TYPE_CHECKING:
    from tests.fathom.conftest import Replies, Requests, ScriptedServer

PICTURE = np.zeros((4, 6, 3), np.uint8)
PATIENCE_S = 30.0  # what an event that must come is waited for; a test that passes waits for none
AT_ONCE = Reconnect(first_s=0.001, longest_s=0.01)
NEVER_SOON = Reconnect(first_s=3600, longest_s=3600)
BAD = FathomError(Code.UNKNOWN_MODEL, expected="a model", got="none", repair="name one")


def start_again(server: "ScriptedServer") -> grpc.Server:
    """The same server on the same port."""
    again = grpc.server(ThreadPoolExecutor(4))
    add_DepthServicer_to_server(server, again)
    again.add_insecure_port(server.address)
    again.start()
    return again


def hang_up_after(server: "ScriptedServer", frames: int) -> None:
    """The next stream ends by a retryable error after so many frames, unanswered; others go on."""

    def hang_up(requests: "Requests") -> "Replies":
        server.stream = server.answer_each
        next(requests)
        yield server.opened()
        for _ in range(frames):
            next(requests)
        raise FathomError(Code.NOT_READY, expected="a model", got="none yet", repair="wait")

    server.stream = hang_up


# Deciding


def test_waits_double_up_to_a_bound_and_half_of_each_is_random() -> None:
    for jitter, waits in ((1.0, [1, 2, 4, 8, 16, 30, 30]), (0.0, [0.5, 1, 2, 4, 8, 15, 15])):
        backoff = Backoff(Reconnect(), jitter=lambda jitter=jitter: jitter)  # type: ignore[misc]
        backoff.lost(0.0)
        assert [backoff.next_s(0.0) for _ in waits] == waits
        assert backoff.attempts == len(waits)


def test_only_a_connection_that_lasted_makes_the_wait_short_again() -> None:
    backoff = Backoff(Reconnect(stable_s=30), jitter=lambda: 1.0)
    backoff.lost(0.0)
    backoff.next_s(0.0)
    assert backoff.connected(5.0) == 5.0
    backoff.lost(34.0)
    assert backoff.next_s(34.0) == 2.0
    backoff.connected(40.0)
    backoff.lost(70.0)
    assert (backoff.next_s(70.0), backoff.attempts) == (1.0, 1)


def test_giving_up_is_counted_from_the_loss() -> None:
    backoff = Backoff(Reconnect(give_up_after_s=10), jitter=lambda: 1.0)
    backoff.lost(100.0)
    assert backoff.next_s(100.0) == 1.0
    assert backoff.next_s(109.5) == 0.5  # the last attempt is at the very end
    assert backoff.next_s(110.0) is None


def test_terms_without_sense_are_refused() -> None:
    with pytest.raises(FathomError) as error:
        Reconnect(first_s=2, longest_s=1)
    assert error.value.code is Code.BAD_OPTION


# Threads


def test_numbers_go_on_after_a_server_that_was_away(server: "ScriptedServer") -> None:
    gaps: list[Reconnected] = []
    back = threading.Event()

    def told(gap: Reconnected) -> None:
        gaps.append(gap)
        back.set()

    with (
        sync.Client(server.address) as client,
        client.stream(reconnect=AT_ONCE, reconnected=told) as stream,
    ):
        answers = stream.answers()
        stream.send(PICTURE)
        assert next(answers).answer.seq == 1
        server.stop()
        for seq in (2, 3):  # under way when the connection broke; nobody there
            assert stream.send(PICTURE) == seq
            lost = next(answers).answer
            assert isinstance(lost, Failed)
            assert (lost.seq, lost.code) == (seq, Code.CONNECTION_LOST)
        again = start_again(server)
        rest: list[Received] = []
        reader = threading.Thread(target=lambda: rest.extend(answers), daemon=True)
        reader.start()
        assert back.wait(PATIENCE_S)
        assert stream.send(PICTURE) == 4
        stream.finish()
        reader.join(PATIENCE_S)
        (fourth,) = (received.answer for received in rest)
        assert fourth.seq == 4 and not isinstance(fourth, Failed)
        (gap,) = gaps
        assert (gap.lost, gap.reason.code) == (range(2, 4), Code.CONNECTION_LOST)
        assert gap.attempts >= 1 and gap.gap_s > 0
        again.stop(None).wait()


def test_a_retryable_error_is_a_gap_and_not_the_end(server: "ScriptedServer") -> None:
    gaps: list[Reconnected] = []
    hang_up_after(server, 2)
    with (
        sync.Client(server.address) as client,
        client.stream(
            OpenStream(policy=Policy.ALL), reconnect=AT_ONCE, reconnected=gaps.append
        ) as stream,
    ):
        answers = stream.answers()
        assert [stream.send(PICTURE), stream.send(PICTURE)] == [1, 2]
        assert [next(answers).answer.seq for _ in range(2)] == [1, 2]

        def send_when_it_is_back() -> None:  # `all`: waits, loses nothing
            stream.send(PICTURE)
            stream.finish()

        sender = threading.Thread(target=send_when_it_is_back, daemon=True)
        sender.start()
        (third,) = (received.answer for received in answers)
        assert third.seq == 3 and not isinstance(third, Failed)
    (gap,) = gaps
    assert (gap.lost, gap.reason.code) == (range(1, 3), Code.NOT_READY)


def test_a_closing_that_may_be_retried_is_a_gap_too(server: "ScriptedServer") -> None:
    gaps: list[Reconnected] = []

    def leave(requests: "Requests") -> "Replies":
        server.stream = server.answer_each
        next(requests)
        yield server.opened()
        last = Closing(code=Code.SHUTTING_DOWN, reason="an update", counts={})
        yield pb.StreamReply(closing=closing_to_wire(last))

    server.stream = leave

    def told(gap: Reconnected) -> None:
        gaps.append(gap)
        stream.finish()

    with (
        sync.Client(server.address) as client,
        client.stream(reconnect=AT_ONCE, reconnected=told) as stream,
    ):
        assert list(stream.answers()) == []
        assert stream.closing is not None and stream.closing.code is None
    assert gaps[0].reason.code is Code.SHUTTING_DOWN and not gaps[0].lost


def test_an_error_that_no_retry_helps_ends_the_search(server: "ScriptedServer") -> None:
    def refuse(requests: "Requests") -> "Replies":
        next(requests)
        yield from ()
        raise BAD

    hang_up_after(server, 1)
    with sync.Client(server.address) as client, client.stream(reconnect=AT_ONCE) as stream:
        stream.send(PICTURE)
        answers = stream.answers()
        assert isinstance(next(answers).answer, Failed)
        server.stream = refuse
        with pytest.raises(FathomError) as error:
            next(answers)
        assert error.value.args == BAD.args
        with pytest.raises(FathomError):
            stream.send(PICTURE)


def test_giving_up_raises_what_ended_the_connection(server: "ScriptedServer") -> None:
    hang_up_after(server, 1)
    at_once = Reconnect(give_up_after_s=0)
    with sync.Client(server.address) as client, client.stream(reconnect=at_once) as stream:
        stream.send(PICTURE)
        answers = stream.answers()
        assert isinstance(next(answers).answer, Failed)
        with pytest.raises(FathomError) as error:
            next(answers)
        assert error.value.code is Code.NOT_READY
        with pytest.raises(FathomError) as refused:
            stream.send(PICTURE)
        assert refused.value.code is Code.CONNECTION_LOST


@pytest.mark.parametrize("way", ["close", "finish"])
def test_leaving_during_a_wait_ends_it_at_once(server: "ScriptedServer", way: str) -> None:
    hang_up_after(server, 1)
    with sync.Client(server.address) as client, client.stream(reconnect=NEVER_SOON) as stream:
        stream.send(PICTURE)
        answers = stream.answers()
        next(answers)
        ends = threading.Thread(target=getattr(stream, way))
        ends.start()
        with pytest.raises(FathomError) as error:
            next(answers)
        assert error.value.code is Code.NOT_READY
        ends.join(PATIENCE_S)


# Tasks


def test_a_program_with_an_event_loop_has_the_same(server: "ScriptedServer") -> None:
    gaps: list[Reconnected] = []
    hang_up_after(server, 2)

    async def main() -> None:
        async with aio.Client(server.address) as client:
            opening = OpenStream(policy=Policy.ALL)
            async with await client.stream(
                opening, reconnect=AT_ONCE, reconnected=gaps.append
            ) as stream:
                answers = stream.answers()
                assert [await stream.send(PICTURE), await stream.send(PICTURE)] == [1, 2]
                assert [(await anext(answers)).answer.seq for _ in range(2)] == [1, 2]

                async def send_when_it_is_back() -> None:
                    await stream.send(PICTURE)
                    await stream.finish()

                sender = asyncio.create_task(send_when_it_is_back())
                (third,) = [received.answer async for received in answers]
                assert third.seq == 3 and not isinstance(third, Failed)
                await sender

    asyncio.run(main())
    assert gaps[0].lost == range(1, 3)


def test_a_task_s_frames_are_refused_at_once_while_nobody_is_there(
    server: "ScriptedServer",
) -> None:
    hang_up_after(server, 1)

    async def main() -> None:
        async with (
            aio.Client(server.address) as client,
            await client.stream(reconnect=NEVER_SOON) as stream,
        ):
            answers = stream.answers()
            for seq in (1, 2, 3):
                assert await stream.send(PICTURE) == seq
                answer = (await anext(answers)).answer
                assert isinstance(answer, Failed) and answer.code is Code.CONNECTION_LOST
            await stream.finish()
            with pytest.raises(FathomError) as error:
                await anext(answers)
            assert error.value.code is Code.NOT_READY

    asyncio.run(main())


def test_a_task_s_numbers_go_on_after_a_server_that_was_away(server: "ScriptedServer") -> None:
    async def main() -> None:
        back = asyncio.Event()
        async with (
            aio.Client(server.address) as client,
            await client.stream(reconnect=AT_ONCE, reconnected=lambda _: back.set()) as stream,
        ):
            answers = stream.answers()
            await asyncio.to_thread(server.stop)
            for seq in (1, 2):
                assert await stream.send(PICTURE) == seq
                assert isinstance((await anext(answers)).answer, Failed)
            again = start_again(server)
            third = asyncio.ensure_future(anext(answers))
            await back.wait()
            assert await stream.send(PICTURE) == 3
            answer = (await third).answer
            assert answer.seq == 3 and not isinstance(answer, Failed)
        await asyncio.to_thread(again.stop(None).wait)

    asyncio.run(main())
