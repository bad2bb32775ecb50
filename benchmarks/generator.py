"""Many cameras in one process of their own, so that their clocks do not wait for the benchmark.

    python -m benchmarks.generator 127.0.0.1:8001 run.npz --cameras 16 --fps 30 --seconds 60
    python -m benchmarks.generator 127.0.0.1:8001 run.npz --cameras 16 --in-flight 4 --seconds 5

Open loop, with --fps: frame k of camera c is due at start + offset_c + k / fps. If the connection
holds a camera up, the frames that fell due meanwhile are sent at once after it, and their ages
count from when they were due: no delay is left out.
Closed loop, with --in-flight: each camera keeps so many frames under way. It shows capacity.

Each camera has a connection of its own, as real ones have. One event loop costs less than a thread
a camera: 0.19 cores against 0.25 for 16 cameras of 30 frames/s and 75 KB (EPYC, 2 cores).
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import uvloop
from grpc import aio

from benchmarks.pictures import camera_jpeg
from benchmarks.tallies import Schedule, Tally, schedules, write_run
from fathom.allocator import keep_freed_memory
from fathom.geometry import Size
from fathom.session.aio import Stream
from fathom.session.channel import CHANNEL_OPTIONS
from fathom.session.core import outcome
from fathom.session.pictures import as_image
from fathom.values import EncodedDepth, Image, OpenStream, Policy
from fathom.wire.depth_pb2_grpc import DepthStub

# Time to start every camera's tasks before the first frame is due.
_RUN_UP_S = 0.2


def main(argv: list[str] | None = None) -> int:
    """Drive a server, leave what the cameras got in a file."""
    keep_freed_memory()
    arguments = _parser().parse_args(argv)
    picture = as_image(camera_jpeg(picture_size(arguments.picture_size)))
    tallies = [Tally() for _ in range(arguments.cameras)]
    cpu_s = uvloop.run(_drive(arguments, picture, tallies))
    write_run(arguments.out, seconds=arguments.seconds, cpu_s=cpu_s, tallies=tallies)
    return 0


def picture_size(text: str) -> Size:
    """640x480, width first as cameras are sold, as (height, width)."""
    width, height = text.split("x")
    return int(height), int(width)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.generator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", help="host:port of the gRPC door")
    parser.add_argument("out", type=Path, help="where the figures go, .npz")
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--picture-size", default="640x480", help="WIDTHxHEIGHT (%(default)s)")
    parser.add_argument("--fps-per-s", type=float, default=0, help="that they quicken by")
    pace = parser.add_mutually_exclusive_group(required=True)
    pace.add_argument("--fps", type=float, help="open loop, frames a second of each camera")
    pace.add_argument("--in-flight", type=int, help="closed loop, frames under way of each camera")
    return parser


async def _drive(arguments: argparse.Namespace, picture: Image, tallies: Sequence[Tally]) -> float:
    """Run all cameras to their end; the processor time they took."""
    closed = arguments.in_flight is not None
    policy = Policy.ALL if closed else Policy.LATEST
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(
                camera_stream(arguments.target, OpenStream(policy=policy, name=f"camera-{i}"))
            )
            for i in range(len(tallies))
        ]
        before_s = time.process_time()
        start_s = time.monotonic() + _RUN_UP_S
        if closed:
            runs = [
                _closed_loop(
                    stream, picture, tally, (start_s, arguments.seconds), arguments.in_flight
                )
                for stream, tally in zip(streams, tallies, strict=True)
            ]
        else:
            plans = schedules(
                cameras=len(tallies),
                fps=arguments.fps,
                seconds=arguments.seconds,
                fps_per_s=arguments.fps_per_s,
            )
            runs = [
                _open_loop(stream, picture, tally, start_s, plan)
                for stream, tally, plan in zip(streams, tallies, plans, strict=True)
            ]
        await asyncio.gather(*runs)
        return time.process_time() - before_s


@asynccontextmanager
async def camera_stream(target: str, opening: OpenStream) -> AsyncIterator[Stream]:
    async with (
        aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel,
        Stream(DepthStub(channel), time.monotonic) as stream,
    ):
        await stream.open(opening)
        yield stream


async def _open_loop(
    stream: Stream, picture: Image, tally: Tally, start_s: float, plan: Schedule
) -> None:
    async def send() -> None:
        for k in range(plan.frames):
            due_s = start_s + plan.due_s(k)
            wait_s = due_s - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            tally.sent += 1
            tally.late_s.append(time.monotonic() - due_s)
            await stream.send(picture, captured_s=due_s)
        await stream.finish()

    await asyncio.gather(send(), _receive(stream, tally, start_s, lambda: None))


async def _closed_loop(
    stream: Stream, picture: Image, tally: Tally, time_s: tuple[float, float], in_flight: int
) -> None:
    start_s, seconds = time_s
    room = asyncio.Semaphore(in_flight)

    async def send() -> None:
        while time.monotonic() < start_s + seconds:
            await room.acquire()
            tally.sent += 1
            await stream.send(picture)
        await stream.finish()

    await asyncio.gather(send(), _receive(stream, tally, start_s, room.release))


async def _receive(
    stream: Stream, tally: Tally, start_s: float, settled: Callable[[], object]
) -> None:
    async for received in stream.answers():
        tally.outcomes[outcome(received.answer)] += 1
        if isinstance(received.answer, EncodedDepth):
            tally.answered(time.monotonic() - start_s - received.age_s, received.age_s)
        settled()
    if stream.closing is not None:
        tally.closing = stream.closing.counts


if __name__ == "__main__":
    sys.exit(main())
