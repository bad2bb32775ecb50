"""A client that costs next to nothing: messages built before the clock starts, replies counted and
not read. What it measures is the server, not what a program does with its answers.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import uvloop
from grpc import aio

from fathom.session.channel import CHANNEL_OPTIONS
from fathom.values import Frame, Image, ImageEncoding, OpenStream, Policy
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import frame_to_wire, open_to_wire

# Channels that carry bytes are `Any`: the stubs want what gRPC does not, serializers above all.
SERVICE = pb.DESCRIPTOR.services_by_name["Depth"].full_name
# Every depth is larger, every skip and failure smaller.
DEPTH_BYTES = 1024
NO_DEPTH = "a frame got no depth: the rate means nothing"


def opening() -> bytes:
    """The first message of a stream that wants every frame."""
    return pb.StreamRequest(open=open_to_wire(OpenStream(policy=Policy.ALL))).SerializeToString()


def frame(seq: int, image: Image) -> bytes:
    """One frame's message."""
    return pb.StreamRequest(frame=frame_to_wire(Frame(seq=seq, image=image))).SerializeToString()


def saturate(target: str, picture: bytes, *, in_flight: int, frames: int) -> float:
    """Keep `in_flight` frames under way until `frames` were answered; frames/s."""
    image = Image(encoding=ImageEncoding.JPEG, data=picture)
    requests = [frame(seq, image) for seq in range(1, frames + 1)]
    return uvloop.run(_saturate(target, requests, in_flight))


async def _saturate(target: str, requests: Sequence[bytes], in_flight: int) -> float:
    received_s: list[float] = []
    channel: Any
    async with aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
        call = channel.stream_stream(f"/{SERVICE}/Stream")()
        await call.write(opening())
        await call.read()
        room = asyncio.Semaphore(in_flight)

        async def send() -> None:
            for request in requests:
                await room.acquire()
                await call.write(request)

        sender = asyncio.create_task(send())
        for _ in requests:
            reply = await call.read()
            received_s.append(time.perf_counter())
            room.release()
            if reply is aio.EOF or len(reply) < DEPTH_BYTES:  # type: ignore[attr-defined]
                raise SystemExit(NO_DEPTH)
        await sender
        call.cancel()
    return (len(requests) - 1) / (received_s[-1] - received_s[0])
