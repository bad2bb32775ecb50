"""Clients of every kind, good and bad: what a server meets in a year, in a minute.

Each coroutine is one visit, and raises `Astray` if the server did what it must not. A visit that
ends by itself checks that each frame it sent was answered once; one that breaks off cannot.

    python -m benchmarks.visitors 127.0.0.1:8001    a camera that sends until somebody kills it
"""

import asyncio
import random
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
from grpc import aio

from benchmarks.generator import camera_stream
from benchmarks.pictures import camera_jpeg
from fathom.session.channel import CHANNEL_OPTIONS
from fathom.session.core import outcome
from fathom.values import Frame, Image, ImageEncoding, OpenStream, Policy
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import frame_to_wire, open_to_wire
from fathom.wire.depth_pb2_grpc import DepthStub

# Two seconds of a camera.
_FRAMES, _FPS = 20, 10.0
# More depth than any window holds, of frames that nobody reads the answers of.
_UNREAD_FRAMES = 100
_STARE_S = 5.0
_TOO_SOON_S = 0.002
_BROKEN_FRAMES = 25
_SAID_TO_SAY = b"answered\n"


class Astray(Exception):  # noqa: N818 - the server's fault, told to whoever watches
    """The server did what it must not."""


@dataclass(slots=True, kw_only=True, eq=False)
class Visitors:
    """Everybody who visits one server, and what became of their frames.

    grpc, http  host:port of its doors
    chance      decides how pictures are broken, and how visits end
    """

    grpc: str
    http: str
    picture: bytes
    chance: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311
    outcomes: Counter[str] = field(default_factory=Counter)

    async def restless(self) -> None:
        """Connects, sends for two seconds, and drops: politely, without a word, or midway."""
        manner = self.chance.choice(("polite", "silent", "midway"))
        pictures = [_jpeg(self.picture)] * _FRAMES
        if manner == "polite":
            await self._converse(OpenStream(name="restless"), pictures, 1 / _FPS)
            return
        async with camera_stream(self.grpc, OpenStream(name="restless")) as stream:
            for picture in pictures:
                await stream.send(picture)
                await asyncio.sleep(1 / _FPS)
            if manner == "midway":
                async for _ in stream.answers():
                    break

    async def impatient(self) -> None:
        """Wants each answer at once: most of its frames are due before they can be done."""
        opening = OpenStream(name="impatient", policy=Policy.ALL, deadline_s=_TOO_SOON_S)
        await self._converse(opening, [_jpeg(self.picture)] * _FRAMES)

    async def malformed(self) -> None:
        """Sends pictures that are broken in every way, over gRPC and over HTTP."""
        opening = OpenStream(name="malformed", policy=Policy.ALL)
        await self._converse(opening, [_jpeg(data) for data in self._broken()])
        status = await self._post(next(self._broken()))
        if status >= 500:
            raise Astray(f"HTTP answered {status} to a broken picture")

    async def frozen(self) -> None:
        """Sends and reads nothing, until it is cut or loses patience."""
        async with aio.insecure_channel(self.grpc, options=CHANNEL_OPTIONS) as channel:
            call = DepthStub(channel).Stream()  # type: ignore[call-arg]  # written to, not iterated
            frames = (Frame(seq=seq, image=_jpeg(self.picture)) for seq in range(_UNREAD_FRAMES))
            with suppress(TimeoutError, aio.AioRpcError, asyncio.InvalidStateError):
                async with asyncio.timeout(_STARE_S):
                    await call.write(pb.StreamRequest(open=open_to_wire(OpenStream(name="frozen"))))
                    for frame in frames:
                        request = pb.StreamRequest()
                        frame_to_wire(frame, request.frame)
                        await call.write(request)
                        await asyncio.sleep(1 / 60)
                    await asyncio.sleep(_STARE_S)
            call.cancel()

    async def severed(self) -> None:
        """Connects to a door, says half of something, and is cut off by a reset."""
        host, _, port = self.chance.choice((self.grpc, self.http)).rpartition(":")
        said = self.chance.choice(
            (
                b"",
                b"GET / HTTP/1.1\r\nHost: x\r\n",
                b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n" + bytes(900),
                b"GET /stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(5),
                self.chance.randbytes(200),
            )
        )
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        await writer.drain()
        await asyncio.sleep(0.05)
        # Nothing left to send and no time to linger: the kernel resets the connection.
        peer: socket.socket = writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def killed(self) -> None:
        """A camera in a process of its own that is killed while it sends."""
        # Not asyncio's: uvloop forks, and gRPC's handlers of a fork crash one child in fifty.
        camera = subprocess.Popen(  # noqa: ASYNC220 - it takes a millisecond
            [sys.executable, "-m", "benchmarks.visitors", self.grpc],
            cwd=Path(__file__).parent.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            said = await asyncio.to_thread(camera.stdout.readline) if camera.stdout else b""
        finally:
            camera.kill()
        _, complaint = await asyncio.to_thread(camera.communicate)
        if said != _SAID_TO_SAY:
            last = complaint.decode(errors="replace").strip().splitlines()[-1:]
            raise Astray(f"a camera got no answer before it was killed, but {last}")

    async def _converse(
        self, opening: OpenStream, pictures: Sequence[Image], pause_s: float = 0.0
    ) -> None:
        """A whole stream: all pictures sent, and every one of them answered once and in order."""
        sent, answered = [], []
        async with camera_stream(self.grpc, opening) as stream:

            async def send() -> None:
                for picture in pictures:
                    sent.append(await stream.send(picture))
                    await asyncio.sleep(pause_s)
                await stream.finish()

            async def receive() -> None:
                async for received in stream.answers():
                    answered.append(received.answer.seq)
                    self.outcomes[outcome(received.answer)] += 1

            await asyncio.gather(send(), receive())
        if answered != sent:
            raise Astray(f"sent frames {sent}, got answers to {answered}")

    def _broken(self) -> Iterator[bytes]:
        """The picture cut short, with bytes changed, with noise behind it, and no picture."""
        for _ in range(_BROKEN_FRAMES):
            data = bytearray(self.picture)
            match self.chance.randrange(4):
                case 0:
                    del data[self.chance.randrange(len(data)) :]
                case 1:
                    for _ in range(self.chance.randrange(1, 50)):
                        data[self.chance.randrange(len(data))] = self.chance.randrange(256)
                case 2:
                    data[self.chance.randrange(200) :] = self.chance.randbytes(3000)
                case _:
                    data[:] = self.chance.randbytes(self.chance.randrange(100))
            yield bytes(data)

    async def _post(self, data: bytes) -> int:
        """The status of HTTP's answer to a picture."""
        host, _, port = self.http.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /predict HTTP/1.1\r\nHost: {self.http}\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        await writer.drain()
        status = (await reader.readline()).split()
        writer.close()
        if len(status) < 2:
            raise Astray("HTTP closed without an answer to a broken picture")
        return int(status[1])


def _jpeg(data: bytes) -> Image:
    return Image(encoding=ImageEncoding.JPEG, data=data)


async def _doomed(target: str) -> None:
    """Send without end; say when the first frame was answered."""
    picture = camera_jpeg()
    async with camera_stream(target, OpenStream(name="doomed")) as stream:
        await stream.send(picture)
        async for _ in stream.answers():
            print("answered", flush=True)
            break
        while True:
            await stream.send(picture)
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    uvloop.run(_doomed(sys.argv[1]))
