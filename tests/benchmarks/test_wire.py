"""The client that speaks gRPC on its socket, against the server of gRPC's own library."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import wire
from benchmarks.lean import NO_DEPTH, SERVICE

Handler = Callable[[Iterator[bytes]], Iterator[bytes]]


@contextmanager
def served(handler: Handler) -> Iterator[str]:
    """A bare gRPC server whose one method is `handler`; its address."""
    server = grpc.server(ThreadPoolExecutor(2))
    method = grpc.stream_stream_rpc_method_handler(lambda requests, _: handler(requests))
    generic = grpc.method_handlers_generic_handler(SERVICE, {"Stream": method})
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait(10)


@contextmanager
def stream(target: str) -> Iterator[wire.Stream]:
    host, _, port = target.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield wire.Stream(connection, target, f"/{SERVICE}/Stream")


def lengths(requests: Iterator[bytes]) -> Iterator[bytes]:
    """As many bytes as each request says."""
    return (bytes(int(request[:10])) for request in requests)


def asking(reply_bytes: int, request_bytes: int = 10) -> bytes:
    return wire.message(f"{reply_bytes:010}".encode().ljust(request_bytes))


def test_every_message_there_and_back_is_counted_with_its_length() -> None:
    sizes = [0, 1, 153_600, 7, 3_000_000]
    with served(lengths) as target, stream(target) as opened:
        replies = opened.replies()
        got = []
        for size in sizes:
            opened.send(asking(size))
            got.append(next(replies))
    assert got == sizes


def test_a_request_larger_than_the_server_s_window_waits_for_room() -> None:
    """HTTP/2's first window is 64 KiB; every byte of a megabyte must have come."""
    with (
        served(lambda requests: (bytes(len(r) // 100) for r in requests)) as target,
        stream(target) as opened,
    ):
        for _ in range(3):
            opened.send(asking(0, request_bytes=1_000_000))
        replies = opened.replies()
        assert [next(replies) for _ in range(3)] == [10_000] * 3


def test_what_is_taken_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that may send 2 GiB and is never told of more stops there."""
    monkeypatch.setattr(wire, "_GIVEN_BACK_BYTES", 1000)
    monkeypatch.setattr(wire, "_LARGEST_WINDOW", 100_000)
    with served(lengths) as target, stream(target) as opened:
        replies = opened.replies()
        for _ in range(20):
            opened.send(asking(40_000))
            assert next(replies) == 40_000


def test_a_stream_that_the_server_ends_is_an_error() -> None:
    with (
        served(lambda _: iter(())) as target,
        stream(target) as opened,
        pytest.raises(SystemExit, match="ended the stream"),
    ):
        next(opened.replies())


def test_a_rate_is_of_answers_with_depth_only() -> None:
    picture = b"a picture"
    with served(lambda requests: (bytes(2000) for _ in requests)) as target:
        assert wire.saturate(target, picture, in_flight=3, frames=20, bare=True) > 0
    with (
        served(lambda requests: (bytes(100) for _ in requests)) as target,
        pytest.raises(SystemExit, match=NO_DEPTH),
    ):
        wire.saturate(target, picture, in_flight=3, frames=20, bare=True)


@given(st.lists(st.integers(0, 50), max_size=20), st.lists(st.integers(1, 9), max_size=60))
def test_messages_are_found_however_the_bytes_are_cut(sizes: list[int], cuts: list[int]) -> None:
    data = b"".join(wire.message(bytes(size)) for size in sizes)
    counter, at = wire.MessageCounter(), 0
    got: list[int] = []
    for cut in [*cuts, len(data)]:
        got += counter.count(memoryview(data)[at : at + cut])
        at += cut
    assert got == sizes
