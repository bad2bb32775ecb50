"""HTTP/1.1 over kept connections, and nothing else of HTTP: a load generator must cost little.

httpx takes several times the processor time a request, on the cores that the servers need.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

# An answer is 154 KB: below its size the reader would pause the connection again and again.
_READ_AHEAD_BYTES = 2**19


class Refused(Exception):  # noqa: N818 - the server's answer, not an error of ours
    """The server answered with another status than 200."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply's body and its headers, names in lower case."""

    headers: Mapping[str, str]
    body: bytes


class Pool:
    """Connections to one path of one server; one more is opened whenever all are busy."""

    def __init__(self, host: str, port: int, path: str, headers: Mapping[str, str]) -> None:
        self._address = (host, port)
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}:{port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._head = "\r\n".join(lines)
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, *parts: bytes) -> Reply:
        """Send the parts as one body; raises Refused, OSError or EOFError."""
        reader, writer = await self._connection()
        try:
            head = f"{self._head}\r\nContent-Length: {sum(map(len, parts))}\r\n\r\n"
            writer.writelines([head.encode("ascii"), *parts])
            status, headers = _parse(await reader.readuntil(b"\r\n\r\n"))
            body = await reader.readexactly(int(headers["content-length"]))
        except BaseException:
            writer.close()
            raise
        self._free.append((reader, writer))
        if status != 200:
            raise Refused(f"{status}: {body[:200].decode('utf-8', 'replace')}")
        return Reply(headers, body)

    def close(self) -> None:
        """Drop the connections that are not in use; the others drop with their requests."""
        while self._free:
            self._free.pop()[1].close()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof():  # the server may have closed what was idle
                return reader, writer
            writer.close()
        return await asyncio.open_connection(*self._address, limit=_READ_AHEAD_BYTES)


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs}
