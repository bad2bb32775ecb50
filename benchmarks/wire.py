"""A client that costs less than any library's: one gRPC stream, spoken on its socket.

Requests are put into HTTP/2 frames before the clock starts, replies are counted and not read. It
stands for a camera whose program takes next to none of the server's cores, and is no client to use:
it knows no deadline, no second stream and no TLS.

HTTP/2 is RFC 9113, headers are RFC 7541, gRPC in them is
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""

import socket
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from benchmarks.lean import DEPTH_BYTES, NO_DEPTH, SERVICE, frame, opening
from fathom.values import Image, ImageEncoding

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 0x1
_END_HEADERS = 0x4
_ENABLE_PUSH, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 2, 4, 5
_HEAD_BYTES, _PREFIX_BYTES = 9, 5
_FIRST_WINDOW, _LARGEST_WINDOW = 2**16 - 1, 2**31 - 1
# Large frames are fewer frames, for both ends.
_OUR_FRAME_BYTES = 2**20
# Of a window of 2 GiB: how often a reader says that it has room is not what is measured here.
_GIVEN_BACK_BYTES = 2**28
_ALL, _STREAM = 0, 1


def saturate(target: str, picture: bytes, *, in_flight: int, frames: int, bare: bool) -> float:
    """Keep `in_flight` frames under way until `frames` were answered; frames/s.

    bare    the server at `target` is `benchmarks.bare`, which takes pictures and gives depth
    raises  SystemExit for an answer without depth, and for a stream that ends early
    """
    image = Image(encoding=ImageEncoding.JPEG, data=picture)
    seqs = range(1, frames + 1)
    requests = [message(picture if bare else frame(seq, image)) for seq in seqs]
    with socket.create_connection(_address(target)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = Stream(connection, target, f"/{SERVICE}/Stream")
        if not bare:
            stream.send(message(opening()))
            next(stream.replies())
        return _saturate(stream, requests, in_flight)


def _saturate(stream: "Stream", requests: Sequence[bytes], in_flight: int) -> float:
    waiting = iter(requests)
    for request in islice(waiting, in_flight):
        stream.send(request)
    received_s = []
    for reply_bytes in islice(stream.replies(), len(requests)):
        received_s.append(time.perf_counter())
        if reply_bytes < DEPTH_BYTES:
            raise SystemExit(NO_DEPTH)
        for request in islice(waiting, 1):
            stream.send(request)
    return (len(requests) - 1) / (received_s[-1] - received_s[0])


def message(content: bytes) -> bytes:
    """A gRPC message, not compressed, as it lies in HTTP/2's data."""
    return struct.pack(">BI", 0, len(content)) + content


class Stream:
    """The client's end of the one stream of a new connection; requests go out as they are given."""

    def __init__(self, connection: socket.socket, authority: str, path: str) -> None:
        self._connection = connection
        self._unread = bytearray(4 * _OUR_FRAME_BYTES)
        self._unread_bytes = 0
        self._counter = MessageCounter()
        self._replies: deque[int] = deque()
        # What may still be sent: on the connection, on the stream, in one frame.
        self._windows = {_ALL: _FIRST_WINDOW, _STREAM: _FIRST_WINDOW}
        self._initial_window = _FIRST_WINDOW
        self._taken_bytes = 0
        self._frame_bytes = 2**14
        ours = {
            _ENABLE_PUSH: 0,
            _INITIAL_WINDOW_SIZE: _LARGEST_WINDOW,
            _MAX_FRAME_SIZE: _OUR_FRAME_BYTES,
        }
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": authority,
            "te": "trailers",
            "content-type": "application/grpc",
        }
        settings = b"".join(struct.pack(">HI", *setting) for setting in ours.items())
        fields = b"".join(_field(*header) for header in headers.items())
        connection.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, _ALL, settings)
            + _frame(_WINDOW_UPDATE, 0, _ALL, _u32(_LARGEST_WINDOW - _FIRST_WINDOW))
            + _frame(_HEADERS, _END_HEADERS, _STREAM, fields)
        )

    def send(self, request: bytes) -> None:
        """Send a message; reads meanwhile where the server's windows are full."""
        rest = memoryview(request)
        while rest:
            room = min(*self._windows.values(), self._frame_bytes, len(rest))
            if room <= 0:
                self._read()
                continue
            self._connection.sendall(_frame(_DATA, 0, _STREAM, rest[:room]))
            rest = rest[room:]
            for window in self._windows:
                self._windows[window] -= room

    def replies(self) -> Iterator[int]:
        """The length of each message that comes, in bytes."""
        while True:
            while not self._replies:
                self._read()
            yield self._replies.popleft()

    def _read(self) -> None:
        room = memoryview(self._unread)[self._unread_bytes :]
        got = self._connection.recv_into(room)
        if not got:
            raise SystemExit("the server closed the connection")
        end, at = self._unread_bytes + got, 0
        view = memoryview(self._unread)
        while end - at >= _HEAD_BYTES:
            length = int.from_bytes(view[at : at + 3])
            after = at + _HEAD_BYTES + length
            if after > end:
                break
            kind, flags = view[at + 3], view[at + 4]
            stream = int.from_bytes(view[at + 5 : at + _HEAD_BYTES])
            self._take(kind, flags, stream, view[at + _HEAD_BYTES : after])
            at = after
        self._unread_bytes = end - at
        if at:
            self._unread[: self._unread_bytes] = view[at:end]

    def _take(self, kind: int, flags: int, stream: int, payload: memoryview) -> None:
        if kind == _DATA:
            self._replies.extend(self._counter.count(payload))
            self._give_back(len(payload))
        elif kind == _WINDOW_UPDATE:
            self._windows[stream] += int.from_bytes(payload)
        elif kind == _SETTINGS and not flags & _ACK:
            self._obey(payload)
            self._connection.sendall(_frame(_SETTINGS, _ACK, _ALL, b""))
        elif kind == _PING and not flags & _ACK:
            self._connection.sendall(_frame(_PING, _ACK, _ALL, payload))
        elif kind in (_RST_STREAM, _GOAWAY) or (kind == _HEADERS and flags & _END_STREAM):
            raise SystemExit("the server ended the stream")

    def _give_back(self, taken_bytes: int) -> None:
        self._taken_bytes += taken_bytes
        if self._taken_bytes >= _GIVEN_BACK_BYTES:
            update = _u32(self._taken_bytes)
            for window in self._windows:
                self._connection.sendall(_frame(_WINDOW_UPDATE, 0, window, update))
            self._taken_bytes = 0

    def _obey(self, settings: memoryview) -> None:
        for name, value in struct.iter_unpack(">HI", settings):
            if name == _INITIAL_WINDOW_SIZE:
                self._windows[_STREAM] += value - self._initial_window
                self._initial_window = value
            elif name == _MAX_FRAME_SIZE:
                self._frame_bytes = value


class MessageCounter:
    """Finds where gRPC's messages end in a stream of bytes, however it is cut."""

    def __init__(self) -> None:
        self._prefix = b""
        self._length = self._left = 0

    def count(self, data: memoryview) -> Iterator[int]:
        """The lengths of the messages that end in these bytes."""
        while data:
            if len(self._prefix) < _PREFIX_BYTES:
                missing = _PREFIX_BYTES - len(self._prefix)
                self._prefix += data[:missing]
                data = data[missing:]
                if len(self._prefix) < _PREFIX_BYTES:
                    return
                self._length = self._left = int.from_bytes(self._prefix[1:])
            taken = min(self._left, len(data))
            self._left -= taken
            data = data[taken:]
            if not self._left:
                self._prefix = b""
                yield self._length


def _address(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host, int(port)


def _frame(kind: int, flags: int, stream: int, payload: bytes | memoryview) -> bytes:
    head = struct.pack(">IBBI", len(payload), kind, flags, stream)[1:]
    return b"".join((head, payload))


def _field(name: str, value: str) -> bytes:
    """A header in the plainest of its forms: a literal that nobody indexes, without Huffman."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _u32(value: int) -> bytes:
    return struct.pack(">I", value)
