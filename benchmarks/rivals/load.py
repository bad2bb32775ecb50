"""The load generator: all cameras of one run, in one process of its own.

python -m benchmarks.rivals.load http 127.0.0.1:8000 --style "every frame" --cameras 16 --fps 15

The same code drives every rival; Fathom's cameras use `fathom.session.aio`, which costs the shared
cores more than plain HTTP does. Says `over` when the run is, then waits a little for answers that
are still out, then prints the figures as one line of JSON.
"""

import argparse
import asyncio
import hashlib
import json
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum

import uvloop

from benchmarks.pictures import camera_jpeg
from benchmarks.rivals.books import Books, Figures
from benchmarks.rivals.http_pool import Pool
from benchmarks.rivals.styles import Ask, Style, every_frame, latest_stream, newest_next
from benchmarks.tallies import schedules
from fathom.session.aio import Client, Stream
from fathom.values import OpenStream, Policy

_WARM_UP = 20
_WARM_UP_S = 30.0
_DRAIN_S = 3.0
# Time to make the tasks of all cameras before the first frame is due.
_RUN_UP_S = 0.1


class Protocol(StrEnum):
    """What is spoken to the server."""

    HTTP = "http"
    TRITON = "triton"
    FATHOM = "fathom"


def main(argv: list[str] | None = None) -> int:
    """Drive one server, print what the cameras got."""
    arguments = _parser().parse_args(argv)
    books = [
        Books(schedule)
        for schedule in schedules(
            cameras=arguments.cameras, fps=arguments.fps, seconds=arguments.seconds
        )
    ]
    if arguments.protocol is Protocol.FATHOM:
        answer = uvloop.run(_drive_fathom(arguments.target, books, arguments.seconds))
    else:
        answer = uvloop.run(_drive_rival(arguments, books))
    figures: dict[str, object] = {"answer_sha256": hashlib.sha256(answer).hexdigest()}
    figures |= Figures.of(books, arguments.seconds).as_dict()
    print(json.dumps(figures), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.rivals.load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("protocol", type=Protocol, help=", ".join(Protocol))
    parser.add_argument("target", help="host:port")
    parser.add_argument("--style", type=Style, default=Style.EVERY, help=", ".join(Style))
    parser.add_argument("--cameras", type=int, default=1, help="how many (%(default)s)")
    parser.add_argument("--fps", type=float, default=60, help="of each (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="of the run (%(default)s)")
    return parser


async def _drive_rival(arguments: argparse.Namespace, books: Sequence[Books]) -> bytes:
    picture = camera_jpeg()
    ask, pool = _connect(arguments.protocol, arguments.target, len(picture))
    answer = b""
    async with asyncio.timeout(_WARM_UP_S):
        for _ in range(_WARM_UP):
            answer = await ask(picture)
    camera = every_frame if arguments.style is Style.EVERY else newest_next
    start_s = time.monotonic() + _RUN_UP_S
    await run([camera(ask, picture, b, start_s) for b in books], _RUN_UP_S + arguments.seconds)
    pool.close()
    return answer


def _connect(protocol: Protocol, target: str, picture_bytes: int) -> tuple[Ask, Pool]:
    host, port = target.rsplit(":", 1)
    if protocol is Protocol.HTTP:
        pool = Pool(host, int(port), "/predict", {"Content-Type": "image/jpeg"})

        async def ask(picture: bytes) -> bytes:
            return (await pool.post(picture)).body

        return ask, pool

    # Triton's binary extension: a JSON head that says what the bytes behind it are.
    size = {"binary_data_size": picture_bytes}
    tensor = {"name": "jpeg", "shape": [picture_bytes], "datatype": "UINT8", "parameters": size}
    output = {"name": "depth_mm", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [output]}).encode("ascii")
    length_name = "Inference-Header-Content-Length"
    headers = {"Content-Type": "application/octet-stream", length_name: str(len(head))}
    pool = Pool(host, int(port), "/v2/models/student/infer", headers)

    async def ask_triton(picture: bytes) -> bytes:
        reply = await pool.post(head, picture)
        return reply.body[int(reply.headers[length_name.lower()]) :]

    return ask_triton, pool


async def _drive_fathom(target: str, books: Sequence[Books], seconds: float) -> bytes:
    picture = camera_jpeg()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(target))
        answer = b""
        async with asyncio.timeout(_WARM_UP_S):
            for _ in range(_WARM_UP):
                answer = (await client.predict_encoded(picture)).data
            streams = [await stack.enter_async_context(_stream(target)) for _ in books]
        start_s = time.monotonic() + _RUN_UP_S
        cameras = [
            latest_stream(stream, picture, b, start_s)
            for stream, b in zip(streams, books, strict=True)
        ]
        await run(cameras, _RUN_UP_S + seconds)
    return answer


@asynccontextmanager
async def _stream(target: str) -> AsyncIterator[Stream]:
    # A connection of its own, as each camera of a house would have.
    async with (
        Client(target) as client,
        await client.stream(OpenStream(policy=Policy.LATEST)) as stream,
    ):
        yield stream


async def run(
    cameras: Sequence[Coroutine[None, None, None]], seconds: float, drain_s: float = _DRAIN_S
) -> None:
    """Let the cameras work so long, say that it is over, and stop those that still wait after that.

    raises  what a camera raised: a benchmark with a broken camera has no figures
    """
    tasks = [asyncio.ensure_future(camera) for camera in cameras]
    _, pending = await asyncio.wait(tasks, timeout=seconds)
    print("over", flush=True)
    if pending:
        _, pending = await asyncio.wait(pending, timeout=drain_s)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()):
            raise error


if __name__ == "__main__":
    sys.exit(main())
