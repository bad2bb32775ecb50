"""HTTP connections of clients that are slow, endless or many, over a real socket."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import uvloop
from fastapi import FastAPI, Request, Response

from server.doors.listen import HttpDoor
from server.doors.protocol import Connections
from tests.server.conftest import PATIENCE_S

SHORT_S = 0.2  # what a client may dawdle here
HEAD = b"POST /length HTTP/1.1\r\nHost: x\r\n"
LARGE_BYTES = 16 * 2**20  # no kernel takes that much for a reader that does not read


def build_app() -> FastAPI:
    app = FastAPI()
    app.state.message_bytes = 1000

    @app.post("/length")
    async def length(request: Request) -> Response:
        return Response(str(len(await request.body())))

    @app.get("/large")
    async def large() -> Response:
        return Response(bytes(LARGE_BYTES))

    return app


class Listening:
    """A door in a thread of its own."""

    def __init__(self, connections: Connections) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.connections = connections
        self._door = HttpDoor(build_app(), host="127.0.0.1", port=0, connections=connections)
        asyncio.run_coroutine_threadsafe(self._door.start(), self._loop).result(PATIENCE_S)

    @contextmanager
    def client(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self._door.port), PATIENCE_S) as client:
            yield client

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._door.stop(1), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()


def until_closed(client: socket.socket) -> bytes:
    """All that comes until the server closes; a reset is an end as well."""
    received = b""
    with suppress(ConnectionResetError):
        while data := client.recv(65536):
            received += data
    return received


@pytest.fixture
def hasty() -> Iterator[Listening]:
    listening = Listening(Connections(slow_sender_s=SHORT_S, slow_reader_s=SHORT_S))
    yield listening
    listening.close()


@pytest.fixture
def patient() -> Iterator[Listening]:
    listening = Listening(Connections(per_client=3))
    yield listening
    listening.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b"408"),
        (b"GET", b"408"),
        (HEAD, b"408"),
        (HEAD + b"Content-Length: 10\r\n\r\n12345", b"408"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n123", b"408"),
        # The second question of a connection, after a first one that was whole.
        (HEAD + b"Content-Length: 1\r\n\r\n1" + HEAD, b"408"),
    ],
    ids=["nothing", "a word", "half a head", "half a body", "half a chunk", "half a second one"],
)
def test_a_client_that_stops_half_way_is_cut(hasty: Listening, sent: bytes, status: bytes) -> None:
    with hasty.client() as client:
        client.sendall(sent)
        assert b"HTTP/1.1 " + status in until_closed(client)


def test_a_head_that_comes_byte_by_byte_is_cut_however_steadily(hasty: Listening) -> None:
    with hasty.client() as client:
        client.settimeout(SHORT_S / 20)
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        received = b""
        while b"408" not in received:
            client.sendall(b"x")
            with suppress(TimeoutError):
                received += client.recv(1000)


def test_a_client_that_takes_nothing_of_its_answer_is_cut(hasty: Listening) -> None:
    with hasty.client() as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1)
        while hasty.connections._open:
            pass
        assert len(until_closed(client)) < LARGE_BYTES


def test_single_bytes_are_as_good_as_a_whole_request(patient: Listening) -> None:
    whole = HEAD + b"Content-Length: 5\r\nConnection: close\r\n\r\n12345"
    with patient.client() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in whole:
            client.sendall(bytes([byte]))
        assert until_closed(client).endswith(b"\r\n\r\n5")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * 200_000, b"431"),
        (HEAD + b"X: " + b"a" * 200_000, b"431"),
        (HEAD + b"a" * 200_000, b"431"),
        (HEAD + b"X: y\r\n" * 101 + b"\r\n", b"400"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 101, b"400"),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: -1\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n", b"400"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    ],
    ids=["URL", "header", "name", "lines", "trailers", "two lengths", "negative", "huge", "chunk",
         "TLS", "HTTP/2"],
)  # fmt: skip
def test_what_is_too_much_or_no_http_is_refused(
    patient: Listening, sent: bytes, status: bytes
) -> None:
    with patient.client() as client:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused while it is still sent
            client.sendall(sent)
        received = until_closed(client)
        assert not received or received.startswith(b"HTTP/1.1 " + status)


def test_a_client_has_so_many_connections_and_room_again_when_one_ends(patient: Listening) -> None:
    def answers(client: socket.socket) -> bool:
        client.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        return client.recv(1000).startswith(b"HTTP/1.1 200")

    with patient.client() as one, patient.client() as two:
        with patient.client() as three:
            assert answers(one) and answers(two) and answers(three)
            with patient.client() as four:
                assert until_closed(four) == b""
            assert answers(one)
        while True:
            with patient.client() as again:
                again.sendall(HEAD + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
                if until_closed(again).startswith(b"HTTP/1.1 200"):
                    break
    while patient.connections._open:
        pass  # each is counted out, whichever way it ended
