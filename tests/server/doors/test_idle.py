"""A stream that sends nothing ends with the reason, at both doors that have streams."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace

import grpc
import pytest

from fathom.errors import Code
from fathom.session.sync import Client
from fathom.session.sync_link import rpc_error
from fathom.values import EncodedDepth
from fathom.wire import depth_pb2 as pb
from fathom.wire.depth_pb2_grpc import DepthStub
from server.security.entry import Entry
from tests.server.conftest import PATIENCE_S, PICTURE
from tests.server.doors.conftest import House, Wire
from tests.server.doors.websocket_talk import Port, call

SOON = Entry(idle_stream_s=0.05)


def test_over_grpc(house: House) -> None:
    house.service = replace(house.service, entry=SOON)
    wire = Wire(house)
    try:
        with Client(wire.target) as client, client.stream() as stream:
            answers = stream.answers()
            stream.send(PICTURE)
            assert isinstance(next(answers).answer, EncodedDepth)
            assert list(answers) == []
            assert stream.closing is not None and stream.closing.code is Code.IDLE
    finally:
        wire.close()


def test_over_a_websocket(house: House) -> None:
    port = Port(house, replace(house.service, entry=SOON))
    try:
        with call(port) as socket:
            socket.send('{"open": {}}')
            assert "opened" in json.loads(socket.recv(PATIENCE_S))
            closing = json.loads(socket.recv(PATIENCE_S))["closing"]
            assert closing["code"] == Code.IDLE
    finally:
        port.wait_no_streams()
        port.close()


def test_a_call_that_never_opens_is_let_go(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.doors.grpc._OPEN_WITHIN_S", 0.05)
    wire = Wire(house)
    silent = threading.Event()

    def requests() -> Iterator[pb.StreamRequest]:
        silent.wait(PATIENCE_S)
        yield from ()

    try:
        with grpc.insecure_channel(wire.target) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                list(DepthStub(channel).Stream(requests()))
            silent.set()
            assert rpc_error(caught.value).code is Code.BAD_SEQUENCE
    finally:
        wire.close()
