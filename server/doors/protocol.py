"""HTTP on one connection, bounded in time, header and number: what uvicorn leaves open.

A client that sends its headers byte by byte, stops in the middle of a body, sends headers without
end, or opens connections without end holds little, and not for long.
"""

import asyncio
from collections import Counter
from enum import Enum, auto
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode

from server.security.address import client_of

# Others hold themselves to 8 to 64 KiB and 100 lines (nginx, Apache, Envoy).
_HEAD_BYTES = 64 * 2**10
_HEADER_LINES = 100
# A wait is looked at so many times: it may last by that share longer than it should.
_LOOKS = 4
# For a WebSocket peer to take what was written to it, once all is said.
_LET_GO_S = 5.0

_TIMED_OUT = b"408 Request Timeout"
_HEAD_TOO_LARGE = b"431 Request Header Fields Too Large"


class Connections:
    """How many connections each client has open, and the bounds that all of them share.

    per_client     at once
    slow_sender_s  for headers to be complete, and for a gap in a body
    slow_reader_s  for a reader to take anything at all of an answer
    """

    def __init__(
        self, *, per_client: int = 256, slow_sender_s: float = 10.0, slow_reader_s: float = 10.0
    ) -> None:
        self.slow_sender_s = slow_sender_s
        self.slow_reader_s = slow_reader_s
        self._per_client = per_client
        self._open: Counter[str] = Counter()

    def enter(self, client: str) -> bool:
        """Count one more; whether it may stay. It is to `leave` in any case."""
        self._open[client] += 1
        return self._open[client] <= self._per_client

    def leave(self, client: str) -> None:
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]


class _Part(Enum):
    """What of a request is awaited."""

    NOTHING = auto()  # an answer is made, or the connection rests: uvicorn's own limit is for that
    HEAD = auto()
    BODY = auto()


class HttpProtocol(HttpToolsProtocol):
    """One connection; `connections` is set by a subclass for each server."""

    connections_bound: ClassVar[Connections]

    _part = _Part.HEAD
    _head_bytes = 0
    _since_s = 0.0
    _unread = (0, 0.0)  # bytes of the answer that lie here, and since when they are so many
    _look_again: asyncio.TimerHandle | None = None
    _counted_as: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since_s = self.loop.time()
        self._counted_as = client_of(self.client[0] if self.client else "")
        if not self.connections_bound.enter(self._counted_as):
            transport.abort()
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        if self._counted_as is not None:
            self.connections_bound.leave(self._counted_as)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._part is _Part.NOTHING:
            self._await(_Part.HEAD)
        if self._part is _Part.HEAD:
            self._head_bytes += len(data)
        else:
            self._since_s = self.loop.time()
        super().data_received(data)
        # After the parser: a head and a large part of its body may come at once.
        if self._part is _Part.HEAD and self._head_bytes > _HEAD_BYTES:
            self._refuse(_HEAD_TOO_LARGE)

    def handle_websocket_upgrade(self) -> None:
        """From here on it is the WebSocket protocol's connection, which counts it."""
        self._unwatch()
        if self._counted_as is not None:
            self.connections_bound.leave(self._counted_as)
            self._counted_as = None
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        self._await(_Part.HEAD)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= _HEADER_LINES:
            raise ValueError("too many header lines")  # the parser's way to a 400
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._await(_Part.BODY)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._await(_Part.NOTHING)
        super().on_message_complete()

    def _await(self, part: _Part) -> None:
        self._part = part
        self._head_bytes = 0
        self._since_s = self.loop.time()

    def _watch(self) -> None:
        shorter_s = min(self.connections_bound.slow_sender_s, self.connections_bound.slow_reader_s)
        self._look_again = self.loop.call_later(shorter_s / _LOOKS, self._look)

    def _unwatch(self) -> None:
        if self._look_again is not None:
            self._look_again.cancel()
            self._look_again = None

    def _look(self) -> None:
        self._watch()
        if self.flow.write_paused and self._reads_nothing():
            self.transport.abort()
        if self._part is _Part.NOTHING:
            return
        if self.flow.read_paused:  # it is this side that does not read
            self._since_s = self.loop.time()
        elif self.loop.time() - self._since_s >= self.connections_bound.slow_sender_s:
            self._refuse(_TIMED_OUT)

    def _reads_nothing(self) -> bool:
        now_s, lying = self.loop.time(), self.transport.get_write_buffer_size()
        if self._unread[0] != lying:
            self._unread = (lying, now_s)
        return now_s - self._unread[1] >= self.connections_bound.slow_reader_s

    def _refuse(self, status: bytes) -> None:
        self._unwatch()
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
        self.transport.close()


class SocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket: counted, and let go of when its peer never reads again."""

    connections_bound: ClassVar[Connections]

    _counted_as = ""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._counted_as = client_of(self.client[0] if self.client else "")
        if not self.connections_bound.enter(self._counted_as):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections_bound.leave(self._counted_as)
        super().connection_lost(exc)

    def send_receive_event_to_app(self) -> None:
        """As uvicorn, but text that is no UTF-8 is the client's fault and no error of the log."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.fail(CloseCode.INVALID_DATA, "text that is no UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    async def run_asgi(self) -> None:
        """As uvicorn, whose close waits for a peer for ever."""
        await super().run_asgi()
        if not self.disconnected:
            self.loop.call_later(_LET_GO_S, self.transport.abort)
