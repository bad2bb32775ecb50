"""What a client may send a second: streams where every frame counts wait, the others skip."""

import asyncio

import pytest

from fathom.values import OpenStream, Policy, Skipped, SkipReason
from server.core.rates import Rate
from server.dispatch import Dispatch
from server.security.entry import Entry
from server.streams import Stream
from server.telemetry import Telemetry
from tests.server.conftest import PICTURE, FakeClock, frame
from tests.server.test_streams import compute, everything, run, turns


def new_stream(
    dispatch: Dispatch, telemetry: Telemetry, entry: Entry, policy: Policy, client: str = "a"
) -> Stream:
    return Stream(dispatch, OpenStream(policy=policy), telemetry, client=client, entry=entry)


def test_a_live_stream_skips_what_is_over_the_rate(
    dispatch: Dispatch, telemetry: Telemetry, clock: FakeClock
) -> None:
    entry = Entry(frames=Rate(2))

    async def main() -> list[str]:
        stream = new_stream(dispatch, telemetry, entry, Policy.LATEST)
        for seq in range(1, 6):
            stream.offer(frame(seq))
            compute(dispatch)
        clock.advance(0.5)
        stream.offer(frame(6))
        compute(dispatch)
        stream.end()
        answers = await everything(stream)
        stream.close()
        return [
            answer.reason if isinstance(answer, Skipped) else "depth"
            for answer in answers
            if answer.seq
        ]

    over = SkipReason.OVER_RATE
    assert run(main) == ["depth", "depth", over, over, over, "depth"]


@pytest.mark.parametrize(
    "entry", [Entry(frames=Rate(2)), Entry(wire_bytes=Rate(2 * len(PICTURE.data)))]
)
def test_where_every_frame_counts_the_sender_waits(
    dispatch: Dispatch, telemetry: Telemetry, clock: FakeClock, entry: Entry
) -> None:
    async def main() -> None:
        stream = new_stream(dispatch, telemetry, entry, Policy.ALL)
        for seq in (1, 2):
            await stream.room()
            stream.offer(frame(seq))
        waiting = asyncio.create_task(stream.room())
        await turns()
        assert not waiting.done()
        clock.advance(1.0)
        await waiting
        stream.end()
        compute(dispatch)
        assert [type(a).__name__ for a in await everything(stream)] == ["EncodedDepth"] * 2
        stream.close()

    run(main)


def test_streams_of_one_client_share_its_rate_and_others_have_their_own(
    dispatch: Dispatch, telemetry: Telemetry
) -> None:
    entry = Entry(frames=Rate(1))

    async def main() -> list[int]:
        streams = [
            new_stream(dispatch, telemetry, entry, Policy.LATEST, client) for client in "aab"
        ]
        for stream in streams:
            stream.offer(frame(1))
            stream.end()
        compute(dispatch)
        skipped = [sum(isinstance(a, Skipped) for a in await everything(s)) for s in streams]
        for stream in streams:
            stream.close()
        return skipped

    assert run(main) == [0, 1, 0]
