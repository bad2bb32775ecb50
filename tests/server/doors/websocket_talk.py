"""The WebSocket door over a real socket, spoken message by message."""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from fathom.errors import Code, FathomError
from fathom.values import Image
from server.doors.http import build_app
from server.doors.listen import HttpDoor
from server.service import Service
from tests.server.conftest import PATIENCE_S, PICTURE
from tests.server.doors.conftest import House

T = TypeVar("T")

# More than a socket holds.
BIG = {"width": 2000, "height": 1500}


class Port:
    """The HTTP door, with its sockets, in an event loop of its own."""

    def __init__(self, house: House, service: Service) -> None:
        self._house = house
        self._service = service
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._door = self._run(self._open())
        self.number = self._door.port
        self.streams = house.service.streams

    async def _open(self) -> HttpDoor:
        door = HttpDoor(build_app(self._service), host="127.0.0.1", port=0)
        await door.start()
        return door

    def stop_door(self) -> None:
        """As the server's end does it: what waits is skipped, streams end, then the door closes."""

        async def main() -> None:
            for model in self._house.models:
                model.dispatch.stop()
            reason = FathomError(Code.SHUTTING_DOWN, expected="e", got="g", repair="r")
            self._service.end_streams(reason)
            await self._door.stop(int(PATIENCE_S))

        self._run(main())

    def wait_no_streams(self) -> None:
        """Return once no stream is held any more; the client may hear of its end before that."""

        async def main() -> None:
            async with asyncio.timeout(PATIENCE_S):
                while self._service.streams:  # noqa: ASYNC110 - a set has no event
                    await asyncio.sleep(0.002)

        self._run(main())

    def close(self) -> None:
        self.stop_door()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def _run(self, coroutine: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came: the message of that name as JSON, and the bytes behind it."""

    fields: dict[str, Any]  # JSON's own shape
    depth: bytes
    labels: bytes
    depth_at: int

    @property
    def seq(self) -> int:
        return int(self.fields.get("seq", 0))

    @property
    def outcome(self) -> str:
        return next(name for name in ("depth", "skipped", "failed") if name in self.fields)


class Talk:
    """One stream, spoken message by message."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, message: object) -> None:
        self.connection.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    def open(self, opening: dict[str, Any] | None = None) -> dict[str, Any]:
        self.say(opening or {"open": {}})
        opened: dict[str, Any] = self.text()["opened"]
        return opened

    def send(self, *seqs: int, image: Image = PICTURE, **fields: object) -> None:
        for seq in seqs:
            self.say(framed({"seq": seq, **fields}, image.data))

    def text(self) -> dict[str, Any]:
        message = self.connection.recv(PATIENCE_S)
        assert isinstance(message, str), "an answer where words are due"
        fields: dict[str, Any] = json.loads(message)
        return fields

    def answer(self) -> Answer:
        message = self.connection.recv(PATIENCE_S)
        assert isinstance(message, bytes), message
        return read(message)

    def rest(self) -> tuple[list[Answer], dict[str, Any]]:
        """What still comes: answers, the last word, close 1000."""
        answers = []
        while isinstance(message := self.connection.recv(PATIENCE_S), bytes):
            answers.append(read(message))
        closing: dict[str, Any] = json.loads(message)["closing"]
        assert self.closed() == (1000, "")
        return answers, closing

    def failed(self) -> dict[str, Any]:
        """Why the socket is closed instead of a stream."""
        failed: dict[str, Any] = self.text()["failed"]
        assert failed["expected"] and failed["got"] and failed["repair"]
        return failed

    def closed(self) -> tuple[int, str]:
        with pytest.raises(ConnectionClosed) as caught:
            self.connection.recv(PATIENCE_S)
        assert caught.value.rcvd is not None
        return caught.value.rcvd.code, caught.value.rcvd.reason


def framed(header: object, payload: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + payload


def read(message: bytes) -> Answer:
    (header_bytes,) = struct.unpack_from("<I", message)
    at = 4 + header_bytes
    header = json.loads(message[4:at])
    labels_at = at + header["depth_bytes"]
    assert len(message) == labels_at + header["labels_bytes"]
    return Answer(header["answer"], message[at:labels_at], message[labels_at:], at)


def call(port: Port, origin: str | None = None) -> ClientConnection:
    address = f"ws://127.0.0.1:{port.number}/stream"
    named = None if origin is None else Origin(origin)
    return connect(address, origin=named, max_size=None, proxy=None, legacy=True)


def call_bare(port: Port) -> socket.socket:
    """A client of which the system alone reads and writes."""
    bare = socket.create_connection(("127.0.0.1", port.number), PATIENCE_S)
    bare.sendall(
        b"GET /stream HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert bare.recv(4096).startswith(b"HTTP/1.1 101")
    return bare


def say_bare(bare: socket.socket, payload: bytes, *, opcode: int = 2) -> None:
    """One message, masked with zeros, which changes nothing. RFC 6455 section 5.2."""
    length = struct.pack(">BH", 0x80 | 126, len(payload))
    if len(payload) < 126:
        length = struct.pack(">B", 0x80 | len(payload))
    bare.sendall(bytes([0x80 | opcode]) + length + bytes(4) + payload)
