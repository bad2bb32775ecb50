"""The generator's HTTP, against a server whose every byte the test writes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks.rivals.http_pool import Pool, Refused


@dataclass
class Wire:
    """A server that answers what it is told, and counts its connections."""

    replies: list[bytes]
    connections: int = 0
    bodies: list[bytes] = field(default_factory=list)
    handlers: list[asyncio.Task[Any] | None] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.handlers.append(asyncio.current_task())
        with suppress(EOFError):  # the client has gone
            while self.replies:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                writer.write(self.replies.pop(0))
                await writer.drain()
        writer.close()
        await writer.wait_closed()

    @asynccontextmanager
    async def pool(self) -> AsyncIterator[Pool]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        async with server:
            pool = Pool("127.0.0.1", server.sockets[0].getsockname()[1], "/predict", {"A": "b"})
            yield pool
            pool.close()
            await asyncio.gather(*filter(None, self.handlers))


def reply(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nX-One: two\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def test_a_connection_is_kept_and_more_are_opened_as_needed() -> None:
    async def main() -> None:
        wire = Wire([reply(b"a"), reply(b"b"), reply(b"c" * 10**6), reply(b"d")])
        async with wire.pool() as pool:
            first = await pool.post(b"1", b"2")
            assert (first.body, first.headers["x-one"]) == (b"a", "two")
            assert (await pool.post(b"3")).body == b"b"
            assert wire.connections == 1
            both = await asyncio.gather(pool.post(b"4"), pool.post(b"5"))
            assert {len(r.body) for r in both} == {10**6, 1}
        assert wire.connections == 2
        assert wire.bodies[:2] == [b"12", b"3"]

    asyncio.run(main())


def test_another_status_is_refused_with_the_servers_words() -> None:
    async def main() -> None:
        wire = Wire([reply(b"too many", "503 Service Unavailable"), reply(b"a")])
        async with wire.pool() as pool:
            with pytest.raises(Refused, match="503: too many"):
                await pool.post(b"1")
            assert (await pool.post(b"1")).body == b"a"
            assert wire.connections == 1

    asyncio.run(main())


def test_a_reply_that_is_cut_off_is_an_error() -> None:
    async def main() -> None:
        async with Wire([reply(b"whole")[:-1]]).pool() as pool:
            with pytest.raises(EOFError):
                await pool.post(b"1")

    asyncio.run(main())
