"""Fifty frames of a camera through a whole process, with both clients: the books agree."""

import asyncio
import threading
from collections import Counter

import numpy as np
import pytest

from fathom.session import aio, sync
from fathom.session.core import Received
from fathom.values import Closing, DepthMap, OpenStream, Policy
from tests.acceptance.conftest import RunningServer
from tests.server.conftest import PICTURE

FRAMES = 50
OPENINGS = [
    OpenStream(policy=Policy.LATEST),
    OpenStream(policy=Policy.ALL),
    OpenStream(policy=Policy.EVERY_N, every_n=3),
]


def check(received: list[Received], closing: Closing | None, opening: OpenStream) -> None:
    """Each frame answered once, in order; what the server counted is what the client got."""
    answers = [each.answer for each in received]
    assert [answer.seq for answer in answers] == list(range(1, FRAMES + 1))
    assert closing is not None and closing.code is None
    kinds = Counter(type(answer).__name__ for answer in answers)
    assert sum(closing.counts.values()) == FRAMES
    assert closing.counts["answered"] == kinds["EncodedDepth"]
    if opening.policy is Policy.ALL:
        assert closing.counts == {"answered": FRAMES}
    if opening.policy is Policy.EVERY_N:
        assert closing.counts["skipped_policy"] == FRAMES - len(range(0, FRAMES, opening.every_n))
    for each in received:
        newer = getattr(each.answer, "superseded_by", None)
        assert newer is None or newer > each.answer.seq
        assert each.age_s >= 0 and each.round_trip_s >= 0
    last = next(each for each in reversed(received) if each.answer.seq <= FRAMES)
    assert last.image is PICTURE
    depth = [d for d in (each.decoded() for each in received) if isinstance(d, DepthMap)]
    assert depth and all(np.array_equal(d.depth_m, depth[0].depth_m) for d in depth)


@pytest.mark.parametrize("opening", OPENINGS, ids=lambda opening: opening.policy)
def test_a_program_with_threads(null_server: RunningServer, opening: OpenStream) -> None:
    with sync.Client(null_server.grpc_target) as client, client.stream(opening) as stream:

        def send() -> None:
            for _ in range(FRAMES):
                stream.send(PICTURE)
            stream.finish()

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        received = list(stream.answers())
        sender.join()
        assert stream.in_flight == 0
        check(received, stream.closing, opening)


@pytest.mark.parametrize("opening", OPENINGS, ids=lambda opening: opening.policy)
def test_a_program_with_an_event_loop(null_server: RunningServer, opening: OpenStream) -> None:
    async def main() -> tuple[list[Received], Closing | None]:
        async with (
            aio.Client(null_server.grpc_target) as client,
            await client.stream(opening) as stream,
        ):

            async def send() -> None:
                for _ in range(FRAMES):
                    await stream.send(PICTURE)
                await stream.finish()

            sender = asyncio.create_task(send())
            received = [each async for each in stream.answers()]
            await sender
            return received, stream.closing

    check(*asyncio.run(main()), opening)


def test_many_cameras_at_once_each_get_their_own_answers(null_server: RunningServer) -> None:
    async def camera(client: aio.Client) -> None:
        async with await client.stream(OpenStream(policy=Policy.ALL)) as stream:
            for _ in range(10):
                await stream.send(PICTURE)
            await stream.finish()
            received = [each async for each in stream.answers()]
            assert [each.answer.seq for each in received] == list(range(1, 11))

    async def main() -> None:
        async with aio.Client(null_server.grpc_target) as client:
            await asyncio.gather(*(camera(client) for _ in range(8)))

    asyncio.run(main())
